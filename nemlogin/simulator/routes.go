package simulator

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

// route is an endpoint with what it does, by method.
type route struct {
	endpoint string
	pattern  string // endpoint, as the mux wants it
	methods  map[string]func(*call) answer
	loose    map[string]func(*call) answer // methods that strict-method refuses
	hidden   string                        // a behaviour that makes it 404
}

func routes() []*route {
	type methods = map[string]func(*call) answer
	const get, post, put, del = http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete
	list := []*route{
		{endpoint: EndpointAuthenticate, methods: methods{post: (*call).authenticate}},
		{endpoint: EndpointCatalogue, methods: methods{get: (*call).readCatalogue}},
		{endpoint: EndpointRoles, methods: methods{get: (*call).readRoles, post: (*call).addRoles, del: (*call).removeRoles}},
		{endpoint: EndpointSENumbers, methods: methods{get: (*call).readSENumbers}},
		{endpoint: EndpointPNumbers, methods: methods{get: (*call).readPNumbers}},
		{endpoint: EndpointGroups, methods: methods{post: (*call).createGroup}},
		{endpoint: EndpointGroup, methods: methods{get: (*call).readGroup, put: (*call).updateGroup, del: (*call).deleteGroup}},
		{endpoint: EndpointGroupRole, methods: methods{post: (*call).addGroupRole, del: (*call).removeGroupRole}},
		{endpoint: EndpointEmployees, methods: methods{post: (*call).createEmployee}},
		{endpoint: EndpointSearch, methods: methods{post: (*call).search}},
		{endpoint: EndpointEmployee, methods: methods{get: (*call).readEmployee, del: (*call).deleteEmployee}},
		{endpoint: EndpointProfile, methods: methods{put: (*call).updateProfile}},
		{endpoint: EndpointDraft, methods: methods{put: (*call).draftProfile}},
		{endpoint: EndpointNonsensitive, methods: methods{put: (*call).updateNonsensitive}},
		{endpoint: EndpointSuspend, methods: methods{put: (*call).suspend}},
		{endpoint: EndpointReactivate, methods: methods{put: (*call).reactivate}},
		{endpoint: EndpointCredentials, methods: methods{post: (*call).requestCredentials}},
		{endpoint: EndpointAuthenticators, methods: methods{get: (*call).readAuthenticators}},
		{
			endpoint: EndpointRevoke,
			methods:  methods{post: (*call).revokeCredential},
			loose:    methods{get: (*call).revokeCredential},
		},
		{
			endpoint: EndpointAllowSigning,
			methods:  methods{put: (*call).setAllowSigning},
			loose:    methods{post: (*call).setAllowSigning},
		},
		{endpoint: EndpointActivationOrders, methods: methods{post: (*call).orderActivation}},
		{endpoint: EndpointMigrated, methods: methods{get: (*call).readMigrated}},
	}
	for _, rt := range list {
		rt.pattern = pattern(rt.endpoint)
		if rest, found := strings.CutPrefix(rt.pattern, "/api/admin/"); found {
			list = append(list, &route{
				endpoint: rt.endpoint, pattern: "/api/administration/" + rest, methods: rt.methods, hidden: AdminPrefix,
			})
		}
	}
	return list
}

// pattern names the parts of an endpoint's path: the identity of calls about one, and what else there is.
func pattern(endpoint string) string {
	first := "{identity}"
	switch endpoint {
	case EndpointGroup, EndpointGroupRole:
		first = "{group}"
	case EndpointMigrated:
		first = "{number}"
	}
	return strings.Replace(strings.Replace(endpoint, "*", first, 1), "*", "{object}", 1)
}

// method finds what to do for the call's method.
func (rt *route) method(c *call) (func(*call) answer, *answer) {
	if do := rt.methods[c.method]; do != nil {
		return do, nil
	}
	if do := rt.loose[c.method]; do != nil && !c.on(StrictMethod) {
		return do, nil
	}
	a := failure(http.StatusMethodNotAllowed, "MethodNotAllowed", "The method is not allowed here.")
	a.header = http.Header{"Allow": {strings.Join(slices.Sorted(maps.Keys(rt.methods)), ", ")}}
	return nil, &a
}

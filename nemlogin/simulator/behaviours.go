package simulator

import (
	"cmp"
	"slices"
)

// The base behaviours: how the service is known or believed to act. They are on from the start.
const (
	UnknownIdentity500   = "unknown-identity-500"
	NoBody204            = "no-body-204"
	DeleteWithBody       = "delete-with-body"
	BareArray            = "bare-array"
	PNumberNumber        = "pnumber-number"
	TypeNameMismatch     = "type-name-mismatch"
	StrictMethod         = "strict-method"
	AdminPrefix          = "admin-prefix"
	ImportedOrder        = "imported-order"
	CreateConflict409    = "create-conflict-409"
	ScopeRejected        = "scope-rejected"
	StrictData           = "strict-data"
	CaseInsensitiveJSON  = "case-insensitive-json"
	MTLSRequired         = "mtls-required"
	AuthBodyOptional     = "auth-body-optional"
	TokenExpiry          = "token-expiry"
	UnknownFields        = "unknown-fields"
	RoleOutsideCatalogue = "role-outside-catalogue"
	AdminRolesReadonly   = "admin-roles-readonly"
	ReactivateKeepsUUID  = "reactivate-keeps-uuid"
)

// The faults. They are off until somebody switches them on.
const (
	Garbage200            = "garbage-200"
	Empty200              = "empty-200"
	Write200Text          = "write-200-text"
	SeeLog500             = "see-log-500"
	ServiceUnavailable    = "service-unavailable"
	SearchUnstable        = "search-unstable"
	OptimisticConcurrency = "optimistic-concurrency"
	Slow                  = "slow"
	HangAfterWrite        = "hang-after-write"
	BadHours              = "bad-hours"
	TokenRevoked          = "token-revoked"
	AuthDown              = "auth-down"
	CertWithoutRight      = "cert-without-right"
	CertExpired           = "cert-expired"
	CAListMismatch        = "ca-list-mismatch"
	RateLimit429          = "rate-limit-429"
	EmptyCatalogue        = "empty-catalogue"
	EmptyPNumbers         = "empty-pnumbers"
	EmptySENumbers        = "empty-senumbers"
	PartialCatalogue      = "partial-catalogue"
	RoleMissing           = "role-missing-from-catalogue"
	SameNameRoles         = "same-name-roles"
	PNumberString         = "pnumber-string"
	UnknownScopeType      = "unknown-scope-type"
	UnknownEnum           = "unknown-enum"
	OtherCVRScope         = "other-cvr-scope"
	BatchRejected         = "batch-rejected"
	BatchAtomic           = "batch-atomic"
	BatchPartialFailure   = "batch-partial-failure"
	RepeatAddError        = "repeat-add-error"
	RepeatDeleteError     = "repeat-delete-error"
	BasicPackageSticky    = "basic-package-sticky"
	StaleRead             = "stale-read"
	TimedAssignment       = "timed-assignment"
	UUIDChanged           = "uuid-changed"
	UUIDMoved             = "uuid-moved"
	PagedSearch           = "paged-search"
	ErrorShape            = "error-shape"
	ForeignChange         = "foreign-change"
)

// renegotiation is a fault one may ask for, and must hear why it cannot be had.
const renegotiation = "renegotiation"

// Behaviour is one thing the simulator can do, by name.
type Behaviour struct {
	Name string
	Base bool   // on from the start
	Text string // what it does, in a line
}

var behaviours = []Behaviour{
	{UnknownIdentity500, true, "calls about an unknown identity's roles answer 500, not 404"},
	{NoBody204, true, "writes answer 204 without a body; off: 200 {}"},
	{DeleteWithBody, true, "taking roles away without a body is refused; off: the body is lost on the way, 204 and no effect"},
	{BareArray, true, "lists are bare arrays; off: wrapped in an object"},
	{PNumberNumber, true, "pNumber is a JSON number; off: a string"},
	{TypeNameMismatch, true, "PrivateNemIdMitId in requests is PrivateMitId in answers; off: the same name in both"},
	{StrictMethod, true, "GET revokecredential and POST allowsigning answer 405; off: they work"},
	{AdminPrefix, true, "activation calls are only under /api/admin; off: under /api/administration too"},
	{ImportedOrder, true, "imported users need draft profile, activation order and requestcredentials, in that order"},
	{CreateConflict409, true, "a subjectNameId in use answers 409"},
	{ScopeRejected, true, "P- and SE-numbers outside the organisation's lists and foreign CVR numbers are refused (status)"},
	{StrictData, true, "untrimmed texts, a missing e-mail, bad CPR numbers, persons under 13 and unknown fields are refused (status; value real-cpr: invented CPR numbers too)"},
	{CaseInsensitiveJSON, true, "field names of requests are taken in any case"},
	{MTLSRequired, true, "a client certificate is needed on every call, or only on those that endpoint matches"},
	{AuthBodyOptional, true, "authenticate takes {} or nothing; off: it needs {}"},
	{TokenExpiry, true, "tokens die after expiresIn"},
	{UnknownFields, true, "answers have more fields than anybody asked for, on every level"},
	{RoleOutsideCatalogue, true, "identities hold roles that are not in the catalogue; off: those are not shown"},
	{AdminRolesReadonly, true, "administrator roles cannot be written; off: a profile's roles are taken"},
	{ReactivateKeepsUUID, true, "an account keeps its UUID over suspend and reactivate; off: it gets a new one"},

	{Garbage200, false, "200 with HTML, cut JSON or text (value html, cut, text)"},
	{Empty200, false, "reads answer 200 with an empty body or null (value empty, null)"},
	{Write200Text, false, "writes are done, the answer is 200 with plain text"},
	{SeeLog500, false, "500 'See log for exception details' for known identities"},
	{ServiceUnavailable, false, "503 ServiceUnavailable (retryAfter)"},
	{SearchUnstable, false, "the connection is reset on a search"},
	{OptimisticConcurrency, false, "409 on reactivate, or where endpoint says; the next try works"},
	{Slow, false, "answers come late (delay, else up to 200 seconds)"},
	{HangAfterWrite, false, "the write is done, the answer never comes (delay: the connection is cut then)"},
	{BadHours, false, "503 at that rate until 06, at a quarter of it until 10, Danish time"},
	{TokenRevoked, false, "401: the token died before its time"},
	{AuthDown, false, "authenticate fails, old tokens work (status, 503)"},
	{CertWithoutRight, false, "authenticate is refused (status, 403; value alert: by the TLS handshake)"},
	{CertExpired, false, "the TLS handshake is refused: certificate expired"},
	{CAListMismatch, false, "the server names other certificate authorities than the client's"},
	{RateLimit429, false, "429 (retryAfter)"},
	{EmptyCatalogue, false, "the catalogue is an empty list"},
	{EmptyPNumbers, false, "the list of production units is empty"},
	{EmptySENumbers, false, "the list of SE-numbers is empty"},
	{PartialCatalogue, false, "a share of the roles is missing, other ones in every answer (share, 0.5)"},
	{RoleMissing, false, "the same roles are missing from the catalogue as long as it is on, and stay assigned (value: a role's UUID, else share, 0.1)"},
	{SameNameRoles, false, "roles with equal names, and names of more than 128 characters"},
	{PNumberString, false, "pNumber is a string"},
	{UnknownScopeType, false, "that share of the identities holds a role with a scope type nobody knows"},
	{UnknownEnum, false, "that share of the identities has a status, a level of assurance and an authenticator type nobody knows"},
	{OtherCVRScope, false, "that share of the identities holds a role for another CVR number"},
	{BatchRejected, false, "more than one role in a call is refused (status)"},
	{BatchAtomic, false, "one bad role: none is applied (status; value: a role's UUID that is bad)"},
	{BatchPartialFailure, false, "one bad role: the others are applied (status: 2xx, 4xx or 5xx; value: a role's UUID that is bad)"},
	{RepeatAddError, false, "adding what is held fails (status, 409)"},
	{RepeatDeleteError, false, "removing what is not held fails (status, 404)"},
	{BasicPackageSticky, false, "roles of the basic package stay: 204 without effect, or refused with status"},
	{StaleRead, false, "reads of an identity's roles lag behind writes (delay, 2 seconds)"},
	{TimedAssignment, false, "that share of the grants has from and to: past, running or future"},
	{UUIDChanged, false, "the identity of the call has just got another UUID"},
	{UUIDMoved, false, "the UUID of the call has just moved to another user"},
	{PagedSearch, false, "a search answers only a share of the employees (share, 0.5)"},
	{ErrorShape, false, "errors are text, problem or html instead of json (value text, problem, html, json; else by turns)"},
	{ForeignChange, false, "somebody changes the identity's roles in the portal just before the call"},
}

var behaviourByName = func() map[string]Behaviour {
	m := make(map[string]Behaviour, len(behaviours))
	for _, b := range behaviours {
		m[b.Name] = b
	}
	return m
}()

// Behaviours lists everything that can be switched: base behaviours and faults, each sorted by name.
func Behaviours() []Behaviour {
	return slices.SortedFunc(slices.Values(behaviours), func(a, b Behaviour) int {
		if a.Base != b.Base {
			if a.Base {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.Name, b.Name)
	})
}

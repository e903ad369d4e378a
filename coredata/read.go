package coredata

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/rollebro/rollebro/rolecatalog"
)

// read serves a reading call. A failure after the first bytes cuts the connection, as half an answer must not be taken for a whole
// one; before them it is answered, never with an empty list.
func (h *handler) read(fn func(r *http.Request, out *stream) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		out := newStream(w, h.IdleTime)
		err := fn(r, out)
		switch {
		case err == nil:
		case !out.started:
			h.fail(w, r, err)
		case out.lost != nil || r.Context().Err() != nil:
			h.entry(w, r).WithError(err).Debug("the client went away")
			panic(http.ErrAbortHandler)
		default:
			h.entry(w, r).WithError(err).Error("the answer was cut off")
			panic(http.ErrAbortHandler)
		}
	}
}

// queried returns a parameter of the query, which must be there, but may be empty.
func queried(r *http.Request, name string) (string, error) {
	query := r.URL.Query()
	if !query.Has(name) {
		return "", early(http.StatusBadRequest)
	}
	return query.Get(name), nil
}

// switched returns a parameter of the query that is on or off; absent or empty is off.
func switched(r *http.Request, name string) (bool, error) {
	switch strings.ToLower(r.URL.Query().Get(name)) {
	case "", "false", "off", "no", "0":
		return false, nil
	case "true", "on", "yes", "1":
		return true, nil
	}
	return false, early(http.StatusBadRequest)
}

// wording is how a call says which domains it takes.
type wording struct {
	empty   string // no name; "": as unknown
	unknown func(name string) string
	sub     string
}

var (
	// ofLists is that of the calls that list everybody.
	ofLists = wording{
		empty:   "Domain cannot be empty",
		unknown: func(string) string { return "Domain was either null or not a master domain" },
		sub:     "Domain was either null or not a master domain",
	}
	// ofLookups is that of the others.
	ofLookups = wording{
		unknown: func(name string) string { return "Unknown domain: " + shown(name) },
		sub:     "Domain was not a master domain",
	}
)

// master finds the domain that the query names, which must be a master domain that the caller may reach. The name is returned as it
// was asked for.
func (h *handler) master(r *http.Request, words wording) (name string, master rolecatalog.Domain, err error) {
	if name, err = queried(r, "domain"); err != nil {
		return "", master, err
	}
	if name == "" && words.empty != "" {
		return "", master, &Refusal{http.StatusBadRequest, words.empty}
	}
	domain, master, err := h.store.Domain(r.Context(), name)
	switch {
	case errors.Is(err, ErrNoDomain):
		return "", master, &Refusal{http.StatusBadRequest, words.unknown(name)}
	case err != nil:
		return "", master, fmt.Errorf("finding the domain: %w", err)
	}
	if err := reaches(callerOf(r), master, name); err != nil {
		return "", master, err
	}
	if domain.ID != master.ID {
		return "", master, &Refusal{http.StatusBadRequest, words.sub}
	}
	return name, master, nil
}

// reaches refuses a caller whose key is not for the domain.
func reaches(c Caller, master rolecatalog.Domain, name string) error {
	if c.Allowed == nil || c.Allowed(master.Name) {
		return nil
	}
	return &Refusal{http.StatusForbidden, "API-nøglen gælder ikke for domænet " + shown(name)}
}

// subNames returns the names of the sub-domains of a master domain by row id.
func (h *handler) subNames(ctx context.Context, master rolecatalog.Domain) (map[uint64]string, error) {
	domains, err := h.Directory.Domains(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the domains: %w", err)
	}
	names := map[uint64]string{}
	for _, d := range domains {
		if d.ParentID != nil && *d.ParentID == master.ID {
			names[d.ID] = d.Name
		}
	}
	return names, nil
}

// cprOf returns the CPR number in the path. ok is false when nobody can have it. It is compared as it is: what a load tidies up
// (blanks, a hyphen) finds nobody here.
func cprOf(r *http.Request) (cpr string, ok bool) {
	cpr = r.PathValue("cpr")
	if len(cpr) != 10 || strings.Trim(cpr, "0123456789") != "" {
		return "", false
	}
	return cpr, true
}

// everything answers GET /api/coredata.
func (h *handler) everything(r *http.Request, out *stream) error {
	only, err := switched(r, "onlyNsisAllowed")
	if err != nil {
		return err
	}
	name, master, err := h.master(r, ofLists)
	if err != nil {
		return err
	}
	return h.people(r.Context(), out, name, master, "", func(u *rolecatalog.User) bool { return u.NSISAllowed || !only })
}

// person answers GET /api/coredata/{cpr}.
func (h *handler) person(r *http.Request, out *stream) error {
	name, master, err := h.master(r, ofLookups)
	if err != nil {
		return err
	}
	cpr, ok := cprOf(r)
	if !ok {
		return endEmpty(out, peopleFields(name), "entryList")
	}
	return h.people(r.Context(), out, name, master, cpr, func(*rolecatalog.User) bool { return true })
}

func peopleFields(domain string) [][2]any {
	return [][2]any{{"domain", domain}, {"globalSubDomain", nil}}
}

func endEmpty(out *stream, fields [][2]any, list string) error {
	if err := out.begin(fields, list); err != nil {
		return err
	}
	return out.end()
}

// people writes a tree's people, or those with one CPR number.
func (h *handler) people(
	ctx context.Context, out *stream, name string, master rolecatalog.Domain, cpr string, wanted func(*rolecatalog.User) bool,
) error {
	subs, err := h.subNames(ctx, master)
	if err != nil {
		return err
	}
	if err := out.begin(peopleFields(name), "entryList"); err != nil {
		return err
	}
	err = h.eachPerson(ctx, master, cpr, func(u *rolecatalog.User) error {
		if !wanted(u) {
			return nil
		}
		return out.item(newPersonItem(u, master.Name, subs[u.DomainID]))
	})
	if err != nil {
		return err
	}
	return out.end()
}

func (h *handler) eachPerson(ctx context.Context, master rolecatalog.Domain, cpr string, each func(*rolecatalog.User) error) error {
	err := h.store.People(ctx, master.ID, cpr, func(batch []rolecatalog.User) error {
		for i := range batch {
			if err := each(&batch[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading people: %w", err)
	}
	return nil
}

// status answers GET /api/coredata/status.
func (h *handler) status(r *http.Request, out *stream) error {
	only, err := switched(r, "onlyNsisAllowed")
	if err != nil {
		return err
	}
	name, master, err := h.master(r, ofLists)
	if err != nil {
		return err
	}
	if err := out.begin([][2]any{{"domain", name}}, "entryList"); err != nil {
		return err
	}
	err = h.eachPerson(r.Context(), master, "", func(u *rolecatalog.User) error {
		if only && !u.NSISAllowed {
			return nil
		}
		return out.item(newStatusItem(u))
	})
	if err != nil {
		return err
	}
	return out.end()
}

// nemLoginStatus answers GET /api/coredata/nemloginStatus. One known client clears the NemLogin UUID of everybody who is not in the
// list.
func (h *handler) nemLoginStatus(r *http.Request, out *stream) error {
	name, master, err := h.master(r, ofLists)
	if err != nil {
		return err
	}
	if err := out.begin([][2]any{{"domain", name}}, "entries"); err != nil {
		return err
	}
	err = h.eachPerson(r.Context(), master, "", func(u *rolecatalog.User) error {
		if u.NemLoginUUID == "" || !u.TransferToNemLogin {
			return nil
		}
		return out.item(nemLoginItem{cprOut(u), u.UserID, u.NemLoginUUID, u.Active() && !u.Locked()})
	})
	if err != nil {
		return err
	}
	return out.end()
}

// cprLookup answers GET /api/coredata/cprLookup: who has an account name. Nobody, or somebody locked, is 404 without a body.
func (h *handler) cprLookup(r *http.Request, out *stream) error {
	userID, err := queried(r, "userId")
	if err != nil {
		return err
	}
	name, err := queried(r, "domain")
	if err != nil {
		return err
	}
	domain, master, err := h.store.Domain(r.Context(), name)
	switch {
	case errors.Is(err, ErrNoDomain):
		return &Refusal{http.StatusBadRequest, "Unknown domain: " + shown(name)}
	case err != nil:
		return fmt.Errorf("finding the domain: %w", err)
	}
	if err := reaches(callerOf(r), master, name); err != nil {
		return err
	}
	within := map[uint64]string{domain.ID: domain.Name}
	if domain.ID == master.ID {
		subs, err := h.subNames(r.Context(), master)
		if err != nil {
			return err
		}
		for id := range subs {
			within[id] = subs[id]
		}
	}
	if userID == "" {
		return &Refusal{Status: http.StatusNotFound}
	}
	users, err := h.Directory.Users(r.Context(), rolecatalog.UserFilter{Key: userID, WithCPR: true})
	if err != nil {
		return fmt.Errorf("looking up a user: %w", err)
	}
	for i := range users {
		u := &users[i]
		if _, ok := within[u.DomainID]; !ok || !strings.EqualFold(u.UserKey, userID) || !u.Active() {
			continue
		}
		if err := out.value(lookupItem{cprOut(u), u.Name, nullable(u.Email), u.UserID}); err != nil {
			return err
		}
		return out.finish()
	}
	return &Refusal{Status: http.StatusNotFound}
}

// kombit answers GET /api/coredata/jfr and GET /api/coredata/jfr/{cpr}: the people that have a KOMBIT role.
func (h *handler) kombit(r *http.Request, out *stream) error {
	return h.listing(r, out, "entryList", "KOMBIT roles", func(master uint64, cpr string) error {
		return h.store.Kombit(r.Context(), master, cpr, func(u rolecatalog.User, roles []KombitRole) error {
			if len(roles) == 0 {
				return nil
			}
			return out.item(newKombitItem(&u, roles))
		})
	})
}

// groups answers GET /api/coredata/groups, the groups of exactly the domain, and GET /api/coredata/groups/{cpr}, those of a person.
func (h *handler) groups(r *http.Request, out *stream) error {
	return h.listing(r, out, "groups", "groups", func(master uint64, cpr string) error {
		return h.store.Groups(r.Context(), master, cpr, func(g Group, members []string) error {
			if members == nil {
				members = []string{}
			}
			return out.item(groupItem{g.UUID, g.Name, g.Description, members})
		})
	})
}

// listing answers a call for a whole master domain or, with a CPR number in its path, for one person of it: read writes the
// items of the list. A number that is none has nobody.
func (h *handler) listing(r *http.Request, out *stream, list, what string, read func(master uint64, cpr string) error) error {
	name, master, err := h.master(r, ofLookups)
	if err != nil {
		return err
	}
	fields := [][2]any{{"domain", name}}
	cpr, ok := cprOf(r)
	if !ok && r.PathValue("cpr") != "" {
		return endEmpty(out, fields, list)
	}
	if err := out.begin(fields, list); err != nil {
		return err
	}
	if err := read(master.ID, cpr); err != nil {
		return fmt.Errorf("reading %s: %w", what, err)
	}
	return out.end()
}

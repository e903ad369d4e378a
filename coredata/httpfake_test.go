package coredata_test

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rollebro/rollebro/coredata"
	"github.com/rollebro/rollebro/rolecatalog"
)

// fakeStore is a store in memory, to hold the HTTP side against.
type fakeStore struct {
	mu      sync.Mutex
	domains []rolecatalog.Domain
	users   []*rolecatalog.User
	groups  []*coredata.Group
	kombit  []coredata.KombitRole
	calls   []coredata.Call
	pruned  time.Time
	loads   map[string]time.Time
	nextID  uint64

	// err, when set, is what everything returns.
	err error
	// loading, when set, is called in ChangeTree, before anything else.
	loading func()
	// people, when set, is what People streams.
	people func(each func([]rolecatalog.User) error) error
}

func newFakeStore() *fakeStore {
	master := uint64(1)
	f := &fakeStore{nextID: 100}
	for i, d := range []struct {
		name   string
		parent *uint64
	}{{"skovby.dk", nil}, {"elev1", &master}, {"other.dk", nil}} {
		f.domains = append(f.domains, rolecatalog.Domain{ID: uint64(i + 1), Name: d.name, NameKey: d.name, ParentID: d.parent})
	}
	return f
}

func (f *fakeStore) id() uint64 { f.nextID++; return f.nextID }

func (f *fakeStore) fail() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

func (f *fakeStore) failWith(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func (f *fakeStore) Domains(context.Context) ([]rolecatalog.Domain, error) {
	return slices.Clone(f.domains), f.fail()
}

func (f *fakeStore) Domain(_ context.Context, name string) (domain, master rolecatalog.Domain, err error) {
	if err := f.fail(); err != nil {
		return domain, master, err
	}
	for _, d := range f.domains {
		if strings.EqualFold(d.NameKey, name) {
			if d.ParentID != nil {
				return d, f.domains[*d.ParentID-1], nil
			}
			return d, d, nil
		}
	}
	return domain, master, coredata.ErrNoDomain
}

func (f *fakeStore) inTree(domain, master uint64) bool {
	d := f.domains[domain-1]
	return d.ID == master || d.ParentID != nil && *d.ParentID == master
}

func (f *fakeStore) Users(_ context.Context, filter rolecatalog.UserFilter) ([]rolecatalog.User, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var found []rolecatalog.User
	for _, u := range f.users {
		if strings.EqualFold(u.UserKey, filter.Key) || u.ExtUUID == filter.Key {
			found = append(found, *u)
		}
	}
	return found, f.err
}

func (f *fakeStore) ChangeTree(ctx context.Context, _ string, master uint64, _ coredata.Part, decide func(*coredata.Tree) (*coredata.Changes, error)) error {
	if f.loading != nil {
		f.loading()
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return f.err
	}
	tree := &coredata.Tree{Master: f.domains[master-1]}
	for _, d := range f.domains {
		if d.ID != master && f.inTree(d.ID, master) {
			tree.Subs = append(tree.Subs, d)
		}
	}
	ours := map[uint64]*rolecatalog.User{}
	for _, u := range f.users {
		if f.inTree(u.DomainID, master) {
			c := *u
			tree.People = append(tree.People, &c)
			ours[u.ID] = &c
		}
	}
	for _, g := range f.groups {
		if f.inTree(g.DomainID, master) {
			c := *g
			c.Members = slices.Clone(g.Members)
			tree.Groups = append(tree.Groups, &c)
		}
	}
	for _, k := range f.kombit {
		if ours[k.UserID] != nil {
			tree.Kombit = append(tree.Kombit, k)
		}
	}
	changes, err := decide(tree)
	if err != nil || changes == nil {
		return err
	}
	f.apply(changes)
	return nil
}

func (f *fakeStore) apply(c *coredata.Changes) {
	for _, u := range c.Delete {
		f.users = slices.DeleteFunc(f.users, func(o *rolecatalog.User) bool { return o.ID == u.ID })
		f.kombit = slices.DeleteFunc(f.kombit, func(k coredata.KombitRole) bool { return k.UserID == u.ID })
		for _, g := range f.groups {
			g.Members = slices.DeleteFunc(g.Members, func(id uint64) bool { return id == u.ID })
		}
	}
	for _, u := range c.Create {
		u.ID = f.id()
		f.users = append(f.users, u)
	}
	for _, u := range c.Update {
		i := slices.IndexFunc(f.users, func(o *rolecatalog.User) bool { return o.ID == u.ID })
		cpr := f.users[i].CPR
		f.users[i] = u
		if u.CPR == "" {
			u.CPR = cpr
		}
	}
	group := func(g *coredata.Group) *coredata.Group {
		return f.groups[slices.IndexFunc(f.groups, func(o *coredata.Group) bool { return o.ID == g.ID })]
	}
	for _, g := range c.DeleteGroups {
		f.groups = slices.DeleteFunc(f.groups, func(o *coredata.Group) bool { return o.ID == g.ID })
	}
	for _, g := range c.CreateGroups {
		g.ID, g.Members = f.id(), nil
		f.groups = append(f.groups, g)
	}
	for _, g := range c.UpdateGroups {
		group(g).Name, group(g).Description = g.Name, g.Description
	}
	for _, m := range c.Leave {
		g := group(m.Group)
		g.Members = slices.DeleteFunc(g.Members, func(id uint64) bool { return id == m.User.ID })
	}
	for _, m := range c.Join {
		g := group(m.Group)
		g.Members = append(g.Members, m.User.ID)
	}
	for _, k := range c.KombitRemove {
		f.kombit = slices.DeleteFunc(f.kombit, func(o coredata.KombitRole) bool {
			return o == coredata.KombitRole{UserID: k.User.ID, Identifier: k.Identifier, CVR: k.CVR}
		})
	}
	for _, k := range c.KombitAdd {
		f.kombit = append(f.kombit, coredata.KombitRole{UserID: k.User.ID, Identifier: k.Identifier, CVR: k.CVR})
	}
}

func (f *fakeStore) People(_ context.Context, master uint64, cpr string, each func([]rolecatalog.User) error) error {
	if f.people != nil {
		return f.people(each)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return f.err
	}
	for _, u := range f.users {
		if f.inTree(u.DomainID, master) && (cpr == "" || u.CPR == cpr) {
			if err := each([]rolecatalog.User{*u}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *fakeStore) Kombit(_ context.Context, master uint64, cpr string, each func(rolecatalog.User, []coredata.KombitRole) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return f.err
	}
	for _, u := range f.users {
		var roles []coredata.KombitRole
		for _, k := range f.kombit {
			if k.UserID == u.ID {
				roles = append(roles, k)
			}
		}
		if f.inTree(u.DomainID, master) && (cpr == "" || u.CPR == cpr) {
			if err := each(*u, roles); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *fakeStore) Groups(_ context.Context, domain uint64, cpr string, each func(coredata.Group, []string) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return f.err
	}
	for _, g := range f.groups {
		var names []string
		in := false
		for _, u := range f.users {
			if slices.Contains(g.Members, u.ID) {
				names = append(names, u.UserKey)
				in = in || u.CPR == cpr && f.inTree(u.DomainID, domain)
			}
		}
		slices.Sort(names)
		if cpr == "" && g.DomainID == domain || in {
			if err := each(*g, names); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *fakeStore) LogCall(_ context.Context, c *coredata.Call) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.calls = append(f.calls, *c)
	}
	return f.err
}

func (f *fakeStore) Calls(context.Context, string, int) ([]coredata.Call, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls), f.err
}

func (f *fakeStore) LastLoads(context.Context) (map[string]time.Time, error) { return f.loads, f.err }

func (f *fakeStore) PruneCalls(_ context.Context, before time.Time) (int, error) {
	f.pruned = before
	return 7, f.err
}

func (f *fakeStore) AddRelease(context.Context, *coredata.Release) error { return f.err }

func (f *fakeStore) Expire(context.Context, string, time.Time) (int, error) { return 0, f.err }

// state is what loads have made, in an order of its own.
func (f *fakeStore) state() []rolecatalog.User {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []rolecatalog.User
	for _, u := range f.users {
		all = append(all, *u)
	}
	slices.SortFunc(all, func(a, b rolecatalog.User) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

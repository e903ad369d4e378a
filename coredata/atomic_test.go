//go:build unix

package coredata_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rollebro/rollebro/coredata"
	"github.com/rollebro/rollebro/rolecatalog"
	"github.com/rollebro/rollebro/store"
	"github.com/rollebro/rollebro/store/storetest"
)

// people are the people from n up to m as a load has them; mail changes what they say.
func people(n, m int, mail string) string {
	var list []string
	for i := n; i < m; i++ {
		list = append(list, fmt.Sprintf(`{"uuid":"0a1b2c3d-0000-4000-8000-%012d","cpr":"0000000000","name":"Navn %d","samAccountName":"u%03d","email":"%s%d@skovby.example"}`, i, i, i, mail, i))
	}
	return strings.Join(list, ",")
}

func wholeLoad(list string) string { return `{"domain":"skovby.dk","entryList":[` + list + `]}` }

// severed is a store in which the transaction of the next load ends before it is complete.
type severed struct {
	coredata.Store
	cut context.CancelFunc
}

func (s *severed) ChangeTree(ctx context.Context, cvr string, master uint64, parts coredata.Part, decide func(*coredata.Tree) (*coredata.Changes, error)) error {
	return s.Store.ChangeTree(ctx, cvr, master, parts, func(t *coredata.Tree) (*coredata.Changes, error) {
		changes, err := decide(t)
		s.cut() // decided, not yet written
		return changes, err
	})
}

func TestLawL12AllOrNothing(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) { //nolint:thelper // a test: its own lines are to be named
		domain, err := st.CreateDomain(t.Context(), "skovby.dk", nil)
		if err != nil {
			t.Fatal(err)
		}
		service := func(st coredata.Store) *coredata.Service { return &coredata.Service{Store: st, CVR: storetest.CVR} }
		everything := func() (people []rolecatalog.User) {
			t.Helper()
			err := st.People(t.Context(), domain.ID, "", func(some []rolecatalog.User) error {
				people = append(people, some...)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			return people
		}
		if _, err := service(st).Full(t.Context(), strings.NewReader(wholeLoad(people(0, 120, "a"))), coredata.Caller{Name: "test"}); err != nil {
			t.Fatal(err)
		}
		before := everything()
		severe := func(run func(ctx context.Context, s *coredata.Service) error) error {
			ctx, cut := context.WithCancel(t.Context())
			defer cut()
			return run(ctx, service(&severed{st, cut}))
		}
		load := func(body string) func(context.Context, *coredata.Service) error {
			return func(ctx context.Context, s *coredata.Service) error {
				_, err := s.Full(ctx, strings.NewReader(body), coredata.Caller{Name: "test"})
				return err
			}
		}
		changed := wholeLoad(people(0, 130, "b"))
		for what, try := range map[string]func() error{
			"far too many locked": func() error { return load(wholeLoad(people(0, 20, "b")))(t.Context(), service(st)) },
			"the last entry is bad": func() error {
				return load(wholeLoad(people(0, 130, "b")+`,{"uuid":"short","cpr":"0000000000","name":"N","samAccountName":"zz"}`))(t.Context(), service(st))
			},
			"the body breaks off":      func() error { return load(changed[:len(changed)-40])(t.Context(), service(st)) },
			"the end comes in between": func() error { return severe(load(changed)) },
		} {
			if err := try(); err == nil {
				t.Errorf("%s: the load is taken", what)
			} else if refusal, ok := errors.AsType[*coredata.Refusal](err); ok && refusal.Status/100 != 4 {
				t.Errorf("%s: %v", what, err)
			}
			if diff := cmp.Diff(before, everything()); diff != "" {
				t.Errorf("%s has changed something (-before +after):\n%s", what, diff)
			}
		}
		if err := load(changed)(t.Context(), service(st)); err != nil {
			t.Error(err)
		}
		if after := everything(); len(after) != 130 || after[0].Email != "b0@skovby.example" {
			t.Errorf("the whole load has made %d people, the first with %q", len(after), after[0].Email)
		}
	})
}

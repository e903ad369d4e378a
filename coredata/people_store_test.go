//go:build unix

package coredata_test

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rollebro/rollebro/coredata"
	"github.com/rollebro/rollebro/rolecatalog"
	"github.com/rollebro/rollebro/store"
	"github.com/rollebro/rollebro/store/storetest"
)

// The clients' own bodies go into each database and come out again; a second time they write nothing.
func TestExamplesInTheDatabases(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) { //nolint:thelper // a test: its own lines are to be named
		parent, err := st.CreateDomain(t.Context(), "skovby.dk", nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := st.CreateDomain(t.Context(), "elev1", &parent.ID); err != nil {
			t.Fatal(err)
		}
		s := &coredata.Service{Store: st, CVR: storetest.CVR}
		load := func(call func(context.Context, io.Reader, coredata.Caller) (coredata.Outcome, error), file string, edit ...string) map[string]int {
			t.Helper()
			body, err := os.ReadFile(filepath.Join("testdata", file))
			if err != nil {
				t.Fatal(err)
			}
			out, err := call(t.Context(), strings.NewReader(strings.NewReplacer(edit...).Replace(string(body))), coredata.Caller{Name: "test"})
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			return out.Counts
		}
		all := func() {
			t.Helper()
			load(s.Full, "e1_ad_full.json")
			load(s.Full, "e2_ad_full_subdomain.json")
			load(s.GroupsFull, "e4_ad_groups_full.json")
			load(s.JFRFull, "e5_ad_jfr_full.json")
			load(s.KombitAttributesFull, "e5d_ad_misc_kombitattributes.json")
		}
		all()
		again := load(s.Full, "e1_ad_full.json", `"name":"Mette Ekstern"`, `"name":"Mette Ekstern","cpr":"x"`)
		if again[coredata.CountUnchanged] != 3 || again[coredata.CountLocked] != 1 { // the student, who is in the sub-domain
			t.Errorf("the same load again, with one number gone bad: %v", again)
		}
		again = load(s.Full, "e2_ad_full_subdomain.json")
		if again[coredata.CountReactivated] != 1 {
			t.Errorf("the student comes back: %v", again)
		}
		all()
		for file, call := range map[string]func(context.Context, io.Reader, coredata.Caller) (coredata.Outcome, error){
			"e2_ad_full_subdomain.json": s.Full, "e4_ad_groups_full.json": s.GroupsFull, "e5d_ad_misc_kombitattributes.json": s.KombitAttributesFull,
		} {
			if counts := load(call, file); counts[coredata.CountCreated]+counts[coredata.CountUpdated]+counts[coredata.CountJoined]+counts[coredata.CountLeft] > 0 {
				t.Errorf("%s again: %v", file, counts)
			}
		}
		load(s.Lock, "e3b_ad_delete.json")
		locked := 0
		err = st.People(t.Context(), parent.ID, "2305881038", func(users []rolecatalog.User) error {
			for i := range users {
				if users[i].LockedDataset && users[i].Name == "Rune Kjærsgaard" && users[i].CPR == "2305881038" {
					locked++
				}
			}
			return nil
		})
		if err != nil || locked != 1 {
			t.Errorf("RuK: %d locked, %v", locked, err)
		}
	})
}

//go:build unix

package storetest

import (
	"testing"
	"time"

	"github.com/rollebro/rollebro/rolecatalog"
	"github.com/rollebro/rollebro/store"
)

// fullCoreData has every field set.
func fullCoreData() rolecatalog.CoreData {
	return rolecatalog.CoreData{
		FromCoreData: true, Alias: "Åse «Ø»", NSISAllowed: true, TransferToNemLogin: true, PrivateMitID: true, QualifiedSignature: true,
		Robot: true, TrustedEmployee: true, ExpiresAt: at(0), PasswordChangedOn: "2026-02-28", Department: "Børn\n", EAN: "5790000000000",
		RID: "rid", ExternalUUID: "UPPER-lower", Attributes: map[string]string{"å": "\"'\\", "": ""}, KombitAttributes: map[string]string{"k": "v"},
		Roles: []string{"b", "a"}, LockedDataset: true, LockedDatasetAt: at(-time.Hour), LockedExpired: true,
	}
}

func coreDataOfUser(t *testing.T, f *fixture) { //nolint:thelper // a test: its own lines are to be named
	ctx := t.Context()
	full := f.user(t, "full", func(u *rolecatalog.User) { u.CoreData = fullCoreData() })
	broken := f.user(t, "broken", func(u *rolecatalog.User) {
		u.Attributes, u.CoreData.Roles = map[string]string{"a\xff": "b\xfe"}, []string{"c\xfd"}
		u.KombitAttributes = map[string]string{}
	})
	f.user(t, "none")
	want := map[string]rolecatalog.CoreData{
		"full": stored(fullCoreData()), "none": {},
		"broken": {Attributes: map[string]string{"a\uFFFD": "b\uFFFD"}, Roles: []string{"c\uFFFD"}},
	}
	look := func(when string) {
		t.Helper()
		users, err := f.Users(ctx, rolecatalog.UserFilter{})
		check(t, err)
		snap, err := f.Snapshot(ctx, CVR, nil, "2026-11-21")
		check(t, err)
		for where, list := range map[string][]rolecatalog.User{"listed": users, "in the snapshot": snap.Users} {
			got := map[string]rolecatalog.CoreData{}
			for _, u := range list {
				got[u.UserID] = u.CoreData
			}
			same(t, where+" "+when, got, want)
		}
	}
	look("at first")
	same(t, "handed back", full.CoreData, want["full"])
	same(t, "handed back, broken", broken.CoreData, want["broken"])

	full.CoreData, broken.CoreData = rolecatalog.CoreData{FromCoreData: true}, fullCoreData()
	f.commit(t, &rolecatalog.Changes{Users: []*rolecatalog.User{full, broken}})
	want["full"], want["broken"] = rolecatalog.CoreData{FromCoreData: true}, stored(fullCoreData())
	look("after an update")

	full.PasswordChangedOn = "28.02.2026"
	is(t, f.Commit(ctx, &rolecatalog.Changes{CVR: CVR, Users: []*rolecatalog.User{full}}), store.ErrInvalid)
}

// stored is what comes back: times have microseconds.
func stored(c rolecatalog.CoreData) rolecatalog.CoreData {
	for _, at := range []**time.Time{&c.ExpiresAt, &c.LockedDatasetAt} {
		if *at != nil {
			micros := (*at).Truncate(time.Microsecond)
			*at = &micros
		}
	}
	return c
}

package main

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/rollebro/rollebro/coredata"
	"github.com/rollebro/rollebro/rolecatalog"
)

// What time alone changes: accounts end, calls are forgotten, and a domain that is not loaded any more is told, once.
func TestUpkeep(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)
	var out, book bytes.Buffer
	settings := emptySettings(t).with(setCVR, "99000011", "RC_RETENTION_CALLS", "20")
	p := &program{environ: settings.environ(), stdout: &out, stderr: &book, log: newLogger(&book), now: func() time.Time { return now }, talkative: true}
	a, err := p.open(t.Context(), needsCatalogue)
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	s := &service{app: a}
	if _, err := a.store.CreateDomain(t.Context(), "skovby.dk", nil); err != nil {
		t.Fatal(err)
	}
	loads := coredata.Service{Store: a.store, CVR: "99000011", Now: p.now}
	body := `{"domain":"skovby.dk","entryList":[{"uuid":"5b0f2c1e-7a34-4c55-9d0e-3f1f6f0a9b01","cpr":"1403791001","name":"Bodil","samAccountName":"both","expireTimestamp":"2026-11-03"}]}`
	if _, err := loads.Full(t.Context(), strings.NewReader(body), coredata.Caller{}); err != nil {
		t.Fatal(err)
	}
	for _, days := range []int{21, 19, 7} {
		call := &coredata.Call{At: now.AddDate(0, 0, -days), Endpoint: "POST /api/coredata/full", Domain: "skovby.dk", Status: 200, Success: true}
		if err := a.store.LogCall(t.Context(), call); err != nil {
			t.Fatal(err)
		}
	}
	look := func(told []string) (locked bool, calls int, again []string) {
		t.Helper()
		s.expire(t.Context())
		again = s.prune(t.Context(), told)
		users, err := a.store.Users(t.Context(), rolecatalog.UserFilter{Key: "both"})
		if err != nil || len(users) != 1 {
			t.Fatal(users, err)
		}
		left, err := a.store.Calls(t.Context(), "", 0)
		if err != nil {
			t.Fatal(err)
		}
		return users[0].LockedExpired, len(left), again
	}
	locked, calls, told := look(nil)
	if locked || calls != 2 || len(told) != 0 {
		t.Errorf("today: locked %t, %d calls, told of %v", locked, calls, told)
	}
	now = time.Date(2026, 11, 2, 23, 0, 0, 0, time.UTC) // the third begins in Denmark
	locked, _, told = look(told)
	if !locked || len(told) != 1 || told[0] != "skovby.dk" || !strings.Contains(book.String(), silentText("skovby.dk")) {
		t.Errorf("tomorrow: locked %t, told of %v\n%s", locked, told, book.String())
	}
	book.Reset()
	if look(told); strings.Contains(book.String(), "skovby.dk") {
		t.Errorf("told again: %s", book.String())
	}
	st, err := a.status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := st.write(&out); err != nil || !strings.Contains(out.String(), "- "+silentText("skovby.dk")) || !strings.Contains(out.String(), "/full") {
		t.Errorf("the status is %v\n%s", err, out.String())
	}
	// It ends when it is asked to, and failing to is no reason to end.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.upkeep(ctx); err != nil {
		t.Error(err)
	}
}

// Without an organisation there is nothing that people could be loaded for; the description is there all the same.
func TestInterfacesWithoutOrganisation(t *testing.T) {
	t.Parallel()
	b, addr := emptySettings(t).serve(t)
	if code, _ := get(t, "http://"+addr+"/api/coredata/status?domain=x"); code != http.StatusNotFound {
		t.Errorf("/api/coredata: %d", code)
	}
	if code, body := get(t, "http://"+addr+"/openapi.yaml"); code != http.StatusOK || body != string(coredata.OpenAPI) {
		t.Errorf("/openapi.yaml: %d", code)
	}
	if code := b.stop(t); code != exitOK || !strings.Contains(b.output(), "CoreData API is not served") {
		t.Errorf("exit code %d\n%s", code, b.output())
	}
}

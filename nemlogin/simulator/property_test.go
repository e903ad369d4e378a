package simulator

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"pgregory.net/rapid"
)

// serveOne carries one call out inside the process.
func serveOne(h http.Handler, method, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer inside")
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// inside makes a simulator that is called without a network.
func inside(tb testing.TB, opts Options) (*Simulator, http.Handler) {
	tb.Helper()
	s := seeded(tb, opts)
	s.tokens.live["inside"] = time.Now().Add(time.Hour)
	h := s.Handler()
	return s, h
}

// TestRolesBehaveLikeASet compares any sequence of writes with a set of (role, scope type, scope value).
func TestRolesBehaveLikeASet(t *testing.T) {
	t.Parallel()
	s, h := inside(t, Options{Users: 3, Roles: 6})
	who := s.State().Identities[0]
	path := at(EndpointRoles, who.UUID)
	unknown := uuid.NewString()
	roles := []string{unknown}
	for _, r := range s.Roles() {
		roles = append(roles, r.UUID)
	}
	scopes := []Scope{
		{ScopeCVR, s.CVR()},
		{ScopePU, s.PNumbers()[0]},
		{ScopePU, s.PNumbers()[1]},
		{ScopeSE, s.SENumbers()[0]},
	}
	rapid.Check(t, func(t *rapid.T) {
		now, _ := s.Identity(who.UUID)
		for _, r := range now.Roles { // every example begins with nothing
			if err := s.Revoke(who.UUID, r.UUID, r.Scope.Type, r.Scope.Value); err != nil {
				t.Fatal(err)
			}
		}
		model := map[AssignedRole]bool{}
		for range rapid.IntRange(1, 12).Draw(t, "writes") {
			batch := rapid.SliceOfN(rapid.SampledFrom(roles), 1, 4).Draw(t, "roles")
			scope := rapid.SampledFrom(scopes).Draw(t, "scope")
			method := rapid.SampledFrom([]string{http.MethodPost, http.MethodDelete}).Draw(t, "method")
			want := http.StatusNoContent
			if slices.Contains(batch, unknown) {
				want = http.StatusBadRequest
			} else {
				for _, r := range batch {
					model[AssignedRole{r, scope}] = method == http.MethodPost
				}
			}
			if w := serveOne(h, method, path, write(scope.Type, scope.Value, batch...)); w.Code != want {
				t.Fatalf("%s answered %d, want %d", method, w.Code, want)
			}
			maps.DeleteFunc(model, func(_ AssignedRole, held bool) bool { return !held })
			var wire []assignedRoleWire
			if err := json.Unmarshal(serveOne(h, http.MethodGet, path, "").Body.Bytes(), &wire); err != nil {
				t.Fatal(err)
			}
			held := map[AssignedRole]bool{}
			for _, r := range wire {
				held[AssignedRole{r.UUID.String(), Scope{r.Scope.Type, r.Scope.Value}}] = true
			}
			if diff := cmp.Diff(model, held); diff != "" || len(held) != len(wire) {
				t.Fatalf("held (-model +read), %d entries:\n%s", len(wire), diff)
			}
		}
	})
}

// FuzzBodies sends anything to every call that takes a body: it is never a panic, and what is refused has no effect.
func FuzzBodies(f *testing.F) {
	s, h := inside(f, Options{Users: 2, Imported: 1, Roles: 5})
	ids := s.State().Identities
	type target struct{ method, path string }
	var targets []target
	for _, rt := range routes() {
		for _, method := range slices.Sorted(maps.Keys(rt.methods)) {
			if method != http.MethodGet && rt.endpoint != EndpointEmployee && rt.hidden == "" {
				targets = append(targets, target{method, at(rt.endpoint, ids[len(targets)%3].UUID, s.Roles()[0].UUID)})
			}
		}
	}
	f.Add(uint(0), write(ScopeCVR, s.CVR(), s.Roles()[1].UUID))
	f.Add(uint(1), createBody("anho@eksempelby"))
	f.Add(uint(2), profileBody("Anne", "Holm", "a@b.example", inventedCPR))
	f.Add(uint(3), `{"authenticatorSettingTypes":["LocalIdentityProvider"],"subjectNameId":"x"}`)
	f.Add(uint(4), `{"scope":{"TYPE":1e400}}`)
	f.Add(uint(5), `{}`)
	f.Fuzz(func(t *testing.T, n uint, body string) {
		target := targets[n%uint(len(targets))]
		before := s.State()
		w := serveOne(h, target.method, target.path, body)
		answer, err := io.ReadAll(w.Body)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case w.Code == http.StatusNoContent && len(answer) == 0:
		case w.Code == http.StatusOK && json.Valid(answer):
		case w.Code >= 400 && w.Code < 500:
			if diff := cmp.Diff(before, s.State()); diff != "" {
				t.Errorf("a refused call changed something:\n%s", diff)
			}
		default:
			t.Errorf("%s %s answered %d %.200q", target.method, target.path, w.Code, answer)
		}
	})
}

func TestEnvCanBeReadByAShell(t *testing.T) {
	t.Parallel()
	s := start(t, Options{})
	dir := filepath.Join(t.TempDir(), "it's a place")
	if err := s.WriteDir(dir); err != nil {
		t.Fatal(err)
	}
	script := `set -a; . "$0"; printf %s "$RC_INTEGRATIONS_NEMLOGIN_KEYSTORELOCATION"`
	out, err := exec.CommandContext(t.Context(), "sh", "-c", script, filepath.Join(dir, "env")).CombinedOutput()
	if want := filepath.Join(dir, "keystore.p12"); err != nil || string(out) != want {
		t.Errorf("a shell reads %q, %v", out, err)
	}
}

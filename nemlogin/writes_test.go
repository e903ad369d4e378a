package nemlogin

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// manyRoles returns n role uuids.
func manyRoles(n int) []string {
	roles := make([]string, n)
	for i := range roles {
		roles[i] = fmt.Sprintf("00000000-0000-4000-8000-%012d", i+1)
	}
	return roles
}

// writer is a service that takes writes as decide says and notes what was
// written.
type writer struct {
	*service
	mu      sync.Mutex
	written map[string]bool
	sizes   []int
}

// newWriter starts a writer. decide gives the status for the roles of a write,
// 0 for success.
func newWriter(t *testing.T, decide func(roles []string) int) *writer {
	t.Helper()
	w := &writer{written: make(map[string]bool)}
	w.service = newService(t, func(rw http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet { // the look-up of the identity
			answer(200, `{"identityProfile":{}}`)(rw, r)
			return
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		body := w.seen[len(w.seen)-1].body
		_, roles := rolesIn(t, body)
		w.sizes = append(w.sizes, len(roles))
		if status := decide(roles); status != 0 {
			rw.WriteHeader(status)
			return
		}
		for _, role := range roles {
			w.written[role] = true
		}
		rw.WriteHeader(http.StatusNoContent)
	})
	return w
}

// failedRoles lists the roles an error names.
func failedRoles(t *testing.T, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	failed, ok := errors.AsType[*WriteError](err)
	if !ok {
		t.Fatalf("%v is not a WriteError", err)
	}
	return slices.Sorted(maps.Keys(failed.Failed))
}

func TestBatches(t *testing.T) {
	t.Parallel()
	for size, want := range map[int][]int{0: {50, 50, 20}, 1: slices.Repeat([]int{1}, 120), 100: {100, 20}, 500: {120}} {
		w := newWriter(t, func([]string) int { return 0 })
		c := w.client(t, func(o *Options) { o.BatchSize = size })
		if err := c.AddRoles(t.Context(), alice, wholeCVR, manyRoles(120)); err != nil {
			t.Fatal(err)
		}
		if !cmp.Equal(w.sizes, want) || len(w.written) != 120 {
			t.Errorf("batch size %d: requests of %v roles, %d roles written", size, w.sizes, len(w.written))
		}
	}
}

func TestNoRolesNoRequest(t *testing.T) {
	t.Parallel()
	w := newWriter(t, func([]string) int { return 0 })
	if err := w.client(t).AddRoles(t.Context(), alice, wholeCVR, nil); err != nil || len(w.requests(true)) > 0 {
		t.Errorf("got %v after %d requests", err, len(w.requests(true)))
	}
}

// TestBatchesRefused wants a service that takes single roles only to be found
// out once.
func TestBatchesRefused(t *testing.T) {
	t.Parallel()
	w := newWriter(t, func(roles []string) int {
		if len(roles) > 1 {
			return http.StatusBadRequest
		}
		return 0
	})
	c := w.client(t)
	for range 2 {
		if err := c.AddRoles(t.Context(), alice, wholeCVR, manyRoles(3)); err != nil {
			t.Fatal(err)
		}
	}
	if want := []int{3, 1, 1, 1, 1, 1, 1}; !cmp.Equal(w.sizes, want) {
		t.Errorf("requests of %v roles, want %v", w.sizes, want)
	}
}

// TestOneBadRole wants the culprit found, the others written, and batches tried
// again the next time.
func TestOneBadRole(t *testing.T) {
	t.Parallel()
	for _, status := range []int{400, 403, 404, 409, 422} {
		roles := manyRoles(4)
		w := newWriter(t, func(got []string) int {
			if slices.Contains(got, roles[2]) {
				return status
			}
			return 0
		})
		c := w.client(t)
		err := c.RemoveRoles(t.Context(), alice, wholeCVR, roles)
		if got := failedRoles(t, err); !cmp.Equal(got, roles[2:3]) {
			t.Errorf("%d: the error names %v", status, got)
		}
		want := ClassRejected // 404 too, because the identity exists
		if status == 409 {
			want = ClassConflict
		}
		if ClassOf(err) != want {
			t.Errorf("%d: got %q, want %q", status, ClassOf(err), want)
		}
		if err := c.AddRoles(t.Context(), alice, wholeCVR, manyRoles(2)); err != nil {
			t.Error(err)
		}
		if want := []int{4, 1, 1, 1, 1, 2}; !cmp.Equal(w.sizes, want) || len(w.written) != 3 {
			t.Errorf("%d: requests of %v roles, want %v; %d written", status, w.sizes, want, len(w.written))
		}
	}
}

// TestConflictIsNoReasonAgainstBatches has a batch fail by a change at the same
// time.
func TestConflictIsNoReasonAgainstBatches(t *testing.T) {
	t.Parallel()
	first := true
	w := newWriter(t, func([]string) int {
		if first {
			first = false
			return http.StatusConflict
		}
		return 0
	})
	c := w.client(t)
	for range 2 {
		if err := c.AddRoles(t.Context(), alice, wholeCVR, manyRoles(2)); err != nil {
			t.Fatal(err)
		}
	}
	if want := []int{2, 1, 1, 2}; !cmp.Equal(w.sizes, want) {
		t.Errorf("requests of %v roles, want %v", w.sizes, want)
	}
}

// TestUncertainBatch wants a batch without a clear answer to be left alone, and
// the others to go on.
func TestUncertainBatch(t *testing.T) {
	t.Parallel()
	for _, status := range []int{408, 500, 502, 503, 504, 302} {
		roles := manyRoles(6)
		w := newWriter(t, func(got []string) int {
			if slices.Contains(got, roles[2]) {
				return status
			}
			return 0
		})
		err := w.client(t, func(o *Options) { o.BatchSize = 2 }).AddRoles(t.Context(), alice, wholeCVR, roles)
		if got := failedRoles(t, err); !cmp.Equal(got, roles[2:4]) {
			t.Errorf("%d: the error names %v", status, got)
		}
		if want := []int{2, 2, 2}; !cmp.Equal(w.sizes, want) {
			t.Errorf("%d: requests of %v roles, want %v", status, w.sizes, want)
		}
	}
}

// TestWriteStops wants no more requests once all would fail alike.
func TestWriteStops(t *testing.T) {
	t.Parallel()
	roles := manyRoles(6)
	small := func(o *Options) { o.BatchSize = 2 }
	t.Run("gone", func(t *testing.T) {
		t.Parallel()
		s := newService(t, answer(404, ""))
		err := s.client(t, small).AddRoles(t.Context(), alice, wholeCVR, roles)
		if got := failedRoles(t, err); ClassOf(err) != ClassNotFound || !cmp.Equal(got, roles) {
			t.Errorf("got %v", err)
		}
		if n := count(s.requests(false), http.MethodPost); n != 1 {
			t.Errorf("%d writes were sent", n)
		}
		failed, _ := errors.AsType[*WriteError](err)
		first, last := failed.Failed[roles[0]], failed.Failed[roles[5]]
		if errors.Is(first, errNotTried) || !errors.Is(last, errNotTried) {
			t.Errorf("the first failed with %v, the last with %v", first, last)
		}
		if e, ok := errors.AsType[*Error](last); !ok || e.Sent {
			t.Errorf("the one not tried is said to be sent: %+v", e)
		}
	})
	t.Run("unauthorized", func(t *testing.T) {
		t.Parallel()
		s := newService(t, nil)
		s.accept = func(string) bool { return false }
		err := s.client(t, small).RemoveRoles(t.Context(), alice, wholeCVR, roles)
		if got := failedRoles(t, err); ClassOf(err) != ClassAuth || !cmp.Equal(got, roles) {
			t.Errorf("got %v", err)
		}
		if n := count(s.requests(false), http.MethodDelete); n != 2 {
			t.Errorf("%d writes were sent, want one and its repetition", n)
		}
	})
	t.Run("gone while one by one", func(t *testing.T) {
		t.Parallel()
		writes := 0
		s := newService(t, func(w http.ResponseWriter, r *http.Request) {
			status := 404
			if r.Method == http.MethodPost {
				if writes++; writes == 1 {
					status = 400
				}
			}
			w.WriteHeader(status)
		})
		err := s.client(t).AddRoles(t.Context(), alice, wholeCVR, roles)
		if got := failedRoles(t, err); ClassOf(err) != ClassNotFound || !cmp.Equal(got, roles) || writes != 2 {
			t.Errorf("got %v after %d writes", err, writes)
		}
	})
}

func TestWriteRefusesBadInput(t *testing.T) {
	t.Parallel()
	w := newWriter(t, func([]string) int { return 0 })
	c := w.client(t)
	for _, scope := range []Scope{
		{},
		{ScopePU, ""},
		{ScopeSE, ""},
		{ScopeCvr, ""},
		{"pu", "1234567890"},
		{"Region", "1"},
		{ScopePU, "12345678"},
		{ScopeCvr, "12345678"}, // another organisation's
	} {
		err := c.AddRoles(t.Context(), alice, scope, []string{roleA, roleB})
		if got := failedRoles(t, err); ClassOf(err) != ClassRejected || !cmp.Equal(got, []string{roleA, roleB}) || !strings.Contains(err.Error(), "nothing was sent") {
			t.Errorf("%v: got %v", scope, err)
		}
	}
	if n := len(w.requests(true)); n != 0 {
		t.Fatalf("%d requests were sent", n)
	}

	// A malformed role fails alone; the others go out.
	upper := strings.ToUpper(roleB)
	err := c.AddRoles(t.Context(), alice, wholeCVR, []string{"", roleA, "x", upper, roleA, roleB})
	if got := failedRoles(t, err); ClassOf(err) != ClassRejected || !cmp.Equal(got, []string{"", "x"}) {
		t.Errorf("got %v", err)
	}
	if want := map[string]bool{roleA: true, roleB: true}; !cmp.Equal(w.written, want) || !cmp.Equal(w.sizes, []int{2}) {
		t.Errorf("written %v in requests of %v", w.written, w.sizes)
	}
}

func TestFailuresAreNamedAsSpelt(t *testing.T) {
	t.Parallel()
	w := newWriter(t, func([]string) int { return 500 })
	upper := strings.ToUpper(roleA)
	err := w.client(t).AddRoles(t.Context(), alice, wholeCVR, []string{roleA, upper})
	if got := failedRoles(t, err); !slices.Contains(got, roleA) || !slices.Contains(got, upper) {
		t.Errorf("got %v", got)
	}
}

// TestWriteErrorIsExact lets a service refuse some roles and stumble over
// others, and demands that what the error does not name was written, and that
// what it calls rejected was not.
func TestWriteErrorIsExact(t *testing.T) {
	t.Parallel()
	roles := manyRoles(12)
	rapid.Check(t, func(rt *rapid.T) {
		pick := func(name string) map[string]bool {
			set := make(map[string]bool)
			for _, i := range rapid.SliceOf(rapid.IntRange(0, len(roles)-1)).Draw(rt, name) {
				set[roles[i]] = true
			}
			return set
		}
		refused, stumble := pick("refused"), pick("stumble")
		written := make(map[string]bool)
		c := fakeClient(t, func(req *http.Request) (*http.Response, error) {
			if req.URL.Path == pathAuthenticate {
				return tokenReply(), nil
			}
			body, err := io.ReadAll(req.Body)
			if err != nil {
				return nil, err
			}
			_, batch := rolesIn(t, string(body))
			switch {
			case slices.ContainsFunc(batch, func(role string) bool { return stumble[role] }):
				return reply(503, ""), nil
			case slices.ContainsFunc(batch, func(role string) bool { return refused[role] }):
				return reply(422, ""), nil
			}
			for _, role := range batch {
				written[role] = true
			}
			return reply(204, ""), nil
		}, func(o *Options) { o.BatchSize = rapid.IntRange(1, 13).Draw(rt, "batch") })

		named := make(map[string]error)
		if failed, ok := errors.AsType[*WriteError](c.AddRoles(t.Context(), alice, wholeCVR, roles)); ok {
			named = failed.Failed
		}
		for _, role := range roles {
			switch {
			case written[role] != (named[role] == nil):
				rt.Fatalf("%s: written %v, error %v", role, written[role], named[role])
			case ClassOf(named[role]) == ClassRejected && !refused[role]:
				rt.Fatalf("%s is called rejected, and was not: %v", role, named[role])
			case len(stumble) == 0 && refused[role] != (named[role] != nil):
				rt.Fatalf("%s: refused %v, error %v", role, refused[role], named[role])
			}
		}
	})
}

package apikeys_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"
	"pgregory.net/rapid"

	"github.com/rollebro/rollebro/apikeys"
)

var (
	errBoom = errors.New("boom")
	noon    = time.Date(2026, 3, 2, 12, 20, 0, 0, time.UTC)
)

// memory is a store that finds keys as sloppily as a database may: by the first half of the hash.
type memory struct {
	mu      sync.Mutex
	keys    []apikeys.Key
	lookups int
	uses    []time.Time
	err     error
	useErr  error
	busy    bool // nothing can be written
}

func (m *memory) CreateKey(_ context.Context, k *apikeys.Key) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return m.err
	}
	k.ID = uint64(len(m.keys) + 1)
	m.keys = append(m.keys, *k)
	return nil
}

func (m *memory) Keys(context.Context) ([]apikeys.Key, error) { return m.keys, nil }

func (m *memory) KeyByHash(_ context.Context, hash []byte) (apikeys.Key, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lookups++
	if m.err != nil {
		return apikeys.Key{}, m.err
	}
	for _, k := range m.keys {
		if bytes.Equal(k.Hash[:8], hash[:8]) {
			return k, nil
		}
	}
	return apikeys.Key{}, apikeys.ErrUnknown
}

func (m *memory) RevokeKey(_ context.Context, id uint64, at time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keys[id-1].RevokedAt = &at
	return nil
}

func (m *memory) UsedKey(ctx context.Context, id uint64, at time.Time) error {
	if m.busy {
		<-ctx.Done()
		return ctx.Err()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.useErr != nil {
		return m.useErr
	}
	m.uses = append(m.uses, at)
	m.keys[id-1].LastUsedAt = &at
	return nil
}

func create(t *testing.T, m *memory, req apikeys.Request) (string, apikeys.Key) {
	t.Helper()
	req.At = noon
	key, kept, err := apikeys.Create(t.Context(), m, req)
	if err != nil {
		t.Fatal(err)
	}
	return key, kept
}

func showing(t *testing.T, header, key string) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
	if key != "" {
		r.Header.Set(header, key)
	}
	return r
}

func TestCreatedKeyIsShownOnceAndKeptAsHash(t *testing.T) {
	t.Parallel()
	m := &memory{}
	ends := noon.Add(24 * time.Hour).In(time.FixedZone("", 3600))
	key, kept := create(t, m, apikeys.Request{
		Name: " ADSync ", Role: apikeys.CoreData, Domains: []string{"skovby.dk", " SKOVBY.dk", "skole.dk"}, CreatedBy: "karen", ExpiresAt: &ends,
	})
	if !regexp.MustCompile(`^rollebro_[0-9A-Za-z]{43}$`).MatchString(key) {
		t.Errorf("the key has another form")
	}
	sum := sha256.Sum256([]byte(key))
	utc := ends.UTC()
	want := apikeys.Key{
		ID: 1, Name: "ADSync", Prefix: key[:15], Hash: sum[:], Role: apikeys.CoreData, Domains: []string{"skovby.dk", "skole.dk"},
		CreatedAt: noon, CreatedBy: "karen", ExpiresAt: &utc,
	}
	if diff := cmp.Diff(want, kept); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]apikeys.Key{want}, m.keys); diff != "" {
		t.Error("stored:", diff)
	}
	text, err := json.Marshal(kept)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), key[16:]) || strings.Contains(strings.ToLower(string(text)), `"hash"`) {
		t.Errorf("the key as people see it tells too much: %s", text)
	}
}

func TestKeysDiffer(t *testing.T) {
	t.Parallel()
	m := &memory{}
	seen := map[string]bool{}
	for range 500 {
		key, _ := create(t, m, apikeys.Request{Role: apikeys.Read})
		if seen[key] || len(key) != 52 {
			t.Fatalf("twice, or of another length: %d", len(key))
		}
		seen[key] = true
	}
}

func TestCreateRefuses(t *testing.T) {
	t.Parallel()
	past := noon
	for name, c := range map[string]struct {
		req   apikeys.Request
		store error
		want  string
	}{
		"no role":      {apikeys.Request{}, nil, `one of the roles coredata, organisation, read, admin, not ""`},
		"another role": {apikeys.Request{Role: "root"}, nil, `not "root"`},
		"expired":      {apikeys.Request{Role: apikeys.Read, ExpiresAt: &past}, nil, "must expire after"},
		"empty domain": {apikeys.Request{Role: apikeys.Read, Domains: []string{"a", " "}}, nil, "needs a name"},
		"store":        {apikeys.Request{Role: apikeys.Read}, errBoom, "storing the API key: boom"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.req.At = noon
			key, _, err := apikeys.Create(t.Context(), &memory{err: c.store}, c.req)
			if err == nil || !strings.Contains(err.Error(), c.want) || key != "" {
				t.Errorf("%q, %v; want %q", key, err, c.want)
			}
		})
	}
}

func TestAuthenticate(t *testing.T) {
	t.Parallel()
	m := &memory{}
	ends := noon.Add(time.Hour)
	good, _ := create(t, m, apikeys.Request{Role: apikeys.CoreData})
	admin, _ := create(t, m, apikeys.Request{Role: apikeys.Admin})
	reader, _ := create(t, m, apikeys.Request{Role: apikeys.Read})
	short, _ := create(t, m, apikeys.Request{Role: apikeys.CoreData, ExpiresAt: &ends})
	gone, revoked := create(t, m, apikeys.Request{Role: apikeys.CoreData})
	if err := m.RevokeKey(t.Context(), revoked.ID, noon); err != nil {
		t.Fatal(err)
	}
	// The store finds this row for another key: what the store finds is not believed.
	collision, _ := create(t, m, apikeys.Request{Role: apikeys.CoreData})
	m.keys[5].Hash = append(bytes.Clone(m.keys[5].Hash[:31]), m.keys[5].Hash[31]^1)
	other, _, err := apikeys.Create(t.Context(), &memory{}, apikeys.Request{Role: apikeys.CoreData, At: noon})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		header, key string
		at          time.Time
		id          uint64 // 0: refused
	}{
		"as documented":  {"ApiKey", good, noon, 1},
		"lower":          {"apikey", good, noon, 1},
		"upper":          {"APIKEY", good, noon, 1},
		"camel":          {"apiKey", good, noon, 1},
		"admin":          {"ApiKey", admin, noon, 2},
		"none":           {"ApiKey", "", noon, 0},
		"other header":   {"Api-Key", good, noon, 0},
		"authorization":  {"Authorization", good, noon, 0},
		"unknown":        {"ApiKey", other, noon, 0},
		"short":          {"ApiKey", good[:51], noon, 0},
		"other case":     {"ApiKey", strings.ToUpper(good), noon, 0},
		"other role":     {"ApiKey", reader, noon, 0},
		"before the end": {"ApiKey", short, ends.Add(-1), 4},
		"at the end":     {"ApiKey", short, ends, 0},
		"revoked":        {"ApiKey", gone, noon, 0},
		"collision":      {"ApiKey", collision, noon, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			guard := apikeys.Guard{Store: m, Now: func() time.Time { return c.at }}
			r := showing(t, "X", "")
			if c.key != "" {
				r.Header.Set(c.header, c.key) // canonicalised, as the server does
			}
			key, err := guard.Authenticate(r, apikeys.CoreData)
			if c.id == 0 && !errors.Is(err, apikeys.ErrUnknown) || c.id != 0 && err != nil || key.ID != c.id {
				t.Errorf("key %d, %v; want %d", key.ID, err, c.id)
			}
		})
	}
}

func TestTwoKeysAreNone(t *testing.T) {
	t.Parallel()
	m := &memory{}
	key, _ := create(t, m, apikeys.Request{Role: apikeys.CoreData})
	guard := apikeys.Guard{Store: m, Now: func() time.Time { return noon }}
	r := showing(t, "ApiKey", key)
	r.Header.Add("ApiKey", key)
	if _, err := guard.Authenticate(r, apikeys.CoreData); !errors.Is(err, apikeys.ErrUnknown) {
		t.Error(err)
	}
}

func TestRevocationWorksAtOnce(t *testing.T) {
	t.Parallel()
	m := &memory{}
	key, kept := create(t, m, apikeys.Request{Role: apikeys.CoreData})
	guard := apikeys.Guard{Store: m, Now: func() time.Time { return noon }}
	if _, err := guard.Authenticate(showing(t, "ApiKey", key), apikeys.CoreData); err != nil {
		t.Fatal(err)
	}
	if err := m.RevokeKey(t.Context(), kept.ID, noon); err != nil {
		t.Fatal(err)
	}
	if _, err := guard.Authenticate(showing(t, "ApiKey", key), apikeys.CoreData); !errors.Is(err, apikeys.ErrUnknown) {
		t.Error("the key is still taken:", err)
	}
}

func TestOwnFaultIsNotTheCallers(t *testing.T) {
	t.Parallel()
	m := &memory{}
	key, _ := create(t, m, apikeys.Request{Role: apikeys.CoreData})
	m.err = errBoom
	_, err := (&apikeys.Guard{Store: m}).Authenticate(showing(t, "ApiKey", key), apikeys.CoreData)
	if !errors.Is(err, errBoom) || errors.Is(err, apikeys.ErrUnknown) {
		t.Error(err)
	}
}

func TestNonsenseIsNotLookedUp(t *testing.T) {
	t.Parallel()
	m := &memory{}
	guard := apikeys.Guard{Store: m}
	for _, key := range []string{"x", "09fc50d5-f9f6-44e1-ba63-524c146354ad", "rollebro_", "rollebro_" + strings.Repeat("æ", 43), "rollebro_" + strings.Repeat("-", 43), strings.Repeat("a", 1<<16)} {
		if _, err := guard.Authenticate(showing(t, "ApiKey", key), apikeys.CoreData); !errors.Is(err, apikeys.ErrUnknown) {
			t.Error(err)
		}
	}
	if m.lookups != 0 {
		t.Errorf("%d look-ups", m.lookups)
	}
}

func TestLastUseIsKeptToTheHour(t *testing.T) {
	t.Parallel()
	m := &memory{}
	now := noon
	guard := apikeys.Guard{Store: m, Now: func() time.Time { return now }}
	key, _ := create(t, m, apikeys.Request{Role: apikeys.CoreData})
	for _, at := range []time.Duration{0, time.Minute, 39 * time.Minute, 40 * time.Minute, 41 * time.Minute} {
		now = noon.Add(at)
		if _, err := guard.Authenticate(showing(t, "ApiKey", key), apikeys.CoreData); err != nil {
			t.Fatal(err)
		}
	}
	want := []time.Time{noon.Truncate(time.Hour), noon.Truncate(time.Hour).Add(time.Hour)}
	if diff := cmp.Diff(want, m.uses); diff != "" {
		t.Error(diff)
	}
}

func TestNoKeyInTheLog(t *testing.T) {
	t.Parallel()
	var book bytes.Buffer
	log := logrus.New()
	log.SetOutput(&book)
	log.SetLevel(logrus.TraceLevel)
	m := &memory{useErr: errBoom}
	guard := apikeys.Guard{Store: m, Logger: log, Now: func() time.Time { return noon }}
	key, _ := create(t, m, apikeys.Request{Role: apikeys.CoreData})
	if _, err := guard.Authenticate(showing(t, "ApiKey", key), apikeys.CoreData); err != nil {
		t.Fatal("a use that cannot be kept turned the request away:", err)
	}
	if _, err := guard.Authenticate(showing(t, "ApiKey", "rollebro_"+strings.Repeat("z", 43)), apikeys.CoreData); err == nil {
		t.Fatal("a wrong key is taken")
	}
	if text := book.String(); !strings.Contains(text, "could not be kept") || strings.Contains(text, "rollebro_") {
		t.Errorf("the log says %q", text)
	}
}

func TestDomainsOfAKey(t *testing.T) {
	t.Parallel()
	all := apikeys.Key{}
	some := apikeys.Key{Domains: []string{"Skovby.dk", "ÆBLE.dk"}}
	for name, want := range map[string]bool{"skovby.dk": true, "SKOVBY.DK": true, "æble.DK": true, "skovby": false, "": false, "other.dk": false} {
		if got := some.Allows(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
		if !all.Allows(name) {
			t.Errorf("%q is not among all", name)
		}
	}
}

// A key may be changed in no place: whatever differs from it is another key.
func TestChangedKeyIsUnknown(t *testing.T) {
	t.Parallel()
	m := &memory{}
	key, _ := create(t, m, apikeys.Request{Role: apikeys.CoreData})
	guard := apikeys.Guard{Store: m, Now: func() time.Time { return noon }}
	rapid.Check(t, func(rt *rapid.T) {
		at := rapid.IntRange(0, len(key)-1).Draw(rt, "at")
		to := rapid.ByteRange('!', '~').Draw(rt, "to")
		changed := key[:at] + string(rune(to)) + key[at+1:]
		_, err := guard.Authenticate(showing(t, "ApiKey", changed), apikeys.CoreData)
		if (err == nil) != (changed == key) {
			rt.Errorf("changed at %d: %v", at, err)
		}
	})
}

// A large load may keep the database from all other writing for many seconds; requests that only read don't wait for it.
func TestUseIsNotWaitedForWhileTheDatabaseIsBusy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		t.Helper()
		m := &memory{busy: true}
		key, kept := create(t, m, apikeys.Request{Role: apikeys.CoreData})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var log bytes.Buffer
		logger := logrus.New()
		logger.SetOutput(&log)
		g := apikeys.Guard{Store: m, Logger: logger, Now: func() time.Time { return noon }}
		begin := time.Now()
		found, err := g.Authenticate(showing(t, apikeys.Header, key).WithContext(ctx), apikeys.CoreData)
		if err != nil || found.ID != kept.ID || found.LastUsedAt != nil {
			t.Errorf("%+v, %v", found, err)
		}
		if took := time.Since(begin); took > time.Second {
			t.Errorf("the request waited %v", took)
		}
		if log.Len() > 0 {
			t.Errorf("the log says %s", &log)
		}
	})
}

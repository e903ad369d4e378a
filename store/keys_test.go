//go:build unix

package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rollebro/rollebro/rolecatalog"
	"github.com/rollebro/rollebro/store"
	"github.com/rollebro/rollebro/store/storetest"
)

func reopen(t *testing.T, o store.Options) (*store.Store, error) {
	t.Helper()
	s, err := store.Open(t.Context(), o)
	if err == nil {
		t.Cleanup(func() { _ = s.Close() })
	}
	return s, err
}

func TestKeyFile(t *testing.T) {
	t.Parallel()
	const cpr = "0102031233"
	dir := t.TempDir()
	o := store.Options{URL: filepath.Join(dir, "a.db")}
	key := o.URL + ".key"
	s, err := reopen(t, o)
	must(t, err)
	info, err := os.Stat(key)
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the key file's mode is %v", info.Mode())
	}
	must(t, s.Commit(t.Context(), &rolecatalog.Changes{Users: []*rolecatalog.User{{DomainID: 1, UserID: "u", CPR: cpr}, {DomainID: 1, UserID: "v", CPR: "0102031241"}}}))
	must(t, s.Close())
	for _, file := range []string{o.URL, o.URL + "-wal", key} {
		if content, err := os.ReadFile(file); err == nil && strings.Contains(string(content), cpr) {
			t.Errorf("%s holds the CPR number in clear", file)
		}
	}
	good, err := os.ReadFile(key)
	must(t, err)

	// The key is there again: everything reads.
	s, err = reopen(t, o)
	must(t, err)
	found, err := s.UsersByCPR(t.Context(), cpr)
	must(t, err)
	if len(found) != 1 || found[0].CPR != cpr {
		t.Errorf("found %d", len(found))
	}
	// A number that was moved to another person's row can't be read there.
	must(t, s.DB().Exec("UPDATE users SET cpr_cipher = (SELECT cpr_cipher FROM users WHERE user_id = 'u') WHERE user_id = 'v'").Error)
	_, err = s.Users(t.Context(), rolecatalog.UserFilter{Key: "v", WithCPR: true})
	if err == nil || strings.Contains(err.Error(), cpr) {
		t.Errorf("a moved number: %v", err)
	}
	report, err := s.Check(t.Context())
	must(t, err)
	if report.OK() {
		t.Error("the check doesn't see the moved number")
	}

	// The key is missing, another's, or damaged.
	must(t, os.Remove(key))
	_, err = reopen(t, o)
	if !errors.Is(err, store.ErrKeyMissing) || !strings.Contains(err.Error(), key) {
		t.Errorf("without the key: %v", err)
	}
	if _, err := os.Stat(key); err == nil {
		t.Error("a new key was made over the missing one")
	}
	_, err = reopen(t, store.Options{URL: filepath.Join(dir, "b.db"), KeyFile: filepath.Join(dir, "b.key")})
	must(t, err)
	_, err = reopen(t, store.Options{URL: o.URL, KeyFile: filepath.Join(dir, "b.key")})
	if !errors.Is(err, store.ErrWrongKey) {
		t.Errorf("with another's key: %v", err)
	}
	for name, content := range map[string]string{
		"empty": "", "text": "hello", "half": string(good[:len(good)/2]), "no keys": `{"format":1}`, "other JSON": `{"a":1}`,
		"newer": strings.Replace(string(good), `"format": 1`, `"format": 2`, 1),
	} {
		must(t, os.WriteFile(key, []byte(content), 0o600))
		if _, err = reopen(t, o); err == nil || !strings.Contains(err.Error(), key) || strings.Contains(err.Error(), "\n") {
			t.Errorf("a key file that is %s: %v", name, err)
		}
	}
}

// Two replicas with different key files on one database: the second is refused before it stores anything.
func TestReplicasWithDifferentKeys(t *testing.T) {
	t.Parallel()
	dsn := "mysql:" + storetest.MariaDB(t)
	dir := t.TempDir()
	_, err := reopen(t, store.Options{URL: dsn, KeyFile: filepath.Join(dir, "a")})
	must(t, err)
	_, err = reopen(t, store.Options{URL: filepath.Join(dir, "elsewhere.db"), KeyFile: filepath.Join(dir, "b")})
	must(t, err)
	_, err = reopen(t, store.Options{URL: dsn, KeyFile: filepath.Join(dir, "b")})
	if !errors.Is(err, store.ErrWrongKey) {
		t.Errorf("the second replica: %v", err)
	}
}

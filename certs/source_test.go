package certs

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/sirupsen/logrus"

	"github.com/rollebro/rollebro/certs/certstest"
)

// issuer makes keystores that differ by their name.
type issuer struct {
	tb        testing.TB
	authority *certstest.Authority
}

func newIssuer(tb testing.TB) issuer {
	tb.Helper()
	return issuer{tb, certstest.MustAuthority(tb, certstest.AuthorityOptions{Keys: certstest.ECDSA})}
}

func (i issuer) keystore(name, password string) []byte {
	i.tb.Helper()
	leaf := certstest.MustIssue(i.tb, i.authority, certstest.LeafOptions{Name: name})
	return certstest.MustKeystore(i.tb, leaf, password, certstest.KeystoreOptions{})
}

// put replaces a file as careful programs do: by renaming another over it.
func put(tb testing.TB, path string, data []byte) {
	tb.Helper()
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		tb.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		tb.Fatal(err)
	}
}

func quiet() logrus.FieldLogger {
	l := logrus.New()
	l.SetOutput(io.Discard)
	return l
}

func password(p string) func() (string, error) { return func() (string, error) { return p, nil } }

func newSource(tb testing.TB, opts SourceOptions) *Source {
	tb.Helper()
	if opts.Logger == nil {
		opts.Logger = quiet()
	}
	s, err := NewSource(opts)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func name(k *Keystore) string { return k.Describe().Name }

func TestNewSourceFailsWithoutAKeystore(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "k.p12")
	if _, err := NewSource(SourceOptions{Path: path}); !errors.Is(err, ErrMissing) {
		t.Errorf("missing file: %v", err)
	}
	put(t, path, newIssuer(t).keystore("first", "secret"))
	if _, err := NewSource(SourceOptions{Path: path}); !errors.Is(err, ErrNoPassword) {
		t.Errorf("no password: %v", err)
	}
	gone := errors.New("no password file")
	_, err := NewSource(SourceOptions{Path: path, Password: func() (string, error) { return "", gone }})
	if !errors.Is(err, gone) || !errors.Is(err, ErrPassword) || Remedy(err) == "" {
		t.Errorf("password cannot be read: %v", err)
	}
	refused := errors.New("another organisation's")
	_, err = NewSource(SourceOptions{Path: path, Password: password("secret"), Accept: func(*Keystore) error { return refused }})
	if !errors.Is(err, refused) {
		t.Errorf("not accepted: %v", err)
	}
}

func TestReload(t *testing.T) {
	t.Parallel()
	is := newIssuer(t)
	path := filepath.Join(t.TempDir(), "k.p12")
	put(t, path, is.keystore("first", "one"))
	var log bytes.Buffer
	logger := logrus.New()
	logger.SetOutput(&log)
	secret, accept := "one", error(nil)
	s := newSource(t, SourceOptions{
		Path: path, Logger: logger,
		Password: func() (string, error) { return secret, nil },
		Accept:   func(*Keystore) error { return accept },
	})
	var seen []string
	s.OnChange(func(k *Keystore) {
		if s.Current() != k {
			t.Error("told of a keystore that is not the current one")
		}
		seen = append(seen, name(k))
	})
	reload := func(step string, wantChanged bool, wantErr error, wantName string) {
		t.Helper()
		changed, err := s.Reload()
		if changed != wantChanged || !errors.Is(err, wantErr) || name(s.Current()) != wantName {
			t.Errorf("%s: changed %v, error %v, now %s", step, changed, err, name(s.Current()))
		}
		if last := s.LastError(); last != err { //nolint:errorlint // the very same
			t.Errorf("%s: last error %v, not %v", step, last, err)
		}
	}
	reload("nothing new", false, nil, "first")

	second := is.keystore("second", "two")
	put(t, path, second)
	reload("its password is not there yet", false, ErrWrongPassword, "first")
	reload("still not", false, ErrWrongPassword, "first")
	secret = "two"
	reload("with its password", true, nil, "second")
	put(t, path, second[:100])
	reload("cut off", false, ErrTruncated, "second")
	put(t, path, second)
	reload("whole again", false, nil, "second")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	reload("gone", false, ErrMissing, "second")
	put(t, path, is.keystore("third", "two"))
	accept = errors.New("another organisation's")
	reload("not accepted", false, accept, "second")
	accept = nil
	reload("accepted", true, nil, "third")

	if got := strings.Join(seen, " "); got != "second third" {
		t.Errorf("told of %s", got)
	}
	for text, want := range map[string]int{
		"the password is wrong": 1, "is cut off": 1, "no such file": 1, "not accepted": 0, "another organisation's": 1,
		"took up a new keystore": 2, "in order again": 3, "remedy=": 3,
	} {
		if got := strings.Count(log.String(), text); got != want {
			t.Errorf("%q is in the log %d times, want %d:\n%s", text, got, want, log.String())
		}
	}
}

func TestCertificateOutsideItsValidity(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "k.p12")
	put(t, path, newIssuer(t).keystore("first", ""))
	var at time.Time
	s := newSource(t, SourceOptions{Path: path, Now: func() time.Time { return at }})
	leaf := s.Current().Leaf()
	for _, tc := range []struct {
		at   time.Time
		want error
	}{
		{leaf.NotBefore.Add(-time.Second), ErrNotYetValid}, {leaf.NotBefore, nil}, {leaf.NotAfter, nil}, {leaf.NotAfter.Add(time.Second), ErrExpired},
	} {
		at = tc.at
		c, err := s.GetClientCertificate(nil)
		if !errors.Is(err, tc.want) || (c == nil) != (tc.want != nil) {
			t.Errorf("at %v: %v", at, err)
		}
		if err != nil && (Remedy(err) == "" || !strings.Contains(err.Error(), path)) {
			t.Errorf("%v: %s", err, Remedy(err))
		}
	}
}

// run runs a source until the test ends, and returns the names of the keystores it takes up.
func run(t *testing.T, s *Source) <-chan string {
	t.Helper()
	changes := make(chan string, 10)
	s.OnChange(func(k *Keystore) { changes <- name(k) })
	done := make(chan error, 1)
	go func() { done <- s.Run(t.Context()) }()
	t.Cleanup(func() { // by now the context has ended
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return changes
}

// expect waits for a change. That nothing comes shows as the test's own time-out.
func expect(t *testing.T, changes <-chan string, want string) {
	t.Helper()
	if got := <-changes; got != want {
		t.Fatalf("took up %q, want %q", got, want)
	}
}

func TestRunSeesRenames(t *testing.T) {
	t.Parallel()
	is := newIssuer(t)
	path := filepath.Join(t.TempDir(), "k.p12")
	put(t, path, is.keystore("first", ""))
	s := newSource(t, SourceOptions{Path: path, Interval: 24 * time.Hour, Quiet: time.Millisecond})
	put(t, path, is.keystore("before it ran", ""))
	changes := run(t, s)
	expect(t, changes, "before it ran") // from here on it watches
	for _, next := range []string{"second", "third"} {
		put(t, path, is.keystore(next, ""))
		expect(t, changes, next)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	put(t, path, is.keystore("fourth", ""))
	expect(t, changes, "fourth")
	if err := os.WriteFile(path, is.keystore("written in place", ""), 0o600); err != nil {
		t.Fatal(err)
	}
	expect(t, changes, "written in place")
}

func TestRunSeesKubernetesSwaps(t *testing.T) {
	t.Parallel()
	is := newIssuer(t)
	dir := t.TempDir()
	// k.p12 -> ..data/k.p12, and ..data -> a directory per version, swapped by renaming a new link over the old.
	swap := func(version string) {
		t.Helper()
		if err := os.Mkdir(filepath.Join(dir, version), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, version, "k.p12"), is.keystore(version, ""), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(version, filepath.Join(dir, "..data_tmp")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	swap("..v1")
	path := filepath.Join(dir, "k.p12")
	if err := os.Symlink(filepath.Join("..data", "k.p12"), path); err != nil {
		t.Fatal(err)
	}
	s := newSource(t, SourceOptions{Path: path, Interval: 24 * time.Hour, Quiet: time.Millisecond})
	swap("..v2")
	changes := run(t, s)
	expect(t, changes, "..v2")
	for _, next := range []string{"..v3", "..v4"} {
		swap(next)
		expect(t, changes, next)
	}
}

func TestRunSeesChangesBehindALink(t *testing.T) {
	t.Parallel()
	is := newIssuer(t)
	target := filepath.Join(t.TempDir(), "real.p12")
	path := filepath.Join(t.TempDir(), "k.p12")
	put(t, target, is.keystore("first", ""))
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
	s := newSource(t, SourceOptions{Path: path, Interval: 24 * time.Hour, Quiet: time.Millisecond})
	put(t, target, is.keystore("second", ""))
	changes := run(t, s)
	expect(t, changes, "second")
	put(t, target, is.keystore("third", ""))
	expect(t, changes, "third")
}

func TestRunLooksAgainWhenThePasswordComes(t *testing.T) {
	t.Parallel()
	is := newIssuer(t)
	path, secret := filepath.Join(t.TempDir(), "k.p12"), filepath.Join(t.TempDir(), "password")
	put(t, path, is.keystore("first", "one"))
	put(t, secret, []byte("one"))
	s := newSource(t, SourceOptions{
		Path: path, Watch: []string{secret}, Interval: 24 * time.Hour, Quiet: time.Millisecond,
		Password: func() (string, error) {
			b, err := os.ReadFile(secret)
			return string(b), err
		},
	})
	put(t, path, is.keystore("second", "two"))
	failed := make(chan struct{}, 100)
	logger := logrus.New()
	logger.SetOutput(io.Discard)
	logger.AddHook(onError(failed))
	s.opts.Logger = logger
	changes := run(t, s)
	<-failed // it has seen the new file, and watches
	put(t, secret, []byte("two"))
	expect(t, changes, "second")
}

// onError is a hook that tells of entries of level error.
type onError chan<- struct{}

func (onError) Levels() []logrus.Level { return []logrus.Level{logrus.ErrorLevel} }

func (c onError) Fire(*logrus.Entry) error {
	c <- struct{}{}
	return nil
}

// Without any announcement, as on network file systems, the interval finds the change.
func TestRunLooksAtIntervals(t *testing.T) {
	t.Parallel()
	is := newIssuer(t)
	path := filepath.Join(t.TempDir(), "k.p12")
	first, second := is.keystore("first", ""), is.keystore("second", "")
	put(t, path, first)
	synctest.Test(t, func(t *testing.T) {
		s := newSource(t, SourceOptions{Path: path, Interval: time.Minute})
		start := time.Now()
		var after time.Duration
		s.OnChange(func(*Keystore) { after = time.Since(start) })
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
		defer cancel()
		go s.loop(ctx, nil, nil, func() {})
		synctest.Wait() // it has looked once
		put(t, path, second)
		<-ctx.Done()
		synctest.Wait()
		if after != time.Minute || name(s.Current()) != "second" {
			t.Errorf("after %v it holds %s", after, name(s.Current()))
		}
	})
}

// A hundred announcements in a row are one change.
func TestRunWaitsForTheRestOfAChange(t *testing.T) {
	t.Parallel()
	is := newIssuer(t)
	path := filepath.Join(t.TempDir(), "k.p12")
	first, second := is.keystore("first", ""), is.keystore("second", "")
	put(t, path, first)
	synctest.Test(t, func(t *testing.T) {
		looks := 0
		s := newSource(t, SourceOptions{Path: path, Interval: time.Hour, Quiet: time.Second})
		events, failures := make(chan fsnotify.Event), make(chan error)
		ctx, cancel := context.WithCancel(t.Context())
		go s.loop(ctx, events, failures, func() { looks++ })
		synctest.Wait()
		start := time.Now()
		var after time.Duration
		s.OnChange(func(*Keystore) { after = time.Since(start) })
		put(t, path, second)
		for range 100 {
			events <- fsnotify.Event{}
		}
		wait(time.Second + time.Millisecond)
		if after != time.Second || looks != 2 {
			t.Errorf("took it up after %v, having looked %d times", after, looks)
		}

		// A directory that never rests does not hide a change.
		put(t, path, first)
		start = time.Now()
		for range 5 {
			events <- fsnotify.Event{}
			wait(600 * time.Millisecond)
		}
		if after != time.Second || name(s.Current()) != "first" {
			t.Errorf("took it up after %v", after)
		}
		wait(time.Second)

		put(t, path, second)
		failures <- fsnotify.ErrEventOverflow
		wait(time.Second + time.Millisecond)
		if name(s.Current()) != "second" {
			t.Error("lost events did not make it look")
		}

		close(events) // the watcher died: the interval remains
		close(failures)
		put(t, path, first)
		wait(time.Hour)
		if name(s.Current()) != "first" {
			t.Error("without a watcher it does not look any more")
		}
		cancel()
		synctest.Wait()
	})
}

// wait lets a bubble's time pass.
func wait(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func TestRunWithoutADirectoryLooksAtIntervals(t *testing.T) {
	t.Parallel()
	is := newIssuer(t)
	dir := filepath.Join(t.TempDir(), "sub")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "k.p12")
	put(t, path, is.keystore("first", ""))
	s := newSource(t, SourceOptions{Path: path, Interval: 5 * time.Millisecond, Quiet: time.Millisecond})
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	changes := run(t, s)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	put(t, path, is.keystore("second", ""))
	expect(t, changes, "second")
}

// The whole way: a server that asks for certificates sees the new one after a swap, once idle connections are closed.
func TestNewConnectionsPresentTheNewCertificate(t *testing.T) {
	t.Parallel()
	is := newIssuer(t)
	path := filepath.Join(t.TempDir(), "k.p12")
	put(t, path, is.keystore("first", ""))
	s := newSource(t, SourceOptions{Path: path})

	certificate, err := is.authority.Server("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.TLS.PeerCertificates[0].Subject.CommonName)
	}))
	server.TLS = &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{certificate},
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: is.authority.Pool(),
	}
	server.StartTLS()
	defer server.Close()
	transport := &http.Transport{TLSClientConfig: &tls.Config{
		MinVersion: tls.VersionTLS12, RootCAs: is.authority.Pool(), GetClientCertificate: s.GetClientCertificate,
	}}
	defer transport.CloseIdleConnections()
	s.OnChange(func(*Keystore) { transport.CloseIdleConnections() })

	for _, want := range []string{"first", "second"} {
		if want == "second" {
			put(t, path, is.keystore(want, ""))
			if changed, err := s.Reload(); !changed || err != nil {
				t.Fatal(changed, err)
			}
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || string(body) != want {
			t.Errorf("the server saw %q, want %q (%v)", body, want, err)
		}
	}
}

func TestSourceIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	is := newIssuer(t)
	path := filepath.Join(t.TempDir(), "k.p12")
	versions := [][]byte{is.keystore("a", ""), is.keystore("b", "")}
	put(t, path, versions[0])
	s := newSource(t, SourceOptions{Path: path})
	var changes atomic.Int32
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 20 {
				if _, err := s.Reload(); err != nil {
					t.Error(err)
				}
				s.OnChange(func(*Keystore) { changes.Add(1) })
				if c, err := s.Certificate(); err != nil || c.Leaf == nil || s.LastError() != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range 20 {
		put(t, path, versions[(i+1)%2])
	}
	wg.Wait()
}

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rollebro/rollebro/nemlogin/simulator"
)

// result is what a command did.
type result struct {
	code     int
	out, err string
}

// settings are an environment that a test can change.
type settings map[string]string

func (s settings) environ() []string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(s)) {
		list = append(list, name+"="+s[name])
	}
	return list
}

// with returns the settings with some of them changed; "" takes one away.
func (s settings) with(pairs ...string) settings {
	changed := maps.Clone(s)
	for i := 0; i < len(pairs); i += 2 {
		changed[pairs[i]] = pairs[i+1]
	}
	return changed
}

// rollebro runs the program in this process.
func (s settings) rollebro(t *testing.T, args ...string) result {
	t.Helper()
	return s.feed(t, "", args...)
}

// feed runs it with something on standard input.
func (s settings) feed(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	// A service that should refuse to start, and doesn't, must not hang the tests.
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var stdout, stderr bytes.Buffer
	code := run(ctx, args, s.environ(), strings.NewReader(stdin), &stdout, &stderr)
	return result{code, stdout.String(), stderr.String()}
}

// must runs it and fails the test unless it ends with the code.
func (s settings) must(t *testing.T, code int, args ...string) result {
	t.Helper()
	r := s.rollebro(t, args...)
	if r.code != code {
		t.Fatalf("%s: exit code %d, want %d\n%s%s", strings.Join(args, " "), r.code, code, r.out, r.err)
	}
	return r
}

// The names of settings that tests change.
const (
	setEnabled  = "RC_INTEGRATIONS_NEMLOGIN_ENABLED"
	setKeystore = "RC_INTEGRATIONS_NEMLOGIN_KEYSTORELOCATION"
	setBaseURL  = "RC_INTEGRATIONS_NEMLOGIN_BASEURL"
	setRoots    = "RC_INTEGRATIONS_NEMLOGIN_ROOTCERTIFICATES"
	setDryRun   = "RC_INTEGRATIONS_NEMLOGIN_USERDRYRUNONLY"
	setCVR      = "RC_CUSTOMER_CVR"
	setDatabase = "SPRING_DATASOURCE_URL"
	setListen   = "RC_WEB_LISTEN"
)

// emptySettings have a database of their own and nothing else.
func emptySettings(t *testing.T) settings {
	t.Helper()
	return settings{setDatabase: "sqlite:" + filepath.Join(t.TempDir(), "rollebro.db")}
}

// world is a simulator with the settings to reach it, and a database.
type world struct {
	settings
	sim *simulator.Simulator
	dir string
}

// newWorld starts one. Writing is on: tests of the dry run switch it off.
func newWorld(t *testing.T, users int) *world {
	t.Helper()
	sim, err := simulator.New(simulator.Options{Users: users, Imported: -1, Roles: 40, Seed: 7, Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	if err := sim.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sim.Close(context.Background()); err != nil { //nolint:usetesting // the test's context has ended
			t.Error(err)
		}
	})
	w := &world{settings: emptySettings(t), sim: sim, dir: t.TempDir()}
	if err := sim.WriteDir(w.dir); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(readFile(t, w.file("env"))) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		w.settings[name] = value
	}
	w.settings[setDryRun] = "false"
	return w
}

// imported is a world whose users are loaded and imported.
func imported(t *testing.T, users int) *world {
	t.Helper()
	w := newWorld(t, users)
	w.must(t, exitOK, "users", "load", w.file("users.csv"))
	w.must(t, exitOK, "import")
	return w
}

func (w *world) file(name string) string { return filepath.Join(w.dir, name) }

// writes are the requests that could have changed something.
func (w *world) writes() (list []simulator.Request) {
	for _, r := range w.sim.Requests() {
		if r.Write() {
			list = append(list, r)
		}
	}
	return list
}

// drift gives people roles behind the bridge's back: n grants of different roles and people.
func (w *world) drift(t *testing.T, n int) {
	t.Helper()
	given := 0
	for _, role := range w.sim.Roles() {
		for _, who := range w.sim.State().Identities {
			if given == n {
				return
			}
			if who.Holds(role.UUID, simulator.ScopeCVR, w.sim.CVR()) {
				continue
			}
			if err := w.sim.Grant(who.UUID, role.UUID, simulator.ScopeCVR, w.sim.CVR()); err != nil {
				t.Fatal(err)
			}
			given++
			if given%4 == 0 { // no role gets many, so that only the sum is large
				break
			}
		}
	}
	t.Fatalf("only %d of %d grants could be given", given, n)
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func writeFile(t *testing.T, path, content string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// decode reads JSON from a command's output.
func decode[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return v
}

// background is a command that runs until it is stopped.
type background struct {
	cancel context.CancelFunc
	code   chan int
	lines  chan string

	mu  sync.Mutex
	log strings.Builder
}

// start runs a command in the background.
func (s settings) start(t *testing.T, args ...string) *background {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	read, write := io.Pipe()
	b := &background{cancel: cancel, code: make(chan int, 1), lines: make(chan string, 10_000)}
	go func() {
		b.code <- run(ctx, args, s.environ(), strings.NewReader(""), write, write)
		_ = write.Close() // a pipe's never fails
	}()
	go func() {
		defer close(b.lines)
		scanner := bufio.NewScanner(read)
		scanner.Buffer(nil, 1<<20)
		for scanner.Scan() {
			b.mu.Lock()
			b.log.WriteString(scanner.Text() + "\n")
			b.mu.Unlock()
			b.lines <- scanner.Text()
		}
	}()
	t.Cleanup(func() { b.stop(t) })
	return b
}

// await reads the output until a line has the text, and returns that line.
func (b *background) await(t *testing.T, text string) string {
	t.Helper()
	for line := range b.lines {
		if strings.Contains(line, text) {
			return line
		}
	}
	t.Fatalf("it ended without saying %q:\n%s", text, b.output())
	return ""
}

func (b *background) output() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.log.String()
}

// stop ends the command, as a signal does, and returns its exit code.
func (b *background) stop(t *testing.T) int {
	t.Helper()
	b.cancel()
	code := <-b.code
	b.code <- code // for another stop
	return code
}

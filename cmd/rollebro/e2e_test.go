package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/rollebro/rollebro/nemlogin/simulator"
	"github.com/rollebro/rollebro/store/storetest"
)

// built is the directory that the program is built in; empty while no test needs it.
var built string

// binary builds the program, once for all tests.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "rollebro-e2e-")
	if err != nil {
		return "", err
	}
	built = dir
	path := filepath.Join(dir, "rollebro")
	if out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		return "", errors.New(string(out))
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if built != "" {
		_ = os.RemoveAll(built) // a temporary directory
	}
	os.Exit(code)
}

// process is the built program at work.
type process struct {
	cmd    *exec.Cmd
	out    *bufio.Reader
	log    bytes.Buffer
	waited chan error
}

// launch starts the built program. Its standard output and error can be read line by line.
func (s settings) launch(t *testing.T, dir string, args ...string) *process {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatalf("building the program: %v", err)
	}
	p := &process{cmd: exec.CommandContext(t.Context(), path, args...), waited: make(chan error, 1)}
	p.cmd.Dir, p.cmd.Env = dir, s.environ()
	read, write := io.Pipe()
	p.cmd.Stdout, p.cmd.Stderr = write, write
	p.out = bufio.NewReader(io.TeeReader(read, &p.log))
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		err := p.cmd.Wait()
		_ = write.Close() // a pipe's never fails
		p.waited <- err
	}()
	return p
}

// await reads until a line has the text.
func (p *process) await(t *testing.T, text string) string {
	t.Helper()
	for {
		line, err := p.out.ReadString('\n')
		if strings.Contains(line, text) {
			return strings.TrimSpace(line)
		}
		if err != nil {
			t.Fatalf("it ended without saying %q:\n%s", text, p.log.String())
		}
	}
}

// drain goes on reading, so that it is never held up by its output.
func (p *process) drain() {
	go func() { _, _ = io.Copy(io.Discard, p.out) }()
}

// end sends a signal and returns the exit code.
func (p *process) end(t *testing.T, sig os.Signal) int {
	t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	if err := <-p.waited; err != nil {
		t.Logf("it ended: %v", err)
	}
	return p.cmd.ProcessState.ExitCode()
}

// do runs the built program to its end.
func (s settings) do(t *testing.T, dir string, code int, args ...string) string {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatalf("building the program: %v", err)
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Dir, cmd.Env = dir, s.environ()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatalf("%v: %v", args, exit)
	}
	if got := cmd.ProcessState.ExitCode(); got != code {
		t.Fatalf("%v: exit code %d, want %d\n%s%s", args, got, code, stdout.String(), stderr.String())
	}
	return stdout.String()
}

// Two terminals, as the README has them: the simulator in one, the service and its commands in the other.
func TestTwoTerminals(t *testing.T) {
	t.Parallel()
	for _, database := range []string{"SQLite", "MariaDB"} {
		t.Run(database, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			first := settings{"PATH": os.Getenv("PATH")}
			sim := first.launch(t, dir, "simulator", "--dir", "d", "--users", "25", "--listen", "127.0.0.1:0", "--inspect", "127.0.0.1:0")
			inspect := strings.TrimPrefix(sim.await(t, "To be looked at on "), "To be looked at on ")
			sim.await(t, "Stop with Ctrl-C.")
			sim.drain()

			second := first.with()
			for line := range strings.Lines(readFile(t, filepath.Join(dir, "d", "env"))) {
				name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
				second[name] = value
			}
			if database == "MariaDB" { // in the words of an OS2rollekatalog compose file
				url, user, password := storetest.MariaDBJDBC(t)
				second["spring.datasource.url"], second["spring.datasource.username"], second["spring.datasource.password"] = url, user, password
				second["spring.datasource.driver-class-name"] = "org.mariadb.jdbc.Driver"
			}
			second.do(t, dir, exitOK, "config", "check")
			second.do(t, dir, exitOK, "users", "load", "d/users.csv")
			second.do(t, dir, exitOK, "import")
			second.do(t, dir, exitOK, "plan", "--detailed-exitcode")

			service := second.with(setListen, "127.0.0.1:0").launch(t, dir, "serve")
			addr := decode[struct{ Listen string }](t, service.await(t, `"listen":`)).Listen
			service.drain()
			if code, body := get(t, "http://"+addr+"/manage/health"); code != http.StatusOK || !strings.Contains(body, "UP") {
				t.Errorf("/manage/health: %d %s", code, body)
			}
			second.with(setListen, addr).do(t, dir, exitOK, "healthcheck")
			if mb := residentMB(t, service.cmd.Process.Pid); mb > 60 {
				t.Errorf("the idle service takes %d MB of memory, which should be less than 60", mb)
			}

			// Somebody gives a role in MitID Erhverv's own pages; dry run shows it, and the real run takes it away.
			state := func() simulator.State {
				_, body := get(t, inspect)
				return decode[simulator.State](t, body)
			}
			before := state()
			who, role := before.Identities[0], ""
			held := make(map[string]bool)
			for _, r := range who.Roles {
				held[r.UUID] = true
			}
			for _, r := range before.Roles {
				if !held[r.UUID] {
					role = r.UUID
				}
			}
			base, _ := strings.CutSuffix(inspect, "/state")
			post(t, base+"/identities/"+who.UUID+"/roles", `{"roleUuids":["`+role+`"],"scope":{"type":"Cvr","value":"`+second[setCVR]+`"}}`)
			id := decode[struct{ ID string }](t, second.do(t, dir, exitChanges, "plan", "--detailed-exitcode", "-o", "json")).ID
			second.do(t, dir, exitOK, "apply", id)
			if now := state(); len(now.Identities[0].Roles) != len(who.Roles)+1 {
				t.Error("the dry run wrote")
			}
			wet := second.with(setDryRun, "false")
			wet.do(t, dir, exitOK, "apply", id)
			wet.do(t, dir, exitOK, "plan", "--detailed-exitcode")
			if now := state(); len(now.Identities[0].Roles) != len(who.Roles) {
				t.Errorf("%d roles, want %d", len(now.Identities[0].Roles), len(who.Roles))
			}
			wet.do(t, dir, exitOK, "db", "check")
			if code := service.end(t, syscall.SIGTERM); code != exitOK {
				t.Errorf("the service ended with %d:\n%s", code, service.log.String())
			}
			if code := sim.end(t, os.Interrupt); code != exitOK {
				t.Errorf("the simulator ended with %d", code)
			}
		})
	}
}

// residentMB is how much memory a process has in use, in MB.
func residentMB(t *testing.T, pid int) int {
	t.Helper()
	for line := range strings.Lines(readFile(t, fmt.Sprintf("/proc/%d/status", pid))) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")))
			if err != nil {
				t.Fatal(err)
			}
			return kb / 1000
		}
	}
	t.Fatal("the memory of the process is not told")
	return 0
}

// post sends JSON and fails the test unless it is taken.
func post(t *testing.T, url, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode >= http.StatusMultipleChoices {
		text, _ := io.ReadAll(resp.Body)
		t.Fatalf("POST %s: %s %s", url, resp.Status, text)
	}
}

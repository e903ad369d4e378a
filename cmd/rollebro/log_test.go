package main

import (
	"bytes"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"pgregory.net/rapid"

	"github.com/rollebro/rollebro/cmd/rollebro/config"
)

func TestMaskCPR(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"0101700000":                            maskedCPR,
		"cpr=010170-0000.":                      "cpr=" + maskedCPR + ".",
		"6101700000 has a day of 61":            maskedCPR + " has a day of 61",
		"999999-9999 is masked by its form":     maskedCPR + " is masked by its form",
		"9999999999 is no day":                  "9999999999 is no day",
		"add role in PU 1003456789":             "add role in PU 1003456789",
		"scope PU=1003456789":                   "scope PU=1003456789",
		"PU 100345-6789 is no P-number":         "PU " + maskedCPR + " is no P-number",
		"1003456789 of nobody knows what":       maskedCPR + " of nobody knows what",
		"Cvr 12345678":                          "Cvr 12345678",
		"run 10034567890 has eleven digits":     "run 10034567890 has eleven digits",
		"bbbbbbbb-0000-4000-8000-000000000001":  "bbbbbbbb-0000-4000-8000-000000000001",
		"0101700000,0201700000":                 maskedCPR + "," + maskedCPR,
		"a3f0101700000b is part of a hash":      "a3f0101700000b is part of a hash",
		"2026-11-21T18:49:28.450Z port 1018443": "2026-11-21T18:49:28.450Z port 1018443",
	} {
		if got := maskCPR(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}

// Whatever surrounds a CPR number, its digits are gone.
func TestMaskCPRAnywhere(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		around := rapid.StringMatching(`[ a-zæøå,;:"()=]{0,8}[ ,;:"(=]`)
		cpr := rapid.StringMatching(`(0[1-9]|[12]\d|3[01])(0[1-9]|1[0-2])\d\d-?\d{4}`).Draw(t, "cpr")
		before := around.Draw(t, "before")
		text := before + cpr + " " + around.Draw(t, "after")
		if got := maskCPR(text); strings.Contains(got, cpr) || !strings.HasPrefix(got, before) {
			t.Fatalf("%q became %q", text, got)
		}
	})
}

func TestLogMasksAndFormats(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := newLogger(&out)
	log.WithError(errors.New("cpr 0101700000")).WithFields(logrus.Fields{
		"text": "0101700000", "scopeValue": "1003456789", "n": 1003456789, "list": []string{"0101700000"}, "took": time.Second,
	}).Warn("for 010170-0000")
	line := decode[map[string]any](t, out.String())
	for name, want := range map[string]any{
		"error": "cpr " + maskedCPR, "text": maskedCPR, "scopeValue": "1003456789", "n": 1003456789.0, "list": "[" + maskedCPR + "]",
		"took": "1s", "msg": "for " + maskedCPR, "level": "warning",
	} {
		if line[name] != want {
			t.Errorf("%s is %v, want %v", name, line[name], want)
		}
	}

	out.Reset()
	configureLog(log, &out, config.Log{Level: "error", Format: "text"})
	log.Warn("not seen")
	log.Error("seen")
	if got := out.String(); !strings.Contains(got, "level=error") && !strings.Contains(got, "ERRO") || strings.Contains(got, "not seen") {
		t.Errorf("got %q", got)
	}
}

// What commands say of themselves they don't log, unless they are asked to.
func TestQuietCommands(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	w.must(t, exitOK, "users", "load", w.file("users.csv"))
	if r := w.must(t, exitOK, "import"); strings.Contains(r.err, `"level"`) {
		t.Errorf("import logs %q", r.err)
	}
	if r := w.with("RC_LOG_LEVEL", "info").must(t, exitOK, "import"); !strings.Contains(r.err, `"msg":"job done"`) {
		t.Errorf("import logs %q", r.err)
	}
}

func TestProgressLines(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	now := time.Unix(0, 0)
	p := &program{stderr: &out, now: func() time.Time { return now }}
	g := p.progress("Importing")
	g.update(0, 0)
	for i := 0; i <= 40; i++ {
		now = now.Add(time.Second)
		g.update(i, 40)
	}
	g.close()
	g.update(40, 40)
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 11 || lines[5] != "Importing: 20 of 40 (50 %), 21s left" || lines[10] != "Importing: 40 of 40 (100 %)" {
		t.Errorf("got %q", lines)
	}
}

func TestProgressBar(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	now := time.Unix(0, 0)
	g := &progress{w: &out, label: "Importing", terminal: true, width: 60, now: func() time.Time { return now }, began: now, tenth: -1}
	g.update(1, 4)
	g.update(2, 4) // too soon after the one before
	now = now.Add(3 * time.Second)
	g.update(3, 4)
	g.update(4, 4)
	g.close()
	g.close()
	frames := strings.Split(out.String(), "\r\x1b[K")
	if len(frames) != 5 || !strings.HasSuffix(frames[4], "4/4 100 %\n") || !strings.Contains(frames[2], "3/4  75 %, 1s left") {
		t.Fatalf("got %q", frames)
	}
	for _, f := range frames {
		if len(strings.TrimRight(f, "\n")) >= 60 {
			t.Errorf("%q is too wide", f)
		}
	}
	if !strings.Contains(frames[1], "[#########..") {
		t.Errorf("no bar in %q", frames[1])
	}
}

func TestProgressFromManyGoroutines(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := &program{stderr: &out, now: time.Now}
	g := p.progress("Reading")
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() { g.update(i+1, 50) })
	}
	wg.Wait()
	g.close()
	if !strings.HasSuffix(out.String(), "Reading: 50 of 50 (100 %)\n") {
		t.Errorf("got %q", out.String())
	}
}

func TestSimulatorCommand(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := settings{}.start(t, "simulator", "--dir", dir, "--users", "4", "--roles", "9", "--listen", "127.0.0.1:0", "--inspect", "127.0.0.1:0")
	inspect := strings.TrimPrefix(b.await(t, "To be looked at"), "To be looked at on ")
	b.await(t, "set -a; . "+dir+"/env; set +a")
	_, body := get(t, inspect)
	if state := decode[struct{ Roles, Identities []any }](t, body); len(state.Roles) != 9 || len(state.Identities) < 4 {
		t.Errorf("%d roles, %d identities", len(state.Roles), len(state.Identities))
	}
	if code := b.stop(t); code != exitOK {
		t.Errorf("exit code %d:\n%s", code, b.output())
	}
	if r := (settings{}).must(t, exitFailure, "simulator", "--faults", "nonsense"); !strings.Contains(r.err, "--list-faults") {
		t.Errorf("got %q", r.err)
	}
	if r := (settings{}).must(t, exitOK, "simulator", "--list-faults"); !strings.Contains(r.out, "garbage-200") {
		t.Errorf("got %q", r.out)
	}
}

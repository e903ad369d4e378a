package main

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rollebro/rollebro/nemlogin/simulator"
	"github.com/rollebro/rollebro/scheduler"
)

// opened puts the parts together as a command does, with a clock of the test's own.
func (s settings) opened(t *testing.T, what needs, now func() time.Time) *app {
	t.Helper()
	p := &program{environ: s.environ(), stderr: io.Discard, log: newLogger(io.Discard), now: now}
	a, err := p.open(t.Context(), what)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.close)
	return a
}

// ran stores a run as another process would have left it; Running is one that was killed.
func (a *app) ran(t *testing.T, job string, at time.Time, outcome scheduler.Outcome) {
	t.Helper()
	run := scheduler.Run{CVR: a.config.CVR, Job: job, Trigger: scheduler.TriggerSchedule, Owner: "gone/1/x", StartedAt: at, Outcome: scheduler.Running}
	if err := a.store.StartRun(t.Context(), &run); err != nil {
		t.Fatal(err)
	}
	if outcome == scheduler.Running {
		return
	}
	end := at.Add(time.Minute)
	run.Outcome, run.FinishedAt = outcome, &end
	if err := a.store.FinishRun(t.Context(), &run); err != nil {
		t.Fatal(err)
	}
}

func TestOverdue(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	const daily = "30 22 10 * * *" // in Copenhagen; two and a half hours ago
	for name, test := range map[string]struct {
		cron    string
		ago     time.Duration // 0: never
		outcome scheduler.Outcome
		want    bool
	}{
		"never":           {daily, 0, "", true},
		"killed":          {daily, time.Hour, scheduler.Running, true},
		"broken off":      {daily, time.Hour, scheduler.Interrupted, true},
		"failed":          {daily, time.Hour, scheduler.Failed, true},
		"done":            {daily, time.Hour, scheduler.OK, false},
		"done in part":    {daily, time.Hour, scheduler.Partly, false},
		"blocked":         {daily, time.Hour, scheduler.Blocked, false},
		"missed":          {daily, 20 * time.Hour, scheduler.OK, true},
		"blocked, missed": {daily, 20 * time.Hour, scheduler.Blocked, true},
		"switched off":    {"", 20 * time.Hour, scheduler.Failed, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := emptySettings(t).with(setCVR, "12345678").opened(t, needsCatalogue, func() time.Time { return now })
			a.ran(t, scheduler.JobCatalogue, now, scheduler.Failed) // another job's runs don't count
			if test.ago > 0 {
				a.ran(t, scheduler.JobReconcile, now.Add(-test.ago-time.Hour), scheduler.OK)
				a.ran(t, scheduler.JobReconcile, now.Add(-test.ago), test.outcome)
			}
			if got, err := a.overdue(t.Context(), scheduler.JobReconcile, test.cron); err != nil || got != test.want {
				t.Errorf("got %v, %v; want %v", got, err, test.want)
			}
		})
	}
}

// lastOfStart is the log line with which all that is done at the start is done.
const lastOfStart = `"job":"administrators","level":"info","msg":"job done"`

// startLines are the log lines of jobs that began because the service started.
func startLines(log, job string) (n int) {
	for line := range strings.SplitSeq(log, "\n") {
		if strings.Contains(line, `"job":"`+job+`"`) && strings.Contains(line, `"msg":"job begins"`) && strings.Contains(line, `"trigger":"start"`) {
			n++
		}
	}
	return n
}

// What a process that was killed, or was not there at the hour, has left undone is done when the service starts, and not
// once more when it starts again.
func TestServeMakesUpForWhatWasMissed(t *testing.T) {
	t.Parallel()
	w := imported(t, 5)
	w.drift(t, 1)
	a := w.opened(t, needsCatalogue, time.Now)
	a.ran(t, scheduler.JobReconcile, time.Now().Add(-10*time.Minute), scheduler.Running)
	a.ran(t, scheduler.JobCatalogue, time.Now().Add(-25*time.Hour), scheduler.OK)
	a.ran(t, scheduler.JobAdministrators, time.Now().Add(-25*time.Hour), scheduler.OK)

	b, _ := w.serve(t)
	b.await(t, lastOfStart)
	if code := b.stop(t); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	for _, job := range []string{scheduler.JobReconcile, scheduler.JobCatalogue} {
		if n := startLines(b.output(), job); n != 1 {
			t.Errorf("%s began %d times:\n%s", job, n, b.output())
		}
	}
	w.must(t, exitOK, "plan", "--detailed-exitcode") // what the killed run should have put right is right

	a.ran(t, scheduler.JobAdministrators, time.Now().Add(-25*time.Hour), scheduler.OK)
	b, _ = w.serve(t)
	b.await(t, lastOfStart)
	for _, job := range []string{scheduler.JobReconcile, scheduler.JobCatalogue} {
		if n := startLines(b.output(), job); n != 0 {
			t.Errorf("%s began again:\n%s", job, b.output())
		}
	}
}

// With the hours switched off nothing is made up for.
func TestServeWithoutHoursMakesUpForNothing(t *testing.T) {
	t.Parallel()
	w := imported(t, 1)
	w.opened(t, needsCatalogue, time.Now).ran(t, scheduler.JobReconcile, time.Now().Add(-25*time.Hour), scheduler.Running)
	b, _ := w.with("RC_SCHEDULED_ENABLED", "false").serve(t)
	if code := b.stop(t); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if strings.Contains(b.output(), "job begins") {
		t.Errorf("something ran:\n%s", b.output())
	}
}

// A run of the queue in which nothing worked for anybody has failed; with one for whom it did, it is done in part.
func TestPeopleJobThatFailsForAll(t *testing.T) {
	t.Parallel()
	w := imported(t, 5)
	now := time.Now()
	a := w.opened(t, needsMitID, func() time.Time { return now })
	if _, err := a.runner.Run(t.Context(), a.peopleJob(), scheduler.TriggerChange, nil); err != nil { // who was loaded is looked at once
		t.Fatal(err)
	}
	var rows []string
	for _, who := range w.sim.State().Identities[:2] {
		full, _ := w.sim.Identity(who.UUID)
		rows = append(rows, full.UserID+",,"+who.UUID+",1")
	}
	w.feed(t, "userId,name,nemloginUuid,disabled\n"+strings.Join(rows, "\n")+"\n", "users", "load", "-")
	refused := func(identities ...string) func(simulator.Request) simulator.Action {
		return func(r simulator.Request) simulator.Action {
			if slices.Contains(identities, r.Identity) {
				return simulator.Action{Status: http.StatusBadRequest, Body: "no"}
			}
			return simulator.Action{}
		}
	}
	one, other := w.sim.State().Identities[0].UUID, w.sim.State().Identities[1].UUID
	for _, test := range []struct {
		refused []string
		want    scheduler.Outcome
	}{{[]string{one, other}, scheduler.Failed}, {[]string{one}, scheduler.Partly}, {[]string{one}, scheduler.Failed}, {nil, scheduler.OK}} {
		now = now.Add(2 * time.Hour) // whoever failed is due again
		w.sim.OnRequest(refused(test.refused...))
		run, err := a.runner.Run(t.Context(), a.peopleJob(), scheduler.TriggerChange, nil)
		if err != nil || run.Outcome != test.want {
			t.Errorf("with %d refused: %s (%s), %v; want %s", len(test.refused), run.Outcome, run.Error, err, test.want)
		}
	}
}

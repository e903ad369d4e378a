package scheduler_test

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/rollebro/rollebro/scheduler"
)

func TestParseCron(t *testing.T) {
	t.Parallel()
	for expr, want := range map[string]string{
		"0 30 10 * * *":        "0 30 10 * * *",
		" 0 30 10 ? * MON-FRI": "0 30 10 ? * MON-FRI",
		"0 0/15 6-22 * * ?":    "0 0/15 6-22 * * ?",
		"30 10 * * *":          "0 30 10 * * *",
		"0 0 10 * * 7":         "0 0 10 * * 0",
		"0 0 10 * * 5-7":       "0 0 10 * * 5-6,0",
		"0 0 10 * * sat-sun":   "0 0 10 * * SAT-6,0",
		"0 0 10 * * MON-SUN":   "0 0 10 * * 0-6",
		"0 0 10 1 jan ?":       "0 0 10 1 JAN ?",
		"@daily":               "@daily",
		"-":                    "",
	} {
		if got, err := scheduler.ParseCron(expr); err != nil || got != want {
			t.Errorf("%q became %q, %v; want %q", expr, got, err, want)
		}
	}
	for expr, want := range map[string]string{
		"":                  "0 fields",
		"0 30 10 *":         "4 fields",
		"0 30 10 * * * *":   "7 fields",
		"0 61 10 * * *":     "61",
		"0 0 10 L * ?":      "L and W and the sign # are not supported",
		"0 0 10 15W * ?":    "L and W and the sign # are not supported",
		"0 0 10 ? * 5#2":    "L and W and the sign # are not supported",
		"0 0 10 1-7 * MON":  "leave one of them as ?",
		"0 0 10 30 2 ?":     "it never comes",
		"@every 1s":         "not supported",
		"TZ=UTC 0 10 * * *": "no time zone",
	} {
		if got, err := scheduler.ParseCron(expr); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "cron expression") {
			t.Errorf("%q became %q, %v; want an error with %q", expr, got, err, want)
		}
	}
}

func FuzzParseCron(f *testing.F) {
	f.Add("0 30 10 * * *")
	f.Add("0 0 0 ? * MON#1")
	f.Add("CRON_TZ=Mars 1 2 3 4 5")
	f.Fuzz(func(t *testing.T, expr string) {
		cron, err := scheduler.ParseCron(expr)
		if err != nil || cron == "" {
			return
		}
		again, err := scheduler.ParseCron(cron)
		if err != nil || again != cron {
			t.Errorf("%q became %q, and that %q, %v", expr, cron, again, err)
		}
	})
}

// Whatever minute is drawn, the reconcile comes after the catalogue of ten, and all within their hours.
func TestHoursOfEveryMinute(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		h := scheduler.Hours{Minute: rapid.IntRange(0, 59).Draw(t, "minute"), Second: rapid.IntRange(0, 59).Draw(t, "second")}
		all, err := h.Crons()
		if err != nil {
			t.Fatal(err)
		}
		if len(all) != 5 {
			t.Errorf("hours for %d jobs", len(all))
		}
		for job, cron := range all {
			if got, err := scheduler.ParseCron(cron); err != nil || got != cron {
				t.Errorf("%s: %q became %q, %v", job, cron, got, err)
			}
		}
		if all[scheduler.JobCatalogue] == all[scheduler.JobNumbers] {
			t.Error("catalogue and numbers share their minute")
		}
	})
	for _, h := range []scheduler.Hours{{Minute: 60}, {Minute: -1}, {Second: 60}, {FullSync: "often"}} {
		if _, err := h.Crons(); err == nil {
			t.Errorf("%+v was accepted", h)
		}
	}
}

func TestReconcileComesAfterTheCatalogueOfTen(t *testing.T) {
	t.Parallel()
	for minute, want := range map[int]string{0: "9 5 10 * * *", 54: "9 59 10 * * *", 55: "9 0 11 * * *", 59: "9 4 11 * * *"} {
		if got := crons(t, scheduler.Hours{Minute: minute, Second: 9})[scheduler.JobReconcile]; got != want {
			t.Errorf("minute %d: %q, want %q", minute, got, want)
		}
	}
	if got, ok := crons(t, scheduler.Hours{FullSync: "-"})[scheduler.JobReconcile]; got != "" || !ok {
		t.Errorf("switched off: %q, %v", got, ok)
	}
}

func TestParseQuiet(t *testing.T) {
	t.Parallel()
	got, err := scheduler.ParseQuiet(" 23:30 - 06:15 ")
	if want := (scheduler.Quiet{From: 23*time.Hour + 30*time.Minute, To: 6*time.Hour + 15*time.Minute}); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := scheduler.ParseQuiet(""); err != nil || got != (scheduler.Quiet{}) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, s := range []string{"23", "23:00", "23:00-25:00", "06:00-06:00", "a-b", "23:00-06:00-07:00"} {
		if got, err := scheduler.ParseQuiet(s); err == nil {
			t.Errorf("%q became %+v", s, got)
		}
	}
}

func TestMissed(t *testing.T) {
	t.Parallel()
	const daily = "30 22 10 * * *"
	for name, test := range map[string]struct {
		cron, last, now string
		want            bool
	}{
		"done at its hour":              {daily, "2026-03-04 10:22:31", "2026-03-05 10:22:29", false},
		"the next hour has come":        {daily, "2026-03-04 10:22:31", "2026-03-05 10:22:30", true},
		"done early by hand":            {daily, "2026-03-04 09:00:00", "2026-03-04 10:23:00", true},
		"done late":                     {daily, "2026-03-04 18:00:00", "2026-03-05 09:00:00", false},
		"with another second":           {daily, "2026-03-04 10:22:05", "2026-03-04 10:40:00", false},
		"down for days":                 {daily, "2026-03-01 10:22:31", "2026-03-04 03:00:00", true},
		"in summer, by the wall":        {daily, "2026-07-04 10:22:31", "2026-07-05 10:22:29", false},
		"three times a day":             {"0 5 3,10,14 * * *", "2026-03-04 03:05:00", "2026-03-04 10:04:00", false},
		"three times a day, one missed": {"0 5 3,10,14 * * *", "2026-03-04 03:05:00", "2026-03-04 10:06:00", true},
		"in Spring's words":             {"@daily", "2026-03-04 03:05:00", "2026-03-05 00:00:00", true},
		"switched off":                  {"", "2020-03-04 03:05:00", "2026-03-05 00:00:00", false},
	} {
		last, now := copenhagen(t, test.last).UTC(), copenhagen(t, test.now).UTC()
		if got, err := scheduler.Missed(test.cron, last, now); err != nil || got != test.want {
			t.Errorf("%s: %v, %v; want %v", name, got, err, test.want)
		}
	}
	if _, err := scheduler.Missed("nonsense", time.Now(), time.Now()); err == nil {
		t.Error("nonsense was taken for a cron expression")
	}
}

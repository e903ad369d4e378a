package scheduler

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-co-op/gocron/v2"
)

// Zone is the time zone of all hours.
const Zone = "Europe/Copenhagen"

// Hours says when the jobs run. All municipalities share MitID Erhverv, so each has a minute of its own.
type Hours struct {
	Minute   int    // 0–59, drawn once per installation
	Second   int    // 0–59, drawn at each start
	FullSync string // a cron expression for JobReconcile instead of its hour; "": none. See ParseCron
}

// Crons returns for each job that has its hours when these are, ready for Job.Cron: the catalogue three times a day and the
// numbers once, the reconcile when the day's second catalogue is in (MitID Erhverv is known for failing before ten), the
// administrators late at night, and the housekeeping right after midnight and every hour.
func (h Hours) Crons() (map[string]string, error) {
	if h.Minute < 0 || h.Minute > 59 || h.Second < 0 || h.Second > 59 {
		return nil, fmt.Errorf("minute %d and second %d must be within 0 and 59", h.Minute, h.Second)
	}
	afterCatalogue := 10*60 + h.Minute + 5
	crons := map[string]string{
		JobCatalogue:      fmt.Sprintf("%d %d 3,10,14 * * *", h.Second, h.Minute),
		JobNumbers:        fmt.Sprintf("%d %d 3 * * *", h.Second, (h.Minute+30)%60),
		JobReconcile:      fmt.Sprintf("%d %d %d * * *", h.Second, afterCatalogue%60, afterCatalogue/60),
		JobAdministrators: fmt.Sprintf("%d %d 23 * * *", h.Second, h.Minute%5),
		JobHousekeeping:   fmt.Sprintf("%d %d * * * *", h.Second, 1+h.Minute%4),
	}
	if h.FullSync != "" {
		cron, err := ParseCron(h.FullSync)
		if err != nil {
			return nil, err
		}
		crons[JobReconcile] = cron
	}
	return crons, nil
}

// ParseCron checks a cron expression as Spring has them, and returns it in the form of Job.Cron. It has six fields (second,
// minute, hour, day of the month, month, day of the week) or five (without the second), or is one of @hourly, @daily,
// @midnight, @weekly, @monthly, @yearly and @annually. Sunday is 0 or 7, "?" is "*", and "-" alone switches the job off: then
// the result is "". Spring's L, W and # are refused, and so is a day of the month together with a day of the week, which
// Spring takes as "both" and most others as "either".
func ParseCron(expr string) (string, error) {
	cron, err := parseCron(strings.TrimSpace(expr))
	if err != nil {
		return "", fmt.Errorf("cron expression %q: %w", expr, err)
	}
	return cron, nil
}

func parseCron(expr string) (string, error) {
	if expr == "-" {
		return "", nil
	}
	if strings.Contains(expr, "=") {
		return "", errors.New("it takes no time zone; all hours are those of " + Zone)
	}
	cron := strings.ToLower(expr)
	if !strings.HasPrefix(cron, "@") {
		fields := strings.Fields(strings.ToUpper(expr))
		switch len(fields) {
		case 5:
			fields = append([]string{"0"}, fields...)
		case 6:
		default:
			return "", fmt.Errorf(`%d fields; it needs six (second minute hour day month weekday), such as "0 30 10 * * *"`, len(fields))
		}
		day, weekday := fields[3], fields[5]
		if strings.ContainsAny(day, "LW") || strings.ContainsAny(weekday, "L#") {
			return "", errors.New("the letters L and W and the sign # are not supported")
		}
		if !everyDay(day) && !everyDay(weekday) {
			return "", errors.New("a day of the month together with a day of the week is not supported; leave one of them as ?")
		}
		fields[5] = sundayAsZero(weekday)
		cron = strings.Join(fields, " ")
	} else if strings.HasPrefix(cron, "@every") {
		return "", errors.New("@every is not supported")
	}
	if err := gocron.NewDefaultCron(true).IsValid(cron, time.UTC, time.Now()); err != nil {
		if errors.Is(err, gocron.ErrCronJobInvalid) {
			return "", errors.New("it never comes")
		}
		return "", errors.New(cronReason(err))
	}
	return cron, nil
}

// Missed reports whether an hour of the cron expression, in the form of Job.Cron, has come and gone since a run that began at
// last. An hour just after last is that run's own: the second of the hours is drawn anew at each start. Without hours
// (cron "") none is missed.
func Missed(cron string, last, now time.Time) (bool, error) {
	if cron == "" {
		return false, nil
	}
	loc, err := time.LoadLocation(Zone)
	if err != nil {
		return false, fmt.Errorf("loading the time zone of the hours: %w", err)
	}
	hours := gocron.NewDefaultCron(true)
	if err := hours.IsValid(cron, loc, now); err != nil {
		return false, fmt.Errorf("cron expression %q: %s", cron, cronReason(err))
	}
	next := hours.Next(last.Add(sameTick).In(loc))
	return !next.IsZero() && !next.After(now), nil
}

// wallClock writes a time as the people who read it have it on the wall.
func wallClock(t time.Time) string {
	if loc, err := time.LoadLocation(Zone); err == nil {
		t = t.In(loc)
	}
	return t.Format("2006-01-02 15:04:05 MST")
}

func everyDay(field string) bool { return field == "*" || field == "?" }

// cronReason is what the parser found wrong, without the names of the libraries it went through.
func cronReason(err error) string {
	reason := strings.TrimPrefix(err.Error(), gocron.ErrCronJobParse.Error())
	return strings.TrimSpace(reason)
}

// sundayAsZero turns Sunday as the seventh day, alone or at the end of a range, into day 0, which is the only Sunday that
// the parser knows.
func sundayAsZero(field string) string {
	parts := strings.Split(field, ",")
	for i, part := range parts {
		if part == "7" {
			parts[i] = "0"
			continue
		}
		from, to, isRange := strings.Cut(part, "-")
		if !isRange || to != "7" && to != "SUN" {
			continue
		}
		switch from {
		case "0", "1", "SUN", "MON":
			parts[i] = "0-6"
		case "7":
			parts[i] = "0"
		default:
			parts[i] = from + "-6,0"
		}
	}
	return strings.Join(parts, ",")
}

// Quiet is a time of the day, every day, in which no person is worked on. The zero value is none. It may pass midnight.
type Quiet struct {
	From, To time.Duration // since midnight by the clock on the wall, to the minute
}

// ParseQuiet reads "23:00-06:00"; "" is none.
func ParseQuiet(s string) (Quiet, error) {
	if strings.TrimSpace(s) == "" {
		return Quiet{}, nil
	}
	from, to, ok := strings.Cut(s, "-")
	start, err := time.Parse("15:04", strings.TrimSpace(from))
	end, err2 := time.Parse("15:04", strings.TrimSpace(to))
	if !ok || err != nil || err2 != nil {
		return Quiet{}, fmt.Errorf(`quiet hours %q are not of the form "23:00-06:00"`, s)
	}
	if start.Equal(end) {
		return Quiet{}, fmt.Errorf("quiet hours %q begin when they end", s)
	}
	return Quiet{From: sinceMidnight(start), To: sinceMidnight(end)}, nil
}

func sinceMidnight(t time.Time) time.Duration {
	return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute
}

// until reports whether it is quiet at t, and when it ends. t is in the zone that the hours are meant in.
func (q Quiet) until(t time.Time) (time.Time, bool) {
	clock := sinceMidnight(t)
	quiet := q.From <= clock && clock < q.To
	day := t.Day()
	if q.From > q.To {
		quiet = clock >= q.From || clock < q.To
		if clock >= q.From {
			day++
		}
	}
	if !quiet {
		return time.Time{}, false
	}
	end := time.Date(t.Year(), t.Month(), day, int(q.To.Hours()), int(q.To.Minutes())%60, 0, 0, t.Location())
	if !end.After(t) { // in the hour that comes twice in autumn
		end = t.Add(time.Minute)
	}
	return end, true
}

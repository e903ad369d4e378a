package nemlogin

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// outageLines returns the levels at which an outage is told, in order, and how
// many repetitions are told for debugging alone.
func outageLines(log string) (told []string, debug int) {
	for line := range strings.Lines(log) {
		switch {
		case strings.Contains(line, "level=debug") && !strings.Contains(line, "Repeating a request"):
		case strings.Contains(line, "level=debug"):
			debug++
		case strings.Contains(line, "level=warning") && strings.Contains(line, "Repeating a request"):
			told = append(told, "warning")
		case strings.Contains(line, "level=info") && strings.Contains(line, "answer again"):
			told = append(told, "info")
		default:
			told = append(told, line)
		}
	}
	return told, debug
}

// However many requests are repeated in an outage, it is told once when it
// begins and once when it is over.
func TestOutageIsToldOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		log, output := logger()
		c := fakeClient(t, func(req *http.Request) (*http.Response, error) {
			switch {
			case req.URL.Path == pathAuthenticate:
				return tokenReply(), nil
			case down.Load():
				return reply(503, `"ServiceUnavailable"`), nil
			}
			return reply(200, `[]`), nil
		}, func(o *Options) { o.Logger = log })
		calls := func() {
			var group sync.WaitGroup
			for range 50 {
				group.Go(func() { _, _ = c.SENumbers(t.Context()) })
			}
			group.Wait()
		}
		outages := func(n int) {
			for range n {
				down.Store(true)
				calls()
				calls() // all given up, and still the same outage
				down.Store(false)
				calls()
			}
		}
		outages(1)
		told, debug := outageLines(output.String())
		if diff := cmp.Diff([]string{"warning", "info"}, told); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		if want := 2*50*4 - 1; debug != want {
			t.Errorf("%d repetitions at debug, want %d", debug, want)
		}
		if !strings.Contains(output.String(), fmt.Sprintf("repeated=%d", 2*50*4)) {
			t.Errorf("the last line doesn't say how many were repeated:\n%s", told)
		}
		<-time.After(quietAfterWarning)
		outages(1)
		if told, _ := outageLines(output.String()); len(told) != 4 {
			t.Errorf("a second outage is told by %v", told[2:])
		}
	})
}

// A service that fails now and then doesn't fill the log, and a long outage that
// begins right after is told all the same.
func TestFlickerIsToldOncePerMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log, output := logger()
		o := &outage{log: log}
		entry := log.WithField("op", "test")
		for range 60 {
			o.repeats(true, entry)
			o.ended(true, true)
			<-time.After(time.Second - time.Nanosecond)
		}
		if told, _ := outageLines(output.String()); !cmp.Equal(told, []string{"warning", "info"}) {
			t.Errorf("a minute of flicker is told by %v", told)
		}
		o.repeats(true, entry)
		<-time.After(time.Second)
		o.repeats(false, entry)
		o.repeats(true, entry)
		o.ended(false, true) // while others wait it is not over
		o.ended(true, false)
		o.ended(true, false)
		if told, _ := outageLines(output.String()); len(told) != 3 || told[2] != "warning" {
			t.Errorf("the outage is told by %v", told[2:])
		}
		o.ended(false, true)
		if told, _ := outageLines(output.String()); len(told) != 4 || told[3] != "info" {
			t.Errorf("its end is told by %v", told[3:])
		}
	})
}

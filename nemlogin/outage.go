package nemlogin

import (
	"sync"
	"time"

	"github.com/sirupsen/logrus"
)

// quietAfterWarning is how long after a warning about repeated requests there
// is no other one, so that a service that fails now and then does not fill the
// log either.
const quietAfterWarning = time.Minute

// outage keeps the log readable while the service fails: many requests are
// repeated then, for the same reason. One warning begins it and one line ends
// it; what is between is for the debug level. It is safe for concurrent use.
type outage struct {
	log logrus.FieldLogger

	mu       sync.Mutex
	since    time.Time // of the first repetition; zero: there is no outage
	repeated int       // requests since then
	waiting  int       // calls that were repeated and have not ended
	warned   bool
	warnedAt time.Time // of this outage or the one before it
}

// repeats notes that a call is going to be repeated, for the first time or once
// more, and logs it.
func (o *outage) repeats(first bool, entry *logrus.Entry) {
	now := time.Now()
	o.mu.Lock()
	if first {
		o.waiting++
	}
	if o.since.IsZero() {
		o.since = now
	}
	o.repeated++
	warn := !o.warned && (o.warnedAt.IsZero() || now.Sub(o.warnedAt) >= quietAfterWarning)
	if warn {
		o.warned, o.warnedAt = true, now
	}
	o.mu.Unlock()
	if warn {
		entry.Warn("Repeating a request to the NemLog-in IdM services; further repetitions are logged at level debug until they answer again")
		return
	}
	entry.Debug("Repeating a request to the NemLog-in IdM services")
}

// ended notes that a call has ended, well or not. The outage is over when one
// ends well and none waits for its repetition.
func (o *outage) ended(repeated, well bool) {
	o.mu.Lock()
	if repeated {
		o.waiting--
	}
	over := well && o.waiting == 0 && !o.since.IsZero()
	tell, n, since := over && o.warned, o.repeated, o.since
	if over {
		o.since, o.repeated, o.warned = time.Time{}, 0, false
	}
	o.mu.Unlock()
	if tell {
		o.log.WithFields(logrus.Fields{"repeated": n, "after": time.Since(since).Round(time.Second).String()}).
			Info("The NemLog-in IdM services answer again")
	}
}

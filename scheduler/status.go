package scheduler

import (
	"maps"
	"slices"
	"time"
)

// JobStatus is how a job stands, as this process sees it.
type JobStatus struct {
	Job     string     `json:"job"`
	Next    *time.Time `json:"next,omitempty"`    // its next hour
	Running *Run       `json:"running,omitempty"` // as it was when it began
	Done    int        `json:"done,omitempty"`    // of Total, while it runs
	Total   int        `json:"total,omitempty"`
	Queued  bool       `json:"queued,omitempty"` // it runs when its turn comes
	// WaitingFor is the lease of the process that it waits for.
	WaitingFor *Lease     `json:"waitingFor,omitempty"`
	Last       *Run       `json:"last,omitempty"` // of this process, or what was on the record when it began
	LastOK     *time.Time `json:"lastOk,omitempty"`
	Failures   int        `json:"failures,omitempty"` // as a whole, in a row
	LastError  string     `json:"lastError,omitempty"`
	RetryAt    *time.Time `json:"retryAt,omitempty"`
}

// Status returns all jobs, in the order of their names.
func (s *Scheduler) Status() []JobStatus {
	next := s.Next()
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]JobStatus, 0, len(s.jobs))
	for _, name := range slices.Sorted(maps.Keys(s.jobs)) {
		st := s.jobs[name]
		js := JobStatus{
			Job: name, Running: st.running, Done: st.done, Total: st.total, Queued: st.pending != nil,
			WaitingFor: st.waitingFor, Last: st.last, Failures: st.failures, LastError: st.lastError,
			LastOK: known(st.lastOK), RetryAt: known(st.retryAt), Next: known(next[name]),
		}
		if st.running == nil {
			js.Done, js.Total = 0, 0
		}
		all = append(all, js)
	}
	return all
}

// Next returns the next hour of each job that has one.
func (s *Scheduler) Next() map[string]time.Time {
	s.mu.Lock()
	running := s.started && !s.stopping
	s.mu.Unlock()
	next := make(map[string]time.Time)
	if !running {
		return next
	}
	for name, st := range s.jobs {
		if at, ok := s.regular(st); ok {
			next[name] = at
		}
	}
	return next
}

// Running returns the runs under way in this process, by job, as they were when they began.
func (s *Scheduler) Running() map[string]Run {
	s.mu.Lock()
	defer s.mu.Unlock()
	running := make(map[string]Run)
	for name, st := range s.jobs {
		if st.running != nil {
			running[name] = *st.running
		}
	}
	return running
}

func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

package scheduler_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/rollebro/rollebro/scheduler"
)

var errDown = errors.New("the database is down")

// memory is a Store that several schedulers of a test share, as processes share a database.
type memory struct {
	mu     sync.Mutex
	leases map[string]scheduler.Lease
	runs   []scheduler.Run

	down     bool          // every call fails
	renewing chan struct{} // not nil: renewals wait for it, whatever their context says
}

func newMemory() *memory { return &memory{leases: make(map[string]scheduler.Lease)} }

func (m *memory) setDown(down bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down = down
}

func (m *memory) AcquireLease(
	ctx context.Context, name, owner string, now time.Time, ttl time.Duration,
) (scheduler.Lease, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.reach(ctx); err != nil {
		return scheduler.Lease{}, err
	}
	l, ok := m.leases[name]
	if ok && l.Owner != owner && now.Before(l.ExpiresAt) {
		return l, scheduler.ErrHeld
	}
	if l.Owner != owner {
		l = scheduler.Lease{Name: name, Owner: owner, Token: l.Token + 1, AcquiredAt: now}
	}
	l.ExpiresAt = now.Add(ttl)
	m.leases[name] = l
	return l, nil
}

func (m *memory) RenewLease(
	ctx context.Context, l scheduler.Lease, now time.Time, ttl time.Duration,
) (scheduler.Lease, error) {
	m.mu.Lock()
	wait := m.renewing
	m.mu.Unlock()
	if wait != nil {
		<-wait
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.reach(ctx); err != nil {
		return scheduler.Lease{}, err
	}
	stored := m.leases[l.Name]
	if stored.Owner != l.Owner || stored.Token != l.Token {
		return scheduler.Lease{}, scheduler.ErrLost
	}
	stored.ExpiresAt = now.Add(ttl)
	m.leases[l.Name] = stored
	return stored, nil
}

func (m *memory) ReleaseLease(ctx context.Context, l scheduler.Lease) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.reach(ctx); err != nil {
		return err
	}
	if stored := m.leases[l.Name]; stored.Owner == l.Owner && stored.Token == l.Token {
		stored.ExpiresAt = time.Time{}
		stored.Owner = ""
		m.leases[l.Name] = stored
	}
	return nil
}

func (m *memory) CurrentLease(ctx context.Context, name string) (scheduler.Lease, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l, ok := m.leases[name]
	return l, ok, m.reach(ctx)
}

func (m *memory) StartRun(ctx context.Context, r *scheduler.Run) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.reach(ctx); err != nil {
		return err
	}
	r.ID = uint64(len(m.runs) + 1)
	m.runs = append(m.runs, *r)
	return nil
}

func (m *memory) FinishRun(ctx context.Context, r *scheduler.Run) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.reach(ctx); err != nil {
		return err
	}
	stored := *r
	stored.Counts = maps.Clone(r.Counts)
	m.runs[r.ID-1] = stored
	return nil
}

func (m *memory) Runs(ctx context.Context, cvr, job string, limit int) ([]scheduler.Run, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var found []scheduler.Run
	for _, r := range slices.Backward(m.runs) {
		if r.CVR == cvr && (job == "" || r.Job == job) && len(found) < limit {
			found = append(found, r)
		}
	}
	return found, m.reach(ctx)
}

func (m *memory) LastRun(
	ctx context.Context, cvr, job string, outcomes ...scheduler.Outcome,
) (scheduler.Run, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range slices.Backward(m.runs) {
		if r.CVR == cvr && r.Job == job && r.FinishedAt != nil && (len(outcomes) == 0 || slices.Contains(outcomes, r.Outcome)) {
			return r, true, m.reach(ctx)
		}
	}
	return scheduler.Run{}, false, m.reach(ctx)
}

func (m *memory) InterruptRuns(ctx context.Context, cvr string, except uint64, now time.Time) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.reach(ctx); err != nil {
		return 0, err
	}
	alive := make(map[string]bool)
	for _, l := range m.leases {
		alive[l.Owner] = alive[l.Owner] || now.Before(l.ExpiresAt)
	}
	n := 0
	for i, r := range m.runs {
		if r.CVR == cvr && r.ID != except && r.Outcome == scheduler.Running && !alive[r.Owner] {
			m.runs[i].Outcome, m.runs[i].FinishedAt = scheduler.Interrupted, &now
			n++
		}
	}
	return n, nil
}

// reach is the network. The caller holds mu.
func (m *memory) reach(ctx context.Context) error {
	if m.down {
		return errDown
	}
	return ctx.Err()
}

// all returns the runs in the order in which they began.
func (m *memory) all() []scheduler.Run {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.runs)
}

// of returns the runs of a job in the order in which they began.
func (m *memory) of(job string) []scheduler.Run {
	return slices.DeleteFunc(m.all(), func(r scheduler.Run) bool { return r.Job != job })
}

package scheduler

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
)

// DefaultTTL is how long a lease lasts without being renewed. It is renewed three times in that time.
const DefaultTTL = 60 * time.Second

// releaseTimeout bounds what a process that ends spends on giving its lease back. Not given back, it runs out by itself.
const releaseTimeout = 5 * time.Second

// The leases. A process has one of each name at most, and may have both.
const (
	// LeaseWriter is the right to change something at MitID Erhverv, and to import from it.
	LeaseWriter = "writer"
	// LeaseReader is the right to bring lists in: the catalogue and the numbers. It is apart from LeaseWriter so that a
	// long reconcile doesn't hold the catalogue up.
	LeaseReader = "reader"
)

// HeldError says who holds the lease that was asked for. It is an ErrHeld.
type HeldError struct{ Lease Lease }

// Error names the holder and until when it holds the lease if it is not heard of again.
func (e *HeldError) Error() string {
	return fmt.Sprintf("%v: %s has held %q since %s, until %s unless it renews it", ErrHeld, e.Lease.Owner, e.Lease.Name,
		wallClock(e.Lease.AcquiredAt), wallClock(e.Lease.ExpiresAt))
}

// Unwrap makes it an ErrHeld.
func (*HeldError) Unwrap() error { return ErrHeld }

// NewOwner names this process among all that share a database: host, process id and a random part, as process ids are
// the same in every container. It is at most 100 bytes long.
func NewOwner() string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "unknown"
	}
	if len(host) > 64 {
		host = host[:64]
	}
	var random [6]byte
	_, _ = rand.Read(random[:]) // never fails
	return host + "/" + strconv.Itoa(os.Getpid()) + "/" + hex.EncodeToString(random[:])
}

// LeaseStore is what holding a lease needs of the Store.
type LeaseStore interface {
	AcquireLease(ctx context.Context, name, owner string, now time.Time, ttl time.Duration) (Lease, error)
	RenewLease(ctx context.Context, l Lease, now time.Time, ttl time.Duration) (Lease, error)
	ReleaseLease(ctx context.Context, l Lease) error
}

// LeaseOptions says which lease to hold, and how.
type LeaseOptions struct {
	Store  LeaseStore
	Name   string             // default LeaseWriter
	Owner  string             // of NewOwner, the same for the life of the process
	TTL    time.Duration      // default DefaultTTL
	Now    func() time.Time   // default time.Now. The clocks of all hosts on one database must agree within a quarter of TTL
	Logger logrus.FieldLogger // default: silent
}

func (o *LeaseOptions) setDefaults() {
	if o.Name == "" {
		o.Name = LeaseWriter
	}
	if o.TTL <= 0 {
		o.TTL = DefaultTTL
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = silent()
	}
}

// Hold is a lease in hand: renewed in the background until Release.
type Hold struct {
	opts    LeaseOptions
	cancel  context.CancelCauseFunc
	stop    chan struct{}
	stopped chan struct{}
	once    sync.Once

	mu    sync.Mutex
	lease Lease
	good  time.Time // when the request began that last acquired or renewed the lease
}

// Acquire takes the lease and keeps renewing it until Release, also after ctx has ended, because what was begun under
// the lease may still be ending. The context it returns ends when ctx does, and with the cause ErrLost when the lease was
// taken over or could not be renewed: then a quarter of the TTL is left before another process may take it, in which
// whoever writes must come to a halt. The error is a *HeldError when another process holds the lease.
func Acquire(ctx context.Context, opts LeaseOptions) (context.Context, *Hold, error) {
	opts.setDefaults()
	began := opts.Now()
	lease, err := opts.Store.AcquireLease(ctx, opts.Name, opts.Owner, began, opts.TTL)
	if errors.Is(err, ErrHeld) {
		if lease.Name == "" {
			lease.Name = opts.Name
		}
		return nil, nil, &HeldError{Lease: lease}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("acquiring the lease %q: %w", opts.Name, err)
	}
	held, cancel := context.WithCancelCause(ctx)
	h := &Hold{
		opts: opts, cancel: cancel, lease: lease, good: began,
		stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	go h.keep(context.WithoutCancel(ctx))
	return held, h, nil
}

// Lease returns the lease as it was last acquired or renewed.
func (h *Hold) Lease() Lease {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.lease
}

// Release ends the context of Acquire and gives the lease back, so that another process may have it at once. It may be
// called more than once. A lease that cannot be given back runs out by itself.
func (h *Hold) Release(ctx context.Context) {
	h.once.Do(func() {
		close(h.stop)
		<-h.stopped
		h.cancel(nil)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
		defer cancel()
		if err := h.opts.Store.ReleaseLease(ctx, h.Lease()); err != nil {
			h.opts.Logger.WithError(err).WithField("lease", h.opts.Name).Warn("the lease could not be given back; it runs out by itself")
		}
	})
	<-h.stopped
}

// spent reports whether the time is over in which the lease is certainly ours. Both clocks count: the steady one doesn't
// run while a machine sleeps, and the other may be set.
func (h *Hold) spent(now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	usable := h.opts.TTL - h.opts.TTL/4
	return now.Sub(h.good) >= usable || now.Round(0).Sub(h.good.Round(0)) >= usable
}

// keep renews the lease every third of its TTL, when that fails more often, and gives up early. The renewal runs beside
// it: a database that doesn't answer must not keep it from giving up.
func (h *Hold) keep(ctx context.Context) {
	defer close(h.stopped)
	ticker := time.NewTicker(max(h.opts.TTL/60, time.Millisecond))
	defer ticker.Stop()
	renewCtx, cancelRenewal := context.WithCancel(ctx)
	defer cancelRenewal()
	log := h.opts.Logger.WithField("lease", h.opts.Name)

	next := h.opts.Now().Add(h.opts.TTL / 3)
	results := make(chan renewal, 1)
	renewing := false
	for {
		select {
		case <-h.stop:
			cancelRenewal()
			if renewing {
				<-results
			}
			return
		case r := <-results:
			err := r.err
			renewing = false
			switch {
			case err == nil:
				next = h.opts.Now().Add(h.opts.TTL / 3)
			case errors.Is(err, ErrLost):
				log.WithError(err).Error("another process has taken the lease; what was under way is stopped")
				h.cancel(ErrLost)
				<-h.stop
				return
			default:
				log.WithError(err).Warn("the lease could not be renewed; trying again")
				next = h.opts.Now().Add(h.opts.TTL / 12)
			}
		case <-ticker.C:
			now := h.opts.Now()
			if h.spent(now) {
				log.Error("the lease was not renewed in time; what was under way is stopped")
				h.cancel(ErrLost)
				cancelRenewal()
				if renewing {
					<-results
				}
				<-h.stop
				return
			}
			if !renewing && !now.Before(next) {
				renewing = true
				go func() { results <- renewal{h.renew(renewCtx)} }()
			}
		}
	}
}

// renewal is how a renewal went.
type renewal struct{ err error }

// renew asks the store once. The lease counts from before the request was sent, as nobody knows when it was met.
func (h *Hold) renew(ctx context.Context) error {
	began := h.opts.Now()
	ctx, cancel := context.WithTimeout(ctx, h.opts.TTL/2)
	defer cancel()
	lease, err := h.opts.Store.RenewLease(ctx, h.Lease(), began, h.opts.TTL)
	if err != nil {
		return fmt.Errorf("renewing the lease %q: %w", h.opts.Name, err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lease, h.good = lease, began
	return nil
}

// WithLease runs fn while it holds the lease. The context of fn ends with the cause ErrLost when the lease is lost; an
// error that fn returns then is an ErrLost too. The error is a *HeldError, and fn was not called, when another process
// holds the lease.
func WithLease(ctx context.Context, opts LeaseOptions, fn func(ctx context.Context, l Lease) error) error {
	held, hold, err := Acquire(ctx, opts)
	if err != nil {
		return err
	}
	defer hold.Release(ctx)
	if err := fn(held, hold.Lease()); err != nil {
		if lost(held) && !errors.Is(err, ErrLost) {
			return fmt.Errorf("%w: %w", ErrLost, err)
		}
		return err
	}
	return nil
}

// lost reports whether ctx ended because the lease was lost.
func lost(ctx context.Context) bool { return errors.Is(context.Cause(ctx), ErrLost) }

// Package rolecatalog knows who should have which role in MitID Erhverv, and why, and makes it so: it keeps the catalogue
// of system roles, imports what identities hold when they are met first, works out the effective grants, and carries the
// difference over.
package rolecatalog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/rollebro/rollebro/nemlogin"
	"github.com/rollebro/rollebro/rolecatalog/plan"
)

// Errors that a caller acts on.
var (
	ErrStale       = errors.New("the plan is stale")         // what it would do is not what a fresh plan would do
	ErrBlocked     = errors.New("blocked by a guard")        // needs approval
	ErrQuarantined = errors.New("the bridge is quarantined") // writes nothing until a plan is approved or a clean one comes
	ErrUnknownPlan = errors.New("no such plan")
	ErrUnreachable = errors.New("MitID Erhverv doesn't answer") // so many readings failed that the run was broken off
)

// Client is what the bridge needs of MitID Erhverv. *nemlogin.Client is one.
type Client interface {
	Roles(ctx context.Context) ([]nemlogin.Role, error)
	AssignedRoles(ctx context.Context, identity string) ([]nemlogin.AssignedRole, error)
	AddRoles(ctx context.Context, identity string, scope nemlogin.Scope, roles []string) error
	RemoveRoles(ctx context.Context, identity string, scope nemlogin.Scope, roles []string) error
	SENumbers(ctx context.Context) ([]nemlogin.SENumber, error)
	ProductionUnits(ctx context.Context) ([]nemlogin.ProductionUnit, error)
	Employee(ctx context.Context, identity string) (nemlogin.Employee, error)
	Authenticate(ctx context.Context) error
}

// LateUsers says what happens to a user whose NemLogin UUID comes after the first import.
type LateUsers string

// The policies for late users.
const (
	LateAdopt     LateUsers = "adopt"     // what he holds is imported, as at the first import
	LateOverwrite LateUsers = "overwrite" // what he holds and the catalogue doesn't give him is removed
)

// AdministratorRole names one of the read-only roles that mirror MitID Erhverv's administrators.
type AdministratorRole struct{ Identifier, Name, Description string }

// Options configures a Bridge.
type Options struct {
	CVR    string // 8 digits
	Store  Store
	Client Client
	Logger logrus.FieldLogger
	Now    func() time.Time // default time.Now
	// DryRun: everything is read, imported, planned and stored, and nothing is written to MitID Erhverv.
	DryRun          bool
	Limits          plan.Limits
	ProtectedUsers  []string       // user ids whose grants the machine never removes
	LastHolderRoles *regexp.Regexp // names of roles whose last holder is never removed
	LateUsers       LateUsers
	// KeepRolesOfLocked leaves a user who is locked or has expired, but not deleted, with his roles.
	KeepRolesOfLocked  bool
	AdministratorRoles []AdministratorRole
	Concurrency        int // how many people are worked on at a time; default twice the client's 8 requests in flight
	// Backoff is how long to wait before each further look at a write that doesn't show yet; nil: 200 ms, 1 s, 3 s.
	Backoff  []time.Duration
	Observer Observer
	// Retention says how long finished plans and runs are kept.
	Retention Retention
}

// Observer is told what happens, for metrics. Any of its functions may be nil.
type Observer struct {
	Write func(verb, outcome string, n int)
	Guard func(guard string)
}

// Selection says whom a plan is for.
type Selection struct {
	Users []uint64 // row ids; nil: everybody
	Label string   // for people, e.g. "user ab12"; default "all"
}

// Progress is called as work goes on; total may grow.
type Progress func(done, total int)

// PersonFailure is what went wrong for one person.
type PersonFailure struct {
	User     string `json:"user"`
	Identity string `json:"identity"`
	Error    string `json:"error"`
}

// Bridge keeps the roles of one organisation in MitID Erhverv equal to what the catalogue says. Its methods may be called
// from several goroutines; those that can write to MitID Erhverv (Import, Reconcile, Apply, ProcessWork) are for the
// holder of the writer lease only.
type Bridge struct {
	o     Options
	store Store
	cvr   string
	log   logrus.FieldLogger
	wake  chan struct{}
}

// New returns a bridge. It makes no request and reads nothing yet.
func New(o Options) (*Bridge, error) {
	if err := ValidateScope(plan.Cvr, o.CVR); err != nil {
		return nil, fmt.Errorf("checking the CVR number of the organisation: %w", err)
	}
	if o.Store == nil {
		return nil, errors.New("a bridge needs a store")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Limits == (plan.Limits{}) {
		o.Limits = plan.DefaultLimits()
	}
	if o.Retention.Plans <= 0 {
		o.Retention.Plans = 2 * 365 * 24 * time.Hour
	}
	if o.Retention.Runs <= 0 {
		o.Retention.Runs = 2 * 365 * 24 * time.Hour
	}
	if o.LateUsers == "" {
		o.LateUsers = LateAdopt
	}
	if o.Concurrency <= 0 {
		o.Concurrency = 16
	}
	if o.Logger == nil {
		quiet := logrus.New()
		quiet.SetOutput(io.Discard)
		o.Logger = quiet
	}
	if o.Backoff == nil {
		o.Backoff = []time.Duration{200 * time.Millisecond, time.Second, 3 * time.Second}
	}
	return &Bridge{o: o, store: o.Store, cvr: o.CVR, log: o.Logger, wake: make(chan struct{}, 1)}, nil
}

// CVR is the organisation's number.
func (b *Bridge) CVR() string { return b.cvr }

// DryRun reports whether the bridge only reads from MitID Erhverv.
func (b *Bridge) DryRun() bool { return b.o.DryRun }

// now is the present time, in UTC and as precise as the database keeps it.
func (b *Bridge) now() time.Time { return b.o.Now().UTC().Truncate(time.Microsecond) }

// today is the day in Denmark.
func (b *Bridge) today() string { return Day(b.o.Now()) }

// Copenhagen is the time zone that days and hours are meant in.
var Copenhagen = sync.OnceValue(func() *time.Location {
	l, err := time.LoadLocation("Europe/Copenhagen")
	if err != nil {
		panic("the program lacks time zone data: " + err.Error()) // cmd/rollebro embeds it
	}
	return l
})

// Day is the Danish calendar day of a time, "2006-01-02".
func Day(t time.Time) string { return t.In(Copenhagen()).Format(time.DateOnly) }

// WorkAdded gives a signal when this process has put somebody on the work list.
func (b *Bridge) WorkAdded() <-chan struct{} { return b.wake }

// Wake says that somebody outside has put people on the work list.
func (b *Bridge) Wake() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// NextWork tells when the next person on the work list is due.
func (b *Bridge) NextWork(ctx context.Context) (time.Time, bool, error) {
	return b.store.NextWork(ctx, b.cvr)
}

// commit writes changes, and wakes the queue when somebody was put on it.
func (b *Bridge) commit(ctx context.Context, c *Changes) error {
	c.CVR = b.cvr
	c.Fence, _ = ctx.Value(fenceKey{}).(*Fence)
	at := b.now()
	for i := range c.Audit {
		c.Audit[i].CVR = b.cvr
		if c.Audit[i].At.IsZero() {
			c.Audit[i].At = at
		}
	}
	if err := b.store.Commit(ctx, c); err != nil {
		return err
	}
	if len(c.Mark) > 0 {
		b.Wake()
	}
	return nil
}

// mark makes the entries that put users on the work list, due now.
func (b *Bridge) mark(users []uint64, reason string) []Work {
	at := b.now()
	work := make([]Work, len(users))
	for i, u := range users {
		work[i] = Work{CVR: b.cvr, UserID: u, Reason: reason, NextTryAt: at, CreatedAt: at}
	}
	return work
}

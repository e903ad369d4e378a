package rolecatalog

import (
	"context"
	"errors"
	"time"
)

// Errors of a Store.
var (
	ErrNotFound  = errors.New("not found")
	ErrDuplicate = errors.New("exists already")
	ErrFenced    = errors.New("another process has taken over the writing")
)

// Store is the memory that the catalogue needs. Package store implements it on SQLite and MariaDB/MySQL.
//
// Every method is one transaction. Reading methods return copies. All of them return the context's error when it ends, and
// change nothing then. CPR numbers are only filled in where UserFilter.WithCPR asks for them.
type Store interface {
	// State returns what is remembered of an organisation, and creates it (with its Minute drawn) at the first call.
	State(ctx context.Context, cvr string) (State, error)

	// Commit writes everything in c in one transaction, or nothing. See Changes.
	Commit(ctx context.Context, c *Changes) error

	// Snapshot reads, consistently, all that the effective roles of some users follow from; users nil: of everybody.
	// today ("2006-01-02") leaves out assignments that stopped more than 30 days ago.
	Snapshot(ctx context.Context, cvr string, users []uint64, today string) (*Snapshot, error)

	SystemRoles(ctx context.Context, cvr string) ([]SystemRole, error)
	ScopeNumbers(ctx context.Context, cvr string) ([]ScopeNumber, error)
	// JobFunctionRoles returns all of them with their rules and the number of users they are assigned to.
	JobFunctionRoles(ctx context.Context, cvr string) ([]JobFunctionRole, error)
	ITSystem(ctx context.Context, identifier string) (ITSystem, error)

	Domains(ctx context.Context) ([]Domain, error)
	CreateDomain(ctx context.Context, name string, parent *uint64) (Domain, error)

	// Users returns the users that match, ordered by domain and user id.
	Users(ctx context.Context, f UserFilter) ([]User, error)
	// UserAssignments returns a user's assignments, those that have ended too, newest first.
	UserAssignments(ctx context.Context, cvr string, userID uint64) ([]Assignment, error)
	// Observed returns the observed grants of some identities, as last read; identities nil: of all.
	Observed(ctx context.Context, cvr string, identities []string) ([]ObservedGrant, error)
	// ObservedTotals counts the observed grants of roles in the catalogue (not withdrawn, known scope type, own CVR), in
	// all and by role.
	ObservedTotals(ctx context.Context, cvr string) (total int, byRole map[string]int, err error)
	Identities(ctx context.Context, cvr string) ([]Identity, error)

	// SavePlan stores a plan, or brings the stored one with the same id up to date; an approval on it stays.
	SavePlan(ctx context.Context, p *PlanRecord) error
	Plan(ctx context.Context, cvr, id string) (PlanRecord, error) // id may be an unambiguous prefix of at least 6 characters
	Plans(ctx context.Context, cvr string, limit int) ([]PlanRecord, error)
	// ApprovalFor returns the plan with this effect that is approved and whose release hasn't been used, or ErrNotFound.
	ApprovalFor(ctx context.Context, cvr, effect string) (PlanRecord, error)

	Attempts(ctx context.Context, cvr string) ([]Attempt, error)

	// DueWork returns the work whose time has come, oldest first.
	DueWork(ctx context.Context, cvr string, now time.Time, limit int) ([]Work, error)
	// NextWork returns when the next work is due; ok is false when there is none.
	NextWork(ctx context.Context, cvr string) (at time.Time, ok bool, err error)
	// WorkBacklog counts all work, and the part of it that has failed before.
	WorkBacklog(ctx context.Context, cvr string) (all, failing int, err error)
	// Work returns the backlog itself, longest failing first.
	Work(ctx context.Context, cvr string, limit int) ([]Work, error)

	// RemovalsSince counts the grants removed since a time, in all and by role: AuditRemove events with OutcomeIntended less those
	// with OutcomeFailed, so that a removal whose process was killed before it could tell how it went counts too. What a plan
	// removed whose approval it used doesn't count: a person has decided that, not the machine.
	RemovalsSince(ctx context.Context, cvr string, since time.Time) (total int, byRole map[string]int, err error)
	Audit(ctx context.Context, f AuditFilter) ([]AuditEvent, error)
	// OpenIntents returns the writes (AuditAdd, AuditRemove) announced since a time of which nobody knows what became: the last
	// event of each is OutcomeIntended or OutcomeUnknown. Oldest first.
	OpenIntents(ctx context.Context, cvr string, since time.Time) ([]AuditEvent, error)
	// VerifyAudit walks the whole trail and returns how many events it checked, or the first break of the chain.
	VerifyAudit(ctx context.Context) (int, error)

	// UsersWithDates returns the users with an assignment that starts on a day after from and up to and including to, or that
	// stopped on a day from from (included) up to, and not including, to: those whose grants the change of day from -> to changes.
	UsersWithDates(ctx context.Context, cvr, from, to string) ([]uint64, error)
	// Holders returns the users with a present assignment of any of these job function roles.
	Holders(ctx context.Context, cvr string, roles []uint64) ([]uint64, error)
	// Prune deletes what is older than its retention, without touching what is in use; it returns how many rows went.
	Prune(ctx context.Context, cvr string, plansBefore, runsBefore time.Time) (int, error)
}

// Changes is what one step changes. Entries with a zero ID are created and get their ID; the others are updated whole.
// Parents may be new in the same Changes: an Assignment points at its Role by pointer.
type Changes struct {
	CVR string
	// Fence, when set, must still be the present token of the named lease, checked in the same transaction; ErrFenced else. A
	// process that was paused until its lease had expired can so change nothing any more.
	Fence *Fence
	State func(*State) // changes the state, read in the same transaction; nil: unchanged

	Users []*User // with CPR set: it is encrypted and indexed; CPR "" on an existing user leaves the stored one
	// KeepCoreData leaves the CoreData fields of Users that are there already as they are stored: whoever reads users, changes
	// something else and writes them back must not undo the lock that a load has set meanwhile.
	KeepCoreData     bool
	SystemRoles      []*SystemRole
	JobFunctionRoles []*JobFunctionRole // created with their Rules; a new one whose Identifier exists takes over that row's ID
	Assignments      []*Assignment      // created with their Values; Values are never changed later
	ScopeNumbers     []*ScopeNumber

	Identities []Identity    // created or replaced, by (CVR, UUID)
	Observed   []ObservedSet // each replaces what was stored of its identity

	Attempts        []Attempt // created or replaced, by key
	ClearedAttempts []Attempt // deleted, by key
	// Mark puts users on the work list (or brings their time forward, and raises their Version).
	Mark []Work
	// Finished deletes work whose Version is still the same; Retried stores Attempts, NextTryAt, LastError, FirstFailedAt
	// of work whose Version is still the same (a later mark wins).
	Finished []Work
	Retried  []Work

	Audit []AuditEvent // appended last, in order
}

// ObservedSet is everything one identity holds.
type ObservedSet struct {
	CVR, Identity string
	Grants        []ObservedGrant
}

// Snapshot is a consistent picture of the catalogue.
type Snapshot struct {
	State       State
	Users       []User     // those asked for, and every other user that has a NemLogin UUID which one of them has or was linked to
	Identities  []Identity // of the NemLogin UUIDs that those asked for have or were linked to
	SystemRoles []SystemRole
	Roles       []JobFunctionRole // with Rules, not the retired ones unless assigned
	Assignments []Assignment      // with Values, EndedAt not set
	Attempts    []Attempt
}

// UserFilter narrows a list of users; zero values don't.
type UserFilter struct {
	IDs      []uint64
	DomainID uint64
	// Search matches user id, name, e-mail or NemLogin UUID: a part of it, ignoring case.
	Search string
	// Key matches exactly one of: user id (any case), uuid, extUuid, NemLogin UUID.
	Key            string
	NemLoginUUIDs  []string
	WithNemLogin   bool // only those with a NemLogin UUID
	IncludeDeleted bool
	Limit, Offset  int
	WithCPR        bool // fill in CPR
}

// AuditFilter narrows a list of audit events, newest first; zero values don't.
type AuditFilter struct {
	CVR, Identity, User, Plan string
	Actions                   []string
	Since                     time.Time
	BeforeID                  uint64
	Limit                     int
}

// Fence names a lease and the token it was held with.
type Fence struct {
	Name  string
	Token uint64
}

type fenceKey struct{}

// WithFence makes everything that is committed under ctx conditional on the lease still being held.
func WithFence(ctx context.Context, f Fence) context.Context {
	return context.WithValue(ctx, fenceKey{}, &f)
}

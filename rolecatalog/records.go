package rolecatalog

import "time"

// State is what the bridge of one organisation remembers between runs.
type State struct {
	CVR string `gorm:"primaryKey" json:"cvr"`
	// Generation counts the accepted refreshes of the catalogue that brought new roles; the first one makes it 1.
	Generation     int64      `json:"generation"`
	CatalogueAt    *time.Time `json:"catalogueAt,omitempty"`    // last accepted refresh
	CatalogueCount int        `json:"catalogueCount"`           // roles in it
	CatalogueError string     `json:"catalogueError,omitempty"` // why the last answer was not accepted; empty: it was
	// AcceptShrink lets the next refresh through though the catalogue has shrunk, when it lacks what CatalogueError says: a person
	// has approved that.
	AcceptShrink     bool       `json:"-"`
	NumbersAt        *time.Time `json:"numbersAt,omitempty"`
	NumbersError     string     `json:"numbersError,omitempty"`
	AdministratorsAt *time.Time `json:"administratorsAt,omitempty"`
	FirstImportAt    *time.Time `json:"firstImportAt,omitempty"` // when the first import had gone through everybody
	ReconciledAt     *time.Time `json:"reconciledAt,omitempty"`  // last full reconcile that ended without failures

	// DatesThrough is the day up to which assignments that start or stop have been handed to the work list, "2006-01-02".
	DatesThrough string `json:"datesThrough,omitempty"`

	// Quarantine: the bridge reads and plans, and writes nothing.
	QuarantineSince  *time.Time `json:"quarantineSince,omitempty"`
	QuarantineReason string     `json:"quarantineReason,omitempty"`
	QuarantinePlan   string     `json:"quarantinePlan,omitempty"` // id of the plan that caused it

	// Minute is this installation's own minute of the hour for scheduled jobs, drawn once: many municipalities share the target.
	Minute  int   `json:"minute"`
	Version int64 `json:"-"` // for optimistic locking
}

// PlanStatus is where a stored plan stands.
type PlanStatus string

// The statuses of a plan.
const (
	PlanComputed PlanStatus = "computed" // can be applied
	PlanBlocked  PlanStatus = "blocked"  // a guard refuses
	PlanApproved PlanStatus = "approved" // blocked, then released by a person
	PlanApplied  PlanStatus = "applied"
	PlanPartly   PlanStatus = "partly" // applied with failures
	PlanStale    PlanStatus = "stale"  // the world had moved when it was to be applied
)

// PlanRecord is a stored plan: its figures for lists, and the document.
type PlanRecord struct {
	CVR         string     `gorm:"primaryKey" json:"cvr"`
	ID          string     `gorm:"primaryKey" json:"id"`
	Effect      string     `json:"effect"`
	Selection   string     `json:"selection"`
	Status      PlanStatus `json:"status"`
	DryRun      bool       `json:"dryRun"`
	Adds        int        `json:"adds"`
	Removes     int        `json:"removes"`
	Keeps       int        `json:"keeps"`
	Skips       int        `json:"skips"`
	CreatedAt   time.Time  `json:"createdAt"` // when it was computed last
	ApprovedAt  *time.Time `json:"approvedAt,omitempty"`
	ApprovedBy  string     `json:"approvedBy,omitempty"`
	ApproveWhy  string     `json:"approvedReason,omitempty"`
	ReleaseUsed bool       `json:"releaseUsed"` // an approval holds for one apply
	AppliedAt   *time.Time `json:"appliedAt,omitempty"`
	Document    []byte     `json:"-"` // the plan, as plan.Encode writes it
}

// Attempt remembers a write that failed, so that it is tried again at its time and not before.
type Attempt struct {
	CVR           string    `gorm:"primaryKey" json:"cvr"`
	Verb          string    `gorm:"primaryKey" json:"verb"` // add or remove
	Identity      string    `gorm:"primaryKey" json:"identity"`
	Role          string    `gorm:"primaryKey" json:"role"`
	ScopeType     string    `gorm:"primaryKey" json:"scopeType"`
	ScopeValue    string    `gorm:"primaryKey" json:"scopeValue"`
	Attempts      int       `json:"attempts"`
	FirstFailedAt time.Time `json:"firstFailedAt"`
	NextTryAt     time.Time `json:"nextTryAt"`
	Class         string    `json:"class"` // the error's class, as the client names it
	Error         string    `json:"error"`
}

// Work is one person who must be looked at: changed here, or failed at the last try. There is one row per user.
type Work struct {
	CVR    string `gorm:"primaryKey" json:"cvr"`
	UserID uint64 `gorm:"primaryKey" json:"userId"`
	// Of, when set in Changes.Mark, names the user instead of UserID; he may be new in the same Changes.
	Of            *User      `gorm:"-" json:"-"`
	Reason        string     `json:"reason"`
	Version       int64      `json:"-"` // grows at each new mark, so that finishing doesn't lose a later one
	Attempts      int        `json:"attempts"`
	FirstFailedAt *time.Time `json:"firstFailedAt,omitempty"`
	NextTryAt     time.Time  `json:"nextTryAt"`
	LastError     string     `json:"lastError,omitempty"`
	CreatedAt     time.Time  `json:"createdAt"`
}

// AuditEvent is one row of the append-only audit trail. The store gives ID, PrevHash and Hash: each row's hash covers its
// content and the hash before it. No CPR number is ever in it.
type AuditEvent struct {
	ID         uint64    `gorm:"primaryKey;autoIncrement:false" json:"id"`
	CVR        string    `json:"cvr"`
	At         time.Time `json:"at"`
	Actor      string    `json:"actor"`
	Action     string    `json:"action"`             // one of the Audit… constants
	Identity   string    `json:"identity,omitempty"` // NemLogin UUID
	User       string    `json:"user,omitempty"`     // user id
	Role       string    `json:"role,omitempty"`
	ScopeType  string    `json:"scopeType,omitempty"`
	ScopeValue string    `json:"scopeValue,omitempty"`
	Reason     string    `json:"reason,omitempty"`
	Plan       string    `json:"plan,omitempty"`
	Run        uint64    `json:"run,omitempty"`
	Outcome    string    `json:"outcome,omitempty"` // one of the Outcome… constants
	Detail     string    `json:"detail,omitempty"`
	PrevHash   string    `json:"prevHash"`
	Hash       string    `json:"hash"`
}

// What the audit trail records.
const (
	AuditAdd           = "grant.add"    // a grant is written to MitID Erhverv; Outcome tells how it went
	AuditRemove        = "grant.remove" // a grant is removed there
	AuditAdopt         = "identity.adopt"
	AuditPlanBlocked   = "plan.blocked"
	AuditPlanApproved  = "plan.approved"
	AuditPlanRefused   = "plan.refused" // stale, or in quarantine
	AuditPlanApplied   = "plan.applied"
	AuditQuarantineIn  = "quarantine.enter"
	AuditQuarantineOut = "quarantine.leave"
	AuditCatalogue     = "catalogue.change"
	AuditCatalogueNo   = "catalogue.refused"
	AuditUser          = "user.change"
	AuditAssign        = "assignment.create"
	AuditUnassign      = "assignment.end"
	AuditRole          = "role.change"
	AuditConflict      = "identity.conflict"
	AuditAPIKey        = "apikey.change"
	AuditDomain        = "domain.change"
)

// Outcomes of a write in the audit trail.
const (
	OutcomeIntended = "intended" // about to be sent
	OutcomeDone     = "done"     // sent, and seen when read back
	OutcomeFailed   = "failed"   // not seen when read back
	OutcomeUnknown  = "unknown"  // sent, and reading back failed
)

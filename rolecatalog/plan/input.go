package plan

// Desired is the catalogue's side: every identity that it has an opinion on.
type Desired struct {
	Subjects []Subject
}

// Subject is one identity as the catalogue sees it.
type Subject struct {
	Identity string // NemLogin UUID, lower case
	User     string // user id, for people
	Name     string
	Grants   []DesiredGrant
	// Hold keeps everything of this identity as it is (Conflict, NotAdopted); empty: none. An identity that is held and
	// therefore was not read should be observed as NotWanted, or else it counts as a failed read.
	Hold Reason
	// Unadopted are roles that came into the catalogue after this identity was imported: an observed grant of one that
	// is not desired is skipped as NotAdopted, never removed.
	Unadopted map[string]bool
	// NoValue are roles for which an assignment lacks its scope value: no grant of them is added or removed.
	NoValue map[string]bool
	// RemoveReason is the reason of this subject's removals where it is the user and not the assignment that ended:
	// UserDisabled, UserDeleted, Abandoned; empty: NotAssigned (or Ended, for a grant listed in EndedGrants).
	RemoveReason Reason
	EndedGrants  map[Grant]bool
	Protected    bool
}

// DesiredGrant is a grant the catalogue wants, and where it comes from.
type DesiredGrant struct {
	Grant
	Because []string
}

// ReadState tells how the reading of an identity went.
type ReadState string

// The read states.
const (
	Read      ReadState = "read"       // Grants is everything the identity holds
	Failed    ReadState = "failed"     // unknown what it holds
	IsGone    ReadState = "gone"       // MitID Erhverv doesn't know the identity
	NotWanted ReadState = "not_wanted" // not asked for (e.g. retired)
)

// Observation is what MitID Erhverv answered for one identity.
type Observation struct {
	State  ReadState // anything but the four states counts as Failed, so that a zero value never means "holds nothing"
	Error  string    // for Failed, without secrets
	Grants []ObservedGrant
}

// ObservedGrant is a grant that an identity holds. Its scope type may be one that is not known here.
type ObservedGrant struct {
	Grant
	RoleName string
}

// Observed is MitID Erhverv's side, by identity. A subject without an entry counts as Failed.
type Observed map[string]Observation

// Role is a system role as the plan needs it.
type Role struct {
	Name      string
	Withdrawn bool // has left the catalogue
}

// Catalogue is the set of managed system roles, by uuid.
type Catalogue struct {
	Roles map[string]Role
	// Before is how many roles (not withdrawn) the catalogue had at the last accepted refresh before this one; 0: unknown.
	Before int
}

// Attempt is what is remembered of a failed write.
type Attempt struct {
	Error       string
	NeedsPerson bool // has failed for so long that it is not tried by itself any more
}

// AttemptKey names the write that an Attempt is about.
type AttemptKey struct {
	Verb     Verb
	Identity string
	Grant    Grant
}

// Limits are the guards' thresholds. A removal guard blocks above max(Count, Percent of the whole), where the share is
// rounded down to whole grants: "more than 10 % of 259" is 26 or more. The zero value refuses every removal.
type Limits struct {
	RemovalsCount, RemovalsPercent         int // defaults 25 and 10
	RoleRemovalsCount, RoleRemovalsPercent int // defaults 10 and 50
	CatalogueShrinkPercent                 int // default 20
}

// DefaultLimits are the limits in force when nothing else is set.
func DefaultLimits() Limits {
	return Limits{RemovalsCount: 25, RemovalsPercent: 10, RoleRemovalsCount: 10, RoleRemovalsPercent: 50, CatalogueShrinkPercent: 20}
}

// Baseline is what a plan for a few people must know of the whole organisation, so that shares are of the whole. Zero
// values mean that the plan itself covers everything.
type Baseline struct {
	// Managed counts the grants observed in the organisation that the machine may touch: of adopted users, with a role that
	// is in the catalogue and not withdrawn, a known scope type, and this organisation's CVR number where the scope is Cvr.
	Managed int
	// Holders counts by role the grants observed in the organisation, whoever holds them; a role that is not in the map is
	// counted in the plan itself.
	Holders map[string]int
	// Removals24h counts the removals carried out in the 24 hours before this plan; of those, RoleRemovals24h by role.
	Removals24h     int
	RoleRemovals24h map[string]int
}

// All is the Selection of a plan for the whole organisation. Only such a plan can tell that the desired side is empty.
const All = "all"

// Options are everything but the two sides.
type Options struct {
	CVR       string // 8 digits
	Selection string // All, or who was looked at
	Catalogue Catalogue
	Limits    Limits
	Baseline  Baseline
	// Waiting are writes that failed and are not due again yet.
	Waiting map[AttemptKey]Attempt
	// AdministratorLike reports whether a role is one whose last holder the machine never removes; nil: none is.
	AdministratorLike func(uuid string, r Role) bool
}

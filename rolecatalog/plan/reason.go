package plan

// Reason says why a change is what it is. The list is closed.
type Reason string

// The reason of add and keep.
const (
	Assigned Reason = "assigned" // an assignment in the catalogue gives it
)

// Reasons of remove.
const (
	NotAssigned  Reason = "not_assigned"  // no assignment gives it
	Ended        Reason = "ended"         // the assignment that gave it has ended
	UserDisabled Reason = "user_disabled" // the user is disabled or locked
	UserDeleted  Reason = "user_deleted"  // the user is deleted
	Abandoned    Reason = "abandoned"     // no user has this NemLogin UUID any longer
)

// Reasons of skip.
const (
	LastOfRole   Reason = "last_holder"  // the removal would leave an administrator-like role without any holder
	Protected    Reason = "protected"    // the user is on the list of users that the machine takes nothing from
	IncompleteIn Reason = "incomplete"   // a removal held back because something in this plan could not be read
	ReadFailed   Reason = "read_failed"  // this identity could not be read
	Gone         Reason = "gone"         // MitID Erhverv doesn't know the identity
	NotAdopted   Reason = "not_adopted"  // what the identity held before has not been imported
	Conflict     Reason = "conflict"     // two users have the same NemLogin UUID
	Unmanaged    Reason = "unmanaged"    // the role is not in the catalogue
	Withdrawn    Reason = "withdrawn"    // the role has left the catalogue; nothing is added or removed
	UnknownScope Reason = "scope_type"   // a scope type that is not known here
	OtherCVR     Reason = "other_cvr"    // a Cvr scope of another organisation
	NoScopeValue Reason = "no_value"     // the assignment lacks the (valid) number that its role asks for
	Waiting      Reason = "waiting"      // the last attempt failed and the next one is not due yet
	NeedsPerson  Reason = "needs_person" // attempts have failed for so long that a person must look at it
)

// Text is the reason as half a sentence for people, in English; an unknown reason is its own text.
func (r Reason) Text() string {
	switch r {
	case Assigned:
		return "an assignment in the catalogue gives it"
	case NotAssigned:
		return "no assignment in the catalogue gives it"
	case Ended:
		return "the assignment that gave it has ended"
	case UserDisabled:
		return "the user is disabled or locked"
	case UserDeleted:
		return "the user is deleted"
	case Abandoned:
		return "no user has this NemLogin UUID any longer"
	case LastOfRole:
		return "nobody else would hold this role"
	case Protected:
		return "the user is on the list of protected users"
	case IncompleteIn:
		return "something else in this plan could not be read"
	case ReadFailed:
		return "what the user holds could not be read"
	case Gone:
		return "MitID Erhverv does not know the identity"
	case NotAdopted:
		return "what the user held before has not been imported yet"
	case Conflict:
		return "two users have the same NemLogin UUID"
	case Unmanaged:
		return "the role is not in the catalogue"
	case Withdrawn:
		return "the role has left the catalogue"
	case UnknownScope:
		return "the scope type is not known"
	case OtherCVR:
		return "the scope is another organisation's CVR number"
	case NoScopeValue:
		return "a valid number for the scope is missing"
	case Waiting:
		return "the last attempt failed and the next one is not due yet"
	case NeedsPerson:
		return "attempts have failed for so long that a person must look at it"
	}
	return string(r)
}

// takes reports whether r is a reason to remove a grant.
func (r Reason) takes() bool {
	return r == NotAssigned || r == Ended || r == UserDisabled || r == UserDeleted || r == Abandoned
}

// holds reports whether r can hold a whole identity as it is.
func (r Reason) holds() bool { return r == Conflict || r == NotAdopted }

// Package plan computes the difference between what the role catalogue says (desired) and what MitID Erhverv answers
// (observed), as a document: readable, guarded, stored, and applied by id.
//
// The package is pure: no clock, no network, no database, and the same input always gives the same document.
//
//	desired   observed                     change
//	yes       yes                          keep
//	yes       no                           add
//	no        yes, managed                 remove
//	no        yes, not managed             skip (reported, never touched)
//	?         whatever, read failed        skip (unknown is never empty)
package plan

import (
	"slices"
	"time"
)

// FormatVersion is the version of the plan document. The minor part grows when fields are added, the major part when
// a reader of the older format would misunderstand the newer.
const FormatVersion = "1.0"

// ScopeType says what kind of number limits a grant. The values are those of the MitID Erhverv interface, in its mixed case.
type ScopeType string

// The scope types that are managed. Any other one is left untouched and reported.
const (
	Cvr ScopeType = "Cvr" // the whole organisation; the value is its CVR number, 8 digits
	PU  ScopeType = "PU"  // one production unit; the value is its P-number, 10 digits
	SE  ScopeType = "SE"  // one SE-number, 8 digits
)

// Known reports whether t is one of the managed scope types.
func (t ScopeType) Known() bool { return t == Cvr || t == PU || t == SE }

// Scope limits a grant: a type and its value. The value is always text, for P-numbers too.
type Scope struct {
	Type  ScopeType `json:"type"`
	Value string    `json:"value"`
}

// String gives the scope as people write it: "Cvr 12345678".
func (s Scope) String() string { return string(s.Type) + " " + s.Value }

// Grant is a system role in a scope. Together with the identity that holds it, it is what is compared, added and removed:
// all three parts of (role, scope type, scope value) count.
type Grant struct {
	Role  string `json:"role"` // uuid of the system role, lower case
	Scope Scope  `json:"scope"`
}

// Verb is what a change does.
type Verb string

// The verbs, in the order in which they are carried out.
const (
	Add    Verb = "add"
	Remove Verb = "remove"
	Keep   Verb = "keep"
	Skip   Verb = "skip"
)

// Change is one line of a plan: one grant of one identity.
type Change struct {
	Verb     Verb     `json:"verb"`
	Identity string   `json:"identity"` // NemLogin UUID
	User     string   `json:"user"`     // user id in its domain, for people
	Name     string   `json:"name,omitempty"`
	Grant    Grant    `json:"grant"`
	RoleName string   `json:"roleName,omitempty"`
	Reason   Reason   `json:"reason"`
	Because  []string `json:"because,omitempty"` // where a desired grant comes from, e.g. "direct: Indberetter med pnr"
	// Intended is what would have been done had nothing held it back: Add or Remove on a skip that hides work, else empty.
	Intended Verb   `json:"intended,omitempty"`
	Detail   string `json:"detail,omitempty"` // e.g. the error of the failed read
}

// Inventory says what one side of the comparison consisted of. On the catalogue's side Failed and Gone are 0, and it is
// complete when every desired grant has a usable scope; MitID Erhverv's side is complete when no identity failed.
type Inventory struct {
	Identities int    `json:"identities"`
	Grants     int    `json:"grants"`
	Failed     int    `json:"failed"`   // identities that could not be read
	Gone       int    `json:"gone"`     // identities that MitID Erhverv doesn't know
	Complete   bool   `json:"complete"` // nothing is missing from this side
	Hash       string `json:"hash"`     // sha256 over the side's canonical content, hex
}

// Unread is an identity whose grants are not known: its reading failed, or MitID Erhverv doesn't know it.
type Unread struct {
	Identity string    `json:"identity"`
	User     string    `json:"user"`
	Name     string    `json:"name,omitempty"`
	State    ReadState `json:"state"` // Failed or IsGone
	Error    string    `json:"error,omitempty"`
}

// Counts are the plan's changes by verb.
type Counts struct {
	Add    int `json:"add"`
	Remove int `json:"remove"`
	Keep   int `json:"keep"`
	Skip   int `json:"skip"`
}

// GuardResult is the verdict of one guard. Guards are evaluated always, in a dry run too, and shown when green. The two
// guards against emptiness have no Limit: what they refuse is a Count of 0.
type GuardResult struct {
	Guard   string `json:"guard"` // one of the Guard… constants
	OK      bool   `json:"ok"`
	Subject string `json:"subject,omitempty"` // the role, where the guard is per role
	Count   int    `json:"count"`             // what was counted
	Limit   int    `json:"limit"`             // the most that passes
	Of      int    `json:"of"`                // out of how many
	Message string `json:"message"`           // one sentence for people, with the figures
}

// The guards.
const (
	GuardIncomplete   = "incomplete_read"    // holds removals back; doesn't block
	GuardCatalogue    = "empty_catalogue"    // no managed role at all
	GuardShrunk       = "catalogue_shrunk"   // the catalogue lost more than the allowed share
	GuardDesired      = "empty_desired"      // the catalogue wants nothing at all while grants are held
	GuardRemovals     = "removals"           // removals in this plan
	GuardRemovals24h  = "removals_24h"       // removals in this plan and the 24 hours before it
	GuardRoleRemovals = "removals_from_role" // removals from one role
)

// Plan is the document.
//
// ID is the SHA-256 of the canonical content (everything but ID, CreatedAt, Guards and Blocked, of which the last three
// depend on the clock): equal input gives an equal id. Effect is the SHA-256 of what the plan would do (for which CVR, its
// adds and removes): a plan is stale when a fresh one has another Effect, and an approval holds for the Effect that was
// approved.
type Plan struct {
	FormatVersion string        `json:"formatVersion"`
	ID            string        `json:"id"`
	Effect        string        `json:"effect"`
	CreatedAt     time.Time     `json:"createdAt"` // set by the caller, UTC
	CVR           string        `json:"cvr"`
	Selection     string        `json:"selection"` // "all", or who was looked at: "user ab12"
	Source        Inventory     `json:"source"`    // the catalogue's side
	Target        Inventory     `json:"target"`    // MitID Erhverv's side
	Counts        Counts        `json:"counts"`
	Unread        []Unread      `json:"unread,omitempty"` // in order of identity
	Changes       []Change      `json:"changes"`          // by verb, identity, role, scope type, scope value; no two alike
	Guards        []GuardResult `json:"guards"`
	Blocked       bool          `json:"blocked"` // a guard refuses: nothing of this plan is applied unless it is approved
}

// Adds are the changes that give something, in the order in which they are carried out. The slice is the plan's own.
func (p *Plan) Adds() []Change { return p.section(Add) }

// Removes are the changes that take something. The slice is the plan's own.
func (p *Plan) Removes() []Change { return p.section(Remove) }

// Keeps are the grants on which both sides agree. The slice is the plan's own.
func (p *Plan) Keeps() []Change { return p.section(Keep) }

// Skips are what is left alone and why. The slice is the plan's own.
func (p *Plan) Skips() []Change { return p.section(Skip) }

// BlockedBy names the guards that refuse the plan, each once, in the order of the guards.
func (p *Plan) BlockedBy() []string {
	var names []string
	for _, g := range p.Guards {
		if !g.OK && g.blocks() && !slices.Contains(names, g.Guard) {
			names = append(names, g.Guard)
		}
	}
	return names
}

// Empty reports whether the plan has nothing to do.
func (p *Plan) Empty() bool { return p.Counts.Add == 0 && p.Counts.Remove == 0 }

package coredata

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/rollebro/rollebro/rolecatalog"
)

// Options are the settings of the API.
type Options struct {
	TrustedEmployee bool // trustedEmployee is read
	RoleAPI         bool // roles are read
	ExternalUUIDs   bool // externalNemloginUserUuid is read, and is the user's NemLogin UUID
	SkipBadEntries  bool // a bad entry is left out and counted instead of refusing the whole load
	// A load is refused that affects more than GuardCount people and more than GuardPercent of the active people in its
	// scope. Both 0: 50 and 20.
	GuardCount, GuardPercent int
}

// Service carries out the calls: it decodes and checks a body, decides what it changes, and has the store write that. Every
// method takes the body of one endpoint. It answers bad input with a *Refusal; any other error is our own fault. Either way
// nothing was changed then.
type Service struct {
	Store   Store
	CVR     string // of the organisation whose roles the people have
	Options Options
	Logger  logrus.FieldLogger
	Now     func() time.Time // nil: time.Now
	Wake    func()           // called after people were marked for the role side; may be nil
}

// Caller is who calls: an API key.
type Caller struct {
	Name    string                   // for the audit trail
	Allowed func(master string) bool // whether the key is for this master domain; nil: for all
}

// Outcome tells what a call did. It comes with an error as well, as far as the call got.
type Outcome struct {
	Domain   string         // as the call named it
	Counts   map[string]int // by one of the Count… names; what is 0 is left out
	Warnings []string       // what is odd but no error, the first hundred; no CPR number
}

// Names of counts.
const (
	CountEntries     = "entries"     // in the payload, null ones left out
	CountCreated     = "created"     // people, or groups
	CountUpdated     = "updated"     // people, or groups
	CountUnchanged   = "unchanged"   // people, or groups
	CountReactivated = "reactivated" // people, also counted in updated
	CountLocked      = "locked"      // people
	CountRecreated   = "recreated"   // people deleted and created anew; also counted in created and deleted
	CountDeleted     = "deleted"     // people, or groups
	CountTakenOver   = "takenOver"   // people known from another source, also counted in updated
	CountEmptied     = "emptied"     // groups that lose all members, or people who lose all KOMBIT roles
	CountJoined      = "joined"      // memberships, or KOMBIT roles
	CountLeft        = "left"        // memberships, or KOMBIT roles
	CountBadCPR      = "badCpr"      // entries left out for their CPR number
	CountSkipped     = "skipped"     // entries left out for another reason
	CountUnknown     = "unknown"     // names and uuids that nobody in scope has
	CountModulus     = "cprModulus"  // CPR numbers that fail modulus 11, as some issued since 2007 do
	CountNoFlag      = "noFlag"      // entries without nsisAllowed or transferToNemlogin
	CountBadUUID     = "badNemloginUuid"
)

// Refusal is the answer to a call that can't be carried out. Nothing was changed.
type Refusal struct {
	Status int    // HTTP status: 400, 403, 413 or 422
	Text   string // the whole answer; no CPR number
}

func (r *Refusal) Error() string { return r.Text }

func refusef(format string, args ...any) *Refusal {
	return &Refusal{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

// How many warnings of one call are kept, and how many of them get a line of the log.
const (
	maxWarnings = 100
	maxLogged   = 20
)

// notes count what is odd and keep the first ones in words.
type notes struct {
	counts   map[string]int
	warnings []string
}

func newNotes() *notes { return &notes{counts: make(map[string]int)} }

func (n *notes) clone() *notes {
	c := newNotes()
	c.warnings = slices.Clone(n.warnings)
	maps.Copy(c.counts, n.counts)
	return c
}

func (n *notes) count(name string) { n.counts[name]++ }

func (n *notes) warnf(format string, args ...any) {
	if len(n.warnings) < maxWarnings {
		n.warnings = append(n.warnings, fmt.Sprintf(format, args...))
	}
}

// call is one call on its way through the service.
type call struct {
	*notes

	s      *Service
	caller Caller
	name   string // for the audit trail and the log, e.g. "full load"
	named  string // the domain as the call names it
	now    time.Time
	domain rolecatalog.Domain
	master rolecatalog.Domain
}

func (s *Service) begin(name string, domain string, c Caller) *call {
	now := time.Now
	if s.Now != nil {
		now = s.Now
	}
	// Microseconds are what both databases keep.
	return &call{notes: newNotes(), s: s, caller: c, name: name, named: domain, now: now().UTC().Truncate(time.Microsecond)}
}

func (c *call) outcome() Outcome {
	return Outcome{Domain: shown(c.named), Counts: c.counts, Warnings: c.warnings}
}

// find looks the call's domain up; unknown is the text for one that doesn't exist.
func (c *call) find(ctx context.Context, unknown string) error {
	var err error
	c.domain, c.master, err = c.s.Store.Domain(ctx, c.named)
	switch {
	case errors.Is(err, ErrNoDomain):
		return refusef("%s", unknown)
	case err != nil:
		return fmt.Errorf("looking up the domain: %w", err)
	case c.caller.Allowed != nil && !c.caller.Allowed(c.master.Name):
		return &Refusal{http.StatusForbidden, fmt.Sprintf("API-nøglen gælder ikke for domænet %s", shown(c.named))}
	}
	return nil
}

// covers reports whether the call's domain covers another domain of the tree: a master covers all of it.
func (c *call) covers(id uint64) bool {
	return c.domain.ParentID == nil || c.domain.ID == id
}

// empty reports whether there is nothing to write.
func (c *Changes) empty() bool {
	return c == nil || len(c.Create)+len(c.Update)+len(c.Delete)+len(c.CreateGroups)+len(c.UpdateGroups)+len(c.DeleteGroups)+
		len(c.Join)+len(c.Leave)+len(c.KombitAdd)+len(c.KombitRemove)+len(c.Mark)+len(c.Audit) == 0 && c.Release == nil
}

// done logs how a call went and gives its outcome.
func (c *call) done(err error) (Outcome, error) {
	if c.s.Logger == nil {
		return c.outcome(), err
	}
	log := c.s.Logger.WithFields(logrus.Fields{"domain": shown(c.named), "client": c.caller.Name})
	for name, n := range c.counts {
		log = log.WithField(name, n)
	}
	for i, w := range c.warnings {
		if i == maxLogged {
			log.Warnf("coredata: %s: further %d warnings, or more, are left out", c.name, len(c.warnings)-i)
			break
		}
		log.Warnf("coredata: %s: %s", c.name, w)
	}
	var refusal *Refusal
	var broken *brokenOffError
	switch {
	case errors.As(err, &refusal):
		log.WithField("status", refusal.Status).Warnf("coredata: %s refused: %s", c.name, refusal.Text)
	case errors.As(err, &broken):
		log.WithError(err).Warnf("coredata: %s broke off; nothing was changed", c.name)
	case err != nil:
		log.WithError(err).Errorf("coredata: %s failed", c.name)
	default:
		log.Infof("coredata: %s", c.name)
	}
	return c.outcome(), err
}

// decoded is the common beginning of a call: it decodes and, unless that fails, begins the call of the domain named.
func decoded[T interface{ named() text }](s *Service, name string, caller Caller, body io.Reader, decode func(io.Reader) (T, error)) (*call, T, error) {
	b, err := decode(body)
	if err != nil {
		var none T
		return s.begin(name, "", caller), none, err
	}
	return s.begin(name, b.named().value, caller), b, nil
}

func listOf[T any](name string) func(io.Reader) (*listBody[T], error) {
	return func(body io.Reader) (*listBody[T], error) { return decodeList[T](body, name) }
}

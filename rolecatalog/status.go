package rolecatalog

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Status is the state of the bridge in figures, and what needs a person.
type Status struct {
	CVR         string     `json:"cvr"`
	DryRun      bool       `json:"dryRun"`
	State       State      `json:"state"`
	Users       int        `json:"users"`
	WithUUID    int        `json:"usersWithNemLoginUuid"`
	Identities  int        `json:"identities"`
	Adopted     int        `json:"adopted"`
	NotAdopted  int        `json:"notAdopted"`
	Gone        int        `json:"gone"` // MitID Erhverv doesn't know them
	Conflicts   int        `json:"conflicts"`
	SystemRoles int        `json:"systemRoles"`
	Withdrawn   int        `json:"withdrawnRoles"`
	Grants      int        `json:"managedGrants"` // as last read
	Backlog     int        `json:"backlog"`       // people waiting to be looked at
	Failing     int        `json:"failing"`       // of those, who failed before
	Attempts    int        `json:"failedWrites"`
	OldestFail  *time.Time `json:"oldestFailure,omitempty"`
	// Attention lists what needs a person, one sentence each; empty: nothing does.
	Attention []string `json:"attention"`

	released bool // the plan that caused the quarantine is approved
}

// Status counts. It asks the database only.
func (b *Bridge) Status(ctx context.Context) (Status, error) {
	st := Status{CVR: b.cvr, DryRun: b.o.DryRun, Attention: []string{}}
	var err error
	if st.State, err = b.store.State(ctx, b.cvr); err != nil {
		return st, err
	}
	users, err := b.store.Users(ctx, UserFilter{})
	if err != nil {
		return st, err
	}
	identities, err := b.store.Identities(ctx, b.cvr)
	if err != nil {
		return st, err
	}
	st.countPeople(users, identities)
	if err := b.countRoles(ctx, &st); err != nil {
		return st, err
	}
	if st.Backlog, st.Failing, err = b.store.WorkBacklog(ctx, b.cvr); err != nil {
		return st, err
	}
	attempts, err := b.store.Attempts(ctx, b.cvr)
	if err != nil {
		return st, err
	}
	st.Attempts = len(attempts)
	tired := 0
	for i := range attempts {
		if at := attempts[i].FirstFailedAt; st.OldestFail == nil || at.Before(*st.OldestFail) {
			st.OldestFail = &at
		}
		if b.now().Sub(attempts[i].FirstFailedAt) >= NeedsPersonAfter {
			tired++
		}
	}
	if st.State.QuarantineSince != nil {
		cause, err := b.store.Plan(ctx, b.cvr, st.State.QuarantinePlan)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return st, err
		}
		st.released = err == nil && cause.Status == PlanApproved && !cause.ReleaseUsed
	}
	st.attend(tired)
	return st, nil
}

func (st *Status) countPeople(users []User, identities []Identity) {
	st.Users = len(users)
	for i := range users {
		if users[i].NemLoginUUID != "" {
			st.WithUUID++
		}
	}
	links := linksOf(users, identities)
	for _, l := range links {
		if len(l.rivals) > 0 {
			st.Conflicts++
		}
	}
	for i := range identities {
		id := &identities[i]
		delete(links, id.UUID)
		if id.RetiredAt != nil {
			continue
		}
		st.Identities++
		if id.Adopted() {
			st.Adopted++
		} else {
			st.NotAdopted++
		}
		if id.GoneSince != nil {
			st.Gone++
		}
	}
	st.NotAdopted += len(links) // users whose identity has not been met yet
}

func (b *Bridge) countRoles(ctx context.Context, st *Status) error {
	roles, err := b.store.SystemRoles(ctx, b.cvr)
	if err != nil {
		return err
	}
	if st.Grants, _, err = b.store.ObservedTotals(ctx, b.cvr); err != nil {
		return err
	}
	st.SystemRoles = len(roles)
	withdrawn := make(map[string]string)
	for i := range roles {
		if roles[i].WithdrawnAt != nil {
			withdrawn[roles[i].UUID] = roles[i].Name
		}
	}
	if st.Withdrawn = len(withdrawn); st.Withdrawn == 0 {
		return nil
	}
	observed, err := b.store.Observed(ctx, b.cvr, nil)
	if err != nil {
		return err
	}
	held := make(map[string]int)
	for i := range observed {
		held[observed[i].Role]++
	}
	for i := range roles {
		if name, gone := withdrawn[roles[i].UUID]; gone && held[roles[i].UUID] > 0 {
			st.Attention = append(st.Attention, fmt.Sprintf("The system role %q has left MitID Erhverv's catalogue and is still held %d times.", name, held[roles[i].UUID]))
		}
	}
	return nil
}

// attend collects what needs a person.
func (st *Status) attend(tired int) {
	say := func(is bool, format string, args ...any) {
		if is {
			st.Attention = append(st.Attention, fmt.Sprintf(format, args...))
		}
	}
	s := &st.State
	say(st.released, "Plan %s is approved and ends the quarantine: the next run carries it out, or `rollebro apply %s` does now.", short(s.QuarantinePlan), short(s.QuarantinePlan))
	say(s.QuarantineSince != nil && !st.released, "The bridge is in quarantine and writes nothing: %s Look at plan %s and approve it, or mend the source.", s.QuarantineReason, short(s.QuarantinePlan))
	say(s.CatalogueError != "", "The catalogue was not refreshed: %s. Nothing is written meanwhile.", s.CatalogueError)
	say(s.NumbersError != "", "The P- and SE-numbers were not all refreshed: %s.", s.NumbersError)
	say(st.Conflicts > 0, "%s to more than one user; nothing is written there.", number(st.Conflicts, "NemLogin UUID belongs", "NemLogin UUIDs belong"))
	say(st.Gone > 0, "%s unknown at MitID Erhverv.", number(st.Gone, "identity is", "identities are"))
	say(st.Failing > 0, "%s at the last try and will be tried again.", number(st.Failing, "person failed", "people failed"))
	say(tired > 0, "%s failed for more than 28 days and will not be tried any more.", number(tired, "write has", "writes have"))
}

// number writes a number with its noun.
func number(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

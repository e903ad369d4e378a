package rolecatalog

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// UserRow is one user of a load. A nil field is not part of the load: what is stored stays. An empty one clears it.
type UserRow struct {
	Line         int    // where the row stands in its file, for messages; 0: unknown
	UserID       string // required
	Domain       string // empty: the primary domain
	Name         string // required for a new user
	Email        *string
	CPR          string // 10 digits; empty: what is stored stays
	NemLoginUUID *string
	ExtUUID      *string
	Disabled     *bool
}

// LoadOptions accompany a load.
type LoadOptions struct {
	DryRun bool   // only say what would happen
	Actor  string // for the audit trail
}

// LoadReport tells what a load did, or would do.
type LoadReport struct {
	Created   int      `json:"created"`
	Updated   int      `json:"updated"`
	Unchanged int      `json:"unchanged"`
	Warnings  []string `json:"warnings,omitempty"` // what is odd but no error, e.g. a NemLogin UUID that two users have
}

// RowErrors are all that is wrong with a load; nothing of it was stored.
type RowErrors []error

func (e RowErrors) Error() string {
	lines := make([]string, len(e))
	for i, err := range e {
		lines[i] = err.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives the single errors.
func (e RowErrors) Unwrap() []error { return e }

var (
	uuidForm = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	// cprWithin finds what may be a CPR number, with or without its dash.
	cprWithin = regexp.MustCompile(`(^|[^0-9])[0-3][0-9][01][0-9]{3}[- ]?[0-9]{4}($|[^0-9])`)
	cprInText = regexp.MustCompile(`\b(0[1-9]|[12][0-9]|3[01])(0[1-9]|1[0-2])[0-9]{2}[- ]?[0-9]{4}\b`)
	cprForm   = regexp.MustCompile(`^(0[1-9]|[12][0-9]|3[01])(0[1-9]|1[0-2])[0-9]{6}$`)
)

// quoted quotes a text of a load, unless there may be a CPR number in it: columns get mixed up.
func quoted(text string) string {
	if cprWithin.MatchString(text) {
		return "(not shown: it looks like a CPR number)"
	}
	return strconv.Quote(text)
}

// userKey tells users apart: by domain and account name, ignoring case.
type userKey struct {
	domain uint64
	user   string
}

// HoldsCPR reports whether a text that is about to be kept for good has something in it that looks like a CPR number.
func HoldsCPR(text string) bool { return cprInText.MatchString(text) }

// LoadUsers creates and updates users; it deletes none. Either all rows are stored or, with RowErrors, none. Users whose
// roles may change by it are put on the work list. A NemLogin UUID that two active users have is stored and reported: it is
// a conflict, and nothing is written to that identity until it is solved.
func (b *Bridge) LoadUsers(ctx context.Context, rows []UserRow, o LoadOptions) (LoadReport, error) {
	keys, bad, err := b.checkRows(ctx, rows)
	if err != nil {
		return LoadReport{}, err
	}
	stored, err := b.store.Users(ctx, UserFilter{IncludeDeleted: true, WithCPR: true})
	if err != nil {
		return LoadReport{}, fmt.Errorf("reading the users: %w", err)
	}
	existing := make(map[userKey]*User, len(stored))
	for i := range stored {
		existing[userKey{stored[i].DomainID, stored[i].UserKey}] = &stored[i]
	}
	sharing := make(map[string][]*User, len(stored))
	for i := range stored {
		if id := stored[i].NemLoginUUID; id != "" {
			sharing[id] = append(sharing[id], &stored[i])
		}
	}
	var report LoadReport
	changes := &Changes{KeepCoreData: true}
	for i := range rows {
		r := &rows[i]
		was := existing[keys[i]]
		if was == nil && r.Name == "" && r.UserID != "" {
			bad = append(bad, r.errorf("the new user %s has no name", quoted(r.UserID)))
		}
		user, what := r.onto(was, keys[i], b.now())
		switch {
		case was == nil:
			report.Created++
		case what == "":
			report.Unchanged++
			continue
		default:
			report.Updated++
		}
		changes.Users = append(changes.Users, user)
		changes.Audit = append(changes.Audit, AuditEvent{Actor: o.Actor, Action: AuditUser, User: user.UserID, Identity: user.NemLoginUUID, Detail: what})
		if was == nil && user.NemLoginUUID != "" || was != nil && (was.NemLoginUUID != user.NemLoginUUID || was.Active() != user.Active()) {
			changes.Mark = append(changes.Mark, b.touched(was, user, sharing)...)
		}
	}
	if len(bad) > 0 {
		return LoadReport{}, bad
	}
	for _, c := range conflicts(stored, changes.Users) {
		report.Warnings = append(report.Warnings, c.Detail)
		c.Actor = o.Actor
		changes.Audit = append(changes.Audit, c)
	}
	if o.DryRun || len(changes.Users) == 0 {
		return report, nil
	}
	if err := b.commit(ctx, changes); err != nil {
		return LoadReport{}, fmt.Errorf("storing the users: %w", err)
	}
	return report, nil
}

// touched puts on the work list a user whose NemLogin UUID or state has changed, and those that share his old or new UUID:
// a conflict may have begun or ended for them. sharing are the stored users by NemLogin UUID.
func (b *Bridge) touched(was, user *User, sharing map[string][]*User) []Work {
	at := b.now()
	entry := func(u *User) Work {
		return Work{CVR: b.cvr, UserID: u.ID, Of: u, Reason: "the user has changed", NextTryAt: at, CreatedAt: at}
	}
	work := []Work{entry(user)}
	others := sharing[user.NemLoginUUID]
	if was != nil && was.NemLoginUUID != user.NemLoginUUID {
		others = slices.Concat(others, sharing[was.NemLoginUUID])
	}
	for _, u := range others {
		if u.ID != user.ID {
			work = append(work, entry(u))
		}
	}
	return work
}

// checkRows brings the rows into their form and collects everything that is wrong with them.
func (b *Bridge) checkRows(ctx context.Context, rows []UserRow) (keys []userKey, bad RowErrors, err error) {
	domains, err := b.store.Domains(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the domains: %w", err)
	}
	byName := make(map[string]uint64, len(domains))
	for _, d := range domains {
		byName[d.NameKey] = d.ID
	}
	seen := make(map[userKey]int, len(rows))
	keys = make([]userKey, len(rows))
	for i := range rows {
		r := &rows[i]
		r.normalise()
		for _, problem := range r.problems() {
			bad = append(bad, r.errorf("%s", problem))
		}
		name := r.Domain
		if name == "" {
			name = PrimaryDomain
		}
		domain, ok := byName[strings.ToLower(name)]
		if !ok {
			bad = append(bad, r.errorf("there is no domain %s; `rollebro domain create` makes one", quoted(name)))
		}
		keys[i] = userKey{domain, strings.ToLower(r.UserID)}
		if first, twice := seen[keys[i]]; twice && r.UserID != "" {
			bad = append(bad, r.errorf("the user %s stands in line %d already", quoted(r.UserID), first))
		}
		seen[keys[i]] = r.Line
	}
	return keys, bad, nil
}

func (r *UserRow) errorf(format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	if r.Line > 0 {
		return fmt.Errorf("line %d: %s", r.Line, text)
	}
	return errors.New(text)
}

func (r *UserRow) normalise() {
	r.UserID, r.Domain, r.Name = strings.TrimSpace(r.UserID), strings.TrimSpace(r.Domain), strings.TrimSpace(r.Name)
	r.CPR = strings.Replace(strings.TrimSpace(r.CPR), "-", "", 1)
	for _, id := range []*string{r.NemLoginUUID, r.ExtUUID} {
		if id != nil {
			*id = strings.ToLower(strings.TrimSpace(*id))
		}
	}
	if r.Email != nil {
		*r.Email = strings.TrimSpace(*r.Email)
	}
}

// problems lists what is wrong with a row by itself. A CPR number is never quoted.
func (r *UserRow) problems() []string {
	var p []string
	if r.UserID == "" {
		p = append(p, "the user id is missing")
	}
	if cprForm.MatchString(strings.Replace(r.UserID, "-", "", 1)) {
		// It would be in every plan and log line from then on.
		p = append(p, "the user id looks like a CPR number (it isn't shown here); check the order of the columns")
	}
	if len(r.UserID) > 255 || len(r.Name) > 255 || r.Email != nil && len(*r.Email) > 255 {
		p = append(p, "a field is longer than 255 characters")
	}
	if r.CPR != "" && r.CPR != "0000000000" && !cprForm.MatchString(r.CPR) {
		p = append(p, "the CPR number is not one: 10 digits that begin with a date are asked for (it isn't shown here)")
	}
	if r.NemLoginUUID != nil && *r.NemLoginUUID != "" && !uuidForm.MatchString(*r.NemLoginUUID) {
		p = append(p, fmt.Sprintf("the NemLogin UUID %s is not a UUID", quoted(*r.NemLoginUUID)))
	}
	if r.ExtUUID != nil && *r.ExtUUID != "" && !uuidForm.MatchString(*r.ExtUUID) {
		p = append(p, fmt.Sprintf("the extUuid %s is not a UUID", quoted(*r.ExtUUID)))
	}
	return p
}

// onto gives the user as he is after the row, and what that changes, in words; nothing changed: "".
func (r *UserRow) onto(was *User, key userKey, at time.Time) (user *User, what string) {
	user = &User{UUID: uuid.NewString(), DomainID: key.domain, UserKey: key.user, CreatedAt: at}
	if was != nil {
		after := *was
		user = &after
	}
	var changed []string
	set := func(name string, field *string, value string) {
		if *field != value {
			*field = value
			changed = append(changed, name)
		}
	}
	if was == nil {
		user.UserID = r.UserID // a later load may spell it otherwise; it is the same user
	}
	if r.Name != "" {
		set("name", &user.Name, r.Name)
	}
	if r.CPR != "" {
		set("CPR number", &user.CPR, r.CPR)
	}
	for _, f := range []struct {
		name  string
		field *string
		value *string
	}{{"e-mail", &user.Email, r.Email}, {"NemLogin UUID", &user.NemLoginUUID, r.NemLoginUUID}, {"extUuid", &user.ExtUUID, r.ExtUUID}} {
		if f.value != nil {
			set(f.name, f.field, *f.value)
		}
	}
	if r.Disabled != nil && *r.Disabled != user.Disabled {
		user.Disabled, user.DisabledAt = *r.Disabled, nil
		if user.Disabled {
			user.DisabledAt = &at
		}
		changed = append(changed, map[bool]string{true: "disabled", false: "enabled"}[user.Disabled])
	}
	if user.Deleted {
		user.Deleted, user.DeletedAt = false, nil
		changed = append(changed, "back again")
	}
	user.UpdatedAt = at
	switch {
	case was == nil:
		what = "created"
	case len(changed) > 0:
		what = "changed: " + strings.Join(changed, ", ")
	}
	return user, what
}

// conflicts describes the NemLogin UUIDs that more than one active user will have, one of them changed now.
func conflicts(stored []User, changed []*User) []AuditEvent {
	after := make(map[uint64]*User, len(stored))
	var all []*User
	for _, u := range changed {
		if u.ID != 0 {
			after[u.ID] = u
		} else {
			all = append(all, u)
		}
	}
	for i := range stored {
		if u := after[stored[i].ID]; u != nil {
			all = append(all, u)
		} else {
			all = append(all, &stored[i])
		}
	}
	holders := make(map[string][]string)
	for _, u := range changed {
		if u.NemLoginUUID != "" {
			holders[u.NemLoginUUID] = nil
		}
	}
	for _, u := range all {
		if users, concerned := holders[u.NemLoginUUID]; concerned && u.Active() {
			holders[u.NemLoginUUID] = append(users, u.UserID)
		}
	}
	var found []AuditEvent
	for id, users := range holders {
		if len(users) > 1 {
			slices.Sort(users)
			found = append(found, AuditEvent{Action: AuditConflict, Identity: id, Detail: fmt.Sprintf(
				"%s have the same NemLogin UUID %s: nothing is written to it until only one of them has it", strings.Join(users, " and "), id)})
		}
	}
	slices.SortFunc(found, func(a, b AuditEvent) int { return strings.Compare(a.Detail, b.Detail) })
	return found
}

// ChangeUserState disables, enables or deletes users by their row ids.
func (b *Bridge) ChangeUserState(ctx context.Context, ids []uint64, actor string, change func(*User)) error {
	users, err := b.store.Users(ctx, UserFilter{IDs: ids, IncludeDeleted: true})
	if err != nil {
		return err
	}
	changes := &Changes{KeepCoreData: true}
	for i := range users {
		u := &users[i]
		change(u)
		u.UpdatedAt = b.now()
		changes.Users = append(changes.Users, u)
		changes.Audit = append(changes.Audit, AuditEvent{Actor: actor, Action: AuditUser, User: u.UserID, Identity: u.NemLoginUUID, Detail: fmt.Sprintf("disabled: %t, deleted: %t", u.Disabled, u.Deleted)})
	}
	changes.Mark = b.mark(ids, "the user has changed")
	return b.commit(ctx, changes)
}

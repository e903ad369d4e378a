package store

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/rollebro/rollebro/coredata"
	"github.com/rollebro/rollebro/rolecatalog"
)

// treeCommit is one try of writing what a load changes. What it has in common with every other writing is commit's.
type treeCommit struct {
	commit
	t      *coredata.Changes
	tree   *treeReader
	groups map[*coredata.Group]uint64 // ids of the groups in these changes
}

func newTreeCommit(c *treeChange, tx *gorm.DB) *treeCommit {
	return &treeCommit{
		commit: commit{s: c.s, tx: tx, seen: c.tree.seen, c: &rolecatalog.Changes{
			CVR: c.cvr, Users: slices.Concat(c.changes.Update, c.changes.Create), Audit: c.changes.Audit,
		}},
		t: c.changes, tree: c.tree,
	}
}

func (m *treeCommit) run() error {
	for _, step := range []struct {
		doing string
		do    func() error
	}{
		{"the changes", m.check},
		{"row ids", m.reserve},
		{"the release", m.release},
		{"deleted groups", m.deleteGroups},
		{"deleted users", m.deleteUsers},
		{"users", m.users},
		{"groups", m.saveGroups},
		{"memberships", m.memberships},
		{"KOMBIT roles", m.kombit},
		{"the work list", m.marks},
		{"the audit trail", m.audit},
	} {
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w", step.doing, err)
		}
	}
	return nil
}

// check refuses what is not of this tree.
func (m *treeCommit) check() error {
	ids := m.tree.ids()
	for _, u := range m.c.Users {
		if u == nil || !slices.Contains(ids, u.DomainID) {
			return fmt.Errorf("%w: a user of another domain", ErrInvalid)
		}
	}
	for _, g := range slices.Concat(m.t.CreateGroups, m.t.UpdateGroups) {
		if g == nil || !slices.Contains(ids, g.DomainID) {
			return fmt.Errorf("%w: a group of another domain", ErrInvalid)
		}
	}
	for _, u := range m.t.Create {
		if u.ID != 0 {
			return fmt.Errorf("%w: a new user with a row id", ErrInvalid)
		}
	}
	for _, u := range slices.Concat(m.t.Update, m.t.Delete) {
		if u == nil || u.ID == 0 {
			return fmt.Errorf("%w: a user without a row id", ErrInvalid)
		}
	}
	return nil
}

// reserve takes the new row ids in a transaction of its own where the sequences would otherwise stay locked until this one
// ends, and loads of other domains would wait for it. Ids that a failed load has taken are never used.
func (m *treeCommit) reserve() error {
	if m.s.numbers == nil {
		return nil
	}
	m.reserved = map[string]uint64{}
	for _, want := range []struct {
		table string
		n     int
	}{{"users", len(m.t.Create)}, {"coredata_groups", len(m.t.CreateGroups)}} {
		if want.n == 0 {
			continue
		}
		ctx := m.tx.Statement.Context
		err := m.s.again(ctx, func() error {
			return m.s.numbers.WithContext(ctx).Transaction(func(tx *gorm.DB) (err error) {
				m.reserved[want.table], err = m.s.allocate(tx, want.table, want.n)
				return err
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// release uses up a release; one that is used already lets nothing through.
func (m *treeCommit) release() error {
	if m.t.Release == nil {
		return nil
	}
	now := m.s.now()
	done := m.tx.Table("load_releases").Where("id = ? AND used_at IS NULL", m.t.Release.ID).Update("used_at", now)
	if done.Error != nil {
		return done.Error
	}
	if done.RowsAffected != 1 {
		return gorm.ErrRecordNotFound
	}
	m.handBack = append(m.handBack, func() { m.t.Release.UsedAt = &now })
	return nil
}

// deleteUsers deletes the users for good, with everything that is theirs. A user who was deleted before but is still kept
// gives way when a new one has his account name.
func (m *treeCommit) deleteUsers() error {
	ids := make([]uint64, 0, len(m.t.Delete))
	for _, u := range m.t.Delete {
		ids = append(ids, u.ID)
	}
	if err := m.s.mustExist(m.tx, "users", ids); err != nil {
		return err
	}
	replaced, err := m.replaced()
	if err != nil {
		return err
	}
	return inChunks(append(ids, replaced...), func(part []uint64) error {
		var given []uint64
		if err := in(m.s, m.tx.Table("assignments"), "user_id", part).Order("id").Pluck("id", &given).Error; err != nil {
			return err
		}
		err := inChunks(given, func(some []uint64) error {
			return in(m.s, m.tx.Table("assignment_values"), "assignment_id", some).Delete(nil).Error
		})
		if err != nil {
			return err
		}
		for _, of := range []struct{ table, column string }{
			{"assignments", "user_id"},
			{"coredata_group_members", "user_id"},
			{"kombit_roles", "user_id"},
			{"work", "user_id"},
			{"users", "id"},
		} {
			if err := in(m.s, m.tx.Table(of.table), of.column, part).Delete(nil).Error; err != nil {
				return err
			}
		}
		return nil
	})
}

// replaced returns the kept but deleted users whose account names the new users have.
func (m *treeCommit) replaced() ([]uint64, error) {
	if len(m.t.Create) == 0 {
		return nil, nil
	}
	type name struct {
		domain uint64
		key    string
	}
	var kept []rolecatalog.User
	err := m.tx.Table("users").Select("id", "domain_id", "user_key").Where("domain_id IN ? AND deleted = TRUE", m.tree.ids()).Find(&kept).Error
	if err != nil || len(kept) == 0 {
		return nil, err
	}
	created := make(map[name]bool, len(m.t.Create))
	for _, u := range m.t.Create {
		created[name{u.DomainID, strings.ToLower(u.UserID)}] = true
	}
	var ids []uint64
	for i := range kept {
		if created[name{kept[i].DomainID, kept[i].UserKey}] {
			ids = append(ids, kept[i].ID)
		}
	}
	return ids, nil
}

func (m *treeCommit) deleteGroups() error {
	ids := make([]uint64, 0, len(m.t.DeleteGroups))
	for _, g := range m.t.DeleteGroups {
		ids = append(ids, g.ID)
	}
	if err := m.s.mustExist(m.tx, "coredata_groups", ids); err != nil {
		return err
	}
	return inChunks(ids, func(part []uint64) error {
		if err := in(m.s, m.tx.Table("coredata_group_members"), "group_id", part).Delete(nil).Error; err != nil {
			return err
		}
		return in(m.s, m.tx.Table("coredata_groups"), "id", part).Delete(nil).Error
	})
}

func (m *treeCommit) saveGroups() error {
	given := slices.Concat(m.t.UpdateGroups, m.t.CreateGroups)
	rows, err := save(&m.commit, saving[coredata.Group]{
		table: "coredata_groups",
		given: given,
		id:    func(g *coredata.Group) *uint64 { return &g.ID },
		prepare: func(g *coredata.Group) error {
			if g.UUID == "" {
				return fmt.Errorf("%w: a group without a uuid", ErrInvalid)
			}
			return withinLimits(most{"a group's uuid", g.UUID, 255})
		},
		columns: []string{"name", "description"},
	})
	if err != nil {
		return err
	}
	m.groups = make(map[*coredata.Group]uint64, len(given))
	for i, g := range given {
		m.groups[g] = rows[i].ID
	}
	give(&m.commit, given, rows)
	return nil
}

// userID returns a user's row id, which a new one has got here.
func (m *treeCommit) userID(u *rolecatalog.User) uint64 {
	if u == nil {
		return 0
	}
	if id := m.people[u]; id != 0 {
		return id
	}
	return u.ID
}

func (m *treeCommit) groupID(g *coredata.Group) uint64 {
	if g == nil {
		return 0
	}
	if id := m.groups[g]; id != 0 {
		return id
	}
	return g.ID
}

// pair is a row of coredata_group_members.
type pair struct{ group, user uint64 }

// pairs returns the row ids of memberships, each once, in order.
func (m *treeCommit) pairs(list []coredata.Membership) ([]pair, error) {
	pairs := make([]pair, len(list))
	for i, of := range list {
		pairs[i] = pair{m.groupID(of.Group), m.userID(of.User)}
		if pairs[i].group == 0 || pairs[i].user == 0 {
			return nil, fmt.Errorf("%w: a membership of nobody, or in no group", ErrInvalid)
		}
	}
	slices.SortFunc(pairs, func(a, b pair) int { return cmp.Or(cmp.Compare(a.group, b.group), cmp.Compare(a.user, b.user)) })
	return slices.Compact(pairs), nil
}

// memberships removes, then adds. There may be a million of them, so they are written as plain numbers: placeholders, and
// what turns rows into them, would take several times as long.
func (m *treeCommit) memberships() error {
	leave, err := m.pairs(m.t.Leave)
	if err != nil {
		return err
	}
	if err := m.leave(leave); err != nil {
		return err
	}
	join, err := m.pairs(m.t.Join)
	if err != nil {
		return err
	}
	// Who is a member already stays one. MariaDB's INSERT IGNORE would leave out those too that don't exist.
	already := " ON CONFLICT DO NOTHING"
	if m.s.dialect.mysql {
		already = " ON DUPLICATE KEY UPDATE user_id = VALUES(user_id)"
	}
	for part := range slices.Chunk(join, chunk) {
		var b strings.Builder
		b.WriteString("INSERT INTO coredata_group_members (group_id, user_id) VALUES ")
		for i, p := range part {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, "(%d,%d)", p.group, p.user)
		}
		if err := m.tx.Exec(b.String() + already).Error; err != nil {
			return err
		}
	}
	return nil
}

// leave deletes memberships: those of a hundred groups, or some thousand, at a time.
func (m *treeCommit) leave(pairs []pair) error {
	for len(pairs) > 0 {
		var b strings.Builder
		b.WriteString("DELETE FROM coredata_group_members WHERE ")
		n := 0
		for groups := 0; n < len(pairs) && n < chunk; groups++ {
			group := pairs[n].group
			if groups == 100 {
				break
			}
			if groups > 0 {
				b.WriteString(" OR ")
			}
			fmt.Fprintf(&b, "group_id = %d AND user_id IN (%d", group, pairs[n].user)
			for n++; n < len(pairs) && n < chunk && pairs[n].group == group; n++ {
				b.WriteByte(',')
				b.WriteString(strconv.FormatUint(pairs[n].user, 10))
			}
			b.WriteByte(')')
		}
		if err := m.tx.Exec(b.String()).Error; err != nil {
			return err
		}
		pairs = pairs[n:]
	}
	return nil
}

// kombit removes KOMBIT roles of users, then adds others.
func (m *treeCommit) kombit() error {
	if err := m.removeKombit(); err != nil {
		return err
	}
	rows := make([]coredata.KombitRole, 0, len(m.t.KombitAdd))
	for _, k := range m.t.KombitAdd {
		row := coredata.KombitRole{UserID: m.userID(k.User), Identifier: k.Identifier, CVR: k.CVR}
		if row.UserID == 0 {
			return fmt.Errorf("%w: a KOMBIT role of nobody", ErrInvalid)
		}
		if err := withinLimits(most{"a KOMBIT role's identifier", row.Identifier, 255}, most{"a KOMBIT role's CVR number", row.CVR, 8}); err != nil {
			return err
		}
		rows = append(rows, row)
	}
	// One that is there already is brought up to date with itself.
	return replace(m.s, m.tx, "kombit_roles", rows, []string{"user_id", "identifier", "cvr"}, []string{"cvr"})
}

// removeKombit deletes by role: there are many users and few roles.
func (m *treeCommit) removeKombit() error {
	type role struct{ identifier, cvr string }
	users := map[role][]uint64{}
	var roles []role
	for _, k := range m.t.KombitRemove {
		id := m.userID(k.User)
		if id == 0 {
			return fmt.Errorf("%w: a KOMBIT role of nobody", ErrInvalid)
		}
		of := role{k.Identifier, k.CVR}
		if users[of] == nil {
			roles = append(roles, of)
		}
		users[of] = append(users[of], id)
	}
	for part := range slices.Chunk(roles, 100) {
		var few []clause.Expression
		for _, of := range part {
			if len(users[of]) <= 50 {
				few = append(few, clause.And(clause.Eq{Column: "identifier", Value: of.identifier}, clause.Eq{Column: "cvr", Value: of.cvr},
					clause.IN{Column: "user_id", Values: anys(users[of])}))
				continue
			}
			err := inChunks(users[of], func(some []uint64) error {
				return in(m.s, m.tx.Table("kombit_roles").Where("identifier = ? AND cvr = ?", of.identifier, of.cvr), "user_id", some).Delete(nil).Error
			})
			if err != nil {
				return err
			}
		}
		if len(few) == 0 {
			continue
		}
		if err := m.tx.Table("kombit_roles").Where(clause.Or(few...)).Delete(nil).Error; err != nil {
			return err
		}
	}
	return nil
}

func anys(ids []uint64) []any {
	out := make([]any, len(ids))
	for i, id := range ids {
		out[i] = id
	}
	return out
}

// marks puts on the work list whom the caller says, and those that share a NemLogin UUID, the old or the new one, with one
// of them or with somebody who is gone.
func (m *treeCommit) marks() error {
	ids, uuids := make([]uint64, 0, len(m.t.Mark)), make([]string, 0, len(m.t.Mark))
	for _, u := range m.t.Mark {
		id := m.userID(u)
		if id == 0 {
			return fmt.Errorf("%w: a mark of nobody", ErrInvalid)
		}
		ids = append(ids, id)
	}
	for _, u := range slices.Concat(m.t.Mark, m.t.Delete) {
		uuids = append(uuids, strings.ToLower(u.NemLoginUUID))
		if was := m.tree.seen.of(u.ID); was != nil {
			uuids = append(uuids, was.nemLoginUUID)
		}
	}
	return m.markAll(ids, uuids, m.t.Reason)
}

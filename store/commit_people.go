package store

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/rollebro/rollebro/rolecatalog"
)

// userRow is a user with the text that searches look through. The databases' own lower-casing differs: SQLite's knows no
// Danish letters.
type userRow struct {
	rolecatalog.User `gorm:"embedded"`
	Search           string
}

func searchText(u *rolecatalog.User) string {
	return strings.ToLower(strings.Join([]string{u.UserID, u.Name, u.Email, u.NemLoginUUID}, "\n"))
}

// coreDataColumns are the columns of rolecatalog.CoreData, in the order of its fields.
var coreDataColumns = []string{
	"from_core_data", "cd_alias", "cd_nsis_allowed", "cd_transfer_to_nemlogin", "cd_private_mitid", "cd_qualified_signature",
	"cd_robot", "cd_trusted_employee", "cd_expires_at", "cd_password_changed_on", "cd_department", "cd_ean", "cd_rid",
	"cd_external_uuid", "cd_attributes", "cd_kombit_attributes", "cd_roles", "cd_locked_dataset", "cd_locked_dataset_at",
	"cd_locked_expired",
}

// plainColumns are what every update of a user changes.
var plainColumns = []string{
	"ext_uuid", "domain_id", "user_id", "user_key", "name", "email", "nemlogin_uuid", "disabled", "disabled_at", "deleted",
	"deleted_time", "updated_at", "search",
}

// userColumns are what this update of users changes.
func (m *commit) userColumns() []string {
	if m.c.KeepCoreData {
		return plainColumns
	}
	return slices.Concat(plainColumns, coreDataColumns)
}

// tidyCoreData gives a user's row lists of its own, and none instead of empty ones: on both they are read back the same.
func tidyCoreData(c *rolecatalog.CoreData) {
	c.Attributes, c.KombitAttributes = tidyTexts(c.Attributes), tidyTexts(c.KombitAttributes)
	if len(c.Roles) == 0 {
		c.Roles = nil
	}
	c.Roles = slices.Clone(c.Roles)
}

func tidyTexts(texts map[string]string) map[string]string {
	if len(texts) == 0 {
		return nil
	}
	for name, text := range texts {
		if !utf8.ValidString(name) || !utf8.ValidString(text) {
			valid := make(map[string]string, len(texts))
			for n, t := range texts {
				valid[strings.ToValidUTF8(n, "\uFFFD")] = strings.ToValidUTF8(t, "\uFFFD")
			}
			return valid
		}
	}
	return texts
}

// users updates and creates, some at a time, so that not all of a large load is held twice. All updates go first: a user may
// be renamed and another one created under the old name.
func (m *commit) users() error {
	now := m.s.now()
	var order []*rolecatalog.User
	for _, u := range m.c.Users {
		if u == nil {
			return fmt.Errorf("%w: an entry is nil", ErrInvalid)
		}
		if u.ID != 0 {
			order = append(order, u)
		}
	}
	for _, u := range m.c.Users {
		if u.ID == 0 {
			order = append(order, u)
		}
	}
	m.people = make(map[*rolecatalog.User]uint64, len(order))
	uuids := make([]string, 0, len(order))
	for part := range slices.Chunk(order, chunk) {
		rows, err := m.someUsers(part, now)
		if err != nil {
			return err
		}
		for i, u := range part {
			m.people[u] = rows[i].ID
			uuids = append(uuids, rows[i].UUID)
		}
	}
	m.handBack = append(m.handBack, func() {
		for i, u := range order {
			u.ID, u.UUID = m.people[u], uuids[i]
			completeUser(u, now)
			tidy(reflect.ValueOf(u).Elem(), now)
			u.CPRCipher, u.CPRIndex = nil, nil
		}
	})
	return nil
}

// completeUser fills in what follows from the rest.
func completeUser(u *rolecatalog.User, now time.Time) {
	stamp(&u.CreatedAt, &u.UpdatedAt, now)
	u.UserKey = strings.ToLower(u.UserID)
	u.NemLoginUUID = strings.ToLower(u.NemLoginUUID)
	tidyCoreData(&u.CoreData)
}

func (m *commit) someUsers(users []*rolecatalog.User, now time.Time) ([]userRow, error) {
	given := make([]*userRow, len(users))
	for i, u := range users {
		given[i] = &userRow{User: *u}
	}
	if err := m.keepUUIDs(given); err != nil {
		return nil, err
	}
	return save(m, saving[userRow]{
		table: "users",
		given: given,
		id:    func(u *userRow) *uint64 { return &u.ID },
		prepare: func(u *userRow) error {
			completeUser(&u.User, now)
			if u.UUID == "" {
				u.UUID = uuid.NewString()
			}
			u.Search = searchText(&u.User)
			u.CPRCipher, u.CPRIndex = nil, nil
			if u.CPR != "" && !m.seen.hasCPR(u.ID, u.CPR) {
				if err := m.s.sealCPR(&u.User); err != nil {
					return err
				}
			}
			if u.UserID == "" {
				return fmt.Errorf("%w: a user without a user id", ErrInvalid)
			}
			if err := days(u.PasswordChangedOn); err != nil {
				return err
			}
			return withinLimits(most{"a user id", u.UserID, 255}, most{"a user id", u.UserKey, 255}, most{"a user's uuid", u.UUID, 64},
				most{"a user's extUuid", u.ExtUUID, 128}, most{"a NemLogin UUID", u.NemLoginUUID, 64})
		},
		columns: m.userColumns(),
		extra:   cprColumns,
		more:    func(u *userRow) bool { return u.CPRCipher != nil },
	})
}

// keepUUIDs gives the users that are there already the uuid that they have: it never changes, and their CPR numbers are
// bound to it. It holds them, and returns errMoved when one of them was changed after it was seen.
func (m *commit) keepUUIDs(users []*userRow) error {
	byID := map[uint64][]*userRow{}
	var ids []uint64
	for _, u := range users {
		if u.ID != 0 {
			byID[u.ID] = append(byID[u.ID], u)
			ids = append(ids, u.ID)
		}
	}
	return inChunks(ids, func(part []uint64) error {
		var stored []struct {
			ID        uint64
			UUID      string
			UpdatedAt time.Time
		}
		db := m.s.lock(m.tx).Table("users").Select("id", "uuid", "updated_at")
		if err := in(m.s, db, "id", part).Order("id").Find(&stored).Error; err != nil {
			return err
		}
		if len(stored) != len(part) {
			return fmt.Errorf("%d of those to be changed: %w", len(part)-len(stored), gorm.ErrRecordNotFound)
		}
		for _, row := range stored {
			if m.seen.moved(row.ID, row.UpdatedAt) {
				return errMoved
			}
			for _, u := range byID[row.ID] {
				u.UUID = row.UUID
			}
		}
		return nil
	})
}

// identities creates or replaces.
func (m *commit) identities() error {
	rows := slices.Clone(m.c.Identities)
	for i := range rows {
		r := &rows[i]
		if err := own(&r.CVR, m.c.CVR); err != nil {
			return err
		}
		if err := withinLimits(most{"a NemLogin UUID", r.UUID, 64}, most{"a hash", r.ObservedHash, 128}); err != nil {
			return err
		}
	}
	return replace(m.s, m.tx, "identities", rows, []string{"cvr", "uuid"}, []string{
		"user_id", "generation", "adopted_at", "read_at", "gone_since", "checked_at", "last_error", "observed_hash", "retired_at",
	})
}

// observed replaces what identities hold.
func (m *commit) observed() error {
	byCVR := map[string][]string{}
	var rows []rolecatalog.ObservedGrant
	last := map[[2]string]int{} // an identity that is there twice: the later one counts
	for i := range m.c.Observed {
		set := m.c.Observed[i]
		if err := own(&set.CVR, m.c.CVR); err != nil {
			return err
		}
		byCVR[set.CVR] = append(byCVR[set.CVR], set.Identity)
		last[[2]string{set.CVR, set.Identity}] = i
	}
	for i := range m.c.Observed {
		set := m.c.Observed[i]
		_ = own(&set.CVR, m.c.CVR)
		if last[[2]string{set.CVR, set.Identity}] != i {
			continue
		}
		for _, g := range set.Grants {
			g.ID, g.CVR, g.Identity = 0, set.CVR, set.Identity
			err := withinLimits(most{"a NemLogin UUID", g.Identity, 64}, most{"a role's uuid", g.Role, 64},
				most{"a scope type", g.ScopeType, 64}, most{"a scope value", g.ScopeValue, 255})
			if err != nil {
				return err
			}
			rows = append(rows, g)
		}
	}
	for cvr, identities := range byCVR {
		err := inChunks(identities, func(part []string) error {
			return in(m.s, m.tx.Table("observed_grants").Where("cvr = ?", cvr), "identity", part).Delete(&rolecatalog.ObservedGrant{}).Error
		})
		if err != nil {
			return err
		}
	}
	return insert(m.s, m.tx, "observed_grants", rows, nil)
}

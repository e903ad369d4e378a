package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"gorm.io/gorm"

	"github.com/rollebro/rollebro/coredata"
	"github.com/rollebro/rollebro/rolecatalog"
)

var _ coredata.Store = (*Store)(nil)

// Domain finds a domain by its name, ignoring case, and its master: itself, when it has no parent. coredata.ErrNoDomain.
func (s *Store) Domain(ctx context.Context, name string) (domain, master rolecatalog.Domain, err error) {
	err = s.view(ctx, "finding a domain", func(tx *gorm.DB) error {
		key := strings.ToLower(strings.TrimSpace(name))
		if err := tx.Table("domains").Where("name_key = ?", key).Take(&domain).Error; err != nil {
			return noDomain(err)
		}
		master = domain
		if domain.ParentID == nil {
			return nil
		}
		master = rolecatalog.Domain{}
		return tx.Table("domains").Where("id = ?", *domain.ParentID).Take(&master).Error
	})
	return domain, master, err
}

// noDomain says that it is the domain that wasn't found.
func noDomain(err error) error {
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return coredata.ErrNoDomain
	}
	return err
}

// domainsOf returns the master domain, which lock holds until the transaction ends, and its sub-domains by name.
// coredata.ErrNoDomain: there is none, or it is a sub-domain.
func (s *Store) domainsOf(tx *gorm.DB, master uint64, lock bool) (rolecatalog.Domain, []rolecatalog.Domain, error) {
	db := tx
	if lock {
		db = s.lock(tx)
	}
	var main rolecatalog.Domain
	if err := db.Table("domains").Where("id = ? AND parent_id IS NULL", master).Take(&main).Error; err != nil {
		return main, nil, noDomain(err)
	}
	var subs []rolecatalog.Domain
	return main, subs, tx.Table("domains").Where("parent_id = ?", master).Order("name_key").Find(&subs).Error
}

// treeIDs returns the row ids of a master domain and its sub-domains.
func (s *Store) treeIDs(tx *gorm.DB, master uint64) ([]uint64, error) {
	main, subs, err := s.domainsOf(tx, master, false)
	return idsOf(main, subs), err
}

func idsOf(main rolecatalog.Domain, subs []rolecatalog.Domain) []uint64 {
	ids := []uint64{main.ID}
	for i := range subs {
		ids = append(ids, subs[i].ID)
	}
	return ids
}

// callRow is a line of the call log with the name that it is found by.
type callRow struct {
	coredata.Call `gorm:"embedded"`
	DomainKey     string
}

// LogCall adds a line to the call log and sets its ID; At is set where it is zero. Texts that are too long are cut.
func (s *Store) LogCall(ctx context.Context, c *coredata.Call) error {
	row := callRow{Call: *c}
	row.Endpoint, row.Domain, row.Client, row.Error = cut(c.Endpoint, 255), cut(c.Domain, 255), cut(c.Client, 255), cut(c.Error, 1<<16)
	row.DomainKey = cut(strings.ToLower(strings.TrimSpace(row.Domain)), 255)
	if row.At.IsZero() {
		row.At = s.now()
	}
	row.ID, row.At = 0, micro(row.At)
	if len(row.Counts) == 0 {
		row.Counts = nil
	}
	err := s.update(ctx, "logging a call", func(tx *gorm.DB) error {
		row.ID = 0
		return tx.Table("coredata_calls").Create(&row).Error
	})
	if err != nil {
		return err
	}
	*c = row.Call
	return nil
}

// Calls returns the newest lines of the call log first; domain, ignoring case, "": of all. limit 0: all of them.
func (s *Store) Calls(ctx context.Context, domain string, limit int) ([]coredata.Call, error) {
	db := s.read.WithContext(ctx).Table("coredata_calls").Order("at DESC, id DESC")
	if key := strings.ToLower(strings.TrimSpace(domain)); key != "" {
		db = db.Where("domain_key = ?", key)
	}
	if limit > 0 {
		db = db.Limit(limit)
	}
	var calls []coredata.Call
	if err := db.Find(&calls).Error; err != nil {
		return nil, s.mapError(ctx, "reading the call log", err)
	}
	return calls, nil
}

// LastLoads tells, by master domain name, when a load (a successful POST) of it or of one of its sub-domains was last
// logged. A domain whose last load is older than the log isn't there.
func (s *Store) LastLoads(ctx context.Context) (map[string]time.Time, error) {
	var rows []struct {
		Name string
		At   time.Time
	}
	// The newest line's own time, and not MAX(at), whose type SQLite doesn't tell.
	err := s.read.WithContext(ctx).Raw("SELECT COALESCE(m.name, d.name) AS name, c.at AS at FROM domains d " +
		"LEFT JOIN domains m ON m.id = d.parent_id JOIN coredata_calls c ON c.id = (SELECT l.id FROM coredata_calls l " +
		"WHERE l.domain_key = d.name_key AND l.success = TRUE AND l.endpoint LIKE 'POST %' ORDER BY l.at DESC, l.id DESC LIMIT 1)").Scan(&rows).Error
	if err != nil {
		return nil, s.mapError(ctx, "looking for the last loads", err)
	}
	last := map[string]time.Time{}
	for _, r := range rows {
		if r.At.After(last[r.Name]) {
			last[r.Name] = r.At.UTC()
		}
	}
	return last, nil
}

// PruneCalls deletes the lines of the call log from before a time, and returns how many. A domain's last successful load
// stays: it tells since when the domain has been silent.
func (s *Store) PruneCalls(ctx context.Context, before time.Time) (int, error) {
	var gone int64
	err := s.update(ctx, "pruning the call log", func(tx *gorm.DB) error {
		// The selection is wrapped because MariaDB doesn't delete from a table that it selects from.
		done := tx.Table("coredata_calls").Where("at < ? AND id NOT IN (SELECT id FROM (SELECT MAX(id) AS id FROM coredata_calls "+
			"WHERE success = TRUE AND endpoint LIKE 'POST %' AND domain_key IN (SELECT name_key FROM domains) GROUP BY domain_key) AS last)", micro(before)).Delete(&coredata.Call{})
		gone = done.RowsAffected
		return done.Error
	})
	return int(gone), err
}

// AddRelease stores a release and sets its ID; CreatedAt is set where it is zero. rolecatalog.ErrNotFound: there is no such
// domain.
func (s *Store) AddRelease(ctx context.Context, r *coredata.Release) error {
	rows := []coredata.Release{*r}
	err := s.update(ctx, "storing a release", func(tx *gorm.DB) error {
		id, err := s.allocate(tx, "load_releases", 1)
		if err != nil {
			return err
		}
		rows[0].ID = id
		return insert(s, tx, "load_releases", rows, nil)
	})
	if err != nil {
		return err
	}
	*r = rows[0]
	return nil
}

// Expire locks the users whose ExpiresAt has come, marks them for the role side (and those that share their NemLogin UUIDs),
// records it, and returns how many they are. Of several that do this at the same time one finds each user.
func (s *Store) Expire(ctx context.Context, cvr string, now time.Time) (int, error) {
	const due = "cd_locked_expired = FALSE AND cd_expires_at <= ? AND deleted = FALSE"
	now = micro(now)
	// Looked at without a lock first: most of the time there is nobody.
	var some []uint64
	if err := s.read.WithContext(ctx).Table("users").Where(due, now).Limit(1).Pluck("id", &some).Error; err != nil {
		return 0, s.mapError(ctx, "looking for expired users", err)
	}
	if len(some) == 0 {
		return 0, nil
	}
	expired := 0
	err := s.update(ctx, "locking expired users", func(tx *gorm.DB) error {
		var users []rolecatalog.User
		query := s.lock(tx).Table("users").Select("id", "user_id", "nemlogin_uuid").Where(due, now)
		if err := query.Order("id").Find(&users).Error; err != nil {
			return err
		}
		expired = len(users)
		m := &commit{s: s, tx: tx, c: &rolecatalog.Changes{CVR: cvr}}
		ids, uuids := make([]uint64, len(users)), make([]string, 0, len(users))
		for i := range users {
			u := &users[i]
			ids[i] = u.ID
			uuids = append(uuids, u.NemLoginUUID)
			m.c.Audit = append(m.c.Audit, rolecatalog.AuditEvent{
				Actor: rolecatalog.ActorSchedule, Action: rolecatalog.AuditUser, User: u.UserID, Identity: u.NemLoginUUID,
				Detail: "locked: the account has expired",
			})
		}
		set := map[string]any{"cd_locked_expired": true, "updated_at": s.now()}
		err := inChunks(ids, func(part []uint64) error {
			return in(s, tx.Table("users"), "id", part).Updates(set).Error
		})
		if err != nil {
			return err
		}
		if err := m.markAll(ids, uuids, "the account has expired"); err != nil {
			return fmt.Errorf("the work list: %w", err)
		}
		return m.audit()
	})
	if err != nil {
		return 0, err
	}
	return expired, nil
}

// markAll puts users on the work list, and everybody who has one of the NemLogin UUIDs: with a change of one of them a
// conflict may begin or end for the others.
func (m *commit) markAll(ids []uint64, uuids []string, reason string) error {
	at := m.s.now()
	marked := make(map[uint64]bool, len(ids))
	add := func(id uint64) {
		if id != 0 && !marked[id] {
			marked[id] = true
			m.c.Mark = append(m.c.Mark, rolecatalog.Work{UserID: id, Reason: reason, NextTryAt: at, CreatedAt: at})
		}
	}
	for _, id := range ids {
		add(id)
	}
	err := inChunks(uuids, func(part []string) error {
		var sharing []uint64
		if part[0] == "" { // sorted: the one that says that there is none
			part = part[1:]
		}
		err := in(m.s, m.tx.Table("users"), "nemlogin_uuid", part).Order("id").Pluck("id", &sharing).Error
		for _, id := range sharing {
			add(id)
		}
		return err
	})
	if err != nil {
		return err
	}
	return m.mark()
}

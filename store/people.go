package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"gorm.io/gorm"

	"github.com/rollebro/rollebro/rolecatalog"
)

// plainUser are the columns of a user without the CPR number.
var plainUser = slices.Concat([]string{
	"id", "uuid", "ext_uuid", "domain_id", "user_id", "user_key", "name", "email", "nemlogin_uuid", "disabled", "disabled_at",
	"deleted", "deleted_time", "created_at", "updated_at",
}, coreDataColumns)

// Users returns the users that match, ordered by domain and user id.
func (s *Store) Users(ctx context.Context, f rolecatalog.UserFilter) ([]rolecatalog.User, error) {
	var users []rolecatalog.User
	err := s.view(ctx, "reading users", func(tx *gorm.DB) (err error) {
		users, err = s.filterUsers(tx, f)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := s.openCPR(users, f.WithCPR); err != nil {
		return nil, fmt.Errorf("reading users: %w", err)
	}
	return users, nil
}

// UsersByCPR returns the users, deleted ones too, that have this CPR number (10 digits): one person may have an account in
// each of several domains. CPR is filled in.
func (s *Store) UsersByCPR(ctx context.Context, cpr string) ([]rolecatalog.User, error) {
	tags, err := s.indexesOf(cpr)
	if err != nil {
		return nil, fmt.Errorf("looking up a CPR number: %w", err)
	}
	var users []rolecatalog.User
	err = s.read.WithContext(ctx).Table("users").Where("cpr_index IN ?", tags).Order("domain_id, user_key").Find(&users).Error
	if err != nil {
		return nil, s.mapError(ctx, "looking up a CPR number", err)
	}
	if err := s.openCPR(users, true); err != nil {
		return nil, fmt.Errorf("looking up a CPR number: %w", err)
	}
	return users, nil
}

// openCPR decrypts where it is asked for, and takes away what nobody outside needs.
func (s *Store) openCPR(users []rolecatalog.User, with bool) error {
	for i := range users {
		if with {
			if err := s.unsealCPR(&users[i]); err != nil {
				return err
			}
		}
		users[i].CPRCipher, users[i].CPRIndex = nil, nil
	}
	return nil
}

func (s *Store) filterUsers(tx *gorm.DB, f rolecatalog.UserFilter) ([]rolecatalog.User, error) {
	query := func() *gorm.DB { return s.userQuery(tx, f) }
	switch {
	case len(f.IDs) > chunk:
		return pieces(f, f.IDs, func(part []uint64) ([]rolecatalog.User, error) {
			piece := f
			piece.IDs, piece.Limit, piece.Offset = part, 0, 0
			return s.filterUsers(tx, piece)
		})
	case len(f.NemLoginUUIDs) > chunk:
		return pieces(f, f.NemLoginUUIDs, func(part []string) ([]rolecatalog.User, error) {
			piece := f
			piece.NemLoginUUIDs, piece.Limit, piece.Offset = part, 0, 0
			return s.filterUsers(tx, piece)
		})
	}
	db := query()
	if f.Limit > 0 {
		db = db.Limit(f.Limit)
	}
	if f.Offset > 0 {
		if f.Limit <= 0 {
			db = db.Limit(1 << 40) // MariaDB has no OFFSET without LIMIT
		}
		db = db.Offset(f.Offset)
	}
	var users []rolecatalog.User
	err := db.Order("domain_id, user_key, id").Find(&users).Error
	return users, err
}

// pieces puts together what a list too long for one statement gives.
func pieces[T uint64 | string](f rolecatalog.UserFilter, values []T, read func([]T) ([]rolecatalog.User, error)) ([]rolecatalog.User, error) {
	var users []rolecatalog.User
	err := inChunks(values, func(part []T) error {
		some, err := read(part)
		users = append(users, some...)
		return err
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(users, func(a, b rolecatalog.User) int {
		return cmp.Or(cmp.Compare(a.DomainID, b.DomainID), strings.Compare(a.UserKey, b.UserKey), cmp.Compare(a.ID, b.ID))
	})
	users = users[min(max(f.Offset, 0), len(users)):]
	if f.Limit > 0 {
		users = users[:min(f.Limit, len(users))]
	}
	return users, nil
}

func (s *Store) userQuery(tx *gorm.DB, f rolecatalog.UserFilter) *gorm.DB {
	db := tx.Table("users").Select(plainUser)
	if f.WithCPR {
		db = tx.Table("users").Select(append(slices.Clone(plainUser), "cpr_cipher"))
	}
	if f.IDs != nil {
		db = in(s, db, "id", f.IDs)
	}
	if f.NemLoginUUIDs != nil {
		db = in(s, db, "nemlogin_uuid", lower(f.NemLoginUUIDs))
	}
	if f.DomainID != 0 {
		db = db.Where("domain_id = ?", f.DomainID)
	}
	if f.Key != "" {
		key := strings.ToLower(f.Key)
		db = db.Where("user_key = ? OR uuid = ? OR uuid = ? OR ext_uuid = ? OR ext_uuid = ? OR nemlogin_uuid = ?", key, f.Key, key, f.Key, key, key)
	}
	if f.Search != "" {
		db = db.Where("INSTR(search, ?) > 0", strings.ToLower(f.Search))
	}
	if f.WithNemLogin {
		db = db.Where("nemlogin_uuid <> ''")
	}
	if !f.IncludeDeleted {
		db = db.Where("deleted = ?", false)
	}
	return db
}

// lower returns the texts in lower case.
func lower(texts []string) []string {
	out := make([]string, len(texts))
	for i, t := range texts {
		out[i] = strings.ToLower(t)
	}
	return out
}

// Identities returns all accounts in MitID Erhverv that are known of an organisation.
func (s *Store) Identities(ctx context.Context, cvr string) ([]rolecatalog.Identity, error) {
	var rows []rolecatalog.Identity
	if err := s.read.WithContext(ctx).Table("identities").Where("cvr = ?", cvr).Order("uuid").Find(&rows).Error; err != nil {
		return nil, s.mapError(ctx, "reading identities", err)
	}
	return rows, nil
}

// Observed returns the observed grants of some identities (nil: of all), ordered by identity, role and scope.
func (s *Store) Observed(ctx context.Context, cvr string, identities []string) ([]rolecatalog.ObservedGrant, error) {
	const order = "identity, role, scope_type, scope_value, id"
	var rows []rolecatalog.ObservedGrant
	err := s.view(ctx, "reading observed grants", func(tx *gorm.DB) error {
		rows = nil
		if identities == nil {
			return tx.Table("observed_grants").Where("cvr = ?", cvr).Order(order).Find(&rows).Error
		}
		return inChunks(lower(identities), func(part []string) error {
			var some []rolecatalog.ObservedGrant
			err := in(s, tx.Table("observed_grants").Where("cvr = ?", cvr), "identity", part).Order(order).Find(&some).Error
			rows = append(rows, some...)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return rows, nil
}

// ObservedTotals counts the observed grants of roles in the catalogue.
func (s *Store) ObservedTotals(ctx context.Context, cvr string) (total int, byRole map[string]int, err error) {
	var rows []struct {
		Role string
		N    int
	}
	err = s.read.WithContext(ctx).Raw("SELECT g.role, COUNT(*) AS n FROM observed_grants g "+
		"JOIN system_roles r ON r.cvr = g.cvr AND r.uuid = g.role AND r.withdrawn_at IS NULL "+
		"WHERE g.cvr = ? AND (g.scope_type IN ('PU', 'SE') OR g.scope_type = 'Cvr' AND g.scope_value = ?) GROUP BY g.role",
		cvr, cvr).Scan(&rows).Error
	if err != nil {
		return 0, nil, s.mapError(ctx, "counting observed grants", err)
	}
	byRole = make(map[string]int, len(rows))
	for _, r := range rows {
		byRole[r.Role] = r.N
		total += r.N
	}
	return total, byRole, nil
}

// Domains returns the domains, main ones and their sub-domains, by name.
func (s *Store) Domains(ctx context.Context) ([]rolecatalog.Domain, error) {
	var rows []rolecatalog.Domain
	if err := s.read.WithContext(ctx).Table("domains").Order("name_key").Find(&rows).Error; err != nil {
		return nil, s.mapError(ctx, "reading domains", err)
	}
	return rows, nil
}

// CreateDomain creates a domain, or a sub-domain when parent is given. rolecatalog.ErrDuplicate: there is one of this name,
// ignoring case. rolecatalog.ErrNotFound: there is no such parent. ErrInvalid: no name, or a parent that is a sub-domain.
func (s *Store) CreateDomain(ctx context.Context, name string, parent *uint64) (rolecatalog.Domain, error) {
	name = strings.TrimSpace(name)
	var rows []rolecatalog.Domain
	err := s.update(ctx, "creating a domain", func(tx *gorm.DB) error {
		if name == "" {
			return fmt.Errorf("%w: a domain without a name", ErrInvalid)
		}
		if err := withinLimits(most{"a domain's name", name, 255}); err != nil {
			return err
		}
		if parent != nil {
			var up rolecatalog.Domain
			if err := s.lock(tx).Table("domains").Where("id = ?", *parent).Take(&up).Error; err != nil {
				return fmt.Errorf("its parent: %w", err)
			}
			if up.ParentID != nil {
				return fmt.Errorf("%w: a sub-domain of a sub-domain", ErrInvalid)
			}
		}
		id, err := s.allocate(tx, "domains", 1)
		if err != nil {
			return err
		}
		rows = []rolecatalog.Domain{{ID: id, Name: name, NameKey: strings.ToLower(name), ParentID: parent}}
		return insert(s, tx, "domains", rows, nil)
	})
	if err != nil {
		return rolecatalog.Domain{}, err
	}
	return rows[0], nil
}

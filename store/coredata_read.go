package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"gorm.io/gorm"

	"github.com/rollebro/rollebro/coredata"
	"github.com/rollebro/rollebro/rolecatalog"
)

// How much of a stream is held at a time. Between the pieces no transaction is open: a client that reads slowly keeps nobody
// waiting.
const (
	streamUsers   = 2000
	streamMembers = 20_000 // of all groups of a piece, unless a single group has more
)

// People streams the users of the tree of a master domain by row id, deleted ones left out, with their CPR numbers; only those
// with this CPR number when cpr isn't empty. coredata.ErrNoDomain.
func (s *Store) People(ctx context.Context, master uint64, cpr string, each func([]rolecatalog.User) error) error {
	const doing = "reading a domain's people"
	query, err := s.peopleQuery(ctx, master, cpr)
	if err != nil {
		return s.mapError(ctx, doing, err)
	}
	return s.streamUsers(ctx, doing, query, slices.Concat(plainUser, cprColumns), each)
}

// peopleQuery returns a query of the users of a tree.
func (s *Store) peopleQuery(ctx context.Context, master uint64, cpr string) (func(*gorm.DB) *gorm.DB, error) {
	ids, err := s.treeIDs(s.read.WithContext(ctx), master)
	if err != nil {
		return nil, err
	}
	if cpr == "" {
		// The sum keeps the databases from using the index of the domain, and from sorting everybody for each piece.
		return func(tx *gorm.DB) *gorm.DB {
			return tx.Table("users").Where("domain_id + 0 IN ? AND deleted = FALSE", ids)
		}, nil
	}
	tags, err := s.indexesOf(cpr)
	return func(tx *gorm.DB) *gorm.DB {
		return tx.Table("users").Where("domain_id IN ? AND deleted = FALSE AND cpr_index IN ?", ids, tags)
	}, err
}

// streamUsers hands over what a query finds, piece by piece.
func (s *Store) streamUsers(ctx context.Context, doing string, query func(*gorm.DB) *gorm.DB, columns []string, each func([]rolecatalog.User) error) error {
	for last := uint64(0); ; {
		users := make([]rolecatalog.User, 0, streamUsers)
		db := query(s.read.WithContext(ctx)).Where("id > ?", last).Limit(streamUsers)
		err := eachUser(db, columns, func(u *rolecatalog.User) error {
			if err := s.unsealCPR(u); err != nil {
				return err
			}
			u.CPRCipher, u.CPRIndex = nil, nil
			users = append(users, *u)
			return nil
		})
		if err != nil {
			return s.mapError(ctx, doing, err)
		}
		if len(users) == 0 {
			return nil
		}
		last = users[len(users)-1].ID
		full := len(users) == streamUsers
		if err := each(users); err != nil || !full {
			return err
		}
	}
}

// Kombit streams the KOMBIT roles of the users of a tree who have any, by user id; of those with this CPR number when cpr
// isn't empty. CPR isn't filled in. coredata.ErrNoDomain.
func (s *Store) Kombit(ctx context.Context, master uint64, cpr string, each func(rolecatalog.User, []coredata.KombitRole) error) error {
	const doing = "reading KOMBIT roles"
	people, err := s.peopleQuery(ctx, master, cpr)
	if err != nil {
		return s.mapError(ctx, doing, err)
	}
	query := func(tx *gorm.DB) *gorm.DB {
		return people(tx).Where("EXISTS (SELECT 1 FROM kombit_roles k WHERE k.user_id = users.id)")
	}
	return s.streamUsers(ctx, doing, query, plainUser, func(users []rolecatalog.User) error {
		ids := make([]uint64, len(users))
		for i := range users {
			ids[i] = users[i].ID
		}
		var roles []coredata.KombitRole
		err := in(s, s.read.WithContext(ctx).Table("kombit_roles"), "user_id", ids).Order("user_id, identifier, cvr").Find(&roles).Error
		if err != nil {
			return s.mapError(ctx, doing, err)
		}
		for i := range users {
			n := 0
			for n < len(roles) && roles[n].UserID == users[i].ID {
				n++
			}
			if n == 0 {
				continue // taken away meanwhile
			}
			if err := each(users[i], roles[:n:n]); err != nil {
				return err
			}
			roles = roles[n:]
		}
		return nil
	})
}

// Groups streams the groups of exactly one domain by row id, with their members' account names, lower case and ascending;
// Group.Members isn't filled in. With a CPR number: instead, the groups of any domain that a person with that number in the
// tree of the domain is in, each with all its members. coredata.ErrNoDomain.
func (s *Store) Groups(ctx context.Context, domain uint64, cpr string, each func(coredata.Group, []string) error) error {
	const doing = "reading groups"
	query, err := s.groupQuery(ctx, domain, cpr)
	if err != nil {
		return s.mapError(ctx, doing, err)
	}
	for last := uint64(0); ; {
		var groups []coredata.Group
		var sizes map[uint64]int
		err := s.view(ctx, doing, func(tx *gorm.DB) (err error) {
			groups = nil
			if err := query(tx).Where("id > ?", last).Order("id").Limit(streamUsers).Find(&groups).Error; err != nil {
				return err
			}
			sizes, err = s.groupSizes(tx, groups)
			return err
		})
		if err != nil || len(groups) == 0 {
			return err
		}
		last = groups[len(groups)-1].ID
		for len(groups) > 0 {
			n, members := 1, sizes[groups[0].ID]
			for n < len(groups) && members+sizes[groups[n].ID] <= streamMembers {
				members += sizes[groups[n].ID]
				n++
			}
			if err := s.giveGroups(ctx, doing, groups[:n], each); err != nil {
				return err
			}
			groups = groups[n:]
		}
	}
}

// groupQuery returns a query of groups.
func (s *Store) groupQuery(ctx context.Context, domain uint64, cpr string) (func(*gorm.DB) *gorm.DB, error) {
	var d rolecatalog.Domain
	if err := s.read.WithContext(ctx).Table("domains").Where("id = ?", domain).Take(&d).Error; err != nil {
		return nil, noDomain(err)
	}
	if cpr == "" {
		return func(tx *gorm.DB) *gorm.DB { return tx.Table("coredata_groups").Where("domain_id = ?", domain) }, nil
	}
	master := d.ID
	if d.ParentID != nil {
		master = *d.ParentID
	}
	people, err := s.peopleQuery(ctx, master, cpr)
	return func(tx *gorm.DB) *gorm.DB {
		users := people(tx).Select("id")
		return tx.Table("coredata_groups").Where("id IN (?)", tx.Table("coredata_group_members").Select("group_id").Where("user_id IN (?)", users))
	}, err
}

// groupSizes returns how many members groups have.
func (s *Store) groupSizes(tx *gorm.DB, groups []coredata.Group) (map[uint64]int, error) {
	ids := make([]uint64, len(groups))
	for i := range groups {
		ids[i] = groups[i].ID
	}
	var rows []struct {
		GroupID uint64
		N       int
	}
	err := in(s, tx.Table("coredata_group_members"), "group_id", ids).Select("group_id, COUNT(*) AS n").Group("group_id").Find(&rows).Error
	sizes := make(map[uint64]int, len(rows))
	for _, r := range rows {
		sizes[r.GroupID] = r.N
	}
	return sizes, err
}

// giveGroups reads the members of some groups and hands them over.
func (s *Store) giveGroups(ctx context.Context, doing string, groups []coredata.Group, give func(coredata.Group, []string) error) error {
	ids := make([]uint64, len(groups))
	for i := range groups {
		ids[i] = groups[i].ID
	}
	members := make(map[int64][]string, len(groups))
	query := s.read.WithContext(ctx).Table("coredata_group_members m").Joins("JOIN users u ON u.id = m.user_id").Where("u.deleted = FALSE")
	var group int64
	var name string
	err := each(in(s, query, "m.group_id", ids), "m.group_id, u.user_key", "m.group_id, u.user_key", func(rows *sql.Rows) error {
		if err := rows.Scan(&group, &name); err != nil {
			return err
		}
		members[group] = append(members[group], name)
		return nil
	})
	if err != nil {
		return s.mapError(ctx, doing, fmt.Errorf("members: %w", err))
	}
	for i := range groups {
		if err := give(groups[i], members[int64(groups[i].ID)]); err != nil {
			return err
		}
	}
	return nil
}

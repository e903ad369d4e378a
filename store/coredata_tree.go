package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"
	"sync"
	"time"

	"gorm.io/gorm"

	"github.com/rollebro/rollebro/coredata"
	"github.com/rollebro/rollebro/rolecatalog"
)

// errRefused ends a transaction whose changes were refused by the caller.
var errRefused = errors.New("refused")

// ChangeTree reads parts of a master domain's tree, has decide say what changes, and writes it as a whole or not at all. See
// coredata.Store. Marks go to everybody too who shares a NemLogin UUID with a marked or deleted user.
//
// On MariaDB and MySQL the transaction holds the master domain's row, so that loads of one master follow each other and
// those of different ones go on side by side. A user whom somebody else changes between reading and writing (the web page
// may) has it all run again. SQLite has one writer at a time: there everything is read and decided without keeping the
// others waiting, and only again, with the writing, when anything at all was written in between.
func (s *Store) ChangeTree(ctx context.Context, cvr string, master uint64, parts coredata.Part, decide func(*coredata.Tree) (*coredata.Changes, error)) error {
	release, err := s.queues.enter(ctx, master)
	if err != nil {
		return s.mapError(ctx, "waiting for another load", err)
	}
	defer release()
	c := &treeChange{s: s, cvr: cvr, master: master, parts: parts, decide: decide}
	if s.file != "" {
		err = c.ahead(ctx)
	} else {
		err = s.update(ctx, "changing a domain", c.whole)
	}
	if c.refused != nil {
		return c.refused
	}
	if err != nil {
		return err
	}
	c.handBack()
	return nil
}

// queues let the loads of a master domain wait for each other within this process, so that they don't each hold a connection
// meanwhile.
type queues struct {
	mu sync.Mutex
	of map[uint64]chan struct{}
}

func (q *queues) enter(ctx context.Context, master uint64) (leave func(), err error) {
	q.mu.Lock()
	if q.of == nil {
		q.of = map[uint64]chan struct{}{}
	}
	turn := q.of[master]
	if turn == nil {
		turn = make(chan struct{}, 1)
		q.of[master] = turn
	}
	q.mu.Unlock()
	select {
	case turn <- struct{}{}:
		return func() { <-turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// treeChange is one call of ChangeTree.
type treeChange struct {
	s      *Store
	cvr    string
	master uint64
	parts  coredata.Part
	decide func(*coredata.Tree) (*coredata.Changes, error)

	refused error // what decide returned
	tree    *treeReader
	changes *coredata.Changes
	done    *treeCommit // the last try
}

// plan reads the tree and has the caller decide.
func (c *treeChange) plan(tx *gorm.DB) error {
	c.refused, c.changes, c.done = nil, nil, nil
	c.tree = &treeReader{s: c.s, tx: tx}
	if err := c.tree.read(c.master, c.parts); err != nil {
		return err
	}
	return c.ask()
}

func (c *treeChange) ask() error {
	var err error
	if c.changes, err = c.decide(&c.tree.Tree); err != nil {
		c.refused = err
		return errRefused
	}
	return nil
}

// write writes what was decided.
func (c *treeChange) write(tx *gorm.DB) error {
	if c.changes == nil {
		return nil
	}
	c.done = newTreeCommit(c, tx)
	return c.done.run()
}

// whole reads, decides and writes in one transaction.
func (c *treeChange) whole(tx *gorm.DB) error {
	if err := c.plan(tx); err != nil {
		return err
	}
	return c.write(tx)
}

// ahead reads and decides before it takes SQLite's one lock, which is the longer part of most loads. The data version of the
// connection that has read tells under the lock whether anything was written since by any other connection, of other
// processes too; then everything is done again there.
func (c *treeChange) ahead(ctx context.Context) error {
	err := c.s.read.WithContext(ctx).Connection(func(conn *gorm.DB) error {
		conn = conn.Session(&gorm.Session{NewDB: true, Context: ctx})
		version := func(tx *gorm.DB) (n int64, err error) {
			err = tx.Raw("PRAGMA data_version").Scan(&n).Error
			return n, err
		}
		var read int64
		err := conn.Transaction(func(tx *gorm.DB) (err error) {
			c.tree = &treeReader{s: c.s, tx: tx}
			if err := c.tree.read(c.master, c.parts); err != nil {
				return err
			}
			read, err = version(tx)
			return err
		}, &sql.TxOptions{ReadOnly: true})
		if err != nil {
			return err
		}
		if err := c.ask(); err != nil || c.changes == nil {
			return err
		}
		return c.s.update(ctx, "changing a domain", func(tx *gorm.DB) error {
			now, err := version(conn)
			if err != nil {
				return err
			}
			if now != read {
				return c.whole(tx)
			}
			return c.write(tx)
		})
	})
	if err != nil {
		return c.s.mapError(ctx, "changing a domain", err)
	}
	return nil
}

func (c *treeChange) handBack() {
	if c.done == nil {
		return
	}
	for _, hand := range c.done.handBack {
		hand()
	}
}

// treeReader reads a tree.
type treeReader struct {
	coredata.Tree
	s    *Store
	tx   *gorm.DB
	seen *seenUsers
}

// ids returns the row ids of the tree's domains.
func (r *treeReader) ids() []uint64 { return idsOf(r.Master, r.Subs) }

func (r *treeReader) read(master uint64, parts coredata.Part) error {
	var err error
	if r.Master, r.Subs, err = r.s.domainsOf(r.tx, master, true); err != nil {
		return err
	}
	if parts&coredata.PartPeople != 0 {
		if err := r.people(); err != nil {
			return err
		}
	}
	if parts&coredata.PartGroups != 0 {
		if err := r.groups(); err != nil {
			return err
		}
	}
	if parts&coredata.PartKombit != 0 {
		if err := r.kombit(); err != nil {
			return err
		}
	}
	var releases []coredata.Release
	err = r.tx.Table("load_releases").Where("domain_id = ? AND used_at IS NULL AND created_at > ?", master, r.s.now().Add(-coredata.ReleaseHolds)).Order("id").Limit(1).Find(&releases).Error
	if err == nil && len(releases) > 0 {
		r.Release = &releases[0]
	}
	return err
}

func (r *treeReader) people() error {
	r.seen = &seenUsers{}
	// Many at a time: one by one they would cost the garbage collector dear.
	var room []rolecatalog.User
	// The sum keeps the databases from using the index of the domain, and from sorting everybody then.
	query := r.tx.Table("users").Where("domain_id + 0 IN ? AND deleted = FALSE", r.ids())
	return eachUser(query, slices.Concat(plainUser, cprColumns), func(u *rolecatalog.User) error {
		if err := r.s.unsealCPR(u); err != nil {
			return err
		}
		u.CPRCipher, u.CPRIndex = nil, nil
		if len(room) == cap(room) {
			room = make([]rolecatalog.User, 0, 256)
		}
		room = append(room, *u)
		r.People = append(r.People, &room[len(room)-1])
		r.seen.add(u)
		return nil
	})
}

func (r *treeReader) groups() error {
	ids := r.ids()
	if err := r.tx.Table("coredata_groups").Where("domain_id IN ?", ids).Order("id").Find(&r.Groups).Error; err != nil {
		return err
	}
	at := make(map[int64]*coredata.Group, len(r.Groups))
	for _, g := range r.Groups {
		at[int64(g.ID)] = g
	}
	query := r.tx.Table("coredata_group_members m").Joins("JOIN coredata_groups g ON g.id = m.group_id").Where("g.domain_id IN ?", ids)
	var group, user int64
	return each(query, "m.group_id, m.user_id", "m.group_id, m.user_id", func(rows *sql.Rows) error {
		if err := rows.Scan(&group, &user); err != nil {
			return err
		}
		g := at[group]
		g.Members = append(g.Members, uint64(user))
		return nil
	})
}

func (r *treeReader) kombit() error {
	query := r.tx.Table("kombit_roles k").Joins("JOIN users u ON u.id = k.user_id").Where("u.domain_id IN ? AND u.deleted = FALSE", r.ids())
	var user int64
	same := map[string]string{} // few roles, many users: each text once
	return each(query, "k.user_id, k.identifier, k.cvr", "k.user_id, k.identifier, k.cvr", func(rows *sql.Rows) error {
		var k coredata.KombitRole
		if err := rows.Scan(&user, &k.Identifier, &k.CVR); err != nil {
			return err
		}
		k.UserID = uint64(user)
		for _, text := range []*string{&k.Identifier, &k.CVR} {
			if known, ok := same[*text]; ok {
				*text = known
			} else {
				same[*text] = *text
			}
		}
		r.Kombit = append(r.Kombit, k)
		return nil
	})
}

// seenUsers is what is remembered of users as they were read, by row id: what the caller does to the rows is his own.
type seenUsers struct{ list []seenUser }

type seenUser struct {
	id           uint64
	updatedAt    int64 // microseconds
	cpr          string
	nemLoginUUID string
}

func (s *seenUsers) add(u *rolecatalog.User) {
	s.list = append(s.list, seenUser{u.ID, u.UpdatedAt.UnixMicro(), u.CPR, u.NemLoginUUID})
}

// of returns nil for a user who wasn't read.
func (s *seenUsers) of(id uint64) *seenUser {
	if s == nil {
		return nil
	}
	i, ok := slices.BinarySearchFunc(s.list, id, func(u seenUser, id uint64) int { return cmp.Compare(u.id, id) })
	if !ok {
		return nil
	}
	return &s.list[i]
}

// hasCPR reports whether the user was read with this CPR number, which then needn't be written again.
func (s *seenUsers) hasCPR(id uint64, cpr string) bool {
	u := s.of(id)
	return u != nil && u.cpr == cpr
}

// moved reports whether a user was changed after he was read.
func (s *seenUsers) moved(id uint64, updatedAt time.Time) bool {
	u := s.of(id)
	return u != nil && u.updatedAt != updatedAt.UnixMicro()
}

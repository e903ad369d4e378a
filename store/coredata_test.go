//go:build unix

package store_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"gorm.io/gorm"

	"github.com/rollebro/rollebro/coredata"
	"github.com/rollebro/rollebro/rolecatalog"
	"github.com/rollebro/rollebro/store"
	"github.com/rollebro/rollebro/store/storetest"
)

func person(domain uint64, name, cpr string) *rolecatalog.User {
	return &rolecatalog.User{DomainID: domain, UserID: name, Name: name, CPR: cpr, CoreData: rolecatalog.CoreData{FromCoreData: true}}
}

// load runs one on a master domain.
func load(ctx context.Context, s *store.Store, master uint64, decide func(*coredata.Tree) *coredata.Changes) error {
	const all = coredata.PartPeople | coredata.PartGroups | coredata.PartKombit
	return s.ChangeTree(ctx, storetest.CVR, master, all, func(tree *coredata.Tree) (*coredata.Changes, error) { return decide(tree), nil })
}

func create(t *testing.T, s *store.Store, users ...*rolecatalog.User) {
	t.Helper()
	must(t, load(t.Context(), s, users[0].DomainID, func(*coredata.Tree) *coredata.Changes { return &coredata.Changes{Create: users} }))
}

// A CPR number that a load leaves as it was is neither encrypted anew nor written.
func TestUnchangedCPRIsNotWritten(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) { //nolint:thelper // a test: its own lines are to be named
		create(t, s, person(1, "anna", "3102991111"), person(1, "bo", "3102992222"), person(1, "cia", "3102992222"))
		stored := func() map[string]string {
			var rows []struct {
				UserID    string
				CPRCipher []byte `gorm:"column:cpr_cipher"`
			}
			must(t, s.DB().Table("users").Find(&rows).Error)
			all := map[string]string{}
			for _, r := range rows {
				all[r.UserID] = string(r.CPRCipher)
			}
			return all
		}
		before := stored()
		must(t, load(t.Context(), s, 1, func(tree *coredata.Tree) *coredata.Changes {
			for _, u := range tree.People {
				if len(u.CPRCipher)+len(u.CPRIndex) > 0 {
					t.Error("what is encrypted is handed out")
				}
				u.Email = "ny@kommune.example"
			}
			tree.People[1].CPR, tree.People[2].CPR = "3102993333", ""
			return &coredata.Changes{Update: tree.People}
		}))
		after := stored()
		if before["anna"] != after["anna"] || before["cia"] != after["cia"] {
			t.Error("an unchanged number was written")
		}
		if before["bo"] == after["bo"] {
			t.Error("a changed number was not written")
		}
		must(t, load(t.Context(), s, 1, func(tree *coredata.Tree) *coredata.Changes {
			var numbers []string
			for _, u := range tree.People {
				numbers = append(numbers, u.CPR)
			}
			if !slices.Equal(numbers, []string{"3102991111", "3102993333", "3102992222"}) {
				t.Errorf("read back: %v", numbers)
			}
			return nil
		}))
	})
}

// Of two processes on one database each sees what the other one's loads have done.
func TestLoadsOfTwoProcesses(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]store.Options{
		"sqlite":  {URL: filepath.Join(t.TempDir(), "a.sqlite")},
		"mariadb": {URL: "mysql:" + storetest.MariaDB(t), KeyFile: filepath.Join(t.TempDir(), "key")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var processes [2]*store.Store
			for i := range processes {
				s, err := store.Open(t.Context(), o)
				must(t, err)
				processes[i] = s
				t.Cleanup(func() { must(t, s.Close()) })
			}
			const each = 10
			var wait sync.WaitGroup
			errs := make(chan error, len(processes)*each)
			for i := range len(processes) * each {
				wait.Go(func() {
					errs <- load(t.Context(), processes[i%len(processes)], 1, func(tree *coredata.Tree) *coredata.Changes {
						return &coredata.Changes{Create: []*rolecatalog.User{person(1, fmt.Sprintf("nr%d", len(tree.People)), "")}}
					})
				})
			}
			wait.Wait()
			close(errs)
			for err := range errs {
				if err != nil {
					t.Error(err)
				}
			}
			users, err := processes[0].Users(t.Context(), rolecatalog.UserFilter{})
			must(t, err)
			if len(users) != len(processes)*each {
				t.Errorf("%d users, want %d", len(users), len(processes)*each)
			}
		})
	}
}

// While one load is deciding, another master's goes through from beginning to end, and so do other changes.
func TestLoadsOfDifferentMastersGoSideBySide(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) { //nolint:thelper // a test: its own lines are to be named
		ctx := t.Context()
		other, err := s.CreateDomain(ctx, "Other", nil)
		must(t, err)
		var asked atomic.Int32
		must(t, load(ctx, s, 1, func(*coredata.Tree) *coredata.Changes {
			if asked.Add(1) == 1 {
				create(t, s, person(other.ID, "anna", ""))
				must(t, s.Commit(ctx, &rolecatalog.Changes{CVR: storetest.CVR, Users: []*rolecatalog.User{{DomainID: other.ID, UserID: "bo"}}}))
			}
			return &coredata.Changes{Create: []*rolecatalog.User{person(1, "cia", "")}}
		}))
		users, err := s.Users(ctx, rolecatalog.UserFilter{})
		must(t, err)
		if len(users) != 3 {
			t.Errorf("%d users, want 3", len(users))
		}
	})
}

// seeing tells when a statement that begins like this was run.
type seeing struct {
	statement string
	once      sync.Once
	seen      chan struct{}
}

func (h *seeing) Levels() []logrus.Level { return logrus.AllLevels }

func (h *seeing) Fire(e *logrus.Entry) error {
	if sql, ok := e.Data["sql"].(string); ok && strings.HasPrefix(sql, h.statement) {
		h.once.Do(func() { close(h.seen) })
	}
	return nil
}

// On MariaDB a load that has numbered and written its people doesn't keep another master's load from doing so.
func TestLoadsWriteSideBySide(t *testing.T) {
	t.Parallel()
	hook := &seeing{statement: "INSERT INTO `users`", seen: make(chan struct{})}
	log := logrus.New()
	log.SetOutput(nowhere{})
	log.SetLevel(logrus.DebugLevel)
	log.AddHook(hook)
	s := storetest.MariaDBStore(t, func(o *store.Options) { o.Logger = log })
	ctx := t.Context()
	other, err := s.CreateDomain(ctx, "Other", nil)
	must(t, err)
	first := make(chan error, 1)
	// Whoever holds the end of the audit trail keeps the first load from ending.
	must(t, s.DB().WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		var end uint64
		must(t, tx.Raw("SELECT last_id FROM audit_head WHERE id = 1 FOR UPDATE").Scan(&end).Error)
		go func() {
			first <- load(ctx, s, 1, func(*coredata.Tree) *coredata.Changes {
				return &coredata.Changes{Create: []*rolecatalog.User{person(1, "anna", "")}, Audit: []rolecatalog.AuditEvent{{Action: "load"}}}
			})
		}()
		<-hook.seen
		soon, cancel := context.WithTimeout(ctx, 15*time.Second)
		defer cancel()
		must(t, load(soon, s, other.ID, func(*coredata.Tree) *coredata.Changes {
			return &coredata.Changes{Create: []*rolecatalog.User{person(other.ID, "bo", "")}}
		}))
		select {
		case err := <-first:
			t.Errorf("the first load was to wait, and ended with %v", err)
		default:
		}
		return nil
	}))
	must(t, <-first)
}

// A user whom the web page changes while a load is deciding keeps that change: the load is decided again.
func TestLoadSeesLateChanges(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) { //nolint:thelper // a test: its own lines are to be named
		ctx := t.Context()
		anna := person(1, "anna", "3102991111")
		create(t, s, anna)
		asked := 0
		must(t, load(ctx, s, 1, func(tree *coredata.Tree) *coredata.Changes {
			if asked++; asked == 1 {
				late := *anna
				late.Disabled, late.CPR = true, ""
				must(t, s.Commit(ctx, &rolecatalog.Changes{CVR: storetest.CVR, Users: []*rolecatalog.User{&late}}))
			}
			tree.People[0].Email = "anna@kommune.example"
			return &coredata.Changes{Update: tree.People}
		}))
		users, err := s.Users(ctx, rolecatalog.UserFilter{WithCPR: true})
		must(t, err)
		if u := users[0]; asked != 2 || !u.Disabled || u.Email != "anna@kommune.example" || u.CPR != "3102991111" {
			t.Errorf("asked %d times; the user is %+v", asked, u)
		}
	})
}

// A load waits while another one of its master decides, and can be given up meanwhile.
func TestWaitingLoadEndsWithItsContext(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) { //nolint:thelper // a test: its own lines are to be named
		other, err := s.CreateDomain(t.Context(), "Other", nil)
		must(t, err)
		var deciding atomic.Bool
		must(t, load(t.Context(), s, 1, func(*coredata.Tree) *coredata.Changes {
			deciding.Store(true)
			defer deciding.Store(false)
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() {
				ended <- load(ctx, s, 1, func(*coredata.Tree) *coredata.Changes {
					if deciding.Load() {
						t.Error("two loads of one master decide at the same time")
					}
					return nil
				})
			}()
			for i := range 10 { // time enough for one that doesn't wait
				create(t, s, person(other.ID, fmt.Sprintf("nr%d", i), ""))
			}
			cancel()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("the error is %v", err)
			}
			return nil
		}))
	})
}

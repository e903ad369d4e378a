//go:build unix

package store_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"
	"gorm.io/gorm"

	"github.com/rollebro/rollebro/rolecatalog"
	"github.com/rollebro/rollebro/store"
	"github.com/rollebro/rollebro/store/storetest"
)

// What the connection string asks for has to arrive: drivers ignore what they don't know.
func TestSQLitePragmas(t *testing.T) {
	t.Parallel()
	s := storetest.SQLite(t)
	for pragma, want := range map[string]string{
		"journal_mode": "wal", "foreign_keys": "1", "synchronous": "2", "busy_timeout": "500", "trusted_schema": "0", "query_only": "0",
	} {
		for name, db := range map[string]*gorm.DB{"writing": s.DB(), "reading": s.ReadDB()} {
			var got string
			must(t, db.Raw("PRAGMA "+pragma).Scan(&got).Error)
			if pragma == "query_only" && name == "reading" {
				if got != "1" {
					t.Errorf("reading connections may write")
				}
			} else if got != want {
				t.Errorf("%s connections have %s = %q, want %q", name, pragma, got, want)
			}
		}
	}
	if err := s.ReadDB().Exec("DELETE FROM domains").Error; err == nil {
		t.Error("a reading connection has written")
	}
	if err := s.DB().Exec("INSERT INTO assignments SELECT 1, 'c', 4711, 1, '', '', '', '2026-01-01', NULL, ''").Error; !errors.Is(err, gorm.ErrForeignKeyViolated) {
		t.Errorf("a row without its parent: %v", err)
	}
	// _txlock=immediate: the lock is taken at the beginning, so a second process waits there and not in the middle.
	tx := s.DB().Begin()
	must(t, tx.Error)
	other, err := store.Open(t.Context(), store.Options{URL: filePlace(s), NoMigration: true})
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := other.Update(ctx, func(*gorm.DB) error { return nil }); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a second writing transaction: %v", err)
	}
	// Meanwhile everybody reads.
	if _, err := other.Domains(t.Context()); err != nil {
		t.Error(err)
	}
	must(t, tx.Rollback().Error)
	must(t, other.Close())
}

func filePlace(s *store.Store) string { return strings.TrimPrefix(s.Place(), "SQLite file ") }

func TestMariaDBSession(t *testing.T) {
	t.Parallel()
	s := storetest.MariaDBStore(t)
	var mode, zone, names string
	must(t, s.DB().Raw("SELECT @@sql_mode, @@time_zone, @@character_set_connection").Row().Scan(&mode, &zone, &names))
	if !strings.Contains(mode, "STRICT_ALL_TABLES") || zone != "+00:00" || names != "utf8mb4" {
		t.Errorf("sql_mode %s, time_zone %s, character set %s", mode, zone, names)
	}
	if s.Dialect() != "mariadb" {
		t.Errorf("the dialect is %s", s.Dialect())
	}
	err := s.Backup(t.Context(), filepath.Join(t.TempDir(), "x"))
	if !errors.Is(err, store.ErrBackup) || !strings.Contains(err.Error(), "mariadb-dump") {
		t.Errorf("a backup gives the error %v", err)
	}
}

func TestJDBC(t *testing.T) {
	t.Parallel()
	url, user, password := storetest.MariaDBJDBC(t)
	s, err := store.Open(t.Context(), store.Options{URL: url + "?useSSL=false&serverTimezone=Europe/Copenhagen", Username: user, Password: password})
	must(t, err)
	must(t, s.Ping(t.Context()))
	// Without a key file: everything but CPR numbers.
	u := &rolecatalog.User{DomainID: 1, UserID: "u"}
	must(t, s.Commit(t.Context(), &rolecatalog.Changes{Users: []*rolecatalog.User{u}}))
	u.CPR = "0102031233"
	if err := s.Commit(t.Context(), &rolecatalog.Changes{Users: []*rolecatalog.User{u}}); !errors.Is(err, store.ErrNoKey) || strings.Contains(err.Error(), u.CPR) {
		t.Errorf("storing a CPR number without a key: %v", err)
	}
	if _, err := s.UsersByCPR(t.Context(), u.CPR); !errors.Is(err, store.ErrNoKey) {
		t.Errorf("looking one up without a key: %v", err)
	}
	must(t, s.Close())

	open := func(o store.Options) error {
		s, err := store.Open(t.Context(), o)
		if err == nil {
			_ = s.Close()
		}
		return err
	}
	host, name := url[:strings.LastIndex(url, "/")], url[strings.LastIndex(url, "/"):]
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	closed := listener.Addr().String()
	must(t, listener.Close())
	for what, c := range map[string]struct {
		o    store.Options
		want string
	}{
		"password": {store.Options{URL: url, Username: user, Password: "secret-word"}, "refuses the user name or the password"},
		"database": {store.Options{URL: host + "/not_there", Username: user, Password: password}, "may not use the database"},
		"host":     {store.Options{URL: "jdbc:mariadb://" + closed + name, Username: user, Password: "secret-word"}, "no database answers at"},
		"name":     {store.Options{URL: "jdbc:mariadb://no-such-host.invalid" + name, Username: user, Password: "secret-word"}, "host name is not known"},
	} {
		err := open(c.o)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret-word") || strings.Count(err.Error(), "\n") > 1 || len(err.Error()) > 300 {
			t.Errorf("wrong %s: %v", what, err)
		}
	}
}

func TestSQLiteFileErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	other := filepath.Join(dir, "other.db")
	must(t, os.WriteFile(other, []byte(strings.Repeat("this is no database. ", 100)), 0o600))
	for file, want := range map[string]string{
		other:                            "is not a SQLite database",
		filepath.Join(dir, "no", "x.db"): "check that its directory exists",
		dir:                              "can't open",
		dir + "/x\x00.db":                "zero byte",
	} {
		s, err := store.Open(t.Context(), store.Options{URL: file})
		if err == nil {
			_ = s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q gives the error %v", file, err)
		}
	}
	// A name full of what means something in a URI.
	odd := filepath.Join(dir, "a b?c#d%41&_pragma=x;æ.db")
	s, err := store.Open(t.Context(), store.Options{URL: odd})
	must(t, err)
	must(t, s.Close())
	if _, err := os.Stat(odd); err != nil {
		t.Error(err)
	}
}

// Two transactions that lock each other out on purpose: both come through, one at its second try.
func TestDeadlockIsRunAgain(t *testing.T) {
	t.Parallel()
	s := storetest.MariaDBStore(t)
	if _, err := s.CreateDomain(t.Context(), "anden", nil); err != nil {
		t.Fatal(err)
	}
	met := make(chan struct{}, 2)
	both := make(chan struct{})
	go func() { <-met; <-met; close(both) }()
	errs := make(chan error, 2)
	for _, order := range [][2]int{{1, 2}, {2, 1}} {
		go func() {
			first := true
			errs <- s.Update(t.Context(), func(tx *gorm.DB) error {
				if err := tx.Exec("UPDATE domains SET name = CONCAT(name, '.') WHERE id = ?", order[0]).Error; err != nil {
					return err
				}
				if first {
					first = false
					met <- struct{}{}
					<-both
				}
				return tx.Exec("UPDATE domains SET name = CONCAT(name, '.') WHERE id = ?", order[1]).Error
			})
		}()
	}
	for range 2 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	all, err := s.Domains(t.Context())
	must(t, err)
	if all[0].Name != "Administrativt.." || all[1].Name != "anden.." {
		t.Errorf("the names are %q and %q", all[0].Name, all[1].Name)
	}
	if s.Retried() == 0 {
		t.Error("nothing was run again: the test has not made a deadlock")
	}
}

// The server cuts a transaction off: nothing of it stays, and the next one works.
func TestKilledConnection(t *testing.T) {
	t.Parallel()
	s := storetest.MariaDBStore(t)
	u := &rolecatalog.User{DomainID: 1, UserID: "u"}
	err := s.Commit(t.Context(), &rolecatalog.Changes{
		CVR: storetest.CVR, Users: []*rolecatalog.User{u},
		State: func(*rolecatalog.State) {
			var id uint64
			must(t, s.DB().Raw("SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID() ORDER BY time_ms LIMIT 1").Scan(&id).Error)
			must(t, s.DB().Exec("KILL ?", id).Error)
		},
	})
	if err == nil || u.ID != 0 {
		t.Fatalf("the error is %v, the id %d", err, u.ID)
	}
	must(t, s.Commit(t.Context(), &rolecatalog.Changes{CVR: storetest.CVR, Users: []*rolecatalog.User{u}}))
	all, err := s.Users(t.Context(), rolecatalog.UserFilter{})
	must(t, err)
	if len(all) != 1 {
		t.Errorf("%d users", len(all))
	}
	if _, ok := errors.AsType[*mysql.MySQLError](err); ok {
		t.Error(err)
	}
}

// Statements are logged without people's data.
func TestLogHasNoValues(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := logrus.New()
	log.SetOutput(&out)
	log.SetLevel(logrus.DebugLevel)
	s := storetest.SQLite(t, func(o *store.Options) { o.Logger = log })
	u := &rolecatalog.User{DomainID: 1, UserID: "hemmelig", Name: "Hemmelig Hansen", CPR: "0102031233"}
	must(t, s.Commit(t.Context(), &rolecatalog.Changes{Users: []*rolecatalog.User{u}}))
	err := s.Commit(t.Context(), &rolecatalog.Changes{Users: []*rolecatalog.User{{DomainID: 1, UserID: "hemmelig"}}})
	if !errors.Is(err, rolecatalog.ErrDuplicate) || strings.Contains(err.Error(), "hemmelig") {
		t.Errorf("the error is %v", err)
	}
	if _, err := s.Users(t.Context(), rolecatalog.UserFilter{Search: "hemmelig"}); err != nil {
		t.Fatal(err)
	}
	if text := strings.ToLower(out.String()); strings.Contains(text, "hemmelig") || strings.Contains(text, u.CPR) || !strings.Contains(text, "insert into") {
		t.Errorf("the log is\n%s", out.String())
	}
}

// Only its owner can read a database that is made here; one that is there keeps the mode that somebody gave it.
func TestSQLiteFileMode(t *testing.T) {
	t.Parallel()
	modes := func(file string) map[string]string {
		found := map[string]string{}
		for _, suffix := range []string{"", "-wal", "-shm"} {
			info, err := os.Stat(file + suffix)
			must(t, err)
			found[suffix] = info.Mode().Perm().String()
		}
		return found
	}
	for _, test := range []struct {
		before os.FileMode // 0: none
		want   string
	}{{0, "-rw-------"}, {0o640, "-rw-r-----"}} {
		file := filepath.Join(t.TempDir(), "rollebro.db")
		if test.before != 0 {
			must(t, os.WriteFile(file, nil, test.before))
			must(t, os.Chmod(file, test.before))
		}
		s, err := store.Open(t.Context(), store.Options{URL: "sqlite:" + file})
		must(t, err)
		if diff := cmp.Diff(map[string]string{"": test.want, "-wal": test.want, "-shm": test.want}, modes(file)); diff != "" {
			t.Errorf("made with mode %o (-want +got):\n%s", test.before, diff)
		}
		must(t, s.Close())
	}
}

func TestBackup(t *testing.T) {
	t.Parallel()
	s := storetest.SQLite(t)
	ctx, file := t.Context(), filepath.Join(t.TempDir(), "copy.db")
	must(t, s.Commit(ctx, &rolecatalog.Changes{Users: []*rolecatalog.User{{DomainID: 1, UserID: "u", CPR: "0102031233"}}}))
	must(t, s.Backup(ctx, file))
	info, err := os.Stat(file)
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("its mode is %v", info.Mode())
	}
	if err := s.Backup(ctx, file); !errors.Is(err, os.ErrExist) {
		t.Errorf("a second backup to the same file: %v", err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if err := s.Backup(ended, file+"2"); !errors.Is(err, context.Canceled) {
		t.Errorf("a backup that is called off: %v", err)
	}
	if _, err := os.Stat(file + "2"); !errors.Is(err, os.ErrNotExist) {
		t.Error("it has left a file behind")
	}
	// The copy opens with the original's key, and with no other.
	c, err := store.Open(ctx, store.Options{URL: file, KeyFile: filePlace(s) + ".key"})
	must(t, err)
	users, err := c.Users(ctx, rolecatalog.UserFilter{WithCPR: true})
	must(t, err)
	if len(users) != 1 || users[0].CPR != "0102031233" {
		t.Errorf("the copy has %d users", len(users))
	}
	report, err := c.Check(ctx)
	must(t, err)
	if !report.OK() || report.Users != 1 {
		t.Errorf("the copy's report: %+v", report)
	}
	must(t, c.Close())
}

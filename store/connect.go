package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/glebarez/sqlite"
	mysqldriver "github.com/go-sql-driver/mysql"
	"gorm.io/driver/mysql"
	"gorm.io/gorm"
)

// dialect is what the two kinds of database differ in.
type dialect struct {
	name    string // sqlite, mariadb, mysql
	mysql   bool   // MariaDB or MySQL
	collate string // byte by byte, trailing spaces counting
	// variables is how many values one statement may have. SQLite's driver looks each value up in the list of all of them,
	// so that its time grows with the square of their number.
	variables int
	// bytes is how much text one statement may carry: MariaDB's max_allowed_packet is 16 MiB unless raised.
	bytes int
}

var (
	sqliteDialect  = dialect{name: "sqlite", variables: 400, bytes: 32 << 20}
	mariadbDialect = dialect{name: "mariadb", mysql: true, collate: "utf8mb4_nopad_bin", variables: 20_000, bytes: 4 << 20}
	mysqlDialect   = dialect{name: "mysql", mysql: true, collate: "utf8mb4_0900_bin", variables: 20_000, bytes: 4 << 20}
)

func (s *Store) gormConfig() *gorm.Config {
	return &gorm.Config{
		Logger:                 sqlLogger{s.log},
		NowFunc:                s.now,
		TranslateError:         true, // gorm.ErrDuplicatedKey on both
		SkipDefaultTransaction: true, // there is one around everything already
		DisableAutomaticPing:   true,
	}
}

// openSQLite opens the file twice: one connection that writes, and some that only read and see what is committed.
func (s *Store) openSQLite(ctx context.Context, t *target, o Options) error {
	s.dialect, s.file = sqliteDialect, t.file
	if s.keyFile == "" && t.file != "" {
		s.keyFile = t.file + ".key"
	}
	var err error
	if t.memory {
		// Memory lives as long as a connection to it, and a transaction whose context ends takes its own one with it. So
		// another one is kept.
		dsn := sqliteDSN("", false)
		if s.keep, err = s.sqlitePool(ctx, dsn, 1); err == nil {
			s.write, err = s.sqlitePool(ctx, dsn, 1)
		}
		s.read = s.write
		return err
	}
	// Names, addresses and who may do what are not for everybody on the machine. The files beside it get the same mode from
	// SQLite. What keeps the file from being made is told by SQLite below.
	if f, err := os.OpenFile(t.file, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); err == nil {
		_ = f.Close()
	}
	if s.write, err = s.sqlitePool(ctx, sqliteDSN(t.file, false), 1); err != nil {
		return err
	}
	s.read, err = s.sqlitePool(ctx, sqliteDSN(t.file, true), o.MaxConnections)
	return err
}

// sqliteDSN names the file as a URI, so that no character of its name is taken for a parameter. Writing transactions take
// the lock when they begin: one that reads first and then wants to write could only fail when another wrote meanwhile.
func sqliteDSN(file string, readOnly bool) string {
	q := url.Values{}
	q.Set("_txlock", "immediate")
	// Short, since a statement that waits in here doesn't see its context end; Store.again goes on waiting.
	q.Add("_pragma", "busy_timeout(500)")
	if file != "" {
		q.Add("_pragma", "journal_mode(WAL)")
	}
	// What the audit trail announces must have reached the disk before it is sent, also when the power goes.
	q.Add("_pragma", "synchronous(FULL)")
	q.Add("_pragma", "foreign_keys(1)")
	q.Add("_pragma", "trusted_schema(0)")
	if readOnly {
		q.Add("_pragma", "query_only(1)")
	}
	path := "/" + rand.Text()
	if file != "" {
		path = (&url.URL{Path: filepath.ToSlash(file)}).EscapedPath()
	} else {
		q.Set("vfs", "memdb")
	}
	return "file:" + path + "?" + q.Encode()
}

func (s *Store) sqlitePool(ctx context.Context, dsn string, connections int) (*gorm.DB, error) {
	pool, err := sql.Open(sqlite.DriverName, dsn)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", s.place, err)
	}
	pool.SetMaxOpenConns(connections)
	pool.SetMaxIdleConns(connections) // opening one runs all the pragmas; and memory is gone with its last connection
	// When two processes open a new file at once, one of them can't change it to WAL and isn't made to wait either.
	if err := s.again(ctx, func() error { return pool.PingContext(ctx) }); err != nil {
		_ = pool.Close()
		return nil, s.mapError(ctx, "opening the database", err)
	}
	db, err := gorm.Open(&sqlite.Dialector{Conn: pool}, s.gormConfig())
	if err != nil {
		_ = pool.Close()
		return nil, s.mapError(ctx, "opening the database", err)
	}
	return db, nil
}

// openMySQL connects to MariaDB or MySQL and finds out which it is.
func (s *Store) openMySQL(ctx context.Context, t *target, o Options) error {
	s.dialect = mariadbDialect
	c := t.mysql.Clone()
	c.ParseTime = true
	c.Loc = time.UTC
	c.InterpolateParams = true // one round trip a statement instead of three
	c.ClientFoundRows = true   // an update that changes nothing has found its row all the same
	c.MultiStatements = false
	c.RejectReadOnly = true
	c.Logger = &mysqldriver.NopLogger{}
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	if c.Params == nil {
		c.Params = map[string]string{}
	}
	c.Params["sql_mode"] = "'STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'"
	c.Params["time_zone"] = "'+00:00'"
	c.Params["innodb_lock_wait_timeout"] = "20"
	// The general utf8mb4 collation exists on every server; each table names its own.
	if err := c.Apply(mysqldriver.Charset("utf8mb4", "utf8mb4_bin")); err != nil {
		return fmt.Errorf("configuring the connection: %w", err)
	}
	connector, err := mysqldriver.NewConnector(c)
	if err != nil {
		return fmt.Errorf("configuring the connection: %w", err)
	}
	pool := sql.OpenDB(connector)
	pool.SetMaxOpenConns(o.MaxConnections)
	pool.SetMaxIdleConns(o.MaxConnections)
	pool.SetConnMaxLifetime(3 * time.Minute)
	var version string
	if err := pool.QueryRowContext(ctx, "SELECT VERSION()").Scan(&version); err != nil {
		_ = pool.Close()
		return s.mapError(ctx, "connecting to the database", err)
	}
	if !strings.Contains(version, "MariaDB") {
		s.dialect = mysqlDialect
	}
	if err := supported(s.dialect.name, version); err != nil {
		_ = pool.Close()
		return err
	}
	db, err := gorm.Open(mysql.New(mysql.Config{Conn: pool, DisableWithReturning: true}), s.gormConfig())
	if err != nil {
		_ = pool.Close()
		return s.mapError(ctx, "connecting to the database", err)
	}
	db.NowFunc = s.now // the dialect puts its own there
	s.read, s.write = db, db
	return s.openNumbers(ctx, connector)
}

// openNumbers prepares a connection of its own for the numbering of rows: with one of the others a transaction could wait
// for its own kind. It connects when it is first needed.
func (s *Store) openNumbers(ctx context.Context, connector driver.Connector) error {
	pool := sql.OpenDB(connector)
	pool.SetMaxOpenConns(1)
	pool.SetConnMaxIdleTime(time.Minute)
	db, err := gorm.Open(mysql.New(mysql.Config{Conn: pool, SkipInitializeWithVersion: true}), s.gormConfig())
	if err != nil {
		_ = pool.Close()
		return s.mapError(ctx, "preparing the numbering of rows", err)
	}
	s.numbers = db
	return nil
}

// supported refuses servers that lack what the schema needs: JSON-free, but with the byte-wise collations.
func supported(name, version string) error {
	// MariaDB may put 5.5.5- before its version for the sake of old replicas.
	v := strings.TrimPrefix(version, "5.5.5-")
	var major, minor int
	if _, err := fmt.Sscanf(v, "%d.%d", &major, &minor); err != nil {
		return fmt.Errorf("the database says its version is %q, which is not understood", version)
	}
	if name == "mariadb" && (major < 10 || major == 10 && minor < 6) {
		return fmt.Errorf("MariaDB %s is too old: 10.11 or later is needed", version)
	}
	if name == "mysql" && major < 8 {
		return fmt.Errorf("MySQL %s is too old: 8.0.17 or later is needed", version)
	}
	return nil
}

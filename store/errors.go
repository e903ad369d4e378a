package store

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"

	gosqlite "github.com/glebarez/go-sqlite"
	"github.com/go-sql-driver/mysql"
	"gorm.io/gorm"

	"github.com/rollebro/rollebro/rolecatalog"
)

// Errors of this package. The rooms' own errors (rolecatalog.ErrNotFound, scheduler.ErrHeld, …) are declared there.
var (
	ErrNewerSchema = errors.New("the database has a newer schema than this program; use the newer program, or the backup from before it")
	ErrPending     = errors.New("the database needs migrations; run: rollebro db migrate")
	ErrAmbiguous   = errors.New("more than one plan begins like this; give more of its id")
	ErrNoKey       = errors.New("no key file is set for CPR numbers, so they can't be stored or read")
	ErrWrongKey    = errors.New("the key file is not the one that this database's CPR numbers were encrypted with")
	ErrKeyMissing  = errors.New("the key file that this database's CPR numbers are encrypted with is not there")
	ErrBackup      = errors.New("MariaDB and MySQL are backed up by their own tool: mariadb-dump --single-transaction DATABASE")
	ErrBrokenChain = errors.New("the audit trail has been changed")
	ErrInvalid     = errors.New("can't be stored")
)

// errMoved says that a row was changed between its reading and its writing: the transaction is run again.
var errMoved = errors.New("changed by another meanwhile")

// Result codes of SQLite that matter here; the extended codes have them in their low byte.
const (
	sqliteBusy     = 5
	sqliteLocked   = 6
	sqliteReadOnly = 8
	sqliteCorrupt  = 11
	sqliteFull     = 13
	sqliteCantOpen = 14
	sqliteNotADB   = 26
)

// Error numbers of MariaDB and MySQL.
const (
	mysqlNoAccess     = 1044
	mysqlAccessDenied = 1045
	mysqlNoDatabase   = 1049
	mysqlTableDenied  = 1142
	mysqlPacket       = 1153
	mysqlLockWait     = 1205
	mysqlDeadlock     = 1213
)

// sqliteCode returns SQLite's primary result code, or 0.
func sqliteCode(err error) int {
	if e, ok := errors.AsType[*gosqlite.Error](err); ok {
		return e.Code() & 0xff
	}
	return 0
}

// mysqlNumber returns the server's error number, or 0.
func mysqlNumber(err error) uint16 {
	if e, ok := errors.AsType[*mysql.MySQLError](err); ok {
		return e.Number
	}
	return 0
}

// passing reports whether the transaction failed only because of others, and may be run again.
func passing(err error) bool {
	switch sqliteCode(err) {
	case sqliteBusy, sqliteLocked:
		return true
	}
	switch mysqlNumber(err) {
	case mysqlDeadlock, mysqlLockWait:
		return true
	}
	return errors.Is(err, errMoved)
}

// mapError puts the database's errors into the house's words. When the context has ended that is the error: what the
// driver makes of it differs.
func (s *Store) mapError(ctx context.Context, doing string, err error) error {
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", doing, ctx.Err())
	case errors.Is(err, gorm.ErrDuplicatedKey):
		return fmt.Errorf("%s: %w", doing, rolecatalog.ErrDuplicate)
	case errors.Is(err, gorm.ErrForeignKeyViolated):
		return fmt.Errorf("%s: a row that it refers to: %w", doing, rolecatalog.ErrNotFound)
	case errors.Is(err, gorm.ErrRecordNotFound):
		return fmt.Errorf("%s: %w", doing, rolecatalog.ErrNotFound)
	case sqliteCode(err) != 0 || mysqlNumber(err) != 0 || isNetwork(err):
		return fmt.Errorf("%s: %w", doing, s.explain(err))
	}
	return fmt.Errorf("%s: %w", doing, err)
}

func isNetwork(err error) bool {
	_, ok := errors.AsType[*net.OpError](err)
	return ok || errors.Is(err, mysql.ErrInvalidConn)
}

// explained is an error whose text is ours and whose cause is the driver's: the driver's own text repeats user names and
// hosts in its own order, and says little about what to do.
type explained struct {
	text  string
	cause error
}

func (e *explained) Error() string { return e.text }
func (e *explained) Unwrap() error { return e.cause }

// explain says what is wrong with the database and what to look at. No secrets are in it.
func (s *Store) explain(err error) error {
	text := ""
	switch sqliteCode(err) {
	case sqliteNotADB:
		text = fmt.Sprintf("%s is not a SQLite database (or it is encrypted)", s.place)
	case sqliteCantOpen:
		text = fmt.Sprintf("can't open or create %s: check that its directory exists and may be written to", s.place)
	case sqliteReadOnly:
		text = fmt.Sprintf("%s can't be written to: check the rights of the file and of its directory", s.place)
	case sqliteCorrupt:
		text = fmt.Sprintf("%s is damaged: restore a backup (%v)", s.place, err)
	case sqliteFull:
		text = fmt.Sprintf("the disk is full where %s is", s.place)
	case sqliteBusy, sqliteLocked:
		text = fmt.Sprintf("%s is locked by another process", s.place)
	}
	switch mysqlNumber(err) {
	case mysqlAccessDenied:
		text = fmt.Sprintf("%s refuses the user name or the password", s.place)
	case mysqlNoAccess:
		text = fmt.Sprintf("the user may not use the database at %s: it needs all rights on it (GRANT ALL ON database.* TO user)", s.place)
	case mysqlNoDatabase:
		text = fmt.Sprintf("%s: there is no database of this name; create it first (CREATE DATABASE)", s.place)
	case mysqlTableDenied:
		text = fmt.Sprintf("the user lacks rights on the database at %s: it needs all of them (GRANT ALL ON database.* TO user)", s.place)
	case mysqlPacket:
		text = fmt.Sprintf("a row is too large for %s: raise max_allowed_packet", s.place)
	}
	if text != "" {
		return &explained{text: text, cause: err}
	}
	if e, ok := errors.AsType[*net.DNSError](err); ok {
		return &explained{text: fmt.Sprintf("%s: the host name is not known (%s)", s.place, e.Name), cause: err}
	}
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return &explained{text: fmt.Sprintf("%s: its certificate is not trusted (%v); name its root certificate with serverSslCert=FILE in the URL", s.place, e.Err), cause: err}
	}
	if _, ok := errors.AsType[*net.OpError](err); ok {
		return &explained{text: fmt.Sprintf("no database answers at %s: check host and port, and that it runs", s.place), cause: err}
	}
	if errors.Is(err, mysql.ErrInvalidConn) {
		return &explained{text: "the connection to " + s.place + " was lost", cause: err}
	}
	return err
}

package store

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"

	"gorm.io/gorm"

	"github.com/rollebro/rollebro/rolecatalog"
)

// eachUser runs a query of users and calls fn with each, in order of their row ids. columns is plainUser, or one with
// cprColumns after it. What fn gets is overwritten by the next one.
func eachUser(db *gorm.DB, columns []string, fn func(*rolecatalog.User) error) error {
	var row scannedUser
	withCPR := len(columns) > len(plainUser)
	to := row.targets(withCPR)
	return each(db, strings.Join(columns, ", "), "id", func(rows *sql.Rows) error {
		row = scannedUser{}
		if err := rows.Scan(to...); err != nil {
			return err
		}
		if err := row.finish(); err != nil {
			return err
		}
		return fn(&row.user)
	})
}

// cprColumns are what reads a user's CPR number.
var cprColumns = []string{"cpr_cipher", "cpr_index"}

// scannedUser is where the columns of a user are read to. Numbers are read as int64, which is what drivers give: database/sql
// turns it into anything else by way of text.
type scannedUser struct {
	user                      rolecatalog.User
	id, domain                int64
	attributes, kombit, roles sql.RawBytes
}

// targets points at the columns of plainUser, in its order.
func (s *scannedUser) targets(withCPR bool) []any {
	u := &s.user
	c := &u.CoreData
	to := []any{
		&s.id, &u.UUID, &u.ExtUUID, &s.domain, &u.UserID, &u.UserKey, &u.Name, &u.Email, &u.NemLoginUUID, &u.Disabled, &u.DisabledAt,
		&u.Deleted, &u.DeletedAt, &u.CreatedAt, &u.UpdatedAt,
		&c.FromCoreData, &c.Alias, &c.NSISAllowed, &c.TransferToNemLogin, &c.PrivateMitID, &c.QualifiedSignature,
		&c.Robot, &c.TrustedEmployee, &c.ExpiresAt, &c.PasswordChangedOn, &c.Department, &c.EAN, &c.RID,
		&c.ExternalUUID, &s.attributes, &s.kombit, &s.roles, &c.LockedDataset, &c.LockedDatasetAt,
		&c.LockedExpired,
	}
	if withCPR {
		to = append(to, &u.CPRCipher, &u.CPRIndex)
	}
	return to
}

// finish puts what was read on the side where it belongs.
func (s *scannedUser) finish() error {
	s.user.ID, s.user.DomainID = uint64(s.id), uint64(s.domain)
	for _, f := range []struct {
		text []byte
		to   any
	}{{s.attributes, &s.user.Attributes}, {s.kombit, &s.user.KombitAttributes}, {s.roles, &s.user.CoreData.Roles}} {
		if len(f.text) == 0 {
			continue
		}
		if err := json.Unmarshal(f.text, f.to); err != nil {
			return fmt.Errorf("reading the lists of user %s: %w", s.user.UUID, err)
		}
	}
	return nil
}

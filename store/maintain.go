package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"gorm.io/gorm"

	"github.com/rollebro/rollebro/rolecatalog"
)

// Report is what Check found.
type Report struct {
	Dialect  string   `json:"dialect"` // sqlite, mariadb, mysql
	Version  string   `json:"version"` // of the database program
	Place    string   `json:"place"`
	Schema   string   `json:"schema"`            // newest migration
	Pending  []string `json:"pending,omitempty"` // migrations still to be run
	Audit    int      `json:"audit"`             // events whose hash was checked
	Users    int      `json:"users"`
	Problems []string `json:"problems,omitempty"`
}

// OK reports whether nothing was found that a person must look at.
func (r *Report) OK() bool { return len(r.Problems) == 0 && len(r.Pending) == 0 }

// Check looks the database over: its own integrity, the schema's version, the audit trail, that every CPR number can be
// read. It changes nothing. An error means that it could not be looked at; what it found wrong is in the report.
func (s *Store) Check(ctx context.Context) (*Report, error) {
	r := &Report{Dialect: s.dialect.name, Place: s.place}
	version := "SELECT sqlite_version()"
	if s.dialect.mysql {
		version = "SELECT VERSION()"
	}
	if err := s.read.WithContext(ctx).Raw(version).Scan(&r.Version).Error; err != nil {
		return nil, s.mapError(ctx, "checking the database", err)
	}
	var err error
	if r.Pending, err = s.Pending(ctx); errors.Is(err, ErrNewerSchema) {
		r.Problems = append(r.Problems, err.Error())
		return r, nil
	} else if err != nil {
		return nil, err
	}
	if r.Schema, err = s.SchemaVersion(ctx); err != nil {
		return nil, err
	}
	if err := s.integrity(ctx, r); err != nil {
		return nil, s.mapError(ctx, "checking the database", err)
	}
	if len(r.Pending) > 0 {
		return r, nil // the tables may not be there
	}
	r.Audit, err = s.VerifyAudit(ctx)
	if errors.Is(err, ErrBrokenChain) {
		r.Problems = append(r.Problems, err.Error())
	} else if err != nil {
		return nil, err
	}
	return r, s.checkCPR(ctx, r)
}

// integrity asks the database itself.
func (s *Store) integrity(ctx context.Context, r *Report) error {
	db := s.read.WithContext(ctx)
	if !s.dialect.mysql {
		var lines []string
		if err := db.Raw("PRAGMA integrity_check").Scan(&lines).Error; err != nil {
			return err
		}
		for _, line := range lines {
			if line != "ok" {
				r.Problems = append(r.Problems, "integrity: "+line)
			}
		}
		var broken []struct{ Table, Parent string }
		if err := db.Raw("SELECT DISTINCT \"table\", parent FROM pragma_foreign_key_check").Scan(&broken).Error; err != nil {
			return err
		}
		for _, b := range broken {
			r.Problems = append(r.Problems, fmt.Sprintf("rows of %s refer to rows of %s that are not there", b.Table, b.Parent))
		}
		return nil
	}
	var tables []string
	query := "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE' ORDER BY table_name"
	if err := db.Raw(query).Scan(&tables).Error; err != nil {
		return err
	}
	for _, table := range tables {
		var lines []struct {
			MsgType string `gorm:"column:Msg_type"`
			MsgText string `gorm:"column:Msg_text"`
		}
		if err := db.Raw("CHECK TABLE `" + table + "`").Scan(&lines).Error; err != nil {
			return err
		}
		for _, line := range lines {
			if line.MsgType != "status" && line.MsgType != "note" {
				r.Problems = append(r.Problems, fmt.Sprintf("table %s: %s: %s", table, line.MsgType, line.MsgText))
			}
		}
	}
	return nil
}

// checkCPR decrypts every CPR number once, and forgets it.
func (s *Store) checkCPR(ctx context.Context, r *Report) error {
	var encrypted int64
	if err := s.read.WithContext(ctx).Table("users").Where("cpr_cipher IS NOT NULL").Count(&encrypted).Error; err != nil {
		return s.mapError(ctx, "checking CPR numbers", err)
	}
	if encrypted > 0 && s.keys == nil {
		r.Problems = append(r.Problems, ErrNoKey.Error())
		return nil
	}
	bad, last := 0, uint64(0)
	for {
		var users []rolecatalog.User
		err := s.read.WithContext(ctx).Table("users").Select("id", "uuid", "cpr_cipher").Where("id > ?", last).Order("id").Limit(chunk).Find(&users).Error
		if err != nil {
			return s.mapError(ctx, "checking CPR numbers", err)
		}
		for i := range users {
			if s.unsealCPR(&users[i]) != nil {
				bad++
			}
			last = users[i].ID
		}
		r.Users += len(users)
		if len(users) < chunk {
			break
		}
	}
	if bad > 0 {
		r.Problems = append(r.Problems, fmt.Sprintf("%d CPR numbers can't be decrypted: rows or the key were changed", bad))
	}
	return nil
}

// Backup writes a copy of a SQLite database, as of one moment, to a new file that only its owner can read. Others may go on
// working meanwhile. An existing file is never overwritten. The key file is not in it. On MariaDB and MySQL: ErrBackup.
func (s *Store) Backup(ctx context.Context, file string) error {
	if s.dialect.mysql {
		return ErrBackup
	}
	// VACUUM INTO takes an empty file; made here it has the right mode and can't be anybody else's.
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("backing up: %w", err)
	}
	_ = f.Close()
	if err := s.vacuumInto(ctx, file); err != nil {
		return errors.Join(s.mapError(ctx, "backing up", err), os.Remove(file))
	}
	return nil
}

func (s *Store) vacuumInto(ctx context.Context, file string) error {
	err := s.write.WithContext(ctx).Connection(func(conn *gorm.DB) error {
		return conn.Exec("VACUUM INTO ?", file).Error
	})
	if err != nil {
		return err
	}
	for _, name := range []string{file, filepath.Dir(file)} {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		err = f.Sync()
		_ = f.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

package store

import (
	"context"

	"gorm.io/gorm"
)

// What the tests reach into.

// Target is what a URL means.
type Target struct {
	Place, User, Password string
	Encrypted             bool
	Warnings              []string
}

// ParseURL reads a URL.
func ParseURL(url, username, password string) (Target, error) {
	t, err := parseURL(url, username, password)
	if err != nil {
		return Target{}, err
	}
	out := Target{Place: t.place(), Warnings: t.warnings}
	if t.mysql != nil {
		out.User, out.Password, out.Encrypted = t.mysql.User, t.mysql.Passwd, t.mysql.TLS != nil
	}
	return out, nil
}

// DB returns the writing connections.
func (s *Store) DB() *gorm.DB { return s.write }

// ReadDB returns the reading connections.
func (s *Store) ReadDB() *gorm.DB { return s.read }

// Retried returns how many transactions were run again.
func (s *Store) Retried() int64 { return s.retried.Load() }

// MigrateFirst runs the first n migrations.
func (s *Store) MigrateFirst(ctx context.Context, n int) error {
	return s.runList(ctx, s.write.WithContext(ctx), migrations[:n])
}

// RunStep runs a migration's statements without recording it: what a killed process leaves.
func (s *Store) RunStep(n int) error {
	return migrations[n].step.run(s.write, s.dialect, s.now())
}

// Migrations returns the ids.
func Migrations() []string {
	ids := make([]string, len(migrations))
	for i, m := range migrations {
		ids[i] = m.id
	}
	return ids
}

// Update runs fn as a writing transaction.
func (s *Store) Update(ctx context.Context, fn func(tx *gorm.DB) error) error {
	return s.update(ctx, "testing", fn)
}

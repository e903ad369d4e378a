// Package apikeys knows who may call the interfaces: keys with a role and, if wanted, limited to some domains. A key is
// made here, shown once, and kept as a hash only.
package apikeys

import (
	"context"
	"errors"
	"time"
)

// Role is what a key may do.
type Role string

// The roles.
const (
	CoreData     Role = "coredata"
	Organisation Role = "organisation"
	Read         Role = "read"
	Admin        Role = "admin" // everything
)

// ErrUnknown says that a key doesn't exist, is revoked or has expired: the caller is told no more than that.
var ErrUnknown = errors.New("unknown API key")

// Key is an API key as it is kept.
type Key struct {
	ID         uint64     `gorm:"primaryKey" json:"id"`
	Name       string     `json:"name"`   // for people
	Prefix     string     `json:"prefix"` // the first characters of the key, by which people tell keys apart
	Hash       []byte     `json:"-"`      // SHA-256 of the whole key: a key has 256 random bits, so no slow hash is needed
	Role       Role       `json:"role"`
	Domains    []string   `gorm:"serializer:json" json:"domains,omitempty"` // names of master domains; empty: all
	CreatedAt  time.Time  `json:"createdAt"`
	CreatedBy  string     `json:"createdBy"`
	ExpiresAt  *time.Time `json:"expiresAt,omitempty"`
	RevokedAt  *time.Time `json:"revokedAt,omitempty"`
	LastUsedAt *time.Time `json:"lastUsedAt,omitempty"` // to the hour
}

// Store keeps keys. Package store implements it.
type Store interface {
	CreateKey(ctx context.Context, k *Key) error
	// Keys returns all of them, oldest first.
	Keys(ctx context.Context) ([]Key, error)
	// KeyByHash returns the key with this hash, also when it is revoked, or ErrUnknown.
	KeyByHash(ctx context.Context, hash []byte) (Key, error)
	RevokeKey(ctx context.Context, id uint64, at time.Time) error
	UsedKey(ctx context.Context, id uint64, at time.Time) error
}

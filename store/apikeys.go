package store

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"

	"github.com/rollebro/rollebro/apikeys"
)

var _ apikeys.Store = (*Store)(nil)

// CreateKey stores a key and sets its ID. rolecatalog.ErrDuplicate: there is one with this hash.
func (s *Store) CreateKey(ctx context.Context, k *apikeys.Key) error {
	rows := []apikeys.Key{*k}
	err := s.update(ctx, "storing an API key", func(tx *gorm.DB) error {
		if err := withinLimits(most{"an API key's prefix", k.Prefix, 64}, most{"an API key's role", string(k.Role), 32}); err != nil {
			return err
		}
		id, err := s.allocate(tx, "api_keys", 1)
		if err != nil {
			return err
		}
		rows[0].ID = id
		rows[0].Domains = append([]string(nil), k.Domains...) // an empty list becomes none
		return insert(s, tx, "api_keys", rows, nil)
	})
	if err != nil {
		return err
	}
	*k = rows[0]
	return nil
}

// Keys returns all keys, revoked and expired ones too, oldest first.
func (s *Store) Keys(ctx context.Context) ([]apikeys.Key, error) {
	var keys []apikeys.Key
	if err := s.read.WithContext(ctx).Table("api_keys").Order("id").Find(&keys).Error; err != nil {
		return nil, s.mapError(ctx, "reading API keys", err)
	}
	return keys, nil
}

// KeyByHash returns the key with this hash, also when it is revoked, or apikeys.ErrUnknown.
func (s *Store) KeyByHash(ctx context.Context, hash []byte) (apikeys.Key, error) {
	var key apikeys.Key
	err := s.read.WithContext(ctx).Table("api_keys").Where("hash = ?", hash).Take(&key).Error
	switch {
	case err == nil:
		return key, nil
	case errors.Is(err, gorm.ErrRecordNotFound):
		return apikeys.Key{}, apikeys.ErrUnknown
	}
	return apikeys.Key{}, s.mapError(ctx, "looking up an API key", err)
}

// RevokeKey ends a key. One that is revoked already keeps its time. apikeys.ErrUnknown: there is none with this id.
func (s *Store) RevokeKey(ctx context.Context, id uint64, at time.Time) error {
	return s.update(ctx, "revoking an API key", func(tx *gorm.DB) error {
		done := tx.Table("api_keys").Where("id = ?", id).Update("revoked_at", gorm.Expr("COALESCE(revoked_at, ?)", micro(at)))
		if done.Error == nil && done.RowsAffected == 0 {
			return apikeys.ErrUnknown
		}
		return done.Error
	})
}

// UsedKey remembers when a key was used. An earlier time than the stored one changes nothing, nor does an id that isn't there.
func (s *Store) UsedKey(ctx context.Context, id uint64, at time.Time) error {
	return s.update(ctx, "remembering the use of an API key", func(tx *gorm.DB) error {
		at := micro(at)
		return tx.Table("api_keys").Where("id = ? AND (last_used_at IS NULL OR last_used_at < ?)", id, at).Update("last_used_at", at).Error
	})
}

package store

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"
	"github.com/tink-crypto/tink-go/v2/tink"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/rollebro/rollebro/rolecatalog"
)

// keys encrypt CPR numbers (AES-256-GCM) and make the index they are looked up by (HMAC-SHA256). Both are keysets, so
// that a new key can be added and made the first while the old ones still read.
type keys struct {
	cipher tink.AEAD
	index  *prf.Set
}

// keyFileFormat is the key file: JSON with two keysets in Tink's own JSON, in clear. Whoever has the file and the database
// can read the CPR numbers, so it is for its owner's eyes only and kept apart from the database's backups.
type keyFileFormat struct {
	Format int             `json:"format"` // 1
	Cipher json.RawMessage `json:"cipher"`
	Index  json.RawMessage `json:"index"`
}

// Names in the table installation, by which a key file is known to be the right one.
const (
	cipherCheck = "cpr.cipher.check" // a known text, encrypted
	indexCheck  = "cpr.index.check"  // the index of a known text
	checkText   = "rollebro"
)

type installationRow struct {
	Name  string `gorm:"primaryKey"`
	Value string
}

// openKeys reads the key file, makes it when there is none and none is needed yet, and checks that it fits the database.
func (s *Store) openKeys(ctx context.Context, create bool) error {
	if s.keyFile == "" && s.file == "" && !s.dialect.mysql {
		k, _, err := newKeys() // memory: nobody needs them later
		s.keys = k
		return err
	}
	if s.keyFile == "" {
		return nil
	}
	checks, err := s.keyChecks(ctx)
	if err != nil {
		return err
	}
	content, err := os.ReadFile(s.keyFile)
	if errors.Is(err, fs.ErrNotExist) {
		if len(checks) > 0 {
			return fmt.Errorf("%w: put %s back from its backup", ErrKeyMissing, s.keyFile)
		}
		if !create {
			return nil
		}
		content, err = s.createKeyFile()
	}
	if err != nil {
		return fmt.Errorf("reading the key file: %w", err)
	}
	if info, err := os.Stat(s.keyFile); err == nil && info.Mode().Perm()&0o077 != 0 {
		s.log.Warnf("the key file %s can be read by others than its owner; chmod 600 it", s.keyFile)
	}
	if s.keys, err = parseKeys(content); err != nil {
		return fmt.Errorf("key file %s: %w", s.keyFile, err)
	}
	if len(checks) == 0 && create {
		return s.saveKeyChecks(ctx)
	}
	return s.keys.fit(checks)
}

func (s *Store) keyChecks(ctx context.Context) (map[string]string, error) {
	applied, err := s.applied(ctx)
	if err != nil || len(applied) == 0 {
		return nil, err
	}
	var rows []installationRow
	if err := s.read.WithContext(ctx).Table("installation").Where("name IN ?", []string{cipherCheck, indexCheck}).Find(&rows).Error; err != nil {
		return nil, s.mapError(ctx, "checking the key file", err)
	}
	checks := map[string]string{}
	for _, r := range rows {
		checks[r.Name] = r.Value
	}
	return checks, nil
}

// saveKeyChecks remembers this key as the database's. Of two replicas that start with different keys the second is refused.
func (s *Store) saveKeyChecks(ctx context.Context) error {
	sealed, err := s.keys.cipher.Encrypt([]byte(checkText), []byte(cipherCheck))
	if err != nil {
		return fmt.Errorf("trying the key: %w", err)
	}
	tag, err := s.keys.index.ComputePrimaryPRF([]byte(checkText), 32)
	if err != nil {
		return fmt.Errorf("trying the key: %w", err)
	}
	err = s.update(ctx, "remembering which key fits", func(tx *gorm.DB) error {
		return tx.Table("installation").Clauses(clause.OnConflict{DoNothing: true}).Create([]installationRow{
			{cipherCheck, base64.StdEncoding.EncodeToString(sealed)},
			{indexCheck, hex.EncodeToString(tag)},
		}).Error
	})
	if err != nil {
		return err
	}
	checks, err := s.keyChecks(ctx)
	if err != nil {
		return err
	}
	return s.keys.fit(checks)
}

// fit returns ErrWrongKey unless the checks were made with one of these keys.
func (k *keys) fit(checks map[string]string) error {
	if sealed, ok := checks[cipherCheck]; ok {
		raw, err := base64.StdEncoding.DecodeString(sealed)
		if err != nil {
			return ErrWrongKey
		}
		if text, err := k.cipher.Decrypt(raw, []byte(cipherCheck)); err != nil || string(text) != checkText {
			return ErrWrongKey
		}
	}
	if want, ok := checks[indexCheck]; ok {
		for _, p := range k.index.PRFs {
			if tag, err := p.ComputePRF([]byte(checkText), 32); err == nil && hex.EncodeToString(tag) == want {
				return nil
			}
		}
		return ErrWrongKey
	}
	return nil
}

// createKeyFile writes a new key file, whole or not at all, never over another one, and returns what then lies there.
func (s *Store) createKeyFile() ([]byte, error) {
	_, content, err := newKeys()
	if err != nil {
		return nil, err
	}
	tmp, err := os.CreateTemp(filepath.Dir(s.keyFile), ".key-*") // 0600
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	_, err = tmp.Write(content)
	if err == nil {
		err = tmp.Sync()
	}
	if e := tmp.Close(); err == nil {
		err = e
	}
	if err != nil {
		return nil, err
	}
	if err := os.Link(tmp.Name(), s.keyFile); errors.Is(err, fs.ErrExist) {
		return os.ReadFile(s.keyFile) // another process was faster
	} else if err != nil {
		return nil, err
	}
	s.log.Warnf("made the key file %s for CPR numbers: back it up, apart from the database; without it they can't be read", s.keyFile)
	return content, nil
}

func newKeys() (*keys, []byte, error) {
	cipher, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return nil, nil, fmt.Errorf("making a key: %w", err)
	}
	index, err := keyset.NewHandle(prf.HMACSHA256PRFKeyTemplate())
	if err != nil {
		return nil, nil, fmt.Errorf("making a key: %w", err)
	}
	file := keyFileFormat{Format: 1}
	for _, k := range []struct {
		handle *keyset.Handle
		to     *json.RawMessage
	}{{cipher, &file.Cipher}, {index, &file.Index}} {
		var b bytes.Buffer
		if err := insecurecleartextkeyset.Write(k.handle, keyset.NewJSONWriter(&b)); err != nil {
			return nil, nil, fmt.Errorf("writing a key: %w", err)
		}
		*k.to = b.Bytes()
	}
	content, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		return nil, nil, fmt.Errorf("writing a key: %w", err)
	}
	content = append(content, '\n')
	k, err := parseKeys(content)
	return k, content, err
}

// parseKeys reads a key file. Its errors don't repeat any of it.
func parseKeys(content []byte) (*keys, error) {
	errContent := errors.New("it is not a key file of this program, or it is damaged")
	var file keyFileFormat
	if err := json.Unmarshal(content, &file); err != nil || file.Format == 0 {
		return nil, errContent
	}
	if file.Format != 1 {
		return nil, fmt.Errorf("its format %d is newer than this program", file.Format)
	}
	cipher, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(file.Cipher)))
	if err != nil {
		return nil, errContent
	}
	index, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(file.Index)))
	if err != nil {
		return nil, errContent
	}
	k := &keys{}
	if k.cipher, err = aead.New(cipher); err != nil {
		return nil, errContent
	}
	if k.index, err = prf.NewPRFSet(index); err != nil {
		return nil, errContent
	}
	return k, nil
}

// cprContext binds an encrypted CPR number to its row: moved to another user's, it can't be read.
func cprContext(userUUID string) []byte { return []byte("users.cpr_cipher:" + userUUID) }

// sealCPR fills a user's CPRCipher and CPRIndex.
func (s *Store) sealCPR(u *rolecatalog.User) error {
	if s.keys == nil {
		return ErrNoKey
	}
	var err error
	if u.CPRCipher, err = s.keys.cipher.Encrypt([]byte(u.CPR), cprContext(u.UUID)); err != nil {
		return fmt.Errorf("encrypting a CPR number: %w", err)
	}
	if u.CPRIndex, err = s.keys.index.ComputePrimaryPRF([]byte(u.CPR), 32); err != nil {
		return fmt.Errorf("indexing a CPR number: %w", err)
	}
	return nil
}

// unsealCPR fills a user's CPR from its CPRCipher.
func (s *Store) unsealCPR(u *rolecatalog.User) error {
	if len(u.CPRCipher) == 0 {
		return nil
	}
	if s.keys == nil {
		return ErrNoKey
	}
	text, err := s.keys.cipher.Decrypt(u.CPRCipher, cprContext(u.UUID))
	if err != nil {
		return fmt.Errorf("the CPR number of user %s can't be decrypted: the row or the key was changed", u.UUID)
	}
	u.CPR = string(text)
	return nil
}

// indexesOf returns all indexes that a CPR number may have been stored under, one for each key.
func (s *Store) indexesOf(cpr string) ([][]byte, error) {
	if s.keys == nil {
		return nil, ErrNoKey
	}
	var tags [][]byte
	for _, p := range s.keys.index.PRFs {
		tag, err := p.ComputePRF([]byte(cpr), 32)
		if err != nil {
			return nil, fmt.Errorf("indexing a CPR number: %w", err)
		}
		tags = append(tags, tag)
	}
	return tags, nil
}

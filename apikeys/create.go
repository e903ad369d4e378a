package apikeys

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"
)

// The form of a key: its prefix, by which people and secret scanners know it, and 32 random bytes in letters and digits.
const (
	prefix      = "rollebro_"
	randomBytes = 32
	randomChars = 43 // 62^43 is more than 256^32
	shownChars  = 6  // of the random ones, kept to tell keys apart; more than 220 bits stay secret
)

// Request says which key is wanted.
type Request struct {
	Name      string     // for people; may be empty
	Role      Role       // required
	Domains   []string   // names of master domains; empty: all
	CreatedBy string     // who asks for it
	ExpiresAt *time.Time // nil: never
	At        time.Time  // when it is made; zero: now
}

// Create makes a key and stores what is kept of it. The key itself is returned this once: it cannot be had again.
func Create(ctx context.Context, store Store, req Request) (key string, kept Key, err error) {
	at := req.At
	if at.IsZero() {
		at = time.Now()
	}
	at = at.UTC()
	if !req.Role.Valid() {
		return "", Key{}, fmt.Errorf("a key has one of the roles %s, not %q", roleNames(), req.Role)
	}
	if req.ExpiresAt != nil && !req.ExpiresAt.After(at) {
		return "", Key{}, errors.New("a key must expire after it is made")
	}
	domains := make([]string, 0, len(req.Domains))
	for _, name := range req.Domains {
		name = strings.TrimSpace(name)
		if name == "" { // would read as "all domains" to a careless eye
			return "", Key{}, errors.New("a domain of a key needs a name")
		}
		if !slices.ContainsFunc(domains, func(d string) bool { return sameDomain(d, name) }) {
			domains = append(domains, name)
		}
	}
	key = generate()
	kept = Key{
		Name: strings.TrimSpace(req.Name), Prefix: key[:len(prefix)+shownChars], Hash: hash(key), Role: req.Role, Domains: domains,
		CreatedAt: at, CreatedBy: req.CreatedBy,
	}
	if req.ExpiresAt != nil {
		ends := req.ExpiresAt.UTC()
		kept.ExpiresAt = &ends
	}
	if err := store.CreateKey(ctx, &kept); err != nil {
		return "", Key{}, fmt.Errorf("storing the API key: %w", err)
	}
	return key, kept, nil
}

// generate makes a key.
func generate() string {
	var random [randomBytes]byte
	_, _ = rand.Read(random[:]) // never fails
	text := new(big.Int).SetBytes(random[:]).Text(62)
	return prefix + strings.Repeat("0", randomChars-len(text)) + text
}

// wellFormed reports whether a text can be a key at all, so that the rest is not looked up.
func wellFormed(key string) bool {
	random, ok := strings.CutPrefix(key, prefix)
	if !ok || len(random) != randomChars {
		return false
	}
	for _, c := range []byte(random) {
		if !('0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z') {
			return false
		}
	}
	return true
}

func hash(key string) []byte {
	sum := sha256.Sum256([]byte(key))
	return sum[:]
}

// Roles returns all roles.
func Roles() []Role { return []Role{CoreData, Organisation, Read, Admin} }

// Valid reports whether there is such a role.
func (r Role) Valid() bool { return slices.Contains(Roles(), r) }

func roleNames() string {
	names := make([]string, 0, len(Roles()))
	for _, r := range Roles() {
		names = append(names, string(r))
	}
	return strings.Join(names, ", ")
}

// Expired reports whether the key has ended by itself.
func (k *Key) Expired(now time.Time) bool { return k.ExpiresAt != nil && !now.Before(*k.ExpiresAt) }

// Usable reports whether the key may be used: neither revoked nor expired.
func (k *Key) Usable(now time.Time) bool { return k.RevokedAt == nil && !k.Expired(now) }

// Grants reports whether the key has the role; Admin has them all.
func (k *Key) Grants(role Role) bool { return k.Role == role || k.Role == Admin }

// Allows reports whether the key reaches a master domain, whose name is compared ignoring case.
func (k *Key) Allows(master string) bool {
	return len(k.Domains) == 0 || slices.ContainsFunc(k.Domains, func(d string) bool { return sameDomain(d, master) })
}

// sameDomain compares as the domains' unique key does.
func sameDomain(a, b string) bool {
	a, b = strings.ToLower(a), strings.ToLower(b) // EqualFold finds more names equal
	return a == b
}

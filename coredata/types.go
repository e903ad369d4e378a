// Package coredata serves OS2faktor's CoreData API, with which municipalities' tools load their people, groups and KOMBIT
// roles. The clients that exist need only a new address and a new key: paths, field names, status codes and the Danish
// texts of the errors are the original's.
//
// A call goes one way: decode -> validate -> decide what it changes -> guard -> apply in one transaction -> answer. The
// people end up as the catalogue's users.
package coredata

import (
	"context"
	"errors"
	"time"

	"github.com/rollebro/rollebro/rolecatalog"
)

// Group is a group of people in a domain.
type Group struct {
	ID          uint64   `gorm:"primaryKey" json:"id"`
	DomainID    uint64   `json:"domainId"`
	UUID        string   `json:"uuid"` // as the source spells it; unique in its domain, exact case
	Name        string   `json:"name"`
	Description *string  `json:"description"`
	Members     []uint64 `gorm:"-" json:"members"` // row ids of users, ascending; filled by the store
}

// KombitRole is a KOMBIT job function role that a user has.
type KombitRole struct {
	UserID     uint64 `gorm:"primaryKey" json:"userId"`
	Identifier string `gorm:"primaryKey" json:"identifier"` // at most 255 characters
	CVR        string `gorm:"primaryKey" json:"cvr"`        // of the role's owner, at most 8 characters
}

// Call is one line of the call log. It never holds a person's data.
type Call struct {
	ID         uint64         `gorm:"primaryKey" json:"id"`
	At         time.Time      `json:"at"`
	Endpoint   string         `json:"endpoint"` // e.g. "POST /api/coredata/full"
	Domain     string         `json:"domain"`   // as the call named it
	Client     string         `json:"client"`   // name of the API key
	DurationMS int64          `json:"durationMs"`
	Status     int            `json:"status"` // HTTP status of the answer
	Success    bool           `json:"success"`
	Counts     map[string]int `gorm:"serializer:json" json:"counts,omitempty"` // created, updated, reactivated, locked, deleted, skipped …
	Error      string         `json:"error,omitempty"`                         // no CPR number
}

// Release lets one load of a domain through the guard.
type Release struct {
	ID        uint64     `gorm:"primaryKey" json:"id"`
	DomainID  uint64     `json:"domainId"`
	By        string     `gorm:"column:released_by" json:"by"`
	Reason    string     `json:"reason"`
	CreatedAt time.Time  `json:"createdAt"`
	UsedAt    *time.Time `json:"usedAt,omitempty"` // set by the load that it let through
}

// ReleaseHolds is how long a release waits for its load: one that was forgotten must not let a mistake through next year.
const ReleaseHolds = 24 * time.Hour

// Part says what of a tree a call needs.
type Part uint

// The parts of a tree.
const (
	PartPeople Part = 1 << iota // every user of the tree, locked ones too, deleted ones not, with CPR numbers
	PartGroups                  // the groups of every domain of the tree, with members
	PartKombit                  // the KOMBIT roles of the tree's users
)

// Tree is a master domain with its sub-domains and what is in them.
type Tree struct {
	Master  rolecatalog.Domain
	Subs    []rolecatalog.Domain
	People  []*rolecatalog.User // by row id
	Groups  []*Group            // by row id
	Kombit  []KombitRole        // by user
	Release *Release            // the oldest one that hasn't been used and still holds; nil: none
}

// Changes is what a call changes in a tree. New people and groups have ID 0 and get theirs; later lists may point at them.
type Changes struct {
	Create []*rolecatalog.User
	Update []*rolecatalog.User // whole rows; CPR "" leaves the stored one
	// Delete removes users physically, with their assignments, memberships, KOMBIT roles and work. It goes before Create, so
	// that a new user may take over the account name.
	Delete []*rolecatalog.User

	CreateGroups []*Group // Members are ignored; see Join
	UpdateGroups []*Group // name and description
	DeleteGroups []*Group
	Join, Leave  []Membership

	KombitAdd, KombitRemove []KombitOf

	Mark    []*rolecatalog.User // whose roles or account may have changed
	Reason  string              // why they are marked
	Audit   []rolecatalog.AuditEvent
	Release *Release // the release this load has used up
}

// Membership is a user in a group.
type Membership struct {
	Group *Group
	User  *rolecatalog.User
}

// KombitOf is a KOMBIT role of a user; the row's UserID is taken from User.
type KombitOf struct {
	User            *rolecatalog.User
	Identifier, CVR string
}

// ErrNoDomain says that there is no domain of that name.
var ErrNoDomain = errors.New("no such domain")

// Store keeps what the API loads. Package store implements it.
type Store interface {
	// Domain finds a domain by its name, ignoring case, and its master (itself, when it has no parent). ErrNoDomain.
	Domain(ctx context.Context, name string) (domain, master rolecatalog.Domain, err error)
	// ChangeTree reads parts of a master domain's tree, has decide say what changes, and writes it: all in one transaction, in
	// which nobody else changes this tree. Trees of other masters are not kept waiting where the database allows it. When
	// decide returns an error, or nil, nothing is written, and its error is returned as it is. decide may be called again when
	// the database asks for the transaction to be repeated.
	ChangeTree(ctx context.Context, cvr string, master uint64, parts Part, decide func(*Tree) (*Changes, error)) error
	// People streams the users of the tree of a master domain by row id, deleted ones left out, in batches, with CPR numbers, to
	// each; only those with this CPR number when cpr isn't empty.
	People(ctx context.Context, master uint64, cpr string, each func([]rolecatalog.User) error) error
	// Kombit streams the KOMBIT roles of the tree's users by user id; of one CPR number when cpr isn't empty.
	Kombit(ctx context.Context, master uint64, cpr string, each func(rolecatalog.User, []KombitRole) error) error
	// Groups streams the groups of exactly one domain with their members' account names (lower case, ascending). With a CPR
	// number: instead, all groups (of any domain) that a person of the tree with that number is in.
	Groups(ctx context.Context, domain uint64, cpr string, each func(Group, []string) error) error

	LogCall(ctx context.Context, c *Call) error
	// Calls returns the newest first; domain "": of all.
	Calls(ctx context.Context, domain string, limit int) ([]Call, error)
	// LastLoads tells, by master domain name, when a load last succeeded.
	LastLoads(ctx context.Context) (map[string]time.Time, error)
	PruneCalls(ctx context.Context, before time.Time) (int, error)
	// AddRelease stores a release; several of one domain may wait.
	AddRelease(ctx context.Context, r *Release) error
	// Expire sets LockedExpired on the users whose ExpiresAt has passed, marks them for the role side, and returns how many.
	Expire(ctx context.Context, cvr string, now time.Time) (int, error)
}

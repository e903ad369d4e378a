package rolecatalog

import "time"

// Domain is where users come from. A sub-domain has a parent; there are two levels.
type Domain struct {
	ID        uint64    `gorm:"primaryKey" json:"id"`
	Name      string    `json:"name"`
	NameKey   string    `json:"-"` // lower case of Name, unique: domains are told apart ignoring case
	ParentID  *uint64   `json:"parentId,omitempty"`
	CreatedAt time.Time `json:"createdAt"`
}

// PrimaryDomain is the name of the domain that exists from the first migration on; users without a domain belong to it.
const PrimaryDomain = "Administrativt"

// User is one account in one domain. It has at most one NemLogin UUID.
type User struct {
	ID           uint64 `gorm:"primaryKey;autoIncrement:false" json:"id"`
	UUID         string `json:"uuid"`              // made here, never changes
	ExtUUID      string `json:"extUuid,omitempty"` // from the source; empty: none
	DomainID     uint64 `json:"domainId"`
	UserID       string `json:"userId"` // the account name, as the source spells it
	UserKey      string `json:"-"`      // lower case of UserID; unique in its domain
	Name         string `json:"name"`
	Email        string `json:"email,omitempty"`
	NemLoginUUID string `gorm:"column:nemlogin_uuid" json:"nemloginUuid,omitempty"` // lower case; empty: none

	// CPR is the person's CPR number, 10 digits, or empty. It is kept encrypted (CPRCipher) and can be looked up by
	// CPRIndex (HMAC-SHA256). The store fills CPR only where it is asked for.
	CPR       string `gorm:"-" json:"-"`
	CPRCipher []byte `gorm:"column:cpr_cipher" json:"-"`
	CPRIndex  []byte `gorm:"column:cpr_index" json:"-"`

	// CoreData is what OS2faktor's CoreData API said of him, if it did.
	CoreData `gorm:"embedded" json:"coreData"`

	Disabled   bool       `json:"disabled"`
	DisabledAt *time.Time `json:"disabledAt,omitempty"`
	Deleted    bool       `json:"deleted"`
	DeletedAt  *time.Time `gorm:"column:deleted_time" json:"deletedAt,omitempty"`
	CreatedAt  time.Time  `json:"createdAt"`
	UpdatedAt  time.Time  `json:"updatedAt"`
}

// Active reports whether the user may hold roles: no source has disabled, deleted or locked him.
func (u *User) Active() bool { return !u.Disabled && !u.Deleted && !u.Locked() }

// Identity is an account in MitID Erhverv as this organisation knows it: whose it is, how far it has been adopted, and
// how the last reading went.
type Identity struct {
	CVR    string `gorm:"primaryKey" json:"cvr"`
	UUID   string `gorm:"primaryKey" json:"uuid"` // NemLogin UUID, lower case
	UserID uint64 `json:"userId"`                 // row id of the user it was last linked to; kept when the user leaves it

	// Generation is the generation of the catalogue up to which this identity has been adopted: whatever it held of the
	// roles known then is kept here as assignments. 0: never adopted, so nothing may be written to it.
	Generation int64      `json:"generation"`
	AdoptedAt  *time.Time `json:"adoptedAt,omitempty"` // when it was adopted first

	ReadAt       *time.Time `json:"readAt,omitempty"`    // last successful reading
	GoneSince    *time.Time `json:"goneSince,omitempty"` // MitID Erhverv answers that it doesn't know the identity
	CheckedAt    *time.Time `json:"checkedAt,omitempty"` // last time it was asked whether it exists
	LastError    string     `json:"lastError,omitempty"` // of the last reading, empty when it succeeded
	ObservedHash string     `json:"-"`                   // of the observed grants as stored
	RetiredAt    *time.Time `json:"retiredAt,omitempty"` // nobody's, and holds nothing managed: not read any more
}

// Adopted reports whether what the identity held has been imported, so that it may be written to.
func (i *Identity) Adopted() bool { return i.Generation > 0 }

// ObservedGrant is one right that MitID Erhverv answered for an identity, as of Identity.ReadAt.
type ObservedGrant struct {
	ID         uint64 `gorm:"primaryKey" json:"-"`
	CVR        string `json:"cvr"`
	Identity   string `json:"identity"`
	Role       string `json:"role"` // uuid, lower case
	RoleName   string `json:"roleName"`
	ScopeType  string `json:"scopeType"`
	ScopeValue string `json:"scopeValue"`
	Internal   bool   `json:"internal"`
	ValidFrom  string `json:"validFrom,omitempty"` // the service's own text; its format isn't documented
	ValidTo    string `json:"validTo,omitempty"`
}

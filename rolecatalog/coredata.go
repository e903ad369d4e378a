package rolecatalog

import "time"

// CoreData is what OS2faktor's CoreData API says of a user, beside what every source says. It stands in the same table.
type CoreData struct {
	// FromCoreData is true once the user has been in a CoreData load; the fields below mean nothing before.
	FromCoreData bool `json:"fromCoreData"`
	// Alias is the name that the load gives; User.Name stays the civil register's once the user may have a corporate identity.
	Alias              string `gorm:"column:cd_alias" json:"alias,omitempty"`
	NSISAllowed        bool   `gorm:"column:cd_nsis_allowed" json:"nsisAllowed"`
	TransferToNemLogin bool   `gorm:"column:cd_transfer_to_nemlogin" json:"transferToNemlogin"` // should have an account in MitID Erhverv
	PrivateMitID       bool   `gorm:"column:cd_private_mitid" json:"privateMitId"`
	QualifiedSignature bool   `gorm:"column:cd_qualified_signature" json:"qualifiedSignature"`
	Robot              bool   `gorm:"column:cd_robot" json:"robot"` // once true it stays true
	TrustedEmployee    bool   `gorm:"column:cd_trusted_employee" json:"trustedEmployee"`
	// ExpiresAt is when the account ends by itself, UTC; nil: never. A day means the day's beginning in Denmark.
	ExpiresAt         *time.Time        `gorm:"column:cd_expires_at" json:"expiresAt,omitempty"`
	PasswordChangedOn string            `gorm:"column:cd_password_changed_on" json:"passwordChangedOn,omitempty"` // a day, "2006-01-02"
	Department        string            `gorm:"column:cd_department" json:"department,omitempty"`
	EAN               string            `gorm:"column:cd_ean" json:"ean,omitempty"`
	RID               string            `gorm:"column:cd_rid" json:"rid,omitempty"`
	ExternalUUID      string            `gorm:"column:cd_external_uuid" json:"externalNemloginUserUuid,omitempty"`
	Attributes        map[string]string `gorm:"column:cd_attributes;serializer:json" json:"attributes,omitempty"`
	KombitAttributes  map[string]string `gorm:"column:cd_kombit_attributes;serializer:json" json:"kombitAttributes,omitempty"`
	Roles             []string          `gorm:"column:cd_roles;serializer:json" json:"roles,omitempty"` // roles in OS2faktor, only kept when that is switched on

	// LockedDataset: a full load left the user out, or a call locked him. LockedExpired: ExpiresAt has passed.
	LockedDataset   bool       `gorm:"column:cd_locked_dataset" json:"lockedDataset"`
	LockedDatasetAt *time.Time `gorm:"column:cd_locked_dataset_at" json:"lockedDatasetAt,omitempty"` // kept when he is unlocked again
	LockedExpired   bool       `gorm:"column:cd_locked_expired" json:"lockedExpired"`
}

// Locked reports whether the CoreData source keeps the user from using his account.
func (c *CoreData) Locked() bool { return c.LockedDataset || c.LockedExpired }

package coredata

import (
	"time"

	"github.com/rollebro/rollebro/rolecatalog"
)

// personItem is a person as GET /api/coredata answers. Fields that are nil are written as null.
type personItem struct {
	UUID                     string            `json:"uuid"`
	CPR                      string            `json:"cpr"`
	Name                     string            `json:"name"`
	Email                    *string           `json:"email"`
	SamAccountName           string            `json:"samAccountName"`
	SubDomain                *string           `json:"subDomain"` // null: in the master domain itself
	NSISAllowed              bool              `json:"nsisAllowed"`
	Attributes               map[string]string `json:"attributes"`
	Domain                   string            `json:"domain"`              // the master domain
	ExpireTimestamp          *string           `json:"expireTimestamp"`     // a day
	PasswordADTimestamp      *string           `json:"passwordAdTimestamp"` // a day
	TransferToNemLogin       bool              `json:"transferToNemlogin"`
	PrivateMitID             bool              `json:"privateMitId"`
	QualifiedSignature       bool              `json:"qualifiedSignature"`
	LockedDataset            bool              `json:"lockedDataset"`
	TrustedEmployee          bool              `json:"trustedEmployee"`
	Robot                    bool              `json:"robot"`
	Department               *string           `json:"department"`
	ExternalNemLoginUserUUID *string           `json:"externalNemloginUserUuid"`
	Roles                    []string          `json:"roles"`
	EAN                      *string           `json:"ean"`
}

func newPersonItem(u *rolecatalog.User, master, sub string) *personItem {
	e := &personItem{
		UUID: u.ExtUUID, CPR: cprOut(u), Name: u.Name, Email: nullable(u.Email), SamAccountName: u.UserID, SubDomain: nullable(sub),
		NSISAllowed: u.NSISAllowed, Attributes: u.Attributes, Domain: master, PasswordADTimestamp: nullable(u.PasswordChangedOn),
		TransferToNemLogin: u.TransferToNemLogin, PrivateMitID: u.PrivateMitID, QualifiedSignature: u.QualifiedSignature,
		LockedDataset: u.LockedDataset, TrustedEmployee: u.TrustedEmployee, Robot: u.Robot, Department: nullable(u.Department),
		ExternalNemLoginUserUUID: nullable(u.ExternalUUID), Roles: u.CoreData.Roles, EAN: nullable(u.EAN),
	}
	if u.ExpiresAt != nil {
		e.ExpireTimestamp = nullable(u.ExpiresAt.In(rolecatalog.Copenhagen()).Format(time.DateOnly))
	}
	if e.Attributes == nil {
		e.Attributes = map[string]string{}
	}
	if e.Roles == nil {
		e.Roles = []string{}
	}
	return e
}

// statusItem is a person as GET /api/coredata/status answers. What only a login service knows (terms of use, passwords, logins,
// two-factor clients, the person's own lock, the civil register's) has the value that means nothing happened.
type statusItem struct {
	UUID                  string  `json:"uuid"`
	CPR                   string  `json:"cpr"`
	Name                  string  `json:"name"`
	SamAccountName        string  `json:"samAccountName"`
	NSISAllowed           bool    `json:"nsisAllowed"`
	NSISLevel             string  `json:"nsisLevel"`
	ApprovedConditions    bool    `json:"approvedConditions"`
	ApprovedConditionsTts *string `json:"approvedConditionsTts"`
	LockedAdmin           bool    `json:"lockedAdmin"`
	LockedPerson          bool    `json:"lockedPerson"`
	LockedDataset         bool    `json:"lockedDataset"`
	LockedDead            bool    `json:"lockedDead"`
	LockedPassword        bool    `json:"lockedPassword"`
	LockedExpired         bool    `json:"lockedExpired"`
	LockedPasswordUntil   *string `json:"lockedPasswordUntil"`
	LastLogin             *string `json:"lastLogin"`
	BadPassword           bool    `json:"badPassword"`
	BadPasswordRule       *string `json:"badPasswordRule"`
	MFAClients            bool    `json:"mfaClients"`
}

func newStatusItem(u *rolecatalog.User) *statusItem {
	return &statusItem{
		UUID: u.ExtUUID, CPR: cprOut(u), Name: u.Name, SamAccountName: u.UserID, NSISAllowed: u.NSISAllowed, NSISLevel: "NONE",
		// Disabled by something else than the two locks that loads know.
		LockedAdmin: u.Disabled && !u.Locked(), LockedDataset: u.LockedDataset, LockedExpired: u.LockedExpired,
	}
}

// nemLoginItem is a person as GET /api/coredata/nemloginStatus answers.
type nemLoginItem struct {
	CPR              string `json:"cpr"`
	SamAccountName   string `json:"samAccountName"`
	NemLoginUserUUID string `json:"nemloginUserUuid"`
	Active           bool   `json:"active"`
}

// lookupItem is a person as GET /api/coredata/cprLookup answers.
type lookupItem struct {
	CPR            string  `json:"cpr"`
	Name           string  `json:"name"`
	Email          *string `json:"email"`
	SamAccountName string  `json:"samAccountName"`
}

// kombitItem is a person as GET /api/coredata/jfr answers.
type kombitItem struct {
	SamAccountName string       `json:"samAccountName"`
	UUID           string       `json:"uuid"` // the person's
	JFRs           []kombitRole `json:"jfrs"`
}

type kombitRole struct {
	Identifier string `json:"identifier"`
	CVR        string `json:"cvr"`
}

func newKombitItem(u *rolecatalog.User, roles []KombitRole) *kombitItem {
	e := &kombitItem{SamAccountName: u.UserID, UUID: u.ExtUUID, JFRs: make([]kombitRole, 0, len(roles))}
	for _, r := range roles {
		e.JFRs = append(e.JFRs, kombitRole{r.Identifier, r.CVR})
	}
	return e
}

// groupItem is a group as GET /api/coredata/groups answers.
type groupItem struct {
	UUID        string   `json:"uuid"`
	Name        string   `json:"name"`
	Description *string  `json:"description"`
	Members     []string `json:"members"` // account names
}

func cprOut(u *rolecatalog.User) string {
	if u.CPR == "" {
		return unknownCPR
	}
	return u.CPR
}

func nullable(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

package rolecatalog

import "time"

// NemLoginSystem is the identifier of the IT system that the first migration creates; its name is "NemLog-in".
const NemLoginSystem = "NemLogin"

// ITSystem is a system that system roles belong to.
type ITSystem struct {
	ID         uint64    `gorm:"primaryKey" json:"id"`
	Identifier string    `json:"identifier"`
	Name       string    `json:"name"`
	CreatedAt  time.Time `json:"createdAt"`
}

// SystemRole is a right in MitID Erhverv.
type SystemRole struct {
	ID           uint64 `gorm:"primaryKey" json:"id"`
	CVR          string `json:"cvr"`
	ITSystemID   uint64 `gorm:"column:it_system_id" json:"itSystemId"`
	UUID         string `json:"uuid"` // lower case
	Name         string `json:"name"`
	Description  string `json:"description,omitempty"`
	BasicPackage bool   `json:"basicPackage"`
	// Since is the generation of the catalogue in which the role was first listed.
	Since int64 `json:"since"`
	// WithdrawnAt is set while the role is not in the catalogue's answer. Its assignments stay; nothing is added or removed.
	WithdrawnAt *time.Time `json:"withdrawnAt,omitempty"`
	CreatedAt   time.Time  `json:"createdAt"`
	UpdatedAt   time.Time  `json:"updatedAt"`
}

// Origin tells how a job function role came to be.
type Origin string

// The origins.
const (
	OriginImported      Origin = "imported"      // made by the first import, one per (system role, scope type)
	OriginManual        Origin = "manual"        // made by a person
	OriginAdministrator Origin = "administrator" // mirrors an administrator role of MitID Erhverv; read-only
)

// JobFunctionRole is a named set of system roles, each with its scope rule.
type JobFunctionRole struct {
	ID         uint64 `gorm:"primaryKey" json:"id"`
	CVR        string `json:"cvr"`
	ITSystemID uint64 `gorm:"column:it_system_id" json:"itSystemId"`
	// Identifier is unique in its IT system and CVR. An imported role has "<system role uuid>_<scope type>", whatever its name.
	Identifier  string      `json:"identifier"`
	Name        string      `json:"name"`
	Description string      `json:"description,omitempty"`
	Origin      Origin      `json:"origin"`
	ReadOnly    bool        `json:"readOnly"`            // can't be assigned or removed here
	UserOnly    bool        `json:"userOnly"`            // can only be assigned to users directly
	Rules       []ScopeRule `gorm:"-" json:"rules"`      // filled by the store
	Holders     int         `gorm:"-" json:"holders"`    // users it is assigned to; filled by Store.JobFunctionRoles alone
	RetiredAt   *time.Time  `json:"retiredAt,omitempty"` // no longer offered
	CreatedAt   time.Time   `json:"createdAt"`
	UpdatedAt   time.Time   `json:"updatedAt"`
}

// ScopeRule says that a job function role holds a system role, and in which scope.
//
//	ScopeType Cvr              the whole organisation; no values
//	ScopeType PU or SE, fixed  Values are the numbers, at least one
//	ScopeType PU or SE, else   each assignment brings its own numbers (AtAssignment)
//
// A system role that has any PU or SE rule in a job function role never gives a grant for the whole CVR through it.
type ScopeRule struct {
	ID                uint64   `gorm:"primaryKey" json:"-"`
	JobFunctionRoleID uint64   `json:"-"`
	SystemRoleID      uint64   `json:"systemRoleId"`
	ScopeType         string   `json:"scopeType"` // Cvr, PU or SE
	AtAssignment      bool     `json:"atAssignment"`
	Values            []string `gorm:"serializer:json" json:"values,omitempty"`
}

// Assignment gives a job function role to a user, for a time.
type Assignment struct {
	ID                uint64 `gorm:"primaryKey" json:"id"`
	CVR               string `json:"cvr"`
	UserID            uint64 `json:"userId"`
	JobFunctionRoleID uint64 `json:"jobFunctionRoleId"`
	// Role, when set on a new assignment, names the job function role instead of JobFunctionRoleID; it may be new itself.
	Role *JobFunctionRole `gorm:"-" json:"-"`
	// StartDate and StopDate are days in Europe/Copenhagen, "2006-01-02", both included; empty: open.
	StartDate  string            `json:"startDate,omitempty"`
	StopDate   string            `json:"stopDate,omitempty"`
	Values     []AssignmentValue `gorm:"-" json:"values,omitempty"` // filled by the store
	AssignedBy string            `json:"assignedBy"`                // who: a person's name, or one of the Actor constants
	CreatedAt  time.Time         `json:"createdAt"`
	// EndedAt is set when the assignment was taken away; the row stays, for the history.
	EndedAt *time.Time `json:"endedAt,omitempty"`
	EndedBy string     `json:"endedBy,omitempty"`
}

// AssignmentValue is a P- or SE-number chosen at assignment time, for one system role of the job function role.
type AssignmentValue struct {
	ID           uint64 `gorm:"primaryKey" json:"-"`
	AssignmentID uint64 `json:"-"`
	SystemRoleID uint64 `json:"systemRoleId"`
	ScopeType    string `json:"scopeType"`
	Value        string `json:"value"`
}

// ScopeNumber is a P- or SE-number of the organisation, with its name where the service tells one.
type ScopeNumber struct {
	ID        uint64     `gorm:"primaryKey" json:"-"`
	CVR       string     `json:"cvr"`
	ScopeType string     `json:"scopeType"` // PU or SE
	Value     string     `json:"value"`
	Name      string     `json:"name,omitempty"`
	GoneAt    *time.Time `json:"goneAt,omitempty"` // no longer in the service's list; kept because it may be in use
	CreatedAt time.Time  `json:"createdAt"`
	UpdatedAt time.Time  `json:"updatedAt"`
}

// Actors that are not persons.
const (
	ActorImport   = "import"   // the first import
	ActorMirror   = "mirror"   // the copy of MitID Erhverv's administrator roles
	ActorSchedule = "schedule" // a scheduled run
)

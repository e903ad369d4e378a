package config

import (
	"regexp"
	"time"

	"github.com/rollebro/rollebro/rolecatalog/plan"
	"github.com/rollebro/rollebro/scheduler"
)

// Secret is a text that must not be seen. Formatting or encoding it gives a mask; Reveal gives the text.
type Secret string

// mask stands for a secret that is set.
const mask = "********"

// String returns a mask, or nothing for an empty secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return mask
}

// GoString masks the secret for %#v too.
func (s Secret) GoString() string { return `"` + s.String() + `"` }

// MarshalText masks the secret in JSON and YAML.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Reveal returns the text itself.
func (s Secret) Reveal() string { return string(s) }

// Config is everything that can be set, checked and typed.
type Config struct {
	// CVR is the organisation's CVR number, 8 digits; empty only if the integration is off.
	CVR       string
	NemLogin  NemLogin
	Database  Database
	Web       Web
	CoreData  CoreData
	Guard     Guard
	Schedule  Schedule
	Retention Retention
	Log       Log

	// Notes are remarks for the log, one line each: settings that are accepted and have no effect.
	Notes []string

	values []Value
}

// NemLogin is the connection to MitID Erhverv.
type NemLogin struct {
	Enabled          bool
	KeystoreLocation string // path of a PKCS#12 file
	KeystorePassword Secret
	// KeystorePasswordFile is the file that KeystorePassword was read from, or empty. A new keystore may come with a new
	// password: ReadSecretFile reads it again.
	KeystorePasswordFile string
	// UserDryRunOnly reads everything and writes nothing to MitID Erhverv.
	UserDryRunOnly   bool
	BaseURL          string // https, without a trailing slash
	RootCertificates string // path of a PEM file with roots trusted beside the system's, or empty
	Renegotiate      bool
	Concurrency      int // requests in flight
	BatchSize        int // role uuids in one write
	Timeout          time.Duration
	LateUsers        string // "adopt" or "overwrite"

	KeepRolesOfLockedUsers bool
	Administrators         Administrators
}

// Administrators are the texts of the three read-only roles that mirror the administrators of MitID Erhverv.
type Administrators struct {
	Organization, Identity, Rights AdministratorTexts
}

// AdministratorTexts name one of them. Identifier is what MitID Erhverv calls it.
type AdministratorTexts struct {
	Name, Identifier, Description string
}

// Database is where the data is kept.
type Database struct {
	URL      string // JDBC URL; empty: SQLite in the file rollebro.db
	Username string
	Password Secret
	// PasswordFile is the file that Password was read from, or empty.
	PasswordFile string
	KeyFile      string // file with the key that CPR numbers are encrypted with; empty: beside the SQLite file
}

// Web is the one listener.
type Web struct {
	Listen         string // host:port
	TLSCertificate string // PEM files; both or neither
	TLSKey         string
}

// CoreData is how people come in through the CoreData API.
type CoreData struct {
	TrustedEmployee bool  // trustedEmployee is read
	RoleAPI         bool  // roles are read
	ExternalUUIDs   bool  // externalNemloginUserUuid is read, and is the user's NemLogin UUID
	SkipBadEntries  bool  // bad entries are left out of a load instead of refusing it
	MaxBody         int64 // bytes of one request
}

// Guard limits what the machine may remove.
type Guard struct {
	Limits plan.Limits
	// A load is refused that affects more than LoadsCount people and more than LoadsPercent of those in its scope.
	LoadsCount      int
	LoadsPercent    int
	ProtectedUsers  []string
	LastHolderRoles *regexp.Regexp // nil: none
}

// Schedule says when the jobs run, Europe/Copenhagen.
type Schedule struct {
	Enabled  bool
	FullSync string // cron of six fields beginning with seconds, "-" for never; empty: daily after 10
	Minute   *int   // of the hour, for all jobs; nil: drawn once per installation
	Quiet    scheduler.Quiet
}

// Retention says how long what is past is kept.
type Retention struct {
	Plans time.Duration
	Runs  time.Duration
	Calls time.Duration // the log of loads
}

// Log says what is logged and how.
type Log struct {
	Level  string // debug, info, warn or error
	Format string // auto, text or json
}

// Value is one setting with the value it has, for people.
type Value struct {
	Setting Setting
	Text    string // as it was given, but secrets masked, also those inside a URL
	Origin  string // "default", or where it was set
}

// Values returns every setting in the order of the table, with its value and where that came from.
func (c *Config) Values() []Value { return c.values }

// IsSet reports whether somebody has set the setting, other than by its default.
func (c *Config) IsSet(name string) bool {
	for i := range c.values {
		if c.values[i].Setting.Name == name {
			return c.values[i].Origin != originDefault
		}
	}
	return false
}

// originDefault is where a value comes from that nobody has set.
const originDefault = "default"

// shown masks what must not be seen of a value.
func (s Setting) shown(value string) string {
	switch {
	case s.Secret:
		return Secret(value).String()
	case s.Kind == KindDatabaseURL:
		return maskURL(value)
	}
	return value
}

package config

import (
	"regexp"
	"strconv"
	"time"

	"github.com/rollebro/rollebro/coredata"
	"github.com/rollebro/rollebro/nemlogin"
	"github.com/rollebro/rollebro/rolecatalog/plan"
	"github.com/rollebro/rollebro/scheduler"
)

// Setting is one row of the table of settings.
type Setting struct {
	// Name as it is documented. It is matched ignoring case, dots, dashes and underscores.
	Name    string
	Kind    Kind
	Default string // as text; empty: none
	// Secret values are never shown. Every secret has a twin whose name ends in "File".
	Secret bool
	// Ignored settings are accepted because OS2rollekatalog has them, and do nothing.
	Ignored bool
	Help    string // one sentence

	// store checks the value and puts it into c. Its error says what is allowed and never repeats the value.
	store func(c *Config, value string) error
	// storeFile puts the name of a secret's file into c.
	storeFile func(c *Config, value string) error
}

// fileSuffix makes the name of a secret's twin.
const fileSuffix = "File"

// Settings returns the table, secrets' twins included, in the order in which it is documented.
func Settings() []Setting {
	var table []Setting
	for _, group := range [][]Setting{
		organisationSettings(), nemLoginSettings(), administratorSettings(), databaseSettings(),
		webSettings(), coreDataSettings(), guardSettings(), scheduleSettings(), operationSettings(),
	} {
		for _, s := range group {
			table = append(table, s)
			if s.Secret {
				table = append(table, Setting{
					Name: s.Name + fileSuffix, Kind: KindPath, Ignored: s.Ignored,
					Help:  "File that " + s.Name + " is read from instead; a line end at its end is left out.",
					store: s.storeFile, // Load reads the file, for its origin and its own faults
				})
			}
		}
	}
	return table
}

func organisationSettings() []Setting {
	return []Setting{
		cvr("rc.customer.cvr", "CVR number of the organisation, also the value of every grant for the whole organisation.",
			func(c *Config) *string { return &c.CVR }),
		{
			Name: "rc.customer.apikey", Kind: KindText, Secret: true, Ignored: true,
			Help:  "Accepted because OS2rollekatalog documents it; it has no effect there or here.",
			store: func(*Config, string) error { return nil }, storeFile: func(*Config, string) error { return nil },
		},
	}
}

func nemLoginSettings() []Setting {
	const p = "rc.integrations.nemLogin."
	return []Setting{
		boolean(p+"enabled", false, "Turns the integration with MitID Erhverv on.",
			func(c *Config) *bool { return &c.NemLogin.Enabled }),
		path(p+"keystoreLocation", "The organisation's certificate with its key: a PKCS#12 file (.p12, .pfx).",
			func(c *Config) *string { return &c.NemLogin.KeystoreLocation }),
		secret(p+"keystorePassword", "Password of the keystore.",
			func(c *Config) *Secret { return &c.NemLogin.KeystorePassword },
			func(c *Config) *string { return &c.NemLogin.KeystorePasswordFile }),
		boolean(p+"userDryRunOnly", true, "Reads everything and writes nothing to MitID Erhverv.",
			func(c *Config) *bool { return &c.NemLogin.UserDryRunOnly }),
		httpsURL(p+"baseUrl", "https://services.nemlog-in.dk", "Where MitID Erhverv's interface is.",
			func(c *Config) *string { return &c.NemLogin.BaseURL }),
		path(p+"rootCertificates", "PEM file with roots that the server's certificate may be verified by, beside the system's.",
			func(c *Config) *string { return &c.NemLogin.RootCertificates }),
		boolean(p+"renegotiate", false, "Lets the server ask for the certificate late, as some do; limits connections to TLS 1.2.",
			func(c *Config) *bool { return &c.NemLogin.Renegotiate }),
		number(p+"concurrency", nemlogin.DefaultConcurrency, 1, 64, "Most requests to MitID Erhverv at a time.",
			func(c *Config) *int { return &c.NemLogin.Concurrency }),
		number(p+"batchSize", nemlogin.DefaultBatchSize, 1, 1000, "Most roles in one write.",
			func(c *Config) *int { return &c.NemLogin.BatchSize }),
		duration(p+"timeout", nemlogin.DefaultTimeout, "How long one request may take.",
			func(c *Config) *time.Duration { return &c.NemLogin.Timeout }),
		choice(p+"lateUsers", "adopt", []string{"adopt", "overwrite"},
			"What happens to roles that a user holds whose NemLogin UUID comes after the first import: "+
				"adopt keeps them, overwrite removes those that nothing here gives him.",
			func(c *Config) *string { return &c.NemLogin.LateUsers }),
		boolean(p+"keepRolesOfLockedUsers", false, "Leaves users who are locked or have expired with their roles; deleted and disabled ones lose theirs.",
			func(c *Config) *bool { return &c.NemLogin.KeepRolesOfLockedUsers }),
	}
}

func administratorSettings() []Setting {
	var settings []Setting
	for _, role := range []struct {
		prefix, name, identifier string
		texts                    func(*Config) *AdministratorTexts
	}{
		{
			"organizationAdministrator", "Organisationsadministrator", "OrganizationAdministrator",
			func(c *Config) *AdministratorTexts { return &c.NemLogin.Administrators.Organization },
		},
		{
			"identityAdministrator", "Brugeradministrator", "IdentityAdministrator",
			func(c *Config) *AdministratorTexts { return &c.NemLogin.Administrators.Identity },
		},
		{
			"rightsAdministrator", "Rettighedsadministrator", "RightsAdministrator",
			func(c *Config) *AdministratorTexts { return &c.NemLogin.Administrators.Rights },
		},
	} {
		p := "rc.integrations.nemLogin." + role.prefix
		settings = append(settings,
			text(p+"Name", role.name, "Name of the read-only role that shows who is "+role.identifier+" in MitID Erhverv.",
				func(c *Config) *string { return &role.texts(c).Name }),
			text(p+"Identifier", role.identifier, "What MitID Erhverv calls this administrator.",
				func(c *Config) *string { return &role.texts(c).Identifier }),
			text(p+"Description", "", "Description of the role.",
				func(c *Config) *string { return &role.texts(c).Description }),
		)
	}
	return settings
}

func databaseSettings() []Setting {
	return []Setting{
		databaseURL("spring.datasource.url", "The database, e.g. jdbc:mariadb://host/rollebro. Without it: SQLite in rollebro.db in the working directory.",
			func(c *Config) *string { return &c.Database.URL }),
		text("spring.datasource.username", "", "Name to sign in to the database with.",
			func(c *Config) *string { return &c.Database.Username }),
		secret("spring.datasource.password", "Password to sign in to the database with.",
			func(c *Config) *Secret { return &c.Database.Password },
			func(c *Config) *string { return &c.Database.PasswordFile }),
		{
			Name: "spring.datasource.driver-class-name", Kind: KindText, Ignored: true,
			Help:  "Accepted because OS2rollekatalog has it; the URL says it all.",
			store: func(*Config, string) error { return nil },
		},
		path("rc.database.keyFile", "File with the key that CPR numbers are encrypted with. Made when it is not there. Without it: beside the SQLite file, or rollebro.key in the working directory.",
			func(c *Config) *string { return &c.Database.KeyFile }),
	}
}

func webSettings() []Setting {
	return []Setting{
		listen("rc.web.listen", ":8090", "Where the pages and interfaces are served.",
			func(c *Config) *string { return &c.Web.Listen }),
		path("rc.web.tlsCertificate", "PEM file with the server's certificate and chain. Without it: plain HTTP, for a proxy in front.",
			func(c *Config) *string { return &c.Web.TLSCertificate }),
		path("rc.web.tlsKey", "PEM file with the key of the server's certificate.",
			func(c *Config) *string { return &c.Web.TLSKey }),
	}
}

func coreDataSettings() []Setting {
	const p = "rc.coredata."
	const mebibyte = 1 << 20
	maxBody := number(p+"maxBody", coredata.DefaultMaxBody/mebibyte, 1, 1024, "Largest body of one load, in MiB; 64 hold some 145,000 people.", nil)
	maxBody.store = func(c *Config, value string) error {
		n, err := parseNumber(value, 1, 1024)
		if err == nil {
			c.CoreData.MaxBody = int64(n) * mebibyte
		}
		return err
	}
	return []Setting{
		boolean(p+"trustedEmployee", false, "Reads trustedEmployee from loads.",
			func(c *Config) *bool { return &c.CoreData.TrustedEmployee }),
		boolean(p+"roleApi", false, "Reads roles from loads.",
			func(c *Config) *bool { return &c.CoreData.RoleAPI }),
		boolean(p+"externalNemLoginUuid", false, "Reads externalNemloginUserUuid from loads: it is the user's identity in MitID Erhverv.",
			func(c *Config) *bool { return &c.CoreData.ExternalUUIDs }),
		boolean(p+"skipBadEntries", false, "Leaves bad entries out of a load instead of refusing the whole.",
			func(c *Config) *bool { return &c.CoreData.SkipBadEntries }),
		maxBody,
	}
}

func guardSettings() []Setting {
	const p = "rc.guard."
	d := plan.DefaultLimits()
	return []Setting{
		number(p+"removals.count", d.RemovalsCount, 0, 1_000_000, "Removals that a plan, or 24 hours, may always have.",
			func(c *Config) *int { return &c.Guard.Limits.RemovalsCount }),
		number(p+"removals.percent", d.RemovalsPercent, 0, 100, "Share of all grants that a plan, or 24 hours, may remove; the larger of both counts.",
			func(c *Config) *int { return &c.Guard.Limits.RemovalsPercent }),
		number(p+"roleRemovals.count", d.RoleRemovalsCount, 0, 1_000_000, "Removals that one role may always have.",
			func(c *Config) *int { return &c.Guard.Limits.RoleRemovalsCount }),
		number(p+"roleRemovals.percent", d.RoleRemovalsPercent, 0, 100, "Share of a role's holders that may lose it; the larger of both counts.",
			func(c *Config) *int { return &c.Guard.Limits.RoleRemovalsPercent }),
		number(p+"catalogueShrink.percent", d.CatalogueShrinkPercent, 0, 100, "Share of the system roles that one refresh of the catalogue may lose.",
			func(c *Config) *int { return &c.Guard.Limits.CatalogueShrinkPercent }),
		number(p+"loads.count", 50, 1, 1_000_000, "People that a load may always lock, or delete and create anew.",
			func(c *Config) *int { return &c.Guard.LoadsCount }),
		number(p+"loads.percent", 20, 0, 100, "Share of the people in its scope that a load may; the larger of both counts.",
			func(c *Config) *int { return &c.Guard.LoadsPercent }),
		list(p+"protectedUsers", "User ids that the machine never takes a role from, with commas between.",
			func(c *Config) *[]string { return &c.Guard.ProtectedUsers }),
		pattern(p+"lastHolderRoles", "(?i)administrator", "Regular expression: a role whose name matches keeps its last holder. \"-\" for none.",
			func(c *Config) **regexp.Regexp { return &c.Guard.LastHolderRoles }),
	}
}

func scheduleSettings() []Setting {
	return []Setting{
		boolean("rc.scheduled.enabled", true, "Runs the jobs by the clock; without it only the pages and interfaces are served.",
			func(c *Config) *bool { return &c.Schedule.Enabled }),
		hours("cron.nemlogin.fullSync", "When everybody is reconciled: six cron fields beginning with seconds, Danish time; - for never. Without it: daily after 10.",
			func(c *Config) *string { return &c.Schedule.FullSync }),
		optionalNumber("rc.schedule.minute", 0, 59, "Minute of the hour at which jobs run. Without it: drawn once per installation, as all municipalities share MitID Erhverv.",
			func(c *Config) **int { return &c.Schedule.Minute }),
		quiet("rc.schedule.quiet", "Time of the day in which no single person is worked on, e.g. 23:00-06:00.",
			func(c *Config) *scheduler.Quiet { return &c.Schedule.Quiet }),
	}
}

func operationSettings() []Setting {
	return []Setting{
		days("rc.retention.plans", 730, "Days that plans are kept.",
			func(c *Config) *time.Duration { return &c.Retention.Plans }),
		days("rc.retention.runs", 730, "Days that the records of runs are kept.",
			func(c *Config) *time.Duration { return &c.Retention.Runs }),
		days("rc.retention.calls", coredata.DefaultCallDays, "Days that the log of loads is kept.",
			func(c *Config) *time.Duration { return &c.Retention.Calls }),
		choice("rc.log.level", "info", []string{"debug", "info", "warn", "warning", "error"}, "The least important lines that are logged.",
			func(c *Config) *string { return &c.Log.Level }),
		choice("rc.log.format", "auto", []string{"auto", "text", "json"}, "How lines are logged; auto is text on a terminal and JSON elsewhere.",
			func(c *Config) *string { return &c.Log.Format }),
	}
}

func itoa(n int) string { return strconv.Itoa(n) }

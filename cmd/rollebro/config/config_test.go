package config_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/rollebro/rollebro/cmd/rollebro/config"
	"github.com/rollebro/rollebro/rolecatalog/plan"
)

// load loads from an environment alone, in a directory of its own.
func load(t *testing.T, environ ...string) (*config.Config, error) {
	t.Helper()
	return config.Load(config.Source{Environ: environ, Dir: t.TempDir()})
}

func mustLoad(t *testing.T, environ ...string) *config.Config {
	t.Helper()
	c, err := load(t, environ...)
	if err != nil {
		t.Fatalf("loading: %v", err)
	}
	return c
}

// loadFile loads from a rollebro.yaml and an environment.
func loadFile(t *testing.T, yaml string, environ ...string) (*config.Config, error) {
	t.Helper()
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, config.DefaultFile), yaml)
	return config.Load(config.Source{Environ: environ, Dir: dir})
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// wantProblems checks that loading failed with exactly these lines.
func wantProblems(t *testing.T, err error, want ...string) {
	t.Helper()
	if _, ok := errors.AsType[*config.Error](err); !ok {
		t.Fatalf("got error %v, want an *Error", err)
	}
	if diff := cmp.Diff(want, strings.Split(err.Error(), "\n")); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	c := mustLoad(t)
	if c.NemLogin.Enabled || !c.NemLogin.UserDryRunOnly || !c.Schedule.Enabled {
		t.Errorf("enabled %v, userDryRunOnly %v, scheduled %v; want false, true, true",
			c.NemLogin.Enabled, c.NemLogin.UserDryRunOnly, c.Schedule.Enabled)
	}
	if c.NemLogin.BaseURL != "https://services.nemlog-in.dk" || c.NemLogin.Concurrency != 8 || c.Web.Listen != ":8090" {
		t.Errorf("base URL %q, concurrency %d, listen %q", c.NemLogin.BaseURL, c.NemLogin.Concurrency, c.Web.Listen)
	}
	if diff := cmp.Diff(plan.DefaultLimits(), c.Guard.Limits); diff != "" {
		t.Errorf("limits (-want +got):\n%s", diff)
	}
	if !c.Guard.LastHolderRoles.MatchString("Rettighedsadministrator") || c.Guard.LastHolderRoles.MatchString("Indberetter") {
		t.Errorf("last holder roles: %v", c.Guard.LastHolderRoles)
	}
	want := config.Administrators{
		Organization: config.AdministratorTexts{Name: "Organisationsadministrator", Identifier: "OrganizationAdministrator"},
		Identity:     config.AdministratorTexts{Name: "Brugeradministrator", Identifier: "IdentityAdministrator"},
		Rights:       config.AdministratorTexts{Name: "Rettighedsadministrator", Identifier: "RightsAdministrator"},
	}
	if diff := cmp.Diff(want, c.NemLogin.Administrators); diff != "" {
		t.Errorf("administrators (-want +got):\n%s", diff)
	}
	if c.Schedule.Minute != nil || c.NemLogin.Timeout != 3*time.Minute || c.Retention.Plans != 730*24*time.Hour {
		t.Errorf("minute %v, timeout %v, plans %v", c.Schedule.Minute, c.NemLogin.Timeout, c.Retention.Plans)
	}
}

// An OS2rollekatalog installation's docker-compose environment must work as it is.
func TestComposeEnvironmentOfOS2rollekatalog(t *testing.T) {
	t.Parallel()
	c := mustLoad(t,
		"PATH=/usr/bin", "HOME=/root", "TZ=Europe/Copenhagen", "HOSTNAME=rollekatalog",
		"rc.customer.cvr=12345678",
		"rc.customer.apikey=hemmelig-noegle",
		"rc.scheduled.enabled=true",
		"rc.titles.enabled=true",
		"rc.apiControl.enabled=true",
		"rc.organisation.includePositionsFromSecondaryDomains=false",
		"rc.integrations.kle.uiEnabled=true",
		"rc.integrations.kombit.keystorePassword=andet",
		"rc.integrations.nemLogin.enabled=true",
		"rc.integrations.nemLogin.keystoreLocation=/home/cert/Filnavn.p12",
		"rc.integrations.nemLogin.keystorePassword=kodeæøå",
		"rc.integrations.nemLogin.userDryRunOnly=false",
		"rc.integrations.nemLogin.baseUrl=https://services.nemlog-in.dk",
		"cron.nemlogin.fullSync=0 17 10 * * ?",
		"cron.itSystemClean=0 0 3 * * *",
		"spring.datasource.url=jdbc:mariadb://mysql-server/rollekatalog",
		"spring.datasource.username=rollekatalog",
		"spring.datasource.password=Test1234",
		"spring.datasource.driver-class-name=org.mariadb.jdbc.Driver",
		"spring.datasource.hikari.maximum-pool-size=10",
		"di.saml.sp.baseUrl=https://rollekatalog.kommune.dk",
		"di.saml.idp.metadataLocation=url:https://adfs.kommune.dk/metadata.xml",
		"saml.keystore.password=tredje",
		"server.servlet.session.timeout=4h",
	)
	if !c.NemLogin.Enabled || c.NemLogin.UserDryRunOnly || c.CVR != "12345678" {
		t.Errorf("enabled %v, dry run %v, cvr %q", c.NemLogin.Enabled, c.NemLogin.UserDryRunOnly, c.CVR)
	}
	if c.NemLogin.KeystoreLocation != "/home/cert/Filnavn.p12" || c.NemLogin.KeystorePassword.Reveal() != "kodeæøå" {
		t.Errorf("keystore %q, password as set: %v", c.NemLogin.KeystoreLocation, c.NemLogin.KeystorePassword.Reveal() == "kodeæøå")
	}
	if c.Database.URL != "jdbc:mariadb://mysql-server/rollekatalog" || c.Database.Username != "rollekatalog" ||
		c.Database.Password.Reveal() != "Test1234" {
		t.Errorf("database %+v", c.Database)
	}
	if c.Schedule.FullSync != "0 17 10 * * ?" {
		t.Errorf("full sync %q", c.Schedule.FullSync)
	}
	want := []string{
		"rc.customer.apikey is set and has no effect",
		"spring.datasource.driver-class-name is set and has no effect",
		"11 settings of OS2rollekatalog that have no effect here: cron.itSystemClean, di.saml.idp.metadataLocation, " +
			"di.saml.sp.baseUrl, rc.apiControl.enabled, rc.integrations.kle.uiEnabled, rc.integrations.kombit.keystorePassword, " +
			"rc.organisation.includePositionsFromSecondaryDomains, rc.titles.enabled, saml.keystore.password, " +
			"server.servlet.session.timeout, spring.datasource.hikari.maximum-pool-size",
	}
	if diff := cmp.Diff(want, c.Notes); diff != "" {
		t.Errorf("notes (-want +got):\n%s", diff)
	}
	var shown strings.Builder
	if err := errors.Join(c.WriteText(&shown), c.WriteJSON(&shown)); err != nil {
		t.Fatal(err)
	}
	for _, hidden := range []string{"kodeæøå", "Test1234", "hemmelig", "andet", "tredje"} {
		if strings.Contains(shown.String(), hidden) || strings.Contains(fmt.Sprintf("%v %+v %#v", c.NemLogin, *c, c.Database), hidden) {
			t.Errorf("%q is shown", hidden)
		}
	}
}

// Every setting is found under every spelling that Spring would accept.
func TestRelaxedNames(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		var spelling strings.Builder
		for _, r := range "rc.web.listen" {
			switch {
			case r == '.':
				spelling.WriteString(rapid.SampledFrom([]string{".", "_", "-"}).Draw(t, "separator"))
			case rapid.Bool().Draw(t, "upper"):
				spelling.WriteString(strings.ToUpper(string(r)))
			default:
				spelling.WriteRune(r)
			}
		}
		c, err := config.Load(config.Source{Environ: []string{spelling.String() + "=:1"}, Dir: dir})
		if err != nil || c.Web.Listen != ":1" {
			t.Fatalf("%s: listen %q, %v", spelling.String(), c.Web.Listen, err)
		}
	})
}

func TestPrecedence(t *testing.T) {
	t.Parallel()
	const yaml = "rc:\n  web:\n    listen: :1\n  guard.removals.count: 7\nrc.log.level: warn\n"
	c, err := loadFile(t, yaml, "RC_WEB_LISTEN=:2")
	if err != nil {
		t.Fatal(err)
	}
	origins := make(map[string]string)
	for _, v := range c.Values() {
		origins[v.Setting.Name] = v.Text + " from " + v.Origin
	}
	for name, want := range map[string]string{
		"rc.web.listen":           ":2 from environment variable RC_WEB_LISTEN",
		"rc.guard.removals.count": "7 from rollebro.yaml line 4",
		"rc.log.level":            "warn from rollebro.yaml line 5",
		"rc.log.format":           "auto from default",
	} {
		if origins[name] != want {
			t.Errorf("%s is %q, want %q", name, origins[name], want)
		}
	}
	if !c.IsSet("rc.log.level") || c.IsSet("rc.log.format") || c.IsSet("rc.unheard.of") {
		t.Errorf("set: level %v, format %v", c.IsSet("rc.log.level"), c.IsSet("rc.log.format"))
	}
	if c.Web.Listen != ":2" || c.Guard.Limits.RemovalsCount != 7 || c.Log.Level != "warn" {
		t.Errorf("listen %q, removals %d, level %q", c.Web.Listen, c.Guard.Limits.RemovalsCount, c.Log.Level)
	}
}

func TestYAMLKeepsValuesAsWritten(t *testing.T) {
	t.Parallel()
	c, err := loadFile(t, `
rc:
  customer: {cvr: 12345678}
  guard:
    protectedUsers: [ab12, 0012, "x y"]
    lastHolderRoles: "-"
  integrations:
    nemLogin:
      userDryRunOnly: off
      keystorePassword: 007
      organizationAdministratorName: ~
`)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"ab12", "0012", "x y"}, c.Guard.ProtectedUsers); diff != "" {
		t.Errorf("protected users (-want +got):\n%s", diff)
	}
	if c.CVR != "12345678" || c.NemLogin.UserDryRunOnly || c.NemLogin.KeystorePassword.Reveal() != "007" || c.Guard.LastHolderRoles != nil ||
		c.NemLogin.Administrators.Organization.Name != "Organisationsadministrator" {
		t.Errorf("got %+v", *c)
	}
}

func TestEverythingWrongIsReportedAtOnce(t *testing.T) {
	t.Parallel()
	_, err := load(t,
		"rc.integrations.nemLogin.enabled=ja",
		"rc.integrations.nemLogin.baseUrl=http://services.nemlog-in.dk",
		"rc.integrations.nemLogin.concurrency=0",
		"rc.integrations.nemLogin.timeout=3",
		"rc.integrations.nemLogin.lateUsers=maybe",
		"rc.integrations.nemLogin.userDryRunOnyl=true",
		"rc.integration.nemLogin.keystoreLocation=/x",
		"rc.integrations.nemLogn.enabled=true",
		"rc.customer.cvr=1234567",
		"rc.guard.removals.percent=101",
		"rc.guard.lastHolderRoles=(",
		"rc.scheduled.enabled=2",
		"rc.schedule.minute=60",
		"rc.schedule.quiet=night",
		"rc.unheard.of=1",
		"rc.web.listen=8090",
		"rc.web.tlsKey=/k.pem",
		"cron.nemlogin.fullSync=TZ=0",
		"spring.datasource.url=jdbc:sqlserver://sa:Hemmelig1@h;password=Hemmelig2",
		"RC_LOG_LEVEL=loud\nfake line",
	)
	wantProblems(t, err,
		`rc.integrations.nemLogin.userDryRunOnyl (environment variable rc.integrations.nemLogin.userDryRunOnyl): unknown setting; did you mean rc.integrations.nemLogin.userDryRunOnly?`,
		`rc.integration.nemLogin.keystoreLocation (environment variable rc.integration.nemLogin.keystoreLocation): unknown setting; did you mean rc.integrations.nemLogin.keystoreLocation?`,
		`rc.integrations.nemLogn.enabled (environment variable rc.integrations.nemLogn.enabled): unknown setting; did you mean rc.integrations.nemLogin.enabled?`,
		`rc.unheard.of (environment variable rc.unheard.of): unknown setting; "rollebro config show" lists all`,
		`rc.customer.cvr = "1234567" (environment variable rc.customer.cvr): must be a CVR number: 8 digits`,
		`rc.integrations.nemLogin.enabled = "ja" (environment variable rc.integrations.nemLogin.enabled): must be true or false`,
		`rc.integrations.nemLogin.baseUrl = "http://services.nemlog-in.dk" (environment variable rc.integrations.nemLogin.baseUrl): must begin with https://, because the access token must not be sent without TLS`,
		`rc.integrations.nemLogin.concurrency = "0" (environment variable rc.integrations.nemLogin.concurrency): must be a whole number from 1 to 64`,
		`rc.integrations.nemLogin.timeout = "3" (environment variable rc.integrations.nemLogin.timeout): must be a time from 1s to 1h, e.g. 90s or 3m`,
		`rc.integrations.nemLogin.lateUsers = "maybe" (environment variable rc.integrations.nemLogin.lateUsers): must be adopt or overwrite`,
		`spring.datasource.url = "jdbc:sqlserver://********@h;password=********" (environment variable spring.datasource.url): must be jdbc:mariadb://host/database, jdbc:mysql://host/database or sqlite:FILE`,
		`rc.web.listen = "8090" (environment variable rc.web.listen): must be an address of the form :port or host:port, e.g. :8090`,
		`rc.guard.removals.percent = "101" (environment variable rc.guard.removals.percent): must be a whole number from 0 to 100`,
		"rc.guard.lastHolderRoles = \"(\" (environment variable rc.guard.lastHolderRoles): must be a regular expression in Go's syntax: error parsing regexp: missing closing ): `(`",
		`rc.scheduled.enabled = "2" (environment variable rc.scheduled.enabled): must be true or false`,
		`cron.nemlogin.fullSync = "TZ=0" (environment variable cron.nemlogin.fullSync): must be six cron fields: second minute hour day month weekday, e.g. 0 17 10 * * *, or - for never`,
		`rc.schedule.minute = "60" (environment variable rc.schedule.minute): must be a whole number from 0 to 59`,
		`rc.schedule.quiet = "night" (environment variable rc.schedule.quiet): must be a time of the day such as 23:00-06:00`,
		`rc.log.level = "loud\nfake line" (environment variable RC_LOG_LEVEL): must be debug, info, warn, warning or error`,
		`rc.web.tlsCertificate: missing; it is needed with rc.web.tlsKey`,
	)
}

func TestWhatTheIntegrationNeeds(t *testing.T) {
	t.Parallel()
	_, err := load(t, "rc.integrations.nemLogin.enabled=on")
	wantProblems(t, err,
		"rc.customer.cvr: missing; it is needed when rc.integrations.nemLogin.enabled is true",
		"rc.integrations.nemLogin.keystoreLocation: missing; it is needed when rc.integrations.nemLogin.enabled is true",
	)
}

func TestSetTwice(t *testing.T) {
	t.Parallel()
	_, err := load(t, "rc.web.listen=:1", "RC_WEB_LISTEN=:2", "rc.log.level=warn", "RC_LOG_LEVEL=warn")
	wantProblems(t, err, "rc.web.listen (environment variable RC_WEB_LISTEN): set twice with different values; the other is environment variable rc.web.listen")
	_, err = loadFile(t, "rc.web.listen: :1\nrc:\n  web:\n    listen: :2\n")
	wantProblems(t, err, "rc.web.listen (rollebro.yaml line 4): set twice with different values; the other is rollebro.yaml line 1")
}

func TestOtherVariablesAreNotJudged(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, "CRON=1", "SERVER_NAME=x", "ERROR=1", "RCLONE_CONFIG=/x", "SPRING_PROFILES_ACTIVE=prod",
		"RC_SERVICE_HOST=10.0.0.1", "RC_SERVICE_PORT=8090", "RC_PORT=tcp://10.0.0.1:8090", "RC_PORT_8090_TCP_ADDR=10.0.0.1")
	if len(c.Notes) != 0 {
		t.Errorf("notes %q", c.Notes)
	}
}

func TestSecretFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	good, empty, binary := filepath.Join(dir, "good"), filepath.Join(dir, "empty"), filepath.Join(dir, "binary")
	writeFile(t, good, " kode med mellemrum \r\n")
	writeFile(t, empty, "\n")
	writeFile(t, binary, "\xff\xfe")
	const password, file = "rc.integrations.nemLogin.keystorePassword", "rc.integrations.nemLogin.keystorePasswordFile"

	c := mustLoad(t, password+"=", "RC_INTEGRATIONS_NEMLOGIN_KEYSTOREPASSWORD_FILE="+good)
	if got := c.NemLogin.KeystorePassword.Reveal(); got != " kode med mellemrum " {
		t.Errorf("password %q", got)
	}
	for _, test := range []struct {
		name    string
		environ []string
		want    string
	}{
		{"missing", []string{file + "=" + dir + "/none"}, file + ` = "` + dir + `/none" (environment variable ` + file + `): the file does not exist`},
		{"directory", []string{file + "=" + dir}, file + ` = "` + dir + `" (environment variable ` + file + `): the file is not a file`},
		{"empty", []string{file + "=" + empty}, file + ` = "` + empty + `" (environment variable ` + file + `): the file is empty`},
		{"binary", []string{file + "=" + binary}, file + ` = "` + binary + `" (environment variable ` + file + `): the file is not text in UTF-8`},
		{
			"both",
			[]string{file + "=" + good, password + "=x"},
			password + ` (environment variable ` + password + `): set together with ` + file + ` (environment variable ` + file + `); set only one of them`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := load(t, test.environ...)
			wantProblems(t, err, test.want)
		})
	}
}

func TestSettingsFile(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, yaml, want string
	}{
		{"tabs", "rc:\n\tweb: x\n", "settings file: rollebro.yaml is not valid YAML: line 2: found character that cannot start any token"},
		{"list", "- a\n", `settings file: rollebro.yaml line 1: must be settings of the form "name: value"`},
		{"two", "a: 1\n---\nb: 1\n", "settings file: rollebro.yaml: only one YAML document is allowed in the file"},
		{"alias", "rc.log.level: &x warn\nrc.log.format: *x\n", "settings file: rollebro.yaml line 2: references (*name) are not supported; write the value out"},
		{"nested list", "rc.guard.protectedUsers: [[a]]\n", "settings file: rollebro.yaml line 1: the list rc.guard.protectedUsers must hold plain values"},
		{"unknown", "rc:\n  guards:\n    removals.count: 3\n", "rc.guards.removals.count (rollebro.yaml line 3): unknown setting; did you mean rc.guard.removals.count?"},
		{"not ours", "listen: :1\n", "listen (rollebro.yaml line 1): unknown setting; did you mean rc.web.listen?"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := loadFile(t, test.yaml)
			wantProblems(t, err, test.want)
		})
	}

	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "mine.yaml"), "rc.web.listen: :3\n")
	for name, source := range map[string]config.Source{
		"--config":  {File: filepath.Join(dir, "mine.yaml"), Environ: []string{"RC_CONFIG=/none"}},
		"RC_CONFIG": {Environ: []string{"RC_CONFIG=mine.yaml"}, Dir: dir},
	} {
		if c, err := config.Load(source); err != nil || c.Web.Listen != ":3" {
			t.Errorf("%s: listen %q, %v", name, c.Web.Listen, err)
		}
	}
	_, err := config.Load(config.Source{File: "/none/x.yaml"})
	wantProblems(t, err, "settings file /none/x.yaml (--config): the file does not exist")
	_, err = config.Load(config.Source{Environ: []string{"RC_CONFIG=/none/x.yaml"}})
	wantProblems(t, err, "settings file /none/x.yaml (RC_CONFIG): the file does not exist")
	for _, content := range []string{"", "# nothing\n", "~\n"} {
		if _, err := loadFile(t, content); err != nil {
			t.Errorf("%q: %v", content, err)
		}
	}
}

// Whatever is shown of a setting: the reference and both lists have every one.
func TestEverySettingIsShown(t *testing.T) {
	t.Parallel()
	c := mustLoad(t)
	var text, markdown, encoded strings.Builder
	if err := errors.Join(c.WriteText(&text), config.WriteMarkdown(&markdown), c.WriteJSON(&encoded)); err != nil {
		t.Fatal(err)
	}
	var rows []struct{ Name, Value, Origin, Help string }
	if err := json.Unmarshal([]byte(encoded.String()), &rows); err != nil {
		t.Fatal(err)
	}
	settings := config.Settings()
	if len(rows) != len(settings) || len(settings) < 40 {
		t.Fatalf("%d rows for %d settings", len(rows), len(settings))
	}
	seen := make(map[string]bool)
	for i, s := range settings {
		if rows[i].Name != s.Name || rows[i].Origin != "default" || rows[i].Help == "" {
			t.Errorf("row %d is %+v, want %s", i, rows[i], s.Name)
		}
		if !strings.Contains(text.String(), "\n"+s.Name+" ") || !strings.Contains(markdown.String(), "\n| `"+s.Name+"` |") {
			t.Errorf("%s is missing from a list", s.Name)
		}
		key := strings.ToLower(strings.ReplaceAll(s.Name, ".", ""))
		if seen[key] {
			t.Errorf("%s is there twice", s.Name)
		}
		seen[key] = true
		if s.Secret && !strings.HasSuffix(settings[i+1].Name, s.Name[len(s.Name)-4:]+"File") {
			t.Errorf("the secret %s has no twin", s.Name)
		}
	}
}

func TestShownDatabaseURLHidesPasswords(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"jdbc:mariadb://u:hemmelig1@h/db?user=x&password=hemmelig2&trustStorePassword=hemmelig3&useSSL=true": "jdbc:mariadb://********@h/db?user=x&password=********&trustStorePassword=********&useSSL=true",
		"mysql:u:hem@lig@tcp(h:3306)/db": "mysql:********@tcp(h:3306)/db",
		"jdbc:mariadb://u:h@m@h/db":      "jdbc:mariadb://********@h/db",
		"sqlite:/data/x.db":              "sqlite:/data/x.db",
		"rollebro.db":                    "rollebro.db",
	} {
		for _, v := range mustLoad(t, "spring.datasource.url="+given).Values() {
			if v.Setting.Name == "spring.datasource.url" && v.Text != want {
				t.Errorf("got %q, want %q", v.Text, want)
			}
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add("rc:\n  web:\n    listen: :1\n", "rc.log.level=warn")
	f.Add("rc.guard.protectedUsers: [a, b]\n", "RC_WEB_LISTEN=")
	f.Add("a: &x [1]\nb: *x\n", "cron.nemlogin.fullSync=CRON_TZ=x 1")
	f.Add("<<: {a: b}\n", "rc.customer.cvr=١٢٣٤٥٦٧٨")
	f.Fuzz(func(t *testing.T, yaml, variable string) {
		if strings.HasPrefix(strings.ToUpper(variable), config.FileVariable) || strings.Contains(strings.ToLower(variable), "file=") {
			return
		}
		dir := t.TempDir()
		writeFile(t, filepath.Join(dir, config.DefaultFile), yaml)
		c, err := config.Load(config.Source{Environ: []string{variable}, Dir: dir})
		if c == nil || len(c.Values()) != len(config.Settings()) {
			t.Fatal("settings are missing")
		}
		var problems *config.Error
		if err != nil && (!errors.As(err, &problems) || len(strings.Split(err.Error(), "\n")) != len(problems.Problems)) {
			t.Fatalf("a problem has more than one line: %q", err)
		}
	})
}

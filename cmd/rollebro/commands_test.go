package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/rollebro/rollebro/certs"
	"github.com/rollebro/rollebro/cmd/rollebro/config"
	"github.com/rollebro/rollebro/rolecatalog"
)

// The help of every command, in one file, so that a change of it is seen. UPDATE_GOLDEN=1 writes it anew.
func TestHelp(t *testing.T) {
	t.Parallel()
	var all strings.Builder
	var visit func(cmd *cobra.Command, path ...string)
	visit = func(cmd *cobra.Command, path ...string) {
		if cmd.Name() == "completion" || cmd.Name() == "help" { // cobra's own
			return
		}
		r := settings{}.must(t, exitOK, append(path, "--help")...)
		all.WriteString("$ rollebro " + strings.Join(append(path, "--help"), " ") + "\n" + r.out + "\n")
		for line := range strings.SplitSeq(r.out, "\n") {
			if len([]rune(line)) > 120 {
				t.Errorf("%v: a line of %d characters: %s", path, len([]rune(line)), line)
			}
		}
		for _, c := range cmd.Commands() {
			visit(c, append(append([]string{}, path...), c.Name())...)
		}
	}
	visit(newRoot(&program{}))
	const golden = "testdata/help.golden"
	if os.Getenv("UPDATE_GOLDEN") != "" {
		writeFile(t, golden, all.String())
	}
	if diff := cmp.Diff(readFile(t, golden), all.String()); diff != "" {
		t.Errorf("the help has changed; UPDATE_GOLDEN=1 go test ./cmd/rollebro -run TestHelp writes it anew (-want +got):\n%s", diff)
	}
}

// wallClock is a time of the day in Denmark.
var wallClock = regexp.MustCompile(`\d\d:\d\d:\d\d CES?T`)

func TestFromUsersToApply(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 20)
	r := w.must(t, exitOK, "users", "load", w.file("users.csv"))
	if r.out != "Loaded 20 users from CSV: 20 created, 0 updated, 0 unchanged\n" {
		t.Errorf("load says %q", r.out)
	}
	r = w.must(t, exitOK, "import")
	if !strings.HasPrefix(r.out, "Imported 20 of 20 identities: ") || !strings.HasSuffix(r.err, "Importing: 20 of 20 (100 %)\n") {
		t.Errorf("import says %q, %q", r.out, r.err)
	}
	if r = w.must(t, exitOK, "import", "-o", "json"); decode[rolecatalog.ImportReport](t, r.out).Candidates != 0 {
		t.Errorf("a second import says %q", r.out)
	}
	w.must(t, exitOK, "plan", "--detailed-exitcode")

	// What somebody changed in MitID Erhverv's own pages is put right, one grant back and one away.
	who := w.sim.State().Identities[0]
	lost := who.Roles[0]
	if err := w.sim.Revoke(who.UUID, lost.UUID, lost.Scope.Type, lost.Scope.Value); err != nil {
		t.Fatal(err)
	}
	w.drift(t, 1)
	doc := decode[struct {
		ID     string
		Counts struct{ Add, Remove int }
	}](t, w.must(t, exitChanges, "plan", "--detailed-exitcode", "-o", "json").out)
	if doc.Counts.Add != 1 || doc.Counts.Remove != 1 {
		t.Fatalf("the plan has %+v", doc.Counts)
	}
	for _, format := range []string{"text", "csv", "markdown", "html"} {
		r := w.must(t, exitOK, "plan", "-o", format, "--verbose")
		if !strings.Contains(r.out, who.UUID) {
			t.Errorf("%s does not name %s", format, who.UUID)
		}
		if made := wallClock.MatchString(r.out); made != (format != "csv") {
			t.Errorf("%s says when it was made by the wall: %t", format, made)
		}
	}
	if n := len(w.writes()); n != 0 {
		t.Errorf("%d writes before the apply", n)
	}
	r = w.must(t, exitOK, "apply", doc.ID[:8])
	if r.out != "Plan "+doc.ID[:12]+": 1 added, 1 removed\n" {
		t.Errorf("apply says %q", r.out)
	}
	if after, _ := w.sim.Identity(who.UUID); !after.Holds(lost.UUID, lost.Scope.Type, lost.Scope.Value) {
		t.Error("the grant is not back")
	}
	w.must(t, exitOK, "plan", "--detailed-exitcode")
	w.must(t, exitStale, "approve", doc.ID, "--by", "B", "--reason", "R") // it was applied
	if r := w.must(t, exitFailure, "apply", "ffffffff"); !strings.Contains(r.err, "no such plan") {
		t.Errorf("an unknown plan: %q", r.err)
	}
	w.must(t, exitOK, "db", "check")
}

func TestDryRunWritesNothing(t *testing.T) {
	t.Parallel()
	w := imported(t, 20)
	w.drift(t, 3)
	dry := w.with(setDryRun, "true")
	id := decode[struct{ ID string }](t, dry.must(t, exitChanges, "plan", "--detailed-exitcode", "-o", "json").out).ID
	for _, args := range [][]string{{"apply", "--yes"}, {"apply", id}} {
		r := dry.must(t, exitOK, args...)
		if !strings.Contains(r.out, "dry run: 0 to add and 3 to remove; nothing was written") {
			t.Errorf("%v says %q", args, r.out)
		}
	}
	if list := w.writes(); len(list) != 0 {
		t.Errorf("a dry run wrote: %+v", list)
	}
	if r := dry.must(t, exitOK, "status"); !strings.Contains(r.out, "dry run: writes nothing") {
		t.Errorf("the status says %q", r.out)
	}
}

func TestApprove(t *testing.T) {
	t.Parallel()
	w := imported(t, 20)
	w.drift(t, 40)
	w.must(t, exitBlocked, "apply", "--yes")
	id := decode[struct{ ID string }](t, w.must(t, exitOK, "plan", "-o", "json").out).ID
	if r := w.must(t, exitOK, "status"); !strings.Contains(r.out, "Needs a person:") {
		t.Errorf("the status says %q", r.out)
	}
	r := w.must(t, exitOK, "approve", id[:10], "--by", "Bodil Thorup", "--reason", "sag 26-1234")
	if !strings.Contains(r.out, "0 to add, 40 to remove") {
		t.Errorf("approve says %q", r.out)
	}
	if r := w.must(t, exitOK, "apply", id); !strings.Contains(r.out, "0 added, 40 removed") {
		t.Errorf("apply says %q", r.out)
	}
	w.must(t, exitOK, "plan", "--detailed-exitcode")
}

func TestOneUser(t *testing.T) {
	t.Parallel()
	w := imported(t, 20)
	w.drift(t, 1)
	var changed, other string
	for _, who := range w.sim.State().Identities {
		full, _ := w.sim.Identity(who.UUID)
		r := w.must(t, exitOK, "plan", "--user", full.UserID, "-o", "json")
		switch n := decode[struct{ Counts struct{ Remove int } }](t, r.out).Counts.Remove; {
		case n == 1 && changed == "":
			changed = full.UserID
		case n == 0:
			other = full.UserID
		default:
			t.Fatalf("%s loses %d", full.UserID, n)
		}
	}
	if changed == "" || other == "" {
		t.Fatalf("changed %q, other %q", changed, other)
	}
	if r := w.must(t, exitFailure, "plan", "--user", "nobody"); !strings.Contains(r.err, `there is no user "nobody"`) {
		t.Errorf("got %q", r.err)
	}
	r := w.must(t, exitOK, "users", "show", strings.ToUpper(other))
	for _, want := range []string{other, "ASSIGNMENT", "SYSTEM ROLE", "direct: ", "identity.adopt"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("%q is missing in\n%s", want, r.out)
		}
	}
	if x := decode[rolecatalog.Explanation](t, w.must(t, exitOK, "users", "show", other, "-o", "json").out); x.User.UserID != other || len(x.Changes) == 0 {
		t.Errorf("got %+v", x)
	}
	if r := w.must(t, exitFailure, "users", "show", "nobody"); !strings.Contains(r.err, "users list") {
		t.Errorf("got %q", r.err)
	}
	if r := w.must(t, exitOK, "users", "list", other); strings.Count(r.out, "\n") != 2 || !strings.Contains(r.out, other) {
		t.Errorf("list says %q", r.out)
	}
	if users := decode[[]rolecatalog.User](t, w.must(t, exitOK, "users", "list", "-o", "json", "--limit", "3").out); len(users) != 3 {
		t.Errorf("%d users", len(users))
	}
	lists := decode[roleLists](t, w.must(t, exitOK, "roles", "list", "-o", "json").out)
	granted, held := 0, 0
	for _, r := range lists.SystemRoles {
		granted += r.Grants
	}
	for i := range lists.JobFunctionRoles {
		held += lists.JobFunctionRoles[i].Holders
	}
	if len(lists.SystemRoles) != 40 || granted == 0 || held == 0 {
		t.Errorf("%d system roles with %d grants, %d holders", len(lists.SystemRoles), granted, held)
	}
	if r := w.must(t, exitOK, "roles", "list"); !strings.Contains(r.out, "JOB FUNCTION ROLE") || !strings.Contains(r.out, lists.SystemRoles[0].Name) {
		t.Errorf("list says %q", r.out)
	}
}

// cprDigits are CPR numbers of the test files below, which no output may have.
var cprDigits = regexp.MustCompile(`\d{6}-?\d{4}`)

func TestBadUserFiles(t *testing.T) {
	t.Parallel()
	s := emptySettings(t).with(setCVR, "12345678")
	const uuid = "AAAAAAAA-0000-4000-8000-000000000001"
	file := writeFile(t, filepath.Join(t.TempDir(), "u.csv"), "userId;name;email;cpr;nemloginUuid;disabled\n"+
		"ok1;Fin Person;a@b.dk;010170-0000;"+uuid+";\n"+
		"bad1;Ugyldig Cpr;;9999990000;;\n"+
		"bad2;Ugyldig Uuid;;;1234;\n"+
		";Uden Id;;;;\n"+
		"OK1;Igen;;;;\n"+
		"bad3;For;mange;;;;\n"+
		"bad4;Måske;;;;0101700000\n")
	s.must(t, exitOK, "users", "list") // makes the database, and says so
	r := s.must(t, exitFailure, "users", "load", file)
	want := `rollebro: line 7: 7 fields, but the heading has 6
rollebro: line 8: disabled is "…"; it must be true or false
rollebro: line 3: the CPR number is not one: 10 digits that begin with a date are asked for (it isn't shown here)
rollebro: line 4: the NemLogin UUID "1234" is not a UUID
rollebro: line 5: the user id is missing
rollebro: line 6: the user "OK1" stands in line 2 already
  Nothing was loaded. Mend 6 faults in ` + file + ` and load it again.
`
	if diff := cmp.Diff(want, r.err); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if cprDigits.MatchString(strings.ReplaceAll(r.err, file, "")) || r.out != "" {
		t.Errorf("a CPR number is shown, or something was said: %q", r.out)
	}
	// Nor is the good line loaded when the only fault is in the form of another one.
	if r := s.feed(t, "userId,name,nemloginUuid\nok2,Fin,\nbad,For,mange,felter\n", "users", "load", "-"); r.code != exitFailure || !strings.HasPrefix(r.err, "rollebro: line 3: 4 fields") {
		t.Errorf("exit code %d: %q", r.code, r.err)
	}
	if r := s.must(t, exitOK, "users", "list"); strings.Count(r.out, "\n") != 1 {
		t.Errorf("something was loaded: %q", r.out)
	}
}

func TestUserFiles(t *testing.T) {
	t.Parallel()
	s := emptySettings(t).with(setCVR, "12345678")
	s.must(t, exitOK, "domain", "create", "skovby.dk")
	const body = `{"domain":"skovby.dk","entryList":[{"uuid":"5b0f2c1e-7a34-4c55-9d0e-3f1f6f0a9b01","cpr":"0101700000","name":"Åse","samAccountName":"AASE"}]}`
	if r := s.feed(t, body, "users", "load", "-", "--dry-run"); r.code != exitOK || r.out != "Dry run: nothing was stored. It would have loaded 1 user from CoreData JSON: 1 created, 0 updated, 0 unchanged\n" {
		t.Errorf("exit code %d: %q %q", r.code, r.out, r.err)
	}
	for _, want := range []rolecatalog.LoadReport{{Created: 1}, {Unchanged: 1}} {
		r := s.feed(t, body, "users", "load", "-", "-o", "json")
		if diff := cmp.Diff(want, decode[rolecatalog.LoadReport](t, r.out)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	const twice = "userId,name,nemloginUuid\na,A,aaaaaaaa-0000-4000-8000-000000000001\nb,B,aaaaaaaa-0000-4000-8000-000000000001\n"
	if r := s.feed(t, twice, "users", "load", "-"); r.code != exitOK || !strings.HasPrefix(r.err, "warning: a and b have the same NemLogin UUID") {
		t.Errorf("a conflict: exit code %d, %q", r.code, r.err)
	}
	if r := s.feed(t, "userId,name,nemloginUuid,domain\na,A,,nowhere\n", "users", "load", "-"); r.code != exitFailure || !strings.Contains(r.err, `line 2: there is no domain "nowhere"`) {
		t.Errorf("an unknown domain: exit code %d, %q", r.code, r.err)
	}
}

func TestDomains(t *testing.T) {
	t.Parallel()
	s := emptySettings(t)
	s.must(t, exitOK, "domain", "create", "kommune.dk")
	s.must(t, exitOK, "domain", "create", "omsorg", "--parent", "KOMMUNE.dk")
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"Kommune.DK"}, `there is a domain "Kommune.DK" already`},
		{[]string{"x", "--parent", "nowhere"}, `there is no domain "nowhere"`},
		{[]string{"x", "--parent", "omsorg"}, "two levels"},
		{[]string{" "}, "needs a name"},
	} {
		if r := s.must(t, exitFailure, append([]string{"domain", "create"}, test.args...)...); !strings.Contains(r.err, test.want) {
			t.Errorf("%v: %q", test.args, r.err)
		}
	}
	if r := s.must(t, exitOK, "domain", "list"); !regexp.MustCompile(`(?m)^omsorg +kommune\.dk$`).MatchString(r.out) || !strings.Contains(r.out, rolecatalog.PrimaryDomain) {
		t.Errorf("list says %q", r.out)
	}
	if list := decode[[]rolecatalog.Domain](t, s.must(t, exitOK, "domain", "list", "-o", "json").out); len(list) != 3 {
		t.Errorf("%d domains", len(list))
	}
}

func TestDatabaseCommands(t *testing.T) {
	t.Parallel()
	s := emptySettings(t).with("RC_DATABASE_KEYFILE", filepath.Join(t.TempDir(), "key"))
	if r := s.must(t, exitFailure, "db", "check"); !strings.Contains(r.err, "db migrate") {
		t.Errorf("an empty database: %q", r.err)
	}
	if r := s.must(t, exitOK, "db", "migrate"); !strings.HasPrefix(r.out, "ran 2") || !strings.HasSuffix(r.out, "is up to date\n") {
		t.Errorf("migrate says %q", r.out)
	}
	if r := s.must(t, exitOK, "db", "migrate"); strings.Contains(r.out, "ran ") {
		t.Errorf("a second migrate says %q", r.out)
	}
	if r := s.must(t, exitOK, "db", "check"); !strings.Contains(r.out, "the audit trail of 0 events is whole") {
		t.Errorf("check says %q", r.out)
	}
	s.must(t, exitOK, "domain", "create", "kommune.dk")
	backup := filepath.Join(t.TempDir(), "copy.db")
	s.must(t, exitOK, "db", "backup", backup)
	if r := s.with(setDatabase, backup).must(t, exitOK, "domain", "list"); !strings.Contains(r.out, "kommune.dk") {
		t.Errorf("the copy holds %q", r.out)
	}
	s.must(t, exitFailure, "db", "backup", backup) // never overwritten
	r := s.with("RC_DATABASE_KEYFILE", backup+".nokey").must(t, exitConfig, "domain", "list")
	if strings.Count(r.err, "\n") != 1 || !strings.Contains(r.err, "key file") {
		t.Errorf("without its key: %q", r.err)
	}
}

func TestConfigCommands(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	secret := "hemmelig-kode"
	s := w.with("SPRING_DATASOURCE_PASSWORD", secret, "rc.titles.enabled", "true")
	for _, format := range []string{"text", "json"} {
		r := s.must(t, exitOK, "config", "show", "-o", format)
		if strings.Contains(r.out+r.err, secret) || !strings.Contains(r.out, "environment variable "+setCVR) || !strings.Contains(r.err, "rc.titles.enabled") {
			t.Errorf("%s: %q %q", format, r.out, r.err)
		}
	}
	r := s.must(t, exitOK, "config", "show", "-o", "markdown")
	for _, row := range config.Settings() {
		if !strings.Contains(r.out, "`"+row.Name+"`") {
			t.Errorf("%s is missing", row.Name)
		}
	}
	// What is wrong is told, and the rest is shown.
	if r := s.with(setListen, "x").must(t, exitConfig, "config", "show"); !strings.Contains(r.out, "rc.web.listen") || !strings.Contains(r.err, "rc.web.listen") {
		t.Errorf("%q %q", r.out, r.err)
	}

	r = s.must(t, exitOK, "config", "check")
	if strings.Contains(r.out, "FAIL") || !strings.Contains(r.out, "CVR "+w.sim.CVR()) {
		t.Errorf("check says %q", r.out)
	}
	if _, err := os.Stat(strings.TrimPrefix(s[setDatabase], "sqlite:") + ".key"); err == nil {
		t.Error("the check has made a key file")
	}
	for _, test := range []struct {
		name string
		s    settings
		code int
		want string
	}{
		{"settings", s.with(setListen, "x"), exitConfig, ""},
		{"keystore", s.with(setKeystore, "/none"), exitKeystore, "FAIL  keystore  There is no such file."},
		{"roots", s.with(setRoots, "/none"), exitKeystore, "FAIL  roots"},
		{"database", s.with(setDatabase, "sqlite:"+w.file("ca.pem")), exitConfig, "FAIL  database"},
		{"off", emptySettings(t), exitOK, "ok    keystore  not needed"},
	} {
		if r := test.s.must(t, test.code, "config", "check"); !strings.Contains(r.out, test.want) {
			t.Errorf("%s: %q", test.name, r.out)
		}
	}
	if list := decode[[]checked](t, s.must(t, exitOK, "config", "check", "-o", "json").out); len(list) < 3 {
		t.Errorf("%d checks", len(list))
	}
}

func TestCertsInspect(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	keystore, password := w.file("keystore.p12"), w.file("keystore.password")
	report := decode[certs.Report](t, settings{}.must(t, exitOK, "certs", "inspect", keystore, "--password-file", password, "-o", "json").out)
	if report.Description == nil || report.Description.CVR != w.sim.CVR() {
		t.Errorf("got %+v", report)
	}
	// The keystore of the settings.
	if r := w.must(t, exitOK, "certs", "inspect"); !strings.Contains(r.out, w.sim.CVR()) || !strings.Contains(r.out, keystore) {
		t.Errorf("got %q", r.out)
	}
	for _, test := range []struct {
		name string
		s    settings
		args []string
		code int
		want string
	}{
		{"no password", settings{}, []string{keystore}, exitKeystore, "No password is set"},
		{"other CVR", w.settings, []string{keystore, "--cvr", "12345678"}, exitKeystore, "[cvr_mismatch]"},
		{"other environment", w.settings, []string{keystore, "--base-url", "https://services.nemlog-in.dk"}, exitKeystore, "[test_certificate]"},
		{"wrong settings", w.with(setListen, "x"), []string{keystore}, exitOK, w.sim.CVR()},
		{"none", settings{}, nil, exitFailure, ""},
		{"no password file", settings{}, []string{keystore, "--password-file", "/none"}, exitFailure, ""},
	} {
		if r := test.s.must(t, test.code, append([]string{"certs", "inspect"}, test.args...)...); !strings.Contains(r.out, test.want) {
			t.Errorf("%s: %q", test.name, r.out)
		}
	}
}

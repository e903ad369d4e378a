// Package rollebro_test holds the promises of the files in the repository's root: how the
// program is packed and run.
package rollebro_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/rollebro/rollebro/cmd/rollebro/config"
)

// instruction is one of a Dockerfile, its lines joined.
type instruction struct{ name, arguments string }

// stages splits a Dockerfile at its FROM lines.
func stages(t *testing.T, file string) [][]instruction {
	t.Helper()
	joined := strings.ReplaceAll(read(t, file), "\\\n", " ")
	var all [][]instruction
	for line := range strings.Lines(joined) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, arguments, _ := strings.Cut(line, " ")
		if name == "FROM" {
			all = append(all, nil)
		}
		if len(all) == 0 {
			t.Fatalf("%s: %s comes before any FROM", file, name)
		}
		last := len(all) - 1
		all[last] = append(all[last], instruction{name, strings.Join(strings.Fields(arguments), " ")})
	}
	return all
}

// one returns the arguments of the only instruction of that name in a stage.
func one(t *testing.T, stage []instruction, name string) string {
	t.Helper()
	var found []string
	for _, i := range stage {
		if i.name == name {
			found = append(found, i.arguments)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d %s instructions in the stage, want one: %q", len(found), name, found)
	}
	return found[0]
}

func read(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func goVersion(t *testing.T) string {
	t.Helper()
	match := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(read(t, "go.mod"))
	if match == nil {
		t.Fatal("go.mod names no Go version")
	}
	return match[1]
}

func TestDockerfileBuildsAStaticProgramWithTheGoOfGoMod(t *testing.T) {
	t.Parallel()
	all := stages(t, "Dockerfile")
	if len(all) != 2 {
		t.Fatalf("%d stages, want a build and an image", len(all))
	}
	build := all[0]
	if from, want := one(t, build, "FROM"), "golang:"+goVersion(t)+"-"; !strings.HasPrefix(from, want) {
		t.Errorf("the build is FROM %s, want %s…", from, want)
	}
	compiled := slices.ContainsFunc(build, func(i instruction) bool {
		return i.name == "RUN" && strings.Contains(i.arguments, "CGO_ENABLED=0 go build") &&
			strings.Contains(i.arguments, "-X main.version=${VERSION}") &&
			strings.HasSuffix(i.arguments, "./cmd/rollebro")
	})
	if !compiled {
		t.Error("no RUN builds ./cmd/rollebro with CGO_ENABLED=0 and its version")
	}
}

func TestDockerImageIsBareAndRunsAsNobody(t *testing.T) {
	t.Parallel()
	all := stages(t, "Dockerfile")
	build, image := all[0], all[len(all)-1]
	for name, want := range map[string]string{
		"FROM":       "scratch",
		"USER":       "65532:65532", // by number: an orchestrator can tell that it is not root
		"WORKDIR":    "/data",
		"VOLUME":     "/data",
		"EXPOSE":     "8090",
		"ENTRYPOINT": `["/rollebro"]`,
		"CMD":        `["serve"]`,
	} {
		if got := one(t, image, name); got != want {
			t.Errorf("%s %s, want %s", name, got, want)
		}
	}
	if got := one(t, image, "HEALTHCHECK"); !strings.HasSuffix(got, `CMD ["/rollebro", "healthcheck"]`) {
		t.Errorf("HEALTHCHECK %s does not ask the program itself; there is no shell to ask with", got)
	}
	if slices.ContainsFunc(image, func(i instruction) bool { return i.name == "RUN" || i.name == "ADD" }) {
		t.Error("the image runs or adds something of its own; it has no shell")
	}
	if label := one(t, image, "LABEL"); !strings.Contains(label, `org.opencontainers.image.licenses="MPL-2.0"`) ||
		!strings.HasPrefix(read(t, "LICENSE"), "Mozilla Public License Version 2.0") {
		t.Errorf("label and LICENSE do not both say MPL-2.0: %s", label)
	}
	// The server's certificate is verified and times are Danish, both from files.
	var gathered strings.Builder
	for _, i := range build {
		gathered.WriteString(i.arguments + "\n")
	}
	for _, needed := range []string{"ca-certificates tzdata", "/image/etc/ssl/certs/", "/image/usr/share/"} {
		if !strings.Contains(gathered.String(), needed) {
			t.Errorf("the build does not mention %q", needed)
		}
	}
}

// dockerIgnores tells whether .dockerignore keeps a path of the repository from the build.
// It knows as much of the syntax as the file uses: names, * and a leading **/.
func dockerIgnores(t *testing.T, file string) bool {
	t.Helper()
	for pattern := range strings.Lines(read(t, ".dockerignore")) {
		pattern = strings.TrimSpace(pattern)
		if pattern == "" || strings.HasPrefix(pattern, "#") {
			continue
		}
		if strings.HasPrefix(pattern, "!") {
			t.Fatalf("exceptions such as %s are not understood here", pattern)
		}
		anywhere, deep := strings.CutPrefix(pattern, "**/")
		parts := strings.Split(file, "/")
		for i := range parts {
			candidate, rule := strings.Join(parts[:i+1], "/"), pattern
			if deep {
				candidate, rule = parts[i], anywhere
			}
			if matched, err := path.Match(rule, candidate); err != nil {
				t.Fatalf("pattern %s: %v", pattern, err)
			} else if matched {
				return true
			}
		}
	}
	return false
}

func TestDockerBuildGetsNoSecretsAndAllThatIsCompiled(t *testing.T) {
	t.Parallel()
	for _, secret := range []string{
		"cert/Filnavn.p12", "secrets/database-password", ".env", "rollebro.yaml", "rollebro.db", "rollebro.db-wal",
		"d/keystore.p12", ".git/config",
	} {
		if !dockerIgnores(t, secret) {
			t.Errorf("%s would reach the build", secret)
		}
	}
	list := exec.CommandContext(t.Context(), "go", "list", "-json=Dir,GoFiles,EmbedFiles,Module", "./...")
	list.Env = append(os.Environ(), "CGO_ENABLED=0")
	output, err := list.Output()
	if err != nil {
		t.Fatalf("listing the packages: %v", err)
	}
	files := []string{"go.mod", "go.sum", "LICENSE"}
	for decoder := json.NewDecoder(strings.NewReader(string(output))); decoder.More(); {
		var listed struct {
			Dir                 string
			GoFiles, EmbedFiles []string
			Module              struct{ Dir string }
		}
		if err := decoder.Decode(&listed); err != nil {
			t.Fatalf("reading the list of packages: %v", err)
		}
		folder := strings.TrimPrefix(strings.TrimPrefix(listed.Dir, listed.Module.Dir), "/")
		for _, name := range slices.Concat(listed.GoFiles, listed.EmbedFiles) {
			files = append(files, path.Join(folder, name))
		}
	}
	if len(files) < 10 {
		t.Fatalf("only %d files listed: %q", len(files), files)
	}
	for _, file := range files {
		if dockerIgnores(t, file) {
			t.Errorf("%s is compiled in but kept from the build", file)
		}
	}
}

// service is as much of a compose service as the promises are about.
type service struct {
	Image       string
	Command     []string
	Restart     string
	Profiles    []string
	Ports       []string
	Environment map[string]string
	Volumes     []string
	Secrets     []string
	Tmpfs       []string
	DependsOn   map[string]struct{ Condition string } `yaml:"depends_on"`
	Healthcheck struct{ Test []string }
	ReadOnly    bool     `yaml:"read_only"`
	CapDrop     []string `yaml:"cap_drop"`
	SecurityOpt []string `yaml:"security_opt"`
	User        string
	Privileged  bool
}

type composeFile struct {
	Services map[string]service
	Volumes  map[string]any
	Secrets  map[string]struct{ File string }
}

func compose(t *testing.T) composeFile {
	t.Helper()
	var file composeFile
	if err := yaml.Unmarshal([]byte(read(t, "docker-compose.yml")), &file); err != nil {
		t.Fatalf("docker-compose.yml: %v", err)
	}
	for _, name := range []string{"rollebro", "mariadb", "demo"} {
		if _, present := file.Services[name]; !present {
			t.Fatalf("docker-compose.yml has no service %s", name)
		}
	}
	return file
}

func TestComposeTakesTheNamesOfOS2rollekatalog(t *testing.T) {
	t.Parallel()
	environment := compose(t).Services["rollebro"].Environment
	for name, want := range map[string]string{
		"TZ":                               "Europe/Copenhagen",
		"rc.customer.cvr":                  "12345678",
		"rc.integrations.nemLogin.enabled": "true",
		"rc.integrations.nemLogin.keystoreLocation":     "/home/cert/Filnavn.p12",
		"rc.integrations.nemLogin.keystorePasswordFile": "/run/secrets/keystore-password",
		"rc.integrations.nemLogin.userDryRunOnly":       "true", // who starts it for the first time only looks
		"rc.integrations.nemLogin.baseUrl":              "https://services.nemlog-in.dk",
		"spring.datasource.url":                         "jdbc:mariadb://mariadb/rollebro",
		"spring.datasource.username":                    "rollebro",
		"spring.datasource.passwordFile":                "/run/secrets/database-password",
	} {
		if got := environment[name]; got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

// The environment goes through the program's own reading of settings: a name that it does
// not know, or a value that it refuses, fails here and not at the customer's.
func TestComposeEnvironmentIsUnderstoodByTheProgram(t *testing.T) {
	t.Parallel()
	secrets := t.TempDir()
	var environment []string
	for name, value := range compose(t).Services["rollebro"].Environment {
		if secret, isSecret := strings.CutPrefix(value, "/run/secrets/"); isSecret {
			value = filepath.Join(secrets, secret)
			if err := os.WriteFile(value, []byte("the "+secret+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		environment = append(environment, name+"="+value)
	}
	read, err := config.Load(config.Source{Environ: environment, Dir: t.TempDir()})
	if err != nil {
		t.Fatalf("the program refuses the environment of docker-compose.yml: %v", err)
	}
	if len(read.Notes) != 0 {
		t.Errorf("the program has remarks: %q", read.Notes)
	}
	if !read.NemLogin.Enabled || !read.NemLogin.UserDryRunOnly || read.CVR != "12345678" {
		t.Errorf("enabled %v, dry run %v, CVR %q", read.NemLogin.Enabled, read.NemLogin.UserDryRunOnly, read.CVR)
	}
	if got := read.NemLogin.KeystorePassword.Reveal(); got != "the keystore-password" {
		t.Errorf("keystore password %q is not the file's first line", got)
	}
	if got := read.Database.Password.Reveal(); got != "the database-password" {
		t.Errorf("database password %q is not the file's first line", got)
	}
	if read.Database.KeyFile != "/data/rollebro.key" || read.Database.URL != "jdbc:mariadb://mariadb/rollebro" {
		t.Errorf("key file %q, database %q", read.Database.KeyFile, read.Database.URL)
	}
}

func TestComposeKeepsPasswordsInFiles(t *testing.T) {
	t.Parallel()
	file := compose(t)
	for name, service := range file.Services {
		for setting, value := range service.Environment {
			if !strings.Contains(strings.ToLower(setting), "password") || setting == "MARIADB_RANDOM_ROOT_PASSWORD" {
				continue
			}
			secret, isSecret := strings.CutPrefix(value, "/run/secrets/")
			if !isSecret || !slices.Contains(service.Secrets, secret) {
				t.Errorf("%s: %s is %q, not one of the service's secrets %q", name, setting, value, service.Secrets)
			}
		}
		for _, secret := range service.Secrets {
			if declared, present := file.Secrets[secret]; !present || !strings.HasPrefix(declared.File, "./secrets/") {
				t.Errorf("%s: secret %s is %+v, want a file in ./secrets, which git ignores", name, secret, declared)
			}
		}
	}
	if ignored := strings.Split(read(t, ".gitignore"), "\n"); !slices.Contains(ignored, "/secrets/") || !slices.Contains(ignored, "/cert/") {
		t.Error("git does not ignore secrets and cert")
	}
}

func TestComposeStartsInOrderAndNoticesTrouble(t *testing.T) {
	t.Parallel()
	services := compose(t).Services
	if got := services["rollebro"].DependsOn["mariadb"].Condition; got != "service_healthy" {
		t.Errorf("rollebro waits for the database to be %q, want service_healthy", got)
	}
	for name, service := range services {
		if len(service.Healthcheck.Test) < 2 || service.Healthcheck.Test[0] != "CMD" {
			t.Errorf("%s has no health check without a shell: %q", name, service.Healthcheck.Test)
		}
		if isDemo := slices.Contains(service.Profiles, "demo"); isDemo != (name == "demo") {
			t.Errorf("%s has profiles %q", name, service.Profiles)
		} else if !isDemo && service.Restart != "unless-stopped" {
			t.Errorf("%s: restart is %q", name, service.Restart)
		}
	}
	if got, want := services["demo"].Command, []string{"demo", "--listen", "0.0.0.0:8090"}; !slices.Equal(got, want) {
		t.Errorf("the demo runs %q, want %q", got, want)
	}
	if got := services["mariadb"].Image; got != "mariadb:10.11" {
		t.Errorf("the database is %s, want mariadb:10.11", got)
	}
}

func TestComposeGivesAwayNoRights(t *testing.T) {
	t.Parallel()
	file := compose(t)
	for name, service := range file.Services {
		if !slices.Equal(service.CapDrop, []string{"ALL"}) {
			t.Errorf("%s drops capabilities %q, want ALL", name, service.CapDrop)
		}
		if !slices.Contains(service.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s may gain privileges", name)
		}
		if service.Privileged || service.User != "" {
			t.Errorf("%s runs privileged (%v) or as a user of compose's choosing (%q)", name, service.Privileged, service.User)
		}
		if name != "mariadb" && !service.ReadOnly {
			t.Errorf("%s can write to its image", name)
		}
		for _, volume := range service.Volumes {
			source, target, _ := strings.Cut(volume, ":")
			if strings.HasPrefix(source, "./") {
				if !strings.HasSuffix(target, ":ro") {
					t.Errorf("%s can write to %s on the host", name, source)
				}
			} else if _, declared := file.Volumes[source]; !declared {
				t.Errorf("%s: volume %s is not declared", name, source)
			}
		}
	}
	if !slices.Contains(file.Services["rollebro"].Volumes, "./cert:/home/cert:ro") {
		t.Error("./cert is not mounted at /home/cert for reading")
	}
	if len(file.Services["mariadb"].Ports) != 0 {
		t.Error("the database can be reached from outside")
	}
}

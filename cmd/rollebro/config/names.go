package config

import (
	"fmt"
	"regexp"
	"strings"
)

// relaxed is the form in which names are compared: Spring ignores case, dashes and underscores, and environment variables
// have underscores for dots.
func relaxed(name string) string {
	return strings.ToLower(strings.NewReplacer(".", "", "-", "", "_", "").Replace(name))
}

// foreign are the beginnings of names that OS2rollekatalog knows and that do not concern Rollebro, with their dots.
var foreign = []string{
	"di.saml", "saml", "spring", "server", "management", "logging", "springdoc", "flyway", "environment", "error", "cron",
	"rc.titles", "rc.organisation", "rc.integrations", "rc.attestation", "rc.audit", "rc.apiControl",
	"rc.substituteManagerAPI", "rc.frontPageLinkConfig", "rc.scheduled.history", "rc.syncRoleAssignmentOrgUnitOnStartup",
	"rc.removeRolesAssignmentsWithoutOU", "rc.assignResponsibleOuOnAssignmentsIfMissing", "rc.experimental",
	"rc.version", "rc.latestVersion",
}

// kubernetesLink matches the variables that Kubernetes and old Docker set for a service that happens to be called "rc".
var kubernetesLink = regexp.MustCompile(`^RC(_[A-Z0-9]+)*_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)

// beginsWith reports whether name is below prefix: the parts of prefix are the first parts of name. In an environment
// variable written with underscores the parts have underscores between them.
func beginsWith(name, prefix string) bool {
	separated := strings.NewReplacer("_", ".", "-", "")
	n, p := strings.ToLower(separated.Replace(name)), strings.ToLower(prefix)
	return n == p || strings.HasPrefix(n, p+".")
}

// ours reports whether a name claims to be one of Rollebro's settings.
func ours(name string) bool { return beginsWith(name, "rc") }

// nemLogin is the prefix under which every name is ours.
const nemLoginPrefix = "rc.integrations.nemLogin"

// isForeign reports whether a name is one that OS2rollekatalog knows and Rollebro does not need.
func isForeign(name string) bool {
	if beginsWith(name, nemLoginPrefix) {
		return false
	}
	for _, prefix := range foreign {
		if beginsWith(name, prefix) {
			return true
		}
	}
	return false
}

// unknown describes a name that nobody knows, with the most likely one that was meant.
func unknown(name, origin string, table []Setting) Problem {
	text := `unknown setting; "rollebro config show" lists all`
	if near := nearest(name, table); near != "" {
		text = fmt.Sprintf("unknown setting; did you mean %s?", near)
	}
	return Problem{Name: name, Origin: origin, Text: text}
}

// nearest returns the documented name closest to name, or "" if none is close.
func nearest(name string, table []Setting) string {
	given := relaxed(name)
	best, least := "", len(given)/4+1
	for _, s := range table {
		if d := distance(given, relaxed(s.Name)); d < least {
			best, least = s.Name, d
		}
	}
	if best != "" {
		return best
	}
	// The last part may be right while the way to it is wrong: rc.nemLogin.baseUrl.
	last := relaxed(lastPart(name))
	for _, s := range table {
		if len(last) >= 4 && relaxed(lastPart(s.Name)) == last {
			return s.Name
		}
	}
	return ""
}

func lastPart(name string) string {
	return name[strings.LastIndexAny(name, "._")+1:]
}

// distance is the number of letters to insert, delete or replace that make a into b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

package certs

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"
)

// checkEnvironment holds the certificate against the host it is to be used with.
func checkEnvironment(d Description, baseURL string) []Finding {
	host := hostOf(baseURL)
	if host == "" {
		return nil
	}
	target, known := environmentOf(host)
	if !known {
		if isOwn(host) {
			return nil // a simulator, or a proxy in one's own network
		}
		return []Finding{{
			Code: CodeUnknownHost, Severity: SeverityWarning,
			Message: fmt.Sprintf("%s is no host of NemLog-in that Rollebro knows, so it cannot tell whether a %s certificate is right for it.", printable(host), d.Environment),
			Remedy:  "Check rc.integrations.nemLogin.baseUrl. Production is https://services.nemlog-in.dk.",
		}}
	}
	switch {
	case target == EnvironmentProduction && d.Environment == EnvironmentTest:
		return []Finding{{
			Code: CodeTestCertificate, Severity: SeverityError,
			Message: fmt.Sprintf("This is a test certificate, but %s is production.", printable(host)),
			Remedy:  "Use a certificate ordered at erhvervsadministration.nemlog-in.dk/certificates, or set rc.integrations.nemLogin.baseUrl to the test environment.",
		}}
	case target == EnvironmentTest && d.Environment == EnvironmentProduction:
		return []Finding{{
			Code: CodeProductionCertificate, Severity: SeverityError,
			Message: fmt.Sprintf("This is a production certificate, but %s is a test environment.", printable(host)),
			Remedy:  "Use a certificate ordered in the test environment, where they are free, or set rc.integrations.nemLogin.baseUrl to https://services.nemlog-in.dk.",
		}}
	}
	return nil
}

// environmentOf tells NemLog-in's hosts. Production is nemlog-in.dk; the integration test environment is
// test-nemlog-in.dk, and the beta environments have devtest4 in their names.
func environmentOf(host string) (env Environment, known bool) {
	switch {
	case strings.Contains(host, "devtest4"), within(host, "test-nemlog-in.dk"):
		return EnvironmentTest, true
	case within(host, "nemlog-in.dk"):
		return EnvironmentProduction, true
	}
	return EnvironmentUnknown, false
}

func within(host, domain string) bool { return host == domain || strings.HasSuffix(host, "."+domain) }

// isOwn tells hosts that cannot be NemLog-in's: this machine, private networks, names without a dot (containers), and
// the top-level domains that never exist on the internet.
func isOwn(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast() || ip.IsUnspecified()
	}
	labels := strings.Split(host, ".")
	switch labels[len(labels)-1] {
	case "localhost", "local", "internal", "test", "example", "invalid":
		return true
	}
	return len(labels) == 1
}

// hostOf takes the host out of a URL, or out of "host" and "host:port", in lower case and without a final dot.
func hostOf(s string) string {
	s = strings.TrimSpace(s)
	if !strings.Contains(s, "://") {
		s = "https://" + s
	}
	u, err := url.Parse(s)
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
}

package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/rollebro/rollebro/nemlogin"
	"github.com/rollebro/rollebro/rolecatalog"
)

// One of a thing is told as one.
func TestOneOfAKind(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	writeReconcile(&out, &rolecatalog.ReconcileReport{PlanID: "p", Failed: 1, Held: 1, ReadFailed: 1})
	writeImport(&out, &rolecatalog.ImportReport{Gone: 1, Conflicts: 1, Unmanaged: 1})
	for _, want := range []string{
		"  1 write failed,", "  1 removal held back,", "  1 identity could not be read\n", "  1 grant left alone, because its role",
		"that two users have; nothing is written to it\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
	out.Reset()
	writeReconcile(&out, &rolecatalog.ReconcileReport{PlanID: "p", Failed: 2, ReadFailed: 3})
	if !strings.Contains(out.String(), "  2 writes failed,") || !strings.Contains(out.String(), "  3 identities could not be read\n") {
		t.Errorf("it says %q", out.String())
	}
}

// Only when the organisation's own certificate is refused the advice is to look at it.
func TestAdviceOnTrust(t *testing.T) {
	t.Parallel()
	auth := func(status int, cause error) error {
		return fmt.Errorf("refreshing: %w", &nemlogin.Error{Class: nemlogin.ClassAuth, Op: "authenticate", Status: status, Err: cause})
	}
	for name, test := range map[string]struct {
		err  error
		want bool
	}{
		"refused":              {auth(401, nil), true},
		"forbidden":            {auth(403, nil), true},
		"refused by TLS":       {auth(0, &net.OpError{Op: "remote error", Err: tls.AlertError(42)}), true},
		"nothing there":        {auth(404, nil), false},
		"the server's unknown": {auth(0, &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}), false},
		"the server's other":   {auth(0, x509.HostnameError{Certificate: &x509.Certificate{}, Host: "h"}), false},
		"no TLS":               {auth(0, tls.RecordHeaderError{}), false},
		"down":                 {&nemlogin.Error{Class: nemlogin.ClassTransient, Status: 503}, false},
	} {
		if got := strings.Contains(adviceFor(test.err), "rollebro certs inspect"); got != test.want {
			t.Errorf("%s: the advice is %q", name, adviceFor(test.err))
		}
	}
}

func TestRolesListHolders(t *testing.T) {
	t.Parallel()
	w := imported(t, 10)
	lists := decode[roleLists](t, w.must(t, exitOK, "roles", "list", "--holders", "-o", "json").out)
	held := 0
	text := w.must(t, exitOK, "roles", "list", "--holders").out
	for i := range lists.JobFunctionRoles {
		r := &lists.JobFunctionRoles[i]
		users := make(map[string]bool)
		for _, h := range r.HeldBy {
			users[h.User] = true
		}
		if len(users) != r.Holders {
			t.Errorf("%s has %d holders, and %v are named", r.Name, r.Holders, users)
		}
		held += len(r.HeldBy)
		for j, h := range r.HeldBy {
			if j > 0 && r.HeldBy[j-1].User > h.User {
				t.Errorf("%s: %s comes after %s", r.Name, h.User, r.HeldBy[j-1].User)
			}
		}
	}
	if _, table, _ := strings.Cut(text, "USER"); held == 0 || strings.Count(table, "\n") != held+1 {
		t.Errorf("%d holders, in\n%s", held, text)
	}
	first := lists.JobFunctionRoles[0].HeldBy[0]
	if !strings.Contains(w.must(t, exitOK, "users", "show", first.User).out, lists.JobFunctionRoles[0].Name) {
		t.Errorf("%s doesn't have %s", first.User, lists.JobFunctionRoles[0].Name)
	}
	// Without being asked for they are not named.
	if r := w.must(t, exitOK, "roles", "list", "-o", "json"); strings.Contains(r.out, "heldBy") {
		t.Error("they are named unasked")
	}
}

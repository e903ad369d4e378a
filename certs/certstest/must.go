package certstest

// TB is what the helpers here need of a *testing.T. It is not testing.TB because the program links this package too,
// for its simulator, and has no business with package testing.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
}

// MustAuthority is NewAuthority for tests.
func MustAuthority(tb TB, opts AuthorityOptions) *Authority {
	tb.Helper()
	a, err := NewAuthority(opts)
	if err != nil {
		tb.Fatalf("making an authority: %v", err)
	}
	return a
}

// MustIssue is Issue for tests.
func MustIssue(tb TB, a *Authority, opts LeafOptions) Leaf {
	tb.Helper()
	leaf, err := a.Issue(opts)
	if err != nil {
		tb.Fatalf("issuing a certificate: %v", err)
	}
	return leaf
}

// MustRenew is Renew for tests.
func MustRenew(tb TB, a *Authority, l Leaf, opts LeafOptions) Leaf {
	tb.Helper()
	leaf, err := a.Renew(l, opts)
	if err != nil {
		tb.Fatalf("renewing a certificate: %v", err)
	}
	return leaf
}

// MustKeystore is Keystore for tests.
func MustKeystore(tb TB, leaf Leaf, password string, opts KeystoreOptions) []byte {
	tb.Helper()
	data, err := leaf.Keystore(password, opts)
	if err != nil {
		tb.Fatalf("writing a keystore: %v", err)
	}
	return data
}

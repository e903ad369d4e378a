// Package certs loads the certificate by which the organisation identifies itself to MitID Erhverv, says what it is and
// what is wrong with it, and takes up a new one while the program runs.
//
// The certificate comes as a PKCS#12 keystore: from the browser that made it, from OpenSSL, from Java. Load reads them
// all, Describe says whose certificate it is, Check finds what will not work and how to mend it, and a Source holds the
// current one for TLS connections and watches the file.
package certs

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"unicode/utf8"

	pkcs12 "software.sslmate.com/src/go-pkcs12"
)

const (
	// MaxSize is the largest file, in bytes, that Load and Parse take. Keystores are a few kilobytes.
	MaxSize = 1 << 20
	// maxCertificates bounds the work of sorting a chain; a keystore holds three.
	maxCertificates = 64
)

// Keystore is a certificate with its private key and the certificates of its issuers. It does not change.
type Keystore struct {
	leaf *x509.Certificate
	key  crypto.Signer
	// chain are the issuers found in the file: the leaf's, that one's, and so on, at most up to a root.
	chain []*x509.Certificate
	// unrelated are the certificates in the file that are neither.
	unrelated []*x509.Certificate
	noMAC     bool
	tls       tls.Certificate
}

// Load reads a keystore from a file. A failure is an *Error.
func Load(path, password string) (*Keystore, error) {
	data, err := read(path)
	if err != nil {
		return nil, err
	}
	return parseFile(path, data, password)
}

// Parse reads a keystore. The password is tried as it is given and in the forms that other programs make of Danish
// letters. A failure is an *Error.
func Parse(data []byte, password string) (*Keystore, error) {
	k, err := parse(data, password)
	if err != nil {
		return nil, err
	}
	return k, nil
}

func parseFile(path string, data []byte, password string) (*Keystore, error) {
	k, err := parse(data, password)
	if err != nil {
		err.Path = path
		return nil, err
	}
	return k, nil
}

// read returns a file's content. A failure is an *Error.
func read(path string) ([]byte, error) {
	failed := func(reason error, detail string, cause error) error {
		e := fail(reason, detail, cause)
		e.Path = path
		return e
	}
	info, err := os.Stat(path) // before opening: to open a pipe may take forever
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, failed(ErrMissing, "", nil)
	case err != nil:
		return nil, failed(ErrUnreadable, "", pathless(err))
	case info.IsDir():
		return nil, failed(ErrDirectory, "", nil)
	case !info.Mode().IsRegular():
		return nil, failed(ErrUnreadable, "it is not a regular file", nil)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, failed(ErrUnreadable, "", pathless(err))
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err != nil {
		return nil, failed(ErrUnreadable, "", pathless(err))
	}
	return data, nil
}

// pathless drops the path from an error that will be shown beside it.
func pathless(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}

func parse(data []byte, password string) (k *Keystore, e *Error) {
	// go-pkcs12 and crypto/x509 read bytes from outside; should one of them panic, that is a damaged file, not an outage.
	defer func() {
		if p := recover(); p != nil {
			k, e = nil, fail(ErrDamaged, fmt.Sprintf("decoding it failed unexpectedly: %v", p), nil)
		}
	}()
	c, e := openFile(data)
	if e != nil {
		return nil, e
	}
	key, certificates, e := c.decrypt(password)
	if e != nil {
		return nil, e
	}
	k, e = assemble(key, certificates)
	if e != nil {
		return nil, e
	}
	k.noMAC = !c.hasMAC
	return k, nil
}

// openFile reads what can be read without the password.
func openFile(data []byte) (*container, *Error) {
	switch {
	case len(data) == 0:
		return nil, fail(ErrEmpty, "", nil)
	case len(data) > MaxSize:
		return nil, fail(ErrTooLarge, "", nil)
	}
	if what, remedy, ok := recognise(data); ok {
		e := fail(ErrNotKeystore, what, nil)
		e.Remedy = remedy
		return nil, e
	}
	if data[0] != tagSequence {
		return nil, fail(ErrNotKeystore, "", nil)
	}
	der, rest, err := normaliseBER(data)
	switch {
	case errors.Is(err, errBERTruncated) && len(data) > 1 && data[1] < 0x80:
		return nil, fail(ErrNotKeystore, "", nil) // text that begins with a zero, most likely: no keystore is that short
	case errors.Is(err, errBERTruncated):
		return nil, fail(ErrTruncated, "", nil)
	case err != nil:
		return nil, fail(ErrNotKeystore, "", err)
	case strings.Trim(string(rest), "\x00\r\n\t ") != "":
		return nil, fail(ErrDamaged, "something follows the keystore in the file", nil)
	}
	c, err := open(der)
	var unsupported pkcs12.NotImplementedError
	switch {
	case errors.As(err, &unsupported):
		return nil, fail(ErrUnsupported, string(unsupported), nil)
	case errors.Is(err, errStructure):
		return nil, fail(ErrNotKeystore, "", nil)
	case err != nil:
		return nil, fail(ErrDamaged, "", err)
	}
	return c, nil
}

// decrypt takes the key and the certificates out, with whichever form of the password fits.
func (c *container) decrypt(password string) (any, []*x509.Certificate, *Error) {
	for _, form := range passwordForms(password) {
		key, certificates, err := c.decode(form)
		if errors.Is(err, pkcs12.ErrIncorrectPassword) || errors.Is(err, errPasswordCharacters) {
			continue
		}
		if err != nil {
			return nil, nil, c.explain(err, password)
		}
		return key, certificates, nil
	}
	if password == "" {
		return nil, nil, fail(ErrNoPassword, "", nil)
	}
	e := fail(ErrWrongPassword, "", nil)
	if _, err := bmpPassword(password); err != nil {
		e.Detail = err.Error()
	}
	// Two accidents are so common that it is worth to look: a line break from the password's file, and quotation marks
	// from an environment file that takes them for part of the value.
	bare := strings.Trim(strings.TrimSpace(password), `"'`)
	if bare != password {
		if _, _, err := c.decode(bare); err == nil {
			e.Detail = "it has quotation marks or blanks around it"
			e.Remedy = "Take the quotation marks, blanks or line break around the password away: the keystore opens without them."
		}
	}
	return nil, nil, e
}

func (c *container) decode(password string) (key any, certificates []*x509.Certificate, err error) {
	if _, err := bmpPassword(password); err != nil {
		return nil, nil, err
	}
	der, err := c.decodable(password)
	if err != nil {
		return nil, nil, err
	}
	key, first, others, err := pkcs12.DecodeChain(der, password)
	if err != nil {
		if !c.hasMAC && errors.Is(err, pkcs12.ErrDecryption) {
			return nil, nil, pkcs12.ErrIncorrectPassword
		}
		return nil, nil, err
	}
	return key, append([]*x509.Certificate{first}, others...), nil
}

// explain turns what go-pkcs12 says of a file whose password seems right into an Error. The library has no error values
// for most of it, only texts.
func (c *container) explain(err error, password string) *Error {
	text := strings.TrimPrefix(err.Error(), "pkcs12: ")
	var unsupported pkcs12.NotImplementedError
	switch {
	case errors.As(err, &unsupported):
		return fail(ErrUnsupported, string(unsupported), nil)
	case text == "certificate missing":
		return fail(ErrNoCertificate, "", nil)
	case text == "private key missing":
		return fail(ErrNoKey, "", nil)
	case text == "expected exactly one key bag":
		return fail(ErrManyKeys, "", nil)
	case strings.Contains(text, "indefinite length"):
		return fail(ErrUnsupported, "its encrypted part is in BER", nil)
	case !c.hasMAC:
		// Nothing but the decrypted text shows whether the password was right, and this text makes no sense.
		if password == "" {
			return fail(ErrNoPassword, "", nil)
		}
		return fail(ErrWrongPassword, "", nil)
	case errors.Is(err, pkcs12.ErrDecryption), strings.HasPrefix(text, "error decrypting"), strings.HasPrefix(text, "error unmarshaling decrypted"):
		e := fail(ErrWrongPassword, "the file opens with it, but the key inside does not", nil)
		e.Remedy = "The key has a password of its own. Write the keystore anew with one password: " + reexport
		if !isASCII(password) {
			e.Remedy = "It was encrypted with the password in another character set. Choose one without Danish letters and write the keystore anew, where it was made: " + reexport
		}
		return e
	}
	return fail(ErrDamaged, "", err)
}

// passwordForms lists what a password may have become on its way into a file, most likely first.
func passwordForms(password string) []string {
	if isASCII(password) {
		return []string{password}
	}
	if !utf8.ValidString(password) {
		return []string{latin1(password)} // from a file or a terminal in ISO 8859-1
	}
	forms := []string{password}
	// Letter and ring as two characters, as macOS hands over what was typed, where the file has one, and the reverse.
	for _, r := range []*strings.Replacer{
		strings.NewReplacer("a\u030a", "å", "A\u030a", "Å"),
		strings.NewReplacer("å", "a\u030a", "Å", "A\u030a"),
	} {
		if other := r.Replace(password); other != password {
			forms = append(forms, other)
		}
	}
	return append(forms, latin1(password)) // OpenSSL before 1.1 took each octet of UTF-8 for a character
}

// latin1 takes each octet for a character.
func latin1(s string) string {
	var b strings.Builder
	for i := range len(s) {
		b.WriteRune(rune(s[i]))
	}
	return b.String()
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// assemble finds the key's certificate and puts its issuers in order.
func assemble(key any, certificates []*x509.Certificate) (*Keystore, *Error) {
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fail(ErrUnsupported, "its key cannot sign", nil)
	}
	if len(certificates) > maxCertificates {
		return nil, fail(ErrUnsupported, fmt.Sprintf("it holds %d certificates, more than %d", len(certificates), maxCertificates), nil)
	}
	k := &Keystore{key: signer}
	for _, c := range certificates {
		// After a renewal with the same key there may be two; the one that lasts longest is the one meant.
		if owns(signer, c) && (k.leaf == nil || c.NotAfter.After(k.leaf.NotAfter)) {
			k.leaf = c
		}
	}
	if k.leaf == nil {
		return nil, fail(ErrKeyMismatch, "", nil)
	}
	k.chain, k.unrelated = sortChain(k.leaf, certificates)
	k.tls = tls.Certificate{Certificate: [][]byte{k.leaf.Raw}, PrivateKey: signer, Leaf: k.leaf}
	for _, c := range k.chain {
		if !selfSigned(c) { // the other side has the root, or will not trust ours
			k.tls.Certificate = append(k.tls.Certificate, c.Raw)
		}
	}
	return k, nil
}

func owns(key crypto.Signer, c *x509.Certificate) bool {
	public, ok := c.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(key.Public())
}

// sortChain follows the issuers from leaf upwards. The order in the file means nothing.
func sortChain(leaf *x509.Certificate, certificates []*x509.Certificate) (chain, unrelated []*x509.Certificate) {
	for _, c := range certificates {
		if !c.Equal(leaf) && !contains(unrelated, c) {
			unrelated = append(unrelated, c)
		}
	}
	for child := leaf; !selfSigned(child); child = chain[len(chain)-1] {
		at := issuerOf(child, unrelated)
		if at < 0 {
			break
		}
		chain = append(chain, unrelated[at])
		unrelated = append(unrelated[:at:at], unrelated[at+1:]...)
	}
	return chain, unrelated
}

// issuerOf returns the index of child's issuer, the one that lasts longest if it has been certified more than once, or -1.
func issuerOf(child *x509.Certificate, candidates []*x509.Certificate) int {
	found := -1
	for i, c := range candidates {
		if issued(c, child) && (found < 0 || c.NotAfter.After(candidates[found].NotAfter)) {
			found = i
		}
	}
	return found
}

// issued tells whether parent signed child. Names alone do not tell: an authority that is renewed keeps its name.
func issued(parent, child *x509.Certificate) bool {
	if !bytes.Equal(parent.RawSubject, child.RawIssuer) {
		return false
	}
	err := child.CheckSignatureFrom(parent)
	var old x509.InsecureAlgorithmError // SHA-1, on roots of another age
	return err == nil || errors.As(err, &old)
}

func selfSigned(c *x509.Certificate) bool { return bytes.Equal(c.RawSubject, c.RawIssuer) }

func contains(list []*x509.Certificate, c *x509.Certificate) bool {
	for _, other := range list {
		if other.Equal(c) {
			return true
		}
	}
	return false
}

// TLS returns the certificate and its issuers, without the root, for use in a handshake. The caller must not change it.
func (k *Keystore) TLS() *tls.Certificate { return &k.tls }

// Leaf returns the organisation's own certificate.
func (k *Keystore) Leaf() *x509.Certificate { return k.leaf }

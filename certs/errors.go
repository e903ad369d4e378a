package certs

import (
	"errors"
	"strings"
)

// Why a keystore could not be loaded; errors.Is finds them in what Load and Parse return.
var (
	ErrMissing       = errors.New("there is no such file")
	ErrDirectory     = errors.New("it is a directory")
	ErrUnreadable    = errors.New("the file cannot be read")
	ErrEmpty         = errors.New("the file is empty")
	ErrTooLarge      = errors.New("the file is too large for a keystore")
	ErrTruncated     = errors.New("the file is cut off")
	ErrNotKeystore   = errors.New("it is not a PKCS#12 keystore")
	ErrDamaged       = errors.New("the keystore is damaged")
	ErrUnsupported   = errors.New("the keystore is written in a way that Rollebro cannot read")
	ErrWrongPassword = errors.New("the password is wrong")
	ErrNoPassword    = errors.New("no password is set, and the keystore does not open without one")
	ErrPassword      = errors.New("the password cannot be read")
	ErrNoKey         = errors.New("the keystore holds no private key")
	ErrManyKeys      = errors.New("the keystore holds more than one private key")
	ErrNoCertificate = errors.New("the keystore holds no certificate")
	ErrKeyMismatch   = errors.New("no certificate in the keystore belongs to its private key")
)

// Why a Source has no certificate to present.
var (
	ErrExpired     = errors.New("the certificate has expired")
	ErrNotYetValid = errors.New("the certificate is not valid yet")
)

// errPasswordCharacters is a wrong password's special case: no PKCS#12 file can have it.
var errPasswordCharacters = errors.New("it has characters, such as emoji, that PKCS#12 cannot hold")

// reexport rewrites a keystore with OpenSSL. It is the cure for everything that is merely unusual about a file.
const reexport = "openssl pkcs12 -legacy -in OLD.p12 -noenc | openssl pkcs12 -export -out NEW.p12"

// renewal is what to do about an expired certificate.
const renewal = "Make a new one at erhvervsadministration.nemlog-in.dk/certificates, with the right \"Adgang til IdM services i MitID Erhverv\", and put its keystore in this one's place: it is taken up without a restart."

// remedies say what to do about each reason, unless the place that found it knows better.
var remedies = []struct {
	reason error
	code   Code
	remedy string
}{
	{ErrMissing, CodeMissing, "Check the path in rc.integrations.nemLogin.keystoreLocation and, in a container, that the directory is mounted."},
	{ErrDirectory, CodeDirectory, "Give the path of the .p12 file itself. In a container, a directory appears here when the file to mount did not exist on the host."},
	{ErrUnreadable, CodeUnreadable, "Give the account Rollebro runs under permission to read the file, for example by chown or chmod 640."},
	{ErrEmpty, CodeEmpty, "Copy or download the keystore again: nothing arrived."},
	{ErrTooLarge, CodeTooLarge, "A keystore is a few kilobytes. Check that the path points to the .p12 file."},
	{ErrTruncated, CodeTruncated, "Copy or download the keystore again, in binary mode: its end is missing."},
	{ErrNotKeystore, CodeNotKeystore, "Use the .p12 or .pfx file that MitID Erhverv's page gave when the certificate was made."},
	{ErrDamaged, CodeDamaged, "Copy or download the keystore again, in binary mode. If it opens elsewhere, write it anew: " + reexport},
	{ErrUnsupported, CodeUnsupported, "Write it anew with OpenSSL 3: " + reexport},
	{ErrWrongPassword, CodeWrongPassword, "Use the password that was shown, once, when the certificate was made. If it is lost the certificate must be made again. A file damaged on the way looks the same."},
	{ErrNoPassword, CodeWrongPassword, "Set rc.integrations.nemLogin.keystorePassword, or rc.integrations.nemLogin.keystorePasswordFile to a file that holds it; \"rollebro certs inspect\" takes --password-file too."},
	{ErrPassword, CodePassword, "Check the file in rc.integrations.nemLogin.keystorePasswordFile."},
	{ErrNoKey, CodeNoKey, "Use the .p12 file from the browser that made the key; a certificate or trust store without its key cannot identify the organisation."},
	{ErrManyKeys, CodeManyKeys, "Keep one entry only: keytool -importkeystore -srckeystore OLD.p12 -srcalias ALIAS -destkeystore NEW.p12 -deststoretype PKCS12"},
	{ErrNoCertificate, CodeNoCertificate, "Add the certificate to its key: openssl pkcs12 -export -inkey KEY.pem -in CERTIFICATE.pem -certfile CHAIN.pem -out NEW.p12"},
	{ErrKeyMismatch, CodeKeyMismatch, "Put the key and its own certificate together: openssl pkcs12 -export -inkey KEY.pem -in CERTIFICATE.pem -certfile CHAIN.pem -out NEW.p12. After a renewal, take the file that came with the new key."},
	{ErrExpired, CodeExpired, renewal},
	{ErrNotYetValid, CodeNotYetValid, "Wait until then, or correct this machine's clock."},
}

// Error says why a keystore could not be loaded and how to mend it. It never holds a password or anything of the key.
type Error struct {
	// Path is the file, empty when there was none.
	Path string
	// Reason is one of the package's Err variables.
	Reason error
	// Detail says more about this case; may be empty.
	Detail string
	// Remedy is a sentence that says what to do.
	Remedy string
	// Cause is the error underneath; may be nil.
	Cause error
}

// fail makes an Error with the usual remedy.
func fail(reason error, detail string, cause error) *Error {
	e := &Error{Reason: reason, Detail: detail, Cause: cause}
	for _, r := range remedies {
		if errors.Is(reason, r.reason) {
			e.Remedy = r.remedy
		}
	}
	return e
}

// Error says what is wrong and where, without the remedy.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("keystore")
	if e.Path != "" {
		b.WriteString(" " + e.Path)
	}
	b.WriteString(": " + e.problem())
	return b.String()
}

func (e *Error) problem() string {
	text := e.Reason.Error()
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	if e.Cause != nil {
		text += " (" + printable(e.Cause.Error()) + ")"
	}
	return text
}

// Unwrap gives the reason and the cause.
func (e *Error) Unwrap() []error {
	if e.Cause == nil {
		return []error{e.Reason}
	}
	return []error{e.Reason, e.Cause}
}

// Finding shows the error in the form of what Check finds.
func (e *Error) Finding() Finding {
	f := Finding{Code: CodeDamaged, Severity: SeverityError, Message: sentence(e.problem()), Remedy: e.Remedy}
	for _, r := range remedies {
		if errors.Is(e.Reason, r.reason) {
			f.Code = r.code
		}
	}
	return f
}

// Remedy returns what to do about an error of this package, or "" for any other.
func Remedy(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Remedy
	}
	return ""
}

func sentence(s string) string {
	return strings.ToUpper(s[:1]) + s[1:] + "."
}

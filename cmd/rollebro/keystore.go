package main

import (
	"crypto/tls"
	"errors"
	"slices"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/rollebro/rollebro/certs"
	"github.com/rollebro/rollebro/cmd/rollebro/config"
	"github.com/rollebro/rollebro/rolecatalog"
)

// keystore is the organisation's certificate, checked for what it is used for.
type keystore struct {
	*certs.Source
	settings config.NemLogin
	cvr      string
	now      func() time.Time
}

// keystoreError is a keystore that can be read and must not be used.
type keystoreError struct {
	path    string
	finding certs.Finding
}

func (e *keystoreError) Error() string { return "keystore " + e.path + ": " + e.finding.Message }

// refused are findings for which a keystore is not taken up at all: it belongs to somebody else or to another environment,
// and waiting doesn't mend that. A certificate that has expired is taken up, so that the service goes on serving its pages,
// which say so, until a new one is put in its place.
var refused = []certs.Code{
	certs.CodeCVRMismatch, certs.CodeTestCertificate, certs.CodeProductionCertificate, certs.CodeNotOrganisation,
}

// openKeystore loads the keystore of the settings. It fails, for exit code 12, if it cannot be read or is the wrong one.
func openKeystore(c *config.Config, log logrus.FieldLogger, now func() time.Time) (*keystore, error) {
	k := &keystore{settings: c.NemLogin, cvr: c.CVR, now: now}
	opts := certs.SourceOptions{
		Path:   c.NemLogin.KeystoreLocation,
		Accept: k.accept,
		Logger: log,
		Now:    now,
		Password: func() (string, error) {
			if k.settings.KeystorePasswordFile == "" {
				return k.settings.KeystorePassword.Reveal(), nil
			}
			return config.ReadSecretFile(k.settings.KeystorePasswordFile)
		},
	}
	if file := c.NemLogin.KeystorePasswordFile; file != "" {
		opts.Watch = []string{file}
	}
	source, err := certs.NewSource(opts)
	if err != nil {
		return nil, err
	}
	k.Source = source
	return k, nil
}

func (k *keystore) options() certs.CheckOptions {
	return certs.CheckOptions{BaseURL: k.settings.BaseURL, CVR: k.cvr, Now: k.now()}
}

// accept refuses what must never be presented to MitID Erhverv.
func (k *keystore) accept(loaded *certs.Keystore) error {
	for _, f := range certs.Check(loaded, k.options()) {
		if f.Severity == certs.SeverityError && slices.Contains(refused, f.Code) {
			return &keystoreError{path: k.settings.KeystoreLocation, finding: f}
		}
	}
	return nil
}

// findings says what is wrong with the keystore now.
func (k *keystore) findings() []certs.Finding { return certs.Check(k.Current(), k.options()) }

// usable returns why MitID Erhverv must not be called with the keystore as it is now, or nil.
func (k *keystore) usable() error {
	for _, f := range k.findings() {
		if f.Severity == certs.SeverityError {
			return &keystoreError{path: k.settings.KeystoreLocation, finding: f}
		}
	}
	return nil
}

// inOrder returns why a person must look at the keystore, or nil: it must not be used, or its file has been replaced by one
// that could not be taken up, with which the service would not start again.
func (k *keystore) inOrder() error { return errors.Join(k.usable(), k.LastError()) }

// certificate is what the client presents, as long as the keystore is usable.
func (k *keystore) certificate() (*tls.Certificate, error) {
	if err := k.usable(); err != nil {
		return nil, err
	}
	return k.Certificate()
}

// logFindings writes what is wrong with the keystore to the log.
func (k *keystore) logFindings(log logrus.FieldLogger) {
	for _, f := range k.findings() {
		line := log.WithFields(logrus.Fields{fieldCode: f.Code, fieldRemedy: f.Remedy})
		switch f.Severity {
		case certs.SeverityError:
			line.Error("keystore: " + f.Message)
		case certs.SeverityWarning:
			line.Warn("keystore: " + f.Message)
		case certs.SeverityInfo:
			line.Info("keystore: " + f.Message)
		}
	}
}

// ends tells when the certificate ends, for people.
func (k *keystore) ends() string {
	return rolecatalog.Day(k.Current().Describe().NotAfter)
}

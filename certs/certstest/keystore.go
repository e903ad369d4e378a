package certstest

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"unicode/utf16"

	pkcs12 "software.sslmate.com/src/go-pkcs12"
)

// Encoding chooses how a keystore is encrypted.
type Encoding int

// The encodings.
const (
	// OCES3 is what people get when a browser makes the key: certificates in plaintext, the key under PBES2 with
	// AES-256-CBC and 2000 rounds of PBKDF2-HMAC-SHA256, and a SHA-1 MAC with 2000 rounds.
	OCES3 Encoding = iota
	// Modern is the default of OpenSSL 3 and Java 20: everything under PBES2, SHA-256 MAC.
	Modern
	// LegacyDES encrypts all by 3DES, with a SHA-1 MAC.
	LegacyDES
	// LegacyRC2 is what openssl's -legacy makes: certificates under 40-bit RC2, the key under 3DES, SHA-1 MAC.
	LegacyRC2
)

// KeystoreOptions says how to write a keystore. The zero value is as a browser writes it, with the whole chain.
type KeystoreOptions struct {
	Encoding Encoding
	// WithoutChain leaves the authorities' certificates out.
	WithoutChain bool
	// Certificates, when not nil, are the certificates to write, in this order, instead of the leaf and its chain.
	Certificates []*x509.Certificate
}

// Keystore returns the key, its certificate and its chain as a PKCS#12 file.
func (l Leaf) Keystore(password string, opts KeystoreOptions) ([]byte, error) {
	certificates := opts.Certificates
	if certificates == nil {
		certificates = []*x509.Certificate{l.Certificate}
		if !opts.WithoutChain {
			certificates = append(certificates, l.Chain...)
		}
	}
	if len(certificates) == 0 {
		return nil, errors.New("writing a keystore: no certificates")
	}
	var encoder *pkcs12.Encoder
	switch opts.Encoding {
	case OCES3:
		return l.browserKeystore(password, certificates)
	case Modern:
		encoder = pkcs12.Modern2023
	case LegacyDES:
		encoder = pkcs12.LegacyDES
	case LegacyRC2:
		encoder = pkcs12.LegacyRC2
	default:
		return nil, fmt.Errorf("writing a keystore: unknown encoding %d", opts.Encoding)
	}
	data, err := encoder.Encode(l.Key, certificates[0], certificates[1:], password)
	if err != nil {
		return nil, fmt.Errorf("writing a keystore: %w", err)
	}
	return data, nil
}

// rounds is how often browser-issued keystores hash, for the key and for the MAC.
const rounds = 2000

var (
	oidData          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidCertBag       = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 3}
	oidShroudedKey   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 2}
	oidX509          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 22, 1}
	oidFriendlyName  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 20}
	oidLocalKeyID    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 21}
	oidPBES2         = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
	oidHMACSHA256    = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 9}
	oidAES256CBC     = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}
	oidSHA1          = asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}
	asn1Null         = asn1.RawValue{Tag: asn1.TagNull}
	errPasswordRange = errors.New("the password has characters that PKCS#12 cannot hold")
)

// The parts of a PKCS#12 file, named as in RFC 7292.
type (
	contentInfo struct {
		Type    asn1.ObjectIdentifier
		Content []byte `asn1:"tag:0,explicit"`
	}
	safeBag struct {
		ID         asn1.ObjectIdentifier
		Value      asn1.RawValue
		Attributes []bagAttribute `asn1:"set,omitempty"`
	}
	bagAttribute struct {
		ID     asn1.ObjectIdentifier
		Values []asn1.RawValue `asn1:"set"`
	}
	certBag struct {
		ID   asn1.ObjectIdentifier
		Data []byte `asn1:"tag:0,explicit"`
	}
	encryptedKey struct {
		Algorithm pkix.AlgorithmIdentifier
		Data      []byte
	}
	pbes2Parameters struct {
		KDF, Cipher pkix.AlgorithmIdentifier
	}
	pbkdf2Parameters struct {
		Salt   []byte
		Rounds int
		PRF    pkix.AlgorithmIdentifier
	}
	macData struct {
		Digest struct {
			Algorithm pkix.AlgorithmIdentifier
			Value     []byte
		}
		Salt   []byte
		Rounds int
	}
	pfx struct {
		Version int
		Safe    contentInfo
		MAC     macData
	}
)

// encoder marshals and remembers the first error, so that building nested structures stays readable.
type encoder struct{ err error }

func (e *encoder) der(value any) []byte {
	der, err := asn1.Marshal(value)
	if err != nil && e.err == nil {
		e.err = err
	}
	return der
}

func (e *encoder) raw(value any) asn1.RawValue { return asn1.RawValue{FullBytes: e.der(value)} }

// browserKeystore writes by hand what the library's encoders cannot: certificates in plaintext beside an encrypted key.
func (l Leaf) browserKeystore(password string, certificates []*x509.Certificate) ([]byte, error) {
	var e encoder
	fingerprint := sha1.Sum(l.Certificate.Raw)
	attributes := []bagAttribute{
		{ID: oidLocalKeyID, Values: []asn1.RawValue{e.raw(fingerprint[:])}},
		{ID: oidFriendlyName, Values: []asn1.RawValue{bmpString(l.Certificate.Subject.CommonName)}},
	}

	var bags []safeBag
	for _, c := range certificates {
		bag := safeBag{ID: oidCertBag, Value: explicit(e.der(certBag{ID: oidX509, Data: c.Raw}))}
		if c.Equal(l.Certificate) {
			bag.Attributes = attributes
		}
		bags = append(bags, bag)
	}
	shrouded, err := l.shroudedKey(&e, password)
	if err != nil {
		return nil, err
	}
	keys := []safeBag{{ID: oidShroudedKey, Value: explicit(shrouded), Attributes: attributes}}

	safe := e.der([]contentInfo{
		{Type: oidData, Content: e.der(bags)},
		{Type: oidData, Content: e.der(keys)},
	})
	file := pfx{Version: 3, Safe: contentInfo{Type: oidData, Content: safe}}
	file.MAC.Digest.Algorithm = pkix.AlgorithmIdentifier{Algorithm: oidSHA1, Parameters: asn1Null}
	file.MAC.Salt, file.MAC.Rounds = random(20), rounds
	if file.MAC.Digest.Value, err = mac(safe, password, file.MAC.Salt); err != nil {
		return nil, err
	}
	out := e.der(file)
	if e.err != nil {
		return nil, fmt.Errorf("writing a keystore: %w", e.err)
	}
	return out, nil
}

func (l Leaf) shroudedKey(e *encoder, password string) ([]byte, error) {
	plain, err := x509.MarshalPKCS8PrivateKey(l.Key)
	if err != nil {
		return nil, fmt.Errorf("writing the private key: %w", err)
	}
	salt, iv := random(32), random(aes.BlockSize)
	key, err := pbkdf2.Key(sha256.New, password, salt, rounds, 32)
	if err != nil {
		return nil, fmt.Errorf("deriving a key: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("preparing the cipher: %w", err)
	}
	padding := aes.BlockSize - len(plain)%aes.BlockSize
	for range padding {
		plain = append(plain, byte(padding))
	}
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(plain, plain)

	kdf := pbkdf2Parameters{Salt: salt, Rounds: rounds, PRF: pkix.AlgorithmIdentifier{Algorithm: oidHMACSHA256, Parameters: asn1Null}}
	scheme := pbes2Parameters{
		KDF:    pkix.AlgorithmIdentifier{Algorithm: oidPBKDF2, Parameters: e.raw(kdf)},
		Cipher: pkix.AlgorithmIdentifier{Algorithm: oidAES256CBC, Parameters: e.raw(iv)},
	}
	return e.der(encryptedKey{Algorithm: pkix.AlgorithmIdentifier{Algorithm: oidPBES2, Parameters: e.raw(scheme)}, Data: plain}), nil
}

// mac is the SHA-1 MAC of RFC 7292. Its key is as long as the hash, so one round of appendix B.2 gives all of it.
func mac(message []byte, password string, salt []byte) ([]byte, error) {
	const block, macKey = 64, 3
	var secret []byte
	for _, r := range password {
		if r > 0xffff {
			return nil, fmt.Errorf("writing a keystore: %w", errPasswordRange)
		}
		secret = append(secret, byte(r>>8), byte(r))
	}
	secret = append(secret, 0, 0)

	var input []byte
	for range block {
		input = append(input, macKey)
	}
	input = append(input, fill(salt, block)...)
	input = append(input, fill(secret, block)...)
	key := sha1.Sum(input)
	for range rounds - 1 {
		key = sha1.Sum(key[:])
	}
	h := hmac.New(sha1.New, key[:])
	h.Write(message)
	return h.Sum(nil), nil
}

// fill repeats b until it is a whole number of blocks long.
func fill(b []byte, block int) []byte {
	size := (len(b) + block - 1) / block * block
	out := make([]byte, 0, size)
	for i := range size {
		out = append(out, b[i%len(b)])
	}
	return out
}

func explicit(der []byte) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: der}
}

func bmpString(s string) asn1.RawValue {
	var b []byte
	for _, unit := range utf16.Encode([]rune(s)) {
		b = append(b, byte(unit>>8), byte(unit))
	}
	return asn1.RawValue{Tag: asn1.TagBMPString, Bytes: b}
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}

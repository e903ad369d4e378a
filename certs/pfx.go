package certs

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // G505: browsers and old tools still write MACs with SHA-1
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"hash"

	pkcs12 "software.sslmate.com/src/go-pkcs12"
)

// go-pkcs12 decodes keystores. What it cannot take is dealt with here first: a file in BER is rewritten in DER, which
// breaks its MAC, so the MAC is verified over what the file had and computed anew over what the library gets; a file
// without a MAC gets one. The rewritten file lives in memory only.

// maxRounds bounds how often all the password hashes of a file may iterate. Java writes 10,000, careful people a million.
const maxRounds = 5_000_000

var (
	oidData   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidKeyBag = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 1}

	errRounds    = errors.New("the password hash iterates an absurd number of times")
	errStructure = errors.New("not the structure of a PKCS#12 file")
)

// pfx is a PKCS#12 file as RFC 7292 has it.
type pfx struct {
	Version  int
	AuthSafe contentInfo
	MACData  macData `asn1:"optional"`
}

type contentInfo struct {
	Type    asn1.ObjectIdentifier
	Content asn1.RawValue `asn1:"tag:0,explicit,optional"`
}

type macData struct {
	Digest digestInfo
	Salt   []byte
	Rounds int `asn1:"optional,default:1"`
}

type digestInfo struct {
	Algorithm pkix.AlgorithmIdentifier
	Value     []byte
}

// container is a keystore that was read as far as one can without its password.
type container struct {
	der []byte // what go-pkcs12 gets, unless rewritten
	// safe is the AuthenticatedSafe as the file has it, which the MAC covers; derSafe is the same in DER.
	safe, derSafe []byte
	mac           macData
	hasMAC        bool
}

// open reads the outside of a keystore in DER.
func open(der []byte) (*container, error) {
	var file pfx
	if rest, err := asn1.Unmarshal(der, &file); err != nil || len(rest) > 0 {
		return nil, errStructure
	}
	if !file.AuthSafe.Type.Equal(oidData) {
		return nil, pkcs12.NotImplementedError("it is protected by a public key instead of a password")
	}
	c := &container{der: der, mac: file.MACData, hasMAC: len(file.MACData.Digest.Algorithm.Algorithm) > 0}
	var err error
	if c.safe, err = octets(file.AuthSafe.Content); err != nil {
		return nil, err
	}
	if c.derSafe, err = normaliseSafe(c.safe); err != nil {
		return nil, err
	}
	total := 0
	if c.hasMAC {
		if err := addRounds(&total, c.mac.Rounds); err != nil {
			return nil, err
		}
		// PBMAC1 keeps its rounds among the algorithm's parameters.
		if err := countRounds(c.mac.Digest.Algorithm.Parameters.FullBytes, &total, 0); err != nil {
			return nil, err
		}
	}
	if err := countRounds(c.derSafe, &total, 0); err != nil {
		return nil, err
	}
	return c, nil
}

// rewritten tells whether go-pkcs12 needs another file than the one that was read.
func (c *container) rewritten(password string) bool {
	return !bytes.Equal(c.safe, c.derSafe) || !c.hasMAC && password != ""
}

// decodable returns a file that go-pkcs12 can decode with password, or pkcs12.ErrIncorrectPassword.
func (c *container) decodable(password string) ([]byte, error) {
	if !c.rewritten(password) {
		return c.der, nil
	}
	secret, err := bmpPassword(password)
	if err != nil {
		return nil, err
	}
	if c.hasMAC {
		if secret, err = c.verify(secret); err != nil {
			return nil, err
		}
	} else if plain, err := c.hasPlainKey(); err != nil || plain {
		// Without a MAC only the key's own encryption shows that the password is right.
		return nil, errors.Join(err, pkcs12.NotImplementedError("it has neither a MAC nor an encrypted key, so nothing protects it"))
	}
	salt := make([]byte, 8)
	_, _ = rand.Read(salt) // never fails
	mac := macData{Salt: salt, Rounds: 1}
	mac.Digest.Algorithm = pkix.AlgorithmIdentifier{Algorithm: oidSHA256, Parameters: asn1.NullRawValue}
	if mac.Digest.Value, err = mac.compute(c.derSafe, secret); err != nil {
		return nil, err
	}
	content, err := asn1.Marshal(c.derSafe)
	if err != nil {
		return nil, fmt.Errorf("encoding the keystore anew: %w", err)
	}
	der, err := asn1.Marshal(pfx{Version: 3, AuthSafe: explicitContent(oidData, content), MACData: mac})
	if err != nil {
		return nil, fmt.Errorf("encoding the keystore anew: %w", err)
	}
	return der, nil
}

// verify checks the MAC and returns the octets of the password that fit: the empty password is written in two ways.
func (c *container) verify(secret []byte) ([]byte, error) {
	secrets := [][]byte{secret}
	if len(secret) == 2 {
		secrets = append(secrets, nil)
	}
	for _, s := range secrets {
		digest, err := c.mac.compute(c.safe, s)
		if err != nil {
			return nil, err
		}
		if hmac.Equal(digest, c.mac.Digest.Value) {
			return s, nil
		}
	}
	return nil, pkcs12.ErrIncorrectPassword
}

// hasPlainKey tells whether a private key lies unencrypted in a part that is not encrypted either.
func (c *container) hasPlainKey() (bool, error) {
	infos, err := contents(c.derSafe)
	if err != nil {
		return false, err
	}
	for _, info := range infos {
		if !info.Type.Equal(oidData) {
			continue
		}
		data, err := octets(info.Content)
		if err != nil {
			return false, err
		}
		var bags []struct {
			ID         asn1.ObjectIdentifier
			Value      asn1.RawValue `asn1:"tag:0,explicit"`
			Attributes asn1.RawValue `asn1:"optional"`
		}
		if rest, err := asn1.Unmarshal(data, &bags); err != nil || len(rest) > 0 {
			return false, errStructure
		}
		for _, bag := range bags {
			if bag.ID.Equal(oidKeyBag) {
				return true, nil
			}
		}
	}
	return false, nil
}

// normaliseSafe rewrites an AuthenticatedSafe, and the bags in its unencrypted parts, in DER.
func normaliseSafe(safe []byte) ([]byte, error) {
	der, err := normaliseWhole(safe)
	if err != nil {
		return nil, err
	}
	infos, err := contents(der)
	if err != nil {
		return nil, err
	}
	changed := false
	for i, info := range infos {
		if !info.Type.Equal(oidData) {
			continue
		}
		data, err := octets(info.Content)
		if err != nil {
			return nil, err
		}
		clean, err := normaliseWhole(data)
		if err != nil {
			return nil, err
		}
		if bytes.Equal(clean, data) {
			continue
		}
		content, err := asn1.Marshal(clean)
		if err != nil {
			return nil, fmt.Errorf("encoding the keystore anew: %w", err)
		}
		infos[i], changed = explicitContent(oidData, content), true
	}
	if !changed {
		return der, nil
	}
	if der, err = asn1.Marshal(infos); err != nil {
		return nil, fmt.Errorf("encoding the keystore anew: %w", err)
	}
	return der, nil
}

func normaliseWhole(data []byte) ([]byte, error) {
	der, rest, err := normaliseBER(data)
	if err != nil || len(rest) > 0 {
		return nil, errStructure
	}
	return der, nil
}

func contents(safe []byte) ([]contentInfo, error) {
	var infos []contentInfo
	if rest, err := asn1.Unmarshal(safe, &infos); err != nil || len(rest) > 0 {
		return nil, errStructure
	}
	return infos, nil
}

// octets returns the OCTET STRING in an explicit [0].
func octets(content asn1.RawValue) ([]byte, error) {
	var out []byte
	if rest, err := asn1.Unmarshal(content.Bytes, &out); err != nil || len(rest) > 0 {
		return nil, errStructure
	}
	return out, nil
}

func explicitContent(kind asn1.ObjectIdentifier, der []byte) contentInfo {
	return contentInfo{Type: kind, Content: asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: der}}
}

// countRounds adds up the iterations of every password hash that shows in der, so that a file cannot keep the program
// busy for hours. In all of PKCS#12 a count is the INTEGER that follows an OCTET STRING, the salt.
func countRounds(der []byte, total *int, depth int) error {
	if depth > maxDepth {
		return errBERTooDeep
	}
	afterSalt := false
	for len(der) > 0 {
		var v asn1.RawValue
		rest, err := asn1.Unmarshal(der, &v)
		if err != nil {
			return nil //nolint:nilerr // not a structure: plain octets that began like one
		}
		der = rest
		universal := v.Class == asn1.ClassUniversal
		if universal && v.Tag == asn1.TagInteger && afterSalt {
			var n int
			if _, err := asn1.Unmarshal(v.FullBytes, &n); err != nil {
				return errRounds
			}
			if err := addRounds(total, n); err != nil {
				return err
			}
		}
		afterSalt = universal && v.Tag == asn1.TagOctetString
		if v.IsCompound || afterSalt && len(v.Bytes) > 0 && v.Bytes[0] == tagSequence {
			if err := countRounds(v.Bytes, total, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

func addRounds(total *int, n int) error {
	if n < 1 || n > maxRounds-*total {
		return errRounds
	}
	*total += n
	return nil
}

// hashes are the digests go-pkcs12 knows for the MAC.
var (
	oidSHA1   = asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}
	oidSHA256 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	oidSHA384 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 2}
	oidSHA512 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 3}
)

// compute is the MAC of RFC 7292, appendix A.
func (m macData) compute(message, secret []byte) ([]byte, error) {
	var h func() hash.Hash
	switch oid := m.Digest.Algorithm.Algorithm; {
	case oid.Equal(oidSHA1):
		h = sha1.New
	case oid.Equal(oidSHA256):
		h = sha256.New
	case oid.Equal(oidSHA384):
		h = sha512.New384
	case oid.Equal(oidSHA512):
		h = sha512.New
	default:
		return nil, pkcs12.NotImplementedError("its MAC uses the unknown algorithm " + oid.String())
	}
	const forMAC = 3
	mac := hmac.New(h, deriveKey(h, forMAC, m.Salt, secret, m.Rounds, h().Size()))
	mac.Write(message)
	return mac.Sum(nil), nil
}

// deriveKey is the key derivation of RFC 7292, appendix B.2.
func deriveKey(h func() hash.Hash, purpose byte, salt, secret []byte, rounds, size int) []byte {
	block := h().BlockSize()
	diversifier := bytes.Repeat([]byte{purpose}, block)
	input := append(fillBlocks(salt, block), fillBlocks(secret, block)...)
	var out []byte
	for {
		d := h()
		d.Write(diversifier)
		d.Write(input)
		sum := d.Sum(nil)
		for range rounds - 1 {
			d.Reset()
			d.Write(sum)
			sum = d.Sum(sum[:0])
		}
		out = append(out, sum...)
		if len(out) >= size {
			return out[:size]
		}
		// Add the block made of sum, and one, to every block of the input, as big-endian numbers.
		addend := fillBlocks(sum, block)[:block]
		for start := 0; start < len(input); start += block {
			carry := 1
			for i := block - 1; i >= 0; i-- {
				carry += int(input[start+i]) + int(addend[i])
				input[start+i] = byte(carry)
				carry >>= 8
			}
		}
	}
}

// fillBlocks repeats b until it fills whole blocks.
func fillBlocks(b []byte, block int) []byte {
	if len(b) == 0 {
		return nil
	}
	size := (len(b) + block - 1) / block * block
	return bytes.Repeat(b, size/len(b)+1)[:size]
}

// bmpPassword encodes a password as PKCS#12 wants it: two octets a character, closed by a zero.
func bmpPassword(password string) ([]byte, error) {
	out := make([]byte, 0, 2*len(password)+2)
	for _, r := range password {
		if r > 0xffff {
			return nil, errPasswordCharacters
		}
		out = append(out, byte(r>>8), byte(r))
	}
	return append(out, 0, 0), nil
}

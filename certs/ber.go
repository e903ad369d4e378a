package certs

import (
	"bytes"
	"errors"
)

// Keystores may be written in BER, the looser of ASN.1's encodings: lengths left open and closed by a marker, strings cut
// into segments. Bouncy Castle (and so EJBCA and many portals) and NSS (Firefox) do so. Go's encoding/asn1, and with it
// go-pkcs12, reads DER only. normaliseBER rewrites the one into the other.

// maxDepth bounds how deep structures may nest; a keystore needs about a dozen levels.
const maxDepth = 64

var (
	errBERTruncated = errors.New("the data ends in the middle of a value")
	errBERMalformed = errors.New("not a well-formed BER value")
	errBERTooDeep   = errors.New("BER values nested too deeply")
)

const (
	classMask   = 0xc0
	constructed = 0x20
	tagMask     = 0x1f

	tagBitString   = 0x03
	tagOctetString = 0x04
	tagOID         = 0x06
	tagSequence    = 0x30 // with the constructed bit
	tagContext0    = 0xa0 // likewise
)

// encodedPKCS7Data is the object identifier 1.2.840.113549.1.7.1 with its tag and length.
var encodedPKCS7Data = []byte{tagOID, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1}

// normaliseBER rewrites the first value in data with definite, minimal lengths and unsegmented strings, and returns it
// and what follows it. A value that is DER already comes back unchanged. It mends nothing else that BER allows and DER
// does not (the order of sets, the value of true): Go's decoder does not mind them.
func normaliseBER(data []byte) (der, rest []byte, err error) {
	v, rest, err := readBER(data, 0)
	if err != nil {
		return nil, nil, err
	}
	return v.append(nil), rest, nil
}

// berValue is a value with its content already normalised.
type berValue struct {
	tag     []byte // the identifier octets
	content []byte
	parts   []berValue // of a constructed value, until append
}

func (v berValue) constructed() bool { return v.tag[0]&constructed != 0 }

// isOctets tells whether v is an unsegmented OCTET STRING.
func (v berValue) isOctets() bool { return len(v.tag) == 1 && v.tag[0] == tagOctetString }

func (v berValue) append(out []byte) []byte {
	out = append(out, v.tag...)
	content := v.content
	if v.constructed() {
		content = nil
		for _, part := range v.parts {
			content = part.append(content)
		}
	}
	switch n := len(content); {
	case n < 0x80:
		out = append(out, byte(n))
	case n < 1<<8:
		out = append(out, 0x81, byte(n))
	case n < 1<<16:
		out = append(out, 0x82, byte(n>>8), byte(n))
	case n < 1<<24:
		out = append(out, 0x83, byte(n>>16), byte(n>>8), byte(n))
	default:
		out = append(out, 0x84, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	return append(out, content...)
}

// readBER reads one value and what it is made of.
func readBER(data []byte, depth int) (v berValue, rest []byte, err error) {
	if depth > maxDepth {
		return v, nil, errBERTooDeep
	}
	v.tag, rest, err = readTag(data)
	if err != nil {
		return v, nil, err
	}
	length, open, rest, err := readLength(rest)
	switch {
	case err != nil:
		return v, nil, err
	case open && !v.constructed():
		return v, nil, errBERMalformed
	case open:
		v.parts, rest, err = readOpen(rest, depth+1)
	case length > len(rest):
		return v, nil, errBERTruncated
	case v.constructed():
		v.parts, err = readParts(rest[:length], depth+1)
		rest = rest[length:]
	default:
		v.content, rest = rest[:length], rest[length:]
	}
	if err != nil {
		return v, nil, err
	}
	v, err = v.join()
	return v, rest, err
}

// readParts reads the values that fill content.
func readParts(content []byte, depth int) (parts []berValue, err error) {
	for len(content) > 0 {
		var part berValue
		if part, content, err = readBER(content, depth); err != nil {
			if errors.Is(err, errBERTruncated) {
				err = errBERMalformed // the outer value is whole: what is missing was never there
			}
			return nil, err
		}
		parts = append(parts, part)
	}
	return parts, nil
}

// readOpen reads values up to the marker that ends a value of indefinite length.
func readOpen(data []byte, depth int) (parts []berValue, rest []byte, err error) {
	for {
		switch {
		case len(data) >= 2 && data[0] == 0 && data[1] == 0:
			return parts, data[2:], nil
		case len(data) == 1 && data[0] == 0:
			return nil, nil, errBERTruncated
		}
		var part berValue
		if part, data, err = readBER(data, depth); err != nil {
			return nil, nil, err
		}
		parts = append(parts, part)
	}
}

func readTag(data []byte) (tag, rest []byte, err error) {
	if len(data) == 0 {
		return nil, nil, errBERTruncated
	}
	if data[0]&tagMask != tagMask {
		if data[0] == 0 {
			return nil, nil, errBERMalformed // an end-of-contents marker where no value is open
		}
		return data[:1], data[1:], nil
	}
	for i := 1; i < 5; i++ { // a tag number of up to 28 bits
		if i >= len(data) {
			return nil, nil, errBERTruncated
		}
		if i == 1 && (data[i] < tagMask || data[i] == 0x80) {
			return nil, nil, errBERMalformed // a number that has a shorter form, in BER too
		}
		if data[i]&0x80 == 0 {
			return data[:i+1], data[i+1:], nil
		}
	}
	return nil, nil, errBERMalformed
}

// readLength reads length octets. open says that the length is indefinite.
func readLength(data []byte) (length int, open bool, rest []byte, err error) {
	if len(data) == 0 {
		return 0, false, nil, errBERTruncated
	}
	first, rest := data[0], data[1:]
	switch {
	case first < 0x80:
		return int(first), false, rest, nil
	case first == 0x80:
		return 0, true, rest, nil
	case first == 0xff:
		return 0, false, nil, errBERMalformed
	}
	n := int(first & 0x7f)
	if n > len(rest) {
		return 0, false, nil, errBERTruncated
	}
	for _, b := range rest[:n] {
		if length > 1<<23 { // another octet would make it longer than any keystore, and overflow in the end
			return 0, false, nil, errBERTruncated
		}
		length = length<<8 | int(b)
	}
	return length, false, rest[n:], nil
}

// join makes one string of a segmented one, and of the one value in a PKCS#12 file that carries its segments under a
// tag of its own: the encryptedContent of an EncryptedContentInfo.
func (v berValue) join() (berValue, error) {
	if !v.constructed() {
		return v, nil
	}
	if v.tag[0] == tagSequence {
		if n := len(v.parts); n == 3 && isPKCS7Data(v.parts[0]) && v.parts[1].tag[0] == tagSequence {
			v.parts[2] = v.parts[2].joinImplicit()
		}
		return v, nil
	}
	if v.tag[0]&classMask != 0 || !isString(v.tag[0]&tagMask) {
		return v, nil
	}
	if v.tag[0]&tagMask == tagBitString {
		return v.joinBits()
	}
	joined := berValue{tag: []byte{v.tag[0] &^ constructed}}
	for _, part := range v.parts {
		// The segments of a character string are OCTET STRINGs; some writers give them the string's own tag.
		if !part.isOctets() && !bytes.Equal(part.tag, joined.tag) {
			return v, errBERMalformed
		}
		joined.content = append(joined.content, part.content...)
	}
	return joined, nil
}

func isPKCS7Data(v berValue) bool { return bytes.Equal(v.append(nil), encodedPKCS7Data) }

// joinImplicit makes a primitive value of a context-specific [0] that holds nothing but OCTET STRINGs.
func (v berValue) joinImplicit() berValue {
	if len(v.tag) != 1 || v.tag[0] != tagContext0 {
		return v
	}
	joined := berValue{tag: []byte{tagContext0 &^ constructed}}
	for _, part := range v.parts {
		if !part.isOctets() {
			return v
		}
		joined.content = append(joined.content, part.content...)
	}
	return joined
}

// joinBits joins the segments of a BIT STRING. Each begins with the number of unused bits at its end; only the last
// may have any.
func (v berValue) joinBits() (berValue, error) {
	joined := berValue{tag: []byte{tagBitString}, content: []byte{0}}
	for i, part := range v.parts {
		if len(part.tag) != 1 || part.tag[0] != tagBitString || len(part.content) == 0 {
			return v, errBERMalformed
		}
		if unused := part.content[0]; unused != 0 {
			if i != len(v.parts)-1 {
				return v, errBERMalformed
			}
			joined.content[0] = unused
		}
		joined.content = append(joined.content, part.content[1:]...)
	}
	return joined, nil
}

// isString tells whether a universal tag number belongs to a type that BER may cut into segments.
func isString(number byte) bool {
	switch number {
	case tagBitString, tagOctetString,
		0x0c,                                           // UTF8String
		0x12, 0x13, 0x14, 0x15, 0x16, 0x19, 0x1a, 0x1b, // the old character sets
		0x17, 0x18, // times, which are strings underneath
		0x1c, 0x1e: // UniversalString, BMPString
		return true
	}
	return false
}

package certs

import (
	"bytes"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestNormaliseBER(t *testing.T) {
	t.Parallel()
	const data = "06092a864886f70d010701" // the object identifier of PKCS#7 data
	for name, tc := range map[string]struct{ in, want, rest string }{
		"DER sequence":                      {"3003020105", "3003020105", ""},
		"what follows is left alone":        {"30030201050000", "3003020105", "0000"},
		"indefinite sequence":               {"30800201050000", "3003020105", ""},
		"nested indefinite":                 {"308030800201050000a08004000000" + "0000", "30093003020105a0020400", ""},
		"long form of a short length":       {"308100", "3000", ""},
		"length with leading zeros":         {"048400000002abcd", "0402abcd", ""},
		"segmented octets":                  {"2480040201020401030000", "0403010203", ""},
		"segments of definite length":       {"2407040201020401" + "03", "0403010203", ""},
		"segments of segments":              {"24802480040101000004010200" + "00", "04020102", ""},
		"no segments":                       {"24800000", "0400", ""},
		"segmented bits":                    {"2380030200ff030204f00000", "030304fff0", ""},
		"segmented BMP string":              {"3e80040200410402004200" + "00", "1e0400410042", ""},
		"segmented string with its own tag": {"2c800c01410c01420000", "0c024142", ""},
		"explicit tag stays":                {"a0800401010000", "a003040101", ""},
		"encrypted content":                 {"3080" + data + "3000a0800401010401020000" + "0000", "3011" + data + "300080020102", ""},
		"encrypted content, definite":       {"3012" + data + "3000a003040101", "3010" + data + "3000800101", ""},
		"content with its type only":        {"3080" + data + "a0800401010000" + "0000", "3010" + data + "a003040101", ""},
		"high tag number":                   {"bf8101800401010000", "bf810103040101", ""},
		"lowest high tag number":            {"9f1f00", "9f1f00", ""},
		"high tag number, primitive":        {"9f810101ff", "9f810101ff", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in, want := unhex(t, tc.in), unhex(t, tc.want)
			der, rest, err := normaliseBER(in)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(der, want) || hex.EncodeToString(rest) != tc.rest {
				t.Errorf("got %x and the rest %x, want %x and %s", der, rest, want, tc.rest)
			}
		})
	}
}

func TestNormaliseBERRefuses(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		in   string
		want error
	}{
		"nothing":                      {"", errBERTruncated},
		"tag only":                     {"30", errBERTruncated},
		"content missing":              {"300302", errBERTruncated},
		"length missing":               {"3082", errBERTruncated},
		"high tag cut":                 {"bf81", errBERTruncated},
		"no end":                       {"30800201", errBERTruncated},
		"no end, whole values":         {"3080020105", errBERTruncated},
		"inner value past the outer":   {"3003040501", errBERMalformed},
		"indefinite primitive":         {"0480", errBERMalformed},
		"reserved length":              {"30ff", errBERMalformed},
		"end marker first":             {"0000", errBERMalformed},
		"end marker in definite value": {"30020000", errBERMalformed},
		"endless tag number":           {"bfffffffffffff", errBERMalformed},
		"low tag number in high form":  {"1f0500", errBERMalformed},
		"tag number with a zero first": {"1f803f00", errBERMalformed},
		"huge length":                  {"3088ffffffffffffffff", errBERTruncated},
		"other type as a segment":      {"24800201050000", errBERMalformed},
		"bits unused before the end":   {"2380030204f0030200ff0000", errBERMalformed},
		"bits without their count":     {"238003000000", errBERMalformed},
		"too deep":                     {strings.Repeat("3080", maxDepth+2), errBERTooDeep},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, _, err := normaliseBER(unhex(t, tc.in)); !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
		})
	}
}

// Whatever is written in BER by the rules comes back as the DER it was made of.
func TestNormaliseBERUndoesBER(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		der, ber := drawValue(t, 4)
		got, rest, err := normaliseBER(ber)
		if err != nil || len(rest) > 0 || !bytes.Equal(got, der) {
			t.Fatalf("%x became %x, rest %x, error %v; want %x", ber, got, rest, err, der)
		}
		if again, _, err := normaliseBER(der); err != nil || !bytes.Equal(again, der) {
			t.Fatalf("DER %x became %x, error %v", der, again, err)
		}
	})
}

// drawValue draws a value and writes it twice: in DER and in some BER.
func drawValue(t *rapid.T, depth int) (der, ber []byte) {
	kinds := []byte{0x02, 0x04, 0x0c, 0x80, 0x30, 0x31, 0xa0, 0xa1}
	if depth == 0 {
		kinds = kinds[:4]
	}
	tag := rapid.SampledFrom(kinds).Draw(t, "tag")
	if tag&constructed == 0 {
		content := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "content")
		der = tlv(tag, content)
		if (tag == 0x04 || tag == 0x0c) && rapid.Bool().Draw(t, "segmented") {
			cut := rapid.IntRange(0, len(content)).Draw(t, "cut")
			segments := append(tlv(0x04, content[:cut]), tlv(0x04, content[cut:])...)
			return der, wrapBER(t, tag|constructed, segments)
		}
		return der, der
	}
	var innerDER, innerBER []byte
	for range rapid.IntRange(0, 3).Draw(t, "parts") {
		d, b := drawValue(t, depth-1)
		innerDER, innerBER = append(innerDER, d...), append(innerBER, b...)
	}
	return tlv(tag, innerDER), wrapBER(t, tag, innerBER)
}

func wrapBER(t *rapid.T, tag byte, content []byte) []byte {
	if rapid.Bool().Draw(t, "indefinite") {
		return append(append([]byte{tag, 0x80}, content...), 0, 0)
	}
	if rapid.Bool().Draw(t, "long") {
		return append([]byte{tag, 0x84, 0, 0, byte(len(content) >> 8), byte(len(content))}, content...)
	}
	return tlv(tag, content)
}

func tlv(tag byte, content []byte) []byte {
	der, err := asn1.Marshal(asn1.RawValue{Class: int(tag >> 6), Tag: int(tag & tagMask), IsCompound: tag&constructed != 0, Bytes: content})
	if err != nil {
		panic(err)
	}
	return der
}

func FuzzNormaliseBER(f *testing.F) {
	for _, name := range []string{"oces3.p12", "bouncycastle.p12", "nss.p12", "certificate.der"} {
		f.Add(readTestdata(f, name))
	}
	f.Add([]byte{0x24, 0x80, 0x04, 0x01, 1, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		der, rest, err := normaliseBER(data)
		if err != nil {
			return
		}
		if !isDER(der) {
			t.Fatalf("%x became %x, which is not DER", data, der)
		}
		if first := data[:len(data)-len(rest)]; isDER(first) && !bytes.Equal(first, der) {
			t.Fatalf("DER %x became %x", first, der)
		}
		if again, left, err := normaliseBER(der); err != nil || len(left) > 0 || !bytes.Equal(again, der) {
			t.Fatalf("a second time, %x became %x, %v", der, again, err)
		}
	})
}

// isDER holds a value against the rules by way of encoding/asn1, which knows nothing of normaliseBER: definite minimal
// lengths, no segmented strings, no segmented encrypted content.
func isDER(data []byte) bool {
	var v asn1.RawValue
	rest, err := asn1.Unmarshal(data, &v)
	return err == nil && len(rest) == 0 && isDERValue(v)
}

func isDERValue(v asn1.RawValue) bool {
	if !v.IsCompound {
		return true
	}
	if v.Class == asn1.ClassUniversal && v.Tag < 0x1f && isString(byte(v.Tag)) {
		return false
	}
	var parts []asn1.RawValue
	for in := v.Bytes; len(in) > 0; {
		var part asn1.RawValue
		rest, err := asn1.Unmarshal(in, &part)
		if err != nil || !isDERValue(part) {
			return false
		}
		parts, in = append(parts, part), rest
	}
	isSequence := func(v asn1.RawValue) bool { return v.Class == 0 && v.Tag == asn1.TagSequence }
	if isSequence(v) && len(parts) == 3 && bytes.Equal(parts[0].FullBytes, encodedPKCS7Data) && isSequence(parts[1]) {
		last := parts[2]
		if last.Class == asn1.ClassContextSpecific && last.Tag == 0 && last.IsCompound {
			for in := last.Bytes; len(in) > 0; {
				var part asn1.RawValue
				rest, err := asn1.Unmarshal(in, &part)
				if err != nil || part.Tag != asn1.TagOctetString || part.Class != 0 {
					return true // explicitly tagged something, not segments
				}
				in = rest
			}
			return false
		}
	}
	return true
}

// The password is tried against whatever comes in. Nothing may panic, or take long.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/*.*")
	if err != nil || len(files) < 20 {
		f.Fatalf("found %d files, error %v", len(files), err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, "rollebro")
	}
	f.Fuzz(func(t *testing.T, data []byte, password string) {
		start := time.Now()
		k, err := Parse(data, password)
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("took %v", took)
		}
		switch {
		case err == nil && (k == nil || !owns(k.key, k.leaf)):
			t.Error("a keystore without its key's certificate was taken")
		case err == nil:
			Check(k, CheckOptions{CVR: "1", BaseURL: "https://services.nemlog-in.dk"})
		case Remedy(err) == "":
			t.Errorf("no remedy for %v", err)
		}
	})
}

func unhex(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func readTestdata(tb testing.TB, name string) []byte {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

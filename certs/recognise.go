package certs

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
)

// recognise names what people hand over in place of a PKCS#12 file and says how to make one of it.
func recognise(data []byte) (what, remedy string, ok bool) {
	text := bytes.TrimSpace(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")))
	switch {
	case bytes.Contains(data, []byte("-----BEGIN PGP ")):
		return "it is a PGP message", "Decrypt it: gpg --output keystore.p12 --decrypt FILE", true
	case bytes.Contains(data, []byte("-----BEGIN ")):
		return "it is a PEM file",
			"Convert it: openssl pkcs12 -export -inkey KEY.pem -in CERTIFICATE.pem -certfile CHAIN.pem -out keystore.p12 (all three may be the same file)", true
	case bytes.HasPrefix(data, []byte{0xfe, 0xed, 0xfe, 0xed}):
		return "it is a Java keystore (JKS)", fromJava("JKS"), true
	case bytes.HasPrefix(data, []byte{0xce, 0xce, 0xce, 0xce}):
		return "it is a Java keystore (JCEKS)", fromJava("JCEKS"), true
	case bytes.HasPrefix(data, []byte("PK\x03\x04")):
		return "it is a ZIP archive", "Unpack it and use the .p12 or .pfx file inside.", true
	case bytes.HasPrefix(text, []byte("<")):
		return "it is a web page or XML", "Download the keystore again while signed in: a page was saved in its place.", true
	case isBase64(text):
		return "it is a keystore in base64", "Decode it: base64 -d FILE > keystore.p12", true
	}
	return recogniseDER(data)
}

func recogniseDER(data []byte) (what, remedy string, ok bool) {
	const needsKey = "Use the .p12 or .pfx file, which holds the private key too. With the key at hand: openssl pkcs12 -export -inkey KEY.pem -in CERTIFICATE.pem -out keystore.p12"
	if _, err := x509.ParseCertificate(data); err == nil {
		return "it is a certificate without its key (DER)", needsKey, true
	}
	var signed contentInfo
	if _, err := asn1.Unmarshal(data, &signed); err == nil && signed.Type.Equal(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}) {
		return "it is a collection of certificates without a key (PKCS#7)", needsKey, true
	}
	const needsCertificate = "Add the certificate to it: openssl pkcs12 -export -inkey FILE -in CERTIFICATE.pem -certfile CHAIN.pem -out keystore.p12"
	if _, err := x509.ParsePKCS8PrivateKey(data); err == nil {
		return "it is a private key without its certificate", needsCertificate, true
	}
	if _, err := x509.ParsePKCS1PrivateKey(data); err == nil {
		return "it is a private key without its certificate", needsCertificate, true
	}
	return "", "", false
}

func fromJava(kind string) string {
	return "Convert it: keytool -importkeystore -srckeystore FILE -srcstoretype " + kind + " -destkeystore keystore.p12 -deststoretype PKCS12"
}

// isBase64 tells whether text is base64 for something that begins as a keystore does.
func isBase64(text []byte) bool {
	if len(text) < 64 || text[0] != 'M' {
		return false
	}
	out := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Decode(out, text) // skips line breaks
	return err == nil && n > 0 && out[0] == tagSequence
}

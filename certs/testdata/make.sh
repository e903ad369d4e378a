#!/bin/sh
# Makes the keystores of this directory with the tools that people have. Run it to make them anew; everything in them
# is invented. Needs OpenSSL 3, Java 17's keytool, NSS's pk12util and Bouncy Castle's provider; on Debian 12:
#   apt-get install openssl openjdk-17-jre-headless libnss3-tools libbcprov-java
set -eu
cd "$(dirname "$0")"
out=$PWD
bc=${BCPROV:-/usr/share/java/bcprov.jar}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
umask 077

days=14600 # forty years, so that the tests do not go stale
cadays=14700
pss="-sigopt rsa_padding_mode:pss"

# A root, an issuing authority and a system certificate, named and signed as in the Danish state's test hierarchy.
cat > x.cnf <<'CNF'
[req]
distinguished_name = dn
[dn]
[root]
basicConstraints = critical,CA:true,pathlen:1
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[issuing]
basicConstraints = critical,CA:true,pathlen:0
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[leaf]
keyUsage = critical,digitalSignature,keyEncipherment
certificatePolicies = 0.4.0.2042.1.1,1.2.208.169.1.1.1.3.7.1
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[oces2]
keyUsage = critical,digitalSignature,keyEncipherment
certificatePolicies = 1.2.208.169.1.1.1.4.3
CNF
openssl req -config x.cnf -x509 -newkey rsa:2048 -nodes -keyout root.key -out root.pem -days $cadays -extensions root \
    -sha512 $pss -sigopt rsa_pss_saltlen:64 -subj "/C=DK/O=Den Danske Stat/OU=Test - cti/CN=Den Danske Stat OCES rod-CA"
openssl req -config x.cnf -new -newkey rsa:2048 -nodes -keyout issuing.key -out issuing.csr \
    -subj "/C=DK/O=Den Danske Stat/OU=Test - cti/CN=Den Danske Stat OCES udstedende-CA 1"
openssl x509 -req -in issuing.csr -CA root.pem -CAkey root.key -out issuing.pem -days $cadays -extfile x.cnf -extensions issuing \
    -sha512 $pss -sigopt rsa_pss_saltlen:64
openssl req -config x.cnf -utf8 -new -newkey rsa:3072 -nodes -keyout leaf.key -out leaf.csr \
    -subj "/C=DK/organizationIdentifier=NTRDK-90000001/O=Ærøskøbing Prøvekommune/serialNumber=UI:DK-O:G:5a7c1e0e-7b1d-4c57-9a53-0d8f4c1b6f11/CN=Rollebro prøve"
openssl x509 -req -in leaf.csr -CA issuing.pem -CAkey issuing.key -out leaf.pem -days $days -extfile x.cnf -extensions leaf \
    -sha256 $pss -sigopt rsa_pss_saltlen:32
openssl req -config x.cnf -utf8 -new -newkey rsa:2048 -nodes -keyout oces2.key -out oces2.csr \
    -subj "/C=DK/O=Prøvekommunen \/\/ CVR:90000001/CN=Rollebro (funktionscertifikat)+serialNumber=CVR:90000001-FID:12345678"
openssl x509 -req -in oces2.csr -CA issuing.pem -CAkey issuing.key -out oces2.pem -days $days -extfile x.cnf -extensions oces2 -sha256
cat issuing.pem root.pem > chain.pem

# export FILE PASSWORD [option ...]: the leaf as PKCS#12 by OpenSSL
export_p12() {
    file=$1 password=$2
    shift 2
    openssl pkcs12 -export -inkey leaf.key -in leaf.pem -name "Rollebro prøve" -passout "pass:$password" -out "$out/$file" "$@"
}
browser="-certpbe NONE -keypbe AES-256-CBC -macalg sha1 -iter 2000" # the shape of a browser-issued OCES3 file
export_p12 oces3.p12 rollebro -certfile chain.pem $browser
export_p12 oces3-nochain.p12 rollebro $browser
export_p12 openssl3.p12 rollebro -certfile chain.pem
export_p12 openssl-legacy.p12 rollebro -certfile chain.pem -legacy
export_p12 openssl-3des.p12 rollebro -certfile chain.pem -descert -macalg sha1
export_p12 danish-password.p12 "Blåbærgrød på Ærø" -certfile chain.pem
export_p12 danish-password-legacy.p12 "Blåbærgrød på Ærø" -certfile chain.pem -legacy
# The same word typed into a terminal that is not UTF-8: OpenSSL takes the octets as ISO 8859-1.
export_p12 latin1-password-legacy.p12 "$(printf 'Bl\345b\346rgr\370d p\345 \306r\370')" -certfile chain.pem -legacy
export_p12 empty-password.p12 "" -certfile chain.pem
export_p12 no-mac.p12 rollebro -certfile chain.pem -nomac
openssl pkcs12 -export -inkey oces2.key -in oces2.pem -passout pass:rollebro -out "$out/oces2.p12"
openssl pkcs12 -export -nokeys -in leaf.pem -certfile chain.pem -passout pass:rollebro -out "$out/no-key.p12"
openssl pkcs12 -export -nocerts -inkey leaf.key -passout pass:rollebro -out "$out/no-certificate.p12"
openssl x509 -in leaf.pem -outform DER -out "$out/certificate.der"
openssl crl2pkcs7 -nocrl -certfile leaf.pem -certfile chain.pem -outform DER -out "$out/certificates.p7b"

# Java: as PKCS#12 (today's and the old encryption), as JKS, and a store of trusted certificates only.
import() {
    keytool -importkeystore -noprompt -srckeystore "$out/openssl3.p12" -srcstoretype PKCS12 -srcstorepass rollebro \
        -deststorepass rollebro "$@"
}
rm -f "$out"/keytool*.p12 "$out/two-keys.p12" "$out/keytool.jks" "$out/bouncycastle.p12" "$out/truststore.p12"
import -destkeystore "$out/keytool.p12" -deststoretype PKCS12
import -J-Dkeystore.pkcs12.legacy -destkeystore "$out/keytool-legacy.p12" -deststoretype PKCS12
import -destkeystore "$out/keytool.jks" -deststoretype JKS
keytool -importkeystore -noprompt -srckeystore "$out/oces2.p12" -srcstoretype PKCS12 -srcstorepass rollebro \
    -destkeystore "$out/two-keys.p12" -deststoretype PKCS12 -deststorepass rollebro -srcalias 1 -destalias old
import -destkeystore "$out/two-keys.p12" -deststoretype PKCS12
keytool -importcert -noprompt -alias issuing -file issuing.pem -keystore "$out/truststore.p12" -storetype PKCS12 -storepass rollebro

# Bouncy Castle, on which EJBCA and many portals are built, writes BER with indefinite lengths ...
import -destkeystore "$out/bouncycastle.p12" -deststoretype PKCS12 -destprovidername BC \
    -providerclass org.bouncycastle.jce.provider.BouncyCastleProvider -providerpath "$bc"

# ... and so does NSS (Firefox): once as it does today, once with the old encryption.
mkdir nss
certutil -N -d sql:nss --empty-password
pk12util -i "$out/openssl3.p12" -d sql:nss -W rollebro -K ""
pk12util -o "$out/nss.p12" -n "Rollebro prøve" -d sql:nss -W rollebro -K ""
pk12util -o "$out/nss-legacy.p12" -n "Rollebro prøve" -d sql:nss -W rollebro -K "" \
    -c "PKCS #12 V2 PBE With SHA-1 And 3KEY Triple DES-CBC" -C "PKCS #12 V2 PBE With SHA-1 And 40 Bit RC2 CBC"
chmod 644 "$out"/*.p12 "$out"/*.jks "$out"/*.der "$out"/*.p7b

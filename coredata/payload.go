package coredata

import (
	"encoding/json"
	"io"
	"strings"
)

// The bodies of the calls. Names of fields are matched ignoring case: the document and the clients spell some differently.

// entry is a person of a full or delta load.
type entry struct {
	UUID               text       `json:"uuid"`
	CPR                str        `json:"cpr"`
	Name               str        `json:"name"`
	SAM                str        `json:"samAccountName"`
	Email              str        `json:"email"`
	SubDomain          str        `json:"subDomain"`
	Department         str        `json:"department"`
	EAN                str        `json:"ean"`
	RID                str        `json:"rid"`
	ExternalUUID       str        `json:"externalNemloginUserUuid"`
	Expires            str        `json:"expireTimestamp"`
	PasswordOn         str        `json:"passwordAdTimestamp"`
	Attributes         attributes `json:"attributes"`
	Roles              list[str]  `json:"roles"`
	NSISAllowed        flag       `json:"nsisAllowed"`
	TransferToNemLogin flag       `json:"transferToNemlogin"`
	PrivateMitID       flag       `json:"privateMitId"`
	QualifiedSignature flag       `json:"qualifiedSignature"`
	Robot              flag       `json:"robot"`
	TrustedEmployee    flag       `json:"trustedEmployee"`
}

// peopleBody is the body of a full or delta load.
type peopleBody struct {
	domain, globalSubDomain text
	entries                 []*entry
}

func (b *peopleBody) named() text { return b.domain }

func decodePeople(body io.Reader) (*peopleBody, error) {
	b := &peopleBody{}
	err := decodeObject(body, func(d *json.Decoder, key string) (bool, error) {
		switch key {
		case "domain":
			return true, d.Decode(&b.domain)
		case "globalsubdomain":
			return true, d.Decode(&b.globalSubDomain)
		case "entrylist":
			b.entries = nil
			_, err := readList(d, "entryList", func(e *entry) { b.entries = append(b.entries, e) })
			return true, err
		}
		return false, nil
	})
	return b, err
}

// listBody is the body of every other call: a domain and one list.
type listBody[T any] struct {
	domain text
	list   []*T
	set    bool // the list was there, if only empty
}

func (b *listBody[T]) named() text { return b.domain }

// decodeList reads a domain and the list of that name.
func decodeList[T any](body io.Reader, name string) (*listBody[T], error) {
	b := &listBody[T]{}
	lower := strings.ToLower(name)
	err := decodeObject(body, func(d *json.Decoder, key string) (_ bool, err error) {
		switch key {
		case "domain":
			return true, d.Decode(&b.domain)
		case lower:
			b.list = nil
			b.set, err = readList(d, name, func(e *T) { b.list = append(b.list, e) })
			return true, err
		}
		return false, nil
	})
	return b, err
}

// decodeInto reads a body that is one small object.
func decodeInto(body io.Reader, fields map[string]any) error {
	return decodeObject(body, func(d *json.Decoder, key string) (bool, error) {
		if into, ok := fields[key]; ok {
			return true, d.Decode(into)
		}
		return false, nil
	})
}

// deletion names a person to lock or to delete.
type deletion struct {
	UUID str `json:"uuid"`
	CPR  str `json:"cpr"`
	SAM  str `json:"samAccountName"`
}

type groupEntry struct {
	UUID        str       `json:"uuid"`
	Name        str       `json:"name"`
	Description text      `json:"description"`
	Members     list[str] `json:"members"`
}

type roleEntry struct {
	Identifier str `json:"identifier"`
	CVR        str `json:"cvr"`
}

// kombitEntry is a person with KOMBIT roles: JFRs in a full load, the other two in a delta load.
type kombitEntry struct {
	SAM    str             `json:"samAccountName"`
	UUID   str             `json:"uuid"`
	JFRs   list[roleEntry] `json:"jfrs"`
	Add    list[roleEntry] `json:"addJfrs"`
	Remove list[roleEntry] `json:"removeJfrs"`
}

type attributeEntry struct {
	SAM        str        `json:"samAccountName"`
	Attributes attributes `json:"kombitAttributes"`
}

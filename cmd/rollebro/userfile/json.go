package userfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"

	"github.com/rollebro/rollebro/rolecatalog"
)

// person is an entry of any of the JSON forms; they have different names for the same things. A field that is absent or
// null is not part of the load.
type person struct {
	UserID         string  `json:"userId"`
	SAMAccountName string  `json:"samAccountName"`
	Name           string  `json:"name"`
	Email          *string `json:"email"`
	CPR            string  `json:"cpr"`
	NemLoginUUID   *string `json:"nemloginUuid"`
	External       *string `json:"externalNemloginUserUuid"`
	ExtUUID        *string `json:"extUuid"`
	UUID           *string `json:"uuid"`
	Domain         string  `json:"domain"`
	SubDomain      string  `json:"subDomain"`
	Disabled       *bool   `json:"disabled"`
}

// parseJSON reads {"domain","entryList":[…]} (CoreData), {"users":[…]} (organisation) or a bare list of users. Unknown
// fields are left out of account, as both APIs do.
func parseJSON(data []byte) (File, []*Fault) {
	p := &jsonParser{data: data, decoder: json.NewDecoder(bytes.NewReader(data)), line: 1}
	token, err := p.decoder.Token()
	if err != nil {
		return File{}, []*Fault{p.fault(err)}
	}
	if token == json.Delim('[') {
		p.file.Format = "JSON list"
		err = p.list()
	} else {
		err = p.object()
	}
	if err == nil {
		if _, more := p.decoder.Token(); !errors.Is(more, io.EOF) {
			err = faultf(0, "there is something after the end of the JSON")
		}
	}
	if err != nil {
		p.faults = append(p.faults, p.fault(err))
	}
	for i := range p.file.Rows {
		if p.file.Rows[i].Domain == "" {
			p.file.Rows[i].Domain = p.domain
		}
	}
	return p.file, p.faults
}

type jsonParser struct {
	data    []byte
	decoder *json.Decoder
	line    int   // of offset
	offset  int64 // counted up to here
	domain  string
	file    File
	faults  []*Fault
}

// object reads the fields of the body.
func (p *jsonParser) object() error {
	for p.decoder.More() {
		token, err := p.decoder.Token()
		if err != nil {
			return err
		}
		name, _ := token.(string) // a key is a string always
		switch strings.ToLower(name) {
		case "entrylist", "users":
			format := map[string]string{"entrylist": "CoreData JSON", "users": "organisation JSON"}[strings.ToLower(name)]
			if p.file.Format != "" {
				return faultf(0, "there are two lists of users: %s follows one", name)
			}
			p.file.Format = format
			if token, err = p.decoder.Token(); err != nil {
				return err
			}
			if token != json.Delim('[') {
				return faultf(0, "%s must be a list", name)
			}
			if err := p.list(); err != nil {
				return err
			}
		case "domain":
			if err := p.decoder.Decode(&p.domain); err != nil {
				return err
			}
		default:
			var skipped json.RawMessage
			if err := p.decoder.Decode(&skipped); err != nil {
				return err
			}
		}
	}
	if _, err := p.decoder.Token(); err != nil {
		return err
	}
	if p.file.Format == "" {
		return faultf(0, `there is neither "entryList" (CoreData) nor "users" (organisation) in the JSON`)
	}
	return nil
}

// list reads the entries after the opening bracket, and the closing one.
func (p *jsonParser) list() error {
	for p.decoder.More() {
		line := p.position()
		var raw json.RawMessage
		if err := p.decoder.Decode(&raw); err != nil {
			return err
		}
		var entry *person
		err := json.Unmarshal(raw, &entry)
		wrong, ok := errors.AsType[*json.UnmarshalTypeError](err)
		switch {
		case ok && wrong.Field != "":
			p.faults = append(p.faults, faultf(line, "%s is a %s; it must be a %s", wrong.Field, wrong.Value, wrong.Type))
		case err != nil || entry == nil:
			p.faults = append(p.faults, faultf(line, "an entry must be a user in curly brackets"))
		default:
			p.file.Rows = append(p.file.Rows, entry.row(line))
		}
	}
	_, err := p.decoder.Token()
	return err
}

func (e *person) row(line int) rolecatalog.UserRow {
	row := rolecatalog.UserRow{
		Line: line, UserID: e.UserID, Name: e.Name, Email: e.Email, CPR: e.CPR,
		NemLoginUUID: e.NemLoginUUID, ExtUUID: e.ExtUUID, Domain: e.Domain, Disabled: e.Disabled,
	}
	if row.UserID == "" {
		row.UserID = e.SAMAccountName
		if row.ExtUUID == nil && e.SAMAccountName != "" {
			row.ExtUUID = e.UUID // CoreData's name for it; in the organisation API uuid is the server's own
		}
	}
	if row.NemLoginUUID == nil {
		row.NemLoginUUID = e.External
	}
	if e.SubDomain != "" {
		row.Domain = e.SubDomain
	}
	if row.CPR == "0000000000" { // what CoreData's clients send for somebody without one
		row.CPR = ""
	}
	return row
}

// position is the line in which the next value begins.
func (p *jsonParser) position() int {
	to := p.decoder.InputOffset()
	for to < int64(len(p.data)) && strings.IndexByte(" \t\r\n,:", p.data[to]) >= 0 {
		to++
	}
	return p.lineAt(to)
}

func (p *jsonParser) lineAt(offset int64) int {
	offset = min(offset, int64(len(p.data)))
	if offset > p.offset {
		p.line += bytes.Count(p.data[p.offset:offset], []byte("\n"))
		p.offset = offset
	}
	return p.line
}

// fault says where the JSON is wrong. The decoder's own texts quote single characters at most.
func (p *jsonParser) fault(err error) *Fault {
	at := p.decoder.InputOffset()
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		at = syntax.Offset
	}
	line := p.lineAt(at)
	if own, ok := errors.AsType[*Fault](err); ok {
		own.Line = line
		return own
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return faultf(line, "the JSON ends too early")
	}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return faultf(line, "a %s stands where a %s must be", wrong.Value, wrong.Type)
	}
	return faultf(line, "not valid JSON: %s", err)
}

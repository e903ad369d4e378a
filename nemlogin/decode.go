package nemlogin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// The decoders take what the service may reasonably send: unknown fields, field
// names in any case, null for "none", numbers as strings and the reverse. What
// they do not take is an answer, or an entry of a list, of which they cannot say
// what it is about: then the whole read fails, because an entry left out would
// look like one that is gone.

// Role is a role (a right) that can be assigned in MitID Erhverv.
type Role struct {
	// UUID is in lower case.
	UUID        string
	Name        string
	Description string
	// BasicPackage marks a role of the basic package, which every user has.
	BasicPackage bool
}

// AssignedRole is a role that an identity holds.
type AssignedRole struct {
	// UUID is the role's, in lower case.
	UUID        string
	Name        string
	Description string
	// Scope is what the role is limited to. Its type may be unknown, and is
	// empty if the service named none: such a role is none of ours to change.
	Scope Scope
	// Internal is the service's isInternal, whose meaning is not published.
	Internal bool
	// From and To limit the assignment in time, as the service writes it, empty
	// for no limit. An ended one that is still listed counts as held.
	From, To string
}

// SENumber is a tax registration of the organisation.
type SENumber struct {
	// Number has 8 digits.
	Number string
}

// ProductionUnit is a place of work of the organisation.
type ProductionUnit struct {
	// Number is the P-number, 10 digits.
	Number string
	// CVR is the organisation's number as the service writes it, may be empty.
	CVR  string
	Name string
	// Street and Building are the address, may be empty.
	Street   string
	Building string
}

// Employee is an identity in MitID Erhverv.
type Employee struct {
	// UUID is in lower case.
	UUID string
	// Status is e.g. "Active" or "Suspended"; the set is open.
	Status string
	// AdministratorRoles are what the identity may do in MitID Erhverv itself,
	// e.g. "RightsAdministrator"; the set is open and they cannot be changed
	// through this API. Nil means that the answer had no list, which is not the
	// same as an empty one.
	AdministratorRoles []string
	// RID is the identity's number from before MitID, often empty.
	RID string
	// QualifiedCertificates and AllowSigning say what the identity may sign
	// with.
	QualifiedCertificates bool
	AllowSigning          bool
	// AuthorizedToRepresent is as the service writes it; its form is not
	// published.
	AuthorizedToRepresent string
}

// text is a JSON string, or a number, boolean or null taken as text.
type text string

func (t *text) UnmarshalJSON(data []byte) error {
	switch {
	case len(data) == 0:
		return errors.New("no value")
	case data[0] == '"':
		if inner := data[1 : len(data)-1]; isPlain(inner) {
			*t = text(inner)
			return nil
		}
		var s string
		if err := json.Unmarshal(data, &s); err != nil {
			return err
		}
		*t = text(s)
	case bytes.Equal(data, []byte("null")):
		*t = ""
	case data[0] == '{', data[0] == '[':
		return errors.New("a text is needed where the answer has a structure")
	default:
		*t = text(data)
	}
	return nil
}

// isPlain reports whether the inside of a JSON string stands for itself.
func isPlain(s []byte) bool {
	for _, c := range s {
		if c == '\\' || c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// anything is any JSON value, as text.
type anything string

func (a *anything) UnmarshalJSON(data []byte) error {
	var t text
	if t.UnmarshalJSON(data) == nil {
		*a = anything(t)
		return nil
	}
	*a = anything(data)
	return nil
}

// flag is a JSON boolean, also as a string; null and anything else is false.
type flag bool

func (f *flag) UnmarshalJSON(data []byte) error {
	var t text
	if err := t.UnmarshalJSON(data); err != nil {
		return err
	}
	*f = flag(strings.EqualFold(string(t), "true") || t == "1")
	return nil
}

// number normalises digits that came as a JSON number or string. A number may
// be written with an exponent or fraction, as some serialisers do.
func (t text) number(digits int) (string, error) {
	s := strings.TrimSpace(string(t))
	if !allDigits(s) {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil || f != math.Trunc(f) || f < 0 || f >= 1e15 {
			return "", fmt.Errorf("is not a number of %d digits", digits)
		}
		s = strconv.FormatFloat(f, 'f', 0, 64)
	}
	if len(s) != digits {
		return "", fmt.Errorf("has %d digits instead of %d", len(s), digits)
	}
	return s, nil
}

// unmarshal parses an answer's JSON. Nothing and null are no answer.
func unmarshal(data []byte, into any) error {
	data = bytes.TrimSpace(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")))
	switch {
	case len(data) == 0:
		return errors.New("the answer is empty")
	case bytes.Equal(data, []byte("null")):
		return errors.New("the answer is null")
	}
	if err := json.Unmarshal(data, into); err != nil {
		kind := http.DetectContentType(data)
		if strings.HasPrefix(kind, "text/html") {
			return errors.New("the answer is a web page instead of JSON")
		}
		return fmt.Errorf("parsing the answer: %w", err)
	}
	return nil
}

// entry prefixes what is wrong with the i-th entry of a list.
func entry(i int, what string, err error) error {
	return fmt.Errorf("entry %d of the answer: the %s %w", i+1, what, err)
}

// decodeRoles decodes the catalogue. It has one object around the list. A role
// in several categories is listed once.
func decodeRoles(data []byte) ([]Role, error) {
	var answer struct {
		Roles *[]*struct {
			UUID           text
			Name           text
			Description    text
			IsBasicPackage flag
			BasicPackage   flag
		}
	}
	if err := unmarshal(data, &answer); err != nil {
		return nil, err
	}
	if answer.Roles == nil {
		return nil, errors.New("the answer has no list of roles")
	}
	roles := make([]Role, 0, len(*answer.Roles))
	seen := make(map[string]bool, len(*answer.Roles))
	for i, role := range *answer.Roles {
		if role == nil {
			return nil, entry(i, "role", errors.New("is null"))
		}
		uuid, err := parseUUID(string(role.UUID))
		if err != nil {
			return nil, entry(i, "uuid", err)
		}
		if seen[uuid] {
			continue
		}
		seen[uuid] = true
		roles = append(roles, Role{
			UUID: uuid, Name: string(role.Name), Description: string(role.Description),
			BasicPackage: bool(role.IsBasicPackage || role.BasicPackage),
		})
	}
	return roles, nil
}

// decodeAssigned decodes an identity's roles, a bare list.
func decodeAssigned(data []byte) ([]AssignedRole, error) {
	var answer []*struct {
		UUID        text
		Name        text
		Description text
		Scope       *struct{ Type, Value text }
		IsInternal  flag
		From, To    anything
	}
	if err := unmarshal(data, &answer); err != nil {
		return nil, err
	}
	roles := make([]AssignedRole, 0, len(answer))
	for i, role := range answer {
		if role == nil {
			return nil, entry(i, "role", errors.New("is null"))
		}
		uuid, err := parseUUID(string(role.UUID))
		if err != nil {
			return nil, entry(i, "uuid", err)
		}
		assigned := AssignedRole{
			UUID: uuid, Name: string(role.Name), Description: string(role.Description),
			Internal: bool(role.IsInternal), From: string(role.From), To: string(role.To),
		}
		if role.Scope != nil {
			assigned.Scope = normalScope(role.Scope.Type, role.Scope.Value)
		}
		roles = append(roles, assigned)
	}
	return roles, nil
}

// normalScope spells a scope the way it is compared: known types as their
// constants, numbers without blanks. What is not known stays as it came.
func normalScope(kind, value text) Scope {
	scope := Scope{Type: strings.TrimSpace(string(kind)), Value: strings.TrimSpace(string(value))}
	for known, digits := range map[string]int{ScopeCvr: 8, ScopePU: 10, ScopeSE: 8} {
		if strings.EqualFold(scope.Type, known) {
			scope.Type = known
			if number, err := value.number(digits); err == nil {
				scope.Value = number
			}
		}
	}
	return scope
}

// decodeSENumbers decodes the organisation's SE-numbers, a bare list.
func decodeSENumbers(data []byte) ([]SENumber, error) {
	var answer []*struct{ SENumber text }
	if err := unmarshal(data, &answer); err != nil {
		return nil, err
	}
	numbers := make([]SENumber, 0, len(answer))
	for i, unit := range answer {
		if unit == nil {
			return nil, entry(i, "SE-number", errors.New("is null"))
		}
		number, err := unit.SENumber.number(8)
		if err != nil {
			return nil, entry(i, "SE-number", err)
		}
		numbers = append(numbers, SENumber{Number: number})
	}
	return numbers, nil
}

// decodeProductionUnits decodes the organisation's production units, a bare
// list. The service writes the P-number as a JSON number.
func decodeProductionUnits(data []byte) ([]ProductionUnit, error) {
	var answer []*struct {
		PNumber                  text
		CVRNumber                text
		Name                     text
		StreetName               text
		StreetBuildingIdentifier text
	}
	if err := unmarshal(data, &answer); err != nil {
		return nil, err
	}
	units := make([]ProductionUnit, 0, len(answer))
	for i, unit := range answer {
		if unit == nil {
			return nil, entry(i, "production unit", errors.New("is null"))
		}
		number, err := unit.PNumber.number(10)
		if err != nil {
			return nil, entry(i, "P-number", err)
		}
		units = append(units, ProductionUnit{
			Number: number, CVR: string(unit.CVRNumber), Name: string(unit.Name),
			Street: string(unit.StreetName), Building: string(unit.StreetBuildingIdentifier),
		})
	}
	return units, nil
}

// decodeEmployee decodes the identity asked for, by its uuid in lower case.
func decodeEmployee(data []byte, asked string) (Employee, error) {
	var answer struct {
		UUID            text
		IdentityProfile *struct {
			Status                            text
			RID                               text
			Roles                             *[]*string
			AllowQualifiedCertificateIssuance flag
		}
		IdentityPermissions struct {
			AuthorizedToRepresent anything
			AllowSigning          flag
		}
	}
	if err := unmarshal(data, &answer); err != nil {
		return Employee{}, err
	}
	if answer.UUID != "" && !strings.EqualFold(string(answer.UUID), asked) {
		return Employee{}, errors.New("the answer is about another identity")
	}
	if answer.IdentityProfile == nil {
		return Employee{}, errors.New("the answer has no profile")
	}
	employee := Employee{
		UUID: asked, Status: string(answer.IdentityProfile.Status), RID: string(answer.IdentityProfile.RID),
		QualifiedCertificates: bool(answer.IdentityProfile.AllowQualifiedCertificateIssuance),
		AllowSigning:          bool(answer.IdentityPermissions.AllowSigning),
		AuthorizedToRepresent: string(answer.IdentityPermissions.AuthorizedToRepresent),
	}
	if answer.IdentityProfile.Roles != nil {
		employee.AdministratorRoles = make([]string, 0, len(*answer.IdentityProfile.Roles))
		for i, role := range *answer.IdentityProfile.Roles {
			if role == nil || *role == "" {
				return Employee{}, entry(i, "administrator role", errors.New("is empty"))
			}
			employee.AdministratorRoles = append(employee.AdministratorRoles, *role)
		}
	}
	return employee, nil
}

// decodeToken decodes an access token and how long it lives, 0 if the answer
// does not say.
func decodeToken(data []byte) (value string, lifetime time.Duration, err error) {
	var answer struct {
		AccessToken string
		ExpiresIn   anything
	}
	if err := unmarshal(data, &answer); err != nil {
		return "", 0, err
	}
	if answer.AccessToken == "" {
		return "", 0, errors.New("the answer has no access token")
	}
	for _, c := range []byte(answer.AccessToken) {
		if c <= ' ' || c > '~' {
			return "", 0, errors.New("the access token has characters that cannot be sent")
		}
	}
	seconds, err := strconv.ParseFloat(strings.TrimSpace(string(answer.ExpiresIn)), 64)
	if err != nil || !(seconds > 0) {
		return answer.AccessToken, 0, nil //nolint:nilerr // an unknown lifetime is no failure
	}
	return answer.AccessToken, time.Duration(min(seconds, 24*3600) * float64(time.Second)), nil
}

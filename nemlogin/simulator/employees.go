package simulator

import (
	"fmt"
	"net/http"
	"net/mail"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

type employeeProfileWire struct {
	GivenName string `json:"givenName"`
	Surname   string `json:"surname"`
	CPRNumber string `json:"cprNumber"`
}

type searchEmployeeWire struct {
	ID           int64               `json:"id"`
	Status       string              `json:"status"`
	Profile      employeeProfileWire `json:"profile"`
	UUID         *uuid.UUID          `json:"uuid"`
	EmailAddress string              `json:"emailAddress"`
	RID          *string             `json:"rid"`
	LastLogin    string              `json:"lastLogin,omitempty"` // ours
}

type employeesWire struct {
	Employees []searchEmployeeWire `json:"employees"`
	Total     *int                 `json:"totalCount,omitempty"` // ours
}

type employeeWire struct {
	UUID                uuid.UUID               `json:"uuid"`
	IdentityProfile     identityProfileWire     `json:"identityProfile"`
	IdentityPermissions identityPermissionsWire `json:"identityPermissions"`
	Version             int                     `json:"version,omitempty"` // ours
}

type identityProfileWire struct {
	AllowQualifiedCertificateIssuance bool     `json:"allowQualifiedCertificateIssuance"`
	RID                               *string  `json:"rid"`
	Status                            string   `json:"status"`
	Roles                             []string `json:"roles"`
	RegisteredIAL                     string   `json:"registeredIal,omitempty"` // ours
}

type identityPermissionsWire struct {
	AuthorizedToRepresent bool  `json:"authorizedToRepresent"`
	AllowSigning          bool  `json:"allowSigning"`
	AllowSealing          *bool `json:"allowSealing,omitempty"` // ours
}

type createWire struct {
	IdentityProfile *struct {
		Status                            string   `json:"status"`
		RegisteredIAL                     string   `json:"registeredIal"`
		TargetIAL                         string   `json:"targetIal"`
		GivenName                         string   `json:"givenName"`
		Surname                           string   `json:"surname"`
		EmailAddress                      string   `json:"emailAddress"`
		CPRNumber                         string   `json:"cprNumber"`
		RID                               *string  `json:"rid"`
		Pseudonym                         bool     `json:"pseudonym"`
		AllowQualifiedCertificateIssuance bool     `json:"allowQualifiedCertificateIssuance"`
		Roles                             []string `json:"roles"`
	} `json:"identityProfile"`
	IdentityOrganizationProfile *struct {
		InvoiceMethodUUID *string `json:"invoiceMethodUuid"`
	} `json:"identityOrganizationProfile"`
	IdentityAuthenticators *struct {
		AuthenticatorTypes []string `json:"authenticatorTypes"`
		SubjectNameID      string   `json:"subjectNameId"`
	} `json:"identityAuthenticators"`
}

type profileWire struct {
	RegisteredIAL string   `json:"registeredIAL"`
	TargetIAL     string   `json:"targetIal"`
	GivenName     string   `json:"givenName"`
	Surname       string   `json:"surname"`
	CPRNumber     string   `json:"cprNumber"`
	EmailAddress  string   `json:"emailAddress"`
	Roles         []string `json:"roles"`
}

// createEmployee makes an identity. One with a local authenticator can log in at once; others wait for their activation.
func (c *call) createEmployee() answer {
	wire, refused := decode[createWire](c)
	if refused != nil {
		return *refused
	}
	p, auth := wire.IdentityProfile, wire.IdentityAuthenticators
	switch {
	case p == nil:
		return badRequest("An identityProfile is required.")
	case auth == nil:
		return badRequest("identityAuthenticators are required.")
	case p.Status != StatusPending && p.Status != StatusActive:
		return badRequest("A new identity's status is %s.", StatusPending)
	}
	if wire.IdentityOrganizationProfile != nil && wire.IdentityOrganizationProfile.InvoiceMethodUUID != nil {
		if _, err := parseUUID(*wire.IdentityOrganizationProfile.InvoiceMethodUUID); err != nil {
			return badRequest("The invoiceMethodUuid is not a UUID.")
		}
	}
	who := &identity{
		uuid: c.world().newUUID(), status: StatusPending, pseudonym: p.Pseudonym,
		qualified: p.AllowQualifiedCertificateIssuance,
	}
	if p.RID != nil {
		who.rid = *p.RID
	}
	if refused := c.setProfile(who, profileWire{
		RegisteredIAL: p.RegisteredIAL, TargetIAL: p.TargetIAL, GivenName: p.GivenName, Surname: p.Surname,
		CPRNumber: p.CPRNumber, EmailAddress: p.EmailAddress, Roles: p.Roles,
	}); refused != nil {
		return *refused
	}
	who.mu.Lock() // nobody has it yet, but its lock comes before that of the local user names
	defer who.mu.Unlock()
	if refused := c.assignAuthenticators(who, auth.AuthenticatorTypes, auth.SubjectNameID, "CreateConflict"); refused != nil {
		return *refused
	}
	who.id = 400000 + c.world().ids.Add(1)
	c.world().insert(who)
	return ok(map[string]uuid.UUID{"employeeUuid": who.uuid})
}

// setProfile checks a profile and takes it over.
func (c *call) setProfile(who *identity, p profileWire) *answer {
	if f := c.strike(StrictData); f != nil {
		if err := checkProfile(p, c.now.In(c.sim.zone), f.Value == "real-cpr"); err != nil {
			a := failure(f.status(http.StatusBadRequest), "ValidationFailed", err.Error())
			return &a
		}
	}
	who.given, who.surname, who.cpr, who.email, who.ial = p.GivenName, p.Surname, p.CPRNumber, p.EmailAddress, p.RegisteredIAL
	if p.Roles != nil && !c.on(AdminRolesReadonly) {
		who.admin = slices.Clone(p.Roles)
	}
	return nil
}

// checkProfile is what the service is believed to demand of personal data. The errors do not repeat it.
func checkProfile(p profileWire, now time.Time, real bool) error {
	for name, ial := range map[string]string{"registered IAL": p.RegisteredIAL, "target IAL": p.TargetIAL} {
		if !slices.Contains([]string{"Low", "Substantial", "High"}, ial) {
			return fmt.Errorf("the %s is not known", name)
		}
	}
	for name, text := range map[string]string{"given name": p.GivenName, "surname": p.Surname} {
		if err := checkText(name, text); err != nil {
			return err
		}
	}
	if err := checkEmail(p.EmailAddress); err != nil {
		return err
	}
	return checkCPR(p.CPRNumber, now, real)
}

func checkText(name, text string) error {
	switch {
	case text == "":
		return fmt.Errorf("the %s is missing", name)
	case text != strings.TrimSpace(text):
		return fmt.Errorf("the %s begins or ends with a space", name)
	default:
		return nil
	}
}

func checkEmail(address string) error {
	if err := checkText("e-mail address", address); err != nil {
		return err
	}
	if parsed, err := mail.ParseAddress(address); err != nil || parsed.Address != address {
		return fmt.Errorf("the e-mail address is not one")
	}
	return nil
}

// checkCPR checks a CPR number: ten digits that begin with a date, of a person of at least 13 years. Invented numbers,
// which fail modulus 11, are let through unless real.
func checkCPR(cpr string, now time.Time, real bool) error {
	number, err := strconv.ParseUint(cpr, 10, 64)
	if err != nil || len(cpr) != 10 {
		return fmt.Errorf("the CPR number does not have ten digits")
	}
	born, err := time.ParseInLocation("02012006", cpr[:4]+strconv.Itoa(birthYear(cpr)), now.Location())
	if err != nil {
		return fmt.Errorf("the CPR number does not begin with a date")
	}
	if born.AddDate(13, 0, 0).After(now) {
		return fmt.Errorf("the person is under 13 years old")
	}
	if real && !modulus11(number) {
		return fmt.Errorf("the CPR number is not a person's")
	}
	return nil
}

// birthYear reads the year of birth; the seventh digit tells the century.
func birthYear(cpr string) int {
	year, _ := strconv.Atoi(cpr[4:6]) // digits, as was checked
	switch seventh := cpr[6]; {
	case seventh <= '3':
		return 1900 + year
	case seventh == '4' || seventh == '9':
		if year <= 36 {
			return 2000 + year
		}
		return 1900 + year
	default:
		if year <= 57 {
			return 2000 + year
		}
		return 1800 + year
	}
}

// search answers the employees; imported users are not among them before they are activated.
func (c *call) search() answer {
	wire, refused := decode[struct {
		MaxCount                int  `json:"maxCount"`
		RemoveUUIDFromResultSet bool `json:"removeUuidFromResultSet"`
	}](c)
	if refused != nil {
		return *refused
	}
	if wire.MaxCount < 0 {
		return badRequest("maxCount must not be negative.")
	}
	found := c.employees(func(who *identity) bool { return who.stage == notImported })
	if wire.MaxCount > 0 && len(found) > wire.MaxCount {
		found = found[:wire.MaxCount]
	}
	if f := c.strike(PagedSearch); f != nil {
		found = found[:int(float64(len(found))*f.share(0.5))]
	}
	if wire.RemoveUUIDFromResultSet {
		for i := range found {
			found[i].UUID = nil
		}
	}
	return c.employeeList(found)
}

// readMigrated answers the imported users who are not activated yet.
func (c *call) readMigrated() answer {
	if _, err := strconv.ParseUint(c.request.PathValue("number"), 10, 31); err != nil {
		return badRequest("The path must end with a number.")
	}
	return c.employeeList(c.employees(func(who *identity) bool { return who.stage != notImported }))
}

func (c *call) employeeList(found []searchEmployeeWire) answer {
	wire := employeesWire{Employees: found}
	if c.on(UnknownFields) {
		n := len(found)
		wire.Total = &n
	}
	return ok(wire)
}

func (c *call) employees(wanted func(*identity) bool) []searchEmployeeWire {
	extra := c.on(UnknownFields)
	found := []searchEmployeeWire{}
	for _, who := range c.world().all() {
		who.mu.Lock()
		if !who.deleted && wanted(who) {
			id := who.uuid
			item := searchEmployeeWire{
				ID: who.id, UUID: &id, EmailAddress: who.email, RID: optional(who.rid),
				Profile: employeeProfileWire{who.given, who.surname, who.cpr}, Status: c.shownStatus(who),
			}
			if extra {
				item.LastLogin = "2024-01-31T08:15:00Z"
			}
			found = append(found, item)
		}
		who.mu.Unlock()
	}
	return found
}

// shownStatus is the identity's status, or one nobody knows.
func (c *call) shownStatus(who *identity) string {
	if c.affects(UnknownEnum, hashUUID(who.uuid)) {
		return "Locked"
	}
	return who.status
}

func (c *call) readEmployee() answer {
	who := c.world().lock(c.identity)
	if who == nil {
		return notFound("employee")
	}
	defer who.mu.Unlock()
	wire := employeeWire{
		UUID: who.uuid,
		IdentityProfile: identityProfileWire{
			AllowQualifiedCertificateIssuance: who.qualified, RID: optional(who.rid), Status: c.shownStatus(who),
			Roles: append([]string{}, who.admin...),
		},
		IdentityPermissions: identityPermissionsWire{AuthorizedToRepresent: who.represent, AllowSigning: who.allowSigning},
	}
	if c.on(UnknownFields) {
		no := false
		wire.Version, wire.IdentityProfile.RegisteredIAL, wire.IdentityPermissions.AllowSealing = 3, who.ial, &no
		if c.affects(UnknownEnum, hashUUID(who.uuid)) {
			wire.IdentityProfile.RegisteredIAL = "Elevated"
		}
	}
	return ok(wire)
}

// change locks the identity of the call and changes it.
func (c *call) change(do func(*identity) *answer) answer {
	who := c.world().lock(c.identity)
	if who == nil {
		return notFound("employee")
	}
	defer who.mu.Unlock()
	if refused := do(who); refused != nil {
		return *refused
	}
	return c.done()
}

func (c *call) updateProfile() answer {
	wire, refused := decode[profileWire](c)
	if refused != nil {
		return *refused
	}
	return c.change(func(who *identity) *answer {
		if who.stage != notImported && c.on(ImportedOrder) {
			a := failure(http.StatusConflict, "NotActivated", "An imported user needs a draft profile.")
			return &a
		}
		return c.setProfile(who, wire)
	})
}

// draftProfile writes the profile of an imported user who is not active yet.
func (c *call) draftProfile() answer {
	wire, refused := decode[profileWire](c)
	if refused != nil {
		return *refused
	}
	return c.change(func(who *identity) *answer {
		if who.stage == notImported && c.on(ImportedOrder) {
			a := failure(http.StatusConflict, "NotImported", "Only imported users have a draft profile.")
			return &a
		}
		if refused := c.setProfile(who, wire); refused != nil {
			return refused
		}
		if who.stage == imported {
			who.stage = drafted
		}
		return nil
	})
}

func (c *call) updateNonsensitive() answer {
	wire, refused := decode[struct {
		EmailAddress string `json:"emailAddress"`
	}](c)
	if refused != nil {
		return *refused
	}
	return c.change(func(who *identity) *answer {
		if f := c.strike(StrictData); f != nil {
			if err := checkEmail(wire.EmailAddress); err != nil {
				a := failure(f.status(http.StatusBadRequest), "ValidationFailed", err.Error())
				return &a
			}
		}
		who.email = wire.EmailAddress
		return nil
	})
}

// suspend blocks an account; it keeps its UUID, roles and authenticators.
func (c *call) suspend() answer {
	if refused := c.noBody(); refused != nil {
		return *refused
	}
	return c.change(func(who *identity) *answer {
		who.status = StatusSuspended
		return nil
	})
}

func (c *call) reactivate() answer {
	if refused := c.noBody(); refused != nil {
		return *refused
	}
	was := ""
	a := c.change(func(who *identity) *answer {
		was = who.status
		if who.status == StatusSuspended {
			who.status = StatusActive
		}
		return nil
	})
	if was == StatusSuspended && !c.on(ReactivateKeepsUUID) {
		c.sim.changeUUID(c.identity)
	}
	return a
}

func (c *call) deleteEmployee() answer {
	if refused := c.noBody(); refused != nil {
		return *refused
	}
	return c.change(func(who *identity) *answer {
		c.world().remove(who)
		return nil
	})
}

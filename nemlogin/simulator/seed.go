package simulator

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// Streams keep what is drawn for one thing apart from all others, so that more users do not change the roles, and the
// n-th user is the same whatever comes after.
const (
	streamUsers    = 0 // plus the number of the user
	streamImported = 1 << 40
	streamRoles    = 2 << 40
	streamNumbers  = 3 << 40
)

const (
	emailDomain = "eksempelby.example"
	subjectHost = "eksempelby"
)

// seeder fills a world with an organisation's roles, numbers and people.
type seeder struct {
	w       *world
	listed  []*role // in the catalogue, basic package first
	outside []*role // held, but not in the catalogue
	emails  map[string]int
	cprs    map[uint64]struct{}
	source  *rand.PCG
	draw    *rand.Rand
}

// fill makes roles, numbers, users and imported users. The same arguments always make the same world.
func fill(w *world, roles, users, importedUsers int) {
	s := &seeder{
		w:      w,
		emails: make(map[string]int, users),
		cprs:   make(map[uint64]struct{}, users),
		source: rand.NewPCG(w.seed, 0),
	}
	s.draw = rand.New(s.source)
	s.roles(roles)
	s.numbers(users)

	s.w.order.all = make([]*identity, 0, users+importedUsers)
	s.w.subjects.owner = make(map[string]*identity, users)
	var before *identity
	for i := range users {
		s.stream(streamUsers + uint64(i))
		before = s.user(i, before)
	}
	for i := range importedUsers {
		s.stream(streamImported + uint64(i))
		s.imported(i)
	}
}

func (s *seeder) stream(n uint64) { s.source.Seed(s.w.seed, n) }

func (s *seeder) roles(n int) {
	s.stream(streamRoles)
	cat := &catalogue{byUUID: make(map[uuid.UUID]*role, n+len(outsideRoles))}
	for i := range n + len(outsideRoles) {
		r := &role{uuid: drawUUID(s.source)}
		if i < n {
			r.name = roleName(i)
			r.basic = i < len(basicPackage)
			if i%3 != 2 { // some roles come without a description
				r.description = "Giver adgang til " + strings.Replace(r.name, " – ", " som ", 1)
			}
			r.listed.Store(true)
			s.listed = append(s.listed, r)
		} else {
			r.name = outsideRoles[i-n]
			r.internal = true
			s.outside = append(s.outside, r)
		}
		cat.roles = append(cat.roles, r)
		cat.byUUID[r.uuid] = r
	}
	s.w.catalogue.Store(cat)
}

func (s *seeder) numbers(users int) {
	s.stream(streamNumbers)
	units := make([]unit, min(12+users/100, 400))
	number := 1003000000 + s.draw.IntN(100000)
	for i := range units {
		number += 1 + s.draw.IntN(50)
		units[i] = unit{
			number: strconv.Itoa(number),
			name:   unitName(i),
			street: streetNames[s.draw.IntN(len(streetNames))],
			house:  strconv.Itoa(1 + s.draw.IntN(120)),
		}
	}
	se := []string{s.w.cvr} // the organisation's own number is its first SE-number
	number = 99100000 + s.draw.IntN(10000)
	for range 4 {
		number += 1 + s.draw.IntN(90)
		se = append(se, strconv.Itoa(number))
	}
	s.w.setNumbers(units, se)
}

// user makes the i-th user. Every 150th is a second account of the person before.
func (s *seeder) user(i int, before *identity) *identity {
	who := &identity{
		uuid:  drawUUID(s.source),
		id:    s.w.ids.Add(1) + 400000,
		ial:   "Substantial",
		rid:   strconv.Itoa(10000000 + i),
		admin: adminRoles(i),
	}
	if i%150 == 149 {
		who.given, who.surname, who.cpr = before.given, before.surname, before.cpr
	} else {
		s.person(who)
	}
	who.email = s.email(who)
	who.user = userID(who, i)
	switch {
	case i%29 == 17:
		who.status = StatusSuspended
	case i%47 == 31:
		who.status = StatusPending
	default:
		who.status = StatusActive
	}
	if who.status != StatusPending {
		subject := who.user + "@" + subjectHost
		who.authenticators = append(who.authenticators, authenticator{
			uuid: drawUUID(s.source), kind: LocalIdentityProvider, status: StatusActive, id: subject,
		})
		s.w.subjects.owner[subject] = who
	}
	if i%5 == 3 {
		who.authenticators = append(who.authenticators, authenticator{
			uuid: drawUUID(s.source), kind: PrivateMitID, status: who.status,
		})
	}
	s.grants(who, i)
	s.w.insert(who)
	return who
}

// grants gives a user from none to eight roles, four on average; some of them for several production units.
func (s *seeder) grants(who *identity, i int) {
	if len(s.listed) == 0 {
		return
	}
	n := s.w.numbers.Load()
	left := s.draw.IntN(9)
	who.grants = make([]grant, 0, left)
	for tries := 0; left > 0 && tries < 40; tries++ {
		u := s.draw.Float64() // a few roles are held by many, many by a few
		r := s.listed[int(u*u*float64(len(s.listed)))]
		switch kind := s.draw.IntN(10); {
		case kind < 6:
			if who.add(grant{r, ScopeCVR, s.w.cvr}) {
				left--
			}
		case kind < 9:
			for range min(left, 1+s.draw.IntN(3)) {
				if who.add(grant{r, ScopePU, n.units[s.draw.IntN(len(n.units))].number}) {
					left--
				}
			}
		default:
			if who.add(grant{r, ScopeSE, n.se[s.draw.IntN(len(n.se))]}) {
				left--
			}
		}
	}
	if i%40 == 21 {
		who.add(grant{s.outside[s.draw.IntN(len(s.outside))], ScopeCVR, s.w.cvr})
	}
}

// imported makes a user from NemID's days: known by RID, not activated, without CPR number, rights or authenticators.
func (s *seeder) imported(i int) {
	who := &identity{
		uuid:   drawUUID(s.source),
		id:     s.w.ids.Add(1) + 400000,
		ial:    "Substantial",
		rid:    strconv.Itoa(70000000 + i),
		status: StatusPending,
		stage:  imported,
	}
	s.person(who)
	who.cpr = ""
	who.email = s.email(who)
	s.w.insert(who)
}

func (s *seeder) person(who *identity) {
	female := s.draw.IntN(2) == 0
	given := maleNames
	if female {
		given = femaleNames
	}
	who.given = given[s.draw.IntN(len(given))]
	if s.draw.IntN(8) == 0 {
		who.given += " " + middleNames[s.draw.IntN(len(middleNames))]
	}
	who.surname = surnames[s.draw.IntN(len(surnames))]
	who.cpr = s.cpr(female)
}

// cpr invents a CPR number: a date before 2007 that is not 1 January, a serial number of the right century and sex, and a
// check digit that fails modulus 11, so that it cannot be anybody's.
func (s *seeder) cpr(female bool) string {
	for {
		year := 1950 + s.draw.IntN(56)
		month, day := 1+s.draw.IntN(12), 1+s.draw.IntN(28)
		if month == 1 && day == 1 {
			continue
		}
		serial := s.draw.IntN(4000) // 0-3 as the seventh digit: born in the twentieth century
		if year >= 2000 {
			serial = 4000 + s.draw.IntN(6000) // 4-9, up to 2036
		}
		serial &^= 1
		if !female {
			serial |= 1
		}
		number := uint64(day)*1e8 + uint64(month)*1e6 + uint64(year%100)*1e4 + uint64(serial)
		if _, taken := s.cprs[number]; taken || modulus11(number) {
			continue
		}
		s.cprs[number] = struct{}{}
		return fmt.Sprintf("%010d", number)
	}
}

// modulus11 tells whether a CPR number passes the check that all numbers given out before 2007 pass.
func modulus11(number uint64) bool {
	sum := uint64(0)
	for _, weight := range [10]uint64{1, 2, 3, 4, 5, 6, 7, 2, 3, 4} {
		sum += weight * (number % 10)
		number /= 10
	}
	return sum%11 == 0
}

func (s *seeder) email(who *identity) string {
	given, _, _ := strings.Cut(who.given, " ")
	local := ascii(given + " " + who.surname)
	s.emails[local]++
	if n := s.emails[local]; n > 1 {
		local += strconv.Itoa(n)
	}
	return local + "@" + emailDomain
}

// userID makes the name an account has in the municipality's directory. The number keeps it unique.
func userID(who *identity, i int) string {
	given, surname := ascii(who.given), ascii(who.surname)
	return given[:2] + surname[:2] + fmt.Sprintf("%04d", i+1)
}

// adminRoles returns the administrator roles of the i-th user: the first has all, a few others have one.
func adminRoles(i int) []string {
	switch {
	case i == 0:
		return []string{OrganizationAdministrator, IdentityAdministrator, RightsAdministrator}
	case i == 1:
		return []string{OrganizationAdministrator}
	case i%250 == 2:
		return []string{IdentityAdministrator}
	case i%250 == 3:
		return []string{RightsAdministrator}
	default:
		return nil
	}
}

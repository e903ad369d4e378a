package coredata

import (
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
)

// unknownCPR stands for a CPR number that isn't known.
const unknownCPR = "0000000000"

// normalCPR brings a CPR number into its form, ten digits: white space around it and one hyphen go.
func normalCPR(s string) string {
	return strings.Replace(strings.TrimSpace(s), "-", "", 1)
}

// validCPR reports whether a CPR number in its form is one: ten digits that begin with a day and a month, or unknownCPR.
// The century depends on the seventh digit, so 29 February passes in any year.
func validCPR(s string) bool {
	if len(s) != 10 {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	if s == unknownCPR {
		return true
	}
	day, month := int(s[0]-'0')*10+int(s[1]-'0'), int(s[2]-'0')*10+int(s[3]-'0')
	days := [...]int{31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}
	return month >= 1 && month <= 12 && day >= 1 && day <= days[month-1]
}

// modulus11 reports whether a valid CPR number has the check digit that all had until 2007. Numbers without it have been
// issued since, so it says little.
func modulus11(cpr string) bool {
	sum := 0
	for i, weight := range [...]int{4, 3, 2, 7, 6, 5, 4, 3, 2, 1} {
		sum += weight * int(cpr[i]-'0')
	}
	return sum%11 == 0
}

// shown makes a value from a body fit for an answer or a log: short, without control characters, and with whatever looks
// like a CPR number masked.
func shown(s string) string {
	const most = 200
	if utf8.RuneCountInString(s) > most {
		s = string([]rune(s)[:most]) + "…"
	}
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
	if len(s) == 36 && uuid.Validate(s) == nil {
		return s
	}
	return maskCPR(s)
}

// maskCPR replaces runs of ten digits, also with a hyphen after the sixth.
func maskCPR(s string) string {
	digit := func(i int) bool { return i >= 0 && i < len(s) && s[i] >= '0' && s[i] <= '9' }
	run := func(i int) int {
		n := 0
		for digit(i + n) {
			n++
		}
		return n
	}
	var out strings.Builder
	for i := 0; i < len(s); {
		n := run(i)
		switch {
		case n == 10:
			out.WriteString("xxxxxxxxxx")
			i += n
		case n == 6 && i+6 < len(s) && s[i+6] == '-' && run(i+7) == 4:
			out.WriteString("xxxxxx-xxxx")
			i += 11
		case n > 0:
			out.WriteString(s[i : i+n])
			i += n
		default:
			out.WriteByte(s[i])
			i++
		}
	}
	return out.String()
}

// parseTime reads a day, or a day and a time after a blank or a T, with optional fraction and zone. Without a zone it is
// Danish time; a day alone is its beginning. When it can't, it tells the index of the first character that is wrong.
func parseTime(s string, zone *time.Location) (at time.Time, index int, ok bool) {
	for i, form := range "dddd-dd-dd" {
		if i >= len(s) || form == 'd' && (s[i] < '0' || s[i] > '9') || form == '-' && s[i] != '-' {
			return at, i, false
		}
	}
	if len(s) == len(time.DateOnly) {
		at, err := time.ParseInLocation(time.DateOnly, s, zone)
		return at, 0, err == nil
	}
	if s[10] != ' ' && s[10] != 'T' && s[10] != 't' {
		return at, 10, false
	}
	s = s[:10] + "T" + strings.ToUpper(s[11:])
	for _, layout := range []string{"2006-01-02T15:04:05", "2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05Z07", "2006-01-02T15:04"} {
		if at, err := time.ParseInLocation(layout, s, zone); err == nil {
			return at, 0, true
		}
	}
	return at, 11, false
}

// denmark is the zone of every day and time without one. The program carries the zone data.
var denmark = sync.OnceValue(func() *time.Location {
	zone, err := time.LoadLocation("Europe/Copenhagen")
	if err != nil {
		return time.FixedZone("CET", 3600) // can't be as long as the program is built with time/tzdata
	}
	return zone
})

// sameDay reports whether two expiries fall on the same Danish day, or both are never.
func sameDay(a, b *time.Time, zone *time.Location) bool {
	if a == nil || b == nil {
		return a == b
	}
	if a.Equal(*b) {
		return true
	}
	return a.In(zone).Format(time.DateOnly) == b.In(zone).Format(time.DateOnly)
}

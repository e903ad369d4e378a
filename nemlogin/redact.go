package nemlogin

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Masks that stand where something confidential was.
const (
	maskedCPR   = "[cpr]"
	maskedToken = "[token]"
)

// cprLike matches CPR numbers in the ways people and programs write them. It
// does not ask whether the number is valid, and so takes P-numbers and other
// ten-digit numbers too: a masked P-number costs little, a leaked CPR number
// much. Uuids are matched first, so that their digit groups survive: without
// them nobody can tell what an error is about.
var cprLike = regexp.MustCompile(
	`(?i)[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}` +
		`|[0-9]{6}(?:\s|%20|\\u002d|%2d|[-–.])*[0-9]{4}`)

// tokenLike matches bearer tokens by their context or their look.
var tokenLike = regexp.MustCompile(
	`(?i)(bearer\s+)[^\s"',;<]+` +
		`|(access_?token["']?\s*[:=]\s*["']?)[^\s"',;}<]+` +
		`|(^|[^0-9a-z_-])eyJ[0-9a-z_-]{6,}(?:\.[0-9a-z_-]*)*`)

// redact masks CPR numbers and bearer tokens in s.
func redact(s string) string {
	s = tokenLike.ReplaceAllString(s, "${1}${2}${3}"+maskedToken)
	return cprLike.ReplaceAllStringFunc(s, func(m string) string {
		if len(m) == uuidLength && isUUID(m) {
			return m
		}
		return maskedCPR
	})
}

// maxTorn bounds what a window's end can tear apart: a long token, or a CPR
// number and what stands between its halves. In bytes.
const maxTorn = 4 << 10

// excerpt makes an answer's body fit to be kept in an error: valid UTF-8, no
// control characters but line ends and tabs, masked, at most limit bytes. Only a
// window of a long body is looked at, because matching is slow. It is masked
// before it is cut, and what the window's end may have torn apart is dropped, so
// that no half of a number or token is left.
func excerpt(body []byte, limit int, secrets ...string) string {
	window := 4*limit + maxTorn
	torn := len(body) > window
	if torn {
		body = body[:window]
	}
	s := strings.Map(func(r rune) rune {
		if r == utf8.RuneError || (unicode.IsControl(r) && r != '\n' && r != '\t') {
			return ' '
		}
		return r
	}, string(body))
	for _, secret := range secrets {
		if secret != "" {
			s = strings.ReplaceAll(s, secret, maskedToken)
		}
	}
	s = redact(s)
	if torn {
		s = cut(s, max(0, len(s)-maxTorn))
	}
	return cut(strings.TrimSpace(s), limit)
}

// cut shortens s to at most limit bytes without splitting a character.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}

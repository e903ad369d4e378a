package nemlogin

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestRedact(t *testing.T) {
	t.Parallel()
	jwt := "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"
	tests := []struct{ in, want string }{
		{"", ""},
		{"CPR 010190-1235 er ukendt", "CPR [cpr] er ukendt"},
		{"0101901235", "[cpr]"},
		{"010190 1235, 010190–1235, 010190 - 1235", "[cpr], [cpr], [cpr]"},
		{"cpr_0101901235x", "cpr_[cpr]x"},
		{`{"cprNumber":"010190\u002d1235"}`, `{"cprNumber":"[cpr]"}`},
		{"?cpr=010190%2D1235", "?cpr=[cpr]"},
		{"P-nummer 1234567890", "P-nummer [cpr]"},
		{"SE 12345678", "SE 12345678"},
		{"2026-11-21T10:00:00Z 127.0.0.1:44321", "2026-11-21T10:00:00Z 127.0.0.1:44321"},
		{"identity 01019012-3512-4000-8000-010190123512 is gone", "identity 01019012-3512-4000-8000-010190123512 is gone"},
		{"Authorization: Bearer abc.def-ghi", "Authorization: Bearer [token]"},
		{`{"accessToken":"abc","expiresIn":1}`, `{"accessToken":"[token]","expiresIn":1}`},
		{`{"access_token": "abc`, `{"access_token": "[token]`},
		{"token " + jwt + " expired", "token [token] expired"},
		{jwt, "[token]"},
	}
	for _, test := range tests {
		if got := redact(test.in); got != test.want {
			t.Errorf("redact(%q) = %q, want %q", test.in, got, test.want)
		}
	}
}

func TestExcerpt(t *testing.T) {
	t.Parallel()
	if got := excerpt([]byte(" a\x00b\x1b[31m\xff opaque-1 opaque-2 "), 100, "opaque-1", "", "opaque-2"); got != "a b [31m  [token] [token]" {
		t.Errorf("got %q", got)
	}
	// A number across the cut must not leave its half behind.
	if got := excerpt([]byte("xxxx 010190-1235"), 10); strings.Contains(got, "0101") {
		t.Errorf("got %q", got)
	}
	// Neither must the end of the window, even if masking makes it short.
	torn := strings.Repeat("010190-1235", 1000) + strings.Repeat(" Bearer "+strings.Repeat("x", 3000), 3)
	for cutAt := range 15 {
		if got := excerpt([]byte(strings.Repeat("y", cutAt)+torn), 1000); strings.Contains(got, "01") || strings.Contains(got, "xx") {
			t.Errorf("got %q", got)
		}
	}
	if got := excerpt([]byte("ææææ"), 3); got != "æ" {
		t.Errorf("got %q", got)
	}
}

func TestExcerptNeverLeaks(t *testing.T) {
	t.Parallel()
	number := regexp.MustCompile(`[0-9]{6}[- ]?[0-9]{4}`)
	rapid.Check(t, func(t *rapid.T) {
		cpr := rapid.StringMatching(`[0-3][0-9][01][0-9]{3}[- ]?[0-9]{4}`).Draw(t, "cpr")
		before := rapid.String().Draw(t, "before")
		after := rapid.String().Draw(t, "after")
		limit := rapid.IntRange(0, 100).Draw(t, "limit")
		got := excerpt([]byte(before+cpr+after), limit)
		if len(got) > limit || !utf8.ValidString(got) || number.MatchString(got) {
			t.Fatalf("excerpt of %q is %q", before+cpr+after, got)
		}
	})
}

package plan

import (
	"bytes"
	"encoding/csv"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares got with a file under testdata; with -update it writes the file.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got); write it anew with -update if the change is meant:\n%s", file, diff)
	}
}

// samplePlan has every verb, people with Danish letters, and one whose name is an attack on every format.
func samplePlan(t *testing.T) *Plan {
	t.Helper()
	w, _ := parseWorld(t, `
		0c1d-anna   | read Cvr 12345678    | yes | yes |
		0c1d-anna   | report PU 1012345678 | yes | no  |
		0c1d-anna   | report PU 1012345679 | no  | yes |
		0c1d-anna   | foreign SE 10123456  | no  | yes |
		1f2e-bo     | read Cvr 12345678    | yes | yes |
		1f2e-bo     | report PU 1012345678 | yes | yes |
		2a3b-mallory| read Cvr 12345678    | no  | yes |
		2a3b-mallory| report PU            | yes | no  |
		3c4d-soeren | read Cvr 12345678    | yes | no  |
		4d5e-oda    | old Cvr 12345678     | no  | yes |`)
	w.user("0c1d-anna").User, w.user("0c1d-anna").Name = "anna", "Anna Ågård"
	w.user("1f2e-bo").User, w.user("1f2e-bo").Name = "bo", "Bo Bæk"
	w.user("2a3b-mallory").User = "=cmd|' /C calc'!A0"
	w.user("2a3b-mallory").Name = "<script>alert(1)</script> *bold* | [x](http://x)\x1b[2J\u202Egnp"
	w.user("3c4d-soeren").User, w.user("3c4d-soeren").Name = "søren", "Søren Østergård"
	w.user("4d5e-oda").Protected = true
	w.user("0c1d-anna").Grants[1].Because = []string{"direct: Indberetter med pnr", "unit: Børnehuset"}
	w.state("5e6f-peter", Failed, "the service answered 503")
	w.state("3c4d-soeren", IsGone, "")
	w.user("5e6f-peter").User = "peter"
	for i, g := range w.observed["0c1d-anna"].Grants {
		if g.Role == "foreign" {
			w.observed["0c1d-anna"].Grants[i].RoleName = "Rolle uden for kataloget"
		}
	}
	w.options.Limits = Limits{RemovalsCount: 1, RoleRemovalsCount: 1}
	p := w.compute(t)
	p.CreatedAt = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	return p
}

func TestWriteGolden(t *testing.T) {
	t.Parallel()
	p := samplePlan(t)
	tests := []struct {
		file, format string
		opts         RenderOptions
	}{
		{"plan.txt", FormatText, RenderOptions{}},
		{"plan-verbose.txt", FormatText, RenderOptions{Verbose: true}},
		{"plan.json", FormatJSON, RenderOptions{}},
		{"plan.csv", FormatCSV, RenderOptions{}},
		{"plan.md", FormatMarkdown, RenderOptions{}},
		{"plan-verbose.md", FormatMarkdown, RenderOptions{Verbose: true}},
		{"plan.html", FormatHTML, RenderOptions{}},
		{"plan-verbose.html", FormatHTML, RenderOptions{Verbose: true}},
	}
	for _, tt := range tests {
		t.Run(tt.file, func(t *testing.T) {
			t.Parallel()
			var b bytes.Buffer
			if err := Write(&b, p, tt.format, tt.opts); err != nil {
				t.Fatal(err)
			}
			golden(t, tt.file, b.Bytes())
		})
	}
}

// TestWriteInOrderOfUsers: people look a user up by his id, whatever the identity is called; those without one come last.
func TestWriteInOrderOfUsers(t *testing.T) {
	t.Parallel()
	w, _ := parseWorld(t, `
		3a-first  | read Cvr 12345678 | yes | no |
		1b-second | read Cvr 12345678 | yes | no |
		0c-none   | read Cvr 12345678 | no  | yes |
		2d-third  | read Cvr 12345678 | yes | no |`)
	for identity, user := range map[string]string{"3a-first": "Anna", "1b-second": "bo", "2d-third": "Carl", "0c-none": ""} {
		w.user(identity).User = user
	}
	for identity, user := range map[string]string{"5e-late": "dan", "4f-later": "Eva"} {
		w.state(identity, Failed, "down")
		w.user(identity).User = user
	}
	p := w.compute(t)
	for _, format := range []string{FormatText, FormatMarkdown, FormatHTML} {
		var b bytes.Buffer
		if err := Write(&b, p, format, RenderOptions{}); err != nil {
			t.Fatal(err)
		}
		for _, names := range [][]string{{"3a-first", "1b-second", "2d-third", "0c-none"}, {"5e-late", "4f-later"}} {
			at := 0
			for _, name := range names {
				i := strings.Index(b.String(), name)
				if i < at {
					t.Errorf("%s: %s is out of order in\n%s", format, name, b.String())
				}
				at = i
			}
		}
	}
}

// TestWriteTimesInAZone: people read the time that is on their wall.
func TestWriteTimesInAZone(t *testing.T) {
	t.Parallel()
	zone, err := time.LoadLocation("Europe/Copenhagen")
	if err != nil {
		t.Fatal(err)
	}
	p := samplePlan(t)
	for _, format := range []string{FormatText, FormatMarkdown, FormatHTML} {
		var b bytes.Buffer
		if err := Write(&b, p, format, RenderOptions{Location: zone}); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(b.String(), "2026-03-04 06:06:07 CET") {
			t.Errorf("%s doesn't say when the plan was made:\n%s", format, b.String())
		}
	}
}

// TestWriteIsHarmless: names come from outside, and none of them becomes markup, a formula or a terminal command.
func TestWriteIsHarmless(t *testing.T) {
	t.Parallel()
	p := samplePlan(t)
	forbidden := map[string][]string{
		FormatText:     {"\x1b", "\u202E"},
		FormatMarkdown: {"\x1b", "\u202E", "<script", "*bold*", "[x](", "http://"},
		FormatHTML:     {"\x1b", "\u202E", "<script"},
		FormatCSV:      {"\x1b", "\u202E", ",=cmd", "\n=cmd"},
	}
	for format, texts := range forbidden {
		var b bytes.Buffer
		if err := Write(&b, p, format, RenderOptions{Verbose: true}); err != nil {
			t.Fatal(err)
		}
		for _, text := range texts {
			if strings.Contains(b.String(), text) {
				t.Errorf("%s contains %q", format, text)
			}
		}
	}
}

func TestWriteHTMLIsWellFormed(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := Write(&b, samplePlan(t), FormatHTML, RenderOptions{Verbose: true}); err != nil {
		t.Fatal(err)
	}
	page := regexp.MustCompile(`<meta [^>]*>`).ReplaceAll(b.Bytes(), nil) // the only elements that HTML leaves open
	d := xml.NewDecoder(bytes.NewReader(page))
	for {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestWriteCSV(t *testing.T) {
	t.Parallel()
	p := samplePlan(t)
	var b bytes.Buffer
	if err := Write(&b, p, FormatCSV, RenderOptions{BOM: true}); err != nil {
		t.Fatal(err)
	}
	text, ok := strings.CutPrefix(b.String(), "\uFEFF")
	if !ok {
		t.Error("there is no byte order mark")
	}
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != len(p.Changes)+1 {
		t.Errorf("%d rows for %d changes and a header", len(rows), len(p.Changes))
	}
}

func TestCell(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":           "",
		"Anna":       "Anna",
		"1012345678": "1012345678",
		"=1+1":       "'=1+1",
		"+45":        "'+45",
		"-1":         "'-1",
		"@SUM(A1)":   "'@SUM(A1)",
		"\t=1":       "'\uFFFD=1",
		"\r\n=1":     "'\uFFFD\uFFFD=1",
		"  =1":       "'  =1",
		"＝1":         "'＝1",
		"a=1":        "a=1",
		" ":          " ",
	} {
		if got := cell(in); got != want {
			t.Errorf("cell(%q) is %q, want %q", in, got, want)
		}
	}
}

func TestWriteRefusesOtherFormats(t *testing.T) {
	t.Parallel()
	err := Write(io.Discard, samplePlan(t), "yaml", RenderOptions{})
	if err == nil || !strings.Contains(err.Error(), "text, json, csv, markdown, html") {
		t.Errorf("got %v, want the list of formats", err)
	}
}

// full fails when more than n bytes have been written, as a disk or a closed pipe does.
type full struct{ n int }

var errFull = errors.New("no space left")

func (f *full) Write(b []byte) (int, error) {
	if len(b) > f.n {
		return f.n, errFull
	}
	f.n -= len(b)
	return len(b), nil
}

func TestWriteReportsErrors(t *testing.T) {
	t.Parallel()
	p := samplePlan(t)
	for _, format := range Formats() {
		for _, n := range []int{0, 10} {
			if err := Write(&full{n}, p, format, RenderOptions{BOM: true}); !errors.Is(err, errFull) {
				t.Errorf("%s with room for %d bytes: got %v, want the writer's error", format, n, err)
			}
		}
	}
}

func TestUsersCoversThePlan(t *testing.T) {
	t.Parallel()
	p := samplePlan(t)
	last, n := "", 0
	for u := range p.Users() {
		if u.Identity <= last {
			t.Errorf("%s comes after %s", u.Identity, last)
		}
		last = u.Identity
		for c := range u.All() {
			n++
			if c.Identity != u.Identity {
				t.Errorf("a change of %s is listed with %s", c.Identity, u.Identity)
			}
		}
	}
	if n != len(p.Changes) {
		t.Errorf("%d changes listed of %d", n, len(p.Changes))
	}
	for range p.Users() {
		break // a caller may stop
	}
}

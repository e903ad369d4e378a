package plan

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"
)

// The formats in which a plan can be written.
const (
	FormatText     = "text"     // for a terminal
	FormatJSON     = "json"     // the whole document, for programs; Decode reads it
	FormatCSV      = "csv"      // one line per change, keeps too, for spreadsheets
	FormatMarkdown = "markdown" // for tickets
	FormatHTML     = "html"     // a page that stands alone
)

// Formats lists the formats that Write knows.
func Formats() []string {
	return []string{FormatText, FormatJSON, FormatCSV, FormatMarkdown, FormatHTML}
}

// RenderOptions choose what is written for people.
type RenderOptions struct {
	Verbose bool // every grant on which both sides agree, too, and not only how many; JSON and CSV have them always
	// Location is the time zone of the times; nil is UTC. JSON has them in UTC always.
	Location *time.Location
	BOM      bool // CSV: begin with a byte order mark, by which Excel knows that the file is UTF-8
}

// Write writes the plan in one of the Formats, as a stream.
func Write(w io.Writer, p *Plan, format string, opts RenderOptions) error {
	var render func(*printer, *Plan, RenderOptions)
	switch format {
	case FormatText:
		render = renderText
	case FormatJSON:
		if err := p.writeJSON(w, "  "); err != nil {
			return fmt.Errorf("writing the plan as JSON: %w", err)
		}
		return nil
	case FormatCSV:
		return renderCSV(w, p, opts)
	case FormatMarkdown:
		render = renderMarkdown
	case FormatHTML:
		return renderHTML(w, p, opts)
	default:
		return fmt.Errorf("writing the plan: %q is not a format; the formats are %s", format, strings.Join(Formats(), ", "))
	}
	out := &printer{w: bufio.NewWriter(w)}
	render(out, p, opts)
	if err := out.finish(); err != nil {
		return fmt.Errorf("writing the plan as %s: %w", format, err)
	}
	return nil
}

// printer writes until something goes wrong, and remembers what.
type printer struct {
	w   *bufio.Writer
	err error
}

func (p *printer) print(texts ...string) {
	for _, s := range texts {
		if p.err == nil {
			_, p.err = p.w.WriteString(s)
		}
	}
}

func (p *printer) write(b []byte) {
	if p.err == nil {
		_, p.err = p.w.Write(b)
	}
}

func (p *printer) finish() error {
	if p.err != nil {
		return p.err
	}
	return p.w.Flush()
}

// Summary is the plan in one line, for people.
func (p *Plan) Summary() string {
	s := fmt.Sprintf("Plan: %d to add, %d to remove, %d match, %d left alone", p.Counts.Add, p.Counts.Remove, p.Counts.Keep, p.Counts.Skip)
	if by := p.BlockedBy(); len(by) > 0 {
		s += "; blocked by " + strings.Join(by, ", ")
	}
	return s + "."
}

// tally is what matches and what does not for one user, in words.
func (u UserChanges) tally() string {
	parts := []string{fmt.Sprintf("%d match", len(u.Keeps))}
	for _, part := range []struct {
		n    int
		text string
	}{{len(u.Adds), "to add"}, {len(u.Removes), "to remove"}, {len(u.Skips), "left alone"}} {
		if part.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", part.n, part.text))
		}
	}
	return strings.Join(parts, ", ")
}

// heading names the user, or the identity where there is none.
func (u UserChanges) heading() string {
	if s := strings.TrimSpace(u.User + " " + u.Name); s != "" {
		return printable(s)
	}
	return printable(u.Identity)
}

// lines are the changes to show of a user.
func (o RenderOptions) lines(u UserChanges) []*Change {
	if o.Verbose {
		return slices.Collect(u.All())
	}
	return slices.Collect(u.Differences())
}

// title is the role as people know it.
func (c *Change) title() string {
	if c.RoleName != "" {
		return printable(c.RoleName)
	}
	return printable(c.Grant.Role)
}

// scope is the grant's scope for people.
func (c *Change) scope() string {
	if c.Grant.Scope.Value == "" {
		return printable(string(c.Grant.Scope.Type)) + " (no value)"
	}
	return printable(c.Grant.Scope.String())
}

// symbol is the verb as one character.
func (v Verb) symbol() string {
	switch v {
	case Add:
		return "+"
	case Remove:
		return "-"
	case Keep:
		return "="
	case Skip:
		return "!"
	}
	return "?"
}

// word is the verb for people.
func (v Verb) word() string {
	if v == Skip {
		return "leave alone"
	}
	return string(v)
}

// Why says in half a sentence, for people, why a change is what it is.
func (c *Change) Why() string {
	if c.Reason == Assigned && len(c.Because) > 0 {
		return printable(strings.Join(c.Because, "; "))
	}
	why := c.Reason.Text()
	if c.Intended == Add {
		why = "not added: " + why
	}
	if c.Intended == Remove {
		why = "not removed: " + why
	}
	if c.Detail != "" {
		why += " (" + c.Detail + ")"
	}
	return printable(why)
}

// who is the plan's selection for people.
func (p *Plan) who() string {
	if p.Selection == All {
		return "the whole organisation"
	}
	return printable(p.Selection)
}

// people are the groups of changes in the order in which people look somebody up: by user id, and last the identities that
// belong to no user.
func (p *Plan) people() []UserChanges {
	return slices.SortedStableFunc(p.Users(), func(a, b UserChanges) int { return compareUsers(a.User, b.User) })
}

// notRead are the identities that were not read, in the same order.
func (p *Plan) notRead() []Unread {
	return slices.SortedStableFunc(slices.Values(p.Unread), func(a, b Unread) int { return compareUsers(a.User, b.User) })
}

func compareUsers(a, b string) int {
	if (a == "") != (b == "") {
		return -strings.Compare(a, b)
	}
	return cmp.Or(strings.Compare(strings.ToLower(a), strings.ToLower(b)), strings.Compare(a, b))
}

// made is when the plan was made, for people.
func (o RenderOptions) made(p *Plan) string {
	if p.CreatedAt.IsZero() {
		return ""
	}
	return p.CreatedAt.In(o.location()).Format("2006-01-02 15:04:05 MST")
}

func (o RenderOptions) location() *time.Location {
	if o.Location == nil {
		return time.UTC
	}
	return o.Location
}

// sides say in words what was compared.
func (p *Plan) sides() (source, target string) {
	source = fmt.Sprintf("%s, %s", number(p.Source.Identities, "identity", "identities"), number(p.Source.Grants, "grant", "grants"))
	if !p.Source.Complete {
		source += "; some lack a valid scope value"
	}
	target = fmt.Sprintf("%s, %s", number(p.Target.Identities, "identity", "identities"), number(p.Target.Grants, "grant", "grants"))
	if p.Target.Failed > 0 {
		target += fmt.Sprintf("; %d could not be read", p.Target.Failed)
	}
	if p.Target.Gone > 0 {
		target += fmt.Sprintf("; %d unknown there", p.Target.Gone)
	}
	return source, target
}

// verdict is a guard's result in one word.
func (g GuardResult) verdict() string {
	switch {
	case g.OK:
		return "ok"
	case g.blocks():
		return "BLOCKED"
	}
	return "HELD"
}

// text says in words why an identity's grants are not known.
func (u Unread) text() string {
	why := ReadFailed.Text()
	if u.State == IsGone {
		why = Gone.Text()
	}
	if u.Error != "" {
		why += " (" + u.Error + ")"
	}
	return printable(why)
}

// printable replaces what would move the cursor, hide text or turn it round: names come from outside.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' {
			return '\uFFFD'
		}
		return r
	}, s)
}

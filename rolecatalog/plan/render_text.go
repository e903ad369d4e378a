package plan

import (
	"strings"
	"unicode/utf8"
)

func renderText(out *printer, p *Plan, opts RenderOptions) {
	out.print("Plan ", p.ID, "\n", "CVR ", printable(p.CVR), ", ", p.who())
	if made := opts.made(p); made != "" {
		out.print(", made ", made)
	}
	source, target := p.sides()
	out.print("\nCatalogue:     ", source, "\nMitID Erhverv: ", target, "\n")

	open := true // an empty line before the next block
	for _, u := range p.people() {
		lines := opts.lines(u)
		if open || len(lines) > 0 {
			out.print("\n")
		}
		open = len(lines) > 0
		out.print(person(u.User, u.Name, u.Identity), ": ", u.tally(), "\n")
		role, scope := 0, 0
		for _, c := range lines {
			role = max(role, utf8.RuneCountInString(c.title()))
			scope = max(scope, utf8.RuneCountInString(c.scope()))
		}
		role = min(role, 60) // one very long name doesn't push all the others out of sight
		for _, c := range lines {
			out.print("  ", c.Verb.symbol(), " ", pad(c.title(), role), "  ", pad(c.scope(), scope), "  ", c.Why(), "\n")
		}
	}
	if len(p.Unread) > 0 {
		out.print("\nNot read\n")
	}
	for _, u := range p.notRead() {
		out.print("  ! ", person(u.User, u.Name, u.Identity), ": ", u.text(), "\n")
	}
	out.print("\nGuards\n")
	for _, g := range p.Guards {
		out.print("  ", pad(g.verdict(), len("BLOCKED")), "  ", printable(g.Message), "\n")
	}
	out.print("\n", p.Summary(), "\n")
}

func pad(s string, width int) string {
	return s + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(s)))
}

// person names an identity: "ab12  Anna Andersen  (uuid)".
func person(user, name, identity string) string {
	parts := make([]string, 0, 3)
	for _, s := range []string{user, name} {
		if s != "" {
			parts = append(parts, printable(s))
		}
	}
	return strings.Join(append(parts, "("+printable(identity)+")"), "  ")
}

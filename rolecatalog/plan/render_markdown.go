package plan

import (
	"strconv"
	"strings"
)

func renderMarkdown(out *printer, p *Plan, opts RenderOptions) {
	out.print("# Plan for CVR ", markdown(p.CVR), "\n\n", p.Summary(), "\n\n")
	source, target := p.sides()
	out.print("- Plan: `", p.ID, "`\n- Selection: ", markdown(p.who()), "\n")
	if made := opts.made(p); made != "" {
		out.print("- Made: ", made, "\n")
	}
	out.print("- Catalogue: ", source, "\n- MitID Erhverv: ", target, "\n")

	out.print("\n## Guards\n\n| Guard | Verdict | |\n|---|---|---|\n")
	for _, g := range p.Guards {
		out.print("| ", markdown(g.Guard), " | ", g.verdict(), " | ", markdown(g.Message), " |\n")
	}
	if len(p.Unread) > 0 {
		out.print("\n## Not read\n\n| User | Name | Identity | Why |\n|---|---|---|---|\n")
	}
	for _, u := range p.notRead() {
		out.print("| ", markdown(u.User), " | ", markdown(u.Name), " | ", markdown(u.Identity), " | ", markdown(u.text()), " |\n")
	}

	people, matching := p.people(), 0
	for _, u := range people {
		lines := opts.lines(u)
		if len(lines) == 0 {
			matching++
			continue
		}
		out.print("\n## ", markdown(u.heading()), "\n\n", markdown(u.Identity), ": ", u.tally(), "\n\n",
			"| | Role | Scope | Why |\n|---|---|---|---|\n")
		for _, c := range lines {
			out.print("| ", c.Verb.word(), " | ", markdown(c.title()), " | ", markdown(c.scope()), " | ", markdown(c.Why()), " |\n")
		}
	}
	if matching == 0 {
		return
	}
	out.print("\n## Everything matches\n\n| User | Name | Identity | Grants |\n|---|---|---|---|\n")
	for _, u := range people {
		if u.Matches() {
			out.print("| ", markdown(u.User), " | ", markdown(u.Name), " | ", markdown(u.Identity), " | ", strconv.Itoa(len(u.Keeps)), " |\n")
		}
	}
}

var markdownEscapes = strings.NewReplacer(
	`\`, `\\`, "`", "\\`", `*`, `\*`, `_`, `\_`, `[`, `\[`, `]`, `\]`, `<`, `&lt;`, `>`, `&gt;`, `&`, `&amp;`, `|`, `\|`, `#`, `\#`, `~`, `\~`,
	`@`, `&#64;`, // or a ticket system tells whoever has that name
	`://`, `:&#47;&#47;`,
)

// markdown makes a text one that says itself.
func markdown(s string) string { return markdownEscapes.Replace(printable(s)) }

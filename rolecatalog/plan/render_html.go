package plan

import (
	"bufio"
	_ "embed"
	"fmt"
	"html/template"
	"io"
)

//go:embed plan.html.tmpl
var htmlSource string

var htmlTemplate = template.Must(template.New("plan").Funcs(template.FuncMap{
	"printable": printable,
	"sides":     func(p *Plan) []string { s, t := p.sides(); return []string{s, t} },
	"who":       (*Plan).who,
	"verdict":   GuardResult.verdict,
	"unread":    Unread.text,
	"tally":     UserChanges.tally,
	"heading":   UserChanges.heading,
	"lines":     func(verbose bool, u UserChanges) []*Change { return RenderOptions{Verbose: verbose}.lines(u) },
	"symbol":    func(c *Change) string { return c.Verb.symbol() },
	"word":      func(c *Change) string { return c.Verb.word() },
	"title":     (*Change).title,
	"scope":     (*Change).scope,
	"why":       (*Change).Why,
}).Parse(htmlSource))

func renderHTML(w io.Writer, p *Plan, opts RenderOptions) error {
	out := bufio.NewWriter(w)
	page := struct {
		*Plan
		Verbose bool
		Made    string
		People  []UserChanges
		NotRead []Unread
	}{p, opts.Verbose, opts.made(p), p.people(), p.notRead()}
	if err := htmlTemplate.Execute(out, page); err != nil {
		return fmt.Errorf("writing the plan as HTML: %w", err)
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("writing the plan as HTML: %w", err)
	}
	return nil
}

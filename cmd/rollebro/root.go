package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

// The groups of commands in the help.
const (
	groupDaily = "daily"
	groupSetup = "setup"
	groupTry   = "try"
)

const rootHelp = `Rollebro keeps the roles of an organisation in MitID Erhverv equal to those of its
role catalogue.

Settings come from environment variables and from rollebro.yaml, under the names
that OS2rollekatalog has; "rollebro config show" lists them all.

First use:
  rollebro certs inspect Filnavn.p12     is it the right certificate?
  rollebro config check                  are the settings right?
  rollebro users load users.csv          who the users are
  rollebro import                        what they hold in MitID Erhverv
  rollebro plan                          what would be changed: nothing, after an import
  rollebro serve                         the service

Exit codes:
  0 fine                      10 the configuration is wrong
  1 failure                   11 another process holds the writer lease
  2 changes pending (plan)    12 the keystore cannot be used
  3 partly applied            70 a bug in Rollebro
  4 blocked by a guard       130 interrupted
  5 the plan is stale`

// newRoot makes the command tree.
func newRoot(p *program) *cobra.Command {
	root := &cobra.Command{
		Use:           "rollebro",
		Short:         "Keeps an organisation's roles in MitID Erhverv equal to its role catalogue",
		Long:          rootHelp,
		Version:       version,
		SilenceUsage:  true, // an error is told in a line or two
		SilenceErrors: true,
	}
	root.SetIn(p.stdin)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	root.SetVersionTemplate("rollebro {{.Version}}\n")
	root.PersistentFlags().StringVar(&p.configFile, "config", "", "settings `file` (default: $RC_CONFIG, or rollebro.yaml if it is there)")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return advise(err, "%q shows what it takes.", cmd.CommandPath()+" --help")
	})
	root.AddGroup(
		&cobra.Group{ID: groupDaily, Title: "Daily work:"},
		&cobra.Group{ID: groupSetup, Title: "Setting up and looking after:"},
		&cobra.Group{ID: groupTry, Title: "Trying out:"},
	)
	root.SetHelpCommandGroupID(groupSetup)
	root.SetCompletionCommandGroupID(groupSetup)
	add := func(group string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add(groupDaily, p.serveCommand(), p.importCommand(), p.planCommand(), p.applyCommand(), p.approveCommand(),
		p.statusCommand(), p.usersCommand(), p.rolesCommand())
	add(groupSetup, p.certsCommand(), p.configCommand(), p.dbCommand(), p.domainCommand(), p.apikeyCommand(), p.healthcheckCommand(), p.versionCommand())
	add(groupTry, p.tryCommands()...)
	explainMistakes(root)
	return root
}

// explainMistakes gives every complaint about arguments a second line, and groups of commands a complaint about unknown
// ones, which cobra answers with the help and success.
func explainMistakes(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return advise(err, "Usage: %s", cmd.UseLine())
			}
			return nil
		}
	}
	if cmd.HasSubCommands() && cmd.RunE == nil {
		cmd.SuggestionsMinimumDistance = 2
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			err := fmt.Errorf("unknown command %q", cmd.CommandPath()+" "+args[0])
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				return advise(err, "Did you mean %q?", cmd.CommandPath()+" "+near[0])
			}
			return advise(err, "%q lists the commands.", cmd.CommandPath()+" --help")
		}
		cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	}
	for _, c := range cmd.Commands() {
		explainMistakes(c)
	}
}

// outputFlag adds --output with the formats a command knows, the first being the default.
func outputFlag(cmd *cobra.Command, formats ...string) *string {
	format := cmd.Flags().StringP("output", "o", formats[0], "`format`: "+strings.Join(formats, ", "))
	before := cmd.PreRunE
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		if !slices.Contains(formats, *format) {
			return advise(fmt.Errorf("unknown output format %q", *format), "Known are %s.", strings.Join(formats, ", "))
		}
		if before != nil {
			return before(cmd, args)
		}
		return nil
	}
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp)) // fails for unknown flags only
	return format
}

// writeJSON writes v for programs.
func writeJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

// table writes rows in columns. Control characters in the cells are replaced: names come from outside.
func table(w io.Writer, heading []string, rows [][]string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{heading}, rows...) {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = printable(cell)
		}
		fmt.Fprintln(t, strings.TrimRight(strings.Join(cells, "\t"), "\t"))
	}
	return t.Flush()
}

// printable replaces what would move the cursor or colour the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
}

// counted gives a number with its noun: 1 user, 2 users.
func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

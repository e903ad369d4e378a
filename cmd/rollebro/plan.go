package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/rollebro/rollebro/rolecatalog"
	"github.com/rollebro/rollebro/rolecatalog/plan"
)

func (p *program) planCommand() *cobra.Command {
	var (
		user     string
		detailed bool
		opts     = plan.RenderOptions{Location: rolecatalog.Copenhagen()}
	)
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Show what would be changed in MitID Erhverv",
		Long: `Reads what everybody holds in MitID Erhverv, compares it with what the catalogue says,
and shows the difference, who it concerns and why. The plan is kept and can be applied
by its id. Nothing is written to MitID Erhverv.

With --detailed-exitcode: 0 nothing to do, 2 changes are pending, 4 a guard blocks them.
When somebody could not be read it ends with 1: the plan shows who.`,
		Example: `  rollebro plan
  rollebro plan --user ab12 --verbose
  rollebro plan --output html > plan.html
  rollebro plan --output json --detailed-exitcode > plan.json`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().StringVar(&user, "user", "", "one person only: user `id`, uuid, extUuid or NemLogin UUID")
	cmd.Flags().BoolVar(&detailed, "detailed-exitcode", false, "end with 2 when changes are pending, 4 when a guard blocks")
	cmd.Flags().BoolVarP(&opts.Verbose, "verbose", "v", false, "list what is right already, too")
	cmd.Flags().BoolVar(&opts.BOM, "bom", false, "begin CSV with a mark by which Excel knows its letters")
	format := outputFlag(cmd, plan.Formats()...)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx := cmd.Context()
		a, err := p.open(ctx, needsMitID)
		if err != nil {
			return err
		}
		defer a.close()
		var selection rolecatalog.Selection
		if user != "" {
			if selection, err = a.selectUser(ctx, user); err != nil {
				return err
			}
		}
		bar := p.progress("Reading")
		made, err := a.bridge.Plan(ctx, selection, bar.update)
		bar.close()
		if err != nil {
			return err
		}
		if err := plan.Write(p.stdout, made, *format, opts); err != nil {
			return fmt.Errorf("writing the plan: %w", err)
		}
		if failed := made.Target.Failed; failed > 0 {
			return advise(fmt.Errorf("%s of %d could not be read, so this plan is not the whole truth", counted(failed, "identity", "identities"), made.Target.Identities),
				"Nothing is taken from anybody on a doubt; try again later.")
		}
		switch {
		case !detailed || made.Empty():
			return nil
		case made.Blocked:
			return &exitError{code: exitBlocked}
		}
		return &exitError{code: exitChanges}
	}
	return cmd
}

// selectUser finds the person that a command is for.
func (a *app) selectUser(ctx context.Context, key string) (rolecatalog.Selection, error) {
	found, err := a.store.Users(ctx, rolecatalog.UserFilter{Key: key, IncludeDeleted: true})
	if err != nil {
		return rolecatalog.Selection{}, err
	}
	if len(found) == 0 {
		return rolecatalog.Selection{}, noUser(key)
	}
	selection := rolecatalog.Selection{Label: "user " + found[0].UserID}
	for i := range found {
		selection.Users = append(selection.Users, found[i].ID) // of several domains
	}
	return selection, nil
}

func noUser(key string) error {
	return advise(fmt.Errorf("there is no user %q", maskCPR(key)), `"rollebro users list" lists them.`)
}

// errNothingNamed is an apply without a plan.
var errNothingNamed = errors.New("name the plan to apply, or say --yes to apply what a fresh one says")

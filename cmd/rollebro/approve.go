package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

func (p *program) approveCommand() *cobra.Command {
	var by, reason string
	cmd := &cobra.Command{
		Use:   "approve PLAN-ID --by NAME --reason TEXT",
		Short: "Release a plan that a guard has blocked",
		Long: `Releases a plan that a guard has blocked, once, and ends the quarantine it caused. It
holds for what this plan does and nothing else. Name and reason go into the audit trail.
The service carries the plan out at its next run; "rollebro apply PLAN-ID" does it now.`,
		Example: `  rollebro approve 3f9a2c71 --by "Bodil Thorup" --reason "the school is closed, case 26-1234"`,
		Args:    cobra.ExactArgs(1),
	}
	cmd.Flags().StringVar(&by, "by", "", "`name` of the person who approves")
	cmd.Flags().StringVar(&reason, "reason", "", "why it is right, as `text`")
	format := outputFlag(cmd, "text", "json")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		by, reason = strings.TrimSpace(by), strings.TrimSpace(reason)
		if by == "" || reason == "" {
			return advise(errors.New("an approval needs a name and a reason"), "Give --by NAME and --reason TEXT.")
		}
		if len(args[0]) < shortestID {
			return shortIDError(args[0])
		}
		a, err := p.open(cmd.Context(), needsCatalogue)
		if err != nil {
			return err
		}
		defer a.close()
		record, err := a.bridge.Approve(cmd.Context(), args[0], by, reason)
		if err != nil {
			return err
		}
		if *format == "json" {
			return writeJSON(p.stdout, record)
		}
		fmt.Fprintf(p.stdout, "Plan %s is approved by %s: %d to add, %d to remove.\nCarry it out with: rollebro apply %s\n",
			shortID(record.ID), printable(by), record.Adds, record.Removes, shortID(record.ID))
		return nil
	}
	return cmd
}

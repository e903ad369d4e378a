package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func (p *program) usersRetryCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "retry ID",
		Short: "Look at a user again now, and try again what has failed",
		Long: `Puts a user, found by user id, uuid, extUuid or NemLogin UUID, on the work list and
forgets the failed writes, also those that have failed for so long that they wait for a
person. The service looks at the user within seconds; without a service it waits for
the next run. Nothing is written by this command.`,
		Example: "  rollebro users retry ab12",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			a, err := p.open(ctx, needsCatalogue)
			if err != nil {
				return err
			}
			defer a.close()
			selection, err := a.selectUser(ctx, args[0])
			if err != nil {
				return err
			}
			writes := 0
			for _, id := range selection.Users {
				n, err := a.bridge.Retry(ctx, id, actorCommand)
				if err != nil {
					return err
				}
				writes += n
			}
			fmt.Fprintf(p.stdout, "%s is looked at again; %s tried anew.\n", printable(args[0]), counted(writes, "failed write is", "failed writes are"))
			return nil
		},
	}
}

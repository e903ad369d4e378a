package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/rollebro/rollebro/store"
)

func (p *program) dbCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "db", Short: "Migrate, check and back up the database"}
	cmd.AddCommand(p.dbMigrateCommand(), p.dbCheckCommand(), p.dbBackupCommand())
	return cmd
}

// withStore runs do with the database of the settings.
func (p *program) withStore(cmd *cobra.Command, noMigration bool, do func(*store.Store) error) error {
	c, err := p.loadConfig()
	if err != nil {
		return err
	}
	s, err := p.openStore(cmd.Context(), c, noMigration)
	if err != nil {
		return err
	}
	defer func() {
		if err := s.Close(); err != nil {
			p.log.WithError(err).Warn("closing the database")
		}
	}()
	return do(s)
}

func (p *program) dbMigrateCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "migrate",
		Short: "Bring the database up to date",
		Long: `Brings the database's schema up to date. "rollebro serve" and every other command do so
at their start; this is for those who want to do it apart from that.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.withStore(cmd, true, func(s *store.Store) error {
				pending, err := s.Pending(cmd.Context())
				if err != nil {
					return err
				}
				if err := s.Migrate(cmd.Context()); err != nil {
					return err
				}
				for _, id := range pending {
					fmt.Fprintln(p.stdout, "ran "+id)
				}
				fmt.Fprintf(p.stdout, "%s is up to date\n", s.Place())
				return nil
			})
		},
	}
}

func (p *program) dbCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Check the database: connection, schema, and that nobody has changed the audit trail",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.withStore(cmd, true, func(s *store.Store) error {
				pending, err := s.Pending(cmd.Context())
				if err != nil {
					return err
				}
				if len(pending) > 0 {
					return fmt.Errorf("%s: %w", s.Place(), store.ErrPending)
				}
				events, err := s.VerifyAudit(cmd.Context())
				if err != nil {
					return err
				}
				fmt.Fprintf(p.stdout, "%s (%s) is up to date; the audit trail of %s is whole\n", s.Place(), s.Dialect(), counted(events, "event", "events"))
				return nil
			})
		},
	}
}

func (p *program) dbBackupCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "backup FILE",
		Short: "Copy the SQLite database to a file while it is in use",
		Long: `Copies the SQLite database to a new file while it is in use. The key file that CPR
numbers are encrypted with is not in it: keep a copy of that apart from the backups.
MariaDB and MySQL are backed up by their own tool, mariadb-dump --single-transaction.`,
		Example: "  rollebro db backup /backup/rollebro-$(date +%F).db",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withStore(cmd, true, func(s *store.Store) error {
				if err := s.Backup(cmd.Context(), args[0]); err != nil {
					return err
				}
				fmt.Fprintf(p.stdout, "copied %s to %s\n", s.Place(), printable(args[0]))
				return nil
			})
		},
	}
}

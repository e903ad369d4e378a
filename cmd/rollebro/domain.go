package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rollebro/rollebro/rolecatalog"
	"github.com/rollebro/rollebro/store"
)

func (p *program) domainCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "domain",
		Short: "Create and list the domains that users come from",
		Long: `Users come from domains: the Active Directory of the administration, that of the
schools. "` + rolecatalog.PrimaryDomain + `" is there from the start, and is meant where none is named.`,
	}
	cmd.AddCommand(p.domainCreateCommand(), p.domainListCommand())
	return cmd
}

func (p *program) domainCreateCommand() *cobra.Command {
	var parent string
	cmd := &cobra.Command{
		Use:     "create NAME",
		Short:   "Create a domain, or a sub-domain of one",
		Example: "  rollebro domain create skole.kommune.dk\n  rollebro domain create omsorg --parent kommune.dk",
		Args:    cobra.ExactArgs(1),
	}
	cmd.Flags().StringVar(&parent, "parent", "", "`name` of the domain that it is a sub-domain of")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return p.withStore(cmd, false, func(s *store.Store) error {
			name := strings.TrimSpace(args[0])
			if name == "" {
				return errors.New("a domain needs a name")
			}
			var above *uint64
			if parent != "" {
				domains, err := s.Domains(cmd.Context())
				if err != nil {
					return err
				}
				for i := range domains {
					if strings.EqualFold(domains[i].Name, parent) {
						above = &domains[i].ID
						if domains[i].ParentID != nil {
							return fmt.Errorf("%q is a sub-domain itself; there are two levels only", domains[i].Name)
						}
					}
				}
				if above == nil {
					return advise(fmt.Errorf("there is no domain %q", parent), `"rollebro domain list" lists them.`)
				}
			}
			domain, err := s.CreateDomain(cmd.Context(), name, above)
			if errors.Is(err, rolecatalog.ErrDuplicate) {
				return fmt.Errorf("there is a domain %q already; upper and lower case are not told apart", name)
			}
			if err != nil {
				return err
			}
			fmt.Fprintf(p.stdout, "created the domain %s\n", printable(domain.Name))
			return nil
		})
	}
	return cmd
}

func (p *program) domainListCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List the domains", Args: cobra.NoArgs}
	format := outputFlag(cmd, "text", "json")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return p.withStore(cmd, false, func(s *store.Store) error {
			domains, err := s.Domains(cmd.Context())
			if err != nil {
				return err
			}
			if *format == "json" {
				return writeJSON(p.stdout, domains)
			}
			names := make(map[uint64]string, len(domains))
			for _, d := range domains {
				names[d.ID] = d.Name
			}
			rows := make([][]string, 0, len(domains))
			for _, d := range domains {
				parent := ""
				if d.ParentID != nil {
					parent = names[*d.ParentID]
				}
				rows = append(rows, []string{d.Name, parent})
			}
			return table(p.stdout, []string{"DOMAIN", "SUB-DOMAIN OF"}, rows)
		})
	}
	return cmd
}

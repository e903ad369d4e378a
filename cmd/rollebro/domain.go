package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rollebro/rollebro/coredata"
	"github.com/rollebro/rollebro/rolecatalog"
	"github.com/rollebro/rollebro/store"
)

func (p *program) domainCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "domain",
		Short: "Create, list and release the domains that users come from",
		Long: `Users come from domains: the Active Directory of the administration, that of the
schools. "` + rolecatalog.PrimaryDomain + `" is there from the start, and is meant where none is named.`,
	}
	cmd.AddCommand(p.domainCreateCommand(), p.domainListCommand(), p.domainAllowCommand())
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

// findDomain finds a domain by its name, ignoring case, and its master.
func findDomain(cmd *cobra.Command, s *store.Store, name string) (domain, master rolecatalog.Domain, err error) {
	domain, master, err = s.Domain(cmd.Context(), name)
	if errors.Is(err, coredata.ErrNoDomain) {
		err = advise(fmt.Errorf("there is no domain %q", name), `"rollebro domain list" lists them.`)
	}
	return domain, master, err
}

func (p *program) domainAllowCommand() *cobra.Command {
	var by, reason string
	cmd := &cobra.Command{
		Use:   "allow-next-load NAME --by NAME --reason TEXT",
		Short: "Let one load through that the guard against mass changes refuses",
		Long: `A load that would lock or replace too many people of a domain is refused, with the
figures. If they are right, this lets exactly one such load through: the next one of the
domain or of one of its sub-domains, within 24 hours. Loads that the guard has nothing
against do not use it up. Name and reason go into the audit trail.`,
		Example: `  rollebro domain allow-next-load kommune.dk --by "Bodil Thorup" --reason "the school is closed, case 26-1234"`,
		Args:    cobra.ExactArgs(1),
	}
	cmd.Flags().StringVar(&by, "by", "", "`name` of the person who allows it")
	cmd.Flags().StringVar(&reason, "reason", "", "why it is right, as `text`")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		by, reason = strings.TrimSpace(by), strings.TrimSpace(reason)
		if by == "" || reason == "" {
			return advise(errors.New("it needs a name and a reason"), "Give --by NAME and --reason TEXT.")
		}
		if rolecatalog.HoldsCPR(by) || rolecatalog.HoldsCPR(reason) {
			return advise(errors.New("the name or the reason holds a CPR number"), "It would stay in the audit trail for good; leave it out.")
		}
		return p.withStore(cmd, false, func(s *store.Store) error {
			_, master, err := findDomain(cmd, s, args[0])
			if err != nil {
				return err
			}
			if err := s.AddRelease(cmd.Context(), &coredata.Release{DomainID: master.ID, By: by, Reason: reason, CreatedAt: p.now()}); err != nil {
				return err
			}
			err = p.audit(cmd, s, rolecatalog.AuditEvent{
				Actor: by, Action: rolecatalog.AuditDomain, Reason: reason, Detail: "one load of " + master.Name + " may pass the guard against mass changes",
			})
			if err != nil {
				return err
			}
			fmt.Fprintf(p.stdout, "One load of %s may pass the guard against mass changes.\n", printable(master.Name))
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

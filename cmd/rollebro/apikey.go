package main

import (
	"errors"
	"fmt"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/rollebro/rollebro/apikeys"
	"github.com/rollebro/rollebro/rolecatalog"
	"github.com/rollebro/rollebro/store"
)

func (p *program) apikeyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "apikey",
		Short: "Create, list and revoke the keys of the interfaces",
		Long: `Who calls an interface shows a key in the header ApiKey. A key has a role, may be limited
to some domains, and may end by itself. It is shown once, when it is made; only a hash of
it is kept.`,
	}
	cmd.AddCommand(p.apikeyCreateCommand(), p.apikeyListCommand(), p.apikeyRevokeCommand())
	return cmd
}

func (p *program) apikeyCreateCommand() *cobra.Command {
	var role, name, expires string
	var domains []string
	cmd := &cobra.Command{
		Use:   "create --role ROLE",
		Short: "Create a key and show it, this once",
		Long: `Creates a key and writes it to standard output, alone on a line: it cannot be shown
again. The roles are coredata (loads by the CoreData API), organisation (loads by the
organisation API), read (reading only) and admin (everything).`,
		Example: `  rollebro apikey create --role coredata --domain kommune.dk --name ADSync
  rollebro apikey create --role coredata --expires 2027-12-31`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().StringVar(&role, "role", "", "what the key may do: coredata, organisation, read or admin")
	cmd.Flags().StringArrayVar(&domains, "domain", nil, "`name` of a master domain that the key is for; may be given again (default: all)")
	cmd.Flags().StringVar(&name, "name", "", "`name` of the client, for people")
	cmd.Flags().StringVar(&expires, "expires", "", "last `day` on which the key works, e.g. 2027-12-31 (default: no end)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if role == "" {
			return advise(errors.New("a key needs a role"), "Give --role coredata, organisation, read or admin.")
		}
		request := apikeys.Request{Name: name, Role: apikeys.Role(role), CreatedBy: operator(), At: p.now()}
		if expires != "" {
			day, err := time.ParseInLocation(time.DateOnly, expires, rolecatalog.Copenhagen())
			if err != nil {
				return advise(fmt.Errorf("%q is not a day", expires), "Write it as in 2027-12-31.")
			}
			end := day.AddDate(0, 0, 1)
			request.ExpiresAt = &end
		}
		return p.withStore(cmd, false, func(s *store.Store) error {
			for _, given := range domains {
				domain, master, err := findDomain(cmd, s, given)
				if err != nil {
					return err
				}
				if domain.ID != master.ID {
					return advise(fmt.Errorf("%q is a sub-domain, and a key is for master domains", domain.Name), "Give --domain %q.", master.Name)
				}
				request.Domains = append(request.Domains, domain.Name)
			}
			key, kept, err := apikeys.Create(cmd.Context(), s, request)
			if err != nil {
				return err
			}
			if err := p.recordKey(cmd, s, kept, "created"); err != nil {
				return err
			}
			fmt.Fprintln(p.stdout, key)
			fmt.Fprintf(p.stderr, "This is key %d, with the role %s. Keep it safe: it cannot be shown again.\n", kept.ID, kept.Role)
			return nil
		})
	}
	return cmd
}

// operator is who runs the command, as the machine knows him.
func operator() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return ""
}

// recordKey puts what happened to a key into the audit trail.
func (p *program) recordKey(cmd *cobra.Command, s *store.Store, k apikeys.Key, what string) error {
	return p.audit(cmd, s, rolecatalog.AuditEvent{
		Actor: operator(), Action: rolecatalog.AuditAPIKey, Reason: what,
		Detail: fmt.Sprintf("key %d (%s…) %s, role %s, for %s", k.ID, k.Prefix, k.Name, k.Role, keyDomains(k)),
	})
}

// audit adds an event to the audit trail.
func (p *program) audit(cmd *cobra.Command, s *store.Store, event rolecatalog.AuditEvent) error {
	c, err := p.loadConfig()
	if err != nil {
		return err
	}
	event.At = p.now()
	return s.Commit(cmd.Context(), &rolecatalog.Changes{CVR: c.CVR, Audit: []rolecatalog.AuditEvent{event}})
}

func keyDomains(k apikeys.Key) string {
	if len(k.Domains) == 0 {
		return "all domains"
	}
	return strings.Join(k.Domains, ", ")
}

func (p *program) apikeyListCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List the keys, by their first characters", Args: cobra.NoArgs}
	format := outputFlag(cmd, "text", "json")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return p.withStore(cmd, false, func(s *store.Store) error {
			keys, err := s.Keys(cmd.Context())
			if err != nil {
				return err
			}
			if *format == "json" {
				return writeJSON(p.stdout, keys)
			}
			rows := make([][]string, 0, len(keys))
			for _, k := range keys {
				state := "in use"
				switch {
				case k.RevokedAt != nil:
					state = "revoked " + moment(k.RevokedAt)
				case k.Expired(p.now()):
					state = "expired " + moment(k.ExpiresAt)
				case k.ExpiresAt != nil:
					state = "until " + moment(k.ExpiresAt)
				}
				rows = append(rows, []string{
					strconv.FormatUint(k.ID, 10), k.Prefix + "…", k.Name, string(k.Role), keyDomains(k), moment(&k.CreatedAt), moment(k.LastUsedAt), state,
				})
			}
			return table(p.stdout, []string{"ID", "KEY", "NAME", "ROLE", "DOMAINS", "CREATED", "LAST USED", "STATE"}, rows)
		})
	}
	return cmd
}

func (p *program) apikeyRevokeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "revoke ID",
		Short: "End a key at once and for good",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := strconv.ParseUint(args[0], 10, 64)
			if err != nil {
				return advise(fmt.Errorf("%q is not the id of a key", args[0]), `"rollebro apikey list" lists them.`)
			}
			return p.withStore(cmd, false, func(s *store.Store) error {
				keys, err := s.Keys(cmd.Context())
				if err != nil {
					return err
				}
				at := slices.IndexFunc(keys, func(k apikeys.Key) bool { return k.ID == id })
				if at < 0 {
					return advise(fmt.Errorf("there is no key %d", id), `"rollebro apikey list" lists them.`)
				}
				if err := s.RevokeKey(cmd.Context(), id, p.now()); err != nil {
					return err
				}
				if err := p.recordKey(cmd, s, keys[at], "revoked"); err != nil {
					return err
				}
				fmt.Fprintf(p.stdout, "key %d is revoked\n", id)
				return nil
			})
		},
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/rollebro/rollebro/nemlogin/simulator"
)

// tryCommands are those that need no MitID Erhverv.
func (p *program) tryCommands() []*cobra.Command {
	return []*cobra.Command{p.demoCommand(), p.simulatorCommand()}
}

func (p *program) simulatorCommand() *cobra.Command {
	var (
		opts   simulator.Options
		dir    string
		faults string
		list   bool
	)
	cmd := &cobra.Command{
		Use:   "simulator",
		Short: "Run a MitID Erhverv of our own, to try things out on",
		Long: `Runs a MitID Erhverv of our own: an organisation with invented people, roles and
P-numbers that answers the same calls with the same quirks, until it is stopped.

--dir writes what is needed to connect: keystore.p12, keystore.password, ca.pem,
users.csv and env, the settings. --inspect serves what it holds and what it was asked,
in plain HTTP for this machine only: /simulator/state, /simulator/requests,
/simulator/faults.`,
		Example: `  rollebro simulator --dir d
  rollebro simulator --dir d --users 1000 --latency 20ms --faults service-unavailable=0.05,slow
  rollebro simulator --list-faults`,
		Args: cobra.NoArgs,
	}
	f := cmd.Flags()
	f.StringVar(&opts.Listen, "listen", simulator.DefaultListen, "`address` to serve the calls on, with mutual TLS")
	f.StringVar(&opts.Inspect, "inspect", simulator.DefaultInspect, "`address` of this machine to be looked at on; \"\" for none")
	f.StringVar(&dir, "dir", "", "`directory` to write keystore, users and settings to")
	f.IntVar(&opts.Users, "users", 100, "`number` of users")
	f.IntVar(&opts.Roles, "roles", 200, "`number` of roles in the catalogue")
	f.Uint64Var(&opts.Seed, "seed", 1, "`number` that chooses the world: the same one gives the same people and roles")
	f.DurationVar(&opts.Latency, "latency", 0, "`time` added to every answer, e.g. 20ms")
	f.StringVar(&faults, "faults", "", "what goes wrong, and how often: `name=rate,…`; a name alone is always")
	f.BoolVar(&list, "list-faults", false, "list the names for --faults and end")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if list {
			var rows [][]string
			for _, b := range simulator.Behaviours() {
				kind := "fault"
				if b.Base {
					kind = "on"
				}
				rows = append(rows, []string{b.Name, kind, b.Text})
			}
			return table(p.stdout, []string{"NAME", "", "WHAT IT DOES"}, rows)
		}
		var err error
		if opts.Faults, err = simulator.ParseFaults(faults); err != nil {
			return advise(err, `"rollebro simulator --list-faults" lists their names.`)
		}
		// Nought means none to a person, and the default to the simulator.
		for _, n := range []*int{&opts.Users, &opts.Roles} {
			if *n == 0 {
				*n = -1
			}
		}
		opts.Logger = p.log
		s, err := simulator.New(opts)
		if err != nil {
			return err
		}
		if err := s.Start(); err != nil {
			if _, ok := errors.AsType[*net.OpError](err); ok {
				return advise(err, "End the program that has the address, or give another: --listen is for the calls, --inspect to be looked at.")
			}
			return err
		}
		err = p.simulate(cmd, s, dir)
		// Its clients' connections are cut: nothing is lost with it.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(cmd.Context()), time.Second)
		defer cancel()
		return errors.Join(err, s.Close(ctx))
	}
	return cmd
}

// simulate tells what to do next and waits for the end.
func (p *program) simulate(cmd *cobra.Command, s *simulator.Simulator, dir string) error {
	state := s.State()
	fmt.Fprintf(p.stdout, "MitID Erhverv of CVR %s with %s and %s, at %s\n", s.CVR(),
		counted(len(state.Identities), "identity", "identities"), counted(len(state.Roles), "role", "roles"), s.URL())
	if inspect := s.InspectURL(); inspect != "" {
		fmt.Fprintf(p.stdout, "To be looked at on %s/simulator/state\n", inspect)
	}
	if dir != "" {
		if err := s.WriteDir(dir); err != nil {
			return err
		}
		fmt.Fprintf(p.stdout, `
Keystore, users and settings are in %[1]s. Next, in another terminal:
  set -a; . %[2]s; set +a
  rollebro users load %[3]s
  rollebro import
  rollebro plan
  rollebro serve
`, printable(dir), printable(filepath.Join(dir, "env")), printable(filepath.Join(dir, "users.csv")))
	}
	fmt.Fprintln(p.stdout, "\nStop with Ctrl-C.")
	<-cmd.Context().Done()
	return nil
}

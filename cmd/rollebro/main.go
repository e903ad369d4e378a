// Command rollebro keeps the roles of an organisation in MitID Erhverv equal to those of its role catalogue.
//
// "rollebro help" lists the commands. Settings come from environment variables and a YAML file; "rollebro config show"
// lists them all.
package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"
	_ "time/tzdata" // days and hours are Danish on machines without time zone data too

	"github.com/sirupsen/logrus"

	"github.com/rollebro/rollebro/nemlogin"
)

// version is set by the linker.
var version = "dev"

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr))
}

// program is what every command has: where it reads and writes, and the clock.
type program struct {
	environ        []string
	stdin          io.Reader
	stdout, stderr io.Writer
	now            func() time.Time
	log            *logrus.Logger

	configFile string // --config
	// talkative commands log what goes on. The others say it themselves, and log only what is odd unless rc.log.level is set.
	talkative bool

	// What the demo sets otherwise than the service does; zero values are the defaults.
	retry   nemlogin.RetryPolicy
	backoff []time.Duration // of looking again at writes that don't show yet
}

// run is the whole program, and returns its exit code.
func run(ctx context.Context, args, environ []string, stdin io.Reader, stdout, stderr io.Writer) int {
	p := &program{environ: environ, stdin: stdin, stdout: stdout, stderr: stderr, now: time.Now, log: newLogger(stderr)}
	return p.run(ctx, args)
}

// run runs one command and returns the exit code. The first signal ends ctx, so that the command comes to an orderly end;
// the second kills the process.
func (p *program) run(ctx context.Context, args []string) (code int) {
	defer func() {
		if v := recover(); v != nil {
			code = p.report(&panicError{value: v, stack: debug.Stack()})
		}
	}()
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	defer context.AfterFunc(ctx, stop)()

	root := newRoot(p) //nolint:contextcheck // the commands have the context that they are run with
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if ctx.Err() != nil && err != nil && errors.Is(err, context.Canceled) {
		err = errInterrupted
	}
	return p.report(err)
}

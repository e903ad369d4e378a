//go:build unix

package storetest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// errMissing says how to get what the tests need.
var errMissing = errors.New("MariaDB's programs are not installed: run \"make setup\", or " +
	"\"apt-get install --no-install-recommends mariadb-server-core mariadb-client-core\"")

// programs are the paths of MariaDB's server and of the script that prepares a directory.
type programs struct{ server, initialise string }

// findPrograms looks along the search path by look, which is [exec.LookPath], and then in
// more directories: Debian puts servers into /usr/sbin, which is not on every person's path.
func findPrograms(look func(string) (string, error), more ...string) (programs, error) {
	find := func(name string) (string, error) {
		if path, err := look(name); err == nil {
			return path, nil
		}
		for _, directory := range more {
			if path, err := exec.LookPath(filepath.Join(directory, name)); err == nil {
				return path, nil
			}
		}
		return "", fmt.Errorf("%w (%s is missing)", errMissing, name)
	}
	server, err := find("mariadbd")
	if err != nil {
		return programs{}, err
	}
	initialise, err := find("mariadb-install-db")
	if err != nil {
		return programs{}, err
	}
	return programs{server: server, initialise: initialise}, nil
}

// settings hold both while a directory is initialised and while it is served. The
// settings of the machine's own MariaDB are not read.
func settings(data string) []string {
	arguments := []string{
		"--no-defaults",
		"--datadir=" + data,
		"--innodb-log-file-size=8M",
		"--skip-innodb-use-native-aio", // containers often allow none
	}
	if os.Geteuid() == 0 {
		arguments = append(arguments, "--user=root") // which it must be told to accept
	}
	return arguments
}

func (p programs) serverCommand(data string) []string {
	return append([]string{p.server}, settings(data)...)
}

// template returns a directory as mariadb-install-db leaves it. Making one takes more than
// half a second, so it is kept in base, by the server's version, and copied. One that has
// lost files is made anew: some systems clear old files out of /tmp one by one.
func template(ctx context.Context, found programs, base string) (string, error) {
	version, err := exec.CommandContext(ctx, found.server, "--no-defaults", "--version").Output()
	if err != nil {
		return "", fmt.Errorf("asking %s for its version: %w", found.server, err)
	}
	digest := sha256.Sum256([]byte(found.server + string(version) + strings.Join(settings(""), " ")))
	kept := filepath.Join(base, "template-"+hex.EncodeToString(digest[:8]))
	data := filepath.Join(kept, "data")
	if wanted, err := os.ReadFile(filepath.Join(kept, "files")); err == nil {
		if present, err := list(data); err == nil && present == string(wanted) {
			return data, nil
		}
	}
	if err := os.RemoveAll(kept); err != nil {
		return "", fmt.Errorf("removing an incomplete template: %w", err)
	}
	fresh, err := os.MkdirTemp(base, "init-")
	if err != nil {
		return "", fmt.Errorf("making a directory to initialise: %w", err)
	}
	defer os.RemoveAll(fresh)
	if err := initialise(ctx, found, fresh); err != nil {
		return "", err
	}
	// Another process may have been faster; its template is as good.
	if err := os.Rename(fresh, kept); err != nil && !errors.Is(err, os.ErrExist) {
		return "", fmt.Errorf("keeping the initialised directory: %w", err)
	}
	return data, nil
}

// initialise makes directory/data, and directory/files that lists what is in it.
func initialise(ctx context.Context, found programs, directory string) error {
	data := filepath.Join(directory, "data")
	arguments := append(settings(data), "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve")
	if output, err := exec.CommandContext(ctx, found.initialise, arguments...).CombinedOutput(); err != nil {
		return fmt.Errorf("initialising a database directory with %s: %w\n%s", found.initialise, err, tail(output))
	}
	files, err := list(data)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(directory, "files"), []byte(files), 0o600); err != nil {
		return fmt.Errorf("listing the initialised directory: %w", err)
	}
	return nil
}

// list names every file below directory with its size, one a line.
func list(directory string) (string, error) {
	var files strings.Builder
	err := filepath.WalkDir(directory, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		fmt.Fprintf(&files, "%s %d\n", strings.TrimPrefix(path, directory), info.Size())
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("listing %s: %w", directory, err)
	}
	return files.String(), nil
}

// process is a running server with its keeper, a shell that outlives this process just
// long enough to end the server and remove its files.
type process struct {
	command *exec.Cmd
	alive   *os.File // the keeper acts when this closes: by stop, or by the system when we are gone
	ended   *os.File // reads end-of-file when server and keeper are gone
	log     *os.File
}

// keeper starts the server given as its arguments, and ends it when descriptor 3 reads
// end-of-file, which happens however this process ends: by return, panic or SIGKILL.
const keeper = `
directory=$1; shift
"$@" 3<&- & server=$!
{ read -r _ <&3; kill -9 "$server"; } 2>/dev/null 4>&- & watch=$!
exec 3<&-
wait "$server"; code=$?
kill "$watch" 2>/dev/null
rm -rf "$directory"
exit "$code"
`

// launch starts command under a keeper that owns directory. It leaves no goroutine behind,
// so tests that look for leaked ones find none of ours.
func launch(ctx context.Context, directory string, command []string) (_ *process, err error) {
	log, err := os.OpenFile(filepath.Join(directory, "log"), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the server's log: %w", err)
	}
	aliveRead, aliveWrite, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening a pipe to the server's keeper: %w", err), log.Close())
	}
	endedRead, endedWrite, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening a pipe from the server's keeper: %w", err), log.Close(), aliveRead.Close(), aliveWrite.Close())
	}
	// The server outlives the test whose context this is.
	shell := exec.CommandContext(context.WithoutCancel(ctx), "/bin/sh", append([]string{"-c", keeper, "keeper", directory}, command...)...)
	shell.Dir = "/"
	shell.Stdout, shell.Stderr = log, log
	shell.ExtraFiles = []*os.File{aliveRead, endedWrite} // descriptors 3 and 4
	// A process group of its own: Ctrl-C in the terminal is for the tests, and the keeper
	// tidies up after them.
	shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	err = shell.Start()
	err = errors.Join(err, aliveRead.Close(), endedWrite.Close())
	started := &process{command: shell, alive: aliveWrite, ended: endedRead, log: log}
	if err != nil {
		if shell.Process != nil {
			started.stop()
		}
		return nil, fmt.Errorf("starting the server's keeper: %w", err)
	}
	return started, nil
}

// await returns nil as soon as ready says so, and an error with the end of the log when
// the server ends before that or takes longer than startTimeout.
func (p *process) await(ctx context.Context, ready func() bool) error {
	limit := time.Now().Add(startTimeout)
	for {
		if ready() {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("waiting for the server: %w", err)
		}
		// Nobody writes here, so this waits 10 ms, or less when the server ended.
		if err := p.ended.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
			return fmt.Errorf("waiting for the server: %w", err)
		}
		_, err := p.ended.Read(make([]byte, 1))
		switch {
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return fmt.Errorf("the server ended while starting:\n%s", p.tail())
		case time.Now().After(limit):
			return fmt.Errorf("the server did not answer within %s:\n%s", startTimeout, p.tail())
		}
	}
}

// tail reads the end of the log, also when the file's name is gone already.
func (p *process) tail() string {
	size, err := p.log.Seek(0, io.SeekEnd)
	if err != nil {
		return "(no log: " + err.Error() + ")"
	}
	text, err := io.ReadAll(io.NewSectionReader(p.log, max(0, size-16<<10), 16<<10))
	if err != nil {
		return "(no log: " + err.Error() + ")"
	}
	return tail(text)
}

// stop ends the server and waits until it and its files are gone.
func (p *process) stop() {
	_ = p.alive.Close()
	_ = p.command.Wait() // killed, so its exit code says nothing
	_ = p.ended.Close()
	_ = p.log.Close()
}

// tail returns the last lines of a server's log, for an error text.
func tail(log []byte) string {
	lines := strings.Split(strings.TrimSpace(string(log)), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n")
}

//go:build unix

package storetest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
)

// startTimeout is how long a server may take until it answers. It takes about a tenth of
// a second; the rest is for machines on which every core is busy.
const startTimeout = time.Minute

// shared is the server of this test process, started by the first test that asks for a
// database. It is never stopped by a test: it ends with the process (see launch).
var shared struct {
	sync.Mutex
	server *Server
}

// MariaDB returns the data source name, in the format of github.com/go-sql-driver/mysql,
// of a new and empty MariaDB database on a throw-away server of this test process.
//
// The name carries no parameters, the database has the server's own default character
// set (latin1), and its user may do anything in it and nothing elsewhere: what the store
// needs beyond that, it has to ask for itself. The database is dropped when the test ends.
// Tests may run in parallel; the server is one, started once.
//
// A machine without MariaDB fails the test and names the packages to install.
func MariaDB(tb testing.TB) string {
	tb.Helper()
	return sharedServer(tb).Database(tb)
}

// MariaDBJDBC is [MariaDB] in the words of Spring: a JDBC URL such as
// jdbc:mariadb://127.0.0.1:3306/name, and the user and password that go with it. The
// connection is TCP on the loopback interface.
func MariaDBJDBC(tb testing.TB) (url, user, password string) {
	tb.Helper()
	server := sharedServer(tb)
	account := server.create(tb)
	return "jdbc:mariadb://" + server.address + "/" + account.database, account.database, account.password
}

func sharedServer(tb testing.TB) *Server {
	tb.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.server == nil {
		server, err := startServer(tb.Context())
		if err != nil {
			tb.Fatalf("starting MariaDB for the tests: %v", err)
		}
		shared.server = server
	}
	return shared.server
}

// Server is a throw-away MariaDB server. Its durability is switched off for speed: what
// was committed survives the end of a client, not the end of the server.
type Server struct {
	directory string        // holds data, socket and log; removed when the server ends
	socket    string        // path of the Unix socket; root needs no password there
	address   string        // host:port on the loopback interface
	process   *process      // the server and its keeper
	stopped   atomic.Bool   // by Stop
	databases atomic.Uint64 // created so far; numbers the next one
}

// StartMariaDB starts a server for one test alone, for instance one that takes the
// database away from a running program. The arguments, such as "--max-connections=2", are
// added to those of the shared server and win over them. It is stopped when the test ends.
func StartMariaDB(tb testing.TB, arguments ...string) *Server {
	tb.Helper()
	server, err := startServer(tb.Context(), arguments...)
	if err != nil {
		tb.Fatalf("starting MariaDB for one test: %v", err)
	}
	tb.Cleanup(server.Stop)
	return server
}

// Stop ends the server at once, as a power cut would, waits until it is gone and removes
// its files. Stopping twice does nothing.
func (s *Server) Stop() {
	if s.stopped.CompareAndSwap(false, true) {
		s.process.stop()
	}
}

// Database is [MariaDB] on this server.
func (s *Server) Database(tb testing.TB) string {
	tb.Helper()
	account := s.create(tb)
	config := mysql.NewConfig()
	config.Net, config.Addr = "unix", s.socket
	config.User, config.Passwd, config.DBName = account.database, account.password, account.database
	return config.FormatDSN()
}

// account is a database and the user, of the same name, that owns it.
type account struct{ database, password string }

// create makes a database with a user of its own, and has both removed when tb ends.
func (s *Server) create(tb testing.TB) account {
	tb.Helper()
	made := account{
		database: fmt.Sprintf("rollebro_%d", s.databases.Add(1)),
		password: rand.Text(),
	}
	// Names and password are our own letters and digits, so there is nothing to escape.
	// The second grant holds for TCP: without name look-up it comes from 127.0.0.1.
	err := s.administer(tb.Context(),
		"CREATE DATABASE "+made.database,
		"CREATE USER "+made.database+"@'%' IDENTIFIED BY '"+made.password+"'",
		"GRANT ALL ON "+made.database+".* TO "+made.database+"@'%'",
	)
	if err != nil {
		tb.Fatalf("creating a database for the test: %v", err)
	}
	tb.Cleanup(func() {
		if s.stopped.Load() {
			return
		}
		err := s.administer(context.WithoutCancel(tb.Context()),
			"DROP USER "+made.database+"@'%'",
			"SET lock_wait_timeout = 10",
			"DROP DATABASE "+made.database,
		)
		if err != nil {
			tb.Errorf("dropping the test's database (is a transaction still open?): %v", err)
		}
	})
	return made
}

// administer runs statements as root on one connection, which it opens and closes: an idle
// pool would be a leaked goroutine to tests that look for such.
func (s *Server) administer(ctx context.Context, statements ...string) (err error) {
	config := mysql.NewConfig()
	config.User, config.Net, config.Addr = "root", "unix", s.socket
	config.Logger = new(mysql.NopLogger) // every error is returned; a starting server makes many
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return fmt.Errorf("preparing the connection: %w", err)
	}
	pool := sql.OpenDB(connector)
	defer func() { err = errors.Join(err, pool.Close()) }()
	connection, err := pool.Conn(ctx)
	if err != nil {
		return fmt.Errorf("connecting to %s: %w", s.socket, err)
	}
	defer func() { err = errors.Join(err, connection.Close()) }()
	for _, statement := range statements {
		if _, err := connection.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("running %.24q…: %w", statement, err)
		}
	}
	return nil
}

// startServer starts a server and waits until it answers. Somebody may take a port between
// our finding it free and using it; then another is tried.
func startServer(ctx context.Context, arguments ...string) (*Server, error) {
	found, err := findPrograms(exec.LookPath, "/usr/sbin", "/usr/local/sbin")
	if err != nil {
		return nil, err
	}
	base, err := privateDirectory()
	if err != nil {
		return nil, err
	}
	initialised, err := template(ctx, found, base)
	if err != nil {
		return nil, err
	}
	for attempt := 1; ; attempt++ {
		server, err := tryStart(ctx, found, base, initialised, arguments)
		if err == nil {
			return server, nil
		}
		if attempt == 5 || !strings.Contains(err.Error(), "Bind on TCP/IP port") {
			return nil, err
		}
	}
}

func tryStart(ctx context.Context, found programs, base, initialised string, arguments []string) (*Server, error) {
	directory, err := os.MkdirTemp(base, "run-")
	if err != nil {
		return nil, fmt.Errorf("making the server's directory: %w", err)
	}
	server := &Server{directory: directory, socket: filepath.Join(directory, "socket")}
	if err := server.start(ctx, found, initialised, arguments); err != nil {
		return nil, errors.Join(err, os.RemoveAll(directory))
	}
	return server, nil
}

func (s *Server) start(ctx context.Context, found programs, initialised string, arguments []string) error {
	// A Unix socket's path has a fixed room: 104 bytes on BSD, 108 on Linux, zero included.
	if len(s.socket) > 103 {
		return fmt.Errorf("the socket's path is too long for the system (%d bytes): %s; set TMPDIR to a shorter directory", len(s.socket), s.socket)
	}
	data := filepath.Join(s.directory, "data")
	if err := os.CopyFS(data, os.DirFS(initialised)); err != nil {
		return fmt.Errorf("copying the initialised directory: %w", err)
	}
	// Root has no password, which is well on a socket in a directory of our own, and not on
	// a port that everybody on this machine can reach.
	boot := filepath.Join(s.directory, "boot.sql")
	script := "DELETE FROM mysql.global_priv WHERE User <> 'mariadb.sys' AND Host <> 'localhost';\nFLUSH PRIVILEGES;\n"
	if err := os.WriteFile(boot, []byte(script), 0o600); err != nil {
		return fmt.Errorf("writing the server's first statements: %w", err)
	}
	address, err := freeAddress(ctx)
	if err != nil {
		return err
	}
	s.address = address
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("reading the free port: %w", err)
	}
	command := append(found.serverCommand(data),
		"--socket="+s.socket,
		"--pid-file="+filepath.Join(s.directory, "pid"),
		"--tmpdir="+s.directory,
		"--init-file="+boot,
		"--bind-address=127.0.0.1",
		"--port="+port,
		"--skip-name-resolve",
		"--max-connections=400",
		// Nothing of this outlives the test, so nothing waits for the disk.
		"--innodb-flush-method=nosync",
		"--innodb-flush-log-at-trx-commit=0",
		"--skip-innodb-doublewrite",
	)
	s.process, err = launch(ctx, s.directory, append(command, arguments...))
	if err != nil {
		return err
	}
	if err := s.process.await(ctx, func() bool { return s.answers(ctx) }); err != nil {
		s.process.stop()
		return err
	}
	return nil
}

// answers tells whether the server takes connections. It opens its socket before it has
// run its first statements but takes nobody until then.
func (s *Server) answers(ctx context.Context) bool {
	if _, err := os.Stat(s.socket); err != nil {
		return false
	}
	return s.administer(ctx, "DO 1") == nil
}

// freeAddress finds a port of the loopback interface that nobody listens on.
func freeAddress(ctx context.Context) (string, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("looking for a free port: %w", err)
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}

// privateDirectory returns the place of all that storetest keeps, which must be ours
// alone: others could leave files there that the server would believe.
func privateDirectory() (string, error) {
	path := filepath.Join(os.TempDir(), fmt.Sprintf("rollebro-mariadb-%d", os.Geteuid()))
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return "", fmt.Errorf("making a directory for test databases: %w", err)
	}
	info, err := os.Lstat(path)
	if err != nil {
		return "", fmt.Errorf("checking the directory for test databases: %w", err)
	}
	owner, known := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || info.Mode().Perm() != 0o700 || !known || int(owner.Uid) != os.Geteuid() {
		return "", fmt.Errorf("%s is not a directory of this user alone (%s): remove it, or set TMPDIR", path, info.Mode())
	}
	return path, nil
}

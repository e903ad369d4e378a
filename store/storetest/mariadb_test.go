//go:build unix

package storetest

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"go.uber.org/goleak"
)

func open(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	config, err := mysql.ParseDSN(dsn)
	if err != nil {
		t.Fatalf("reading the data source name %q: %v", dsn, err)
	}
	config.Logger = new(mysql.NopLogger) // some tests take the server away on purpose
	connector, err := mysql.NewConnector(config)
	if err != nil {
		t.Fatalf("opening %q: %v", dsn, err)
	}
	pool := sql.OpenDB(connector)
	t.Cleanup(func() {
		if err := pool.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return pool
}

func exec1(t *testing.T, pool *sql.DB, statement string) {
	t.Helper()
	if _, err := pool.ExecContext(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func count(t *testing.T, pool *sql.DB, query string, arguments ...any) int {
	t.Helper()
	var n int
	if err := pool.QueryRowContext(t.Context(), query, arguments...).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

func TestMariaDBGivesEveryTestAnEmptyDatabaseOfItsOwn(t *testing.T) {
	t.Parallel()
	const tables = "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE()"
	first, second := open(t, MariaDB(t)), open(t, MariaDB(t))
	exec1(t, first, "CREATE TABLE t (id INT)")
	if got := count(t, first, tables); got != 1 {
		t.Errorf("tables in the first database: %d, want 1", got)
	}
	if got := count(t, second, tables); got != 0 {
		t.Errorf("tables in the second database: %d, want 0", got)
	}
}

func TestMariaDBIsDroppedWithItsUserAfterTheTest(t *testing.T) {
	t.Parallel()
	server := StartMariaDB(t)
	var config *mysql.Config
	t.Run("inner", func(t *testing.T) {
		dsn := server.Database(t)
		var err error
		if config, err = mysql.ParseDSN(dsn); err != nil {
			t.Fatal(err)
		}
		exec1(t, open(t, dsn), "CREATE TABLE t (id INT)")
	})
	root := open(t, "root@unix("+server.socket+")/")
	if got := count(t, root, "SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name = ?", config.DBName); got != 0 {
		t.Errorf("database %s is still there", config.DBName)
	}
	if got := count(t, root, "SELECT COUNT(*) FROM mysql.user WHERE User = ?", config.User); got != 0 {
		t.Errorf("user %s is still there", config.User)
	}
}

func TestMariaDBUserMayDoNothingElsewhere(t *testing.T) {
	t.Parallel()
	pool := open(t, MariaDB(t))
	other, err := mysql.ParseDSN(MariaDB(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{
		"CREATE DATABASE elsewhere",
		"USE " + other.DBName,
		"SELECT * FROM mysql.global_priv",
		"SET GLOBAL max_connections = 1",
	} {
		_, err := pool.ExecContext(t.Context(), statement)
		if refused := (*mysql.MySQLError)(nil); !errors.As(err, &refused) {
			t.Errorf("%s: %v, want the server's refusal", statement, err)
		}
	}
}

func TestMariaDBJDBCConnectsOverTCP(t *testing.T) {
	t.Parallel()
	url, user, password := MariaDBJDBC(t)
	rest, isJDBC := strings.CutPrefix(url, "jdbc:mariadb://")
	address, database, whole := strings.Cut(rest, "/")
	if !isJDBC || !whole || !strings.HasPrefix(address, "127.0.0.1:") {
		t.Fatalf("URL %q is not jdbc:mariadb://127.0.0.1:PORT/DATABASE", url)
	}
	pool := open(t, fmt.Sprintf("%s:%s@tcp(%s)/%s", user, password, address, database))
	exec1(t, pool, "CREATE TABLE t (id INT)")

	for _, dsn := range []string{
		fmt.Sprintf("root@tcp(%s)/", address),
		fmt.Sprintf("%s@tcp(%s)/%s", user, address, database),
	} {
		if err := open(t, dsn).PingContext(t.Context()); err == nil {
			t.Errorf("%s: let in over TCP without a password", dsn)
		}
	}
}

func TestMariaDBStopEndsTheServerAndRemovesItsFiles(t *testing.T) {
	t.Parallel()
	server := StartMariaDB(t, "--max-connections=23")
	pool := open(t, server.Database(t))
	if got := count(t, pool, "SELECT @@max_connections"); got != 23 {
		t.Errorf("max_connections is %d, want the caller's 23", got)
	}
	server.Stop()
	if err := pool.PingContext(t.Context()); err == nil {
		t.Error("a stopped server still answers")
	}
	if _, err := os.Stat(server.directory); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("files of a stopped server: %v, want none", err)
	}
	server.Stop() // twice does nothing
}

func TestMariaDBLeavesNoGoroutineBehind(t *testing.T) {
	// Not parallel: other tests' goroutines would be found.
	before := goleak.IgnoreCurrent()
	t.Run("inner", func(t *testing.T) {
		_ = MariaDB(t)
		_ = StartMariaDB(t).Database(t)
	})
	goleak.VerifyNone(t, before)
}

func TestMariaDBThatCannotStartSaysWhy(t *testing.T) {
	t.Parallel()
	_, err := startServer(t.Context(), "--no-such-option=1")
	if err == nil || !strings.Contains(err.Error(), "no-such-option") {
		t.Errorf("error %v does not quote the server's complaint", err)
	}
}

func TestMariaDBMissingNamesTheRemedy(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	nowhere := func(string) (string, error) { return "", exec.ErrNotFound }
	// A file that is there but is no program does not count.
	if err := os.WriteFile(filepath.Join(directory, "mariadbd"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := findPrograms(nowhere, directory)
	if !errors.Is(err, errMissing) {
		t.Fatalf("error %v, want errMissing", err)
	}
	for _, remedy := range []string{"make setup", "apt-get install", "mariadb-server-core"} {
		if !strings.Contains(err.Error(), remedy) {
			t.Errorf("%q does not name %q", err, remedy)
		}
	}
}

func TestMariaDBMendsABrokenTemplate(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	first, err := startServer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	first.Stop()
	kept, err := filepath.Glob(filepath.Join(os.TempDir(), "rollebro-mariadb-*", "template-*", "data", "mysql"))
	if err != nil || len(kept) != 1 {
		t.Fatalf("templates %q, %v; want one", kept, err)
	}
	if err := os.RemoveAll(kept[0]); err != nil { // as a cleaner of old files would
		t.Fatal(err)
	}
	second, err := startServer(t.Context())
	if err != nil {
		t.Fatalf("with a broken template: %v", err)
	}
	second.Stop()
}

func TestMariaDBRefusesADirectoryThatOthersCanReach(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	shared := filepath.Join(os.TempDir(), fmt.Sprintf("rollebro-mariadb-%d", os.Geteuid()))
	if err := os.Mkdir(shared, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(shared, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := startServer(t.Context()); err == nil || !strings.Contains(err.Error(), shared) {
		t.Errorf("error %v does not name the directory %s", err, shared)
	}
}

// endingEnv makes this test binary a child process that starts a server and ends in the
// way that the variable names.
const endingEnv = "ROLLEBRO_STORETEST_ENDING"

func TestMariaDBChildThatEnds(t *testing.T) {
	ending := os.Getenv(endingEnv)
	if ending == "" {
		return // the parent below starts it
	}
	MariaDB(t)
	pid, err := os.ReadFile(filepath.Join(shared.server.directory, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("%s %s\n", strings.TrimSpace(string(pid)), shared.server.directory)
	switch ending {
	case "return":
	case "panic":
		panic("on purpose")
	case "exit":
		os.Exit(3)
	case "kill":
		if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		select {} // SIGKILL needs a moment
	}
}

func TestMariaDBEndsWithTheProcessThatStartedIt(t *testing.T) {
	t.Parallel()
	for _, ending := range []string{"return", "panic", "exit", "kill"} {
		t.Run(ending, func(t *testing.T) {
			t.Parallel()
			child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestMariaDBChildThatEnds$", "-test.count=1")
			child.Env = append(os.Environ(), endingEnv+"="+ending)
			output, err := child.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := child.Start(); err != nil {
				t.Fatal(err)
			}
			var pid int
			var directory string
			line, err := bufio.NewReader(output).ReadString('\n')
			if err != nil {
				t.Fatalf("reading what the child started: %v", err)
			}
			if _, err := fmt.Sscanf(line, "%d %s", &pid, &directory); err != nil {
				t.Fatalf("child said %q: %v", line, err)
			}
			if err := child.Wait(); (err == nil) != (ending == "return") {
				t.Errorf("child ended with %v", err)
			}
			within(t, 20*time.Second, "the server is gone", func() bool {
				return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
			})
			within(t, 20*time.Second, "its files are gone", func() bool {
				_, err := os.Stat(directory)
				return errors.Is(err, os.ErrNotExist)
			})
		})
	}
}

// within polls, because what it waits for is another process that has no way to tell us.
func within(t *testing.T, limit time.Duration, what string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for !done() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			t.Fatalf("not within %s: %s", limit, what)
		}
	}
}

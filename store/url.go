package store

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
)

// target is where a database is.
type target struct {
	file     string        // SQLite's file; empty with mysql, and for memory
	memory   bool          // SQLite without a file
	mysql    *mysql.Config // nil: SQLite
	warnings []string      // about parts of the URL that have no effect here
}

// place names the target in messages, without secrets.
func (t *target) place() string {
	switch {
	case t.mysql != nil:
		return "database " + t.mysql.DBName + " at " + t.mysql.Addr
	case t.memory:
		return "the SQLite database in memory"
	}
	return "SQLite file " + t.file
}

// IsSQLite reports whether a URL names an SQLite file, or the default one.
func IsSQLite(raw string) bool {
	t, err := parseURL(raw, "", "")
	return err == nil && t.mysql == nil
}

// parseURL reads the kinds of URL that Options.URL names. Its errors don't repeat the URL: it may hold a password.
func parseURL(raw, username, password string) (*target, error) {
	raw = strings.TrimSpace(raw)
	jdbc, isJDBC := strings.CutPrefix(raw, "jdbc:")
	switch {
	case strings.HasPrefix(jdbc, "sqlite:"):
		return sqliteTarget(strings.TrimPrefix(jdbc, "sqlite:"))
	case isJDBC && (strings.HasPrefix(jdbc, "mariadb:") || strings.HasPrefix(jdbc, "mysql:")):
		return jdbcTarget(jdbc, username, password)
	case isJDBC:
		kind, _, _ := strings.Cut(jdbc, ":")
		return nil, fmt.Errorf("database URL: jdbc:%s is not supported; use jdbc:mariadb://host/database, jdbc:mysql://host/database or sqlite:FILE", kind)
	case strings.HasPrefix(raw, "mariadb://"), strings.HasPrefix(raw, "mysql://"):
		return jdbcTarget(raw, username, password)
	case strings.HasPrefix(raw, "mysql:"):
		return dsnTarget(strings.TrimPrefix(raw, "mysql:"), username, password)
	case strings.Contains(raw, "://"):
		kind, _, _ := strings.Cut(raw, "://")
		return nil, fmt.Errorf("database URL: %q is not supported; use jdbc:mariadb://host/database, jdbc:mysql://host/database or sqlite:FILE", kind)
	}
	return sqliteTarget(raw)
}

func sqliteTarget(file string) (*target, error) {
	switch file {
	case "":
		file = DefaultFile
	case ":memory:":
		return &target{memory: true}, nil
	}
	if strings.ContainsRune(file, 0) {
		return nil, errors.New("database URL: the file name holds a zero byte")
	}
	return &target{file: file}, nil
}

// dsnTarget takes the driver's own format.
func dsnTarget(dsn, username, password string) (*target, error) {
	c, err := mysql.ParseDSN(dsn)
	if err != nil {
		return nil, errors.New("database URL: what follows mysql: is not a data source name (user:password@tcp(host:port)/database)")
	}
	if c.User == "" {
		c.User, c.Passwd = username, password
	}
	if c.DBName == "" {
		return nil, errors.New("database URL: the name of the database is missing")
	}
	return &target{mysql: c}, nil
}

// silent are parameters of the Java drivers that ask for what is done here anyway, or concern Java alone.
var silent = []string{
	"allowpublickeyretrieval", "autoreconnect", "cacheprepstmts", "characterencoding", "characterset", "createdatabaseifnotexist",
	"prepstmtcachesize", "prepstmtcachesqllimit", "rewritebatchedstatements", "servertimezone", "connectiontimezone", "tcpkeepalive",
	"useaffectedrows", "usebulkstmts", "usecursorfetch", "uselegacydatetimecode", "useserverprepstmts", "useunicode", "timezone",
	"forceconnectiontimezonetosession", "usesuptolowercase", "nullcatalogmeanscurrent", "zerodatetimebehavior", "tinyint1isbit",
}

// jdbcTarget reads the URL of MariaDB's and MySQL's drivers for Java, as OS2rollekatalog's settings hold it.
func jdbcTarget(raw, username, password string) (*target, error) {
	const shape = "database URL: write jdbc:mariadb://host[:port]/database[?parameters]"
	_, rest, ok := strings.Cut(raw, "://")
	if !ok {
		return nil, errors.New(shape)
	}
	hosts, rest, ok := strings.Cut(rest, "/")
	if !ok || hosts == "" || strings.ContainsAny(hosts, "()?") {
		return nil, errors.New(shape)
	}
	name, query, _ := strings.Cut(rest, "?")
	name, err := url.PathUnescape(name)
	if err != nil || name == "" || strings.Contains(name, "/") {
		return nil, errors.New(shape)
	}
	params, err := url.ParseQuery(query)
	if err != nil {
		return nil, errors.New("database URL: the parameters after the question mark can't be read; write special characters as %XX")
	}
	t := &target{}
	if at := strings.LastIndex(hosts, "@"); at >= 0 {
		user, err := url.Parse("x://" + hosts[:at+1] + "h")
		if err != nil || user.User == nil {
			return nil, errors.New(shape)
		}
		hosts = hosts[at+1:]
		username = user.User.Username()
		password, _ = user.User.Password()
	}
	host, others, several := strings.Cut(hosts, ",")
	if several {
		t.warnings = append(t.warnings, "only the first host is used, not "+others)
	}
	addr, err := address(host)
	if err != nil {
		return nil, err
	}
	c := mysql.NewConfig()
	c.Net, c.Addr, c.DBName, c.User, c.Passwd = "tcp", addr, name, username, password
	t.mysql = c
	if err := t.parameters(params, host); err != nil {
		return nil, err
	}
	return t, nil
}

// address adds the usual port.
func address(host string) (string, error) {
	h, port, err := net.SplitHostPort(host)
	if err != nil {
		h, port = strings.Trim(host, "[]"), "3306"
	}
	if n, err := strconv.Atoi(port); h == "" || err != nil || n < 1 || n > 65535 {
		return "", errors.New("database URL: host or port is wrong")
	}
	return net.JoinHostPort(h, port), nil
}

// parameters puts those parameters of the URL into effect that have a meaning here.
func (t *target) parameters(params url.Values, host string) error {
	mode, root := "", ""
	for _, name := range slices.Sorted(maps.Keys(params)) {
		value := params.Get(name)
		switch lower := strings.ToLower(name); lower {
		case "user", "username":
			t.mysql.User = value
		case "password":
			t.mysql.Passwd = value
		case "sslmode":
			mode = strings.ReplaceAll(strings.ToLower(value), "_", "-")
		case "usessl", "requiressl", "verifyservercertificate":
			if on, err := strconv.ParseBool(value); err == nil && on && mode == "" {
				mode = "verify-full"
			}
		case "serversslcert":
			root = strings.TrimPrefix(value, "file:")
		case "connecttimeout", "sockettimeout":
			ms, err := strconv.Atoi(value)
			if err != nil || ms < 0 {
				return fmt.Errorf("database URL: %s must be a number of milliseconds", name)
			}
			d := time.Duration(ms) * time.Millisecond
			if lower == "connecttimeout" {
				t.mysql.Timeout = d
			} else {
				t.mysql.ReadTimeout, t.mysql.WriteTimeout = d, d
			}
		default:
			if !slices.Contains(silent, lower) {
				t.warnings = append(t.warnings, "the parameter "+name+" is not known and has no effect")
			}
		}
	}
	return t.encryption(mode, root, host)
}

// encryption sets TLS up. A server certificate is always verified: modes that would encrypt without verifying verify here.
func (t *target) encryption(mode, root, host string) error {
	switch mode {
	case "", "disable", "disabled", "false":
		return nil
	case "prefer", "preferred":
		t.warnings = append(t.warnings, "sslMode="+mode+" gives no protection and is not used: the connection is not encrypted; use sslMode=verify-full")
		return nil
	case "trust", "require", "required", "verify-ca", "verify-full", "verify-identity", "true":
	default:
		return fmt.Errorf("database URL: sslMode %q is not known; use disable or verify-full", mode)
	}
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: strings.Trim(host, "[]")}
	if root != "" {
		pem, err := os.ReadFile(root)
		if err != nil {
			return fmt.Errorf("database URL: reading serverSslCert: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("database URL: serverSslCert: %s holds no certificate in PEM", root)
		}
	}
	t.mysql.TLS = config
	return nil
}

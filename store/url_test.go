package store_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rollebro/rollebro/store"
)

func TestURL(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		url, place, user, password string
		encrypted                  bool
		warnings                   int
	}{
		"none":                 {url: "", place: "SQLite file rollebro.db"},
		"plain file":           {url: "/data/a b?c#d%.db", place: "SQLite file /data/a b?c#d%.db"},
		"sqlite":               {url: "sqlite:x.db", place: "SQLite file x.db"},
		"jdbc sqlite":          {url: "jdbc:sqlite:/x.db", place: "SQLite file /x.db"},
		"memory":               {url: ":memory:", place: "the SQLite database in memory"},
		"mariadb":              {url: "jdbc:mariadb://db/rollekatalog", place: "database rollekatalog at db:3306", user: "u", password: "p"},
		"mysql with port":      {url: " jdbc:mysql://db.example:3307/rollekatalog\n", place: "database rollekatalog at db.example:3307", user: "u", password: "p"},
		"IPv6":                 {url: "jdbc:mariadb://[::1]:3307/r", place: "database r at [::1]:3307", user: "u", password: "p"},
		"IPv6, usual port":     {url: "jdbc:mariadb://[::1]/r", place: "database r at [::1]:3306", user: "u", password: "p"},
		"account in URL":       {url: "jdbc:mariadb://db/r?user=x&password=y%26z", place: "database r at db:3306", user: "x", password: "y&z"},
		"account before host":  {url: "mariadb://x:y%40z@db/r", place: "database r at db:3306", user: "x", password: "y@z"},
		"usual parameters":     {url: "jdbc:mysql://db/r?useSSL=false&serverTimezone=UTC&allowPublicKeyRetrieval=true&useUnicode=yes&characterEncoding=UTF-8&rewriteBatchedStatements=true&connectTimeout=5000", place: "database r at db:3306", user: "u", password: "p"},
		"unknown parameters":   {url: "jdbc:mysql://db/r?foo=1&bar=2", place: "database r at db:3306", user: "u", password: "p", warnings: 2},
		"several hosts":        {url: "jdbc:mariadb://a,b/r", place: "database r at a:3306", user: "u", password: "p", warnings: 1},
		"useSSL":               {url: "jdbc:mysql://db/r?useSSL=true", place: "database r at db:3306", user: "u", password: "p", encrypted: true},
		"sslMode verify":       {url: "jdbc:mysql://db/r?sslMode=VERIFY_IDENTITY", place: "database r at db:3306", user: "u", password: "p", encrypted: true},
		"sslMode trust":        {url: "jdbc:mariadb://db/r?sslMode=trust", place: "database r at db:3306", user: "u", password: "p", encrypted: true},
		"sslMode wins":         {url: "jdbc:mysql://db/r?useSSL=true&sslMode=DISABLED", place: "database r at db:3306", user: "u", password: "p"},
		"sslMode preferred":    {url: "jdbc:mysql://db/r?sslMode=PREFERRED", place: "database r at db:3306", user: "u", password: "p", warnings: 1},
		"data source name":     {url: "mysql:a:b@tcp(db:1)/r", place: "database r at db:1", user: "a", password: "b"},
		"... without account":  {url: "mysql:tcp(db:1)/r", place: "database r at db:1", user: "u", password: "p"},
		"name with a percent":  {url: "jdbc:mariadb://db/r%2Dx", place: "database r-x at db:3306", user: "u", password: "p"},
		"no password anywhere": {url: "jdbc:mariadb://x@db/r", place: "database r at db:3306", user: "x"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := store.ParseURL(c.url, "u", "p")
			if err != nil {
				t.Fatal(err)
			}
			if got.Place != c.place || got.User != c.user || got.Password != c.password || got.Encrypted != c.encrypted || len(got.Warnings) != c.warnings {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestURLErrors(t *testing.T) {
	t.Parallel()
	pem := filepath.Join(t.TempDir(), "not.pem")
	if err := os.WriteFile(pem, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for url, want := range map[string]string{
		"jdbc:sqlserver://db;databaseName=secret":                         "jdbc:sqlserver is not supported",
		"postgres://u:secret@db/r":                                        `"postgres" is not supported`,
		"jdbc:mariadb:db/r":                                               "write jdbc:mariadb://",
		"jdbc:mariadb://db":                                               "write jdbc:mariadb://",
		"jdbc:mariadb:///r":                                               "write jdbc:mariadb://",
		"jdbc:mariadb://db/":                                              "write jdbc:mariadb://",
		"jdbc:mariadb://db/a/b":                                           "write jdbc:mariadb://",
		"jdbc:mariadb://address=(host=db)/r":                              "write jdbc:mariadb://",
		"jdbc:mariadb://db:99999/r":                                       "host or port is wrong",
		"jdbc:mariadb://db/r?password=secret%zz":                          "special characters",
		"jdbc:mariadb://db/r?connectTimeout=soon":                         "milliseconds",
		"jdbc:mariadb://db/r?sslMode=perhaps":                             "perhaps",
		"jdbc:mariadb://db/r?useSSL=true&serverSslCert=/not/there":        "serverSslCert",
		"jdbc:mariadb://db/r?sslMode=verify-ca&serverSslCert=file:" + pem: "no certificate",
		"mysql:u:secret@tcp(db:1":                                         "data source name",
		"mysql:u:secret@tcp(db:1)/":                                       "name of the database is missing",
		"a\x00b":                                                          "zero byte",
	} {
		_, err := store.ParseURL(url, "u", "secret")
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q gives the error %v", url, err)
		}
	}
}

func FuzzURL(f *testing.F) {
	f.Add("jdbc:mariadb://u:p@db:1/r?useSSL=true&x=y")
	f.Add("mysql:u:p@tcp(db:1)/r?tls=true")
	f.Add("sqlite:")
	f.Fuzz(func(t *testing.T, url string) {
		_, err := store.ParseURL(url, "", "")
		if err != nil && !strings.Contains(err.Error(), "database URL") {
			t.Errorf("the error doesn't say what it is about: %v", err)
		}
	})
}

package store

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"
)

// A step is the one statement of a migration. It may be run again after it was cut off half-way: DDL on MariaDB and MySQL
// is not part of a transaction.
type step interface {
	run(tx *gorm.DB, d dialect, now time.Time) error
}

// migration is one numbered change of the schema. Its id is the time it was written, YYYYMMDDHHMM, and what it does. What
// has been released is never changed and never removed.
type migration struct {
	id   string
	step step
}

// createTable creates a table with its indexes. Columns and constraints are written in words that both dialects have,
// except for the types: see types.
type createTable struct {
	name    string
	columns string
	indexes []index
}

// index is an index of a table. Its name begins with the table's: SQLite has one name space for them all.
type index struct {
	name    string
	columns string
	unique  bool
}

// addColumns adds columns and indexes to a table that may hold rows already: each column is nullable or has a default.
type addColumns struct {
	table   string
	columns []column
	indexes []index
}

// column is a column that is added later.
type column struct{ name, definition string }

// seed puts rows into a table unless they are there. "insert" begins with INTO; each :now is the time.
type seed struct{ insert string }

// types gives each column type in both dialects.
//
//	$id     row id given by the store       $auto     row id given by the database, for rows that nobody refers to
//	$ref    another row's id                $int      whole number
//	$bool   yes or no                       $key(n)   indexed text of up to n characters
//	$text   text of any length (16 MB)      $bytes(n) up to n bytes        $blob bytes of any length
//	$time   moment, UTC with microseconds   $date     day as 2006-01-02, or empty
//
// $empty goes after a type: the rows that are there get an empty text in this column.
var types = map[string][2]string{
	"$id":   {"INTEGER NOT NULL PRIMARY KEY", "BIGINT UNSIGNED NOT NULL PRIMARY KEY"},
	"$auto": {"INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT", "BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY"},
	"$ref":  {"INTEGER", "BIGINT UNSIGNED"},
	"$int":  {"INTEGER", "BIGINT"},
	"$bool": {"BOOLEAN", "BOOLEAN"},
	"$text": {"TEXT", "MEDIUMTEXT"},
	"$blob": {"BLOB", "LONGBLOB"},
	"$time": {"DATETIME", "DATETIME(6)"},
	"$date": {"TEXT", "CHAR(10)"},
	// MySQL wants an expression as a $text's default; SQLite takes none when it adds a column.
	"$empty": {"DEFAULT ''", "DEFAULT ('')"},
}

var typeWord = regexp.MustCompile(`\$(\w+)(?:\((\d+)\))?`)

// render puts the dialect's types in the place of ours. A word that is not known is a mistake in a migration, which every
// test that opens a database finds.
func render(columns string, d dialect) (string, error) {
	var err error
	out := typeWord.ReplaceAllStringFunc(columns, func(word string) string {
		parts := typeWord.FindStringSubmatch(word)
		name, n := "$"+parts[1], parts[2]
		switch {
		case name == "$key" && n != "" && d.mysql:
			return "VARCHAR(" + n + ")"
		case name == "$key" && n != "":
			return "TEXT"
		case name == "$bytes" && n != "" && d.mysql:
			return "VARBINARY(" + n + ")"
		case name == "$bytes" && n != "":
			return "BLOB"
		}
		pair, ok := types[name]
		if !ok || n != "" {
			err = fmt.Errorf("migration: %s is not a column type", word)
		}
		if d.mysql {
			return pair[1]
		}
		return pair[0]
	})
	return out, err
}

func (c createTable) run(tx *gorm.DB, d dialect, _ time.Time) error {
	statements, err := c.statements(d)
	if err != nil {
		return err
	}
	for _, s := range statements {
		if err := tx.Exec(s).Error; err != nil {
			return fmt.Errorf("creating the table %s: %w", c.name, err)
		}
	}
	return nil
}

// statements returns one statement for MariaDB and MySQL, and one for the table and each index for SQLite, where they are
// all in one transaction. MySQL has no CREATE INDEX IF NOT EXISTS, SQLite has no indexes within CREATE TABLE.
func (c createTable) statements(d dialect) ([]string, error) {
	columns, err := render(c.columns, d)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "CREATE TABLE IF NOT EXISTS `%s` (%s", c.name, strings.TrimRight(columns, " \t\n"))
	var apart []string
	for _, i := range c.indexes {
		kind := ""
		if i.unique {
			kind = "UNIQUE "
		}
		if d.mysql {
			fmt.Fprintf(&b, ",\n\t%sKEY `%s` (%s)", kind, i.name, i.columns)
		} else {
			apart = append(apart, "CREATE "+kind+"INDEX IF NOT EXISTS `"+i.name+"` ON `"+c.name+"` ("+i.columns+")")
		}
	}
	b.WriteString("\n)")
	if d.mysql {
		fmt.Fprintf(&b, " ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=%s", d.collate)
	}
	return append([]string{b.String()}, apart...), nil
}

func (a addColumns) run(tx *gorm.DB, d dialect, _ time.Time) error {
	columns, indexes, err := a.there(tx, d)
	if err != nil {
		return fmt.Errorf("looking at the table %s: %w", a.table, err)
	}
	var parts []string
	for _, c := range a.columns {
		if slices.Contains(columns, c.name) {
			continue
		}
		definition, err := render(c.definition, d)
		if err != nil {
			return err
		}
		parts = append(parts, "ADD COLUMN `"+c.name+"` "+definition)
	}
	var apart []string
	for _, i := range a.indexes {
		kind := ""
		if i.unique {
			kind = "UNIQUE "
		}
		switch {
		case slices.Contains(indexes, i.name):
		case d.mysql:
			parts = append(parts, "ADD "+kind+"KEY `"+i.name+"` ("+i.columns+")")
		default:
			apart = append(apart, "CREATE "+kind+"INDEX `"+i.name+"` ON `"+a.table+"` ("+i.columns+")")
		}
	}
	if d.mysql && len(parts) > 0 { // one statement, which copies the table once at most, and is done as a whole or not at all
		parts = []string{strings.Join(parts, ", ")}
	}
	for i := range parts {
		parts[i] = "ALTER TABLE `" + a.table + "` " + parts[i]
	}
	for _, s := range append(parts, apart...) {
		if err := tx.Exec(s).Error; err != nil {
			return fmt.Errorf("changing the table %s: %w", a.table, err)
		}
	}
	return nil
}

// there returns the names of the columns and indexes that the table has. It is asked because MySQL and SQLite, unlike
// MariaDB, have no ADD COLUMN IF NOT EXISTS.
func (a addColumns) there(tx *gorm.DB, d dialect) (columns, indexes []string, err error) {
	of := "SELECT name FROM pragma_table_info(?)"
	on := "SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = ?"
	if d.mysql {
		of = "SELECT column_name FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = ?"
		on = "SELECT DISTINCT index_name FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name = ?"
	}
	if err := tx.Raw(of, a.table).Scan(&columns).Error; err != nil {
		return nil, nil, err
	}
	return columns, indexes, tx.Raw(on, a.table).Scan(&indexes).Error
}

func (s seed) run(tx *gorm.DB, d dialect, now time.Time) error {
	verb := "INSERT OR IGNORE "
	if d.mysql {
		verb = "INSERT IGNORE "
	}
	n := strings.Count(s.insert, ":now")
	args := make([]any, n)
	for i := range args {
		args[i] = now
	}
	if err := tx.Exec(verb+strings.ReplaceAll(s.insert, ":now", "?"), args...).Error; err != nil {
		return fmt.Errorf("filling a table: %w", err)
	}
	return nil
}

//go:build unix

package store_test

import (
	"testing"

	"github.com/rollebro/rollebro/store/storetest"
)

func TestStoreOnSQLite(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.SQLite)
}

func TestStoreInMemory(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.Memory)
}

func TestStoreOnMariaDB(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.MariaDBStore)
}

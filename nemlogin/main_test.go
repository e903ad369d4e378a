package nemlogin

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain wants nothing left running when all tests are over.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

package simulator

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// WriteDir writes what a person needs to connect to a started simulator: keystore.p12 and keystore.password, ca.pem,
// users.csv (userId,name,email,cpr,nemloginUuid) and env, the settings as one NAME=value a line. The directory is made if
// it is not there; files of those names are replaced. What is secret can be read by the owner only.
func (s *Simulator) WriteDir(dir string) error {
	base := s.URL()
	if base == "" {
		return errors.New("writing the simulator's files: it is not started, so its address is not known")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("writing the simulator's files: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("writing the simulator's files: %w", err)
	}
	users, err := s.usersCSV()
	if err != nil {
		return fmt.Errorf("writing the simulator's files: %w", err)
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	keystore, password := s.Keystore()
	env := fmt.Sprintf(`RC_INTEGRATIONS_NEMLOGIN_ENABLED=true
RC_INTEGRATIONS_NEMLOGIN_KEYSTORELOCATION=%s
RC_INTEGRATIONS_NEMLOGIN_KEYSTOREPASSWORDFILE=%s
RC_INTEGRATIONS_NEMLOGIN_BASEURL=%s
RC_INTEGRATIONS_NEMLOGIN_ROOTCERTIFICATES=%s
RC_INTEGRATIONS_NEMLOGIN_USERDRYRUNONLY=true
RC_CUSTOMER_CVR=%s
`, quoted(in("keystore.p12")), quoted(in("keystore.password")), base, quoted(in("ca.pem")), s.world.cvr)
	for _, file := range []struct {
		name string
		data []byte
		mode os.FileMode
	}{
		{"keystore.p12", keystore, 0o600},
		{"keystore.password", []byte(password), 0o600},
		{"ca.pem", s.authority.RootsPEM(), 0o644},
		{"users.csv", users, 0o600}, // CPR numbers, even invented ones, are treated as such
		{"env", []byte(env), 0o644},
	} {
		if err := replace(in(file.name), file.data, file.mode); err != nil {
			return fmt.Errorf("writing the simulator's files: %w", err)
		}
	}
	return nil
}

var plainValue = regexp.MustCompile(`^[A-Za-z0-9_./:@%+,=-]*$`)

// quoted writes a value so that a shell reads it as it is.
func quoted(value string) string {
	if plainValue.MatchString(value) {
		return value
	}
	return "'" + strings.ReplaceAll(value, "'", `'\''`) + "'"
}

// replace writes a file beside its place and moves it there: nobody reads half of it, and its mode is the given one
// whatever an earlier file's was.
func replace(name string, data []byte, mode os.FileMode) error {
	file, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-*")
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	err = errors.Join(err, file.Chmod(mode), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return nil
}

// usersCSV lists the users that were seeded and are still there, as a municipality's directory knows them.
func (s *Simulator) usersCSV() ([]byte, error) {
	var out bytes.Buffer
	w := csv.NewWriter(&out)
	rows := [][]string{{"userId", "name", "email", "cpr", "nemloginUuid"}}
	for _, who := range s.world.all() {
		who.mu.Lock()
		if !who.deleted && who.user != "" {
			rows = append(rows, []string{who.user, who.given + " " + who.surname, who.email, who.cpr, who.uuid.String()})
		}
		who.mu.Unlock()
	}
	if err := w.WriteAll(rows); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

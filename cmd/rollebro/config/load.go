package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"
)

// DefaultFile is the settings file that is read if it exists and no other is named.
const DefaultFile = "rollebro.yaml"

// FileVariable is the environment variable that names the settings file.
const FileVariable = "RC_CONFIG"

// Source is where settings come from.
type Source struct {
	Environ []string // NAME=value, as os.Environ gives them
	// File is the settings file; it must exist. Empty: what RC_CONFIG names, else rollebro.yaml if it is there.
	File string
	Dir  string // working directory in which rollebro.yaml is looked for; empty: the process's own
}

// maxFile is the most bytes read of a settings or secret file.
const maxFile = 1 << 20

// Load reads and checks all settings. Everything that is wrong is reported together in an *Error. The Config is returned in
// that case too, with the defaults where values are wrong, so that it can be shown; it must not be used for anything else.
func Load(source Source) (*Config, error) {
	l := &loader{config: &Config{}, table: Settings(), byName: make(map[string]int), given: make(map[int]entry)}
	for i, s := range l.table {
		l.byName[relaxed(s.Name)] = i
	}
	// The file first, so that the environment wins.
	l.readFile(source)
	l.readEnvironment(source.Environ)
	l.readSecretFiles()
	l.apply()
	l.checkTogether()
	if len(l.problems) > 0 {
		return l.config, &Error{Problems: l.problems}
	}
	return l.config, nil
}

type loader struct {
	config   *Config
	table    []Setting
	byName   map[string]int // row of the table by relaxed name
	given    map[int]entry  // by row of the table
	foreign  []string
	problems []Problem
}

func (l *loader) problem(name, value, origin, format string, args ...any) {
	l.problems = append(l.problems, Problem{Name: name, Value: value, Origin: origin, Text: fmt.Sprintf(format, args...)})
}

func (l *loader) readFile(source Source) {
	name, named := source.File, "--config"
	if name == "" {
		named = FileVariable
		for _, pair := range source.Environ {
			if value, ok := strings.CutPrefix(pair, FileVariable+"="); ok {
				name = value
			}
		}
	}
	optional := name == ""
	if optional {
		name, named = DefaultFile, ""
	}
	path := name
	if source.Dir != "" && !filepath.IsAbs(path) {
		path = filepath.Join(source.Dir, path)
	}
	data, err := readSmall(path)
	if err != nil {
		if !optional || !errors.Is(err, fs.ErrNotExist) {
			l.problem("settings file "+name, "", named, "%s", fileFault(err))
		}
		return
	}
	entries, err := parseYAML(data, name)
	if err != nil {
		l.problem("settings file", "", named, "%s", err)
		return
	}
	l.merge(entries, true)
}

func (l *loader) readEnvironment(environ []string) {
	var entries []entry
	for _, pair := range environ {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || name == "" || strings.EqualFold(name, FileVariable) || kubernetesLink.MatchString(name) {
			continue
		}
		entries = append(entries, entry{name: name, value: value, origin: "environment variable " + name})
	}
	l.merge(entries, false)
}

// merge takes the entries of one source, which win over those of the sources before. In a file every name must be known; of
// the environment only names that begin with rc are ours to judge.
func (l *loader) merge(entries []entry, file bool) {
	first := make(map[int]entry) // within this source
	for _, e := range entries {
		row, ok := l.byName[relaxed(e.name)]
		if !ok {
			switch {
			case isForeign(e.name) && !l.misspelt(e.name):
				if file || strings.Contains(e.name, ".") || ours(e.name) {
					l.foreign = append(l.foreign, e.name)
				}
			case file || ours(e.name):
				l.problems = append(l.problems, unknown(e.name, e.origin, l.table))
			}
			continue
		}
		setting := l.table[row]
		before, again := first[row]
		if again && before.value != e.value {
			l.problem(setting.Name, "", e.origin, "set twice with different values; the other is %s", before.origin)
			continue
		}
		if !again {
			first[row] = e
			l.given[row] = e
		}
	}
}

// misspelt reports whether a name that could be another part of OS2rollekatalog is one letter or two from a name of ours.
func (l *loader) misspelt(name string) bool {
	if !ours(name) {
		return false
	}
	given := relaxed(name)
	for _, s := range l.table {
		if distance(given, relaxed(s.Name)) <= 2 {
			return true
		}
	}
	return false
}

// readSecretFiles puts the content of "...File" settings in the place of their secrets.
func (l *loader) readSecretFiles() {
	for row, setting := range l.table {
		if !setting.Secret || setting.Ignored {
			continue
		}
		twin := row + 1 // the table has them side by side
		file, ok := l.given[twin]
		if !ok || file.value == "" {
			continue
		}
		if own, ok := l.given[row]; ok && own.value != "" {
			l.problem(setting.Name, "", own.origin, "set together with %s (%s); set only one of them", l.table[twin].Name, file.origin)
			continue
		}
		text, err := ReadSecretFile(file.value)
		if err != nil {
			l.problem(l.table[twin].Name, file.value, file.origin, "%s", err)
			continue
		}
		l.given[row] = entry{name: setting.Name, value: text, origin: "file " + file.value}
	}
}

// ReadSecretFile reads a secret from a file and leaves out the line end at its end. The error doesn't repeat the file's name.
func ReadSecretFile(path string) (string, error) {
	data, err := readSmall(path)
	text := strings.TrimRight(string(bytes.TrimPrefix(data, []byte("\ufeff"))), "\r\n")
	switch {
	case err != nil:
		return "", errors.New(fileFault(err))
	case !utf8.ValidString(text):
		return "", errors.New("the file is not text in UTF-8")
	case text == "":
		return "", errors.New("the file is empty")
	}
	return text, nil
}

// apply checks every value and fills the config. An empty value counts as not set.
func (l *loader) apply() {
	for row, setting := range l.table {
		text, origin := setting.Default, originDefault
		e, ok := l.given[row]
		if ok && !setting.Secret {
			e.value = strings.TrimSpace(e.value)
		}
		if ok && e.value != "" {
			text, origin = e.value, e.origin
		}
		if err := setting.store(l.config, text); err != nil {
			l.problem(setting.Name, setting.shown(text), origin, "%s", err)
			_ = setting.store(l.config, setting.Default) // so that what is shown is whole
		}
		l.config.values = append(l.config.values, Value{Setting: setting, Text: setting.shown(text), Origin: origin})
		if setting.Ignored && ok && e.value != "" {
			l.config.Notes = append(l.config.Notes, setting.Name+" is set and has no effect")
		}
	}
	if len(l.foreign) > 0 {
		slices.Sort(l.foreign)
		l.config.Notes = append(l.config.Notes, fmt.Sprintf("%d settings of OS2rollekatalog that have no effect here: %s",
			len(l.foreign), strings.Join(slices.Compact(l.foreign), ", ")))
	}
}

// checkTogether checks what depends on more than one setting.
func (l *loader) checkTogether() {
	c := l.config
	if c.NemLogin.Enabled {
		because := "missing; it is needed when " + nemLoginPrefix + ".enabled is true"
		if c.CVR == "" && !l.faulty("rc.customer.cvr") {
			l.problem("rc.customer.cvr", "", "", "%s", because)
		}
		if c.NemLogin.KeystoreLocation == "" {
			l.problem(nemLoginPrefix+".keystoreLocation", "", "", "%s", because)
		}
	}
	switch {
	case c.Web.TLSCertificate != "" && c.Web.TLSKey == "":
		l.problem("rc.web.tlsKey", "", "", "missing; it is needed with rc.web.tlsCertificate")
	case c.Web.TLSKey != "" && c.Web.TLSCertificate == "":
		l.problem("rc.web.tlsCertificate", "", "", "missing; it is needed with rc.web.tlsKey")
	}
}

func (l *loader) faulty(name string) bool {
	return slices.ContainsFunc(l.problems, func(p Problem) bool { return p.Name == name })
}

// readSmall reads a file that a person wrote.
func readSmall(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("is not a file")
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("is larger than %d bytes", maxFile)
	}
	return os.ReadFile(path)
}

// fileFault says why a file could not be read, without repeating its name.
func fileFault(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "the file does not exist"
	case errors.Is(err, fs.ErrPermission):
		return "the file may not be read by this user"
	}
	if cause, ok := errors.AsType[*fs.PathError](err); ok {
		return "the file cannot be read: " + cause.Err.Error()
	}
	return "the file " + err.Error()
}

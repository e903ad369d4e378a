package coredata

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"unicode/utf8"
)

// Limits of a body beside its size, which the HTTP side caps.
const (
	maxElements = 1_000_000 // of a list at the top of the body
	maxDepth    = 64        // nesting of what nobody asked for
)

var (
	errWrongType = errors.New("wrong JSON type")
	errTooDeep   = errors.New("nested too deeply")
	errTrailing  = errors.New("something follows the JSON value")
	errTooMany   = errors.New("too many elements")
)

// notUTF8Error tells where a body stops being UTF-8.
type notUTF8Error struct{ at int64 }

func (e *notUTF8Error) Error() string { return fmt.Sprintf("not UTF-8 at byte %d", e.at) }

// elementError tells in which element of which list a body is wrong.
type elementError struct {
	list  string
	index int // from 1
	err   error
}

func (e *elementError) Error() string {
	return fmt.Sprintf("element %d of %s: %v", e.index, e.list, e.err)
}
func (e *elementError) Unwrap() error { return e.err }

// brokenOffError says that the rest of a body didn't come: the client fell silent, or went away.
type brokenOffError struct{ err error }

func (e *brokenOffError) Error() string { return "reading the body: " + e.err.Error() }
func (e *brokenOffError) Unwrap() error { return e.err }

// decodeObject reads a JSON object token by token, so that what it holds in memory is what field keeps and not the body.
// field is called for each key, in lower case, with the decoder standing before the value; it must read the value or return
// false. A key that comes twice, in whatever case, comes twice to field as well: the last one wins. An error is a *Refusal
// unless the body couldn't be read; its text names a position and never repeats what the body says.
func decodeObject(body io.Reader, field func(d *json.Decoder, key string) (bool, error)) error {
	in := bufio.NewReader(body)
	if start, _ := in.Peek(3); string(start) == "\ufeff" {
		_, _ = in.Discard(3) // some PowerShell versions write a byte order mark
	}
	d := json.NewDecoder(&utf8Reader{from: in})
	d.UseNumber() // numbers of any size pass as text
	if err := readObject(d, field); err != nil {
		return refuseBody(err, d.InputOffset())
	}
	return nil
}

func readObject(d *json.Decoder, field func(d *json.Decoder, key string) (bool, error)) error {
	switch t, err := d.Token(); {
	case err != nil:
		return err
	case t != json.Delim('{'):
		return errWrongType
	}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return err
		}
		key, ok := t.(string)
		if !ok {
			return errWrongType
		}
		switch known, err := field(d, strings.ToLower(key)); {
		case err != nil:
			return err
		case !known:
			if err := skipValue(d); err != nil {
				return err
			}
		}
	}
	if _, err := d.Token(); err != nil {
		return err
	}
	switch _, err := d.Token(); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return err
	}
	return errTrailing
}

// skipValue reads over a value without keeping it.
func skipValue(d *json.Decoder) error {
	for depth := 0; ; {
		t, err := d.Token()
		if err != nil {
			return err
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
		if depth > maxDepth {
			return errTooDeep
		}
	}
}

// readList reads a list element by element; null elements are left out. It reports false for null.
func readList[T any](d *json.Decoder, name string, keep func(*T)) (bool, error) {
	switch t, err := d.Token(); {
	case err != nil:
		return false, err
	case t == nil:
		return false, nil
	case t != json.Delim('['):
		return false, errWrongType
	}
	for n := 1; d.More(); n++ {
		if n > maxElements {
			return false, &elementError{name, n, errTooMany}
		}
		var element *T
		if err := d.Decode(&element); err != nil {
			return false, &elementError{name, n, err}
		}
		if element != nil {
			keep(element)
		}
	}
	_, err := d.Token()
	return true, err
}

// refuseBody makes the answer to a body that can't be read as it must be.
func refuseBody(err error, at int64) error {
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &Refusal{http.StatusRequestEntityTooLarge, fmt.Sprintf("Indholdet er større end de tilladte %d bytes", tooLarge.Limit)}
	}
	if bad, ok := errors.AsType[*notUTF8Error](err); ok {
		return &Refusal{http.StatusBadRequest, fmt.Sprintf("Indholdet er ikke gyldig UTF-8 (byte %d)", bad.at)}
	}
	where := fmt.Sprintf("byte %d", at)
	element, ok := errors.AsType[*elementError](err)
	if ok {
		where = fmt.Sprintf("element %d i %s, %s", element.index, element.list, where)
	}
	var syntax *json.SyntaxError
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.Is(err, errTooMany):
		return &Refusal{http.StatusRequestEntityTooLarge, fmt.Sprintf("%s har flere end %d elementer", element.list, maxElements)}
	case errors.Is(err, io.EOF) && at == 0:
		return &Refusal{http.StatusBadRequest, "Indholdet mangler"}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return &Refusal{http.StatusBadRequest, fmt.Sprintf("Ugyldig JSON: indholdet slutter for tidligt (%s)", where)}
	case errors.Is(err, errWrongType), errors.As(err, &wrong):
		return &Refusal{http.StatusBadRequest, fmt.Sprintf("Ugyldig JSON: en værdi har en forkert type (%s)", where)}
	case errors.Is(err, errTooDeep):
		return &Refusal{http.StatusBadRequest, fmt.Sprintf("Ugyldig JSON: for mange niveauer (%s)", where)}
	case errors.Is(err, errTrailing):
		return &Refusal{http.StatusBadRequest, fmt.Sprintf("Ugyldig JSON: der står noget efter indholdet (%s)", where)}
	case errors.As(err, &syntax):
		return &Refusal{http.StatusBadRequest, fmt.Sprintf("Ugyldig JSON (%s)", where)}
	}
	return &brokenOffError{err}
}

// utf8Reader passes on what it reads and fails at the first byte that isn't UTF-8: the decoder would put a replacement
// character there without a word, and the name would be stored that way.
type utf8Reader struct {
	from io.Reader
	at   int64  // bytes found to be good
	rest []byte // the beginning of a character whose end hasn't come yet
}

func (u *utf8Reader) Read(p []byte) (int, error) {
	n, err := u.from.Read(p)
	chunk := p[:n]
	if len(u.rest) > 0 {
		for len(chunk) > 0 && !utf8.FullRune(u.rest) {
			u.rest, chunk = append(u.rest, chunk[0]), chunk[1:]
		}
		if utf8.FullRune(u.rest) {
			if !u.good(u.rest) {
				return 0, &notUTF8Error{u.at}
			}
			u.rest = u.rest[:0]
		}
	}
	for back := 1; back < utf8.UTFMax && back <= len(chunk); back++ {
		if tail := chunk[len(chunk)-back:]; utf8.RuneStart(tail[0]) {
			if !utf8.FullRune(tail) {
				u.rest, chunk = append(u.rest[:0], tail...), chunk[:len(chunk)-back]
			}
			break
		}
	}
	if !u.good(chunk) || errors.Is(err, io.EOF) && len(u.rest) > 0 {
		return 0, &notUTF8Error{u.at}
	}
	return n, err //nolint:wrapcheck // io.EOF must pass as it is
}

// good reports whether b is UTF-8, and counts how much of it is.
func (u *utf8Reader) good(b []byte) bool {
	if utf8.Valid(b) {
		u.at += int64(len(b))
		return true
	}
	for {
		r, size := utf8.DecodeRune(b)
		if r == utf8.RuneError && size <= 1 {
			return false
		}
		u.at += int64(size)
		b = b[size:]
	}
}

// text is a JSON value read as text: a number or a truth value gives its letters, null and absent are told from "".
type text struct {
	value string
	set   bool
}

// UnmarshalJSON implements json.Unmarshaler.
func (t *text) UnmarshalJSON(b []byte) (err error) {
	t.value, err = scalar(b)
	t.set = err == nil && b[0] != 'n'
	return err
}

// shown is the text as the error texts show it; the original writes null for what is absent.
func (t text) shown() string {
	if !t.set {
		return "null"
	}
	return shown(t.value)
}

// str is text where absent and "" are the same.
type str string

// UnmarshalJSON implements json.Unmarshaler.
func (s *str) UnmarshalJSON(b []byte) error {
	v, err := scalar(b)
	*s = str(v)
	return err
}

func scalar(b []byte) (string, error) {
	switch b[0] {
	case 'n':
		return "", nil
	case '"':
		if bytes.IndexByte(b, '\\') < 0 {
			return string(b[1 : len(b)-1]), nil
		}
		var s string
		err := json.Unmarshal(b, &s)
		return s, err //nolint:wrapcheck // refuseBody knows it by its type
	case '{', '[':
		return "", errWrongType
	}
	return string(b), nil
}

// flag is a truth value: true, "true" and numbers other than 0 are true; null, "" and absent are none.
type flag uint8

const (
	flagAbsent flag = iota
	flagFalse
	flagTrue
)

// UnmarshalJSON implements json.Unmarshaler.
func (f *flag) UnmarshalJSON(b []byte) error {
	v, err := scalar(b)
	if err != nil {
		return err
	}
	switch {
	case v == "":
		*f = flagAbsent
	case strings.EqualFold(v, "true"):
		*f = flagTrue
	case strings.EqualFold(v, "false"):
		*f = flagFalse
	case b[0] == '"':
		return errWrongType
	case strings.Trim(v, "-0.") == "":
		*f = flagFalse
	default:
		*f = flagTrue
	}
	return nil
}

func (f flag) on() bool { return f == flagTrue }

// attributes are names with values; values that are null or "" are left out.
type attributes map[string]string

// UnmarshalJSON implements json.Unmarshaler.
func (a *attributes) UnmarshalJSON(b []byte) error {
	*a = nil
	switch b[0] {
	case 'n':
		return nil
	case '{':
	default:
		return errWrongType
	}
	var all map[string]str
	if err := json.Unmarshal(b, &all); err != nil {
		return err //nolint:wrapcheck // refuseBody knows it by its type
	}
	for name, value := range all {
		if value == "" {
			continue
		}
		if *a == nil {
			*a = make(attributes, len(all))
		}
		(*a)[name] = string(value)
	}
	return nil
}

// list is a JSON list without its null elements. A second list under the same key replaces the first one; the standard
// library would decode it over the elements of the first.
type list[T any] []T

// UnmarshalJSON implements json.Unmarshaler.
func (l *list[T]) UnmarshalJSON(b []byte) error {
	*l = nil
	switch b[0] {
	case 'n':
		return nil
	case '[':
	default:
		return errWrongType
	}
	var all []*T
	if err := json.Unmarshal(b, &all); err != nil {
		return err //nolint:wrapcheck // refuseBody knows it by its type
	}
	for _, element := range all {
		if element != nil {
			*l = append(*l, *element)
		}
	}
	return nil
}

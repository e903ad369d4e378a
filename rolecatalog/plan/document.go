package plan

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// ErrFormat is in the error of a document that this program can't read as a plan.
var ErrFormat = errors.New("not a plan that can be read here")

// ErrAltered is in the error of a document whose content doesn't match its own id.
var ErrAltered = errors.New("the plan has been altered")

// MaxDocument is the most that Decode reads, in bytes after decompression. A plan of a million changes takes about 450 MB.
const MaxDocument = 1 << 30

// JSON gives the document as indented JSON, ending in a newline.
func (p *Plan) JSON() ([]byte, error) {
	var b bytes.Buffer
	if err := p.writeJSON(&b, "  "); err != nil {
		return nil, fmt.Errorf("writing the plan as JSON: %w", err)
	}
	return b.Bytes(), nil
}

// Encode writes the document in the form in which it is stored: JSON, compressed with gzip. Equal plans give equal bytes.
func (p *Plan) Encode(w io.Writer) error {
	z := gzip.NewWriter(w)
	if err := p.writeJSON(z, ""); err != nil {
		return fmt.Errorf("encoding the plan: %w", err)
	}
	if err := z.Close(); err != nil {
		return fmt.Errorf("encoding the plan: %w", err)
	}
	return nil
}

// writeJSON writes what a json.Encoder would write, one change at a time: the encoder holds all of a document in memory,
// which for a large organisation's plan takes several times what the plan itself takes.
func (p *Plan) writeJSON(w io.Writer, indent string) error {
	var b bytes.Buffer
	encoder := func(prefix string) *json.Encoder {
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		e.SetIndent(prefix, indent)
		return e
	}
	frame := *p
	frame.Changes = []Change{}
	if err := encoder("").Encode(frame); err != nil {
		return err
	}
	// Within a text a quotation mark is escaped, so that this can't be found in one.
	empty, line := `"changes":[]`, ""
	if indent != "" {
		empty, line = `"changes": []`, "\n"
	}
	before, after, ok := strings.Cut(b.String(), empty)
	if !ok {
		return errors.New("the document has no changes")
	}
	out := &printer{w: bufio.NewWriter(w)}
	out.print(before, empty[:len(empty)-1])
	prefix := indent + indent
	each := encoder(prefix)
	for i := range p.Changes {
		b.Reset()
		if err := each.Encode(&p.Changes[i]); err != nil {
			return err
		}
		if i > 0 {
			out.print(",")
		}
		out.print(line, prefix)
		out.write(bytes.TrimRight(b.Bytes(), "\n"))
	}
	if len(p.Changes) > 0 {
		out.print(line, indent)
	}
	out.print("]", after)
	return out.finish()
}

// Decode reads a document as JSON or Encode wrote it. It refuses another major format version, verbs that it doesn't know,
// and changes that are out of order or double; such errors are ErrFormat. Whether the content is what the id says, Verify
// tells.
func Decode(r io.Reader) (*Plan, error) {
	b := bufio.NewReader(r)
	var in io.Reader = b
	if magic, _ := b.Peek(2); len(magic) == 2 && magic[0] == 0x1f && magic[1] == 0x8b { // gzip's first two bytes
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, fmt.Errorf("decoding the plan: %w: %w", ErrFormat, err)
		}
		in = z
	}
	limited := &io.LimitedReader{R: in, N: MaxDocument}
	d := json.NewDecoder(limited)
	var p Plan
	if err := d.Decode(&p); err != nil {
		return nil, fmt.Errorf("decoding the plan: %w: %w", ErrFormat, err)
	}
	switch _, err := d.Token(); { // reads gzip's checksum as well
	case err == nil:
		return nil, fmt.Errorf("decoding the plan: %w: something follows the document", ErrFormat)
	case !errors.Is(err, io.EOF):
		return nil, fmt.Errorf("decoding the plan: %w: after the document: %w", ErrFormat, err)
	}
	if err := p.check(); err != nil {
		return nil, fmt.Errorf("decoding the plan: %w: %w", ErrFormat, err)
	}
	if p.Changes == nil {
		p.Changes = []Change{}
	}
	return &p, nil
}

func (p *Plan) check() error {
	major, _, ok := strings.Cut(p.FormatVersion, ".")
	ours, _, _ := strings.Cut(FormatVersion, ".")
	if _, err := strconv.Atoi(major); err != nil || !ok {
		return fmt.Errorf("%q is not a format version", p.FormatVersion)
	}
	if major != ours {
		return fmt.Errorf("its format version is %s, and this program reads %s.x", p.FormatVersion, ours)
	}
	for i := range p.Changes {
		c := &p.Changes[i]
		if _, ok := c.Verb.rank(); !ok {
			return fmt.Errorf("change %d: unknown verb %q", i, c.Verb)
		}
		if i > 0 && p.Changes[i-1].compare(c) >= 0 {
			return fmt.Errorf("change %d is out of order", i)
		}
	}
	return nil
}

// Verify reports whether the content is what the plan's own ID, Effect and Counts say; if not, the error is ErrAltered.
// It is meant for documents of the version that this program writes: a newer minor version may have fields in its id that
// are not known here.
func (p *Plan) Verify() error {
	counts := Counts{Add: len(p.Adds()), Remove: len(p.Removes()), Keep: len(p.Keeps()), Skip: len(p.Skips())}
	switch {
	case p.FormatVersion != FormatVersion:
		return fmt.Errorf("verifying plan %s: format version %s can't be verified by a program that writes %s", p.ID, p.FormatVersion, FormatVersion)
	case counts != p.Counts:
		return fmt.Errorf("verifying plan %s: %w: the changes don't match the counts", p.ID, ErrAltered)
	case p.effect() != p.Effect:
		return fmt.Errorf("verifying plan %s: %w: the changes don't match the effect", p.ID, ErrAltered)
	case p.id() != p.ID:
		return fmt.Errorf("verifying plan %s: %w: the content doesn't match the id", p.ID, ErrAltered)
	}
	return nil
}

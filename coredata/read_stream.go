package coredata

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// streamChunk is how much of an answer is gathered before it is sent.
const streamChunk = 32 << 10

// stream writes an answer piece by piece, so that a domain need not fit into memory. What fits into the first piece is sent only
// at the end, with its length; until then a failure can still be answered as one.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	idle    time.Duration
	buf     bytes.Buffer
	json    *json.Encoder // into buf
	items   int
	started bool
	lost    error // of sending: the client is gone
}

func newStream(w http.ResponseWriter, idle time.Duration) *stream {
	s := &stream{w: w, control: http.NewResponseController(w), idle: idle}
	s.json = json.NewEncoder(&s.buf)
	s.json.SetEscapeHTML(false)
	return s
}

// begin opens an object with some fields and a list.
func (s *stream) begin(fields [][2]any, list string) error {
	s.buf.WriteByte('{')
	for _, f := range fields {
		if err := s.value(f[0]); err != nil {
			return err
		}
		s.buf.WriteByte(':')
		if err := s.value(f[1]); err != nil {
			return err
		}
		s.buf.WriteByte(',')
	}
	if err := s.value(list); err != nil {
		return err
	}
	s.buf.WriteString(":[")
	return nil
}

// item appends to the list.
func (s *stream) item(v any) error {
	if s.items > 0 {
		s.buf.WriteByte(',')
	}
	s.items++
	if err := s.value(v); err != nil {
		return err
	}
	if s.buf.Len() < streamChunk {
		return nil
	}
	return s.send()
}

// end closes the list and the object, and sends what is left.
func (s *stream) end() error {
	s.buf.WriteString("]}")
	return s.finish()
}

func (s *stream) finish() error {
	if !s.started {
		s.w.Header().Set("Content-Length", strconv.Itoa(s.buf.Len()))
	}
	return s.send()
}

func (s *stream) value(v any) error {
	if err := s.json.Encode(v); err != nil {
		return fmt.Errorf("writing JSON: %w", err)
	}
	s.buf.Truncate(s.buf.Len() - 1) // the encoder ends every value with a line break
	return nil
}

func (s *stream) send() error {
	if !s.started {
		s.w.Header().Set("Content-Type", "application/json")
		s.started = true
	}
	_ = s.control.SetWriteDeadline(time.Now().Add(s.idle)) // who takes nothing must not keep the database waiting
	_, s.lost = s.w.Write(s.buf.Bytes())
	s.buf.Reset()
	return s.lost
}

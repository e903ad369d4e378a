package web

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
)

// maxLoggedPath bounds what a request can write into the log.
const maxLoggedPath = 300

type requestKey struct{}

// RequestID returns the id of the request that ctx belongs to; "" outside of one. It is in the answer's X-Request-Id, in the
// log line of the request, and in the body of an error.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestKey{}).(string)
	return id
}

// guard is what all requests pass: an id, headers that keep browsers strict, a line in the log, and a net for panics.
func guard(next http.Handler, log logrus.FieldLogger, now func() time.Time) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := now()
		id := requestID(r)
		r = r.WithContext(context.WithValue(r.Context(), requestKey{}, id))
		strict(w.Header(), r)
		w.Header().Set("X-Request-Id", id)
		rec := &recorder{ResponseWriter: w}
		entry := log.WithFields(logrus.Fields{
			"request": id, "method": token(r.Method), "path": logged(r.URL.Path), "remote": remote(r),
		})
		defer func() {
			abort := survive(recover(), rec, r, entry)
			entry = entry.WithFields(logrus.Fields{
				"status": rec.status(), "bytes": rec.bytes, "duration": now().Sub(began).Round(time.Microsecond).String(),
			})
			if routine(r.URL.Path) && rec.status() < http.StatusBadRequest {
				entry.Debug("request")
			} else {
				entry.Info("request")
			}
			if abort {
				panic(http.ErrAbortHandler)
			}
		}()
		next.ServeHTTP(rec, r)
	})
}

// survive answers 500 for a handler that panicked with v; nil: it did not. It reports whether the connection must be cut
// instead, as half an answer must not read as a whole one.
func survive(v any, rec *recorder, r *http.Request, log logrus.FieldLogger) (abort bool) {
	if v == nil {
		return false
	}
	if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		return true
	}
	log.WithFields(logrus.Fields{"panic": fmt.Sprint(v), "stack": string(debug.Stack())}).Error("request panicked")
	if rec.code != 0 {
		return true
	}
	writeError(rec, r, http.StatusInternalServerError, "something went wrong; the log says what")
	return false
}

// strict sets what a handler may loosen for its own pages.
func strict(h http.Header, r *http.Request) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	if r.TLS != nil {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// routine requests come every few seconds from machines, and are logged only for who looks closely.
func routine(path string) bool {
	switch path {
	case "/healthz", "/readyz", "/manage/health", "/metrics":
		return true
	}
	return false
}

// requestID takes over the id that a proxy gave the request, if it is one that may stand in a log.
func requestID(r *http.Request) string {
	given := r.Header.Get("X-Request-Id")
	if given != "" && len(given) <= 64 && token(given) == given && maskCPR(given) == given {
		return given
	}
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails
	return hex.EncodeToString(id[:])
}

// token returns s if it consists of letters, digits, dots, dashes and underscores, and "?" otherwise.
func token(s string) string {
	for _, c := range s {
		if !alphanumeric(c) && !strings.ContainsRune("._-", c) {
			return "?"
		}
	}
	return s
}

func alphanumeric(c rune) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

func remote(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// logged is a path as it may stand in the log.
func logged(path string) string {
	path = maskCPR(path)
	if len(path) > maxLoggedPath {
		path = path[:maxLoggedPath] + "…"
	}
	return strings.ToValidUTF8(path, "�")
}

// maskCPR hides what may be a CPR number: ten digits in a row, or six and four with one character between that is neither
// letter nor digit. P-numbers have ten digits too, and are hidden with them.
func maskCPR(s string) string {
	const hidden = "**********"
	var out strings.Builder
	for i := 0; i < len(s); {
		width := max(digits(s[i:]), 1)
		cpr := width == 10
		if width == 6 && len(s) > i+7 && !alphanumeric(rune(s[i+6])) && digits(s[i+7:]) == 4 {
			width, cpr = 11, true
		}
		if cpr {
			out.WriteString(hidden)
		} else {
			out.WriteString(s[i : i+width])
		}
		i += width
	}
	return out.String()
}

// digits counts those that s begins with.
func digits(s string) int {
	n := 0
	for n < len(s) && '0' <= s[n] && s[n] <= '9' {
		n++
	}
	return n
}

// recorder remembers what was answered.
type recorder struct {
	http.ResponseWriter
	code  int
	bytes int64
}

// Unwrap lets http.ResponseController reach what the writer below can do.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// WriteHeader remembers the final status.
func (r *recorder) WriteHeader(code int) {
	if r.code == 0 && code >= http.StatusOK {
		r.code = code
	}
	r.ResponseWriter.WriteHeader(code)
}

// Write counts.
func (r *recorder) Write(p []byte) (int, error) {
	if r.code == 0 {
		r.code = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(p)
	r.bytes += int64(n)
	return n, err
}

func (r *recorder) status() int {
	if r.code == 0 {
		return http.StatusOK
	}
	return r.code
}

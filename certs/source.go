package certs

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/sirupsen/logrus"
)

// SourceOptions says which keystore a Source holds.
type SourceOptions struct {
	// Path is the keystore's file.
	Path string
	// Password returns its password. It is asked at every load, because a new keystore may come with a new password.
	Password func() (string, error)
	// Accept, when not nil, may refuse a keystore that loads, for example another organisation's. It is asked for the
	// first one too.
	Accept func(*Keystore) error
	// Watch lists more files whose change calls for another look, such as the one with the password.
	Watch []string
	// Interval is how often to look at the file even when the file system announces no change, as network file systems
	// do not. Default: one minute.
	Interval time.Duration
	// Quiet is how long to wait after a change for those that belong to it. Default: a quarter of a second.
	Quiet time.Duration
	// Logger takes one entry per change and per new reason why one was not taken up. Default: nothing is logged.
	Logger logrus.FieldLogger
	// Now is the clock for Certificate. Default: time.Now.
	Now func() time.Time
}

// Source holds the current keystore, and takes up a new one when its file is replaced. A file that does not load leaves
// the old one in use and is reported. All methods are safe for concurrent use.
type Source struct {
	opts    SourceOptions
	current atomic.Pointer[loaded]

	loading sync.Mutex // one load at a time, with its callbacks

	mu       sync.Mutex // guards what follows
	failure  error
	onChange []func(*Keystore)
}

// loaded is a keystore and the fingerprint of the file it was read from.
type loaded struct {
	keystore *Keystore
	content  [sha256.Size]byte
}

// NewSource loads the keystore. It fails, with an *Error or what Accept said, if that cannot be done. Run then watches it.
func NewSource(opts SourceOptions) (*Source, error) {
	if opts.Password == nil {
		opts.Password = func() (string, error) { return "", nil }
	}
	if opts.Interval <= 0 {
		opts.Interval = time.Minute
	}
	if opts.Quiet <= 0 {
		opts.Quiet = 250 * time.Millisecond
	}
	if opts.Logger == nil {
		silent := logrus.New()
		silent.SetOutput(io.Discard)
		opts.Logger = silent
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	s := &Source{opts: opts}
	first, err := s.load()
	if err != nil {
		return nil, err
	}
	s.current.Store(first)
	return s, nil
}

// Current returns the keystore in use.
func (s *Source) Current() *Keystore { return s.current.Load().keystore }

// Certificate returns the certificate to present now. Outside its validity that is an *Error for ErrExpired or
// ErrNotYetValid: the other side would refuse it without saying why.
func (s *Source) Certificate() (*tls.Certificate, error) {
	k := s.Current()
	now := s.opts.Now()
	switch {
	case now.After(k.leaf.NotAfter):
		return nil, s.notValid(ErrExpired, "on "+moment(k.leaf.NotAfter))
	case now.Before(k.leaf.NotBefore):
		return nil, s.notValid(ErrNotYetValid, "it will be from "+moment(k.leaf.NotBefore))
	}
	return k.TLS(), nil
}

func (s *Source) notValid(reason error, detail string) error {
	e := fail(reason, detail, nil)
	e.Path = s.opts.Path
	return e
}

// GetClientCertificate is for tls.Config. It answers every server with the current certificate, whatever authorities the
// server says it accepts: with a fixed certificate Go sends none at all when that list does not match, and the request
// then fails in ways that tell nothing.
func (s *Source) GetClientCertificate(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	return s.Certificate()
}

// LastError says why the file as it is now was not taken up, or nil when it is the one in use.
func (s *Source) LastError() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failure
}

// OnChange has f called after each change with the new keystore, in the order they came. f must not call Reload. An HTTP
// client closes its idle connections there, so that the next request presents the new certificate.
func (s *Source) OnChange(f func(*Keystore)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onChange = append(s.onChange, f)
}

// Reload looks at the file now. It tells whether a new keystore was taken up; an error leaves the old one in use.
func (s *Source) Reload() (changed bool, err error) {
	s.loading.Lock()
	defer s.loading.Unlock()

	next, err := s.load()
	s.report(err)
	if err != nil {
		return false, err
	}
	if next == nil {
		return false, nil
	}
	s.current.Store(next)
	d := next.keystore.Describe()
	s.opts.Logger.WithFields(logrus.Fields{
		"path": s.opts.Path, "cvr": d.CVR, "sha256": d.SHA256, "notAfter": d.NotAfter.UTC().Format(time.RFC3339),
	}).Info("took up a new keystore")

	s.mu.Lock()
	callbacks := slices.Clip(s.onChange)
	s.mu.Unlock()
	for _, f := range callbacks {
		f(next.keystore)
	}
	return true, nil
}

// load reads the file, and returns nil when it is the one in use.
func (s *Source) load() (*loaded, error) {
	data, err := read(s.opts.Path)
	if err != nil {
		return nil, err
	}
	next := &loaded{content: sha256.Sum256(data)}
	if current := s.current.Load(); current != nil && current.content == next.content {
		return nil, nil
	}
	password, err := s.opts.Password()
	if err != nil {
		e := fail(ErrPassword, "", err)
		e.Path = s.opts.Path
		return nil, e
	}
	if next.keystore, err = parseFile(s.opts.Path, data, password); err != nil {
		return nil, err
	}
	if s.opts.Accept != nil {
		if err := s.opts.Accept(next.keystore); err != nil {
			return nil, fmt.Errorf("accepting keystore %s: %w", s.opts.Path, err)
		}
	}
	return next, nil
}

// report keeps the outcome of a load and logs it, once per reason.
func (s *Source) report(err error) {
	s.mu.Lock()
	before := s.failure
	s.failure = err
	s.mu.Unlock()
	log := s.opts.Logger.WithField("path", s.opts.Path)
	switch {
	case err == nil && before != nil:
		log.Info("the keystore's file is in order again")
	case err != nil && (before == nil || before.Error() != err.Error()):
		if remedy := Remedy(err); remedy != "" {
			log = log.WithField("remedy", remedy)
		}
		log.WithError(err).Error("did not take up the keystore's new file; the old one stays in use")
	}
}

// Run watches the file until ctx ends, and returns nil then. It watches the directory, not the file: a file is replaced
// by renaming another over it, and Kubernetes swaps a link beside it. Where that fails it looks at intervals only.
func (s *Source) Run(ctx context.Context) error {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		s.opts.Logger.WithError(err).Warnf("cannot watch the keystore's directory; looking at it every %v", s.opts.Interval)
		s.loop(ctx, nil, nil, func() {})
		return nil
	}
	defer func() { _ = watcher.Close() }()
	warned := false
	watch := func() {
		// Adding a directory again does no harm, and finds one that was made anew.
		if err := s.watch(watcher); err != nil && !warned {
			warned = true
			s.opts.Logger.WithError(err).Warnf("cannot watch the keystore's directory; looking at it every %v", s.opts.Interval)
		}
	}
	s.loop(ctx, watcher.Events, watcher.Errors, watch)
	return nil
}

// watch adds the directories of all files, and of what they are links to.
func (s *Source) watch(watcher *fsnotify.Watcher) error {
	var failures []error
	for _, path := range append([]string{s.opts.Path}, s.opts.Watch...) {
		failures = append(failures, watcher.Add(filepath.Dir(path)))
		if target, err := filepath.EvalSymlinks(path); err == nil && filepath.Dir(target) != filepath.Dir(path) {
			failures = append(failures, watcher.Add(filepath.Dir(target)))
		}
	}
	return errors.Join(failures...)
}

// loop reloads after announced changes and at intervals. Failures of a reload are kept and logged by report.
func (s *Source) loop(ctx context.Context, events <-chan fsnotify.Event, failures <-chan error, watch func()) {
	interval := time.NewTicker(s.opts.Interval)
	defer interval.Stop()
	look := func() {
		watch()
		_, _ = s.Reload()
	}
	look() // the file may have changed since it was first loaded
	var settled <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case _, ok := <-events:
			if !ok {
				events = nil
			} else if settled == nil { // not put off by further events: a busy directory must not hide a change
				settled = time.After(s.opts.Quiet)
			}
		case err, ok := <-failures:
			if !ok {
				failures = nil
			} else {
				s.opts.Logger.WithError(err).Warn("watching the keystore's directory failed")
				settled = time.After(s.opts.Quiet) // events were lost
			}
		case <-settled:
			settled = nil
			look()
		case <-interval.C:
			look()
		}
	}
}

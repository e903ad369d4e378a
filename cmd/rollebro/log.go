package main

import (
	"io"
	"os"

	"github.com/sirupsen/logrus"
	"golang.org/x/term"

	"github.com/rollebro/rollebro/cmd/rollebro/config"
)

// The names of fields in log lines, the same in every room.
const (
	fieldStack       = "stack"
	fieldCVR         = "cvr"
	fieldDryRun      = "dryRun"
	fieldDatabase    = "database"
	fieldListen      = "listen"
	fieldHost        = "mitidErhverv"
	fieldCertificate = "certificateEnds"
	fieldScheduled   = "scheduled"
	fieldVersion     = "version"
	fieldCode        = "code"
	fieldRemedy      = "remedy"
	fieldCommand     = "command"
)

// newLogger returns the logger as it is before the settings are read.
func newLogger(stderr io.Writer) *logrus.Logger {
	log := logrus.New()
	log.SetOutput(stderr)
	log.AddHook(maskHook{})
	configureLog(log, stderr, config.Log{Level: "info", Format: "auto"})
	return log
}

// configureLog puts the settings into force.
func configureLog(log *logrus.Logger, stderr io.Writer, c config.Log) {
	if level, err := logrus.ParseLevel(c.Level); err == nil { // checked with the settings
		log.SetLevel(level)
	}
	if c.Format == "json" || c.Format == "auto" && !isTerminal(stderr) {
		log.SetFormatter(&logrus.JSONFormatter{TimestampFormat: "2006-01-02T15:04:05.000Z07:00"})
		return
	}
	log.SetFormatter(&logrus.TextFormatter{FullTimestamp: true, TimestampFormat: "15:04:05", DisableColors: !isTerminal(stderr)})
}

// isTerminal reports whether somebody watches what is written.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// terminalWidth returns the columns of the terminal.
func terminalWidth(w io.Writer) int {
	if file, ok := w.(*os.File); ok {
		if columns, _, err := term.GetSize(int(file.Fd())); err == nil && columns > 0 {
			return columns
		}
	}
	return 80
}

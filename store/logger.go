package store

import (
	"context"
	"errors"
	"time"

	"github.com/sirupsen/logrus"
	"gorm.io/gorm"
	gormlogger "gorm.io/gorm/logger"
)

// slow is how long a statement may take before it is worth a warning.
const slow = 2 * time.Second

// sqlLogger hands gorm's log lines to logrus. Statements are logged without their values: those are people's data.
type sqlLogger struct{ log logrus.FieldLogger }

var (
	_ gormlogger.Interface = sqlLogger{}
	_ gorm.ParamsFilter    = sqlLogger{}
)

// ParamsFilter keeps the values out of the statement's text.
func (l sqlLogger) ParamsFilter(_ context.Context, sql string, _ ...any) (string, []any) {
	return sql, nil
}

// LogMode is part of gorm's interface; the level is logrus's own.
func (l sqlLogger) LogMode(gormlogger.LogLevel) gormlogger.Interface { return l }

// Info is part of gorm's interface.
func (l sqlLogger) Info(_ context.Context, text string, args ...any) { l.log.Debugf(text, args...) }

// Warn is part of gorm's interface. Its arguments may hold values, so only the text is logged.
func (l sqlLogger) Warn(_ context.Context, text string, _ ...any) { l.log.Debug(text) }

// Error is part of gorm's interface. What went wrong is returned to the caller, who logs it.
func (l sqlLogger) Error(_ context.Context, text string, _ ...any) { l.log.Debug(text) }

// Trace logs one statement.
func (l sqlLogger) Trace(_ context.Context, begin time.Time, fc func() (string, int64), err error) {
	took := time.Since(begin)
	if took < slow && !debugging(l.log) {
		return
	}
	sql, rows := fc()
	entry := l.log.WithFields(logrus.Fields{"sql": shorten(sql), "rows": rows, "took": took.Round(time.Microsecond).String()})
	switch {
	case err != nil && !errors.Is(err, gorm.ErrRecordNotFound):
		// The driver's text may repeat values (a duplicate key names the key).
		entry.Debug("statement failed")
	case took >= slow:
		entry.Warn("slow statement")
	default:
		entry.Debug("statement")
	}
}

// shorten cuts a statement's text: a batch repeats its question marks thousands of times.
func shorten(sql string) string {
	const most = 400
	if len(sql) > most {
		return sql[:most] + " …"
	}
	return sql
}

func debugging(log logrus.FieldLogger) bool {
	switch l := log.(type) {
	case *logrus.Logger:
		return l.IsLevelEnabled(logrus.DebugLevel)
	case *logrus.Entry:
		return l.Logger.IsLevelEnabled(logrus.DebugLevel)
	}
	return false
}

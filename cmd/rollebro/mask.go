package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/sirupsen/logrus"
)

// CPR numbers must be nowhere in the log. No room writes one there; this is the net below them.
//
// What has the form dddddd-dddd is taken for a CPR number always. Ten digits in a row are, if the first six are a day and a
// month: a P-number has ten digits too, and some read as a day. Those are needed in the log, so they are left alone where it
// is known that a P-number stands: in the fields for it, and after the scope type in a text ("PU 1003456789").
var cprPattern = regexp.MustCompile(`(\bPU[ =:]{1,2})?\b(\d{2})(\d{2})\d{2}(-?)\d{4}\b`)

const maskedCPR = "######-####"

// pNumberFields are the fields of log lines that hold P-numbers, in lower case.
var pNumberFields = map[string]bool{"pnumber": true, "scopevalue": true, "scope": true}

// maskCPR replaces what may be a CPR number.
func maskCPR(s string) string {
	return cprPattern.ReplaceAllStringFunc(s, func(found string) string {
		parts := cprPattern.FindStringSubmatch(found)
		dashed := parts[4] != ""
		if !dashed && (parts[1] != "" || !dayAndMonth(parts[2], parts[3])) {
			return found
		}
		return parts[1] + maskedCPR
	})
}

// dayAndMonth reports whether the digits can be those of a CPR number. Replacement numbers have 60 added to the day.
func dayAndMonth(day, month string) bool {
	d, _ := strconv.Atoi(day) // digits, by the pattern
	m, _ := strconv.Atoi(month)
	if d > 60 {
		d -= 60
	}
	return d >= 1 && d <= 31 && m >= 1 && m <= 12
}

// maskHook masks every log line before it is written.
type maskHook struct{}

// Levels is all of them.
func (maskHook) Levels() []logrus.Level { return logrus.AllLevels }

// Fire masks the message and those fields that are texts when they are written.
func (maskHook) Fire(entry *logrus.Entry) error {
	entry.Message = maskCPR(entry.Message)
	for name, value := range entry.Data {
		if pNumberFields[strings.ToLower(name)] {
			continue
		}
		switch v := value.(type) {
		case nil, bool, int, int64, uint64, float64:
		case string:
			entry.Data[name] = maskCPR(v)
		case error:
			entry.Data[name] = maskCPR(v.Error())
		case fmt.Stringer:
			entry.Data[name] = maskCPR(v.String())
		default:
			entry.Data[name] = maskCPR(fmt.Sprint(v))
		}
	}
	return nil
}

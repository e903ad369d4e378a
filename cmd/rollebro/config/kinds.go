package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rollebro/rollebro/scheduler"
)

// Kind says what values a setting takes.
type Kind string

// The kinds.
const (
	KindBoolean     Kind = "true/false"
	KindNumber      Kind = "number"
	KindDays        Kind = "days"
	KindDuration    Kind = "duration"
	KindText        Kind = "text"
	KindPath        Kind = "file"
	KindURL         Kind = "https URL"
	KindDatabaseURL Kind = "database URL"
	KindList        Kind = "list"
	KindChoice      Kind = "choice"
	KindCron        Kind = "cron"
	KindTimeOfDay   Kind = "from-to"
	KindListen      Kind = "address"
	KindPattern     Kind = "regular expression"
	KindCVR         Kind = "CVR number"
)

func boolean(name string, def bool, help string, field func(*Config) *bool) Setting {
	return Setting{Name: name, Kind: KindBoolean, Default: strconv.FormatBool(def), Help: help, store: func(c *Config, value string) error {
		switch strings.ToLower(value) {
		case "true", "yes", "on", "1":
			*field(c) = true
		case "false", "no", "off", "0":
			*field(c) = false
		default:
			return errors.New("must be true or false")
		}
		return nil
	}}
}

func number(name string, def, least, most int, help string, field func(*Config) *int) Setting {
	return Setting{Name: name, Kind: KindNumber, Default: itoa(def), Help: help, store: func(c *Config, value string) error {
		n, err := parseNumber(value, least, most)
		if err == nil {
			*field(c) = n
		}
		return err
	}}
}

func optionalNumber(name string, least, most int, help string, field func(*Config) **int) Setting {
	return Setting{Name: name, Kind: KindNumber, Help: help, store: func(c *Config, value string) error {
		if value == "" {
			return nil
		}
		n, err := parseNumber(value, least, most)
		if err == nil {
			*field(c) = &n
		}
		return err
	}}
}

func parseNumber(value string, least, most int) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("must be a whole number from %d to %d", least, most)
	}
	return n, nil
}

// days takes a number of days, 1 to 100 years.
func days(name string, def int, help string, field func(*Config) *time.Duration) Setting {
	return Setting{Name: name, Kind: KindDays, Default: itoa(def), Help: help, store: func(c *Config, value string) error {
		n, err := parseNumber(value, 1, 36500)
		if err == nil {
			*field(c) = time.Duration(n) * 24 * time.Hour
		}
		return err
	}}
}

func duration(name string, def time.Duration, help string, field func(*Config) *time.Duration) Setting {
	return Setting{Name: name, Kind: KindDuration, Default: def.String(), Help: help, store: func(c *Config, value string) error {
		d, err := time.ParseDuration(value)
		if err != nil || d < time.Second || d > time.Hour {
			return errors.New("must be a time from 1s to 1h, e.g. 90s or 3m")
		}
		*field(c) = d
		return nil
	}}
}

func text(name, def, help string, field func(*Config) *string) Setting {
	return Setting{Name: name, Kind: KindText, Default: def, Help: help, store: storeText(field)}
}

func path(name, help string, field func(*Config) *string) Setting {
	return Setting{Name: name, Kind: KindPath, Help: help, store: storeText(field)}
}

func storeText(field func(*Config) *string) func(*Config, string) error {
	return func(c *Config, value string) error {
		*field(c) = value
		return nil
	}
}

func secret(name, help string, field func(*Config) *Secret, file func(*Config) *string) Setting {
	return Setting{Name: name, Kind: KindText, Secret: true, Help: help, storeFile: storeText(file), store: func(c *Config, value string) error {
		*field(c) = Secret(value)
		return nil
	}}
}

func cvr(name, help string, field func(*Config) *string) Setting {
	digits := regexp.MustCompile(`^[1-9]\d{7}$`)
	return Setting{Name: name, Kind: KindCVR, Help: help, store: func(c *Config, value string) error {
		if value != "" && !digits.MatchString(value) {
			return errors.New("must be a CVR number: 8 digits")
		}
		*field(c) = value
		return nil
	}}
}

func choice(name, def string, allowed []string, help string, field func(*Config) *string) Setting {
	last := len(allowed) - 1
	message := fmt.Sprintf("must be %s or %s", strings.Join(allowed[:last], ", "), allowed[last])
	return Setting{Name: name, Kind: KindChoice, Default: def, Help: help, store: func(c *Config, value string) error {
		value = strings.ToLower(value)
		if !slices.Contains(allowed, value) {
			return errors.New(message)
		}
		*field(c) = value
		return nil
	}}
}

func list(name, help string, field func(*Config) *[]string) Setting {
	return Setting{Name: name, Kind: KindList, Help: help, store: func(c *Config, value string) error {
		var items []string
		for item := range strings.SplitSeq(value, ",") {
			if item = strings.TrimSpace(item); item != "" {
				items = append(items, item)
			}
		}
		*field(c) = items
		return nil
	}}
}

// none is how a setting with a default is set to nothing.
const none = "-"

func pattern(name, def, help string, field func(*Config) **regexp.Regexp) Setting {
	return Setting{Name: name, Kind: KindPattern, Default: def, Help: help, store: func(c *Config, value string) error {
		if value == none {
			*field(c) = nil
			return nil
		}
		re, err := regexp.Compile(value)
		if err != nil {
			return fmt.Errorf("must be a regular expression in Go's syntax: %w", err)
		}
		*field(c) = re
		return nil
	}}
}

// httpsURL takes the address of a service. Other schemes are refused: the bearer token would travel in the clear.
func httpsURL(name, def, help string, field func(*Config) *string) Setting {
	return Setting{Name: name, Kind: KindURL, Default: def, Help: help, store: func(c *Config, value string) error {
		u, err := url.Parse(value)
		switch {
		case err == nil && strings.EqualFold(u.Scheme, "http"):
			return errors.New("must begin with https://, because the access token must not be sent without TLS")
		case err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
			return errors.New("must be a URL of the form https://host, without user name, query or fragment")
		}
		*field(c) = strings.TrimRight(value, "/")
		return nil
	}}
}

// databaseURL takes what the store takes: JDBC URLs, the driver's own form after "mysql:", and SQLite files. What is inside
// is checked when the database is opened.
func databaseURL(name, help string, field func(*Config) *string) Setting {
	return Setting{Name: name, Kind: KindDatabaseURL, Help: help, store: func(c *Config, value string) error {
		rest, jdbc := strings.CutPrefix(value, "jdbc:")
		known := !jdbc && !strings.Contains(value, "://") // a file
		for _, kind := range []string{"mariadb:", "mysql:", "sqlite:"} {
			known = known || strings.HasPrefix(rest, kind)
		}
		if !known {
			return errors.New("must be jdbc:mariadb://host/database, jdbc:mysql://host/database or sqlite:FILE")
		}
		*field(c) = value
		return nil
	}}
}

var (
	userInfo     = regexp.MustCompile(`//[^/\s]*@`)
	driverLogin  = regexp.MustCompile(`^(mysql:)[^/].*@`) // user:password@tcp(host)/database
	passwordPart = regexp.MustCompile(`(?i)([?&;][^=&;]*(?:password|pwd|secret)[^=&;]*=)[^&;]*`)
)

// maskURL hides what a database URL may say about passwords.
func maskURL(s string) string {
	s = driverLogin.ReplaceAllString(s, "${1}"+mask+"@")
	s = userInfo.ReplaceAllString(s, "//"+mask+"@")
	return passwordPart.ReplaceAllString(s, "${1}"+mask)
}

func listen(name, def, help string, field func(*Config) *string) Setting {
	return Setting{Name: name, Kind: KindListen, Default: def, Help: help, store: func(c *Config, value string) error {
		_, port, err := net.SplitHostPort(value)
		if err == nil {
			_, err = strconv.ParseUint(port, 10, 16)
		}
		if err != nil {
			return errors.New("must be an address of the form :port or host:port, e.g. :8090")
		}
		*field(c) = value
		return nil
	}}
}

// hours takes a cron expression as Spring has them, or "-" for never.
func hours(name, help string, field func(*Config) *string) Setting {
	return Setting{Name: name, Kind: KindCron, Help: help, store: func(c *Config, value string) error {
		if value != "" {
			if _, err := scheduler.ParseCron(value); err != nil {
				return errors.New("must be six cron fields: second minute hour day month weekday, e.g. 0 17 10 * * *, or - for never")
			}
		}
		*field(c) = value
		return nil
	}}
}

// quiet takes a time of the day.
func quiet(name, help string, field func(*Config) *scheduler.Quiet) Setting {
	return Setting{Name: name, Kind: KindTimeOfDay, Help: help, store: func(c *Config, value string) error {
		q, err := scheduler.ParseQuiet(value)
		if err != nil {
			return errors.New("must be a time of the day such as 23:00-06:00")
		}
		*field(c) = q
		return nil
	}}
}

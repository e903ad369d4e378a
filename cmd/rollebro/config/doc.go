// Package config reads the settings of Rollebro: one table of names, kinds, defaults and explanations, filled from
// environment variables and an optional YAML file.
//
// The names are those of OS2rollekatalog, so that its docker-compose environment works unchanged, and they are matched the
// relaxed way that Spring matches them: case, dots, dashes and underscores do not count. RC_WEB_LISTEN, rc.web.listen and
// rc-web-listen are one name. An environment variable wins over the file, the file over the default.
//
// [Load] never stops at the first fault: it reports every unknown name and every invalid value at once, with where it came
// from and what is allowed. Values of secrets appear in none of it.
package config

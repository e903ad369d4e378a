//go:build race

package rolecatalog_test

// The race detector makes SQLite ten times slower; it looks for races, and the properties are proven without it.
const propertyChecks = "4"

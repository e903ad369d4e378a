//go:build !race

package rolecatalog_test

const propertyChecks = "15"

package rolecatalog_test

import (
	"strings"
	"testing"
)

// TestScenarios runs those scenarios on MariaDB as well in which the database has a part: what is stored, found again,
// marked, counted, approved, and read in another order.
func TestScenarios(t *testing.T) {
	t.Parallel()
	t.Run(strings.Trim(onMariaDB, "/"), func(t *testing.T) {
		t.Parallel()
		for name, scenario := range map[string]func(*testing.T){
			"T01": TestT01FixedAndChosenScopesGiveExactlyTheirGrants,
			"T02": TestT02EveryScopeValueIsImported,
			"T03": TestT03RolesOfTheSameNameStayApart,
			"T04": TestT04RoleThatLeavesTheCatalogueAndReturnsCostsNobodyAnything,
			"T05": TestT05MissingScopeValueGivesNothingAndTakesNothing,
			"T07": TestT07FailedReadDuringImportCostsNobodyAnything,
			"T09": TestT09LateUserKeepsWhatHeHad,
			"T11": TestT11DeletedAndDisabledUsersLoseWhatIsManaged,
			"T12": TestT12OneIdentityOfTwoUsersIsAConflict,
			"T13": TestT13GoneAndDownAreToldApart,
			"T15": TestT15LongNamesDoNotMultiplyRoles,
			"T16": TestT16MassRemovalIsBlockedUntilItIsApproved,
			"T18": TestT18RoleThatComesIntoTheCatalogueLaterIsAdopted,
			"T20": TestT20AdministratorRolesAreMirroredOneWay,

			"shared identity":  TestIdentityThatMovedOnIsNotAbandonedBecauseItsNewOwnerIsNotLookedAt,
			"approval":         TestApprovalHoldsOnceAndForThatPlanOnly,
			"allowance":        TestWhatAPersonApprovedDoesNotUseUpTheDaysAllowance,
			"retries":          TestRetriesOfAWriteGoByTheScheduleAndEndWithAPerson,
			"standstill":       TestHousekeepCatchesUpAfterDaysOfStandstill,
			"fence":            TestFencedProcessChangesNothing,
			"mark in mid-run":  TestMarkDuringARunIsNotLost,
			"withdrawn role":   TestLawL11WithdrawnIsNotGone,
			"changed by hand":  TestImportedRoleThatAPersonHasChangedIsNotUsedForWhatItNoLongerGives,
			"who is explained": TestExplainTellsWhatWhyAndSinceWhen,
		} {
			t.Run(name, scenario)
		}
	})
}

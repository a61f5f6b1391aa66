/* SPDX-License-Identifier: Apache-2.0 */
/* Who may what, by role and by scope. */
#include "access/role.h"

#include "base/macros.h"
#include "unit.h"

#include <string.h>

START_TEST(an_admin_may_everything)
{
	for (unsigned may = 0; may < 32; may++)
		ck_assert(role_may(ROLE_ADMIN, false, may));
}
END_TEST

START_TEST(others_may_what_has_their_bit)
{
	static const unsigned bits[ROLES_] = {[ROLE_EDITOR] = MAY_EDITOR, [ROLE_VIEWER] = MAY_VIEWER, [ROLE_ENROLLER] = MAY_ENROLLER};

	for (enum role role = ROLE_EDITOR; role < ROLES_; role++) {
		ck_assert(!role_may(role, false, MAY_ADMIN));
		for (unsigned may = 0; may < 32; may++)
			ck_assert(role_may(role, false, may) == ((may & (bits[role] | MAY_ANYBODY)) != 0));
	}
}
END_TEST

START_TEST(a_scope_confines)
{
	ck_assert(!role_may(ROLE_EDITOR, true, MAY_WRITE));
	ck_assert(role_may(ROLE_EDITOR, true, MAY_WRITE | MAY_SCOPED));
	ck_assert(!role_may(ROLE_VIEWER, true, MAY_WRITE | MAY_SCOPED));
	ck_assert(!role_may(ROLE_EDITOR, true, MAY_SCOPED));
	ck_assert(role_may(ROLE_VIEWER, true, MAY_ANYBODY));
}
END_TEST

START_TEST(names)
{
	enum role found;

	for (enum role role = ROLE_ADMIN; role < ROLES_; role++) {
		ck_assert(role_find(role_name(role), &found));
		ck_assert_int_eq(found, role);
		ck_assert(role_takes_scope(role) == (role == ROLE_EDITOR || role == ROLE_VIEWER));
	}
	ck_assert(!role_find("Admin", &found));
	ck_assert(!role_find("", &found));
}
END_TEST

UNIT_MAIN("access/role", an_admin_may_everything, others_may_what_has_their_bit, a_scope_confines, names)

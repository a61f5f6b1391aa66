/* SPDX-License-Identifier: Apache-2.0 */
/* Roles, in one table. */
#include "access/role.h"

#include "base/macros.h"

#include <string.h>

static const struct role_row {
	const char *name;
	unsigned bit; /* 0: everything */
	bool takes_scope;
} role_rows[ROLES_] = {
	[ROLE_ADMIN] = {"admin", 0, false},
	[ROLE_EDITOR] = {"editor", MAY_EDITOR, true},
	[ROLE_VIEWER] = {"viewer", MAY_VIEWER, true},
	[ROLE_ENROLLER] = {"enroller", MAY_ENROLLER, false},
};

const char *role_name(enum role role)
{
	return role_rows[role].name;
}

bool role_find(const char *name, enum role *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(role_rows); i++) {
		if (strcmp(role_rows[i].name, name) == 0) {
			*ret = (enum role)i;
			return true;
		}
	}
	return false;
}

bool role_takes_scope(enum role role)
{
	return role_rows[role].takes_scope;
}

bool role_may(enum role role, bool is_scoped, unsigned may)
{
	if (may & MAY_ANYBODY)
		return true;
	if (is_scoped && !(may & MAY_SCOPED))
		return false;
	return role == ROLE_ADMIN || (may & role_rows[role].bit) != 0;
}

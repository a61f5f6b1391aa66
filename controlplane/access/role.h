/* SPDX-License-Identifier: Apache-2.0 */
/* What a token may do at all; a scope (change/scope.h) confines it further. */
#pragma once

#include <stdbool.h>

enum role { ROLE_ADMIN, ROLE_EDITOR, ROLE_VIEWER, ROLE_ENROLLER, ROLES_ };

const char *role_name(enum role role);
bool role_find(const char *name, enum role *ret);
/* Does a scope mean anything with it? */
bool role_takes_scope(enum role role);

/* Who may call something: an admin always, others by a bit. 0: admins alone. */
enum may {
	MAY_ANYBODY = 1 << 0, /* no credential is asked for */
	MAY_EDITOR = 1 << 1,
	MAY_VIEWER = 1 << 2,
	MAY_ENROLLER = 1 << 3,
	MAY_SCOPED = 1 << 4, /* whoever may, also when confined to a scope */

	MAY_ADMIN = 0,
	MAY_WRITE = MAY_EDITOR,
	MAY_READ = MAY_EDITOR | MAY_VIEWER,
};

bool role_may(enum role role, bool is_scoped, unsigned may);

/* SPDX-License-Identifier: Apache-2.0 */
#include "api/visible.h"

#include <string.h>

bool visible_is_limited(const struct call *call)
{
	return call->identity.scope != NULL || call->identity.role == ROLE_ENROLLER;
}

int visible_check(const struct call *call, struct store_reader *reader, const struct store_row *row, bool *ret, struct error *err)
{
	struct store_revision made;
	int r;

	*ret = true;
	if (call->identity.scope != NULL)
		return scope_covers_state(call->identity.scope, &row->state, ret, err);
	if (call->identity.role != ROLE_ENROLLER)
		return 0;
	r = store_get_revision(reader, uid_revision(&row->state.object.uid).number, &made, err);
	if (r == 0)
		*ret = strcmp(made.actor, call->actor) == 0;
	return r;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* A request that makes configuration what it was at a revision. Its items are found, not sent: what changed since then, each to
 * be put as it was or to be deleted. They are parsed on the pool as of the head that was seen there; in the transaction what changed
 * since is added, and bodies and keys are taken from history itself. Internal to the change layer. */
#pragma once

#include "change/request.h"

static inline bool request_is_rollback(const struct request_job *job)
{
	return job->request.rollback.number != 0;
}

/* Pool. E_NOT_FOUND, E_GONE: refused. */
int rollback_prepare(struct request_job *job, struct error *err) MUST_USE;
/* Transaction, before the items. E_GONE, E_TOO_LARGE: refused. */
int rollback_begin(struct request_job *job, struct store_reader *reader, struct error *err) MUST_USE;
/* Makes the item a put or a deletion, its resource what the store had. before NULL: there is none now. *ret_skip: nothing to do, or
 * refused. */
int rollback_take(struct request_job *job, size_t index, const struct store_row *before, struct store_reader *reader, bool *ret_skip,
                  struct error *err) MUST_USE;
/* Transaction, after the items: warns where age decides otherwise than it did. */
int rollback_warn(struct request_job *job, struct store_reader *reader, struct error *err) MUST_USE;

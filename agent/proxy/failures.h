/* SPDX-License-Identifier: Apache-2.0 */
/* SSL objects that could not be made into a site when a handshake asked: workers note them, the main thread takes them. Bounded, one per
 * object; what does not fit is noted again by the next handshake that fails. */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "snapshot/snapshot.h"

#include <uv.h>

#define FAILURES_MAX 32

struct failure {
	char id[ID_MAX + 1];
	struct digest digest; /* of the state that failed */
	char reason[256];
};

struct failures;

/* news: of the main loop; sent when there is something to take; must outlive failures. */
int failures_new(uv_async_t *news, struct failures **ret, struct error *err) MUST_USE;
struct failures *failures_free(struct failures *failures); /* NULL allowed */

/* Any thread. */
void failures_note(struct failures *failures, const struct entry *entry, const char *reason);
/* Main thread: one of what was noted; false when there is no more. */
bool failures_take(struct failures *failures, struct failure *ret);

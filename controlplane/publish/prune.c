/* SPDX-License-Identifier: Apache-2.0 */
/* How far history may be cut. An update that is under way may read it still; one that begins later is a delta only from what is kept,
 * else its selectors are sent whole. All of this is on the loop, so nothing can begin in between. A slow agent holds the floor no longer
 * than its update may take. */
#include "internal.h"
#include "session.h"
#include "update.h"

uint64_t publisher_prune(struct publisher *publisher, uint64_t floor)
{
	if (publisher->agents_read < floor)
		floor = publisher->agents_read;
	if (publisher->selectors.head.revision.number < floor)
		floor = publisher->selectors.head.revision.number;
	for (const struct session *session = publisher->sessions; session != NULL; session = session->next) {
		uint64_t needs = session->state == SESSION_SENDING ? update_needs(session->flight) : floor;

		if (needs < floor)
			floor = needs;
	}
	if (floor > publisher->selectors.floor)
		publisher->selectors.floor = floor;
	return floor;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "sync/failpoint.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void failpoint_reach(const char *step)
{
	const char *wanted = getenv("TLSPLANE_TEST_CRASH_AT");

	if (wanted != NULL && strcmp(wanted, step) == 0)
		_exit(137);
}

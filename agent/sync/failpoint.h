/* SPDX-License-Identifier: Apache-2.0 */
/* For end-to-end tests alone: with TLSPLANE_TEST_CRASH_AT=prepared|persisted|swapped|marked in the environment the
 * process ends at that step of an apply, as a kill would end it (exit status 137, nothing flushed, nothing closed). */
#pragma once

void failpoint_reach(const char *step);

/* SPDX-License-Identifier: Apache-2.0 */
/* The request target (RFC 9112 section 3.2): path and query, checked and decoded once, before anything looks at them.
 * Pure. */
#pragma once

#include "base/error.h"
#include "base/macros.h"

#include <stddef.h>

#define TARGET_MAX 8192
#define TARGET_SEGMENTS_MAX 16
#define TARGET_PARAMETERS_MAX 32

struct target_parameter {
	const char *name, *value; /* decoded; value "" for a bare name */
};

struct target {
	char *path; /* owned; raw, without query; "*" is the asterisk form */
	const char *segments[TARGET_SEGMENTS_MAX];
	size_t segments_len;
	struct target_parameter parameters[TARGET_PARAMETERS_MAX];
	size_t parameters_len;
	char *memory; /* owned; what segments and parameters point into */
};

/* Origin form, absolute form (scheme and authority are skipped) or asterisk form, which is for OPTIONS alone. E_SYNTAX with
 * the reason: another form, a segment that is empty, "." or ".." (escaped or not), a bad escape, or one of '/', '\' or a
 * control; E_TOO_LARGE: beyond a limit above; E_NOMEM. */
int target_parse(const char *text, struct target *ret, struct error *err) MUST_USE;
void target_deinit(struct target *target);
DEFINE_CLEANUP_VALUE(struct target, target_deinit);

/* SPDX-License-Identifier: Apache-2.0 */
/* What the head of POST /v1/apply says about its body. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct call;

bool apply_is_lines_type(const char *content_type);
/* By the Content-Type. */
size_t apply_body_max(const struct call *call);

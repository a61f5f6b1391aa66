/* SPDX-License-Identifier: Apache-2.0 */
/* A revision as it is shown in lists. */
#pragma once

#include "store/store.h"

#include <jansson.h>

/* New reference; NULL without memory. */
json_t *revision_render(const struct store_revision *row);

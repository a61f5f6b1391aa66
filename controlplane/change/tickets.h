/* SPDX-License-Identifier: Apache-2.0 */
/* What a change of an agent does to ticket keys. Internal to the change layer. */
#pragma once

#include "store/store_write.h"

/* An agent had these labels (JSON, or NULL: none) and has those of `after` now, or is gone (NULL): the keys of the sets that it loses
 * are marked, and replaced by the publisher. In the transaction of that change. */
int tickets_lose(struct store_writer *writer, const char *labels_before, const struct resource *after, struct error *err) MUST_USE;

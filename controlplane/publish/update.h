/* SPDX-License-Identifier: Apache-2.0 */
/* One update on its way to one agent: what is sent is fixed when it begins, and is streamed as fast as the channel
 * takes it. */
#pragma once

#include "chunk.h"
#include "holding.h"
#include "net/channel.h"

#include <stdbool.h>
#include <stdint.h>

struct update_step {           /* one selector, whole or as a delta */
	struct selector *selector; /* a reference */
	uint64_t from, to;         /* as in chunk_key */
	uint64_t needs;            /* its first chunk: history must be kept from this revision on */
};

struct update {
	struct revision to;
	uint64_t bytes; /* sent so far */
	/* Where the stream stands. */
	size_t step;
	int64_t after;
	struct channel_payload *end; /* UPDATE_END as of `to`; NULL once sent */
	size_t steps_len;
	struct update_step steps[];
};

/* Plans the holding, sends UPDATE_BEGIN. The holding's plan stands until commit or cancel. Sends nothing on failure. */
int update_begin(struct holding *holding, struct selector_table *table, struct chunk_cache *cache,
                 struct channel *channel, uint64_t now, struct update **ret, struct error *err) MUST_USE;
/* Sends the next payload. *ret_done: that was UPDATE_END. */
int update_continue(struct update *update, struct chunk_cache *cache, struct channel *channel, uint64_t now,
                    bool *ret_done, struct error *err) MUST_USE;
/* What is yet to be sent needs history from this revision on. */
uint64_t update_needs(const struct update *update);
struct update *update_free(struct update *update, struct selector_table *table); /* NULL allowed */

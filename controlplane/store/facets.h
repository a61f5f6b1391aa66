/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of `facet`: they come and go with their state. Internal to the store. */
#pragma once

#include "model/facet.h"
#include "store/writer.h"

/* Index rows of a state: facets as model/facet.h encodes them. */
int facets_add(struct store_writer *writer, const struct store_row *row, struct bytes facets, struct error *err) MUST_USE;
int facets_remove(struct store_writer *writer, const struct store_row *row, struct bytes facets, struct error *err) MUST_USE;
/* In the transaction of a first start: nothing is older than the table. */
int facets_begin(struct store_writer *writer, struct error *err) MUST_USE;

/* SPDX-License-Identifier: Apache-2.0 */
/* Writing receipts. Internal to the change layer. */
#pragma once

#include "change/request.h"
#include "store/store_access.h"

/* What a receipt tells. */
struct receipt_facts {
	uint64_t now;
	struct revision revision;
	bool changed, created;
	enum kind kind;       /* 0: no object */
	const char *id;       /* NULL: none */
	const char *warnings; /* JSON text; NULL: none */
	struct bytes secret;  /* told once; empty: none */
};

int receipt_write(struct store_writer *writer, const struct change_receipt *receipt, const struct receipt_facts *facts,
                  struct error *err) MUST_USE;
/* Of a change that is accepted, when it asked for one. */
int receipt_write_request(struct request_job *job, struct store_writer *writer, struct error *err) MUST_USE;

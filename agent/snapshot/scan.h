/* SPDX-License-Identifier: Apache-2.0 */
/* What the indexes need of the bodies of SSL objects and routes, read straight from the wire form (Tlsplane__Ssl,
 * Tlsplane__Route): a hundred thousand objects load from the cache without a hundred thousand trees of small
 * allocations. It reads only; whether a body is sound is body_decode's and body_check's to say. All of them: E_SYNTAX
 * when the body is not a protobuf message. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"

#include <stdbool.h>
#include <stdint.h>

/* Each of `snis`, borrowed from body; what on_name returns other than 0 ends the scan and is returned. Of either kind.
 */
int scan_names(struct bytes body, int (*on_name)(struct bytes name, void *context), void *context) MUST_USE;

/* Borrowed from the body; data NULL when absent. */
struct scan_ssl {
	int32_t priority; /* 0 when absent */
	bool client_type;
	uint64_t not_after;       /* the earliest of its leaves; 0: none says */
	struct bytes tls_options; /* id */
	struct bytes client;      /* the whole message */
	struct bytes ca_bundle;   /* id, of client */
};
int scan_ssl(struct bytes body, struct scan_ssl *ret) MUST_USE;

/* Are two SSL objects the same in all but their pairs? Written by one encoder, they are if their bytes are; false also
 * for what is broken. */
bool scan_ssl_has_same_words(struct bytes a, struct bytes b);

int scan_route(struct bytes body, int32_t *ret_priority) MUST_USE;

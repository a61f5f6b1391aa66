/* SPDX-License-Identifier: Apache-2.0 */
/* What the index needs of an SSL object's body, read straight from the wire form of Tlsplane__Ssl: a hundred thousand
 * objects load from the cache without a hundred thousand trees of small allocations. It reads only; whether a body is
 * sound is body_decode's and body_check's to say. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"

#include <stdint.h>

struct ssl_scan {
	int32_t priority;         /* 0 when absent */
	struct bytes tls_options; /* id; data NULL when absent */
	struct bytes ca_bundle;   /* id; data NULL when absent */
};

/* on_name (may be NULL): each of `snis`, borrowed from body; what it returns other than 0 ends the scan and is
 * returned. E_SYNTAX: not a protobuf message. ret may be NULL. */
int ssl_scan(struct bytes body, int (*on_name)(struct bytes name, void *context), void *context,
             struct ssl_scan *ret) MUST_USE;

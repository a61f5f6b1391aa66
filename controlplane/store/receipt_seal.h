/* SPDX-License-Identifier: Apache-2.0 */
/* Associated data of what a receipt keeps sealed. Internal to the store. */
#pragma once

#include "base/buf.h"

#include <stdint.h>
#include <string.h>

static inline void receipt_aad(const uint8_t token[32], const char *key, struct buf *out)
{
	static const char tag[] = "tlsplane/receipt/v1";

	buf_put(out, tag, sizeof(tag)); /* with its zero */
	buf_put(out, token, 32);
	buf_put_lv(out, key, strlen(key));
}

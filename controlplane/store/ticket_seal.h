/* SPDX-License-Identifier: Apache-2.0 */
/* Associated data of a sealed ticket key. Internal to the store. */
#pragma once

#include "base/buf.h"
#include "store/store_tickets.h"

#include <string.h>

static inline void ticket_aad(const char *selector, const uint8_t name[STORE_TICKET_NAME_LEN], struct buf *out)
{
	static const char tag[] = "tlsplane/ticket/v1";

	buf_put(out, tag, sizeof(tag)); /* with its zero */
	buf_put_lv(out, selector, strlen(selector));
	buf_put(out, name, STORE_TICKET_NAME_LEN);
}

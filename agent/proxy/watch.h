/* SPDX-License-Identifier: Apache-2.0 */
/* Who is told what epoll reports about a descriptor; embedded in what owns the descriptor. */
#pragma once

#include <stdint.h>

struct watch {
	void (*on_event)(struct watch *watch, uint32_t events); /* EPOLL* bits */
};

/* SPDX-License-Identifier: Apache-2.0 */
/* The main loop of a daemon, with what libuv would otherwise allocate in the middle of work and end the process for when it can't: its
 * table of descriptors, up to number LOOP_DESCRIPTORS, and the threads of its pool. */
#pragma once

#include "base/error.h"
#include "base/macros.h"

#include <uv.h>

#define LOOP_DESCRIPTORS 65534 /* half a megabyte */

/* After the limit of descriptors has been set. E_NOMEM, E_IO. */
int loop_init(uv_loop_t *loop, struct error *err) MUST_USE;

/* SPDX-License-Identifier: Apache-2.0 */
/* Passes of the agent's own probes (probe.h): the address that one comes from, by which the worker that accepts it
 * knows it. It is an address of this machine together with a port that a socket of this process has, so nobody else
 * can come from there. Used once, and not for long. */
#pragma once

#include "base/macros.h"
#include "proxy/endpoint.h"

#include <stdbool.h>
#include <stdint.h>

#define PASSES_MAX 16

struct passes;

struct passes *passes_new(void); /* NULL without memory */
struct passes *passes_free(struct passes *passes); /* NULL allowed */

/* Main thread. until_ns: of uv_hrtime. False: all are given. */
bool passes_give(struct passes *passes, const union endpoint *source, uint64_t until_ns);
void passes_revoke(struct passes *passes, const union endpoint *source);
/* Any thread; nearly free while none is given. True: it was one, and is used. */
bool passes_take(struct passes *passes, const union endpoint *peer, uint64_t now_ns);

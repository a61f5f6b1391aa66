/* SPDX-License-Identifier: Apache-2.0 */
/* A reuse-port group: one listening socket per worker on one address, opened together or not at all, never extended. */
#pragma once

#include "base/error.h"
#include "base/macros.h"

/* address: "127.0.0.1:8443", "[::1]:8443". E_BUSY: taken, whoever by; E_FORBIDDEN: not allowed; E_UNAVAILABLE: not an
 * address of this machine (yet); E_IO, E_INVALID. fds: count descriptors, the caller's. */
int group_open(const char *address, unsigned count, int *fds, struct error *err) MUST_USE;
void group_close(int *fds, unsigned count);

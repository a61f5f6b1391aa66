/* SPDX-License-Identifier: Apache-2.0 */
/* The high-water mark: the highest (epoch, revision) this agent ever made current, in a file of its own, so
 * that an old or lost cache does not take it along. At 0 and at 4096 a line "tlsplane-high-water-v2 EPOCH REVISION EPOCH
 * REVISION", twenty digits each: one is the mark, the other the one before. Private to the cache layer. */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "model/object.h"

/* A file that is not there is {0,0}. E_CORRUPT, E_IO. */
int highwater_read(const char *path, struct revision *ret, struct error *err) MUST_USE;
/* Durable on return. E_NOSPACE, E_IO: the old one stands. */
int highwater_write(const char *path, struct revision revision, struct error *err) MUST_USE;

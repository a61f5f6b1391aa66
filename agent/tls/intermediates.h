/* SPDX-License-Identifier: Apache-2.0 */
/* Intermediates: the certificates between a leaf and its root, parsed once for all sites that carry them. A public CA
 * has a handful for millions of leaves, and to parse one costs as much as the leaf (a tenth of a millisecond, 3 KiB).
 * Private to agent/tls. Any thread. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"

#include <openssl/types.h>

struct intermediates;

int intermediates_new(struct intermediates **ret, struct error *err) MUST_USE;
struct intermediates *intermediates_free(struct intermediates *shared);
DEFINE_CLEANUP(struct intermediates, intermediates_free);

/* A reference to the certificate with these very bytes; never to be changed. shared: NULL to parse it anew. Errors as
 * cert_parse. */
int intermediates_take(struct intermediates *shared, struct bytes der, X509 **ret, struct error *err) MUST_USE;

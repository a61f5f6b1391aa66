/* SPDX-License-Identifier: Apache-2.0 */
/* The status port's own certificate: that of an SSL object in the holding, as the published snapshot has it at each
 * handshake. */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "proxy/proxy.h"
#include "tls/site.h"

struct certificate_source { /* all borrowed */
	const struct proxy *proxy;
	struct site_cache *sites;
	const char *ssl_id;
};

/* For struct http_tls; owner: a struct certificate_source. E_NOT_FOUND: the object is not held; E_INVALID: it is one
 * for upstreams; what site_cache_get says. */
int certificate_put(SSL *ssl, void *owner, struct error *err) MUST_USE;

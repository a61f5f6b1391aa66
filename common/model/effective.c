/* SPDX-License-Identifier: Apache-2.0 */
#include "model/effective.h"

#include <stddef.h>

#define OR_ELSE(body, field, absent) ((body)->has_##field ? (body)->field : (absent))

bool effective_prefer_server_ciphers(const Tlsplane__TlsOptions *options)
{
	return OR_ELSE(options, prefer_server_ciphers, true);
}

uint32_t effective_max_connections(const Tlsplane__Listener *listener)
{
	return OR_ELSE(listener, max_connections, 10000);
}

uint32_t effective_connect_timeout_ms(const Tlsplane__Upstream *upstream)
{
	return OR_ELSE(upstream, connect_timeout_ms, 5000);
}

uint32_t effective_max_fails(const Tlsplane__Upstream *upstream)
{
	return OR_ELSE(upstream, max_fails, 3);
}

uint32_t effective_fail_timeout_ms(const Tlsplane__Upstream *upstream)
{
	return OR_ELSE(upstream, fail_timeout_ms, 10000);
}

uint32_t effective_origin_min_version(const Tlsplane__UpstreamTls *tls)
{
	return OR_ELSE(tls, min_version, 0x0303);
}

uint32_t effective_origin_max_version(const Tlsplane__UpstreamTls *tls)
{
	return OR_ELSE(tls, max_version, 0x0304);
}

bool effective_origin_system_ca(const Tlsplane__UpstreamTls *tls)
{
	return OR_ELSE(tls, system_ca, tls->n_ca == 0 && tls->ca_bundle == NULL);
}

uint32_t effective_origin_depth(const Tlsplane__UpstreamTls *tls)
{
	return OR_ELSE(tls, depth, 9);
}

bool effective_origin_session_reuse(const Tlsplane__UpstreamTls *tls)
{
	return OR_ELSE(tls, session_reuse, true);
}

uint32_t effective_origin_handshake_timeout_ms(const Tlsplane__UpstreamTls *tls)
{
	return OR_ELSE(tls, handshake_timeout_ms, 10000);
}

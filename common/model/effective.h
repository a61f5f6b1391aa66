/* SPDX-License-Identifier: Apache-2.0 */
/* What a body says, with what it leaves out filled in as channel.proto says: in one place, so that resolve shows what the agent does.
 * (Lists of suites and groups: suites.h. Versions of TLS options are always present in what the control plane writes.) */
#pragma once

#include "channel.pb-c.h"

#include <stdbool.h>
#include <stdint.h>

bool effective_prefer_server_ciphers(const Tlsplane__TlsOptions *options);

uint32_t effective_max_connections(const Tlsplane__Listener *listener);

uint32_t effective_connect_timeout_ms(const Tlsplane__Upstream *upstream);
uint32_t effective_max_fails(const Tlsplane__Upstream *upstream);
uint32_t effective_fail_timeout_ms(const Tlsplane__Upstream *upstream);

uint32_t effective_origin_min_version(const Tlsplane__UpstreamTls *tls);
uint32_t effective_origin_max_version(const Tlsplane__UpstreamTls *tls);
bool effective_origin_system_ca(const Tlsplane__UpstreamTls *tls);
uint32_t effective_origin_depth(const Tlsplane__UpstreamTls *tls);
bool effective_origin_session_reuse(const Tlsplane__UpstreamTls *tls);
uint32_t effective_origin_handshake_timeout_ms(const Tlsplane__UpstreamTls *tls);

/* SPDX-License-Identifier: Apache-2.0 */
/* What is left out stands for what channel.proto says; what is written is taken as it is, zero and false too. */
#include "model/effective.h"
#include "unit.h"

START_TEST(left_out)
{
	const Tlsplane__TlsOptions options = TLSPLANE__TLS_OPTIONS__INIT;
	const Tlsplane__Listener listener = TLSPLANE__LISTENER__INIT;
	const Tlsplane__Upstream upstream = TLSPLANE__UPSTREAM__INIT;
	const Tlsplane__UpstreamTls tls = TLSPLANE__UPSTREAM_TLS__INIT;

	ck_assert(effective_prefer_server_ciphers(&options));
	ck_assert_uint_eq(effective_max_connections(&listener), 10000);
	ck_assert_uint_eq(effective_connect_timeout_ms(&upstream), 5000);
	ck_assert_uint_eq(effective_max_fails(&upstream), 3);
	ck_assert_uint_eq(effective_fail_timeout_ms(&upstream), 10000);
	ck_assert_uint_eq(effective_origin_min_version(&tls), 0x0303);
	ck_assert_uint_eq(effective_origin_max_version(&tls), 0x0304);
	ck_assert(effective_origin_system_ca(&tls));
	ck_assert_uint_eq(effective_origin_depth(&tls), 9);
	ck_assert(effective_origin_session_reuse(&tls));
	ck_assert_uint_eq(effective_origin_handshake_timeout_ms(&tls), 10000);
}
END_TEST

START_TEST(written)
{
	const Tlsplane__TlsOptions options = {.has_prefer_server_ciphers = 1};
	const Tlsplane__Listener listener = {.has_max_connections = 1, .max_connections = 1};
	const Tlsplane__Upstream upstream = {
	    .has_connect_timeout_ms = 1, .connect_timeout_ms = 2, .has_max_fails = 1, .has_fail_timeout_ms = 1, .fail_timeout_ms = 3};
	const Tlsplane__UpstreamTls tls = {
	    .has_min_version = 1, .min_version = 0x0301, .has_max_version = 1, .max_version = 0x0302, .has_system_ca = 1,
	    .has_depth = 1, .has_session_reuse = 1, .has_handshake_timeout_ms = 1, .handshake_timeout_ms = 4};

	ck_assert(!effective_prefer_server_ciphers(&options));
	ck_assert_uint_eq(effective_max_connections(&listener), 1);
	ck_assert_uint_eq(effective_connect_timeout_ms(&upstream), 2);
	ck_assert_uint_eq(effective_max_fails(&upstream), 0);
	ck_assert_uint_eq(effective_fail_timeout_ms(&upstream), 3);
	ck_assert_uint_eq(effective_origin_min_version(&tls), 0x0301);
	ck_assert_uint_eq(effective_origin_max_version(&tls), 0x0302);
	ck_assert(!effective_origin_system_ca(&tls));
	ck_assert_uint_eq(effective_origin_depth(&tls), 0);
	ck_assert(!effective_origin_session_reuse(&tls));
	ck_assert_uint_eq(effective_origin_handshake_timeout_ms(&tls), 4);
}
END_TEST

/* Anchors of one's own stand in place of the machine's, unless both are asked for. */
START_TEST(anchors_replace_the_system)
{
	char bundle[] = "origins";
	ProtobufCBinaryData der = {0, NULL};
	Tlsplane__UpstreamTls with_ca = {.n_ca = 1, .ca = &der}, with_bundle = {.ca_bundle = bundle};

	ck_assert(!effective_origin_system_ca(&with_ca) && !effective_origin_system_ca(&with_bundle));
	with_ca.has_system_ca = with_ca.system_ca = with_bundle.has_system_ca = with_bundle.system_ca = 1;
	ck_assert(effective_origin_system_ca(&with_ca) && effective_origin_system_ca(&with_bundle));
}
END_TEST

UNIT_MAIN("model/effective", left_out, written, anchors_replace_the_system)

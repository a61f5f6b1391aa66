/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/profile.h"

#include "crypto/crypto.h"
#include "shake.h"
#include "tls/hello_hook.h"
#include "tls/site.h"
#include "unit.h"

#include <string.h>

struct probe {
	struct hello_hook hook;
	const struct profile *profile;
	const struct site *site;
	uint16_t min, max;
	int calls;
};

static int on_hello(struct hello_hook *hook, SSL *ssl, int *alert)
{
	struct probe *probe = (struct probe *)hook;
	struct error err = ERROR_NULL;

	if (probe->calls++ > 0)
		return 0;
	if (profile_put_on(probe->profile, ssl, probe->min, probe->max, &err) < 0)
		return -1;
	return site_put_on(probe->site, ssl, &err);
}

static struct profile *make(const Tlsplane__TlsOptions *options)
{
	struct error err = ERROR_NULL;
	struct profile *profile = NULL;

	ck_assert_msg(profile_new(options, &profile, &err) == 0, "%s", err.text);
	return profile;
}

static void run(const struct profile *profile, uint16_t min, uint16_t max, const struct shake_spec *spec,
                struct shake *ret)
{
	static SSL_CTX *front;
	static struct site *site;
	struct probe probe = {.hook = {on_hello}, .profile = profile, .min = min, .max = max};

	if (front == NULL) {
		ck_assert_int_eq(front_new(&front, NULL), 0);
		ck_assert_int_eq(site_new_self_signed(&site, NULL), 0);
	}
	probe.site = site;
	shake_run(front, &probe.hook, spec, ret);
}

static Tlsplane__TlsOptions options_of(uint32_t min, uint32_t max)
{
	Tlsplane__TlsOptions options = TLSPLANE__TLS_OPTIONS__INIT;

	options.has_min_version = options.has_max_version = 1;
	options.min_version = min;
	options.max_version = max;
	return options;
}

START_TEST(test_versions)
{
	const struct {
		uint16_t min, max, site_min, site_max, client_max;
		int want; /* 0: refused */
	} rows[] = {
	    {0x0304, 0x0304, 0, 0, 0x0304, 0x0304},           {0x0304, 0x0304, 0, 0, 0x0303, 0},
	    {0x0303, 0x0304, 0, 0, 0x0303, 0x0303},           {0x0303, 0x0303, 0, 0, 0x0304, 0x0303},
	    {0x0303, 0x0304, 0x0303, 0x0303, 0x0304, 0x0303}, {0x0303, 0x0304, 0x0304, 0x0304, 0x0303, 0},
	    {0x0303, 0x0304, 0x0301, 0x0302, 0x0304, 0},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		Tlsplane__TlsOptions options = options_of(rows[i].min, rows[i].max);
		struct profile *profile = make(&options);
		struct shake shake;

		run(profile, rows[i].site_min, rows[i].site_max,
		    &(struct shake_spec){.sni = "a.test", .max = rows[i].client_max}, &shake);
		ck_assert_msg(shake.done == (rows[i].want != 0), "row %zu", i);
		if (shake.done)
			ck_assert_int_eq(SSL_version(shake.server), rows[i].want);
		shake_deinit(&shake);
		profile_unref(profile);
	}
}
END_TEST

START_TEST(test_old_versions)
{
	Tlsplane__TlsOptions options = options_of(0x0301, 0x0302);
	uint32_t suites[] = {0xC009, 0xC013};
	struct profile *profile;
	struct shake shake;

	options.cipher_suites = suites;
	options.n_cipher_suites = 2;
	profile = make(&options);
	run(profile, 0, 0, &(struct shake_spec){.max = TLS1_VERSION}, &shake);
	ck_assert(shake.done);
	ck_assert_int_eq(SSL_version(shake.server), TLS1_VERSION);
	shake_deinit(&shake);
	profile_unref(profile);
}
END_TEST

/* Nothing to resume with: neither tickets nor ids, on both versions. */
/* One profile for all four versions, each client its own. */
START_TEST(test_all_versions)
{
	Tlsplane__TlsOptions options = options_of(0x0301, 0x0304);
	uint32_t suites[] = {0x1301, 0xC02B, 0xC009};
	struct profile *profile;

	options.cipher_suites = suites;
	options.n_cipher_suites = 3;
	profile = make(&options);
	for (int version = TLS1_VERSION; version <= TLS1_3_VERSION; version++) {
		struct shake shake;

		run(profile, 0, 0, &(struct shake_spec){.max = version}, &shake);
		ck_assert_msg(shake.done, "version %04x", version);
		ck_assert_int_eq(SSL_version(shake.server), version);
		ck_assert_ptr_null(SSL_get_current_compression(shake.server));
		shake_deinit(&shake);
	}
	profile_unref(profile);
}
END_TEST

START_TEST(test_no_renegotiation)
{
	Tlsplane__TlsOptions options = options_of(0x0303, 0x0303);
	struct profile *profile = make(&options);
	struct shake shake;
	char byte;

	run(profile, 0, 0, &(struct shake_spec){.sni = NULL}, &shake);
	ck_assert(shake.done);
	ck_assert_int_eq(SSL_renegotiate(shake.client), 1);
	ck_assert_int_ne(SSL_do_handshake(shake.client), 1); /* sends its hello */
	SSL_read(shake.server, &byte, 1);                    /* which is answered with an alert */
	ck_assert_int_ne(SSL_do_handshake(shake.client), 1);
	ck_assert_int_eq(shake.alert, SSL_AD_NO_RENEGOTIATION);
	ck_assert_int_ne(SSL_renegotiate(shake.server), 1); /* nor by us */
	shake_deinit(&shake);
	profile_unref(profile);
}
END_TEST

START_TEST(test_no_sessions)
{
	Tlsplane__TlsOptions options = options_of(0x0303, 0x0304);
	struct profile *profile = make(&options);

	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		struct shake first, second;
		SSL_SESSION *session;

		run(profile, 0, 0, &(struct shake_spec){.min = version, .max = version}, &first);
		ck_assert(first.done);
		ck_assert_int_eq(first.tickets, 0);
		session = SSL_get1_session(first.client);
		ck_assert(!SSL_SESSION_has_ticket(session));
		run(profile, 0, 0, &(struct shake_spec){.min = version, .max = version, .session = session}, &second);
		ck_assert(second.done && !SSL_session_reused(second.server) && !SSL_session_reused(second.client));
		SSL_SESSION_free(session);
		shake_deinit(&first);
		shake_deinit(&second);
	}
	profile_unref(profile);
}
END_TEST

START_TEST(test_suites)
{
	Tlsplane__TlsOptions options = options_of(0x0303, 0x0304);
	uint32_t suites[] = {0xCCA9, 0x1302, 0xC02B};
	struct profile *profile;
	struct shake shake;

	options.cipher_suites = suites;
	options.n_cipher_suites = 3;
	profile = make(&options);
	run(profile, 0, 0,
	    &(struct shake_spec){.max = TLS1_2_VERSION,
	                         .suites12 = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305"},
	    &shake);
	ck_assert(shake.done);
	ck_assert_uint_eq(SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(shake.server)),
	                  0xCCA9); /* the server's order */
	shake_deinit(&shake);
	run(profile, 0, 0, &(struct shake_spec){.sni = "a.test"}, &shake);
	ck_assert(shake.done);
	ck_assert_uint_eq(SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(shake.server)), 0x1302);
	shake_deinit(&shake);
	run(profile, 0, 0, &(struct shake_spec){.min = TLS1_3_VERSION, .suites13 = "TLS_AES_128_GCM_SHA256"}, &shake);
	ck_assert(!shake.done);
	shake_deinit(&shake);
	profile_unref(profile);

	options.has_prefer_server_ciphers = 1; /* and the client's */
	profile = make(&options);
	run(profile, 0, 0,
	    &(struct shake_spec){.max = TLS1_2_VERSION,
	                         .suites12 = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305"},
	    &shake);
	ck_assert(shake.done);
	ck_assert_uint_eq(SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(shake.server)), 0xC02B);
	shake_deinit(&shake);
	profile_unref(profile);
}
END_TEST

START_TEST(test_groups)
{
	Tlsplane__TlsOptions options = options_of(0x0303, 0x0304);
	uint32_t groups[] = {24};
	struct profile *profile;

	options.curve_preferences = groups;
	options.n_curve_preferences = 1;
	profile = make(&options);
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		struct shake shake;

		run(profile, 0, 0, &(struct shake_spec){.max = version, .groups = "X25519:P-256:P-384"}, &shake);
		ck_assert(shake.done);
		ck_assert_int_eq((int)SSL_get_negotiated_group(shake.server), NID_secp384r1);
		shake_deinit(&shake);
		run(profile, 0, 0, &(struct shake_spec){.max = version, .groups = "X25519:P-256:P-521"}, &shake);
		ck_assert(!shake.done);
		shake_deinit(&shake);
	}
	profile_unref(profile);
}
END_TEST

START_TEST(test_alpn)
{
	Tlsplane__TlsOptions options = options_of(0x0303, 0x0304);
	char *protocols[] = {(char[]){"h2"}, (char[]){"http/1.1"}};
	struct profile *profile;
	struct shake shake;

	options.alpn_protocols = protocols;
	options.n_alpn_protocols = 2;
	profile = make(&options);
	run(profile, 0, 0, &(struct shake_spec){.alpn = "\x08http/1.1\x02h2", .alpn_len = 12}, &shake);
	ck_assert(shake.done);
	ck_assert_str_eq(shake.alpn, "h2");
	shake_deinit(&shake);
	run(profile, 0, 0,
	    &(struct shake_spec){.alpn = "\x03"
	                                 "foo",
	                         .alpn_len = 4},
	    &shake);
	ck_assert(!shake.done);
	ck_assert_int_eq(shake.alert, SSL_AD_NO_APPLICATION_PROTOCOL);
	shake_deinit(&shake);
	run(profile, 0, 0, &(struct shake_spec){.sni = "a.test"}, &shake); /* offers none: nothing to agree on */
	ck_assert(shake.done);
	shake_deinit(&shake);
	profile_unref(profile);

	options.n_alpn_protocols = 0; /* a relay that promises nothing */
	profile = make(&options);
	run(profile, 0, 0, &(struct shake_spec){.alpn = "\x02h2", .alpn_len = 3}, &shake);
	ck_assert(shake.done);
	ck_assert_str_eq(shake.alpn, "");
	shake_deinit(&shake);
	profile_unref(profile);
}
END_TEST

START_TEST(test_refused)
{
	struct profile *profile = NULL;
	struct error err = ERROR_NULL;
	uint32_t list[] = {0x0005};
	Tlsplane__TlsOptions options = options_of(0x0304, 0x0303);

	ck_assert_int_eq(profile_new(&options, &profile, &err), E_INVALID);
	options = options_of(0x0305, 0x0305);
	ck_assert_int_eq(profile_new(&options, &profile, &err), E_INVALID);
	options = options_of(0x0303, 0x0303);
	options.cipher_suites = list;
	options.n_cipher_suites = 1;
	ck_assert_int_eq(profile_new(&options, &profile, &err), E_INVALID); /* RC4 */
	ck_assert_ptr_nonnull(strstr(err.text, "/cipher_suites/0"));
	list[0] = 0x1301;
	ck_assert_int_eq(profile_new(&options, &profile, &err), E_INVALID); /* none for 1.2 */
	options.n_cipher_suites = 0;
	options.curve_preferences = list;
	options.n_curve_preferences = 1;
	list[0] = 4588;
	ck_assert_int_eq(profile_new(&options, &profile, &err), E_INVALID);
	ck_assert_ptr_null(profile);
}
END_TEST

START_TEST(test_digest)
{
	Tlsplane__TlsOptions a = options_of(0x0303, 0x0304), b = a;
	uint32_t groups[] = {29, 23, 24, 25}, suites[] = {0x1301};
	struct digest first, second;
	struct profile *profile;

	ck_assert_int_eq(profile_compute_digest(&a, &first, NULL), 0);
	b.curve_preferences = groups; /* the default, spelt out */
	b.n_curve_preferences = 4;
	b.has_prefer_server_ciphers = b.prefer_server_ciphers = 1;
	b.sni_strict = b.has_sni_strict = 1; /* no part of it */
	ck_assert_int_eq(profile_compute_digest(&b, &second, NULL), 0);
	ck_assert(digest_is_equal(&first, &second));
	profile = make(&b);
	ck_assert(digest_is_equal(&first, profile_digest(profile)));
	profile_unref(profile);
	b.min_version = 0x0304;
	ck_assert_int_eq(profile_compute_digest(&b, &first, NULL), 0);
	ck_assert(!digest_is_equal(&first, &second));
	b.cipher_suites = suites;
	b.n_cipher_suites = 1;
	ck_assert_int_eq(profile_compute_digest(&b, &second, NULL), 0);
	ck_assert(!digest_is_equal(&first, &second));
}
END_TEST

UNIT_MAIN("tls/profile", test_versions, test_old_versions, test_all_versions, test_no_renegotiation, test_no_sessions, test_suites,
          test_groups, test_alpn, test_refused, test_digest)

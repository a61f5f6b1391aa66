/* SPDX-License-Identifier: Apache-2.0 */
/* Who gets in, and what each side says about who doesn't. A TLS 1.3 client is done before the server has looked at its certificate, so
 * a refused client opens first and then closes with the reason. */
#include "ends.h"

#include "crypto/crypto.h"

#include "certs.h"
#include "unit.h"

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <string.h>
#include <time.h>

static struct pki pki;

static void check_why(const struct end *end, int code, const char *words)
{
	ck_assert_msg(end->why.code == code && strstr(end->why.text, words) != NULL, "%d %s (wanted %d %s)", end->why.code,
	              end->why.text, code, words);
}

static struct channel_tls *good_server(void)
{
	return tls_server(pki.controlplane, pki.key, pki.ca, false);
}

static struct channel_tls *good_client(void)
{
	return tls_client(NULL, pki.agent, pki.key, pki.ca, NULL);
}

/* The client is refused by the server with these words, and hears of it. */
static void check_client_refused(struct channel_tls *server_tls, struct channel_tls *client_tls, const char *words,
                                 const char *heard)
{
	struct end server = {0}, client = {0};

	ends_run(&server, server_tls, &client, client_tls);
	ck_assert_int_eq(server.opened, 0);
	ck_assert_int_eq(server.messages, 0);
	check_why(&server, E_UNAUTHENTICATED, words);
	ck_assert_ptr_nonnull(strstr(server.why.text, "127.0.0.1:"));
	check_why(&client, E_UNAUTHENTICATED, heard);
}

static void check_server_refused(struct channel_tls *server_tls, struct channel_tls *client_tls, const char *words,
                                 const char *heard)
{
	struct end server = {0}, client = {0};

	ends_run(&server, server_tls, &client, client_tls);
	ck_assert_int_eq(server.opened + client.opened, 0);
	check_why(&client, E_UNAUTHENTICATED, words);
	check_why(&server, E_UNAUTHENTICATED, heard);
}

static X509 *peer_seen;

static void look_at_peer(struct end *end)
{
	struct error err = ERROR_NULL;

	peer_seen = channel_peer(end->channel);
	X509_up_ref(peer_seen);
	ck_assert_int_eq(sk_X509_num(channel_peer_chain(end->channel)), 2);
	ck_assert_int_eq(strncmp(channel_address(end->channel), "127.0.0.1:", 10), 0);
	ck_assert_int_eq(end_send_renew(end, 10, &err), 0);
}

START_TEST(both_good)
{
	struct end server = {0}, client = {.on_open = look_at_peer};

	pki_make(&pki);
	ends_run(&server, good_server(), &client, good_client());
	ck_assert_int_eq(server.opened, 1);
	ck_assert_int_eq(client.opened, 1);
	ck_assert_int_eq(server.messages, 1);
	ck_assert_str_eq(server.alpn, CHANNEL_ALPN);
	ck_assert_str_eq(client.alpn, CHANNEL_ALPN);
	ck_assert(!server.peer_is_expired && !client.peer_is_expired);
	ck_assert_int_eq(X509_cmp(peer_seen, pki.controlplane), 0);
	check_why(&server, E_CLOSED, "closed");
	check_why(&client, E_CLOSED, "closed by the peer");
	X509_free(peer_seen);
	pki_free(&pki);
}
END_TEST

START_TEST(wrong_ca)
{
	pki_make(&pki);
	check_client_refused(good_server(), tls_client(NULL, pki.other_agent, pki.key, pki.ca, NULL), "certificate",
	                     "alert");
	check_server_refused(tls_server(pki.other_controlplane, pki.key, pki.other_ca, false), good_client(), "certificate",
	                     "alert");
	pki_free(&pki);
}
END_TEST

START_TEST(no_certificate)
{
	pki_make(&pki);
	check_client_refused(good_server(), tls_client(NULL, NULL, NULL, pki.ca, NULL), "showed no certificate",
	                     "certificate required");
	pki_free(&pki);
}
END_TEST

START_TEST(enrolment_asks_for_none)
{
	struct end server = {0}, client = {0};

	pki_make(&pki);
	ends_run(&server, good_server(), &client, tls_client(CHANNEL_ALPN_ENROLL, NULL, NULL, pki.ca, NULL));
	ck_assert_int_eq(server.opened, 1);
	ck_assert_str_eq(server.alpn, CHANNEL_ALPN_ENROLL);
	pki_free(&pki);
}
END_TEST

static void send_more_than_strangers_may(struct end *end)
{
	struct error err = ERROR_NULL;

	ck_assert_int_eq(end_send_renew(end, CHANNEL_ENROLL_FRAME_MAX, &err), 0);
}

static void send_what_strangers_may(struct end *end)
{
	struct error err = ERROR_NULL;

	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(end_send_renew(end, CHANNEL_ENROLL_FRAME_MAX - 8, &err), 0);
	channel_close(end->channel, true, NULL);
}

static void read_on(struct end *end, Tlsplane__MessageType type, const ProtobufCMessage *message)
{
}

/* Anybody can enrol: what they make us keep is bounded, and nobody else's messages are. */
START_TEST(strangers_send_little)
{
	struct end server = {0}, client = {.on_open = send_more_than_strangers_may};
	struct end patient = {.on_message = read_on}, modest = {.on_open = send_what_strangers_may};
	struct end generous = {0}, agent = {.on_open = send_more_than_strangers_may};

	pki_make(&pki);
	ends_run(&server, good_server(), &client, tls_client(CHANNEL_ALPN_ENROLL, NULL, NULL, pki.ca, NULL));
	ck_assert_int_eq(server.opened, 1);
	ck_assert_int_eq(server.messages, 0);
	check_why(&server, E_TOO_LARGE, "at most");
	ends_run(&patient, good_server(), &modest, tls_client(CHANNEL_ALPN_ENROLL, NULL, NULL, pki.ca, NULL));
	ck_assert_int_eq(patient.messages, 2);
	ends_run(&generous, good_server(), &agent, good_client());
	ck_assert_int_eq(generous.messages, 1);
	pki_free(&pki);
}
END_TEST

START_TEST(expired_client)
{
	struct end server = {0}, client = {0};

	pki_make(&pki);
	check_client_refused(good_server(), tls_client(NULL, pki.expired_agent, pki.key, pki.ca, NULL),
	                     "certificate has expired", "certificate expired");
	ends_run(&server, tls_server(pki.controlplane, pki.key, pki.ca, true), &client,
	         tls_client(NULL, pki.expired_agent, pki.key, pki.ca, NULL));
	ck_assert_int_eq(server.opened, 1);
	ck_assert(server.peer_is_expired);
	ck_assert_int_eq(server.messages, 1);
	pki_free(&pki);
}
END_TEST

static X509 *client_cert(X509 *ca, EVP_PKEY *ca_key, const char *usage, int64_t not_before, int64_t not_after)
{
	const struct certs_spec spec = {.common_name = "leaf",
	                                .key = pki.key,
	                                .issuer = ca,
	                                .issuer_key = ca_key,
	                                .not_before = not_before,
	                                .not_after = not_after,
	                                .extensions = {usage}};

	return certs_make(&spec);
}

/* Of a control plane whose clock was ahead when it signed it. */
START_TEST(client_of_the_future)
{
	struct end server = {0}, client = {0};
	int64_t now = time(NULL);
	X509 *agent;

	pki_make(&pki);
	agent = client_cert(pki.ca, pki.ca_key, "extendedKeyUsage=clientAuth", now + 1000, now + 2000);
	check_client_refused(good_server(), tls_client(NULL, agent, pki.key, pki.ca, NULL), "not yet valid", "alert");
	ends_run(&server, tls_server(pki.controlplane, pki.key, pki.ca, true), &client,
	         tls_client(NULL, agent, pki.key, pki.ca, NULL));
	ck_assert_int_eq(server.opened, 1);
	ck_assert(server.peer_is_expired);
	X509_free(agent);
	pki_free(&pki);
}
END_TEST

/* Letting these pass lets nothing else pass. */
START_TEST(expired_is_all_that_is_overlooked)
{
	int64_t now = time(NULL);
	struct {
		X509 *cert;
		const char *words;
	} cases[3];

	pki_make(&pki);
	cases[0].cert = client_cert(pki.other_ca, pki.other_ca_key, "extendedKeyUsage=clientAuth", now - 99, now - 9);
	cases[0].words = "certificate";
	cases[1].cert = client_cert(pki.ca, pki.ca_key, "extendedKeyUsage=serverAuth", now - 99, now - 9);
	cases[1].words = "certificate purpose";
	cases[2].cert = client_cert(pki.ca, pki.ca_key, "keyUsage=digitalSignature", now - 99, now - 9);
	cases[2].words = "extended key usage";
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		check_client_refused(tls_server(pki.controlplane, pki.key, pki.ca, true),
		                     tls_client(NULL, cases[i].cert, pki.key, pki.ca, NULL), cases[i].words, "alert");
		X509_free(cases[i].cert);
	}
	pki_free(&pki);
}
END_TEST

START_TEST(expired_ca_is_not_overlooked)
{
	int64_t now = time(NULL);
	struct certs_spec spec = {.common_name = "ca",
	                          .not_before = now - 99,
	                          .not_after = now - 9,
	                          .extensions = {"basicConstraints=critical,CA:TRUE"}};
	X509 *ca, *agent;

	pki_make(&pki);
	spec.key = pki.ca_key;
	ca = certs_make(&spec);
	agent = client_cert(ca, pki.ca_key, "extendedKeyUsage=clientAuth", now - 99, now - 9);
	check_client_refused(tls_server(pki.controlplane, pki.key, ca, true),
	                     tls_client(NULL, agent, pki.key, pki.ca, NULL), "certificate has expired", "alert");
	X509_free(ca);
	X509_free(agent);
	pki_free(&pki);
}
END_TEST

START_TEST(roles_do_not_swap)
{
	X509 *bare;
	int64_t now = time(NULL);

	pki_make(&pki);
	bare = client_cert(pki.ca, pki.ca_key, "keyUsage=digitalSignature", now - 99, now + 99);
	check_server_refused(tls_server(pki.agent, pki.key, pki.ca, false), good_client(), "certificate purpose", "alert");
	check_client_refused(good_server(), tls_client(NULL, pki.controlplane, pki.key, pki.ca, NULL),
	                     "certificate purpose", "alert");
	check_server_refused(tls_server(bare, pki.key, pki.ca, false), good_client(), "extended key usage", "alert");
	check_client_refused(good_server(), tls_client(NULL, bare, pki.key, pki.ca, NULL), "extended key usage", "alert");
	X509_free(bare);
	pki_free(&pki);
}
END_TEST

START_TEST(intermediates_are_refused)
{
	EVP_PKEY *key = certs_make_key("P-256");
	struct certs_spec spec = {.common_name = "sub", .key = key, .extensions = {"basicConstraints=critical,CA:TRUE"}};
	X509 *sub, *agent;

	pki_make(&pki);
	spec.issuer = pki.ca;
	spec.issuer_key = pki.ca_key;
	sub = certs_make(&spec);
	agent = client_cert(sub, key, "extendedKeyUsage=clientAuth", time(NULL) - 99, time(NULL) + 99);
	check_client_refused(good_server(), tls_client(NULL, agent, pki.key, pki.ca, NULL), "certificate", "alert");
	X509_free(sub);
	X509_free(agent);
	EVP_PKEY_free(key);
	pki_free(&pki);
}
END_TEST

static void sha256_of(X509 *cert, uint8_t digest[32])
{
	unsigned len = 32;

	ck_assert_int_eq(X509_digest(cert, EVP_sha256(), digest, &len), 1);
}

START_TEST(pins)
{
	struct end server = {0}, client = {0};
	uint8_t right[32], wrong[32];

	pki_make(&pki);
	sha256_of(pki.ca, right);
	sha256_of(pki.other_ca, wrong);
	ends_run(&server, good_server(), &client, tls_client(CHANNEL_ALPN_ENROLL, NULL, NULL, NULL, right));
	ck_assert_int_eq(server.opened, 1);
	check_server_refused(good_server(), tls_client(CHANNEL_ALPN_ENROLL, NULL, NULL, NULL, wrong), "pinned", "alert");
	/* The right CA is in the chain, but somebody else's certificate before it. */
	check_server_refused(tls_server(pki.other_controlplane, pki.key, pki.ca, false),
	                     tls_client(CHANNEL_ALPN_ENROLL, NULL, NULL, NULL, right), "certificate", "alert");
	/* Its own agents may not pose as the control plane. */
	check_server_refused(tls_server(pki.agent, pki.key, pki.ca, false),
	                     tls_client(CHANNEL_ALPN_ENROLL, NULL, NULL, NULL, right), "certificate purpose", "alert");
	pki_free(&pki);
}
END_TEST

START_TEST(protocols)
{
	struct end server = {0}, client = {0};

	pki_make(&pki);
	ends_run(&server, good_server(), &client, tls_client("other/1", pki.agent, pki.key, pki.ca, NULL));
	ck_assert_int_eq(server.opened + client.opened, 0);
	ck_assert_ptr_nonnull(strstr(client.why.text, "no application protocol"));
	pki_free(&pki);
}
END_TEST

START_TEST(no_protocol_and_old_versions)
{
	static const char alpn[] = "\012tlsplane/1";
	struct end none = {0}, old = {0};
	struct raw_client client = {.alpn = NULL};
	uint8_t ack[] = {0, 0, 0, 4, 0, 15, 0, 0, 0x08, 1, 0x10, 2};
	int result;

	pki_make(&pki);
	client.certificate = pki.agent;
	client.key = pki.key;
	client.bytes = BYTES(ack, sizeof(ack));
	result = ends_run_raw(&none, good_server(), 5000, &client);
	ck_assert_int_eq(result, RAW_ALERT_NO_PROTOCOL);
	client.alpn = alpn;
	client.max_version = TLS1_2_VERSION;
	result = ends_run_raw(&old, good_server(), 5000, &client);
	ck_assert_int_eq(result, RAW_ALERT_VERSION);
	ck_assert_int_eq(old.opened, 0);
	ck_assert_int_eq(none.opened, 0);
	pki_free(&pki);
}
END_TEST

static void hang_up(struct end *end, Tlsplane__MessageType type, const ProtobufCMessage *message)
{
	channel_close(end->channel, true, NULL);
}

START_TEST(no_tickets)
{
	struct end server = {.on_message = hang_up};
	uint8_t ack[] = {0, 0, 0, 4, 0, 15, 0, 0, 0x08, 1, 0x10, 2};
	struct raw_client client = {.alpn = "\012tlsplane/1", .bytes = BYTES(ack, sizeof(ack))};

	pki_make(&pki);
	client.certificate = pki.agent;
	client.key = pki.key;
	ck_assert_int_eq(ends_run_raw(&server, good_server(), 5000, &client), RAW_CONNECTED | RAW_CLOSED_WELL);
	ck_assert_int_eq(server.messages, 1);
	pki_free(&pki);
}
END_TEST

START_TEST(bad_configurations)
{
	static const char *const alpn[] = {CHANNEL_ALPN, NULL}, *const empty[] = {NULL};
	uint8_t pin[32] = {0};
	struct channel_tls *tls = NULL;
	struct error err = ERROR_NULL;

	pki_make(&pki);
	{
		const struct channel_tls_config bad[] = {
		    {.server = true, .ca = pki.ca, .alpn = alpn},
		    {.server = true, .certificate = pki.controlplane, .key = pki.key, .ca_sha256 = pin, .alpn = alpn},
		    {.alpn = alpn},
		    {.ca = pki.ca, .ca_sha256 = pin, .alpn = alpn},
		    {.ca = pki.ca, .alpn = empty},
		    {.certificate = pki.agent, .key = pki.ca_key, .ca = pki.ca, .alpn = alpn},
		};

		for (size_t i = 0; i < ARRAY_LEN(bad); i++)
			ck_assert_msg(channel_tls_new(&bad[i], &tls, &err) < 0, "%zu", i);
	}
	ck_assert_ptr_null(tls);
	ck_assert_ptr_null(channel_tls_unref(NULL));
	pki_free(&pki);
}
END_TEST

UNIT_MAIN("net/channel_tls", both_good, wrong_ca, no_certificate, enrolment_asks_for_none, strangers_send_little,
          expired_client, client_of_the_future, expired_is_all_that_is_overlooked, expired_ca_is_not_overlooked,
          roles_do_not_swap, intermediates_are_refused, pins, protocols, no_protocol_and_old_versions, no_tickets,
          bad_configurations)

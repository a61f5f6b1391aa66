/* SPDX-License-Identifier: Apache-2.0 */
#include "origin_rig.h"

#include "bodies.h"
#include "crypto/seal.h"

#include <check.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROUNDS 10

static int on_alpn(SSL *ssl, const unsigned char **ret, unsigned char *ret_len, const unsigned char *in, unsigned in_len, void *arg)
{
	const char *own = arg;
	unsigned char *chosen;

	if (SSL_select_next_proto(&chosen, ret_len, (const unsigned char *)own, (unsigned)strlen(own), in, in_len) !=
	    OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*ret = chosen;
	return SSL_TLSEXT_ERR_OK;
}

SSL_CTX *origin_server(const struct origin_spec *spec)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	ck_assert_int_eq(SSL_CTX_use_certificate(ctx, spec->cert->cert), 1);
	ck_assert_int_eq(SSL_CTX_use_PrivateKey(ctx, spec->cert->key), 1);
	SSL_CTX_set_mode(ctx, SSL_MODE_NO_AUTO_CHAIN);
	if (spec->chain != NULL)
		ck_assert_int_eq(SSL_CTX_add1_chain_cert(ctx, spec->chain->cert), 1);
	ck_assert_int_eq(SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"origin", 6), 1);
	if (spec->max != 0)
		SSL_CTX_set_max_proto_version(ctx, spec->max);
	if (spec->client_ca != NULL) {
		ck_assert_int_eq(X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), spec->client_ca->cert), 1);
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	}
	if (spec->alpn != NULL)
		SSL_CTX_set_alpn_select_cb(ctx, on_alpn, (void *)(uintptr_t)spec->alpn);
	return ctx;
}

struct origin_profile *origin_profile_of(const Tlsplane__UpstreamTls *body, const Tlsplane__CaBundle *bundle, uint8_t digest_byte,
                                         const char *system_ca_file)
{
	struct digest digest = {{digest_byte}};
	struct origin_profile *profile = NULL;
	struct error err = ERROR_NULL;
	int r = origin_profile_new(body, bundle, &digest, system_ca_file, &profile, &err);

	ck_assert_msg(r == 0, "%s", err.text);
	return profile;
}

static struct keyring *make_keyring(void)
{
	char dir[] = "/tmp/tlsplane-test-XXXXXX", path[64];
	struct keyring *keyring = NULL;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/keyring", dir);
	ck_assert_int_eq(keyring_load(path, true, &keyring, NULL), 0);
	unlink(path);
	rmdir(dir);
	return keyring;
}

struct site *origin_site_of(const struct pki_cert *cert, const struct pki_cert *chain)
{
	struct buf body = BUF_NULL, secret = BUF_NULL, sealed = BUF_NULL;
	struct keyring *keyring = make_keyring();
	struct digest digest = DIGEST_NULL;
	struct site_source source;
	struct site *site = NULL;
	struct error err = ERROR_NULL;
	int r;

	bodies_make_ssl(&(struct ssl_spec){.pairs = {cert}, .intermediate = chain}, &body, &secret);
	ck_assert_int_eq(keyring_seal(keyring, BYTES_NULL, BYTES(secret.data, secret.len), &sealed, NULL), 0);
	source = (struct site_source){&digest, BYTES(body.data, body.len), BYTES(sealed.data, sealed.len), BYTES_NULL};
	r = site_new(keyring, &source, NULL, &site, &err);
	ck_assert_msg(r == 0, "%s", err.text);
	buf_deinit(&body);
	buf_deinit(&secret);
	buf_deinit(&sealed);
	keyring_free(keyring);
	return site;
}

static void on_info(const SSL *ssl, int where, int value)
{
	struct origin_rig *rig = SSL_get_app_data(ssl);

	if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT && (value & 0xff) != SSL_AD_CLOSE_NOTIFY)
		rig->alert = value & 0xff;
}

/* Until both are done or one has failed; what failed on our side is explained as the proxy does it. */
static bool shake(struct origin_rig *rig)
{
	bool server_done = false, client_done = false;
	char byte;

	for (int i = 0; i < ROUNDS && !(client_done && server_done); i++) {
		int r, e;

		ERR_clear_error();
		r = SSL_do_handshake(rig->client);
		e = SSL_get_error(rig->client, r);
		if (r != 1 && e != SSL_ERROR_WANT_READ && e != SSL_ERROR_WANT_WRITE) {
			origin_explain(&rig->seat, rig->client, e);
			SSL_do_handshake(rig->server); /* reads the alert */
			return false;
		}
		client_done = r == 1;
		ERR_clear_error();
		server_done = SSL_do_handshake(rig->server) == 1;
	}
	ERR_clear_error();
	if (client_done && SSL_read(rig->client, &byte, 1) <= 0 && SSL_get_error(rig->client, -1) != SSL_ERROR_WANT_READ) {
		origin_explain(&rig->seat, rig->client, SSL_get_error(rig->client, -1));
		return false;
	}
	return client_done && server_done;
}

static void read_server(struct origin_rig *rig)
{
	const char *sni = SSL_get_servername(rig->server, TLSEXT_NAMETYPE_host_name);
	X509 *peer = SSL_get0_peer_certificate(rig->server);
	const unsigned char *alpn;
	unsigned alpn_len;

	snprintf(rig->sni, sizeof(rig->sni), "%s", sni != NULL ? sni : "");
	if (peer != NULL)
		X509_NAME_get_text_by_NID(X509_get_subject_name(peer), NID_commonName, rig->peer, sizeof(rig->peer));
	SSL_get0_alpn_selected(rig->client, &alpn, &alpn_len);
	ck_assert_uint_lt(alpn_len, sizeof(rig->alpn));
	if (alpn_len > 0)
		memcpy(rig->alpn, alpn, alpn_len);
	rig->resumed = rig->done && SSL_session_reused(rig->client) == 1;
}

void origin_rig_run(struct origin_profile *profile, struct origin_cache *cache, const struct origin_target *target, SSL_CTX *server,
                    struct origin_rig *ret)
{
	BIO *client_bio, *server_bio;
	struct error err = ERROR_NULL;

	memset(ret, 0, sizeof(*ret));
	ret->alert = -1;
	if (origin_ssl_new(profile, cache, target, &ret->seat, &ret->client, &err) < 0) {
		ck_assert_str_eq(err.text, ret->seat.why.text);
		return;
	}
	ret->server = SSL_new(server);
	ck_assert_int_eq(BIO_new_bio_pair(&client_bio, 1 << 17, &server_bio, 1 << 17), 1);
	SSL_set_bio(ret->client, client_bio, client_bio);
	SSL_set_bio(ret->server, server_bio, server_bio);
	SSL_set_accept_state(ret->server);
	SSL_set_app_data(ret->server, ret);
	SSL_set_info_callback(ret->server, on_info);
	ret->done = shake(ret);
	read_server(ret);
	ERR_clear_error();
}

void origin_rig_deinit(struct origin_rig *rig)
{
	if (rig->client != NULL)
		SSL_set_shutdown(rig->client, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(rig->client);
	SSL_free(rig->server);
	origin_seat_deinit(&rig->seat);
}

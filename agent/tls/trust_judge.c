/* SPDX-License-Identifier: Apache-2.0 */
/* Peers judged by their certificates: inside the handshake, and again when the rules of an open connection have changed. What decides is
 * the same in both: judge_verified and trust_judge_unverified.
 *
 * OpenSSL derives the alert from the X509 error that the callback leaves (it has no way to access_denied): revoked and denied become
 * certificate_revoked, not pinned and not allowed bad_certificate, what we could not compute internal_error. */
#include "crypto/crypto.h"
#include "model/peer.h"
#include "tls/anchors.h"
#include "tls/facts.h"
#include "tls/trust_impl.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

DEFINE_CLEANUP(X509_STORE_CTX, X509_STORE_CTX_free);

static int put_rules(const struct trust *trust, X509_STORE_CTX *ctx, struct error *err)
{
	X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);

	if (X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_CLIENT) != 1 ||
	    X509_VERIFY_PARAM_set_trust(param, X509_TRUST_SSL_CLIENT) != 1)
		return crypto_error(err, "verify a client certificate");
	X509_VERIFY_PARAM_set_depth(param, (int)trust->depth);
	if (trust->crls_len > 0 && X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL) != 1)
		return crypto_error(err, "verify a client certificate");
	if (trust->allow_stale_crls)
		X509_STORE_CTX_set_verify_cb(ctx, anchors_let_stale_crls_pass);
	return 0;
}

static int refuse(enum seat_cause cause, const char *why, enum seat_cause *ret_cause, struct error *err)
{
	*ret_cause = cause;
	return error_set(err, E_FORBIDDEN, "client certificate: %s", why);
}

/* For OpenSSL's purpose a CA that may sign is as good as a client. */
static int judge_end_entity(X509_STORE_CTX *ctx, enum seat_cause *ret_cause, struct error *err)
{
	if ((X509_get_extension_flags(X509_STORE_CTX_get0_cert(ctx)) & EXFLAG_CA) == 0)
		return 0;
	X509_STORE_CTX_set_error(ctx, X509_V_ERR_INVALID_PURPOSE);
	return refuse(SEAT_CAUSE_UNVERIFIED, "it is a CA's, not a client's", ret_cause, err);
}

static int verify_chain(const struct trust *trust, X509_STORE_CTX *ctx, enum seat_cause *ret_cause, struct error *err)
{
	int code, r = put_rules(trust, ctx, err);

	if (r < 0)
		return r;
	if (X509_verify_cert(ctx) == 1) {
		ERR_clear_error(); /* of paths that led nowhere */
		return judge_end_entity(ctx, ret_cause, err);
	}
	ERR_clear_error();
	code = X509_STORE_CTX_get_error(ctx);
	if (code == X509_V_ERR_OUT_OF_MEM)
		return error_nomem(err);
	*ret_cause = code == X509_V_ERR_CERT_REVOKED ? SEAT_CAUSE_REVOKED : SEAT_CAUSE_UNVERIFIED;
	return error_set(err, E_FORBIDDEN, "client certificate: %s (certificate %d of the chain)", X509_verify_cert_error_string(code),
	                 X509_STORE_CTX_get_error_depth(ctx));
}

static bool has_deny_lists(const struct trust *trust)
{
	for (size_t i = 0; i < trust->parts_len; i++)
		if (trust->parts[i]->n_deny_serials > 0 || trust->parts[i]->n_deny_spkis > 0)
			return true;
	return false;
}

/* The certificates that the facts have no room for, too. */
static int judge_denied(const struct trust *trust, const STACK_OF(X509) * chain, enum seat_cause *ret_cause, struct error *err)
{
	if (!has_deny_lists(trust))
		return 0;
	for (int i = 0; i < sk_X509_num(chain); i++) {
		X509 *cert = sk_X509_value(chain, i);
		struct facts_cert read;
		int r = facts_read_cert(cert, &read, err);

		if (r < 0 && r != E_TOO_LARGE)
			return r;
		if (trust_denies(trust, facts_serial_of(cert), read.spki_sha256))
			return refuse(SEAT_CAUSE_DENIED, "it or its issuer is on a deny list", ret_cause, err);
	}
	return 0;
}

static int judge_leaf(const struct trust *trust, X509 *leaf, const uint8_t spki[32], enum seat_cause *ret_cause, struct error *err)
{
	if (!trust_fits_pins(trust, spki))
		return refuse(SEAT_CAUSE_PIN, "its key is not pinned", ret_cause, err);
	for (size_t i = 0; i < trust->parts_len; i++)
		if (trust->parts[i]->n_allow > 0 &&
		    (!trust->verify || !peer_is_allowed(leaf, trust->parts[i]->allow, trust->parts[i]->n_allow)))
			return refuse(SEAT_CAUSE_NOT_ALLOWED, "it fits no allow rule", ret_cause, err);
	return 0;
}

static int judge_verified(const struct trust *trust, X509_STORE_CTX *ctx, struct facts *facts, enum seat_cause *ret_cause,
                          struct error *err)
{
	const STACK_OF(X509) * chain;
	int r = verify_chain(trust, ctx, ret_cause, err);

	if (r < 0)
		return r;
	chain = X509_STORE_CTX_get0_chain(ctx);
	r = judge_denied(trust, chain, ret_cause, err);
	if (r == 0)
		r = facts_read_chain(chain, facts, err);
	if (r == 0)
		r = judge_leaf(trust, sk_X509_value(chain, 0), facts->chain[0].spki_sha256, ret_cause, err);
	return r;
}

int trust_judge_unverified(const struct trust *trust, X509 *leaf, enum seat_cause *ret_cause, struct error *err)
{
	struct facts_cert read;
	int r = facts_read_cert(leaf, &read, err);

	if (r < 0 && r != E_TOO_LARGE)
		return r;
	if (trust_denies(trust, facts_serial_of(leaf), read.spki_sha256))
		return refuse(SEAT_CAUSE_DENIED, "it is on a deny list", ret_cause, err);
	return judge_leaf(trust, leaf, read.spki_sha256, ret_cause, err);
}

static int x509_error_of(int r, enum seat_cause cause, int chain_error)
{
	if (r != E_FORBIDDEN)
		return X509_V_ERR_OUT_OF_MEM;
	if (cause == SEAT_CAUSE_UNVERIFIED || cause == SEAT_CAUSE_REVOKED)
		return chain_error;
	return cause == SEAT_CAUSE_DENIED ? X509_V_ERR_CERT_REVOKED : X509_V_ERR_CERT_REJECTED;
}

static void keep_refused(struct seat *seat, X509 *leaf)
{
	if (seat->refused == NULL && X509_up_ref(leaf) == 1)
		seat->refused = leaf;
}

/* A certificate that passes without having been verified leaves CERT_UNTRUSTED as the SSL's verify result, so that nobody reads it as
 * verified. */
static int on_peer(X509_STORE_CTX *ctx, void *arg)
{
	const SSL *ssl = X509_STORE_CTX_get_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct seat *seat = seat_of(ssl);
	struct error why = ERROR_NULL;
	struct facts facts = {0};
	int r;

	if (seat == NULL || seat->trust == NULL) {
		X509_STORE_CTX_set_error(ctx, X509_V_ERR_UNSPECIFIED);
		return 0;
	}
	if (seat->trust->verify)
		r = judge_verified(seat->trust, ctx, &facts, &seat->cause, &why);
	else
		r = trust_judge_unverified(seat->trust, X509_STORE_CTX_get0_cert(ctx), &seat->cause, &why);
	facts.handshake_at = seat->handshake_at;
	if (r == 0)
		r = seat_set_facts(seat, &facts);
	if (r < 0) {
		X509_STORE_CTX_set_error(ctx, x509_error_of(r, seat->cause, X509_STORE_CTX_get_error(ctx)));
		free(seat->why);
		seat->why = strdup(why.text);
		keep_refused(seat, X509_STORE_CTX_get0_cert(ctx));
	} else {
		X509_STORE_CTX_set_error(ctx, seat->trust->verify ? X509_V_OK : X509_V_ERR_CERT_UNTRUSTED);
	}
	return r == 0;
}

void trust_install(SSL_CTX *ctx)
{
	SSL_CTX_set_cert_verify_callback(ctx, on_peer, NULL);
}

/* With what certificates there are: a resumed session has the leaf alone. */
static int judge_again(const struct trust *trust, const SSL *ssl, X509 *leaf, enum seat_cause *ret_cause, struct error *err)
{
	CLEANUP(X509_STORE_CTX_free) X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	struct facts facts = {0};

	if (ctx == NULL || X509_STORE_CTX_init(ctx, trust->store, leaf, SSL_get_peer_cert_chain(ssl)) != 1)
		return crypto_error(err, "verify a client certificate");
	X509_VERIFY_PARAM_set_auth_level(X509_STORE_CTX_get0_param(ctx), SSL_get_security_level(ssl));
	return judge_verified(trust, ctx, &facts, ret_cause, err);
}

/* The chain of a resumed session was verified by rules with the same digest: its facts tell the rest. */
static bool facts_suffice(const struct trust *trust, const SSL *ssl, const struct facts *facts)
{
	const struct seat *seat = seat_of(ssl);

	return SSL_session_reused(ssl) == 1 && seat != NULL && seat->trust != NULL && facts != NULL && !facts->too_long &&
	       digest_is_equal(trust_digest(trust), trust_digest(seat->trust));
}

int trust_judge(const struct trust *trust, const SSL *ssl, const struct facts *facts, enum seat_cause *ret_cause, struct error *err)
{
	X509 *leaf = SSL_get0_peer_certificate(ssl);

	if (trust == NULL || (leaf == NULL && !trust->demand))
		return 0;
	if (leaf == NULL) {
		*ret_cause = SEAT_CAUSE_NO_CERTIFICATE;
		return error_set(err, E_FORBIDDEN, "the client showed no certificate");
	}
	if (!trust->verify)
		return trust_judge_unverified(trust, leaf, ret_cause, err);
	if (facts_suffice(trust, ssl, facts))
		return trust_judge_facts(trust, facts, ret_cause, err);
	return judge_again(trust, ssl, leaf, ret_cause, err);
}

int trust_map_identity(const struct trust *trust, const SSL *ssl, char *ret, const char **ret_source, struct error *err)
{
	X509 *leaf = SSL_get0_peer_certificate(ssl);
	struct peer_rules lists[2];

	if (trust == NULL || !trust->verify || leaf == NULL)
		return error_set(err, E_NOT_FOUND, "no verified client certificate");
	for (size_t i = 0; i < trust->parts_len; i++)
		lists[i] = (struct peer_rules){trust->parts[i]->allow, trust->parts[i]->n_allow};
	return peer_map_identity(leaf, lists, trust->parts_len, ret, ret_source, err);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The origin's certificate, judged as its upstream_tls says:
 *
 *   ENFORCED, PERMISSIVE   chain (SIGNATURE, ALL), then name or allow rules (NAME, ALL), then pins; the first that does not hold is the
 *                          cause; under PERMISSIVE it is told and the handshake goes on
 *   DISABLED               pins alone; they hold even here (a pin without a chain is trust in that one key)
 *
 * Names stand in subjectAltName alone; a wildcard is a whole left-most label (RFC 9525 6.3). */
#include "crypto/cert.h"
#include "crypto/crypto.h"
#include "model/effective.h"
#include "model/peer.h"
#include "tls/anchors.h"
#include "tls/origin_impl.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <string.h>

#define NAME_FLAGS (X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT)

struct verdict {
	enum origin_cause cause; /* NONE: it passes */
	int x509;                /* the error that OpenSSL makes the alert of */
};

static struct verdict refuse(enum origin_cause cause, int x509, struct error *why, const char *text)
{
	error_set(why, E_FORBIDDEN, "certificate of the origin: %s", text);
	return (struct verdict){cause, x509};
}

static bool put_rules(const struct origin_profile *profile, X509_STORE_CTX *ctx)
{
	const Tlsplane__UpstreamTls *body = profile->body;
	X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);

	X509_VERIFY_PARAM_set_depth(param, (int)effective_origin_depth(body));
	if (body->has_allow_stale_crls && body->allow_stale_crls)
		X509_STORE_CTX_set_verify_cb(ctx, anchors_let_stale_crls_pass);
	return X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_SERVER) == 1 &&
	       X509_VERIFY_PARAM_set_trust(param, X509_TRUST_SSL_SERVER) == 1 &&
	       (!profile->has_crls ||
	        X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL) == 1);
}

static struct verdict judge_chain(struct origin_seat *seat, X509_STORE_CTX *ctx)
{
	int code = X509_V_ERR_OUT_OF_MEM;

	if (put_rules(seat->profile, ctx)) {
		if (X509_verify_cert(ctx) == 1) {
			ERR_clear_error(); /* of paths that led nowhere */
			return (struct verdict){ORIGIN_CAUSE_NONE, X509_V_OK};
		}
		code = X509_STORE_CTX_get_error(ctx);
	}
	ERR_clear_error();
	error_set(&seat->why, E_FORBIDDEN, "certificate of the origin: %s (certificate %d of the chain)",
	          X509_verify_cert_error_string(code), X509_STORE_CTX_get_error_depth(ctx));
	return (struct verdict){code == X509_V_ERR_CERT_REVOKED ? ORIGIN_CAUSE_REVOKED : ORIGIN_CAUSE_CHAIN, code};
}

static bool fits_name(const struct origin_seat *seat, X509 *leaf)
{
	if (seat->verify_is_ip)
		return X509_check_ip_asc(leaf, seat->verify_name, 0) == 1;
	return X509_check_host(leaf, seat->verify_name, strlen(seat->verify_name), NAME_FLAGS, NULL) == 1;
}

static struct verdict judge_name(struct origin_seat *seat, X509 *leaf)
{
	const Tlsplane__UpstreamTls *body = seat->profile->body;

	if (body->n_allow > 0) {
		if (!peer_is_allowed(leaf, body->allow, body->n_allow))
			return refuse(ORIGIN_CAUSE_NAME, X509_V_ERR_HOSTNAME_MISMATCH, &seat->why, "it fits no allow rule");
	} else if (seat->verify_name[0] == 0) {
		return refuse(ORIGIN_CAUSE_NAME, X509_V_ERR_HOSTNAME_MISMATCH, &seat->why, "there is no name to verify it by");
	} else if (!fits_name(seat, leaf)) {
		error_set(&seat->why, E_FORBIDDEN, "certificate of the origin: it is not for %s", seat->verify_name);
		return (struct verdict){ORIGIN_CAUSE_NAME, X509_V_ERR_HOSTNAME_MISMATCH};
	}
	return (struct verdict){ORIGIN_CAUSE_NONE, X509_V_OK};
}

static struct verdict judge_pins(struct origin_seat *seat, X509 *leaf)
{
	const Tlsplane__UpstreamTls *body = seat->profile->body;
	uint8_t spki[SHA256_LEN];

	if (body->n_pins == 0)
		return (struct verdict){ORIGIN_CAUSE_NONE, X509_V_OK};
	if (cert_spki_sha256(leaf, spki, NULL) == 0)
		for (size_t i = 0; i < body->n_pins; i++)
			if (body->pins[i].len == sizeof(spki) && memcmp(body->pins[i].data, spki, sizeof(spki)) == 0)
				return (struct verdict){ORIGIN_CAUSE_NONE, X509_V_OK};
	return refuse(ORIGIN_CAUSE_PIN, X509_V_ERR_CERT_REJECTED, &seat->why, "its key is not pinned");
}

static struct verdict judge(struct origin_seat *seat, X509_STORE_CTX *ctx)
{
	X509 *leaf = X509_STORE_CTX_get0_cert(ctx);
	struct verdict verdict = {ORIGIN_CAUSE_NONE, X509_V_OK};

	if (origin_checks_chain(seat->profile))
		verdict = judge_chain(seat, ctx);
	if (verdict.cause == ORIGIN_CAUSE_NONE && origin_checks_name(seat->profile))
		verdict = judge_name(seat, leaf);
	if (verdict.cause == ORIGIN_CAUSE_NONE)
		verdict = judge_pins(seat, leaf);
	return verdict;
}

static int on_origin(X509_STORE_CTX *ctx, void *arg)
{
	const SSL *ssl = X509_STORE_CTX_get_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct origin_seat *seat = origin_seat_of(ssl);
	struct verdict verdict;

	if (seat == NULL) {
		X509_STORE_CTX_set_error(ctx, X509_V_ERR_UNSPECIFIED);
		return 0;
	}
	verdict = judge(seat, ctx);
	seat->cause = verdict.cause;
	X509_STORE_CTX_set_error(ctx, verdict.x509);
	seat->failed_permissive = verdict.cause != ORIGIN_CAUSE_NONE &&
	                          seat->profile->body->verify == TLSPLANE__UPSTREAM_VERIFY__UPSTREAM_VERIFY_PERMISSIVE;
	return verdict.cause == ORIGIN_CAUSE_NONE || seat->failed_permissive;
}

void origin_judge_install(SSL_CTX *ctx)
{
	SSL_CTX_set_cert_verify_callback(ctx, on_origin, NULL);
}

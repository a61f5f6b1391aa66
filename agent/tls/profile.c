/* SPDX-License-Identifier: Apache-2.0 */
/* Crypto profiles. The options are first turned into their meaning (defaults filled in, names of suites and groups
 * found), and that meaning is what is hashed and what is built, so that the digest cannot say less than the context
 * does. */
#include "tls/profile.h"

#include "base/buf.h"
#include "base/memory.h"
#include "crypto/crypto.h"
#include "tls/hello_hook.h"
#include "tls/meaning.h"
#include "tls/tls_impl.h"
#include "tls/trust.h"

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define OPTIONS_CHOSEN SSL_OP_CIPHER_SERVER_PREFERENCE

DEFINE_CLEANUP(SSL_CTX, SSL_CTX_free);

struct profile {
	atomic_uint count;
	struct digest digest;
	SSL_CTX *ctx;
	uint16_t min, max;
	uint64_t options;
	size_t groups_len;
	int groups[MEANING_LIST_MAX];
};

static int meaning_digest(const struct meaning *meaning, struct digest *ret, struct error *err)
{
	CLEANUP(buf_deinit) struct buf bytes = BUF_NULL;

	buf_put_str(&bytes, "tlsplane/profile/v1");
	buf_put_u8(&bytes, 0);
	buf_put_u16(&bytes, meaning->min);
	buf_put_u16(&bytes, meaning->max);
	buf_put_u8(&bytes, meaning->server_preference);
	buf_put_u16(&bytes, (uint16_t)meaning->suites_len);
	for (size_t i = 0; i < meaning->suites_len; i++)
		buf_put_u16(&bytes, meaning->suites[i]->code);
	buf_put_u16(&bytes, (uint16_t)meaning->groups_len);
	for (size_t i = 0; i < meaning->groups_len; i++)
		buf_put_u16(&bytes, meaning->groups[i]->id);
	buf_put_lv(&bytes, meaning->alpn.data, meaning->alpn.len);
	if (bytes.failed)
		return error_nomem(err);
	return crypto_sha256(BYTES(bytes.data, bytes.len), ret->bytes, err);
}

int profile_compute_digest(const Tlsplane__TlsOptions *options, struct digest *ret, struct error *err)
{
	CLEANUP(meaning_deinit) struct meaning meaning = {0};
	int r = meaning_read(options, &meaning, err);

	return r == 0 ? meaning_digest(&meaning, ret, err) : r;
}

/* The server's order decides. No overlap ends the handshake (RFC 7301 3.2, and ALPACA). */
static int on_alpn(SSL *ssl, const unsigned char **ret, unsigned char *ret_len, const unsigned char *in,
                   unsigned in_len, void *arg)
{
	const struct buf *own = arg;
	unsigned char *chosen;

	if (SSL_select_next_proto(&chosen, ret_len, own->data, (unsigned)own->len, in, in_len) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*ret = chosen;
	return SSL_TLSEXT_ERR_OK;
}

static void on_free_alpn(void *parent, void *pointer, CRYPTO_EX_DATA *data, int index, long number, void *arg)
{
	struct buf *own = pointer;

	if (own != NULL)
		buf_deinit(own);
	free(own);
}

static int alpn_index;
static pthread_once_t alpn_once = PTHREAD_ONCE_INIT;

static void make_alpn_index(void)
{
	alpn_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, on_free_alpn);
}

/* The list belongs to the context, not to the profile: a handshake in flight may outlive the profile. */
static int set_alpn(SSL_CTX *ctx, struct meaning *meaning, struct error *err)
{
	struct buf *own;

	if (meaning->alpn.len == 0)
		return 0;
	pthread_once(&alpn_once, make_alpn_index);
	own = malloc(sizeof(*own));
	if (own == NULL)
		return error_nomem(err);
	if (alpn_index < 0 || SSL_CTX_set_ex_data(ctx, alpn_index, own) != 1) {
		free(own);
		return crypto_error(err, "/alpn_protocols");
	}
	*own = meaning->alpn;
	meaning->alpn = BUF_NULL;
	SSL_CTX_set_alpn_select_cb(ctx, on_alpn, own);
	return 0;
}

static int build_context(struct profile *profile, struct meaning *meaning, struct error *err)
{
	CLEANUP(SSL_CTX_free) SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	int r;

	if (ctx == NULL)
		return crypto_error(err, "make a context");
	tls_set_always(ctx);
	hello_hook_install(ctx);
	trust_install(ctx);
	SSL_CTX_set_options(ctx, profile->options);
	r = meaning_put_on(meaning, ctx, err);
	if (r == 0)
		r = set_alpn(ctx, meaning, err);
	if (r == 0)
		profile->ctx = TAKE_PTR(ctx);
	return r;
}

int profile_new(const Tlsplane__TlsOptions *options, struct profile **ret, struct error *err)
{
	CLEANUP(meaning_deinit) struct meaning meaning = {0};
	CLEANUP(profile_unref) struct profile *profile = NULL;
	uint64_t failures = memory_failures();
	int r = memory_judge(failures, meaning_read(options, &meaning, err), err);

	if (r < 0)
		return r;
	profile = calloc(1, sizeof(*profile));
	if (profile == NULL)
		return error_nomem(err);
	atomic_init(&profile->count, 1);
	profile->min = meaning.min;
	profile->max = meaning.max;
	profile->groups_len = meaning.groups_len;
	meaning_list_groups(&meaning, profile->groups);
	profile->options = meaning.server_preference ? SSL_OP_CIPHER_SERVER_PREFERENCE : 0;
	r = meaning_digest(&meaning, &profile->digest, err);
	if (r == 0)
		r = build_context(profile, &meaning, err);
	r = memory_judge(failures, r, err);
	if (r == 0)
		*ret = TAKE_PTR(profile);
	return r;
}

struct profile *profile_ref(struct profile *profile)
{
	atomic_fetch_add_explicit(&profile->count, 1, memory_order_relaxed);
	return profile;
}

struct profile *profile_unref(struct profile *profile)
{
	if (profile == NULL || atomic_fetch_sub_explicit(&profile->count, 1, memory_order_acq_rel) > 1)
		return NULL;
	SSL_CTX_free(profile->ctx);
	free(profile);
	return NULL;
}

const struct digest *profile_digest(const struct profile *profile)
{
	return &profile->digest;
}

int profile_put_on(const struct profile *profile, SSL *ssl, uint16_t min, uint16_t max, struct error *err)
{
	uint16_t low = min > profile->min ? min : profile->min;
	uint16_t high = max != 0 && max < profile->max ? max : profile->max;

	if (low > high)
		return error_set(err, E_INVALID, "/ssl_protocols: no version left of the TLS options' %s to %s",
		                 version_name(profile->min), version_name(profile->max));
	if (SSL_set_SSL_CTX(ssl, profile->ctx) == NULL || SSL_set_min_proto_version(ssl, low) != 1 ||
	    SSL_set_max_proto_version(ssl, high) != 1 ||
	    SSL_set1_groups(ssl, (int *)(uintptr_t)profile->groups, (int)profile->groups_len) != 1 ||
	    SSL_set_num_tickets(ssl, 0) != 1)
		return crypto_error(err, "put a profile on a handshake");
	SSL_clear_options(ssl, OPTIONS_CHOSEN & ~profile->options);
	SSL_set_options(ssl, TLS_OPTIONS_ALWAYS | profile->options);
	return 0;
}

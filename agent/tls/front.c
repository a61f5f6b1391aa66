/* SPDX-License-Identifier: Apache-2.0 */
/* The front SSL_CTX and the hook of the ClientHello callback. */
#include "tls/hello_hook.h"

#include "crypto/crypto.h"
#include "tls/tickets.h"
#include "tls/tls_impl.h"
#include "tls/trust.h"

#include <openssl/ssl.h>

DEFINE_CLEANUP(SSL_CTX, SSL_CTX_free);

static int on_client_hello(SSL *ssl, int *alert, void *arg)
{
	struct hello_hook *hook = SSL_get_app_data(ssl);
	int r;

	*alert = SSL_AD_INTERNAL_ERROR;
	if (hook == NULL)
		return SSL_CLIENT_HELLO_ERROR;
	r = hook->decide(hook, ssl, alert);
	if (r < 0)
		return SSL_CLIENT_HELLO_ERROR;
	return r == HELLO_HOOK_STOP ? SSL_CLIENT_HELLO_RETRY : SSL_CLIENT_HELLO_SUCCESS;
}

void hello_hook_install(SSL_CTX *ctx)
{
	SSL_CTX_set_client_hello_cb(ctx, on_client_hello, NULL);
}

int hello_hook_set(SSL *ssl, struct hello_hook *hook)
{
	return SSL_set_app_data(ssl, hook) == 1 ? 0 : E_NOMEM;
}

void tls_set_always(SSL_CTX *ctx)
{
	SSL_CTX_set_options(ctx, TLS_OPTIONS_ALWAYS);
	SSL_CTX_set_num_tickets(ctx, 0);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_max_early_data(ctx, 0);
	SSL_CTX_set_max_cert_list(ctx, TLS_CERT_LIST_MAX);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
}

/* Security level 0 and all versions: the profile narrows before anything is chosen. */
int front_new(SSL_CTX **ret, struct error *err)
{
	CLEANUP(SSL_CTX_free) SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	int r;

	if (ctx == NULL || SSL_CTX_set_min_proto_version(ctx, TLS1_VERSION) != 1)
		return crypto_error(err, "make the front context");
	tls_set_always(ctx);
	SSL_CTX_set_security_level(ctx, 0);
	SSL_CTX_set_read_ahead(ctx, 1);
	SSL_CTX_set_mode(ctx, TLS_MODES);
	hello_hook_install(ctx);
	trust_install(ctx);
	r = tickets_install(ctx, err);
	if (r == 0)
		*ret = TAKE_PTR(ctx);
	return r;
}

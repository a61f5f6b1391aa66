/* SPDX-License-Identifier: Apache-2.0 */
/* The ClientHello callback, the only one of the product, on every SSL_CTX: the front that makes each SSL, and each
 * profile (after HelloRetryRequest OpenSSL asks the profile that was chosen at the first hello). What it decides is the
 * proxy's: a hook per SSL. */
#pragma once

#include "base/error.h"
#include "base/macros.h"

#include <openssl/types.h>

#define HELLO_HOOK_STOP 1

struct hello_hook {
	/* Called at every ClientHello of the SSL. 0: go on; HELLO_HOOK_STOP: stop here without an alert or a byte sent (SSL_get_error says
	 * SSL_ERROR_WANT_CLIENT_HELLO_CB), the SSL is only good for freeing; negative: refuse with *alert, preset to internal_error. */
	int (*decide)(struct hello_hook *hook, SSL *ssl, int *alert);
};

void hello_hook_install(SSL_CTX *ctx);
/* hook is borrowed and must outlive the handshake. An SSL without a hook refuses every hello. E_NOMEM. */
int hello_hook_set(SSL *ssl, struct hello_hook *hook) MUST_USE;

/* The SSL_CTX that makes SSLs: no certificate, no trust, no session cache, no renegotiation, no tickets until tickets_put_on, TLS 1.0 to
 * 1.3 until the hello has been judged. It judges peers and asks for ticket keys by the seat (seat.h). *ret: a reference. */
int front_new(SSL_CTX **ret, struct error *err) MUST_USE;

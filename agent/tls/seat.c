/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/seat.h"

#include "tls/facts.h"
#include "tls/tickets.h"
#include "tls/trust.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static int seat_index = -1;
static pthread_once_t seat_once = PTHREAD_ONCE_INIT;

static void make_index(void)
{
	seat_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
}

int seat_set(struct seat *seat, SSL *ssl)
{
	pthread_once(&seat_once, make_index);
	return seat_index >= 0 && SSL_set_ex_data(ssl, seat_index, seat) == 1 ? 0 : E_NOMEM;
}

struct seat *seat_of(const SSL *ssl)
{
	pthread_once(&seat_once, make_index);
	return seat_index >= 0 ? SSL_get_ex_data(ssl, seat_index) : NULL;
}

int seat_set_facts(struct seat *seat, const struct facts *facts)
{
	free(seat->facts);
	seat->facts = NULL;
	seat->handshake_at = facts->handshake_at;
	if (facts->chain_len == 0)
		return 0;
	seat->facts = malloc(sizeof(*facts));
	if (seat->facts == NULL)
		return E_NOMEM;
	*seat->facts = *facts;
	return 0;
}

void seat_take_facts(struct seat *seat, const SSL *ssl)
{
	struct facts facts;
	void *data = NULL;
	size_t len = 0;

	if (SSL_SESSION_get0_ticket_appdata(SSL_get_session(ssl), &data, &len) != 1 || facts_decode(BYTES(data, len), &facts) < 0)
		facts = (struct facts){0};
	if (seat_set_facts(seat, &facts) < 0)
		return; /* nobody is verified, then */
}

static void drop_keys(struct seat *seat)
{
	ticket_sets_unref(seat->sets);
	seat->sets = NULL;
	seat->set = NULL;
	seat->key = NULL;
}

void seat_settle(struct seat *seat, const SSL *ssl, unsigned long openssl_error)
{
	bool reused = SSL_session_reused(ssl) == 1;

	if (reused)
		seat_take_facts(seat, ssl);
	seat->ignored_ticket = seat->offered_ticket && !reused;
	drop_keys(seat);
	if (seat->cause == SEAT_CAUSE_NONE && ERR_GET_LIB(openssl_error) == ERR_LIB_SSL &&
	    ERR_GET_REASON(openssl_error) == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) {
		seat->cause = SEAT_CAUSE_NO_CERTIFICATE;
		seat->why = strdup("the client showed no certificate");
	}
}

void seat_deinit(struct seat *seat)
{
	trust_unref(seat->trust);
	X509_free(seat->refused);
	free(seat->facts);
	free(seat->why);
	seat->trust = NULL;
	seat->refused = NULL;
	seat->facts = NULL;
	seat->why = NULL;
	drop_keys(seat);
}

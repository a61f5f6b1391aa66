/* SPDX-License-Identifier: Apache-2.0 */
/* Tickets: OpenSSL asks the context that made the SSL for keys (on_key) and for what goes into a ticket and comes out of it (on_issue,
 * on_taken); all three find the handshake's own set and rules in its seat.
 *
 * A ticket that is renewed keeps the time of the full handshake, so that no chain of renewals outlives the cap. Where no key may encrypt,
 * TLS 1.3 sends no ticket at all (there an empty one would be malformed), and 1.2 the empty one of RFC 5077 3.3. */
#include "tls/tickets.h"

#include "base/secret.h"
#include "crypto/crypto.h"
#include "tls/facts.h"
#include "tls/trust_impl.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define AES_KEY_LEN 32
#define IV_LEN 16
#define CLOCK_SLACK_S 300 /* how far ahead another agent's clock may be */

struct ticket_key {
	uint8_t name[TICKET_NAME_LEN];
	uint8_t secret[TICKET_SECRET_LEN];
	bool promoted;
	uint64_t encrypt_from, encrypt_until, decrypt_until;
};

struct ticket_set {
	char *selector;
	size_t keys_len;
	struct ticket_key *keys;
};

struct ticket_sets {
	atomic_uint count;
	size_t sets_len;
	struct ticket_set sets[];
};

static uint64_t now_s(void)
{
	time_t now = time(NULL);

	return now > 0 ? (uint64_t)now : 0;
}

/* One byte over and over, above all zeros: what a key is that was never drawn. */
static bool is_constant(const uint8_t bytes[TICKET_SECRET_LEN])
{
	return memcmp(bytes, bytes + 1, TICKET_SECRET_LEN - 1) == 0;
}

static int copy_key(const Tlsplane__TicketKey *from, struct ticket_key *to, struct error *err)
{
	if (from->name.len != TICKET_NAME_LEN || from->secret.len != TICKET_SECRET_LEN)
		return error_set(err, E_INVALID, "a ticket key with a name of %zu and a secret of %zu bytes", from->name.len,
		                 from->secret.len);
	if (is_constant(from->secret.data))
		return error_set(err, E_INVALID, "a ticket key that is no secret");
	memcpy(to->name, from->name.data, TICKET_NAME_LEN);
	memcpy(to->secret, from->secret.data, TICKET_SECRET_LEN);
	to->promoted = from->has_encrypt_from;
	to->encrypt_from = from->encrypt_from;
	to->encrypt_until = from->encrypt_until;
	to->decrypt_until = from->decrypt_until;
	return 0;
}

static int copy_set(const Tlsplane__TicketSet *from, struct ticket_set *to, struct error *err)
{
	int r = 0;

	if (from->n_keys > TICKET_KEYS_MAX)
		return error_set(err, E_INVALID, "%zu ticket keys for one selector", from->n_keys);
	to->selector = strdup(from->selector);
	to->keys = calloc(from->n_keys + 1, sizeof(*to->keys));
	if (to->selector == NULL || to->keys == NULL)
		return error_nomem(err);
	for (size_t i = 0; i < from->n_keys && r == 0; i++) {
		r = copy_key(from->keys[i], &to->keys[i], err);
		to->keys_len = i + 1;
	}
	return r;
}

int ticket_sets_new(const Tlsplane__TicketKeys *keys, struct ticket_sets **ret, struct error *err)
{
	CLEANUP(ticket_sets_unref) struct ticket_sets *sets = calloc(1, sizeof(*sets) + keys->n_sets * sizeof(sets->sets[0]));

	if (sets == NULL)
		return error_nomem(err);
	atomic_init(&sets->count, 1);
	for (size_t i = 0; i < keys->n_sets; i++) {
		int r;

		if (ticket_sets_find(sets, keys->sets[i]->selector) != NULL)
			return error_set(err, E_INVALID, "ticket keys of selector \"%s\" twice", keys->sets[i]->selector);
		sets->sets_len++;
		r = copy_set(keys->sets[i], &sets->sets[i], err);
		if (r < 0)
			return r;
	}
	*ret = TAKE_PTR(sets);
	return 0;
}

struct ticket_sets *ticket_sets_ref(struct ticket_sets *sets)
{
	atomic_fetch_add_explicit(&sets->count, 1, memory_order_relaxed);
	return sets;
}

struct ticket_sets *ticket_sets_unref(struct ticket_sets *sets)
{
	if (sets == NULL || atomic_fetch_sub_explicit(&sets->count, 1, memory_order_acq_rel) > 1)
		return NULL;
	for (size_t i = 0; i < sets->sets_len; i++) {
		struct ticket_set *set = &sets->sets[i];

		if (set->keys != NULL)
			secret_wipe(set->keys, set->keys_len * sizeof(*set->keys));
		free(set->keys);
		free(set->selector);
	}
	free(sets);
	return NULL;
}

const struct ticket_set *ticket_sets_find(const struct ticket_sets *sets, const char *selector)
{
	for (size_t i = 0; i < sets->sets_len; i++)
		if (strcmp(sets->sets[i].selector, selector) == 0)
			return &sets->sets[i];
	return NULL;
}

/* The one promoted last among those that may encrypt; among equals the one published last. That it is promoted is the control
 * plane's word: this clock, which may be minutes behind, is not asked. */
static const struct ticket_key *choose_key(const struct ticket_set *set, uint64_t now)
{
	const struct ticket_key *chosen = NULL;

	for (size_t i = 0; i < set->keys_len; i++) {
		const struct ticket_key *key = &set->keys[i];

		if (key->promoted && now < key->encrypt_until &&
		    (chosen == NULL || key->encrypt_from >= chosen->encrypt_from))
			chosen = key;
	}
	return chosen;
}

static const struct ticket_key *find_key(const struct ticket_set *set, const uint8_t *name, uint64_t now)
{
	for (size_t i = 0; i < set->keys_len; i++)
		if (memcmp(set->keys[i].name, name, TICKET_NAME_LEN) == 0)
			return now < set->keys[i].decrypt_until ? &set->keys[i] : NULL;
	return NULL;
}

static bool start_key(const struct ticket_key *key, const uint8_t *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, bool encrypt)
{
	char digest[] = "SHA256";
	uint8_t *mac_key = (uint8_t *)(uintptr_t)key->secret + AES_KEY_LEN;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, mac_key, TICKET_SECRET_LEN - AES_KEY_LEN),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0), OSSL_PARAM_construct_end()};

	return EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->secret, iv, encrypt) == 1 &&
	       EVP_MAC_CTX_set_params(mac, params) == 1;
}

/* 0: no key for it (RFC 5077: no ticket, or a full handshake). 2: taken, and to be renewed under the key of today. */
static int on_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int encrypt)
{
	const struct seat *seat = seat_of(ssl);
	const struct ticket_key *key;

	if (seat == NULL || seat->set == NULL)
		return 0;
	key = encrypt ? seat->key : find_key(seat->set, name, now_s());
	if (key == NULL)
		return 0;
	if (encrypt) {
		memcpy(name, key->name, TICKET_NAME_LEN);
		if (RAND_bytes(iv, IV_LEN) != 1)
			return -1;
	}
	if (!start_key(key, iv, cipher, mac, encrypt))
		return -1;
	return encrypt || key == seat->key ? 1 : 2;
}

static uint64_t age_of(uint64_t handshake_at, uint64_t now)
{
	return now > handshake_at ? now - handshake_at : 0;
}

/* Under TLS 1.3 OpenSSL counts from the ticket, under 1.2 from the full handshake. A session that ends while its ticket is made
 * gets a second nevertheless: OpenSSL cannot make one of none and ends the handshake; on_taken judges by the facts. A failure
 * leaves a ticket without facts, which nobody takes. */
static int on_issue(SSL *ssl, void *arg)
{
	struct seat *seat = seat_of(ssl);
	SSL_SESSION *session = SSL_get_session(ssl);
	uint8_t encoded[FACTS_ENCODED_MAX];
	struct facts facts;
	uint64_t age;

	if (seat == NULL || session == NULL)
		return 1;
	if (SSL_session_reused(ssl) == 1)
		seat_take_facts(seat, ssl);
	age = SSL_version(ssl) == TLS1_3_VERSION ? age_of(seat->handshake_at, now_s()) : 0;
	SSL_SESSION_set_timeout(session, age < seat->lifetime_s ? (long)(seat->lifetime_s - age) : 1);
	facts = seat->facts != NULL ? *seat->facts : (struct facts){.handshake_at = seat->handshake_at};
	if (SSL_SESSION_set1_ticket_appdata(session, encoded, facts_encode(&facts, encoded)) != 1)
		SSL_SESSION_set1_ticket_appdata(session, NULL, 0);
	return 1;
}

/* What the session-id context doesn't separate, since it may change while sessions live. */
static bool is_good_today(const struct seat *seat, const SSL_SESSION *session)
{
	const struct trust *trust = seat->trust;
	uint64_t now = now_s();
	enum seat_cause cause;
	struct facts facts;
	void *data = NULL;
	X509 *leaf = SSL_SESSION_get0_peer((SSL_SESSION *)(uintptr_t)session);
	size_t len = 0;

	if (SSL_SESSION_get0_ticket_appdata((SSL_SESSION *)(uintptr_t)session, &data, &len) != 1 ||
	    facts_decode(BYTES(data, len), &facts) < 0)
		return false;
	if (facts.too_long || facts.handshake_at > now + CLOCK_SLACK_S || age_of(facts.handshake_at, now) >= seat->lifetime_s)
		return false;
	if (trust == NULL)
		return true;
	if (leaf == NULL)
		return !trust->demand;
	if (!trust->verify)
		return trust_judge_unverified(trust, leaf, &cause, NULL) == 0;
	return facts.chain_len > 0 && trust_judge_facts(trust, &facts, &cause, NULL) == 0;
}

/* A ticket of TLS 1.3 is for one use (RFC 8446 C.4), so each gives a new one. */
static SSL_TICKET_RETURN on_taken(SSL *ssl, SSL_SESSION *session, const unsigned char *name, size_t name_len, SSL_TICKET_STATUS status,
                                  void *arg)
{
	struct seat *seat = seat_of(ssl);

	if (seat == NULL || status == SSL_TICKET_EMPTY)
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	seat->offered_ticket = true;
	if ((status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW) || !is_good_today(seat, session)) {
		ERR_clear_error();
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	}
	if (SSL_version(ssl) == TLS1_3_VERSION || status == SSL_TICKET_SUCCESS_RENEW)
		return SSL_TICKET_RETURN_USE_RENEW;
	return SSL_TICKET_RETURN_USE;
}

int tickets_install(SSL_CTX *front, struct error *err)
{
	if (SSL_CTX_set_tlsext_ticket_key_evp_cb(front, on_key) != 1 ||
	    SSL_CTX_set_session_ticket_cb(front, on_issue, on_taken, NULL) != 1)
		return crypto_error(err, "install ticket callbacks");
	return 0;
}

int tickets_put_on(const struct ticket_rules *rules, SSL *ssl, struct seat *seat, struct error *err)
{
	uint64_t now = now_s();

	seat->handshake_at = now;
	if (!rules->enabled || rules->sets == NULL)
		return 0;
	seat->set = ticket_sets_find(rules->sets, rules->selector);
	if (seat->set == NULL)
		return 0;
	ticket_sets_unref(seat->sets);
	seat->sets = ticket_sets_ref(rules->sets);
	seat->key = choose_key(seat->set, now);
	seat->lifetime_s = rules->lifetime_s;
	seat->tickets = seat->key != NULL ? rules->count : 0;
	SSL_clear_options(ssl, SSL_OP_NO_TICKET);
	return SSL_set_num_tickets(ssl, seat->tickets) == 1 ? 0 : crypto_error(err, "put tickets on a handshake");
}

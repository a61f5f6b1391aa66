/* SPDX-License-Identifier: Apache-2.0 */
/* The snapshot is read under the worker's hazard slot for the length of one decision; what outlives it (upstream,
 * origin profile, profile's context, site's certificates, trust, ticket keys) is counted. */
#include "proxy/hello.h"

#include "base/buf.h"
#include "base/memory.h"
#include "crypto/crypto.h"
#include "proxy/source.h"
#include "resolve/decide.h"

#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>

static int refuse(struct hello *hello, enum hello_cause cause)
{
	hello->cause = cause;
	return -1;
}

/* RFC 6066 3: a list with one host_name. OpenSSL would accept more shapes and more bytes. */
static int parse_sni(struct bytes extension, struct bytes *ret)
{
	struct cursor cursor = {extension.data, extension.len, false};
	uint16_t list_len = cursor_u16(&cursor);
	bool whole = list_len == cursor.left;
	uint8_t type = cursor_u8(&cursor);
	struct bytes name = cursor_bytes(&cursor, cursor_u16(&cursor));

	if (!whole || cursor.failed || cursor.left != 0 || type != TLSEXT_NAMETYPE_host_name || name.len == 0)
		return E_SYNTAX;
	*ret = name;
	return 0;
}

static struct bytes find_extension(SSL *ssl, unsigned type)
{
	struct bytes extension = BYTES_NULL;

	if (SSL_client_hello_get0_ext(ssl, type, &extension.data, &extension.len) != 1)
		return BYTES_NULL;
	return extension;
}

/* The name that is looked up: "" without SNI, and for an IP literal, which matches no name. */
static int read_name(struct hello *hello, struct bytes extension, int *alert)
{
	struct error *err = &hello->context->error;
	struct bytes sni;
	size_t len;
	int r;

	if (extension.data == NULL)
		return 0;
	if (parse_sni(extension, &sni) < 0) {
		*alert = SSL_AD_DECODE_ERROR;
		error_set(err, E_SYNTAX, "malformed server_name extension");
		return refuse(hello, HELLO_CAUSE_SNI);
	}
	r = name_normalise_sni(sni, hello->name, &len);
	if (r == 0)
		return 0;
	hello->name[0] = 0;
	if (r == E_INVALID)
		return 0;
	*alert = SSL_AD_UNRECOGNIZED_NAME;
	error_set(err, E_SYNTAX, "server name with illegal bytes (%zu)", sni.len);
	return refuse(hello, HELLO_CAUSE_SNI);
}

/* The listener that a socket serves now. */
static int find_listener(const struct root *root, const char *address, struct decide_listener *ret, struct error *err)
{
	const struct listener_view *view;

	if (root == NULL)
		return error_set(err, E_UNAVAILABLE, "no configuration yet");
	view = root_find_listener(root, address);
	if (view == NULL)
		return error_set(err, E_UNAVAILABLE, "%s serves no listener any more", address);
	*ret = (struct decide_listener){view->id, view->body, view};
	return 0;
}

/* Names the client rules: the objects that they stand in, each by its state. */
static int compute_trust_key(const struct decision *decision, struct digest *ret, struct error *err)
{
	const struct entry *ssl = decision->ssl.handle;
	const struct options_view *options = decision->options.handle;
	struct digest parts[4] = {DIGEST_NULL, DIGEST_NULL, DIGEST_NULL, DIGEST_NULL};

	_Static_assert(sizeof(parts) == 4 * DIGEST_LEN, "digests are bytes alone");
	if (decision->ssl.client != NULL)
		parts[0] = ssl->digest;
	if (decision->options.body->client_auth != NULL)
		parts[1] = options->entry->digest;
	for (size_t i = 0; i < 2; i++) {
		if (decision->client.bundles[i].id != NULL)
			parts[2 + i] = *(const struct digest *)decision->client.bundles[i].handle;
	}
	return crypto_sha256(BYTES(parts, sizeof(parts)), ret->bytes, err);
}

/* NULL when clients are not asked. */
static int get_trust(const struct hello_context *context, const struct decision *decision, struct trust **ret,
                     struct error *err)
{
	struct digest key;
	int r;

	*ret = NULL;
	if (!decision->client.ask)
		return 0;
	r = compute_trust_key(decision, &key, err);
	return r == 0 ? trust_cache_get(context->trusts, &key, &decision->client, ret, err) : r;
}

/* What must be equal for a session to be resumed: name, auth and crypto profile; no leaf, no ids, no revision, so
 * that a renewal keeps it. */
static int put_session_context(const struct hello *hello, const struct options_view *options, SSL *ssl,
                               struct error *err)
{
	size_t name_len = strlen(hello->name), at = 3;
	uint8_t input[3 + NAME_MAX_LEN + 2 * DIGEST_LEN] = {'v', '1', (uint8_t)name_len}, digest[SHA256_LEN];
	int r;

	memcpy(input + at, hello->name, name_len);
	at += name_len;
	memcpy(input + at, trust_digest(hello->seat.trust)->bytes, DIGEST_LEN);
	at += DIGEST_LEN;
	memcpy(input + at, profile_digest(options->profile)->bytes, DIGEST_LEN);
	at += DIGEST_LEN;
	r = crypto_sha256(BYTES(input, at), digest, err);
	if (r == 0 && SSL_set_session_id_context(ssl, digest, sizeof(digest)) != 1)
		r = crypto_error(err, "set the session context");
	return r;
}

static int put_tickets(struct hello *hello, const struct decision *decision, SSL *ssl, struct error *err)
{
	const struct decide_tickets tickets = decide_tickets_of(decision->options.body);
	const struct entry *entry = decision->ssl.handle;
	const struct ticket_rules rules = {
	    .enabled = tickets.enabled,
	    .count = tickets.count,
	    .lifetime_s = tickets.lifetime_s,
	    .sets = hello->context->tickets,
	    .selector = entry != NULL ? entry->selector : "",
	};

	return tickets_put_on(&rules, ssl, &hello->seat, err);
}

/* The profile first: SSL_set_SSL_CTX would drop what was put on before it. */
static int put_on(struct hello *hello, const struct decision *decision, const struct site *site, SSL *ssl, int *alert)
{
	const struct options_view *options = decision->options.handle;
	struct error *err = &hello->context->error;
	CLEANUP(trust_unref) struct trust *trust = NULL;
	int r = profile_put_on(options->profile, ssl, decision->min, decision->max, err);

	if (r == E_INVALID)
		*alert = SSL_AD_HANDSHAKE_FAILURE;
	if (r == 0 && seat_set(&hello->seat, ssl) < 0)
		r = error_nomem(err);
	if (r == 0)
		r = get_trust(hello->context, decision, &trust, err);
	if (r == 0)
		r = trust_put_on(trust, ssl, &hello->seat, err);
	if (r == 0)
		r = site_put_on(site, ssl, err);
	if (r == 0)
		r = put_tickets(hello, decision, ssl, err);
	if (r == 0)
		r = put_session_context(hello, options, ssl, err);
	return r;
}

/* How the upstream is spoken to, and with which certificate. */
static int take_origin(struct hello *hello, const struct source *source, const struct decision *decision)
{
	struct error *err = &hello->context->error;
	const struct upstream_tls_view *view = decision->upstream_tls.handle;
	struct origin_profile *profile = view != NULL ? view->profile : snapshot_builtin_origin(source->snapshot);
	const struct entry *entry;
	int r;

	if (!decision->upstream_speaks_tls)
		return 0;
	if (profile == NULL)
		return error_set(err, E_UNAVAILABLE, "upstream %s: no profile for TLS with it", decision->upstream.id);
	hello->origin = origin_profile_ref(profile);
	if (view == NULL || view->body->client_ssl == NULL)
		return 0;
	entry = snapshot_find(source->snapshot, KIND_SSL, view->body->client_ssl);
	if (entry == NULL)
		return error_set(err, E_NOT_FOUND, "upstream TLS %s: client_ssl %s is not held", decision->upstream_tls.id,
		                 view->body->client_ssl);
	r = source_load_site(source, entry, &hello->origin_site, err);
	if (r < 0)
		return error_prefix(err, r, "upstream TLS %s: client_ssl %s", decision->upstream_tls.id, entry->id);
	hello->origin_site_digest = entry->digest;
	return 0;
}

static void take_upstream(struct hello *hello, const struct decision *decision)
{
	const struct upstream_view *view = decision->upstream.handle;

	hello->upstream = upstream_ref(view->upstream);
	hello->send_proxy_protocol = (uint8_t)(view->body->has_send_proxy_protocol ? view->body->send_proxy_protocol : 0);
}

/* Names that nothing knows share one bucket, so that a client can't have as many as it can think of. */
static void take_limits(struct hello *hello, const struct decision *decision)
{
	const Tlsplane__TlsOptions *options = decision->options.body;
	bool is_known = decision->route.id != NULL ||
	                (decision->ssl_level != DECIDE_LEVEL_NONE && decision->ssl_level != DECIDE_LEVEL_DEFAULT);

	hello->handshake_timeout_ms = decide_handshake_timeout_ms_of(options);
	hello->limits = (struct hello_limits){
	    .max_handshakes = options->has_max_handshakes ? options->max_handshakes : 0,
	    .handshakes_per_second = options->has_handshakes_per_second ? options->handshakes_per_second : 0,
	    .bucket = is_known ? hello->name : "",
	};
}

/* The object, or the rules in it, can't be put to use: the main thread is told, so that it shows as degraded. */
static void note_failure(struct hello *hello, const struct decision *decision, int code)
{
	struct hello_context *context = hello->context;

	if (decision->ssl.id != NULL && code != E_NOMEM)
		failures_note(context->failures, decision->ssl.handle, context->error.text);
	error_prefix(&context->error, code, "SSL object %s", decision->ssl.id != NULL ? decision->ssl.id : "(generated)");
}

static int terminate(struct hello *hello, const struct source *source, const struct decision *decision, SSL *ssl,
                     int *alert)
{
	const struct site *site = decision->ssl.id != NULL ? source->site : hello->context->fallback;
	uint64_t failures = memory_failures();
	int r;

	if (take_origin(hello, source, decision) < 0)
		return refuse(hello, HELLO_CAUSE_SITE);
	r = memory_judge(failures, put_on(hello, decision, site, ssl, alert), &hello->context->error);
	if (r < 0) {
		note_failure(hello, decision, r);
		return refuse(hello, HELLO_CAUSE_SITE);
	}
	take_upstream(hello, decision);
	take_limits(hello, decision);
	hello->decided = true;
	return 0;
}

static int pass_through(struct hello *hello, const struct decision *decision)
{
	take_upstream(hello, decision);
	hello->passthrough = hello->decided = true;
	return HELLO_HOOK_STOP;
}

static void copy_id(char ret[ID_MAX + 1], const char *id)
{
	snprintf(ret, ID_MAX + 1, "%s", id != NULL ? id : "");
}

static int act(struct hello *hello, const struct source *source, const struct decision *decision, SSL *ssl, int *alert)
{
	static const enum hello_cause causes[] = {
	    [DECIDE_CAUSE_NONE] = HELLO_CAUSE_NONE,        [DECIDE_CAUSE_REJECTED] = HELLO_CAUSE_REJECTED,
	    [DECIDE_CAUSE_ADDRESS] = HELLO_CAUSE_ADDRESS,  [DECIDE_CAUSE_NAME] = HELLO_CAUSE_SNI,
	    [DECIDE_CAUSE_VERSION] = HELLO_CAUSE_PROTOCOL, [DECIDE_CAUSE_BROKEN] = HELLO_CAUSE_SITE,
	};

	copy_id(hello->route, decision->route.id);
	copy_id(hello->ssl, decision->ssl.id);
	if (decision->outcome == DECIDE_TERMINATE)
		return terminate(hello, source, decision, ssl, alert);
	if (decision->outcome == DECIDE_PASSTHROUGH)
		return pass_through(hello, decision);
	*alert = decision->alert;
	hello->context->error = decision->why;
	return refuse(hello, causes[decision->cause]);
}

static int decide_at(struct hello *hello, const struct root *root, SSL *ssl, int *alert)
{
	struct hello_context *context = hello->context;
	struct decide_input input = {.name = BYTES(hello->name, strlen(hello->name)), .client = hello->client, .any_client = hello->any_client};
	CLEANUP(source_deinit) struct source source = {.site = NULL};
	struct decision decision;

	if (find_listener(root, hello->address, &input.listener, &context->error) < 0)
		return refuse(hello, HELLO_CAUSE_SITE);
	source_init(&source, root->snapshot, context->sites, context->failures);
	if (decide(&source.table, &input, &decision) < 0) {
		error_nomem(&context->error);
		return refuse(hello, HELLO_CAUSE_SITE);
	}
	return act(hello, &source, &decision, ssl, alert);
}

static int decide_first(struct hello *hello, SSL *ssl, int *alert)
{
	struct hello_context *context = hello->context;
	int r = decide_at(hello, roots_acquire(context->roots, context->reader), ssl, alert);

	roots_release(context->roots, context->reader);
	return r;
}

/* 0 stands for "absent"; a hash that happens to be 0 does no harm, since both sides are compared alike. */
static uint64_t pin(const struct hello *hello, struct bytes extension)
{
	return extension.data != NULL ? hash_bytes(&hello->context->hash_key, extension) : 0;
}

static int on_hello(struct hello_hook *hook, SSL *ssl, int *alert)
{
	struct hello *hello = container_of(hook, struct hello, hook);
	struct bytes sni = find_extension(ssl, TLSEXT_TYPE_server_name);
	struct bytes alpn = find_extension(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation);
	uint64_t pinned_sni = pin(hello, sni), pinned_alpn = pin(hello, alpn);

	if (hello->decided) {
		if (pinned_sni == hello->pinned_sni && pinned_alpn == hello->pinned_alpn)
			return hello->passthrough ? HELLO_HOOK_STOP : 0;
		*alert = SSL_AD_ILLEGAL_PARAMETER;
		error_set(&hello->context->error, E_PROTOCOL, "the second ClientHello asks for another name or protocol");
		return refuse(hello, HELLO_CAUSE_PROTOCOL);
	}
	hello->pinned_sni = pinned_sni;
	hello->pinned_alpn = pinned_alpn;
	return read_name(hello, sni, alert) < 0 ? -1 : decide_first(hello, ssl, alert);
}

void hello_init(struct hello *hello, struct hello_context *context, const char *address, const struct ip *client)
{
	*hello = (struct hello){.hook = {on_hello}, .context = context, .address = address, .client = *client};
}

void hello_deinit(struct hello *hello)
{
	hello->upstream = upstream_unref(hello->upstream);
	hello->origin = origin_profile_unref(hello->origin);
	hello->origin_site = site_unref(hello->origin_site);
	seat_deinit(&hello->seat);
}

/* Judging open connections ---------------------------------------------------------------------------------------- */

/* *ret: the rules that the peer is to be judged by now; NULL: none. Rules that can't be put to use verify nobody; and who
 * was passed through has shown nothing here. */
static int judge_decision(const struct hello_context *context, const struct decision *decision, bool passthrough,
                          struct trust **ret, struct error *why)
{
	if (decision->cause == DECIDE_CAUSE_REJECTED || decision->cause == DECIDE_CAUSE_ADDRESS)
		return error_set(why, E_FORBIDDEN, "%s", decision->why.text);
	if (decision->outcome != DECIDE_TERMINATE || decision->client.keep_on_tighten)
		return 0;
	if (!passthrough)
		return get_trust(context, decision, ret, why);
	return decision->client.demand ? error_set(why, E_FORBIDDEN, "a client certificate is demanded now") : 0;
}

static int judge_at(struct hello_context *context, const struct root *root, const char *address,
                    const struct decide_input *about, bool passthrough, struct trust **ret, struct error *why)
{
	struct decide_input input = *about;
	CLEANUP(source_deinit) struct source source = {.site = NULL};
	struct decision decision;
	struct error unused;

	if (find_listener(root, address, &input.listener, &unused) < 0)
		return 0;
	source_init(&source, root->snapshot, context->sites, context->failures);
	if (decide(&source.table, &input, &decision) < 0)
		return error_nomem(why);
	return judge_decision(context, &decision, passthrough, ret, why);
}

int hello_judge(struct hello_context *context, const char *address, const char *name, const struct ip *client,
                const SSL *ssl, struct seat *seat, struct error *why)
{
	const struct decide_input about = {.name = BYTES(name, strlen(name)), .client = *client};
	CLEANUP(trust_unref) struct trust *trust = NULL;
	enum seat_cause cause;
	int r =
	    judge_at(context, roots_acquire(context->roots, context->reader), address, &about, ssl == NULL, &trust, why);

	roots_release(context->roots, context->reader);
	if (r < 0 || trust == NULL || trust == seat->trust)
		return r;
	r = trust_judge(trust, ssl, seat->facts, &cause, why);
	if (r == 0 && digest_is_equal(trust_digest(trust), trust_digest(seat->trust))) {
		trust_unref(seat->trust);
		seat->trust = TAKE_PTR(trust);
	}
	return r;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The snapshot is read under the worker's hazard slot for the length of one callback; what outlives it (upstream,
 * profile's context, site's certificates, trust) is counted. */
#include "proxy/hello.h"

#include "base/buf.h"
#include "crypto/crypto.h"

#include <openssl/ssl.h>
#include <string.h>

#define DEPTH_DEFAULT 1

/* What one decision looks at; all borrowed but site and trust. */
struct choice {
	const struct snapshot *snapshot;
	const struct listener_view *listener;
	const struct options_view *base; /* the listener's, else the default: sni_strict and default_ssl are read from it */
	const struct options_view *options; /* the object's own, else base */
	const struct entry *entry;          /* NULL: the generated certificate */
	struct site *site;
	struct trust *trust;
};

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

static int choose_listener(struct hello *hello, const struct root *root, struct choice *choice)
{
	struct error *err = &hello->context->error;

	if (root == NULL) {
		error_set(err, E_UNAVAILABLE, "no configuration yet");
		return refuse(hello, HELLO_CAUSE_SITE);
	}
	choice->snapshot = root->snapshot;
	choice->listener = root_find_listener(root, hello->address);
	if (choice->listener == NULL) {
		error_set(err, E_UNAVAILABLE, "%s serves no listener any more", hello->address);
		return refuse(hello, HELLO_CAUSE_SITE);
	}
	choice->base =
	    choice->listener->options != NULL ? choice->listener->options : snapshot_find_options(choice->snapshot, NULL);
	if (choice->base == NULL || choice->listener->upstream == NULL) {
		error_set(err, E_UNAVAILABLE, "listener %s has no TLS options or no upstream", choice->listener->id);
		return refuse(hello, HELLO_CAUSE_SITE);
	}
	return 0;
}

/* The object for the name, else the default one, else none (the generated certificate). */
static int choose_entry(struct hello *hello, struct choice *choice, int *alert)
{
	struct error *err = &hello->context->error;

	choice->entry = snapshot_choose_ssl(choice->snapshot, BYTES(hello->name, strlen(hello->name)));
	if (choice->entry != NULL)
		return 0;
	if (choice->base->sni_strict) {
		*alert = SSL_AD_UNRECOGNIZED_NAME;
		error_set(err, E_NOT_FOUND, "no certificate for this name, and sni_strict");
		return refuse(hello, HELLO_CAUSE_SNI);
	}
	if (choice->base->body->default_ssl == NULL)
		return 0;
	choice->entry = snapshot_find(choice->snapshot, KIND_SSL, choice->base->body->default_ssl);
	if (choice->entry == NULL) {
		error_set(err, E_NOT_FOUND, "default_ssl %s is not held", choice->base->body->default_ssl);
		return refuse(hello, HELLO_CAUSE_SITE);
	}
	return 0;
}

/* The object itself can't be served: the main thread is told, so that it shows as degraded. Lack of memory says nothing about it. */
static int refuse_site(struct hello *hello, const struct choice *choice, int code)
{
	struct hello_context *context = hello->context;

	if (choice->entry != NULL && code != E_NOMEM)
		failures_note(context->failures, choice->entry, context->error.text);
	error_prefix(&context->error, code, "SSL object %s", choice->entry != NULL ? choice->entry->id : "(generated)");
	return refuse(hello, HELLO_CAUSE_SITE);
}

static int choose_site(struct hello *hello, struct choice *choice)
{
	struct hello_context *context = hello->context;
	uint8_t aad[SNAPSHOT_AAD_MAX];
	struct site_source source;
	const char *options;
	int r;

	if (choice->entry == NULL) {
		choice->site = site_ref(context->fallback);
	} else {
		snapshot_site_source(choice->entry, aad, &source);
		r = site_cache_get(context->sites, &source, &choice->site, &context->error);
		if (r < 0) {
			return refuse_site(hello, choice, r);
		}
	}
	options = site_tls_options(choice->site);
	choice->options = options != NULL ? snapshot_find_options(choice->snapshot, options) : choice->base;
	if (choice->options == NULL) {
		error_set(&context->error, E_NOT_FOUND, "SSL object %s: TLS options %s are not held", choice->entry->id,
		          options);
		return refuse(hello, HELLO_CAUSE_SITE);
	}
	return 0;
}

static uint32_t client_depth(const Tlsplane__ClientAuth *client)
{
	return client->has_depth ? client->depth : DEPTH_DEFAULT;
}

/* Anchors of one `client` block, from itself or its bundle; false: the bundle is not held. Leaves rules alone when it
 * names none. */
static bool take_anchors(const struct choice *choice, const Tlsplane__ClientAuth *client, const struct entry *holder,
                         struct trust_rules *rules)
{
	const Tlsplane__CaBundle *bundle;
	const struct entry *entry;

	if (client->n_ca > 0) {
		rules->anchors = (struct trust_anchors){client->ca, client->n_ca};
		rules->source = holder->digest;
	}
	if (client->ca_bundle == NULL)
		return true;
	bundle = snapshot_find_bundle(choice->snapshot, client->ca_bundle);
	entry = snapshot_find(choice->snapshot, KIND_CA_BUNDLE, client->ca_bundle);
	if (bundle == NULL || entry == NULL)
		return false;
	rules->anchors = (struct trust_anchors){bundle->certs, bundle->n_certs};
	rules->source = entry->digest;
	return true;
}

/* The options' client_auth and the object's `client` joined: demanding is OR-ed, the CA is the object's if it names
 * one, the smaller depth. */
static int choose_trust(struct hello *hello, struct choice *choice)
{
	struct hello_context *context = hello->context;
	const Tlsplane__ClientAuth *own = site_client(choice->site), *common = choice->options->body->client_auth;
	struct trust_rules rules = {.require = false};
	bool held = true;
	int r;

	if (common != NULL && common->verify == TLSPLANE__CLIENT_VERIFY__VERIFY_REQUIRE) {
		rules.require = true;
		rules.depth = client_depth(common);
		held = take_anchors(choice, common, choice->options->entry, &rules);
	}
	if (own != NULL) {
		uint32_t depth = client_depth(own);

		rules.depth = rules.require && rules.depth < depth ? rules.depth : depth;
		rules.require = true;
		held = take_anchors(choice, own, choice->entry, &rules) && held;
	}
	if (!held) {
		error_set(&context->error, E_NOT_FOUND, "the bundle of client CAs is not held");
		return refuse(hello, HELLO_CAUSE_SITE);
	}
	r = trust_cache_get(context->trusts, &rules, &choice->trust, &context->error);
	return r == 0 ? 0 : refuse(hello, HELLO_CAUSE_SITE);
}

/* What must be equal for a session to be resumed: name, auth and crypto profile; no leaf, no ids, no revision, so
 * that a renewal keeps it. */
static int put_session_context(const struct hello *hello, const struct choice *choice, SSL *ssl, struct error *err)
{
	uint8_t input[2 + 1 + NAME_MAX_LEN + 2 * DIGEST_LEN], digest[SHA256_LEN];
	size_t name_len = strlen(hello->name), at = 0;
	int r;

	memcpy(input, "v1", 2);
	input[2] = (uint8_t)name_len;
	at = 3;
	memcpy(input + at, hello->name, name_len);
	at += name_len;
	memcpy(input + at, trust_digest(choice->trust)->bytes, DIGEST_LEN);
	at += DIGEST_LEN;
	memcpy(input + at, profile_digest(choice->options->profile)->bytes, DIGEST_LEN);
	at += DIGEST_LEN;
	r = crypto_sha256(BYTES(input, at), digest, err);
	if (r == 0 && SSL_set_session_id_context(ssl, digest, sizeof(digest)) != 1)
		r = crypto_error(err, "set the session context");
	return r;
}

/* The profile first: SSL_set_SSL_CTX would drop what was put on before it. */
static int put_on(struct hello *hello, const struct choice *choice, SSL *ssl, int *alert)
{
	struct error *err = &hello->context->error;
	int r = profile_put_on(choice->options->profile, ssl, site_min_version(choice->site),
	                       site_max_version(choice->site), err);

	if (r == E_INVALID)
		*alert = SSL_AD_HANDSHAKE_FAILURE;
	if (r == 0)
		r = trust_put_on(choice->trust, ssl, err);
	if (r == 0)
		r = site_put_on(choice->site, ssl, err);
	if (r == 0)
		r = put_session_context(hello, choice, ssl, err);
	return r < 0 ? refuse_site(hello, choice, r) : 0;
}

static int decide_first(struct hello *hello, SSL *ssl, int *alert)
{
	struct hello_context *context = hello->context;
	struct choice choice = {0};
	int r = choose_listener(hello, roots_acquire(context->roots, context->reader), &choice);

	if (r == 0)
		r = choose_entry(hello, &choice, alert);
	if (r == 0)
		r = choose_site(hello, &choice);
	if (r == 0)
		r = choose_trust(hello, &choice);
	if (r == 0)
		r = put_on(hello, &choice, ssl, alert);
	if (r == 0) {
		hello->upstream = upstream_ref(choice.listener->upstream);
		hello->handshake_timeout_ms = choice.options->handshake_timeout_ms;
		hello->decided = true;
	}
	roots_release(context->roots, context->reader);
	site_unref(choice.site);
	trust_unref(choice.trust);
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
			return 0;
		*alert = SSL_AD_ILLEGAL_PARAMETER;
		error_set(&hello->context->error, E_PROTOCOL, "the second ClientHello asks for another name or protocol");
		return refuse(hello, HELLO_CAUSE_PROTOCOL);
	}
	hello->pinned_sni = pinned_sni;
	hello->pinned_alpn = pinned_alpn;
	return read_name(hello, sni, alert) < 0 ? -1 : decide_first(hello, ssl, alert);
}

void hello_init(struct hello *hello, struct hello_context *context, const char *address)
{
	*hello = (struct hello){.hook = {on_hello}, .context = context, .address = address};
}

void hello_deinit(struct hello *hello)
{
	hello->upstream = upstream_unref(hello->upstream);
}

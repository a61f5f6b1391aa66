/* SPDX-License-Identifier: Apache-2.0 */
/* Client rules: an SSL object's `client` joined with the `client_auth` of the options chosen. Joining only ever adds
 * demands; a party whose mode is NONE has nothing to say. */
#include "resolve/decide.h"

#include "model/client_mode.h"

#define DEPTH 1

static int find_bundle(const struct decide_source *source, const Tlsplane__ClientAuth *part, struct decide_bundle *ret,
                       struct error *err)
{
	struct error why = ERROR_NULL;
	int r = part->ca_bundle != NULL ? source->find_bundle(source->context, part->ca_bundle, ret, &why) : 0;

	if (r == 0)
		return 0;
	if (r == E_NOMEM)
		return error_nomem(err);
	if (r == E_NOT_FOUND)
		return error_set(err, r, "CA bundle %s is not held", part->ca_bundle);
	return error_set(err, r, "CA bundle %s can't be used: %s", part->ca_bundle, why.text);
}

/* The first party that names anchors brings them: the object comes first. */
static void take_anchors(struct decide_client *client, const Tlsplane__ClientAuth *part,
                         const struct decide_bundle *bundle, enum decide_from from)
{
	if (client->anchors_from != DECIDE_FROM_NONE)
		return;
	if (part->n_ca > 0) {
		client->anchors = part->ca;
		client->anchors_len = part->n_ca;
		client->anchors_from = from;
	} else if (bundle->id != NULL) {
		client->anchors = bundle->body->certs;
		client->anchors_len = bundle->body->n_certs;
		client->anchors_from = from;
	}
}

static int join_part(const struct decide_source *source, const Tlsplane__ClientAuth *part,
                     Tlsplane__ClientVerify absent, enum decide_from from, struct decide_client *client,
                     struct error *err)
{
	unsigned bits = part != NULL ? client_mode_bits(part->has_verify ? part->verify : absent) : 0;
	struct decide_bundle *bundle = &client->bundles[client->parts_len];
	bool is_first = client->parts_len == 0;
	uint32_t depth;
	int r;

	if (bits == 0)
		return 0;
	r = find_bundle(source, part, bundle, err);
	if (r < 0)
		return r;
	depth = part->has_depth ? part->depth : DEPTH;
	client->ask = true;
	client->demand |= (bits & CLIENT_DEMANDED) != 0;
	client->verify |= (bits & CLIENT_VERIFIED) != 0;
	client->depth = is_first || depth < client->depth ? depth : client->depth;
	client->allow_stale_crls = (is_first || client->allow_stale_crls) && part->allow_stale_crls;
	client->send_ca_names = (is_first || client->send_ca_names) && (!part->has_send_ca_names || part->send_ca_names);
	client->keep_on_tighten =
	    (is_first || client->keep_on_tighten) && part->on_tighten == TLSPLANE__ON_TIGHTEN__TIGHTEN_KEEP;
	client->map_identity |= part->map_identity;
	take_anchors(client, part, bundle, from);
	client->parts[client->parts_len++] = part;
	return 0;
}

int decide_join_client(const struct decide_source *source, const struct decide_ssl *ssl,
                       const struct decide_options *options, struct decide_client *ret, struct error *err)
{
	struct decide_client client = {.anchors_from = DECIDE_FROM_NONE};
	int r = join_part(source, ssl->client, TLSPLANE__CLIENT_VERIFY__VERIFY_REQUIRE, DECIDE_FROM_SSL, &client, err);

	if (r == 0)
		r = join_part(source, options->body->client_auth, TLSPLANE__CLIENT_VERIFY__VERIFY_NONE, DECIDE_FROM_DEFAULT,
		              &client, err);
	if (r == 0)
		*ret = client;
	return r;
}

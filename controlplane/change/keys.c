/* SPDX-License-Identifier: Apache-2.0 */
/* Keys are write-only: who gets an SSL object, edits it and puts it back sends certificates without keys. Such a pair
 * takes the stored key with its SPKI from the object's current state, pair by pair in any order; never from history,
 * never from another object. */
#include "change/request.h"

#include "channel.pb-c.h"
#include "model/body.h"

#include <string.h>

static Tlsplane__PrivateKey *find_key(const Tlsplane__Ssl *body, const Tlsplane__Secret *secret,
                                      const uint8_t spki_sha256[32])
{
	for (size_t i = 0; i < body->n_pairs && i < secret->n_keys; i++) {
		ProtobufCBinaryData spki = body->pairs[i]->spki_sha256;

		if (spki.len == 32 && memcmp(spki.data, spki_sha256, 32) == 0 && secret->keys[i]->data.len > 0)
			return secret->keys[i];
	}
	return NULL;
}

static void take_key(Tlsplane__PrivateKey *to, Tlsplane__PrivateKey *from)
{
	ProtobufCBinaryData data = to->data;

	to->data = from->data;
	from->data = data;
}

static void fill_keys(struct request_job *job, size_t index, const Tlsplane__Ssl *old_body,
                      const Tlsplane__Secret *old_secret, Tlsplane__Secret *secret)
{
	const struct resource *resource = job->items[index].resource;

	for (size_t i = 0; i < resource->pairs_len && i < secret->n_keys; i++) {
		const struct resource_pair *pair = &resource->pairs[i];
		Tlsplane__PrivateKey *stored = NULL;

		if (pair->has_key)
			continue;
		if (old_body != NULL && old_secret != NULL)
			stored = find_key(old_body, old_secret, pair->spki_sha256);
		if (stored != NULL)
			take_key(secret->keys[i], stored);
		else
			refuse(job, index, E_INVALID, "key-required", pair->pointer,
			       "this certificate comes without its key, and the object's current version has no key for it");
	}
}

static int encode_secret(const Tlsplane__Secret *message, struct secret **ret, struct error *err)
{
	struct secret *encoded = secret_new(tlsplane__secret__get_packed_size(message));

	if (encoded == NULL)
		return error_nomem(err);
	tlsplane__secret__pack(message, encoded->data);
	*ret = encoded;
	return 0;
}

static int load_before(const struct store *store, const struct store_row *before, ProtobufCMessage **ret_body,
                       ProtobufCMessage **ret_secret, struct error *err)
{
	CLEANUP(secret_free) struct secret *opened = NULL;
	int code = body_decode(&tlsplane__ssl__descriptor, before->state.object.body, ret_body, err);

	if (code == 0 && before->sealed.len > 0) {
		code = store_open_secret(store, before, &opened, err);
		if (code == 0)
			code = body_decode(&tlsplane__secret__descriptor, BYTES(opened->data, opened->len), ret_secret, err);
	}
	return code;
}

static bool has_all_keys(const struct resource *resource)
{
	for (size_t i = 0; i < resource->pairs_len; i++)
		if (!resource->pairs[i].has_key)
			return false;
	return true;
}

int keys_keep(struct request_job *job, size_t index, const struct store *store, const struct store_row *before,
              struct error *err)
{
	struct resource *resource = job->items[index].resource;
	CLEANUP(body_free) ProtobufCMessage *old_body = NULL;
	CLEANUP(body_free_secret) ProtobufCMessage *old_secret = NULL;
	CLEANUP(body_free_secret) ProtobufCMessage *secret = NULL;
	struct secret *encoded = NULL;
	int code = 0;

	if (has_all_keys(resource))
		return 0;
	if (resource->secret == NULL)
		return error_set(err, E_INTERNAL, "an SSL object without room for its keys");
	if (before != NULL)
		code = load_before(store, before, &old_body, &old_secret, err);
	if (code == 0)
		code = body_decode(&tlsplane__secret__descriptor, BYTES(resource->secret->data, resource->secret->len), &secret,
		                   err);
	if (code != 0)
		return code;
	fill_keys(job, index, (Tlsplane__Ssl *)old_body, (Tlsplane__Secret *)old_secret, (Tlsplane__Secret *)secret);
	code = encode_secret((Tlsplane__Secret *)secret, &encoded, err);
	if (code != 0)
		return code;
	secret_free(resource->secret);
	resource->secret = encoded;
	return 0;
}

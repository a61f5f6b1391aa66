/* SPDX-License-Identifier: Apache-2.0 */
/* Rows become envelopes: the stored body as it is, the secret opened. */
#include "envelopes.h"

#include "base/secret.h"
#include "store/store_history.h"

#include <stdlib.h>
#include <string.h>

#define ENVELOPE_OVERHEAD 64 /* tags, lengths, kind, uid, version */

static struct Tlsplane__Envelope *envelope_free(Tlsplane__Envelope *envelope)
{
	if (envelope->secret.data != NULL)
		secret_wipe(envelope->secret.data, envelope->secret.len);
	free(envelope);
	return NULL;
}

void envelopes_deinit(struct envelopes *envelopes)
{
	for (size_t i = 0; i < envelopes->puts_len; i++)
		envelope_free(envelopes->puts[i]);
	for (size_t i = 0; i < envelopes->removals_len; i++)
		free(envelopes->removals[i]);
	free(envelopes->puts);
	free(envelopes->removals);
	*envelopes = (struct envelopes){0};
}

/* Makes room for one pointer more in a list. */
static int grow(void *list_pointer, size_t len, size_t *cap, struct error *err)
{
	void **list = list_pointer;
	size_t wanted = *cap == 0 ? 16 : 2 * *cap;
	void *grown;

	if (len < *cap)
		return 0;
	grown = realloc(*list, wanted * sizeof(void *));
	if (grown == NULL)
		return error_nomem(err);
	*list = grown;
	*cap = wanted;
	return 0;
}

static uint8_t *append(uint8_t **at, const void *data, size_t len)
{
	uint8_t *start = *at;

	if (len > 0)
		memcpy(start, data, len);
	*at += len;
	return start;
}

/* NULL without memory. */
static Tlsplane__Envelope *envelope_new(const struct object_view *object, const struct secret *secret)
{
	size_t id_size = strlen(object->id) + 1, selector_size = strlen(object->selector) + 1;
	size_t secret_len = secret == NULL ? 0 : secret->len;
	Tlsplane__Envelope *envelope =
		malloc(sizeof(*envelope) + id_size + selector_size + UID_LEN + object->body.len + secret_len);
	uint8_t *at;

	if (envelope == NULL)
		return NULL;
	tlsplane__envelope__init(envelope);
	at = (uint8_t *)(envelope + 1);
	envelope->kind = object->kind;
	envelope->version = object->version;
	envelope->id = (char *)append(&at, object->id, id_size);
	envelope->selector = (char *)append(&at, object->selector, selector_size);
	envelope->uid = (ProtobufCBinaryData){UID_LEN, append(&at, object->uid.bytes, UID_LEN)};
	envelope->body = (ProtobufCBinaryData){object->body.len, append(&at, object->body.data, object->body.len)};
	if (secret != NULL) {
		envelope->has_secret = 1;
		envelope->secret = (ProtobufCBinaryData){secret_len, append(&at, secret->data, secret_len)};
	}
	return envelope;
}

int envelopes_put(struct envelopes *envelopes, const struct store *store, const struct store_row *row,
                  struct error *err)
{
	CLEANUP(secret_free) struct secret *secret = NULL;
	Tlsplane__Envelope *envelope;
	int rc = grow(&envelopes->puts, envelopes->puts_len, &envelopes->puts_cap, err);

	if (rc == 0 && store_is_purged(row)) /* an agent could make nothing of it; by now it should not have it either */
		rc = error_set(err, E_GONE, "keys of what was being sent have been purged from history");
	if (rc == 0 && row->sealed.len > 0)
		rc = store_open_secret(store, row, &secret, err);
	if (rc < 0)
		return rc;
	envelope = envelope_new(&row->state.object, secret);
	if (envelope == NULL)
		return error_nomem(err);
	envelopes->puts[envelopes->puts_len++] = envelope;
	envelopes->bytes += ENVELOPE_OVERHEAD + strlen(envelope->id) + strlen(envelope->selector) + envelope->body.len +
	                    (envelope->has_secret ? envelope->secret.len : 0);
	return 0;
}

int envelopes_remove(struct envelopes *envelopes, const struct store_row *row, struct error *err)
{
	const struct object_view *object = &row->state.object;
	size_t id_size = strlen(object->id) + 1, selector_size = strlen(object->selector) + 1;
	Tlsplane__Removal *removal;
	uint8_t *at;
	int rc = grow(&envelopes->removals, envelopes->removals_len, &envelopes->removals_cap, err);

	if (rc < 0)
		return rc;
	removal = malloc(sizeof(*removal) + id_size + selector_size);
	if (removal == NULL)
		return error_nomem(err);
	tlsplane__removal__init(removal);
	at = (uint8_t *)(removal + 1);
	removal->kind = object->kind;
	removal->id = (char *)append(&at, object->id, id_size);
	removal->selector = (char *)append(&at, object->selector, selector_size);
	envelopes->removals[envelopes->removals_len++] = removal;
	envelopes->bytes += id_size + selector_size + 8;
	return 0;
}

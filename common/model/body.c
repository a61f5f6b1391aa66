/* SPDX-License-Identifier: Apache-2.0 */
/* Protobuf in and out. protobuf-c calls an allocation failure and a syntax error by the same name, frees what it had
 * read without wiping it, ends strings at a NUL, and lets unknown fields and enum values pass; this file makes up for
 * each. */
#include "model/body.h"

#include "base/secret.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IGNORABLE_FROM 1000 /* field numbers that a peer may not know; channel.proto */

static void *decode_alloc(void *data, size_t size)
{
	bool *failed = data;
	void *memory = malloc(size);

	*failed = *failed || memory == NULL;
	return memory;
}

/* Called for what is thrown away in the middle of a message, which may be half a key. */
static void decode_free(void *data, void *memory)
{
	(void)data;
	if (memory != NULL)
		secret_wipe(memory, malloc_usable_size(memory));
	free(memory);
}

static int walk_message(const ProtobufCMessage *message, const char *path, struct error *err);

static int walk_enum(const ProtobufCFieldDescriptor *field, const int *value, const char *path, struct error *err)
{
	if (protobuf_c_enum_descriptor_get_value(field->descriptor, *value) != NULL)
		return 0;
	return error_set(err, E_INVALID, "%s/%s: unknown value %d", path, field->name, *value);
}

static int walk_value(const ProtobufCFieldDescriptor *field, const void *value, const char *path, struct error *err)
{
	char below[256];

	if (field->type == PROTOBUF_C_TYPE_ENUM)
		return walk_enum(field, value, path, err);
	if (field->type != PROTOBUF_C_TYPE_MESSAGE)
		return 0;
	snprintf(below, sizeof(below), "%.150s/%.100s", path, field->name);
	return walk_message(*(const ProtobufCMessage *const *)value, below, err);
}

static size_t value_size(const ProtobufCFieldDescriptor *field)
{
	return field->type == PROTOBUF_C_TYPE_ENUM ? sizeof(int) : sizeof(void *);
}

static bool field_is_walked(const ProtobufCFieldDescriptor *field)
{
	return field->type == PROTOBUF_C_TYPE_ENUM || field->type == PROTOBUF_C_TYPE_MESSAGE;
}

static bool optional_is_present(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
	const char *base = (const char *)message;

	if (field->type == PROTOBUF_C_TYPE_MESSAGE)
		return *(void *const *)(const void *)(base + field->offset) != NULL;
	return *(const protobuf_c_boolean *)(const void *)(base + field->quantifier_offset) != 0;
}

static int walk_field(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field, const char *path,
                      struct error *err)
{
	const char *base = (const char *)message, *value = base + field->offset;
	size_t count;

	if (!field_is_walked(field))
		return 0;
	if (field->label != PROTOBUF_C_LABEL_REPEATED) {
		if (field->label == PROTOBUF_C_LABEL_OPTIONAL && !optional_is_present(message, field))
			return 0;
		return walk_value(field, value, path, err);
	}
	count = *(const size_t *)(const void *)(base + field->quantifier_offset);
	value = *(const char *const *)(const void *)value;
	for (size_t i = 0; i < count; i++) {
		int r = walk_value(field, value + i * value_size(field), path, err);

		if (r < 0)
			return r;
	}
	return 0;
}

static int walk_message(const ProtobufCMessage *message, const char *path, struct error *err)
{
	for (unsigned i = 0; i < message->n_unknown_fields; i++)
		if (message->unknown_fields[i].tag < IGNORABLE_FROM)
			return error_set(err, E_INVALID, "%s: unknown field %u", *path == '\0' ? "/" : path,
			                 (unsigned)message->unknown_fields[i].tag);
	for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
		int r = walk_field(message, &message->descriptor->fields[i], path, err);

		if (r < 0)
			return r;
	}
	return 0;
}

int body_decode(const ProtobufCMessageDescriptor *type, struct bytes encoded, ProtobufCMessage **ret, struct error *err)
{
	bool failed = false;
	ProtobufCAllocator allocator = {decode_alloc, decode_free, &failed};
	CLEANUP(body_free_secret) ProtobufCMessage *message = NULL;
	int r;

	message = protobuf_c_message_unpack(type, &allocator, encoded.len, encoded.data);
	if (message == NULL && failed)
		return error_nomem(err);
	if (message == NULL)
		return error_set(err, E_SYNTAX, "not a %s message", type->short_name);
	if (protobuf_c_message_get_packed_size(message) != encoded.len)
		return error_set(err, E_SYNTAX, "%s message is not in canonical form", type->short_name);
	r = walk_message(message, "", err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(message);
	return 0;
}

void body_free(ProtobufCMessage *message)
{
	protobuf_c_message_free_unpacked(message, NULL);
}

static void wipe_message(ProtobufCMessage *message);

static void wipe_value(const ProtobufCFieldDescriptor *field, void *value)
{
	if (field->type == PROTOBUF_C_TYPE_BYTES) {
		ProtobufCBinaryData *data = value;

		if (data->data != NULL)
			secret_wipe(data->data, data->len);
	} else if (*(ProtobufCMessage **)value != NULL) {
		wipe_message(*(ProtobufCMessage **)value);
	}
}

static void wipe_field(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
	char *base = (char *)message, *value = base + field->offset;
	size_t size = field->type == PROTOBUF_C_TYPE_BYTES ? sizeof(ProtobufCBinaryData) : sizeof(void *), count = 1;

	if (field->type != PROTOBUF_C_TYPE_BYTES && field->type != PROTOBUF_C_TYPE_MESSAGE)
		return;
	if (field->label == PROTOBUF_C_LABEL_REPEATED) {
		count = *(size_t *)(void *)(base + field->quantifier_offset);
		value = *(char **)(void *)value;
	}
	for (size_t i = 0; i < count; i++)
		wipe_value(field, value + i * size);
}

static void wipe_message(ProtobufCMessage *message)
{
	for (unsigned i = 0; i < message->n_unknown_fields; i++)
		secret_wipe(message->unknown_fields[i].data, message->unknown_fields[i].len);
	for (unsigned i = 0; i < message->descriptor->n_fields; i++)
		wipe_field(message, &message->descriptor->fields[i]);
}

void body_free_secret(ProtobufCMessage *message)
{
	if (message == NULL)
		return;
	wipe_message(message);
	protobuf_c_message_free_unpacked(message, NULL);
}

struct body_sink {
	ProtobufCBuffer base;
	struct buf *out;
};

static void body_sink_append(ProtobufCBuffer *buffer, size_t len, const uint8_t *data)
{
	buf_put(container_of(buffer, struct body_sink, base)->out, data, len);
}

int body_encode(const ProtobufCMessage *message, struct buf *out, struct error *err)
{
	struct body_sink sink = {{body_sink_append}, out};

	protobuf_c_message_pack_to_buffer(message, &sink.base);
	return out->failed ? error_nomem(err) : 0;
}

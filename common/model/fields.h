/* SPDX-License-Identifier: Apache-2.0 */
/* Inside common/model: the engine of the JSON edge. One table per kind; a row says how a field is called, read and
 * written, so that what is accepted and what is answered cannot differ.
 *
 * Reading fills the kind's protobuf message (the "target"), made of malloc'd parts so that body_free frees it at any
 * moment. What is wrong with the input becomes a finding at the pointer under work; a failure of our own (memory,
 * OpenSSL) is kept in field_input.code and ends the work quickly, not at once: readers return nothing and test nothing.
 */
#pragma once

#include "model/certs.h"
#include "model/findings.h"
#include "model/resource.h"

#include <jansson.h>
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>

#define QUOTE_MAX 64

struct field_input {
	const char *id; /* from the path, or "" */
	bool builtin;   /* a preset is read, not a user's object */
	const struct resource_limits *limits;
	struct findings *findings;
	struct resource *resource;
	struct cert_list *lists;               /* CERT_LISTS, as the kind uses them */
	struct secret *keys[CERT_LISTS_PAIRS]; /* raw private keys of an SSL object's pairs; NULL: not given; owned */
	size_t pairs_len;                      /* pairs that the document names */
	char pointer[256];                     /* of the value under work */
	size_t pointer_len;
	int code; /* first failure of our own */
	struct error *err;
};

struct field_output {
	const struct resource_state *state;
	const struct resource_limits *limits; /* NULL: the user's fields alone */
	const ProtobufCMessage *body;
	struct cert_list *lists; /* CERT_LISTS, loaded from body; empty without limits */
	bool is_loaded;          /* they are already */
	bool failed;             /* out of memory, or bytes that JSON can't hold */
};

enum {
	FIELD_REQUIRED = 1,
	FIELD_SERVER = 2, /* the server's: ignored when read, absent from the user's fields */
	FIELD_LONE = 4,   /* of a list: one entry may stand there without the array */
};

struct field_table;

/* What the values of an enum are called: from 0, without gaps; found in any case, answered as here. */
struct field_words {
	const char *const *texts;
	size_t len;
};

struct field {
	const char *name;
	/* value is never NULL; NULL reader: accepted and ignored. */
	void (*read)(struct field_input *in, const struct field *field, json_t *value, void *target);
	/* New reference, or NULL: absent. NULL writer: write-only. */
	json_t *(*write)(struct field_output *out, const struct field *field, const void *source);
	unsigned flags;
	size_t offset, has; /* of the member in target, and of its presence flag */
	int64_t min, max;
	enum kind kind;                  /* of a reference */
	const struct field_table *below; /* of an object */
	const struct field_words *words; /* of an enum */
	const char *advice;              /* of a field that is refused: what to do instead */
};

struct field_table {
	const struct field *rows;
	size_t len;
};

#define FIELD_TABLE(array)                                                                                             \
	{                                                                                                                  \
		(array), ARRAY_LEN(array)                                                                                      \
	}

/* A member of a message, by its offset. */
static inline void *field_member(void *target, size_t offset)
{
	return (char *)target + offset;
}

static inline const void *field_member_const(const void *source, size_t offset)
{
	return (const char *)source + offset;
}

/* Reads the fields of one table, in the order of its rows, whatever the order of the document. */
void fields_read(struct field_input *in, const struct field_table *table, json_t *document, void *target);
/* Names what is in none of the tables (a NULL ends them). */
void fields_find_unknown(struct field_input *in, const struct field_table *const *tables, json_t *document);
/* Writes the fields of one table into object; the server's only when out->limits is given. */
void fields_write(struct field_output *out, const struct field_table *table, const void *source, json_t *object);

/* What readers are made of --------------------------------------------------------------------------------------- */

void field_fail(struct field_input *in, int code); /* err is filled already */
void field_error(struct field_input *in, const char *code, const char *format, ...) PRINTF_LIKE(3, 4);

/* The pointer goes one step down; returns what field_leave wants. */
size_t field_enter(struct field_input *in, const char *name);
size_t field_enter_index(struct field_input *in, size_t index);
void field_leave(struct field_input *in, size_t mark);

void *field_alloc(struct field_input *in, size_t count,
                  size_t size); /* zeroed; NULL when it failed, or nothing was asked */
char *field_copy(struct field_input *in, const char *text);

/* These add a finding when the value is of another type or out of range. */
const char *field_text(struct field_input *in, json_t *value); /* borrowed from value; NULL: no string */
bool field_integer(struct field_input *in, json_t *value, int64_t min, int64_t max, int64_t *ret);
bool field_is_array(struct field_input *in, json_t *value, size_t min, size_t max);
bool field_is_object(struct field_input *in, json_t *value);

/* Input as it may be shown: printable ASCII, short. */
const char *field_quote(const char *text, char quoted[QUOTE_MAX]);

/* What writers are made of: each turns a NULL from Jansson into out->failed.
 * ------------------------------------------- */

json_t *output_json(struct field_output *out, json_t *made);
json_t *output_text(struct field_output *out, const char *text); /* NULL text: absent */
void output_set(struct field_output *out, json_t *object, const char *name,
                json_t *value); /* takes value; NULL: absent */
void output_append(struct field_output *out, json_t *array, json_t *value);
json_t *output_time(struct field_output *out, int64_t unix_seconds); /* RFC 3339 */

/* Rows that several kinds have ---------------------------------------------------------------------------------------
 */

void field_read_text(struct field_input *in, const struct field *field, json_t *value, void *target); /* max bytes */
json_t *field_write_text(struct field_output *out, const struct field *field, const void *source);
void field_read_bool(struct field_input *in, const struct field *field, json_t *value, void *target);
json_t *field_write_bool(struct field_output *out, const struct field *field, const void *source);
void field_read_u32(struct field_input *in, const struct field *field, json_t *value, void *target);
json_t *field_write_u32(struct field_output *out, const struct field *field, const void *source);
void field_read_i32(struct field_input *in, const struct field *field, json_t *value, void *target);
json_t *field_write_i32(struct field_output *out, const struct field *field, const void *source);
void field_read_word(struct field_input *in, const struct field *field, json_t *value, void *target); /* of an enum */
json_t *field_write_word(struct field_output *out, const struct field *field, const void *source);
void field_read_refused(struct field_input *in, const struct field *field, json_t *value, void *target); /* by advice */
void field_read_seconds(struct field_input *in, const struct field *field, json_t *value,
                        void *target); /* kept in ms */
json_t *field_write_seconds(struct field_output *out, const struct field *field, const void *source);
void field_read_ref(struct field_input *in, const struct field *field, json_t *value, void *target);
void field_read_object(struct field_input *in, const struct field *field, json_t *value,
                       void *target); /* by field->below */

/* A version under any of its names; 0 after a finding. */
uint16_t field_version(struct field_input *in, json_t *value);
/* PEM text of at most max certificates into list. False: a finding or a failure, and list is empty. */
bool field_read_pem(struct field_input *in, json_t *value, size_t text_max, size_t max, struct cert_list *list);
void field_copy_ders(struct field_input *in, const struct cert_list *list, size_t *ret_count,
                     ProtobufCBinaryData **ret_ders);
json_t *output_pem(struct field_output *out, const ProtobufCBinaryData *ders, size_t count);

/* Rows for what other systems call a field, or have and we don't: refused, saying what to write. */
#define FIELD_ADVICE(word, text) {(word), field_read_refused, NULL, .advice = (text)}
#define FIELD_CALLED(word, name) FIELD_ADVICE(word, "is \"" name "\" here")

#define FIELD_OPTIONAL(type, member) .offset = offsetof(type, member), .has = offsetof(type, has_##member)
#define FIELD_TEXT(type, member) .offset = offsetof(type, member)

/* The kinds
 * ------------------------------------------------------------------------------------------------------------ */

struct resource_kind {
	enum kind kind;
	const struct field_table *own;
	bool is_placed;    /* has selector and status */
	bool is_described; /* has desc */
	bool has_body;
	/* After all fields: what concerns several of them. NULL: nothing. */
	void (*finish)(struct field_input *in, json_t *document, ProtobufCMessage *body);
	/* Before writing: the certificates of body into out's lists. NULL: has none. */
	int (*load)(struct field_output *out, struct error *err);
	/* What is wrong or doubtful about the certificates in the lists. NULL: has none. */
	void (*find)(const ProtobufCMessage *body, const struct cert_list *lists, const struct resource_limits *limits,
	             struct findings *findings);
};

extern const struct resource_kind resource_ssl, resource_tls_options, resource_listener, resource_upstream,
	resource_ca_bundle, resource_route, resource_upstream_tls, resource_agent, resource_join_token;
extern const struct field_table field_table_client_auth; /* of Tlsplane__ClientAuth */

/* resource_parse for a preset: its id is reserved to it. */
int resource_parse_builtin(const char *id, json_t *document, struct resource **ret, struct error *err) MUST_USE;

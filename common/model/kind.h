/* SPDX-License-Identifier: Apache-2.0 */
/* The kinds of objects, in one table: numbers are those of channel.proto (Kind) and of the store, never reused. */
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>

enum kind {
	KIND_SSL = 1,
	KIND_TLS_OPTIONS = 2,
	KIND_LISTENER = 3,
	KIND_UPSTREAM = 4,
	KIND_CA_BUNDLE = 5,
	KIND_ROUTE = 6,
	KIND_UPSTREAM_TLS = 7,
	KIND_AGENT = 64,
	KIND_JOIN_TOKEN = 65,
};

struct kind_info {
	enum kind kind;
	const char *collection; /* path segment and word in `apply`: "ssls" */
	const char *noun;       /* for texts: "SSL object" */
	bool travels;           /* reaches agents; has a selector */
	bool has_secret;
	const ProtobufCMessageDescriptor *body;
};

extern const struct kind_info kind_table[];
extern const size_t kind_table_len;

const struct kind_info *kind_find(unsigned number);              /* NULL: unknown */
const struct kind_info *kind_find_collection(const char *word);  /* NULL: unknown */

#define ID_MAX 64 /* [a-zA-Z0-9_][a-zA-Z0-9._-]{0,63} */
bool kind_is_id(const char *id, size_t len);

/* SPDX-License-Identifier: Apache-2.0 */
/* Inside common/model: certificates as the JSON edge needs them: loaded from PEM or from a body, judged, shown. */
#pragma once

#include "base/macros.h"
#include "channel.pb-c.h"
#include "crypto/cert.h"
#include "model/findings.h"
#include "model/resource.h"

#include <jansson.h>
#include <stdbool.h>

/* Lists that one object may need: an SSL object's pairs. Its client CAs, like a bundle, take the last. */
enum { CERT_LISTS_PAIRS = 3, CERT_LIST_CAS = CERT_LISTS_PAIRS, CERT_LISTS };

struct cert_item {
	X509 *cert; /* owned reference */
	struct cert_info info;
};

struct cert_list {
	struct cert_item *items; /* owned */
	size_t len;
};

#define CERT_LIST_NULL ((struct cert_list){NULL, 0})

void cert_list_deinit(struct cert_list *list);

/* At most max certificates. E_SYNTAX, E_INVALID, E_TOO_LARGE name the certificate by number; the list is empty then. */
int cert_list_load_pem(struct cert_list *list, const char *pem, size_t len, size_t max, struct error *err) MUST_USE;
int cert_list_load_ders(struct cert_list *list, const ProtobufCBinaryData *ders, size_t count,
                        struct error *err) MUST_USE;
/* DER copies, malloc'd, one per item. */
int cert_list_copy_ders(const struct cert_list *list, ProtobufCBinaryData **ret, struct error *err) MUST_USE;

/* Is the key of a kind and size that may be used? Adds the findings when not. Cheap; ask before any arithmetic with it.
 * rsa_bits_max 0: no limit but OpenSSL's own. */
bool cert_find_key(const struct cert_info *info, uint32_t rsa_bits_max, const char *pointer, struct findings *findings);
enum cert_use { CERT_USE_SERVER, CERT_USE_CLIENT };
/* A chain that is to be shown to peers: leaf first. */
void cert_list_find_chain(const struct cert_list *list, const char *pointer, enum cert_use use,
                          const struct resource_limits *limits, struct findings *findings);
/* Trust anchors: each a CA. */
void cert_list_find_cas(const struct cert_list *list, const char *pointer, const struct resource_limits *limits,
                        struct findings *findings);
/* Which of the object's names does the certificate not cover? */
void cert_list_find_names(const struct cert_list *list, const char *pointer, const Tlsplane__Ssl *ssl,
                          struct findings *findings);

/* The x509 block; chain_length 0: none is shown. NULL: out of memory. */
json_t *cert_item_render(const struct cert_item *item, size_t chain_length);

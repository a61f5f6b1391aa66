/* SPDX-License-Identifier: Apache-2.0 */
/* Inside common/model: the parts of the body rules that stand in files of their own, and what they are made of. */
#pragma once

#include "channel.pb-c.h"
#include "model/findings.h"

#include <stdbool.h>
#include <stdint.h>

#define BODY_ERROR(findings, code, pointer, ...) findings_add((findings), FINDING_ERROR, (code), (pointer), __VA_ARGS__)

void body_find_count(struct findings *findings, const char *pointer, size_t count, size_t min, size_t max);
void body_find_number(struct findings *findings, const char *pointer, uint32_t value, uint32_t min, uint32_t max);
void body_find_size(struct findings *findings, const char *pointer, const ProtobufCBinaryData *data, size_t size);
void body_find_id(struct findings *findings, const char *pointer, const char *id); /* NULL: not given */
void body_find_ders(struct findings *findings, const char *pointer, const ProtobufCBinaryData *ders, size_t count);
/* Address ranges in their one form (cidr.h), at most CIDR_LIST_MAX. */
void body_find_ranges(struct findings *findings, const char *pointer, Tlsplane__IpRange *const *ranges, size_t count);

/* What a TLS endpoint may negotiate, borrowed from a body. */
struct body_crypto {
	uint32_t min_version_unset; /* what it is when nobody sets it, for texts; the other is TLSv1.3 */
	uint32_t min_version, max_version; /* 0: missing */
	const uint32_t *cipher_suites, *curve_preferences;
	size_t n_cipher_suites, n_curve_preferences;
	char *const *alpn_protocols;
	size_t n_alpn_protocols;
};
void body_find_crypto(const struct body_crypto *crypto, struct findings *findings);

void body_find_tls_options(const ProtobufCMessage *body, struct findings *findings);
void body_find_listener(const ProtobufCMessage *body, struct findings *findings);
void body_find_route(const ProtobufCMessage *body, struct findings *findings);
void body_find_upstream(const ProtobufCMessage *body, struct findings *findings);
void body_find_upstream_tls(const ProtobufCMessage *body, struct findings *findings);
/* pointer: where the block stands, "/client" or "/client_auth"; absent: the mode when it names none; elsewhere: a mode and anchors
 * may come from somewhere else as well. */
void body_find_client_auth(const Tlsplane__ClientAuth *client, const char *pointer, Tlsplane__ClientVerify absent,
                           bool elsewhere, struct findings *findings);

/* SPDX-License-Identifier: Apache-2.0 */
/* Decoding of bodies and of the channel's messages: unpack, then walk every level against the descriptors, since protobuf-c
 * lets unknown fields and enum values pass. Pure. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"
#include "model/findings.h"

#include <protobuf-c/protobuf-c.h>

/* A decoded message, freed with body_free. E_SYNTAX: not a message of this type, a required field missing, or not in canonical form
 * (a single field twice, a string with an embedded NUL, which protobuf-c would cut short in silence); E_INVALID: an unknown
 * field below 1000 or an unknown enum value (the text names the path). *ret is cast by the caller to the generated type. */
int body_decode(const ProtobufCMessageDescriptor *type, struct bytes encoded, ProtobufCMessage **ret, struct error *err) MUST_USE;
void body_free(ProtobufCMessage *message); /* NULL allowed; for messages without secrets */
void body_free_secret(ProtobufCMessage *message); /* wipes every bytes field first */
DEFINE_CLEANUP(ProtobufCMessage, body_free);
DEFINE_CLEANUP(ProtobufCMessage, body_free_secret);

/* Encodes into out (appends). Deterministic: the same message gives the same bytes. */
int body_encode(const ProtobufCMessage *message, struct buf *out, struct error *err) MUST_USE;

/* Checks that a decoded body of a kind can be represented by this build: suites and groups it has, sane ranges, required parts
 * present. The agent's NACK and the API's last line share it. E_INVALID; pointer (256 bytes) names the field. */
int body_check(unsigned kind, const ProtobufCMessage *body, char pointer[256], struct error *err) MUST_USE;

/* The same, all at once: errors and the warnings that follow from the body alone. resource_parse uses it. */
void body_find(unsigned kind, const ProtobufCMessage *body, struct findings *findings);

/* Where the certificate of an SSL object's pair stands in the document: "/cert", "/certs/0", "/certs/1"... */
void body_pair_pointer(size_t index, char pointer[32]);

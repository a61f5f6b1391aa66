/* SPDX-License-Identifier: Apache-2.0 */
/* Session ticket keys in the store: one set per selector, outside revisions and history, each key only as long as it is good. What the
 * states of a key mean stands in channel.proto. A key rests sealed under the keyring with AAD "tlsplane/ticket/v1" 0x00 | lv selector |
 * name. Written by store_write.h. */
#pragma once

#include "store/store.h"

#define STORE_TICKET_NAME_LEN 16
#define STORE_TICKET_SECRET_LEN 64

/* Holds a secret: wipe it with secret_wipe. */
struct store_ticket_key {
	uint64_t number; /* age within its set, rising from 1 */
	uint8_t name[STORE_TICKET_NAME_LEN];
	uint8_t secret[STORE_TICKET_SECRET_LEN];
	uint64_t made; /* unix seconds, as are these: */
	uint64_t encrypt_from; /* 0: not promoted yet */
	uint64_t encrypt_until, decrypt_until;
	bool lost; /* somebody may know it who no longer holds the selector */
};

/* Every key, by selector, then number; key is wiped after the call. One whose seal can't be opened comes as lost, with zeros. */
int store_each_ticket_key(struct store_reader *reader,
                          int (*fn)(const char *selector, const struct store_ticket_key *key, void *context), void *context,
                          struct error *err) MUST_USE;
/* Those marked as lost. */
int store_each_lost_ticket_key(struct store_reader *reader, int (*fn)(const char *selector, uint64_t number, void *context),
                               void *context, struct error *err) MUST_USE;
/* Bodies of the SSL objects that holders of the selector hold now. */
int store_each_ssl_body(struct store_reader *reader, const char *selector, int (*fn)(struct bytes body, void *context), void *context,
                        struct error *err) MUST_USE;

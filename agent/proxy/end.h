/* SPDX-License-Identifier: Apache-2.0 */
/* One end of a connection: a non-blocking socket, edge-triggered, and what is known about its readiness. OpenSSL reads
 * and writes through the same functions (a BIO), so that a call which can only fail with EAGAIN is not made at all. */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "proxy/watch.h"

#include <openssl/bio.h>
#include <openssl/types.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct end {
	struct watch watch;
	int fd; /* owned; -1: none */
	bool readable, writable;
	bool ended;  /* the peer has sent its FIN: reads go on until they return 0 */
	bool failed; /* reset, or refused: nothing more comes or goes */
	bool watches_out;
	bool more;   /* another write follows at once: the kernel may hold this one back and send both in one segment */
	const uint8_t *ahead; /* borrowed: read off the socket already, OpenSSL gets it first */
	size_t ahead_len;
	/* Sees what OpenSSL reads off the socket, before OpenSSL does; false: reading fails. NULL: nobody looks. */
	bool (*tap)(struct end *end, const uint8_t *data, size_t len);
	unsigned reads_left; /* of this turn: a peer that sends faster than we work must not keep the worker, nor OpenSSL
	                        inside one read */
};

/* Takes note of what epoll reported. */
void end_note(struct end *end, uint32_t events);
void end_close(struct end *end);
void end_reset(struct end *end); /* closes so that the peer gets a RST: what it has seen is not the whole */

void end_begin_turn(struct end *end);
bool end_has_more(const struct end *end); /* the turn's reads are used up, and more may be there */

/* As read(2) and write(2); -1 with EAGAIN when it would block or the turn is over. */
ssize_t end_read(struct end *end, void *data, size_t len);
ssize_t end_write(struct end *end, const void *data, size_t len);
/* As end_read, but the bytes stay; end->readable stays as well: the caller clears it when it needs more than there is. */
ssize_t end_peek(struct end *end, void *data, size_t len);

/* One per process; freed with BIO_meth_free after the last BIO. */
int end_make_bio_method(BIO_METHOD **ret, struct error *err) MUST_USE;
/* Puts a BIO over end on ssl; end must outlive ssl. */
int end_put_on(struct end *end, const BIO_METHOD *method, SSL *ssl) MUST_USE;

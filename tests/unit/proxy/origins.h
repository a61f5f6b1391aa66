/* SPDX-License-Identifier: Apache-2.0 */
/* Upstreams and routes beyond the plain ones of plane.h: TLS with nodes, PROXY headers, passthrough. Whatever fails ends the test. */
#pragma once

#include "plane.h"

/* An upstream to ports of 127.0.0.1; change may be NULL. */
void plane_put_upstream(struct plane *plane, const char *id, const uint16_t *ports, size_t count,
                        void (*change)(Tlsplane__Upstream *upstream));
/* Trusts ca (NULL: system CAs). */
void plane_put_upstream_tls(struct plane *plane, const char *id, const struct pki_cert *ca,
                            void (*change)(Tlsplane__UpstreamTls *tls));
void plane_put_route(struct plane *plane, const char *id, const char *sni, Tlsplane__RouteMode mode, const char *upstream);
void plane_put_listener(struct plane *plane, void (*change)(Tlsplane__Listener *listener)); /* "l" to "u" again */

/* A TLS server on a connection of the backend. False: the handshake failed. */
bool origin_accept(struct peer *peer, int fd, const struct pki_cert *cert);
/* One that demands a certificate of us. */
bool origin_accept_demanding(struct peer *peer, int fd, const struct pki_cert *cert);
/* Reads a PROXY header of version 2 off fd; its length. */
size_t origin_read_header(int fd, uint8_t *header, size_t size);

/* SPDX-License-Identifier: Apache-2.0 */
/* Crypto profile: versions, suites, groups, ALPN = one SSL_CTX, shared by all TLS options objects that ask for the
 * same, by digest. Finished before it is published, never changed after. It holds no certificate and no client trust.
 *
 * SSL_set_SSL_CTX carries suites, TLS 1.3 suites, the ALPN callback and the security level; it does NOT carry
 * versions, groups, SSL_OP_* options, ticket count, verify mode or X509_VERIFY_PARAM. profile_put_on sets all of
 * those on the SSL (measured on OpenSSL 3.0). */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "channel.pb-c.h"
#include "model/object.h"

#include <openssl/types.h>
#include <stdint.h>

struct profile; /* atomic count; any thread may ref and unref */

/* E_INVALID: this OpenSSL can't build it (text says what). */
int profile_new(const Tlsplane__TlsOptions *options, struct profile **ret, struct error *err) MUST_USE;
struct profile *profile_ref(struct profile *profile);
struct profile *profile_unref(struct profile *profile); /* NULL allowed; returns NULL */
DEFINE_CLEANUP(struct profile, profile_unref);

/* Of what decides the profile, and nothing else: equal digests mean equal behaviour. */
const struct digest *profile_digest(const struct profile *profile);
int profile_compute_digest(const Tlsplane__TlsOptions *options, struct digest *ret, struct error *err) MUST_USE;

/* Inside the ClientHello callback: makes ssl behave as this profile, its versions narrowed to [min, max] (0: as they
 * are). E_INVALID: nothing left of the range. */
int profile_put_on(const struct profile *profile, SSL *ssl, uint16_t min, uint16_t max, struct error *err) MUST_USE;

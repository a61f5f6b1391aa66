/* SPDX-License-Identifier: Apache-2.0 */
/* Verified chains that are known by their facts alone (a resumed session has no certificates but the leaf), judged by what may have
 * changed since: time, deny lists, CRLs. Anchors, depth, allow rules and pins are in the trust's digest, so equal for whoever resumes. */
#include "crypto/crypto.h"
#include "tls/facts.h"
#include "tls/trust_impl.h"

#include <openssl/asn1.h>
#include <openssl/x509_vfy.h>
#include <string.h>
#include <time.h>

DEFINE_CLEANUP(ASN1_INTEGER, ASN1_INTEGER_free);

static bool bytes_fit(const ProtobufCBinaryData *a, const uint8_t *b, size_t b_len)
{
	return a->len == b_len && (b_len == 0 || memcmp(a->data, b, b_len) == 0);
}

static bool list_has(const ProtobufCBinaryData *list, size_t count, struct bytes value)
{
	for (size_t i = 0; i < count; i++)
		if (bytes_fit(&list[i], value.data, value.len))
			return true;
	return false;
}

bool trust_denies(const struct trust *trust, struct bytes serial, const uint8_t spki[32])
{
	for (size_t i = 0; i < trust->parts_len; i++) {
		const Tlsplane__ClientAuth *part = trust->parts[i];

		if (list_has(part->deny_serials, part->n_deny_serials, serial) ||
		    list_has(part->deny_spkis, part->n_deny_spkis, BYTES(spki, 32)))
			return true;
	}
	return false;
}

bool trust_fits_pins(const struct trust *trust, const uint8_t spki[32])
{
	for (size_t i = 0; i < trust->parts_len; i++)
		if (trust->parts[i]->n_pins > 0 && !list_has(trust->parts[i]->pins, trust->parts[i]->n_pins, BYTES(spki, 32)))
			return false;
	return true;
}

/* As X509_verify_cert has it: without a next update it stays fresh. */
static bool is_fresh(const X509_CRL *crl)
{
	const ASN1_TIME *next = X509_CRL_get0_nextUpdate(crl);

	return X509_cmp_current_time(X509_CRL_get0_lastUpdate(crl)) < 0 && (next == NULL || X509_cmp_current_time(next) > 0);
}

/* Every CRL of the issuer is asked, whatever its scope: one too many costs a full handshake. And each certificate needs one, as when the
 * chain was verified. */
static int judge_revocation(const struct trust *trust, const struct facts_cert *cert, enum seat_cause *ret_cause, struct error *err)
{
	CLEANUP(ASN1_INTEGER_free) ASN1_INTEGER *serial = ASN1_INTEGER_new();
	bool covered = false;

	if (serial == NULL || ASN1_STRING_set(serial, cert->serial, cert->serial_len) != 1)
		return error_nomem(err);
	for (size_t i = 0; i < trust->crls_len; i++) {
		const struct trust_crl *held = trust->crls[i];
		X509_REVOKED *entry;

		if (memcmp(held->issuer_sha256, cert->issuer_sha256, sizeof(cert->issuer_sha256)) != 0)
			continue;
		if (X509_CRL_get0_by_serial(held->crl, &entry, serial) == 1) {
			*ret_cause = SEAT_CAUSE_REVOKED;
			return error_set(err, E_FORBIDDEN, "client certificate: revoked");
		}
		covered = covered || trust->allow_stale_crls || is_fresh(held->crl);
	}
	if (covered)
		return 0;
	*ret_cause = SEAT_CAUSE_UNVERIFIED;
	return error_set(err, E_FORBIDDEN, "client certificate: no current CRL of its issuer");
}

int trust_judge_facts(const struct trust *trust, const struct facts *facts, enum seat_cause *ret_cause, struct error *err)
{
	if (facts->not_after <= (uint64_t)time(NULL)) {
		*ret_cause = SEAT_CAUSE_UNVERIFIED;
		return error_set(err, E_FORBIDDEN, "client certificate: it or its issuer has expired");
	}
	for (size_t i = 0; i < facts->chain_len; i++) {
		const struct facts_cert *cert = &facts->chain[i];

		if (trust_denies(trust, BYTES(cert->serial, cert->serial_len), cert->spki_sha256)) {
			*ret_cause = SEAT_CAUSE_DENIED;
			return error_set(err, E_FORBIDDEN, "client certificate: it or its issuer is on a deny list");
		}
		if (trust->crls_len > 0) {
			int r = judge_revocation(trust, cert, ret_cause, err);

			if (r < 0)
				return r;
		}
	}
	return 0;
}

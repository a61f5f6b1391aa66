/* SPDX-License-Identifier: Apache-2.0 */
/* A bounded map from the SHA-256 of the DER to the parsed certificate. Parsing happens outside the lock; when two
 * threads parse the same one at once, the first to finish is kept. What is pushed out lives on in the sites that hold
 * it; certificates are no secret, and one that no site carries any more is pushed out in its time. */
#include "tls/intermediates.h"

#include "base/memory.h"
#include "crypto/cert.h"
#include "crypto/crypto.h"
#include "tls/lru.h"

#include <openssl/x509.h>
#include <stdlib.h>

#define ENTRIES_MAX 1024

struct intermediates {
	struct lru certs;
};

static void lru_cert_ref(void *value)
{
	X509_up_ref(value);
}

static void lru_cert_unref(void *value)
{
	X509_free(value);
}

static const struct lru_ops cert_ops = {lru_cert_ref, lru_cert_unref, NULL};

int intermediates_new(struct intermediates **ret, struct error *err)
{
	CLEANUP(intermediates_free) struct intermediates *shared = calloc(1, sizeof(*shared));

	if (shared == NULL || lru_init(&shared->certs, ENTRIES_MAX, &cert_ops) < 0)
		return error_nomem(err);
	*ret = TAKE_PTR(shared);
	return 0;
}

struct intermediates *intermediates_free(struct intermediates *shared)
{
	if (shared != NULL)
		lru_deinit(&shared->certs);
	free(shared);
	return NULL;
}

/* What was read without memory may lack its key: it would be kept for all. */
static int parse(struct bytes der, X509 **ret, struct error *err)
{
	CLEANUP(X509_free) X509 *cert = NULL;
	uint64_t failures = memory_failures();
	int r = memory_judge(failures, cert_parse(der, &cert, err), err);

	if (r == 0)
		*ret = TAKE_PTR(cert);
	return r;
}

int intermediates_take(struct intermediates *shared, struct bytes der, X509 **ret, struct error *err)
{
	struct digest key;
	uint64_t drops;
	X509 *cert;
	int r;

	if (shared == NULL)
		return parse(der, ret, err);
	r = crypto_sha256(der, key.bytes, err);
	if (r < 0)
		return r;
	cert = lru_find(&shared->certs, &key, &drops);
	if (cert == NULL) {
		r = parse(der, &cert, err);
		if (r < 0)
			return r;
		lru_put(&shared->certs, &key, cert, drops);
	}
	*ret = cert;
	return 0;
}

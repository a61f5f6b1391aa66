/* SPDX-License-Identifier: Apache-2.0 */
/* By what an origin's chain is verified: the object's own CAs, the machine's, or both. The machine's may be missing, come later and change;
 * a store is never changed then but another takes its place, which a handshake takes as it begins:
 *
 *     broken --the file is there--> whole --the file is another--> whole
 *
 * What has been read stays when the file goes away or is spoilt: what served serves on. */
#include "base/memory.h"
#include "crypto/crypto.h"
#include "tls/anchors.h"
#include "tls/origin_impl.h"

#include <openssl/x509_vfy.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

DEFINE_CLEANUP(X509_STORE, X509_STORE_free);

int origin_anchors_init(struct origin_anchors *anchors, bool wants_system, const char *system_ca_file, struct error *err)
{
	pthread_mutex_init(&anchors->lock, NULL);
	anchors->wants_system = wants_system;
	if (system_ca_file != NULL && (anchors->system_ca_file = strdup(system_ca_file)) == NULL)
		return error_nomem(err);
	anchors->own = X509_STORE_new();
	return anchors->own != NULL ? 0 : crypto_error(err, "make a store of CAs");
}

void origin_anchors_deinit(struct origin_anchors *anchors)
{
	X509_STORE_free(anchors->now);
	X509_STORE_free(anchors->own);
	free(anchors->system_ca_file);
	pthread_mutex_destroy(&anchors->lock);
}

static int copy_own(X509_STORE *own, X509_STORE *to, struct error *err)
{
	const STACK_OF(X509_OBJECT) *objects = X509_STORE_get0_objects(own);

	for (int i = 0; i < sk_X509_OBJECT_num(objects); i++) {
		const X509_OBJECT *object = sk_X509_OBJECT_value(objects, i);
		bool is_cert = X509_OBJECT_get_type(object) == X509_LU_X509;

		if ((is_cert ? X509_STORE_add_cert(to, X509_OBJECT_get0_X509(object))
		             : X509_STORE_add_crl(to, X509_OBJECT_get0_X509_CRL((X509_OBJECT *)object))) != 1)
			return crypto_error(err, "copy a store of CAs");
	}
	return 0;
}

/* Steals store. */
static void put(struct origin_anchors *anchors, X509_STORE *store)
{
	X509_STORE *before;
	time_t now = time(NULL);

	pthread_mutex_lock(&anchors->lock);
	before = anchors->now;
	anchors->now = store;
	if (before != NULL && now > 0)
		anchors->since = (uint64_t)now;
	pthread_mutex_unlock(&anchors->lock);
	X509_STORE_free(before);
}

static int read_system(struct origin_anchors *anchors, struct error *err)
{
	CLEANUP(X509_STORE_free) X509_STORE *store = NULL;
	uint64_t stamp, failures = memory_failures();
	int r = anchors_look_at_system(anchors->system_ca_file, &stamp, err);

	if (r < 0 || stamp == anchors->stamp)
		return r;
	store = X509_STORE_new();
	if (store == NULL)
		return crypto_error(err, "make a store of CAs");
	r = copy_own(anchors->own, store, err);
	if (r == 0)
		r = anchors_add_system(store, anchors->system_ca_file, &stamp, err);
	r = memory_judge(failures, r, err);
	if (r < 0)
		return r;
	anchors->stamp = stamp;
	put(anchors, TAKE_PTR(store));
	return 0;
}

int origin_anchors_refresh(struct origin_anchors *anchors, struct error *err)
{
	struct error why = ERROR_NULL;
	int r;

	if (!anchors->wants_system) {
		if (anchors->now == NULL && X509_STORE_up_ref(anchors->own) == 1)
			put(anchors, anchors->own);
		return anchors->now != NULL ? 0 : crypto_error(err, "share a store of CAs");
	}
	r = read_system(anchors, &why);
	if (r == 0 || anchors->now != NULL)
		return 0;
	pthread_mutex_lock(&anchors->lock);
	anchors->problem = why;
	pthread_mutex_unlock(&anchors->lock);
	return error_set(err, r, "%s", why.text);
}

int origin_anchors_take(struct origin_anchors *anchors, X509_STORE **ret, uint64_t *ret_since, struct error *err)
{
	int r = 0;

	pthread_mutex_lock(&anchors->lock);
	if (anchors->now == NULL)
		r = error_set(err, E_UNAVAILABLE, "%s", anchors->problem.text);
	else if (ret != NULL && X509_STORE_up_ref(anchors->now) != 1)
		r = error_nomem(err);
	else if (ret != NULL)
		*ret = anchors->now;
	if (ret_since != NULL)
		*ret_since = anchors->since;
	pthread_mutex_unlock(&anchors->lock);
	return r;
}

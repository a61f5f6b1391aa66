/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/anchors.h"

#include "base/memory.h"
#include "crypto/cert.h"
#include "crypto/crypto.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define SYSTEM_FILE "/etc/ssl/certs/ca-certificates.crt"

typedef STACK_OF(X509) X509_LIST;

static void *list_free(X509_LIST *list)
{
	sk_X509_pop_free(list, X509_free);
	return NULL;
}
DEFINE_CLEANUP(X509_LIST, list_free);
DEFINE_CLEANUP(X509_CRL, X509_CRL_free);
DEFINE_CLEANUP(FILE, fclose);

/* Which state of which file the list was read from. */
struct source {
	char path[256];
	dev_t device;
	ino_t inode;
	off_t size;
	struct timespec changed;
};

static pthread_mutex_t system_lock = PTHREAD_MUTEX_INITIALIZER;
static X509_LIST *system_list; /* under the lock, as is its source; a list is never changed, only replaced */
static struct source system_source;
static uint64_t system_stamp; /* counts the lists */

int anchors_add_cert(X509_STORE *store, const ProtobufCBinaryData *der, X509 **ret, struct error *err)
{
	CLEANUP(X509_free) X509 *cert = NULL;
	int r = cert_parse(BYTES(der->data, der->len), &cert, err);

	if (r < 0)
		return r;
	if (X509_STORE_add_cert(store, cert) != 1)
		return crypto_error(err, "add a trust anchor");
	if (ret != NULL)
		*ret = TAKE_PTR(cert);
	return 0;
}

int anchors_parse_crl(const ProtobufCBinaryData *der, X509_CRL **ret, struct error *err)
{
	CLEANUP(X509_CRL_free) X509_CRL *crl = NULL;
	const unsigned char *at = der->data;

	if (at != NULL && der->len <= INT_MAX)
		crl = d2i_X509_CRL(NULL, &at, (long)der->len);
	if (crl == NULL || at != der->data + der->len) {
		int r = crypto_error(err, "not a CRL");

		return r == E_NOMEM ? r : error_set(err, E_SYNTAX, "not a CRL");
	}
	sk_X509_REVOKED_sort(X509_CRL_get_REVOKED(crl)); /* else the first look-up does it, when threads share it already */
	*ret = TAKE_PTR(crl);
	return 0;
}

int anchors_add_crl(X509_STORE *store, const ProtobufCBinaryData *der, struct error *err)
{
	CLEANUP(X509_CRL_free) X509_CRL *crl = NULL;
	int r = anchors_parse_crl(der, &crl, err);

	if (r == 0 && X509_STORE_add_crl(store, crl) != 1)
		r = crypto_error(err, "add a CRL");
	return r;
}

static bool source_is_equal(const struct source *a, const struct source *b)
{
	return strcmp(a->path, b->path) == 0 && a->device == b->device && a->inode == b->inode && a->size == b->size &&
	       a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec;
}

static int source_read(const char *path, struct source *ret, struct error *err)
{
	struct stat status;

	*ret = (struct source){.path = ""};
	if (strlen(path) >= sizeof(ret->path))
		return error_set(err, E_UNAVAILABLE, "system CAs: path too long");
	if (stat(path, &status) < 0)
		return error_set(err, E_UNAVAILABLE, "system CAs: %s: %s", path, strerror(errno));
	snprintf(ret->path, sizeof(ret->path), "%s", path);
	ret->device = status.st_dev;
	ret->inode = status.st_ino;
	ret->size = status.st_size;
	ret->changed = status.st_mtim;
	return 0;
}

static int list_load(const char *path, X509_LIST **ret, struct error *err)
{
	CLEANUP(list_free) X509_LIST *list = sk_X509_new_null();
	CLEANUP(fclose) FILE *file = fopen(path, "re");
	X509 *cert;

	if (list == NULL)
		return error_nomem(err);
	if (file == NULL)
		return error_set(err, E_UNAVAILABLE, "system CAs: %s: %s", path, strerror(errno));
	while ((cert = PEM_read_X509(file, NULL, NULL, NULL)) != NULL) {
		X509_check_purpose(cert, -1, 0);
		if (sk_X509_push(list, cert) == 0) {
			X509_free(cert);
			return error_nomem(err);
		}
	}
	if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE) {
		ERR_clear_error();
		return error_set(err, E_UNAVAILABLE, "system CAs: %s: certificate %d does not parse", path, sk_X509_num(list));
	}
	ERR_clear_error();
	if (sk_X509_num(list) == 0)
		return error_set(err, E_UNAVAILABLE, "system CAs: no certificate in %s", path);
	*ret = TAKE_PTR(list);
	return 0;
}

/* The list of today, under the lock. */
static int system_refresh(const char *path, struct error *err)
{
	struct source source;
	X509_LIST *list = NULL;
	uint64_t failures = memory_failures();
	int r = source_read(path, &source, err);

	if (r < 0 || (system_list != NULL && source_is_equal(&source, &system_source)))
		return r;
	r = memory_judge(failures, list_load(path, &list, err), err);
	if (r < 0) {
		list_free(list);
		return r;
	}
	list_free(system_list);
	system_list = list;
	system_source = source;
	system_stamp++;
	return 0;
}

int anchors_look_at_system(const char *file, uint64_t *ret_stamp, struct error *err)
{
	int r;

	pthread_mutex_lock(&system_lock);
	r = system_refresh(file != NULL ? file : SYSTEM_FILE, err);
	*ret_stamp = system_stamp;
	pthread_mutex_unlock(&system_lock);
	return r;
}

int anchors_add_system(X509_STORE *store, const char *file, uint64_t *ret_stamp, struct error *err)
{
	int r;

	pthread_mutex_lock(&system_lock);
	r = system_refresh(file != NULL ? file : SYSTEM_FILE, err);
	for (int i = 0; r == 0 && i < sk_X509_num(system_list); i++)
		if (X509_STORE_add_cert(store, sk_X509_value(system_list, i)) != 1)
			r = crypto_error(err, "add a system CA");
	*ret_stamp = system_stamp;
	pthread_mutex_unlock(&system_lock);
	return r;
}

int anchors_let_stale_crls_pass(int ok, X509_STORE_CTX *ctx)
{
	if (ok == 1 || X509_STORE_CTX_get_error(ctx) != X509_V_ERR_CRL_HAS_EXPIRED)
		return ok;
	X509_STORE_CTX_set_error(ctx, X509_V_OK);
	return 1;
}

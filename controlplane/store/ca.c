/* SPDX-License-Identifier: Apache-2.0 */
/* The channel's CA in the store: made here or brought as PEM files at first start, its key sealed; the same for the
 * life of the store. */
#include "store/start.h"

#include "base/file.h"
#include "crypto/authority.h"
#include "crypto/cert.h"
#include "crypto/crypto.h"
#include "crypto/key.h"
#include "store/file.h"
#include "store/sealing.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <string.h>
#include <time.h>

static int keep_der(struct bytes der, void *context, struct error *err)
{
	struct buf *out = context;

	buf_put(out, der.data, der.len);
	return out->failed ? error_nomem(err) : 0;
}

/* The one certificate of a PEM file, as DER. */
static int read_cert_file(const char *path, struct buf *der, struct error *err)
{
	CLEANUP(buf_deinit) struct buf pem = BUF_NULL;
	int code = file_load(path, FILE_CONTENT_MAX, &pem, err);

	if (code == 0)
		code = cert_each_pem((const char *)pem.data, pem.len, 1, keep_der, der, err);
	return code != 0 ? error_prefix(err, code, "CA certificate %s", path) : 0;
}

static int read_key_file(const char *path, X509 *cert, EVP_PKEY **ret, struct error *err)
{
	CLEANUP(buf_deinit) struct buf pem = {.sensitive = true};
	CLEANUP(secret_free) struct secret *raw = NULL;
	enum cert_key_type type;
	int code = file_load(path, FILE_CONTENT_MAX, &pem, err);

	if (code == 0)
		code = key_parse_pem((const char *)pem.data, pem.len, &type, &raw, err);
	if (code == 0)
		code = key_load(type, BYTES(raw->data, raw->len), cert, ret, err);
	return code != 0 ? error_prefix(err, code, "CA key %s", path) : 0;
}

static int check_brought(X509 *cert, const char *path, struct error *err)
{
	CLEANUP(cert_info_deinit) struct cert_info info = {0};
	char domain[256];
	int code = cert_info_read(cert, &info, err);

	if (code == 0 && !info.is_ca)
		code = error_set(err, E_INVALID, "not a CA (basicConstraints CA:TRUE is missing)");
	if (code == 0)
		code = authority_trust_domain(cert, domain, err);
	return code != 0 ? error_prefix(err, code, "CA certificate %s", path) : 0;
}

static int ca_bring(const struct store_config *config, X509 **ret_cert, EVP_PKEY **ret_key, struct error *err)
{
	CLEANUP(buf_deinit) struct buf der = BUF_NULL;
	CLEANUP(X509_free) X509 *cert = NULL;
	int code;

	if (config->ca_cert == NULL || config->ca_key == NULL)
		return error_set(err, E_INVALID, "a brought CA needs both its certificate and its key");
	code = read_cert_file(config->ca_cert, &der, err);
	if (code == 0)
		code = cert_parse(BYTES(der.data, der.len), &cert, err);
	if (code == 0)
		code = check_brought(cert, config->ca_cert, err);
	if (code == 0)
		code = read_key_file(config->ca_key, cert, ret_key, err);
	if (code == 0)
		*ret_cert = TAKE_PTR(cert);
	return code;
}

/* The key is sealed for this certificate and no other. */
static int key_aad(struct bytes ca_der, struct buf *aad, struct error *err)
{
	static const char tag[] = "tlsplane/ca-key/v1";
	uint8_t sha256[SHA256_LEN];
	int code = crypto_sha256(ca_der, sha256, err);

	buf_put(aad, tag, sizeof(tag));
	buf_put(aad, sha256, sizeof(sha256));
	return code == 0 && aad->failed ? error_nomem(err) : code;
}

int ca_key_aad(struct database *database, struct buf *aad, struct error *err)
{
	CLEANUP(buf_deinit) struct buf der = BUF_NULL;
	int code = meta_get(database, "ca_cert", &der, err);

	return code == 0 ? key_aad(BYTES(der.data, der.len), aad, err) : code;
}

static int ca_put(struct store_writer *writer, struct error *err)
{
	struct store *store = writer->reader.store;
	CLEANUP(buf_deinit) struct buf der = BUF_NULL;
	CLEANUP(buf_deinit) struct buf aad = BUF_NULL;
	CLEANUP(buf_deinit) struct buf sealed = BUF_NULL;
	CLEANUP(secret_free) struct secret *key = NULL;
	int code = authority_encode_cert(store->ca, &der, err);

	if (code == 0)
		code = key_encode(store->ca_key, &key, err);
	if (code == 0)
		code = key_aad(BYTES(der.data, der.len), &aad, err);
	if (code == 0)
		code = store_seal(store, BYTES(aad.data, aad.len), BYTES(key->data, key->len), &sealed, err);
	if (code == 0)
		code = meta_put(&writer->reader.database, "ca_cert", BYTES(der.data, der.len), err);
	return code == 0 ? meta_put(&writer->reader.database, "ca_key", BYTES(sealed.data, sealed.len), err) : code;
}

int ca_create(struct store_writer *writer, const struct store_config *config, struct error *err)
{
	struct store *store = writer->reader.store;
	const char *domain = config->trust_domain != NULL ? config->trust_domain : "tlsplane";
	int code;

	if (config->ca_cert != NULL || config->ca_key != NULL)
		code = ca_bring(config, &store->ca, &store->ca_key, err);
	else
		code = authority_make_ca(domain, (int64_t)time(NULL), &store->ca, &store->ca_key, err);
	return code == 0 ? ca_put(writer, err) : code;
}

static int check_same(const struct store_config *config, struct bytes stored, struct error *err)
{
	CLEANUP(buf_deinit) struct buf der = BUF_NULL;
	int code;

	if (config->ca_cert == NULL)
		return 0;
	code = read_cert_file(config->ca_cert, &der, err);
	if (code == 0 && (der.len == 0 || der.len != stored.len || memcmp(der.data, stored.data, der.len) != 0))
		code =
			error_set(err, E_CONFLICT, "%s is another CA than this store's, which cannot be changed", config->ca_cert);
	return code;
}

int ca_load(struct store_writer *writer, const struct store_config *config, struct error *err)
{
	struct store *store = writer->reader.store;
	CLEANUP(buf_deinit) struct buf der = BUF_NULL;
	CLEANUP(buf_deinit) struct buf aad = BUF_NULL;
	CLEANUP(buf_deinit) struct buf sealed = BUF_NULL;
	CLEANUP(secret_free) struct secret *key = NULL;
	int code = meta_get(&writer->reader.database, "ca_cert", &der, err);

	if (code == 0)
		code = meta_get(&writer->reader.database, "ca_key", &sealed, err);
	if (code == 0)
		code = check_same(config, BYTES(der.data, der.len), err);
	if (code == 0)
		code = key_aad(BYTES(der.data, der.len), &aad, err);
	if (code == 0)
		code = store_unseal(store, BYTES(aad.data, aad.len), BYTES(sealed.data, sealed.len), &key, err);
	if (code == 0)
		code = cert_parse(BYTES(der.data, der.len), &store->ca, err);
	if (code == 0)
		code = key_decode(BYTES(key->data, key->len), &store->ca_key, err);
	return code != 0 ? error_prefix(err, code, "the channel's CA") : 0;
}

int ca_write_file(struct store *store, struct error *err)
{
	CLEANUP(buf_deinit) struct buf der = BUF_NULL;
	CLEANUP(buf_deinit) struct buf pem = BUF_NULL;
	int code = authority_encode_cert(store->ca, &der, err);

	if (code != 0)
		return code;
	cert_put_pem(BYTES(der.data, der.len), &pem);
	if (pem.failed)
		return error_nomem(err);
	return file_write(store->dir, "ca.pem", 0644, BYTES(pem.data, pem.len), err);
}

int store_load_ca(struct store *store, X509 **ret_cert, EVP_PKEY **ret_key, struct error *err)
{
	if (X509_up_ref(store->ca) != 1)
		return crypto_error(err, "CA certificate");
	if (EVP_PKEY_up_ref(store->ca_key) != 1) {
		X509_free(store->ca);
		return crypto_error(err, "CA key");
	}
	*ret_cert = store->ca;
	*ret_key = store->ca_key;
	return 0;
}

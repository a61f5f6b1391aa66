/* SPDX-License-Identifier: Apache-2.0 */
/* Makes many SSL objects as `apply` documents: COUNT P-256 certificates of one small CA, each with a key of its own, for
 * n0.bench.example, n1.bench.example..., valid for 30 to 394 days. Files DIR/apply-0000.json... with CHUNK objects each, and DIR/ca.pem.
 *
 *   make_objects DIR COUNT CHUNK [SELECTOR-JSON] */
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void must(int ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "make_objects: %s\n", what);
		exit(1);
	}
}

static void add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX context;
	X509_EXTENSION *extension;

	X509V3_set_ctx(&context, issuer, cert, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	must(extension != NULL && X509_add_ext(cert, extension, -1), "extension");
	X509_EXTENSION_free(extension);
}

/* OpenSSL's encoders take most of the time that an object costs; a P-256 key is always the same bytes around its own: SEC 1, C.4. */
#define PUBLIC_LEN 65
#define PRIVATE_LEN 32
static const unsigned char key_head[] = {0x30, 0x77, 0x02, 0x01, 0x01, 0x04, PRIVATE_LEN};
static const unsigned char key_middle[] = {0xa0, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d,
                                           0x03, 0x01, 0x07, 0xa1, 0x44, 0x03, 0x42, 0x00};

static void read_public_key(EVP_PKEY *key, unsigned char ret[PUBLIC_LEN])
{
	size_t len = 0;

	must(EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, ret, PUBLIC_LEN, &len) && len == PUBLIC_LEN, "public key");
}

static void set_public_key(X509 *cert, EVP_PKEY *key)
{
	unsigned char *point = OPENSSL_malloc(PUBLIC_LEN);

	read_public_key(key, point);
	must(X509_PUBKEY_set0_param(X509_get_X509_PUBKEY(cert), OBJ_nid2obj(NID_X9_62_id_ecPublicKey), V_ASN1_OBJECT,
	                            OBJ_nid2obj(NID_X9_62_prime256v1), point, PUBLIC_LEN), "public key");
}

static void write_private_key(BIO *out, EVP_PKEY *key)
{
	unsigned char der[sizeof(key_head) + PRIVATE_LEN + sizeof(key_middle) + PUBLIC_LEN], *at = der;
	BIGNUM *number = NULL;

	memcpy(at, key_head, sizeof(key_head));
	at += sizeof(key_head);
	must(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_PRIV_KEY, &number) && BN_bn2binpad(number, at, PRIVATE_LEN) > 0, "private key");
	at += PRIVATE_LEN;
	memcpy(at, key_middle, sizeof(key_middle));
	at += sizeof(key_middle);
	read_public_key(key, at);
	BN_free(number);
	must(PEM_write_bio(out, PEM_STRING_ECPRIVATEKEY, "", der, sizeof(der)) > 0, "write the key");
}

static X509 *make_cert(const char *name, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key, long serial)
{
	X509 *cert = X509_new();
	char san[300];

	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), serial);
	X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
	X509_gmtime_adj(X509_getm_notAfter(cert), 86400L * (30 + serial % 365));
	X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(cert, X509_get_subject_name(issuer != NULL ? issuer : cert));
	set_public_key(cert, key);
	if (issuer == NULL) {
		add_extension(cert, cert, NID_basic_constraints, "critical,CA:TRUE");
	} else {
		snprintf(san, sizeof(san), "DNS:%s", name);
		add_extension(cert, issuer, NID_subject_alt_name, san);
		add_extension(cert, issuer, NID_ext_key_usage, "serverAuth");
	}
	must(X509_sign(cert, issuer_key, EVP_sha256()) > 0, "sign");
	return cert;
}

/* PEM as a JSON string. */
static void put_json_pem(FILE *out, BIO *pem)
{
	char *data;
	long len = BIO_get_mem_data(pem, &data);

	fputc('"', out);
	for (long i = 0; i < len; i++) {
		if (data[i] == '\n')
			fputs("\\n", out);
		else
			fputc(data[i], out);
	}
	fputc('"', out);
	BIO_free(pem);
}

static void put_object(FILE *out, long n, X509 *ca, EVP_PKEY *ca_key, const char *selector)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	BIO *cert_pem = BIO_new(BIO_s_mem()), *key_pem = BIO_new(BIO_s_mem());
	char name[64];
	X509 *cert;

	snprintf(name, sizeof(name), "n%ld.bench.example", n);
	cert = make_cert(name, key, ca, ca_key, n + 2);
	PEM_write_bio_X509(cert_pem, cert);
	write_private_key(key_pem, key);
	fprintf(out, "{\"kind\":\"ssls\",\"id\":\"n%ld\",\"value\":{\"sni\":\"%s\",", n, name);
	if (selector != NULL)
		fprintf(out, "\"selector\":%s,", selector);
	fputs("\"cert\":", out);
	put_json_pem(out, cert_pem);
	fputs(",\"key\":", out);
	put_json_pem(out, key_pem);
	fputs("}}", out);
	X509_free(cert);
	EVP_PKEY_free(key);
}

int main(int argc, char **argv)
{
	EVP_PKEY *ca_key = EVP_EC_gen("P-256");
	X509 *ca = make_cert("bench CA", ca_key, NULL, ca_key, 1);
	long count = argc > 2 ? strtol(argv[2], NULL, 10) : 0, chunk = argc > 3 ? strtol(argv[3], NULL, 10) : 1000;
	char path[4096];
	FILE *out;

	must(argc >= 4 && count > 0 && chunk > 0, "usage: make_objects DIR COUNT CHUNK [SELECTOR-JSON]");
	snprintf(path, sizeof(path), "%s/ca.pem", argv[1]);
	out = fopen(path, "w");
	must(out != NULL && PEM_write_X509(out, ca), path);
	fclose(out);
	for (long from = 0; from < count; from += chunk) {
		snprintf(path, sizeof(path), "%s/apply-%04ld.json", argv[1], from / chunk);
		out = fopen(path, "w");
		must(out != NULL, path);
		fputs("{\"put\":[", out);
		for (long n = from; n < from + chunk && n < count; n++) {
			if (n > from)
				fputc(',', out);
			put_object(out, n, ca, ca_key, argc > 4 ? argv[4] : NULL);
		}
		fputs("]}", out);
		must(fclose(out) == 0, path);
	}
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "pki.h"
#include "sample.h"
#include "snapshot/impl.h"

#include <fcntl.h>
#include <openssl/x509.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void put(struct snapshot_builder *builder, enum kind kind, const char *id, uint64_t version, struct buf *body)
{
	struct error err = ERROR_NULL;

	ck_assert_msg(sample_put(builder, kind, id, "", version, body, &err) == 0, "%s", err.text);
}

/* A CRL due at `due` (0: says nothing), signed by nobody in particular: what verifies with it is not this layer's to
 * judge. */
static void make_crl(struct pki_cert *ca, time_t due, struct buf *der)
{
	X509_CRL *crl = X509_CRL_new();
	ASN1_TIME *at = ASN1_TIME_set(NULL, due > 0 ? due - 10 : 1);
	unsigned char *bytes = NULL;
	int len;

	ck_assert_int_eq(X509_CRL_set_version(crl, 1), 1);
	ck_assert_int_eq(X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca->cert)), 1);
	ck_assert_int_eq(X509_CRL_set1_lastUpdate(crl, at), 1);
	if (due > 0) {
		ASN1_TIME_set(at, due);
		ck_assert_int_eq(X509_CRL_set1_nextUpdate(crl, at), 1);
	}
	ck_assert_int_gt(X509_CRL_sign(crl, ca->key, EVP_sha256()), 0);
	len = i2d_X509_CRL(crl, &bytes);
	ck_assert_int_gt(len, 0);
	buf_put(der, bytes, (size_t)len);
	OPENSSL_free(bytes);
	ASN1_TIME_free(at);
	X509_CRL_free(crl);
}

static void put_bundle(struct snapshot_builder *builder, const char *id, uint64_t version, struct pki_cert *ca,
                       const time_t *due, size_t count)
{
	Tlsplane__CaBundle bundle = TLSPLANE__CA_BUNDLE__INIT;
	ProtobufCBinaryData cert, crls[4];
	struct buf der[4] = {0}, body = BUF_NULL;
	unsigned char *bytes = NULL;
	int len = i2d_X509(ca->cert, &bytes);

	cert = (ProtobufCBinaryData){(size_t)len, bytes};
	for (size_t i = 0; i < count; i++) {
		make_crl(ca, due[i], &der[i]);
		crls[i] = (ProtobufCBinaryData){der[i].len, der[i].data};
	}
	bundle.certs = &cert;
	bundle.n_certs = 1;
	bundle.crls = crls;
	bundle.n_crls = count;
	sample_encode(&bundle.base, &body);
	put(builder, KIND_CA_BUNDLE, id, version, &body);
	buf_deinit(&body);
	for (size_t i = 0; i < count; i++)
		buf_deinit(&der[i]);
	OPENSSL_free(bytes);
}

static void note(const char *bundle_id, const char *reason, void *context)
{
	strcat(strcat(strcat(strcat(context, bundle_id), " "), reason), "\n");
}

START_TEST(stale_bundles_are_told)
{
	static const time_t two[] = {1800000000, 1700000000}, one[] = {1750000000}, silent[] = {0};
	struct pki_cert *ca = pki_make(&(struct pki_spec){.name = "ca", .is_ca = true});
	struct snapshot_builder *builder;
	struct sample_world world;
	struct snapshot *snapshot;
	char told[512] = "";
	uint64_t next;

	sample_world_init(&world);
	builder = sample_builder(&world, NULL, 1);
	put_bundle(builder, "two", 1, ca, two, 2);
	put_bundle(builder, "one", 2, ca, one, 1);
	put_bundle(builder, "silent", 3, ca, silent, 1);
	put_bundle(builder, "none", 4, ca, NULL, 0);
	snapshot = sample_finish(builder);
	snapshot_each_stale_bundle(snapshot, 1600000000, note, told, &next);
	ck_assert_str_eq(told, "");
	ck_assert_uint_eq(next, 1700000000);
	snapshot_each_stale_bundle(snapshot, 1700000000, note, told, &next);
	ck_assert_str_eq(told, "two /crls/1 is stale: a newer one was due on 2023-11-14T22:13:20Z\n");
	ck_assert_uint_eq(next, 1750000000);
	told[0] = '\0';
	snapshot_each_stale_bundle(snapshot, 1900000000, note, told, &next);
	ck_assert_ptr_nonnull(strstr(told, "one "));
	ck_assert_ptr_nonnull(strstr(told, "two "));
	ck_assert_uint_eq(next, 0);
	snapshot_free(snapshot);
	sample_world_deinit(&world);
	pki_free(ca);
}
END_TEST

START_TEST(broken_crl_is_refused)
{
	static uint8_t der[] = "der";
	ProtobufCBinaryData bytes = {3, der};
	Tlsplane__CaBundle bundle = TLSPLANE__CA_BUNDLE__INIT;
	CLEANUP(buf_deinit) struct buf body = BUF_NULL;
	struct snapshot_refusal refusal = {0};
	struct snapshot_builder *builder;
	struct sample_world world;
	struct error err = ERROR_NULL;

	sample_world_init(&world);
	builder = sample_builder(&world, NULL, 1);
	bundle.certs = bundle.crls = &bytes;
	bundle.n_certs = bundle.n_crls = 1;
	sample_encode(&bundle.base, &body);
	put(builder, KIND_CA_BUNDLE, "ca", 1, &body);
	ck_assert_int_eq(snapshot_builder_prepare(builder, NULL, 0, &refusal, &err), E_REFUSED);
	ck_assert_str_eq(refusal.id, "ca");
	ck_assert_str_eq(refusal.field, "/crls/0");
	snapshot_builder_free(builder);
	sample_world_deinit(&world);
}
END_TEST

static void note_origin(const char *upstream_tls_id, const char *reason, void *context)
{
	char *told = context;

	sprintf(told + strlen(told), "%s:%s ", upstream_tls_id, reason != NULL ? "lacks" : "well");
}

static const char *mended(const struct snapshot *snapshot)
{
	static char told[256];

	told[0] = '\0';
	snapshot_mend_origins(snapshot, note_origin, told);
	return told;
}

/* What is built in is told of as long as it is what counts. */
START_TEST(missing_cas_are_told)
{
	CLEANUP(buf_deinit) struct buf body = BUF_NULL;
	char path[] = "/tmp/tlsplane-test-XXXXXX";
	struct pki_cert *ca = pki_make(&(struct pki_spec){.name = "ca", .is_ca = true});
	struct snapshot *first, *second;
	struct snapshot_builder *builder;
	struct sample_world world;
	int fd;

	sample_world_init(&world);
	close(mkstemp(path));
	unlink(path);
	world.context.system_ca_file = path;
	builder = sample_builder(&world, NULL, 1);
	sample_put_tls_upstream(443, "", &body);
	put(builder, KIND_UPSTREAM, "u", 1, &body);
	first = sample_finish(builder);
	ck_assert_str_eq(mended(first), "default:lacks ");
	builder = sample_builder(&world, first, 2);
	sample_put_upstream_tls(NULL, NULL, &body);
	put(builder, KIND_UPSTREAM_TLS, "default", 2, &body);
	second = sample_finish(builder);
	ck_assert_str_eq(mended(second), "default:lacks ");
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	ck_assert(write(fd, ca->pem, strlen(ca->pem)) == (ssize_t)strlen(ca->pem));
	close(fd);
	ck_assert_str_eq(mended(second), "default:well ");
	ck_assert_str_eq(mended(first), "default:well ");
	snapshot_free(first);
	snapshot_free(second);
	unlink(path);
	pki_free(ca);
	sample_world_deinit(&world);
}
END_TEST

UNIT_MAIN("snapshot/times", missing_cas_are_told, stale_bundles_are_told, broken_crl_is_refused)

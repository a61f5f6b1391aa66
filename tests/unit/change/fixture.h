/* SPDX-License-Identifier: Apache-2.0 */
/* An engine on a store of its own, requests from JSON text, certificates made on the spot. */
#pragma once

#include "change/change.h"
#include "crypto/authority.h"
#include "crypto/crypto.h"
#include "crypto/key.h"

#include <check.h>
#include <ftw.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char test_dir[64];
static struct error test_error;
static uv_loop_t test_loop;
static struct store *test_store;
static struct store_reader *test_reader;
static struct change_engine *test_engine;

/* Commits seen. */
static unsigned commits;
static struct store_revision commit_head;
static char commit_touched[512];
static bool commit_agents_changed;

#define OK(call)                                                                                                       \
	do {                                                                                                               \
		test_error = ERROR_NULL;                                                                                       \
		int ok_code_ = (call);                                                                                         \
		ck_assert_msg(ok_code_ == 0, "%s: %d %s", #call, ok_code_, test_error.text);                                   \
	} while (0)

static inline int remove_one(const char *path, const struct stat *info, int type, struct FTW *walk)
{
	return remove(path);
}

static inline void on_commit(const struct change_commit *commit, void *owner)
{
	commits++;
	commit_head = commit->head;
	commit_agents_changed = commit->agents_changed;
	commit_touched[0] = 0;
	for (size_t i = 0; i < commit->touched_len; i++)
		snprintf(commit_touched + strlen(commit_touched), sizeof(commit_touched) - strlen(commit_touched), "%s;",
		         commit->touched[i]);
}

static inline void start_engine(void)
{
	struct store_config store_config = {.dir = test_dir, .trust_domain = "test.example"};
	struct change_config config = {.loop = &test_loop, .limits = {.rsa_bits_max = 4096}, .on_commit = on_commit};

	OK(store_open(&store_config, &test_store, &test_error));
	OK(store_reader_open(test_store, &test_reader, &test_error));
	ck_assert_int_eq(uv_loop_init(&test_loop), 0);
	config.store = test_store;
	OK(change_engine_start(&config, &test_engine, &test_error));
	commits = 0;
}

static bool engine_closed;

static inline void on_engine_closed(void *owner)
{
	engine_closed = true;
}

static inline void stop_engine(void)
{
	engine_closed = false;
	change_engine_close(test_engine, on_engine_closed);
	uv_run(&test_loop, UV_RUN_DEFAULT);
	ck_assert(engine_closed);
	ck_assert_int_eq(uv_loop_close(&test_loop), 0);
	test_reader = store_reader_close(test_reader);
	test_store = store_close(test_store);
}

static inline void engine_setup(void)
{
	OK(crypto_init(&test_error));
	snprintf(test_dir, sizeof(test_dir), "/tmp/tlsplane-change-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(test_dir));
	start_engine();
}

static inline void engine_teardown(void)
{
	stop_engine();
	nftw(test_dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* A result that outlives its call. */
struct outcome {
	bool done;
	int code;
	char text[768];
	bool changed, created;
	struct store_revision revision;
	struct revision standing;
	char etag[64];
	char findings[4096]; /* "code pointer detail" lines; warnings begin with "w:" */
	size_t errors, warnings;
	json_t *answer;
	char selectors[256];
};

static inline void outcome_deinit(struct outcome *outcome)
{
	json_decref(outcome->answer);
}
DEFINE_CLEANUP_VALUE(struct outcome, outcome_deinit);

static inline void on_done(const struct change_result *result, void *context)
{
	struct outcome *outcome = context;

	ck_assert(!outcome->done);
	outcome->done = true;
	outcome->code = result->code;
	snprintf(outcome->text, sizeof(outcome->text), "%s", result->error.text);
	outcome->changed = result->changed;
	outcome->created = result->created;
	outcome->revision = result->revision;
	outcome->standing = result->standing;
	memcpy(outcome->etag, result->etag, sizeof(outcome->etag));
	outcome->answer = json_incref(result->answer);
	outcome->errors = result->findings.errors;
	outcome->warnings = result->findings.warnings;
	for (size_t i = 0; i < result->findings.count; i++) {
		const struct finding *finding = &result->findings.items[i];
		size_t used = strlen(outcome->findings);

		snprintf(outcome->findings + used, sizeof(outcome->findings) - used, "%s%s %s %s\n",
		         finding->severity == FINDING_WARNING ? "w:" : "", finding->code, finding->pointer, finding->detail);
	}
	for (size_t i = 0; i < result->selectors_len; i++)
		snprintf(outcome->selectors + strlen(outcome->selectors),
		         sizeof(outcome->selectors) - strlen(outcome->selectors), "%s;", result->selectors[i]);
	if (result->changed && result->audited) /* no dry run: the commit was announced before */
		ck_assert_uint_ge(commit_head.revision.number, result->revision.revision.number);
}

static inline void wait_done(const bool *done)
{
	while (!*done)
		uv_run(&test_loop, UV_RUN_ONCE);
}

static inline json_t *json_text(const char *text)
{
	json_error_t error;
	json_t *json = json_loads(text, 0, &error);

	ck_assert_msg(json != NULL, "%s: %s", text, error.text);
	return json;
}

/* document: taken over; NULL for deletions. */
static inline struct change_request *make_request(enum change_op op, enum kind kind, const char *id, json_t *document)
{
	struct change_request *request = change_request_new(1);

	ck_assert_ptr_nonnull(request);
	request->items[0].op = op;
	request->items[0].kind = kind;
	request->items[0].document = document;
	snprintf(request->items[0].id, sizeof(request->items[0].id), "%s", id);
	snprintf(request->actor, sizeof(request->actor), "tester");
	return request;
}

static inline struct outcome submit(struct change_request *request)
{
	struct outcome outcome = {0};

	change_submit(test_engine, request, on_done, &outcome);
	ck_assert(!outcome.done); /* never at once */
	wait_done(&outcome.done);
	return outcome;
}

static inline struct outcome change(enum change_op op, enum kind kind, const char *id, const char *text)
{
	return submit(make_request(op, kind, id, text != NULL ? json_text(text) : NULL));
}

#define ACCEPTED(outcome)                                                                                              \
	ck_assert_msg((outcome).code == 0, "%d %s\n%s", (outcome).code, (outcome).text, (outcome).findings)
#define REFUSED(expected, finding, outcome)                                                                            \
	do {                                                                                                               \
		ck_assert_msg((outcome).code == (expected), "%d %s\n%s", (outcome).code, (outcome).text, (outcome).findings);  \
		ck_assert_msg(strstr((outcome).findings, (finding)) != NULL, "no \"%s\" in:\n%s", (finding),                   \
		              (outcome).findings);                                                                             \
	} while (0)

static inline void must(enum change_op op, enum kind kind, const char *id, const char *text)
{
	CLEANUP(outcome_deinit) struct outcome outcome = change(op, kind, id, text);

	ACCEPTED(outcome);
}

static inline void must_fail(int code, const char *finding, enum change_op op, enum kind kind, const char *id,
                             const char *text)
{
	CLEANUP(outcome_deinit) struct outcome outcome = change(op, kind, id, text);

	REFUSED(code, finding, outcome);
	ck_assert(!outcome.changed);
}

static inline uint64_t head_number(void)
{
	struct store_revision head;

	OK(store_head(test_reader, &head, &test_error));
	return head.revision.number;
}

/* ---- certificates ---- */

struct made_pair {
	EVP_PKEY *key;
	char *cert_pem, *key_pem;
};

static inline char *bio_text(BIO *bio)
{
	char *data, *text;
	long len = BIO_get_mem_data(bio, &data);

	text = strndup(data, (size_t)len);
	BIO_free(bio);
	return text;
}

static inline struct made_pair make_pair(EVP_PKEY *key, const char *san)
{
	struct made_pair pair = {.key = key};
	X509 *cert = X509_new();
	X509_NAME *name = X509_NAME_new();
	X509_EXTENSION *extension;
	static long serial = 1;
	char value[300];
	BIO *bio;

	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), ++serial);
	X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
	X509_gmtime_adj(X509_getm_notAfter(cert), 86400 * 30);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"test", -1, -1, 0);
	X509_set_subject_name(cert, name);
	X509_set_issuer_name(cert, name);
	X509_set_pubkey(cert, key);
	snprintf(value, sizeof(value), "DNS:%s", san);
	extension = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, value);
	X509_add_ext(cert, extension, -1);
	ck_assert_int_gt(X509_sign(cert, key, EVP_PKEY_is_a(key, "ED25519") ? NULL : EVP_sha256()), 0);
	bio = BIO_new(BIO_s_mem());
	PEM_write_bio_X509(bio, cert);
	pair.cert_pem = bio_text(bio);
	bio = BIO_new(BIO_s_mem());
	PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
	pair.key_pem = bio_text(bio);
	X509_EXTENSION_free(extension);
	X509_NAME_free(name);
	X509_free(cert);
	return pair;
}

static inline struct made_pair make_ec_pair(const char *san)
{
	return make_pair(EVP_EC_gen("P-256"), san);
}

static inline struct made_pair make_rsa_pair(const char *san)
{
	return make_pair(EVP_RSA_gen(2048), san);
}

static inline void pair_deinit(struct made_pair *pair)
{
	EVP_PKEY_free(pair->key);
	free(pair->cert_pem);
	free(pair->key_pem);
}
DEFINE_CLEANUP_VALUE(struct made_pair, pair_deinit);

/* {"snis": [san], "cert", "key"} and what `more` (an object's text) adds. */
static inline json_t *ssl_document(const struct made_pair *pair, const char *san, bool with_key, const char *more)
{
	json_t *document = json_pack("{s:[s], s:s}", "snis", san, "cert", pair->cert_pem), *extra;

	if (with_key)
		json_object_set_new(document, "key", json_string(pair->key_pem));
	if (more != NULL) {
		extra = json_text(more);
		json_object_update(document, extra);
		json_decref(extra);
	}
	return document;
}

static inline struct outcome put_ssl(const char *id, const struct made_pair *pair, const char *san, bool with_key,
                                     const char *more)
{
	return submit(make_request(CHANGE_PUT, KIND_SSL, id, ssl_document(pair, san, with_key, more)));
}

/* A bundle of one CA made on the spot. */
static inline void put_ca_bundle(const char *id)
{
	CLEANUP(X509_free) X509 *ca = NULL;
	CLEANUP(EVP_PKEY_free) EVP_PKEY *key = NULL;
	BIO *bio = BIO_new(BIO_s_mem());
	json_t *document;
	char *pem, *text;

	OK(authority_make_ca("clients.example", time(NULL), &ca, &key, NULL));
	PEM_write_bio_X509(bio, ca);
	pem = bio_text(bio);
	document = json_pack("{s:s}", "certs", pem);
	text = json_dumps(document, 0);
	must(CHANGE_PUT, KIND_CA_BUNDLE, id, text);
	json_decref(document);
	free(text);
	free(pem);
}

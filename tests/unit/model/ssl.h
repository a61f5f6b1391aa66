/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates for the tests of SSL objects and CA bundles, and what parsing them is to come to. */
#pragma once

#include "base/macros.h"
#include "parse.h"
#include "pki.h"

static struct pki_cert *root, *middle, *leaf, *rsa, *ed25519;

static inline void setup(void)
{
	root = pki_make(&(struct pki_spec){.name = "root", .is_ca = true});
	middle = pki_make(&(struct pki_spec){.name = "middle", .is_ca = true, .issuer = root});
	leaf = pki_make(
		&(struct pki_spec){.name = "a.test", .sans = "DNS:a.test,DNS:*.A.test,IP:127.0.0.1", .issuer = middle});
	rsa = pki_make(&(struct pki_spec){.name = "a.test", .sans = "DNS:a.test", .key = "RSA-2048", .issuer = root});
	ed25519 = pki_make(&(struct pki_spec){.name = "a.test", .sans = "DNS:a.test", .key = "Ed25519", .issuer = root});
}

static inline void teardown(void)
{
	pki_free(root);
	pki_free(middle);
	pki_free(leaf);
	pki_free(rsa);
	pki_free(ed25519);
}

static inline json_t *document_of(const char *cert, const char *key)
{
	json_t *document = json_pack("{s:s, s:s}", "sni", "a.test", "cert", cert);

	if (key != NULL)
		json_object_set_new(document, "key", json_string(key));
	return document;
}

static inline struct outcome parse_pair(const char *cert, const char *key)
{
	json_t *document = document_of(cert, key);
	struct outcome outcome = parse_json(KIND_SSL, "id", document);

	json_decref(document);
	return outcome;
}

static inline void refuse_json(json_t *document, const char *code, const char *pointer)
{
	struct outcome outcome = parse_json(KIND_SSL, "id", document);

	if (outcome.findings.errors != 1 || !has_finding(&outcome.findings, FINDING_ERROR, code, pointer)) {
		print_findings(&outcome.findings);
		ck_abort_msg("expected %s at %s", code, pointer);
	}
	outcome_deinit(&outcome);
	json_decref(document);
}

static inline void refuse_pair(const char *cert, const char *key, const char *code, const char *pointer)
{
	refuse_json(document_of(cert, key), code, pointer);
}

/* Accepted with exactly this warning (NULL: with none). */
static inline void accept_json(json_t *document, const char *code, const char *pointer)
{
	struct outcome outcome = parse_json(KIND_SSL, "id", document);

	if (outcome.code != 0 || outcome.findings.warnings != (code != NULL ? 1 : 0) ||
	    (code != NULL && !has_finding(&outcome.findings, FINDING_WARNING, code, pointer))) {
		print_findings(&outcome.findings);
		ck_abort_msg("expected %s at %s", code != NULL ? code : "nothing", code != NULL ? pointer : "all");
	}
	expect_round_trip(outcome.resource);
	outcome_deinit(&outcome);
	json_decref(document);
}

static inline void accept_pair(const char *cert, const char *key, const char *code, const char *pointer)
{
	accept_json(document_of(cert, key), code, pointer);
}

/* Makes a certificate by spec (issued by root unless self-signed), and expects one error about it. */
static inline void refuse_spec(struct pki_spec spec, const char *code, const char *pointer)
{
	struct pki_cert *made;

	spec.sans = spec.dns_raw != NULL ? NULL : "DNS:a.test";
	made = pki_make(&spec);
	refuse_pair(made->pem, NULL, code, pointer);
	pki_free(made);
}

static inline void accept_spec(struct pki_spec spec, const char *code, const char *pointer)
{
	struct pki_cert *made;

	if (spec.sans == NULL)
		spec.sans = "DNS:a.test";
	made = pki_make(&spec);
	accept_pair(made->pem, made->key_pem, code, pointer);
	pki_free(made);
}

static inline int run_with_certificates(const char *name, const TTest *const *tests, size_t count)
{
	int failed;

	setup();
	failed = unit_run(name, tests, count);
	teardown();
	return failed;
}

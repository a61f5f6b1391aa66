/* SPDX-License-Identifier: Apache-2.0 */
/* Differences in words. */
#include "ctl/changes.h"

#include "unit.h"

static void check(const char *before, const char *after, const char *expected)
{
	json_t *old = json_loads(before, JSON_DECODE_ANY, NULL), *new = json_loads(after, JSON_DECODE_ANY, NULL);
	struct buf out = BUF_NULL;

	ck_assert(old != NULL && new != NULL);
	changes_put(&out, "ssls", "x", old, new);
	ck_assert_str_eq(buf_cstr(&out), expected);
	buf_deinit(&out);
	json_decref(old);
	json_decref(new);
}

#define CERT "\"-----BEGIN CERTIFICATE-----\\nAA\\n-----END CERTIFICATE-----\\n\""
#define OTHER "\"-----BEGIN CERTIFICATE-----\\nBB\\n-----END CERTIFICATE-----\\n\""
#define X509(hash, spki) "{\"sha256\": \"" hash "\", \"spki_sha256\": \"" spki "\", \"not_after\": \"2026-12-01T00:00:00Z\"}"

START_TEST(operations)
{
	check("null", "{\"snis\": [\"a\", \"b\"], \"id\": \"x\", \"version\": 4}", "+ ssls/x\n    snis: a,b\n");
	check("{\"snis\": [\"a\"]}", "null", "- ssls/x\n");
	check("{\"snis\": [\"a\"], \"desc\": \"old\", \"version\": 1, \"same\": 1}",
	      "{\"snis\": [\"a\", \"b\"], \"priority\": 3, \"version\": 2, \"same\": 1}",
	      "~ ssls/x\n    snis: a -> a,b\n    priority: (none) -> 3\n    desc: old -> (none)\n");
	check("{\"desc\": \"\"}", "{\"desc\": \"\\u001b[2J\"}", "~ ssls/x\n    desc: \"\" -> \\x1b[2J\n");
	check("{\"a\": 1, \"uid\": 1}", "{\"a\": 1, \"uid\": 2}", "~ ssls/x\n");
}
END_TEST

START_TEST(certificates_by_fingerprint)
{
	check("{\"cert\": " CERT ", \"x509\": " X509("0123456789abcdefff", "aaaa") "}",
	      "{\"cert\": " OTHER ", \"x509\": " X509("f123456789abcdefff", "bbbb") "}",
	      "~ ssls/x\n    cert: sha256 0123456789abcdef, until 2026-12-01 00:00:00Z -> sha256 f123456789abcdef, until 2026-12-01 00:00:00Z\n"
	      "    key: spki aaaa -> bbbb\n");
	check("{\"cert\": " CERT ", \"x509\": " X509("01", "aaaa") "}", "{\"cert\": " OTHER ", \"x509\": " X509("02", "aaaa") "}",
	      "~ ssls/x\n    cert: sha256 01, until 2026-12-01 00:00:00Z -> sha256 02, until 2026-12-01 00:00:00Z\n");
	check("null", "{\"cert\": " CERT ", \"x509\": " X509("01", "aaaa") "}",
	      "+ ssls/x\n    cert: sha256 01, until 2026-12-01 00:00:00Z\n    key: spki aaaa\n");
}
END_TEST

START_TEST(other_pem)
{
	check("{\"certs\": " CERT ", \"x509\": []}", "{\"certs\": " OTHER ", \"x509\": []}",
	      "~ ssls/x\n    certs: (PEM, 1 block) -> (PEM, 1 block), another\n");
	check("{\"ca\": " CERT "}", "{}", "~ ssls/x\n    ca: (PEM, 1 block) -> (none)\n");
}
END_TEST

UNIT_MAIN("ctl/changes", operations, certificates_by_fingerprint, other_pem)

/* SPDX-License-Identifier: Apache-2.0 */
/* Enrolment and renewal against a CA of the test's own: what is accepted, what is refused, what a restart finds at each
 * step. */
#include "sync/identity.h"

#include "crypto/authority.h"
#include "crypto/crypto.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct fixture {
	char dir[64];
	X509 *ca;
	EVP_PKEY *ca_key;
	struct join_token token;
	struct identity *identity;
};

static void reopen(struct fixture *fixture)
{
	struct error err = ERROR_NULL;
	int r;

	fixture->identity = identity_free(fixture->identity);
	r = identity_open(fixture->dir, &fixture->identity, &err);
	ck_assert_msg(r == 0, "%s", err.text);
}

static void set_up(struct fixture *fixture)
{
	struct buf der = BUF_NULL;

	memset(fixture, 0, sizeof(*fixture));
	strcpy(fixture->dir, "/tmp/tlsplane-identity-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(fixture->dir));
	ck_assert_int_eq(authority_make_ca("test.local", time(NULL), &fixture->ca, &fixture->ca_key, NULL), 0);
	ck_assert_int_eq(authority_encode_cert(fixture->ca, &der, NULL), 0);
	ck_assert_int_eq(crypto_sha256(BYTES(der.data, der.len), fixture->token.ca_sha256, NULL), 0);
	buf_deinit(&der);
	reopen(fixture);
}

static void tear_down(struct fixture *fixture)
{
	char command[128];

	identity_free(fixture->identity);
	X509_free(fixture->ca);
	EVP_PKEY_free(fixture->ca_key);
	snprintf(command, sizeof(command), "rm -r %s", fixture->dir);
	ck_assert_int_eq(system(command), 0);
}

struct answer {
	struct buf certificate, ca;
};

static void answer_deinit(struct answer *answer)
{
	buf_deinit(&answer->certificate);
	buf_deinit(&answer->ca);
}

/* As the control plane would; issued `age` seconds ago. */
static void issue(struct fixture *fixture, const struct buf *csr, const char *id, enum authority_role role, int64_t age,
                  struct answer *answer)
{
	EVP_PKEY *key = NULL;
	X509 *certificate = NULL;

	*answer = (struct answer){0};
	ck_assert_int_eq(authority_read_csr(BYTES(csr->data, csr->len), &key, NULL), 0);
	ck_assert_int_eq(authority_issue(fixture->ca, fixture->ca_key, role, id, key, time(NULL) - age,
	                                 AUTHORITY_AGENT_LIFE, &certificate, NULL),
	                 0);
	ck_assert_int_eq(authority_encode_cert(certificate, &answer->certificate, NULL), 0);
	ck_assert_int_eq(authority_encode_cert(fixture->ca, &answer->ca, NULL), 0);
	X509_free(certificate);
	EVP_PKEY_free(key);
}

static ProtobufCBinaryData field(const struct buf *buf)
{
	return (ProtobufCBinaryData){buf->len, buf->data};
}

static int accept_enroll(struct fixture *fixture, const struct answer *answer, const char *id, struct error *err)
{
	Tlsplane__EnrollReply reply = TLSPLANE__ENROLL_REPLY__INIT;

	reply.agent_id = (char *)(uintptr_t)id;
	reply.certificate = field(&answer->certificate);
	reply.ca = field(&answer->ca);
	return identity_accept_enroll(fixture->identity, &fixture->token, &reply, err);
}

static void enroll(struct fixture *fixture, int64_t age)
{
	struct buf csr = BUF_NULL;
	struct answer answer;
	struct error err = ERROR_NULL;

	ck_assert_int_eq(identity_make_enroll_csr(fixture->identity, &csr, NULL), 0);
	issue(fixture, &csr, "agent-1", AUTHORITY_AGENT, age, &answer);
	ck_assert_msg(accept_enroll(fixture, &answer, "agent-1", &err) == 0, "%s", err.text);
	answer_deinit(&answer);
	buf_deinit(&csr);
}

static int accept_renew(struct fixture *fixture, const struct answer *answer)
{
	Tlsplane__RenewReply reply = TLSPLANE__RENEW_REPLY__INIT;
	struct error err = ERROR_NULL;

	reply.certificate = field(&answer->certificate);
	reply.ca = field(&answer->ca);
	return identity_accept_renew(fixture->identity, &reply, &err);
}

static mode_t mode_of(const struct fixture *fixture, const char *name)
{
	struct stat info;
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", fixture->dir, name);
	return stat(path, &info) == 0 ? info.st_mode & 0777 : 0;
}

START_TEST(enrolment_is_kept)
{
	struct fixture fixture;

	set_up(&fixture);
	ck_assert(!identity_is_enrolled(fixture.identity));
	enroll(&fixture, 0);
	for (int i = 0; i < 2; i++) {
		ck_assert(identity_is_enrolled(fixture.identity));
		ck_assert_str_eq(identity_agent_id(fixture.identity), "agent-1");
		ck_assert_str_eq(identity_trust_domain(fixture.identity), "test.local");
		ck_assert(!identity_is_renewal_due(fixture.identity, time(NULL)));
		ck_assert(identity_is_renewal_due(fixture.identity, time(NULL) + AUTHORITY_AGENT_LIFE / 2 + 120));
		ck_assert(!identity_is_expired(fixture.identity, time(NULL)));
		ck_assert(identity_is_expired(fixture.identity, time(NULL) + AUTHORITY_AGENT_LIFE + 120));
		reopen(&fixture);
	}
	ck_assert_uint_eq(mode_of(&fixture, "agent.key"), 0600);
	tear_down(&fixture);
}
END_TEST

/* The key is durable before it is asked for, and asked for again after a crash. */
START_TEST(same_key_is_asked_for_again)
{
	struct buf first = BUF_NULL, second = BUF_NULL;
	EVP_PKEY *a = NULL, *b = NULL;
	struct fixture fixture;

	set_up(&fixture);
	ck_assert_int_eq(identity_make_enroll_csr(fixture.identity, &first, NULL), 0);
	reopen(&fixture);
	ck_assert(!identity_is_enrolled(fixture.identity));
	ck_assert_int_eq(identity_make_enroll_csr(fixture.identity, &second, NULL), 0);
	ck_assert_int_eq(authority_read_csr(BYTES(first.data, first.len), &a, NULL), 0);
	ck_assert_int_eq(authority_read_csr(BYTES(second.data, second.len), &b, NULL), 0);
	ck_assert_int_eq(EVP_PKEY_eq(a, b), 1);
	EVP_PKEY_free(a);
	EVP_PKEY_free(b);
	buf_deinit(&first);
	buf_deinit(&second);
	tear_down(&fixture);
}
END_TEST

START_TEST(wrong_answers_are_refused)
{
	struct fixture fixture, other;
	struct buf csr = BUF_NULL, other_csr = BUF_NULL;
	struct answer answer;
	struct error err = ERROR_NULL;

	set_up(&fixture);
	set_up(&other);
	ck_assert_int_eq(identity_make_enroll_csr(fixture.identity, &csr, NULL), 0);
	ck_assert_int_eq(identity_make_enroll_csr(other.identity, &other_csr, NULL), 0);
	issue(&fixture, &other_csr, "agent-1", AUTHORITY_AGENT, 0, &answer); /* another key */
	ck_assert_int_eq(accept_enroll(&fixture, &answer, "agent-1", &err), E_FORBIDDEN);
	answer_deinit(&answer);
	issue(&other, &csr, "agent-1", AUTHORITY_AGENT, 0, &answer); /* another CA */
	ck_assert_int_eq(accept_enroll(&fixture, &answer, "agent-1", &err), E_FORBIDDEN);
	buf_reset(&answer.ca);
	ck_assert_int_eq(authority_encode_cert(fixture.ca, &answer.ca, NULL),
	                 0); /* the right CA beside a wrong certificate */
	ck_assert_int_eq(accept_enroll(&fixture, &answer, "agent-1", &err), E_FORBIDDEN);
	answer_deinit(&answer);
	issue(&fixture, &csr, NULL, AUTHORITY_CONTROLPLANE, 0, &answer);
	ck_assert_int_lt(accept_enroll(&fixture, &answer, "agent-1", &err), 0);
	answer_deinit(&answer);
	issue(&fixture, &csr, "agent-1", AUTHORITY_AGENT, 0, &answer);
	ck_assert_int_eq(accept_enroll(&fixture, &answer, "agent-2", &err), E_FORBIDDEN);
	buf_put_u8(&answer.certificate, 0); /* trailing byte */
	ck_assert_int_lt(accept_enroll(&fixture, &answer, "agent-1", &err), 0);
	answer_deinit(&answer);
	reopen(&fixture);
	ck_assert(!identity_is_enrolled(fixture.identity));
	buf_deinit(&csr);
	buf_deinit(&other_csr);
	tear_down(&fixture);
	tear_down(&other);
}
END_TEST

START_TEST(renewal_keeps_both_until_the_new_one_connects)
{
	struct buf csr = BUF_NULL;
	struct answer answer;
	struct fixture fixture;
	char path[128];

	set_up(&fixture);
	enroll(&fixture, AUTHORITY_AGENT_LIFE / 2 + 120);
	ck_assert(identity_is_renewal_due(fixture.identity, time(NULL)));
	ck_assert_int_eq(identity_make_renew_csr(fixture.identity, &csr, NULL), 0);
	reopen(&fixture); /* died while the answer was on its way */
	ck_assert(!identity_has_next(fixture.identity));
	buf_reset(&csr);
	ck_assert_int_eq(identity_make_renew_csr(fixture.identity, &csr, NULL), 0);
	issue(&fixture, &csr, "agent-2", AUTHORITY_AGENT, 0, &answer);
	ck_assert_int_eq(accept_renew(&fixture, &answer), E_FORBIDDEN);
	answer_deinit(&answer);
	issue(&fixture, &csr, "agent-1", AUTHORITY_AGENT, 0, &answer);
	ck_assert_int_eq(accept_renew(&fixture, &answer), 0);
	answer_deinit(&answer);
	for (int i = 0; i < 2; i++) {
		ck_assert(identity_has_next(fixture.identity));
		ck_assert(!identity_is_renewal_due(fixture.identity, time(NULL)));
		ck_assert_ptr_ne(identity_certificate(fixture.identity, true), identity_certificate(fixture.identity, false));
		reopen(&fixture);
	}
	ck_assert_uint_eq(mode_of(&fixture, "next.key"), 0600);
	ck_assert_int_eq(identity_promote(fixture.identity, NULL), 0);
	for (int i = 0; i < 2; i++) {
		ck_assert(!identity_has_next(fixture.identity));
		ck_assert(!identity_is_renewal_due(fixture.identity, time(NULL)));
		reopen(&fixture);
	}
	snprintf(path, sizeof(path), "%s/next.key", fixture.dir);
	ck_assert_int_lt(access(path, F_OK), 0);
	buf_deinit(&csr);
	tear_down(&fixture);
}
END_TEST

/* Death between the two renamings of a promotion. */
START_TEST(half_a_promotion_is_finished)
{
	struct buf csr = BUF_NULL;
	struct answer answer;
	struct fixture fixture;
	char from[128], to[128];

	set_up(&fixture);
	enroll(&fixture, AUTHORITY_AGENT_LIFE / 2 + 120);
	ck_assert_int_eq(identity_make_renew_csr(fixture.identity, &csr, NULL), 0);
	issue(&fixture, &csr, "agent-1", AUTHORITY_AGENT, 0, &answer);
	ck_assert_int_eq(accept_renew(&fixture, &answer), 0);
	snprintf(from, sizeof(from), "%s/next.key", fixture.dir);
	snprintf(to, sizeof(to), "%s/agent.key", fixture.dir);
	ck_assert_int_eq(rename(from, to), 0);
	reopen(&fixture);
	ck_assert(identity_is_enrolled(fixture.identity));
	ck_assert(!identity_has_next(fixture.identity));
	ck_assert(!identity_is_renewal_due(fixture.identity, time(NULL)));
	answer_deinit(&answer);
	buf_deinit(&csr);
	tear_down(&fixture);
}
END_TEST

#define HASH "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

START_TEST(tokens_are_parsed_strictly)
{
	static const char *const bad[] = {
	    "",
	    "tlsplane1.",
	    "tlsplane1.id." HASH,
	    "tlsplane2.id.AAAA." HASH,
	    "tlsplane1..AAAA." HASH,
	    "tlsplane1.id.." HASH,
	    "tlsplane1.id.A." HASH,
	    "tlsplane1.id.AB." HASH,
	    "tlsplane1.id.AA+A." HASH,
	    "tlsplane1.id.AAAA=." HASH,
	    "tlsplane1.id.AAAA.00",
	    "tlsplane1.id.AAAA." HASH "00",
	    "tlsplane1.id.AAAA.G00102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
	    "tlsplane1.id.AAAA." HASH "\nmore",
	    "tlsplane1.../x.AAAA." HASH,
	};
	struct join_token token;
	struct error err = ERROR_NULL;

	ck_assert_int_eq(join_token_parse("tlsplane1.tok.en-1._-8A." HASH "\n", &token, &err), 0);
	ck_assert_str_eq(token.id, "tok.en-1");
	ck_assert_uint_eq(token.secret_len, 3);
	ck_assert_mem_eq(token.secret, "\xff\xef\x00", 3);
	ck_assert_uint_eq(token.ca_sha256[31], 0x1f);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		ck_assert_msg(join_token_parse(bad[i], &token, &err) == E_SYNTAX, "%s", bad[i]);
		ck_assert_ptr_null(strstr(err.text, "AAAA"));
	}
}
END_TEST

UNIT_MAIN("sync/identity", enrolment_is_kept, same_key_is_asked_for_again, wrong_answers_are_refused,
          renewal_keeps_both_until_the_new_one_connects, half_a_promotion_is_finished, tokens_are_parsed_strictly)

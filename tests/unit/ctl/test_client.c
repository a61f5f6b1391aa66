/* SPDX-License-Identifier: Apache-2.0 */
/* What of the client needs no control plane. */
#include "ctl/client.h"

#include "unit.h"

/* Each try empties the answer of the one before: the answer that holds a new token is wiped all the same. */
START_TEST(an_emptied_answer_is_as_sensitive_as_before)
{
	struct answer answer = {.status = 503, .body = {.sensitive = true}}, plain = {.status = 503};

	buf_put_str(&answer.body, "{}");
	buf_put_str(&plain.body, "{}");
	answer_deinit(&answer);
	answer_deinit(&plain);
	ck_assert_int_eq(answer.status, 0);
	ck_assert_ptr_null(answer.body.data);
	ck_assert(answer.body.sensitive);
	ck_assert(!plain.body.sensitive);
}
END_TEST

START_TEST(escaping)
{
	CLEANUP(buf_deinit) struct buf text = BUF_NULL;

	client_put_escaped(&text, "a-Z_0.~ /?&=%\xc3\xa4\n");
	ck_assert_str_eq(buf_cstr(&text), "a-Z_0.~%20%2F%3F%26%3D%25%C3%A4%0A");
}
END_TEST

UNIT_MAIN("ctl/client", an_emptied_answer_is_as_sensitive_as_before, escaping)

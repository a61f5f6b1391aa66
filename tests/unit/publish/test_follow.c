/* SPDX-License-Identifier: Apache-2.0 */
/* Following: from a Hello to the newest holding, and on from there. */
#include "peer.h"

#include <openssl/bio.h>
#include <openssl/pem.h>

START_TEST(test_full_then_delta)
{
	struct peer *peer = peer_new("{\"env\": \"prod\"}");
	struct changed changed;
	unsigned resets;

	put_upstream("u1", "{}", 80);
	put_upstream("u2", "{\"env\": \"prod\"}", 80);
	put_upstream("u3", "{\"env\": \"test\"}", 80);
	peer_follow(peer);
	UNTIL(peer->updates == 1);
	ck_assert(peer_has(peer, KIND_UPSTREAM, "u1") && peer_has(peer, KIND_UPSTREAM, "u2"));
	ck_assert(!peer_has(peer, KIND_UPSTREAM, "u3"));
	ck_assert(peer_has(peer, KIND_TLS_OPTIONS, "modern"));
	resets = peer->resets;
	peer->puts = 0;

	changed = put_upstream("u1", "{}", 81);
	UNTIL(is_at(peer, changed.revision));
	ck_assert_uint_eq(peer->resets, resets);
	ck_assert_uint_eq(peer->puts, 1);

	changed = delete_upstream("u2");
	UNTIL(is_at(peer, changed.revision));
	ck_assert(!peer_has(peer, KIND_UPSTREAM, "u2"));
	ck_assert_uint_eq(peer->drops, 1); /* it was the last one of its selector */

	changed = put_upstream("u3", "{}", 80); /* moves here */
	UNTIL(is_at(peer, changed.revision));
	changed = put_upstream("u3", "{\"env\": \"prod\"}", 80); /* within the holding */
	UNTIL(is_at(peer, changed.revision));
	ck_assert(peer_has(peer, KIND_UPSTREAM, "u3"));
	changed = put_upstream("u4", "{\"env\": \"test\"}", 80);
	linger(200);
	ck_assert(!is_at(peer, changed.revision)); /* none of its business */
	UNTIL(status_applied(peer) == changed.revision.number);
	peer_free(peer);
}
END_TEST

static char *pem_of(X509 *certificate, EVP_PKEY *key)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *data, *text;
	long len;

	if (certificate != NULL)
		ck_assert_int_eq(PEM_write_bio_X509(bio, certificate), 1);
	else
		ck_assert_int_eq(PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), 1);
	len = BIO_get_mem_data(bio, &data);
	text = strndup(data, (size_t)len);
	BIO_free(bio);
	return text;
}

/* Keys travel, opened, whole and in deltas. */
START_TEST(test_secret)
{
	struct peer *peer = peer_new("{}");
	char *certificate = pem_of(peer->certificate, NULL), *key = pem_of(NULL, peer->key), *json;
	json_t *object = json_pack("{s:s, s:s, s:s}", "sni", "a.example.com", "cert", certificate, "key", key);
	struct changed changed;

	json = json_dumps(object, 0);
	json_decref(change(CHANGE_PUT, KIND_SSL, "s1", json).answer);
	peer_follow(peer);
	UNTIL(peer->updates == 1);
	ck_assert_uint_eq(peer->secrets, 1);
	changed = change(CHANGE_PUT, KIND_SSL, "s2", json);
	json_decref(changed.answer);
	UNTIL(is_at(peer, changed.revision));
	ck_assert_uint_eq(peer->secrets, 2);
	json_decref(object);
	free(json);
	free(certificate);
	free(key);
	peer_free(peer);
}
END_TEST

START_TEST(test_reconnect)
{
	struct peer *peer = peer_new("{}");
	struct changed changed;
	unsigned updates, resets;

	put_upstream("u1", "{}", 80);
	peer_follow(peer);
	UNTIL(peer->updates == 1);
	peer_leave(peer);
	UNTIL(!status_bool(peer, "connected"));

	updates = peer->updates;
	peer_follow(peer);
	linger(200);
	ck_assert_uint_eq(peer->updates, updates); /* equal digests: nothing to send */
	peer_leave(peer);

	resets = peer->resets;
	put_upstream("u1", "{}", 81);
	put_upstream("u2", "{}", 81);
	changed = delete_upstream("u1");
	peer_follow(peer);
	UNTIL(is_at(peer, changed.revision));
	ck_assert_uint_eq(peer->resets, resets); /* a delta */
	ck_assert(!peer_has(peer, KIND_UPSTREAM, "u1") && peer_has(peer, KIND_UPSTREAM, "u2"));
	peer_free(peer);
}
END_TEST

START_TEST(test_restart)
{
	struct peer *peer = peer_new("{}");
	struct changed changed;
	json_t *status;

	put_upstream("u1", "{}", 80);
	peer_follow(peer);
	UNTIL(peer->updates == 1);
	UNTIL(status_applied(peer) == plane.head.revision.number);
	plane_stop();
	UNTIL(peer->closed);
	plane_start(false, 10);
	ck_assert_ptr_null(publisher_agent_status(plane.publisher, peer->id));
	changed = put_upstream("u1", "{}", 81);
	peer->resets = 0;
	peer_follow(peer);
	UNTIL(is_at(peer, changed.revision));
	ck_assert_uint_eq(peer->resets, 0);
	status = status_of(peer);
	ck_assert(json_integer_value(json_object_get(status, "last_ack")) > 0);
	ck_assert_str_eq(json_string_value(json_object_get(status, "hostname")), "host?1");
	json_decref(status);
	peer_free(peer);
}
END_TEST

START_TEST(test_large)
{
	struct peer *peer = peer_new("{}");
	struct change_request *request = change_request_new(6000);
	struct changed changed = {0};

	peer_follow(peer);
	UNTIL(peer->updates == 1);
	for (size_t i = 0; i < request->items_len; i++) {
		request->items[i].op = CHANGE_PUT;
		request->items[i].kind = KIND_UPSTREAM;
		snprintf(request->items[i].id, sizeof(request->items[i].id), "upstream-with-a-name-of-some-length-%zu", i);
		request->items[i].document =
			json_pack("{s:{s:i, s:i, s:i}}", "nodes", "some.rather.long.name.example.com:80", 1,
		              "another.rather.long.name.example.com:80", 1, "yet.another.name.example.com:80", 1);
	}
	peer->puts = peer->resets = 0;
	change_submit(plane.changes, request, on_changed, &changed);
	UNTIL(changed.done);
	UNTIL(is_at(peer, changed.revision));
	ck_assert_uint_eq(peer->puts, 6000); /* as a delta of several chunks */
	ck_assert_uint_eq(peer->resets, 0);
	json_decref(changed.answer);

	peer_leave(peer);
	kept_free_all(&peer->kept);
	peer->at = peer->high = (struct revision){0, 0};
	peer->puts = 0;
	memset(&peer->chain, 0, sizeof(peer->chain));
	peer_follow(peer);
	UNTIL(is_at(peer, changed.revision));
	ck_assert_uint_gt(peer->puts, 6000); /* whole */
	peer_free(peer);
}
END_TEST

START_TEST(test_merge)
{
	struct peer *peer = peer_new("{}");
	struct changed changed;

	peer_follow(peer);
	UNTIL(peer->updates == 1);
	peer->mute = true;
	put_upstream("u1", "{}", 80);
	UNTIL(peer->updates == 2);
	put_upstream("u1", "{}", 81);
	put_upstream("u2", "{}", 81);
	changed = put_upstream("u3", "{}", 81);
	linger(100);
	ck_assert_uint_eq(peer->updates, 2); /* one at a time */
	ck_assert_uint_eq(counters().agents_behind, 1);
	peer->mute = false;
	peer->puts = 0;
	peer_ack(peer, peer->begun);
	UNTIL(is_at(peer, changed.revision));
	ck_assert_uint_eq(peer->updates, 3); /* all later ones in one */
	ck_assert_uint_eq(peer->puts, 3);
	UNTIL(counters().agents_behind == 0);
	peer_free(peer);
}
END_TEST

START_TEST(test_nack)
{
	struct peer *peer = peer_new("{}");
	uint64_t refused_at;
	struct changed changed;
	json_t *status, *nack;

	peer_follow(peer);
	UNTIL(peer->updates == 1);
	peer->nacks = 2;
	put_upstream("u1", "{}", 80);
	UNTIL(counters().nacks == 1);
	refused_at = peer->nacked_at;
	status = status_of(peer);
	nack = json_object_get(status, "last_nack");
	ck_assert_str_eq(json_string_value(json_object_get(nack, "code")), "profile");
	ck_assert_str_eq(json_string_value(json_object_get(json_array_get(json_object_get(nack, "objects"), 0), "id")),
	                 "u1");
	ck_assert(json_is_true(json_object_get(status, "behind")));
	json_decref(status);

	UNTIL(peer->nacks == 0); /* the same again, later */
	ck_assert_uint_ge(peer->updated_at - refused_at, 400);
	UNTIL(counters().nacks == 2);
	changed = put_upstream("u1", "{}", 81); /* the next one at once */
	UNTIL(is_at(peer, changed.revision));
	ck_assert_uint_lt(peer->updated_at - peer->nacked_at, 950); /* the back-off is at least 1 s by now */
	UNTIL(!status_bool(peer, "behind"));
	peer_free(peer);
}
END_TEST

START_TEST(test_resync)
{
	struct peer *peer = peer_new("{}");
	struct changed changed;

	peer_follow(peer);
	UNTIL(peer->updates == 1);
	peer->wrong = 1;
	peer->resets = 0;
	changed = put_upstream("u1", "{}", 80);
	UNTIL(is_at(peer, changed.revision)); /* whole this time */
	ck_assert_uint_eq(peer->resets, 1);

	peer->wrong = 2;
	put_upstream("u1", "{}", 81);
	UNTIL(peer->closed); /* twice */
	ck_assert_int_eq(peer->refusal, TLSPLANE__REFUSED_CODE__REFUSED_PROTOCOL);
	ck_assert_uint_eq(counters().resyncs, 2);
	peer_free(peer);
}
END_TEST

START_TEST(test_heartbeat_mends)
{
	struct peer *peer = peer_new("{}");

	put_upstream("u1", "{}", 80);
	peer_follow(peer);
	UNTIL(peer->updates == 1);
	UNTIL(counters().acks == 1);
	peer_heartbeat(peer); /* right */
	linger(100);
	ck_assert_uint_eq(peer->updates, 1);
	kept_remove(&peer->kept, KIND_UPSTREAM, "u1", NULL);
	peer_heartbeat(peer); /* lost something */
	UNTIL(peer->updates == 2);
	ck_assert(peer_has(peer, KIND_UPSTREAM, "u1"));
	peer_free(peer);
}
END_TEST

START_TEST(test_silence)
{
	struct peer *peer = peer_new("{}");

	plane_stop();
	plane_start(false, 1);
	peer_follow(peer);
	UNTIL(peer->heartbeats >= 2);
	UNTIL(peer->closed);
	peer_free(peer);
}
END_TEST

START_TEST(test_labels)
{
	struct peer *peer = peer_new("{\"env\": \"prod\", \"zone\": \"a\"}");
	char id[ID_MAX + 1];

	put_upstream("u1", "{\"env\": \"prod\"}", 80);
	put_upstream("u2", "{\"env\": \"test\"}", 80);
	put_upstream("u3", "{\"env\": \"test\", \"zone\": \"a\"}", 80);
	peer_follow(peer);
	UNTIL(peer_has(peer, KIND_UPSTREAM, "u1"));
	ck_assert(!peer_has(peer, KIND_UPSTREAM, "u2"));
	UNTIL(peer->updates == 1);
	snprintf(id, sizeof(id), "%s", peer->id);
	json_decref(change(CHANGE_PATCH, KIND_AGENT, id, "{\"labels\": {\"env\": \"test\"}}").answer);
	UNTIL(peer->updates == 2);
	ck_assert(!peer_has(peer, KIND_UPSTREAM, "u1"));
	ck_assert(peer_has(peer, KIND_UPSTREAM, "u2"));
	UNTIL(status_applied(peer) == plane.head.revision.number);
	peer_free(peer);
}
END_TEST

START_TEST(test_diverged)
{
	struct peer *peer = peer_new("{}");
	struct digest chain;

	put_upstream("u1", "{}", 80);
	peer_follow(peer);
	UNTIL(peer->updates == 1);
	peer_leave(peer);
	chain = peer->chain;

	peer->chain.bytes[0] ^= 1; /* another history */
	peer_follow(peer);
	UNTIL(peer->refused);
	ck_assert_int_eq(peer->refusal, TLSPLANE__REFUSED_CODE__REFUSED_DIVERGED);
	put_upstream("u2", "{}", 80);
	linger(200);
	ck_assert(!peer->closed);
	ck_assert_uint_eq(peer->updates, 1); /* is sent nothing */
	ck_assert_uint_eq(counters().agents_diverged, 1);
	ck_assert(status_bool(peer, "diverged"));
	peer_heartbeat(peer);
	peer_leave(peer);

	peer->chain = chain;
	peer->high.number += 100; /* it has seen more than the store has */
	peer_follow(peer);
	ck_assert_int_eq(peer->refusal, TLSPLANE__REFUSED_CODE__REFUSED_DIVERGED);
	peer_leave(peer);

	peer->at = peer->high;
	plane_stop();
	plane_start(true, 10); /* the operator decides */
	peer->resets = 0;
	peer_follow(peer);
	UNTIL(is_at(peer, plane.head.revision));
	ck_assert_uint_gt(plane.head.revision.epoch, 1);
	ck_assert(peer_has(peer, KIND_UPSTREAM, "u2"));
	ck_assert_uint_eq(peer->resets, 1); /* digests differ and nothing is to be built on */
	ck_assert(!status_bool(peer, "diverged"));
	peer_free(peer);
}
END_TEST

START_TEST(test_report)
{
	struct peer *peer = peer_new("{}");
	Tlsplane__ObjectReason reason = TLSPLANE__OBJECT_REASON__INIT, *reasons[] = {&reason};
	Tlsplane__Report report = TLSPLANE__REPORT__INIT;
	json_t *status, *degraded;

	peer_follow(peer);
	UNTIL(peer->updates == 1);
	reason.kind = KIND_LISTENER;
	reason.id = (char *)"l1";
	reason.reason = (char *)"address already in use";
	report.n_degraded = 1;
	report.degraded = reasons;
	peer_send(peer, TLSPLANE__MESSAGE_TYPE__MESSAGE_REPORT, &report.base);
	linger(200);
	status = status_of(peer);
	degraded = json_object_get(status, "degraded");
	ck_assert_uint_eq(json_array_size(degraded), 1);
	ck_assert_str_eq(json_string_value(json_object_get(json_array_get(degraded, 0), "kind")), "listeners");
	json_decref(status);
	peer_free(peer);
}
END_TEST

/* Messages out of place, one each. */
START_TEST(test_protocol)
{
	struct peer *peer = peer_new("{}");
	Tlsplane__Ack ack = TLSPLANE__ACK__INIT;
	Tlsplane__Hello hello = TLSPLANE__HELLO__INIT;

	peer_follow(peer);
	UNTIL(peer->updates == 1);
	UNTIL(counters().acks == 1);
	peer_send(peer, TLSPLANE__MESSAGE_TYPE__MESSAGE_ACK, &ack.base); /* nothing is in flight */
	UNTIL(peer->closed);
	ck_assert_int_eq(peer->refusal, TLSPLANE__REFUSED_CODE__REFUSED_PROTOCOL);

	hello.protocol = 2;
	hello.agent_version = hello.openssl_version = (char *)"";
	peer_connect(peer);
	peer_send(peer, TLSPLANE__MESSAGE_TYPE__MESSAGE_HELLO, &hello.base);
	UNTIL(peer->closed);
	ck_assert_int_eq(peer->refusal, TLSPLANE__REFUSED_CODE__REFUSED_VERSION);

	hello.protocol = 1; /* no chain */
	peer_connect(peer);
	peer_send(peer, TLSPLANE__MESSAGE_TYPE__MESSAGE_HELLO, &hello.base);
	UNTIL(peer->closed);
	ck_assert_int_eq(peer->refusal, TLSPLANE__REFUSED_CODE__REFUSED_PROTOCOL);
	peer_free(peer);
}
END_TEST

/* A close with everything under way. */
START_TEST(test_close_midway)
{
	struct peer *peer = peer_new("{}");
	CLEANUP(buf_deinit) struct buf csr = BUF_NULL;
	Tlsplane__Renew renew = TLSPLANE__RENEW__INIT;

	peer->mute = true;
	peer_follow(peer);
	UNTIL(peer->updates == 1);
	OK(authority_make_csr(peer->key, &csr, &test_error));
	renew.csr = (ProtobufCBinaryData){csr.len, csr.data};
	peer_send(peer, TLSPLANE__MESSAGE_TYPE__MESSAGE_RENEW, &renew.base);
	uv_run(&plane.loop, UV_RUN_NOWAIT);
	uv_run(&plane.loop, UV_RUN_NOWAIT);
	plane_stop();
	UNTIL(peer->closed);
	plane_start(false, 10);
	peer_free(peer);
}
END_TEST

int main(void)
{
	return plane_main("follow",
	                  (const TTest *const[]){test_full_then_delta, test_secret, test_reconnect, test_restart, test_large, test_merge,
	                                         test_nack, test_resync, test_heartbeat_mends, test_silence, test_labels,
	                                         test_diverged, test_report, test_protocol, test_close_midway, NULL});
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Who vouches for clients when an SSL object verifies them and names no CA: the options that it names. From both ends. */
#include "change/request.h"

#include "channel.pb-c.h"
#include "model/body.h"
#include "model/client_mode.h"

static bool has_anchors(const Tlsplane__ClientAuth *client)
{
	return client != NULL && (client->n_ca > 0 || client->ca_bundle != NULL);
}

/* Options that ask nothing of clients have nothing to say, whatever CAs they list. */
static bool brings_anchors(const Tlsplane__TlsOptions *options)
{
	return has_anchors(options->client_auth) && client_mode_bits(options->client_auth->verify) != 0;
}

/* Does it verify clients by the CAs of its options? */
static bool borrows_anchors(const Tlsplane__Ssl *ssl)
{
	const Tlsplane__ClientAuth *client = ssl->client;
	Tlsplane__ClientVerify verify = TLSPLANE__CLIENT_VERIFY__VERIFY_REQUIRE;

	if (client == NULL || has_anchors(client) || ssl->tls_options == NULL)
		return false;
	if (client->has_verify)
		verify = client->verify;
	return (client_mode_bits(verify) & CLIENT_VERIFIED) != 0;
}

int rules_check_ssl_anchors(struct request_job *job, size_t index, const Tlsplane__Ssl *ssl, struct store_reader *reader,
                            struct error *err)
{
	CLEANUP(store_row_deinit) struct store_row row = {0};
	CLEANUP(body_free) ProtobufCMessage *options = NULL;
	int code;

	if (!borrows_anchors(ssl))
		return 0;
	code = store_get(reader, KIND_TLS_OPTIONS, ssl->tls_options, 0, &row, err);
	if (code == E_NOT_FOUND) /* has been told */
		return 0;
	if (code == 0)
		code = body_decode(&tlsplane__tls_options__descriptor, row.state.object.body, &options, err);
	if (code == 0 && !brings_anchors((const Tlsplane__TlsOptions *)options))
		refuse(job, index, E_INVALID, "missing-field", "/client/ca",
		       "clients must verify, and neither this object nor client_auth of tls_options/%s says who issues their "
		       "certificates",
		       ssl->tls_options);
	return code;
}

struct anchors_call {
	struct request_job *job;
	size_t index;
	struct error *err;
};

static int on_ssl_of_options(const struct store_row *row, const char *pointer, void *context)
{
	struct anchors_call *call = context;
	CLEANUP(body_free) ProtobufCMessage *ssl = NULL;
	int code = row->state.enabled ? body_decode(&tlsplane__ssl__descriptor, row->state.object.body, &ssl, call->err) : 0;

	if (code == 0 && ssl != NULL && borrows_anchors((const Tlsplane__Ssl *)ssl))
		refuse(call->job, call->index, E_INVALID, "referenced", "/client_auth",
		       "ssls/%s verifies clients by the CAs of these options, which name none that are used", row->state.object.id);
	return code;
}

int rules_check_options_anchors(struct request_job *job, size_t index, const Tlsplane__TlsOptions *before,
                                const Tlsplane__TlsOptions *options, struct store_reader *reader, struct error *err)
{
	struct anchors_call call = {job, index, err};

	if (brings_anchors(options) || (before != NULL && !brings_anchors(before)))
		return 0; /* they are there; or nobody borrowed any, and nobody need be asked */
	return store_each_referrer_of_kind(reader, KIND_TLS_OPTIONS, job->items[index].resource->id, KIND_SSL, on_ssl_of_options,
	                                   &call, err);
}

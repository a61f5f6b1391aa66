/* SPDX-License-Identifier: Apache-2.0 */
/* CRLs at the JSON edge. A bundle with any CRL makes the agent ask one for every certificate of a chain, its root's too: so a CA without
 * one is worth a warning, and a stale one, which refuses. */
#include "model/crls.h"

#include <stdlib.h>
#include <string.h>

struct read_call {
	const struct cert_list *cas;
	ProtobufCBinaryData *ders;
	size_t count;
};

static bool is_signed(X509_CRL *crl, const struct cert_list *cas)
{
	for (size_t i = 0; i < cas->len; i++)
		if (crl_is_issued_by(crl, cas->items[i].cert))
			return true;
	return cas->len == 0;
}

static int on_crl(struct bytes der, void *context, struct error *err)
{
	struct read_call *call = context;
	CLEANUP(X509_CRL_free) X509_CRL *crl = NULL;
	int r = crl_parse(der, &crl, err);

	if (r == 0 && !is_signed(crl, call->cas))
		r = error_set(err, E_NOT_FOUND, "no CA of the bundle, that may sign CRLs, signed it");
	if (r < 0)
		return error_prefix(err, r, "CRL %zu", call->count + 1);
	call->ders[call->count].data = malloc(der.len);
	if (call->ders[call->count].data == NULL)
		return error_nomem(err);
	memcpy(call->ders[call->count].data, der.data, der.len);
	call->ders[call->count++].len = der.len;
	return 0;
}

int crls_read_pem(struct bytes pem, size_t max, const struct cert_list *cas, size_t *ret_count, ProtobufCBinaryData **ret,
                  struct error *err)
{
	struct read_call call = {.cas = cas, .ders = calloc(max, sizeof(*call.ders))};
	int r;

	if (call.ders == NULL)
		return error_nomem(err);
	r = crl_each_pem((const char *)pem.data, pem.len, max, on_crl, &call, err);
	if (r < 0) {
		for (size_t i = 0; i < call.count; i++)
			free(call.ders[i].data);
		free(call.ders);
		return r;
	}
	*ret = call.ders;
	*ret_count = call.count;
	return 0;
}

static void find_freshness(const struct crl_info *info, size_t number, const char *pointer,
                           const struct resource_limits *limits, struct findings *findings)
{
	if (info->next_update < (int64_t)limits->now)
		findings_add(findings, FINDING_WARNING, "stale-crl", pointer,
		             "CRL %zu (%.80s) is past its nextUpdate: certificates under it are refused unless stale_crls is \"accept\"",
		             number, info->issuer);
	if (info->next_update == INT64_MAX)
		findings_add(findings, FINDING_WARNING, "crl-never-stale", pointer,
		             "CRL %zu (%.80s) names no nextUpdate, so nobody will notice that it is old", number, info->issuer);
	if (info->this_update > (int64_t)limits->now)
		findings_add(findings, FINDING_WARNING, "not-yet-valid", pointer,
		             "CRL %zu (%.80s) is not valid yet: certificates under it are refused", number, info->issuer);
}

/* Marks the CAs whose name the CRL has. */
static void mark_covered(X509_CRL *crl, const struct cert_list *cas, bool *covered)
{
	for (size_t i = 0; i < cas->len; i++)
		if (X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_subject_name(cas->items[i].cert)) == 0)
			covered[i] = true;
}

void crls_find(const ProtobufCBinaryData *crls, size_t count, const struct cert_list *cas, const char *pointer,
               const struct resource_limits *limits, struct findings *findings)
{
	bool *covered = count == 0 ? NULL : calloc(cas->len + 1, sizeof(*covered));

	if (covered == NULL) {
		findings->failed = findings->failed || count > 0;
		return;
	}
	for (size_t i = 0; i < count; i++) {
		CLEANUP(X509_CRL_free) X509_CRL *crl = NULL;
		CLEANUP(crl_info_deinit) struct crl_info info = {0};

		if (crl_parse(BYTES(crls[i].data, crls[i].len), &crl, NULL) < 0 || crl_info_read(crl, &info, NULL) < 0)
			continue;
		find_freshness(&info, i + 1, pointer, limits, findings);
		mark_covered(crl, cas, covered);
	}
	for (size_t i = 0; i < cas->len; i++)
		if (!covered[i])
			findings_add(findings, FINDING_WARNING, "ca-without-crl", pointer,
			             "certificate %zu (%.80s) has no CRL here while others have: every chain through it is refused", i + 1,
			             cas->items[i].info.subject);
	free(covered);
}

json_t *crl_render(struct field_output *out, const ProtobufCBinaryData *der)
{
	CLEANUP(X509_CRL_free) X509_CRL *crl = NULL;
	CLEANUP(crl_info_deinit) struct crl_info info = {0};
	json_t *block = output_json(out, json_object());
	int r;

	r = crl_parse(BYTES(der->data, der->len), &crl, NULL);
	if (r == 0)
		r = crl_info_read(crl, &info, NULL);
	out->failed = out->failed || r == E_NOMEM;
	if (r < 0)
		return block; /* it was good when it was let in; nothing is known of it now */
	output_set(out, block, "issuer", output_text(out, info.issuer));
	output_set(out, block, "this_update", output_time(out, info.this_update));
	if (info.next_update != INT64_MAX)
		output_set(out, block, "next_update", output_time(out, info.next_update));
	output_set(out, block, "revoked", output_json(out, json_integer((json_int_t)info.revoked)));
	return block;
}

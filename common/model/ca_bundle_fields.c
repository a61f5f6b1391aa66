/* SPDX-License-Identifier: Apache-2.0 */
/* CA bundles: certificates, and what their issuers have revoked. The x509 block in answers is an array here, one entry per certificate;
 * x509_crls, present when there are CRLs, has one entry per CRL. */
#include "model/crls.h"
#include "model/fields.h"

#define PEM_MAX (2048 * 1024) /* of either field; what both may have in DER is a rule of the body */
#define CERTS_MAX 1000
#define CRLS_MAX 1000

static void read_certs(struct field_input *in, const struct field *field, json_t *value, void *target)
{
	Tlsplane__CaBundle *bundle = target;

	if (field_read_pem(in, value, PEM_MAX, CERTS_MAX, &in->lists[CERT_LIST_CAS]))
		field_copy_ders(in, &in->lists[CERT_LIST_CAS], &bundle->n_certs, &bundle->certs);
}

static json_t *write_certs(struct field_output *out, const struct field *field, const void *source)
{
	const Tlsplane__CaBundle *bundle = source;

	return output_pem(out, bundle->certs, bundle->n_certs);
}

/* Each by its code: bytes that are no CRL, a kind that is not accepted, one that none of the CAs made. */
static void tell_why_crls_fail(struct field_input *in, int code, const struct error *reason)
{
	if (code == E_NOMEM)
		field_fail(in, error_nomem(in->err));
	else
		field_error(in,
		            code == E_SYNTAX      ? "invalid-pem"
		            : code == E_TOO_LARGE ? "too-many-crls"
		            : code == E_NOT_FOUND ? "foreign-crl"
		                                  : "unsupported-crl",
		            "%s", reason->text);
}

static void read_crls(struct field_input *in, const struct field *field, json_t *value, void *target)
{
	Tlsplane__CaBundle *bundle = target;
	const char *text = field_text(in, value);
	struct error reason = ERROR_NULL;
	int r;

	if (text == NULL)
		return;
	if (json_string_length(value) > PEM_MAX) {
		field_error(in, "too-large", "must be at most %d bytes of PEM", PEM_MAX);
		return;
	}
	r = crls_read_pem(BYTES(text, json_string_length(value)), CRLS_MAX, &in->lists[CERT_LIST_CAS], &bundle->n_crls, &bundle->crls,
	                  &reason);
	if (r < 0)
		tell_why_crls_fail(in, r, &reason);
}

static json_t *write_crls(struct field_output *out, const struct field *field, const void *source)
{
	const Tlsplane__CaBundle *bundle = source;
	CLEANUP(buf_deinit) struct buf text = BUF_NULL;

	if (bundle->n_crls == 0)
		return NULL;
	for (size_t i = 0; i < bundle->n_crls; i++)
		crl_put_pem(BYTES(bundle->crls[i].data, bundle->crls[i].len), &text);
	return output_json(out, text.failed ? NULL : json_stringn((const char *)text.data, text.len));
}

static json_t *write_x509(struct field_output *out, const struct field *field, const void *source)
{
	const struct cert_list *list = &out->lists[CERT_LIST_CAS];
	json_t *blocks = output_json(out, json_array());

	for (size_t i = 0; i < list->len && blocks != NULL; i++)
		output_append(out, blocks, output_json(out, cert_item_render(&list->items[i], 0)));
	return blocks;
}

static json_t *write_x509_crls(struct field_output *out, const struct field *field, const void *source)
{
	const Tlsplane__CaBundle *bundle = source;
	json_t *blocks = bundle->n_crls == 0 ? NULL : output_json(out, json_array());

	for (size_t i = 0; i < bundle->n_crls && blocks != NULL; i++)
		output_append(out, blocks, crl_render(out, &bundle->crls[i]));
	return blocks;
}

static int load_ca_bundle(struct field_output *out, struct error *err)
{
	const Tlsplane__CaBundle *bundle = (const Tlsplane__CaBundle *)out->body;

	return cert_list_load_ders(&out->lists[CERT_LIST_CAS], bundle->certs, bundle->n_certs, err);
}

static void find_ca_bundle_certs(const ProtobufCMessage *body, const struct cert_list *lists,
                                 const struct resource_limits *limits, struct findings *findings)
{
	const Tlsplane__CaBundle *bundle = (const Tlsplane__CaBundle *)body;

	cert_list_find_cas(&lists[CERT_LIST_CAS], "/certs", limits, findings);
	crls_find(bundle->crls, bundle->n_crls, &lists[CERT_LIST_CAS], "/crls", limits, findings);
}

/* A CRL is checked with the certificates, so "certs" stands before "crls". */
static const struct field ca_bundle_rows[] = {
	{"certs", read_certs, write_certs, .flags = FIELD_REQUIRED},
	{"crls", read_crls, write_crls},
	{"x509", NULL, write_x509, .flags = FIELD_SERVER},
	{"x509_crls", NULL, write_x509_crls, .flags = FIELD_SERVER},
};
static const struct field_table ca_bundle_table = FIELD_TABLE(ca_bundle_rows);

const struct resource_kind resource_ca_bundle = {
	.kind = KIND_CA_BUNDLE,
	.own = &ca_bundle_table,
	.is_placed = true,
	.is_described = true,
	.has_body = true,
	.load = load_ca_bundle,
	.find = find_ca_bundle_certs,
};

/* SPDX-License-Identifier: Apache-2.0 */
/* CA bundles. The x509 block in answers is an array here, one entry per certificate. */
#include "model/fields.h"

#define PEM_MAX (2048 * 1024) /* its DER is three quarters of that, which fits a frame of the channel */
#define CERTS_MAX 1000

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

static json_t *write_x509(struct field_output *out, const struct field *field, const void *source)
{
	const struct cert_list *list = &out->lists[CERT_LIST_CAS];
	json_t *blocks = output_json(out, json_array());

	for (size_t i = 0; i < list->len && blocks != NULL; i++)
		output_append(out, blocks, output_json(out, cert_item_render(&list->items[i], 0)));
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
	cert_list_find_cas(&lists[CERT_LIST_CAS], "/certs", limits, findings);
}

static const struct field ca_bundle_rows[] = {
	{"certs", read_certs, write_certs, .flags = FIELD_REQUIRED},
	{"x509", NULL, write_x509, .flags = FIELD_SERVER},
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

/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshot/refuse.h"

#include "model/body.h"
#include "model/kind.h"

#include <stdarg.h>
#include <stdio.h>

int refuse(struct snapshot_refusal *refusal, struct error *err, Tlsplane__NackCode code, const struct entry *entry,
           const char *field, const char *format, ...)
{
	const struct kind_info *kind = entry != NULL ? kind_find(entry->kind) : NULL;
	va_list args;

	*refusal = (struct snapshot_refusal){.code = code, .kind = entry != NULL ? (enum kind)entry->kind : (enum kind)0};
	snprintf(refusal->id, sizeof(refusal->id), "%s", entry != NULL ? entry->id : "");
	snprintf(refusal->field, sizeof(refusal->field), "%s", field);
	va_start(args, format);
	vsnprintf(refusal->reason, sizeof(refusal->reason), format, args);
	va_end(args);
	return error_set(err, E_REFUSED, "%s \"%s\"%s%s: %s", kind != NULL ? kind->noun : "update", refusal->id,
	                 field[0] != '\0' ? " " : "", field, refusal->reason);
}

int decode_checked(const struct entry *entry, ProtobufCMessage **ret, struct snapshot_refusal *refusal,
                   struct error *err)
{
	CLEANUP(body_free) ProtobufCMessage *body = NULL;
	struct error why = ERROR_NULL;
	char pointer[256] = "";
	int r;

	r = body_decode(kind_find(entry->kind)->body, entry->body, &body, &why);
	if (r == E_NOMEM)
		return error_nomem(err);
	if (r < 0)
		return refuse(refusal, err,
		              r == E_INVALID ? TLSPLANE__NACK_CODE__NACK_UNKNOWN : TLSPLANE__NACK_CODE__NACK_UNDECODABLE, entry,
		              "", "%s", why.text);
	r = body_check(entry->kind, body, pointer, &why);
	if (r == E_NOMEM)
		return error_nomem(err);
	if (r < 0)
		return refuse(refusal, err, TLSPLANE__NACK_CODE__NACK_UNKNOWN, entry, pointer, "%s", why.text);
	*ret = TAKE_PTR(body);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Writing what stands beside the objects: audit rows of refused writes, what the channel learned about agents. */
#include "store/writer.h"

#include <assert.h>

static const char *or_empty(const char *text)
{
	return text != NULL ? text : "";
}

int store_audit(struct store_writer *writer, const struct store_author *author, const char *action, const char *outcome,
                struct error *err)
{
	int code;

	assert(writer->state == WRITER_OPEN);
	code = writer_check(writer, err);
	if (code != 0)
		return code;
	return statement_run(&writer->reader.database, STMT_AUDIT_PUT, err, V_INT(author->now),
	                     V_TEXT(or_empty(author->actor)), V_TEXT(or_empty(author->request_id)),
	                     V_TEXT(or_empty(author->source)), V_TEXT(action), V_TEXT(outcome), V_NULL);
}

int store_put_agent_status(struct store_writer *writer, const struct store_agent_status *status, struct error *err)
{
	int code;

	assert(writer->state == WRITER_OPEN);
	code = writer_check(writer, err);
	if (code != 0)
		return code;
	return statement_run(&writer->reader.database, STMT_STATUS_PUT, err, V_TEXT(status->id), V_INT(status->last_seen),
	                     V_INT(status->last_ack_time), V_INT(status->acked.epoch), V_INT(status->acked.number),
	                     V_TEXT(status->report), V_INT(KIND_AGENT));
}

int store_agent_id_is_used(struct store_writer *writer, const char *id, bool *ret, struct error *err)
{
	CLEANUP(statement_end) struct statement statement = {0};
	int code =
		statement_start(&statement, &writer->reader.database, STMT_ID_WAS_USED, err, V_INT(KIND_AGENT), V_TEXT(id));

	return code == 0 ? statement_step(&statement, ret, err) : code;
}

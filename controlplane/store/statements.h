/* SPDX-License-Identifier: Apache-2.0 */
/* Every SQL statement of the store in one table, prepared once per connection. tests/unit/store/test_plans.c asks
 * SQLite how it would run each and fails on a scan that is not marked as wanted here. Internal to the store. */
#pragma once

#include <stdbool.h>

enum statement_id {
	STMT_BEGIN_READ,
	STMT_BEGIN_WRITE,
	STMT_COMMIT,
	STMT_ROLLBACK,
	STMT_SAVEPOINT,
	STMT_SAVEPOINT_UNDO,
	STMT_SAVEPOINT_RELEASE,
	STMT_META_GET,
	STMT_META_PUT,
	STMT_TOKEN_FIND,
	STMT_TOKEN_PUT,
	STMT_HEAD,
	STMT_REVISION_GET,
	STMT_REVISION_LIST,
	STMT_REVISION_PUT,
	STMT_GET,
	STMT_GET_AT,
	STMT_NEWEST,
	STMT_LIST,
	STMT_LIST_AT,
	STMT_COUNT,
	STMT_TALLY,
	STMT_CLOSE_STATE,
	STMT_PUT_STATE,
	STMT_CHANGE_PUT,
	STMT_CHANGED_IDS,
	STMT_SELECTOR_GET,
	STMT_SELECTOR_PUT,
	STMT_SELECTOR_ALL,
	STMT_SELECTOR_SINCE,
	STMT_SCAN_SELECTOR,
	STMT_SCAN_REMOVED,
	STMT_SCAN_PUT,
	STMT_COUNT_PUT,
	STMT_REF_PUT,
	STMT_REF_DELETE,
	STMT_REFERRERS,
	STMT_REFERRERS_OF_KIND,
	STMT_NEXT_REFERRED,
	STMT_DEMAND_PUT,
	STMT_DEMAND_DELETE,
	STMT_DEMANDS,
	STMT_DEMAND_GET,
	STMT_NAME_PUT,
	STMT_NAME_DELETE,
	STMT_BY_NAME,
	STMT_BIND_PUT,
	STMT_BIND_DELETE,
	STMT_LISTENERS,
	STMT_BY_PORT,
	STMT_AUDIT_PUT,
	STMT_STATUS_GET,
	STMT_STATUS_PUT,
	STMT_STATUS_DELETE,
	STMT_ID_WAS_USED,
	STMT_COUNT_, /* not a statement: size of the table */
};

struct statement_text {
	const char *sql;
	bool reads_all; /* reading a whole table is what it is for */
};

extern const struct statement_text statement_table[STMT_COUNT_];

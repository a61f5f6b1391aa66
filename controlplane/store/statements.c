/* SPDX-License-Identifier: Apache-2.0 */
/* The table of statements. A state is valid at revision N when from_rev <= N and (to_rev is NULL or to_rev > N). */
#include "store/statements.h"

/* In the order that row_load (read_rows.c) takes them. */
#define ROW_OF(table)                                                                                                  \
	table "row_id, " table "kind, " table "id, " table "uid, " table "epoch, " table "from_rev, " table "to_rev, " table   \
	      "enabled, " table "selector, " table "labels, " table "descr, " table "body, " table "secret, " table        \
	      "create_time, " table "update_time"
#define ROW ROW_OF("")

/* In the order that token_load (read_access.c) takes them. */
#define TOKEN "name, sha256, role, scope, descr, created_by, create_time, expire_time, used_time, used_from"

#define AUDIT "row_id, time, actor, request_id, source, action, outcome, revision," \
              " (SELECT epoch FROM revision WHERE number = audit.revision)"

#define RECEIPT "request, time, epoch, revision, changed, created, kind, id, warnings, sealed"

#define REVISION "number, epoch, time, chain, actor, request_id, source, summary, changes"

/* States that selector ?1 held and that ended; the last column: is it a removal between ?2 and ?3, that is, valid at ?2, and nothing of the
 * same id is in the selector at ?3? */
#define ENDED                                                                                                          \
	"SELECT " ROW_OF("o.") ", CASE WHEN o.from_rev <= ?2 THEN NOT ifnull((SELECT n.held = 1 AND n.selector = ?1"           \
	                       " AND (n.to_rev IS NULL OR n.to_rev > ?3) FROM object n WHERE n.kind = o.kind AND n.id = o.id" \
	                       " AND n.from_rev <= ?3 ORDER BY n.from_rev DESC LIMIT 1), 0) ELSE 0 END"                       \
	                       " FROM object o WHERE o.selector = ?1 AND o.held = 1"

const struct statement_text statement_table[STMT_COUNT_] = {
    [STMT_BEGIN_READ] = {"BEGIN DEFERRED", false},
    [STMT_BEGIN_WRITE] = {"BEGIN IMMEDIATE", false},
    [STMT_COMMIT] = {"COMMIT", false},
    [STMT_ROLLBACK] = {"ROLLBACK", false},
    [STMT_SAVEPOINT] = {"SAVEPOINT revision", false},
    [STMT_SAVEPOINT_UNDO] = {"ROLLBACK TO revision", false},
    [STMT_SAVEPOINT_RELEASE] = {"RELEASE revision", false},

    [STMT_META_GET] = {"SELECT value FROM meta WHERE key = ?1", false},
    [STMT_META_PUT] = {"INSERT INTO meta (key, value) VALUES (?1, ?2)", false},
    [STMT_META_SET] = {"INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2", false},
    [STMT_META_UPDATE] = {"UPDATE meta SET value = ?2 WHERE key = ?1", false},
    [STMT_META_DELETE] = {"DELETE FROM meta WHERE key = ?1", false},
    [STMT_TOKEN_FIND] = {"SELECT " TOKEN " FROM token WHERE sha256 = ?1", false},
    [STMT_TOKEN_GET] = {"SELECT " TOKEN " FROM token WHERE name = ?1", false},
    [STMT_TOKEN_LIST] = {"SELECT " TOKEN " FROM token WHERE name > ?1 ORDER BY name LIMIT ?2", false},
    [STMT_TOKEN_OTHER] = {"SELECT 1 FROM token WHERE role = ?1 AND expire_time IS NULL AND name <> ?2 LIMIT 1", false},
    [STMT_TOKEN_PUT] = {"INSERT INTO token (" TOKEN ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)", false},
    [STMT_TOKEN_DELETE] = {"DELETE FROM token WHERE name = ?1", false},
    [STMT_TOKEN_USED] = {"UPDATE token SET used_time = ?2, used_from = ?3 WHERE sha256 = ?1", false},

    [STMT_HEAD] = {"SELECT " REVISION " FROM revision WHERE number = (SELECT max(number) FROM revision)", false},
    [STMT_REVISION_GET] = {"SELECT " REVISION " FROM revision WHERE number = ?1", false},
    [STMT_REVISION_LIST] = {"SELECT " REVISION " FROM revision WHERE number < ?1 ORDER BY number DESC LIMIT ?2", false},
    [STMT_REVISION_AFTER] = {"SELECT " REVISION " FROM revision WHERE number > ?1 ORDER BY number LIMIT ?2", false},
    [STMT_REVISION_OF_ACTOR] = {"SELECT " REVISION " FROM revision WHERE actor = ?3 AND number < ?1 ORDER BY number DESC LIMIT ?2",
                                false},
    [STMT_REVISION_OF_ACTOR_AFTER] = {"SELECT " REVISION " FROM revision WHERE actor = ?3 AND number > ?1 ORDER BY number LIMIT ?2",
                                      false},
    [STMT_STATE_SPANS] = {"SELECT from_rev, to_rev FROM object WHERE kind = ?1 AND id = ?2 AND from_rev < ?3 ORDER BY from_rev DESC",
                          false},
    [STMT_CHANGE_WALK] = {"SELECT revision, kind, id FROM change WHERE (revision, kind, id) > (?1, ?2, ?3) AND revision <= ?4"
                          " ORDER BY revision, kind, id LIMIT ?5",
                          false},
    /* When what was valid at ?3 ended, or, if nothing was, when the next began. */
    [STMT_CHANGED_FIRST] = {"SELECT min(changed) FROM (SELECT to_rev AS changed FROM (SELECT to_rev FROM object WHERE kind = ?1 AND id = ?2"
                            " AND from_rev <= ?3 ORDER BY from_rev DESC LIMIT 1) WHERE to_rev > ?3 UNION ALL "
                            "SELECT (SELECT from_rev FROM object WHERE kind = ?1 AND id = ?2 AND from_rev > ?3"
                            " ORDER BY from_rev LIMIT 1))",
                            false},
    [STMT_REVISION_PUT] = {"INSERT INTO revision (" REVISION ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)", false},

    [STMT_GET] = {"SELECT " ROW " FROM object WHERE kind = ?1 AND id = ?2 AND to_rev IS NULL", false},
    [STMT_GET_AT] = {"SELECT " ROW " FROM (SELECT * FROM object WHERE kind = ?1 AND id = ?2 AND from_rev <= ?3"
                     " ORDER BY from_rev DESC LIMIT 1) WHERE to_rev IS NULL OR to_rev > ?3",
                     false},
    [STMT_GET_ROW] = {"SELECT " ROW ", facets FROM object WHERE row_id = ?1", false},
    [STMT_NEWEST] = {"SELECT " ROW ", held, digest FROM object WHERE kind = ?1 AND id = ?2 ORDER BY from_rev DESC LIMIT 1",
                     false},
    [STMT_LIST] = {"SELECT " ROW " FROM object WHERE kind = ?1 AND id > ?2 AND to_rev IS NULL ORDER BY id LIMIT ?3", false},
    [STMT_LIST_AT] = {"SELECT " ROW ", facets FROM object WHERE kind = ?1 AND id > ?2 AND from_rev <= ?4"
                      " AND (to_rev IS NULL OR to_rev > ?4) ORDER BY id LIMIT ?3",
                      false},
    [STMT_COUNT] = {"SELECT objects FROM tally WHERE kind = ?1", false},
    [STMT_TALLY] = {"INSERT INTO tally (kind, objects) VALUES (?1, max(?2, 0))"
                    " ON CONFLICT (kind) DO UPDATE SET objects = objects + ?2",
                    false},
    [STMT_CLOSE_STATE] = {"UPDATE object SET to_rev = ?2 WHERE row_id = ?1", false},
    [STMT_PUT_STATE] = {"INSERT INTO object (kind, id, uid, epoch, from_rev, enabled, held, selector, labels, descr, body, secret,"
                        " digest, create_time, update_time, facets)"
                        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
                        false},
    [STMT_CHANGE_PUT] = {"INSERT INTO change (revision, kind, id) VALUES (?1, ?2, ?3)", false},
    [STMT_CHANGED_IDS] = {"SELECT id FROM change WHERE revision > ?1 AND kind = ?2", false},

    /* Two leaves may have one issuer. */
    [STMT_FACET_PUT] = {"INSERT INTO facet (kind, name, value, id, row_id) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING", false},
    [STMT_FACET_DELETE] = {"DELETE FROM facet WHERE kind = ?1 AND name = ?2 AND value = ?3 AND id = ?4 AND row_id = ?5", false},
    [STMT_FACET_COUNT] = {"SELECT count(*) FROM (SELECT 1 FROM facet WHERE kind = ?1 AND name = ?2 AND value = ?3 LIMIT ?4)", false},
    [STMT_FACET_COUNT_BELOW] = {"SELECT count(*) FROM (SELECT 1 FROM facet WHERE kind = ?1 AND name = ?2 AND value < ?3 LIMIT ?4)",
                                false},
    /* The rows that have one of three values, by id: three ordered scans, merged. What is not wanted is NULL and equals nothing. */
    [STMT_FACET_ROWS] = {"SELECT id, row_id, 0 FROM facet WHERE kind = ?1 AND name = ?2 AND value = ?3 AND id > ?6 UNION ALL "
                         "SELECT id, row_id, 0 FROM facet WHERE kind = ?1 AND name = ?2 AND value = ?4 AND id > ?6 UNION ALL "
                         "SELECT id, row_id, 0 FROM facet WHERE kind = ?1 AND name = ?2 AND value = ?5 AND id > ?6 ORDER BY 1, 2",
                         false},
    [STMT_FACET_RISING] = {"SELECT id, row_id, value FROM facet WHERE kind = ?1 AND name = ?2 AND (value, id) > (?3, ?4)"
                           " ORDER BY value, id, row_id",
                           false},
    [STMT_FACET_FALLING] = {"SELECT id, row_id, value FROM facet WHERE kind = ?1 AND name = ?2 AND (value, id) < (?3, ?4)"
                            " ORDER BY value DESC, id DESC, row_id DESC",
                            false},
    [STMT_FACET_MISSING] = {"SELECT " ROW " FROM object WHERE row_id > ?1 AND facets IS NULL ORDER BY row_id LIMIT ?2", false},
    [STMT_REVISION_YOUNG] = {"SELECT number FROM revision WHERE number > ?1 AND number <= ?3 AND time >= ?2"
                             " ORDER BY number LIMIT 1",
                             false},
    [STMT_ENDED_FIRST] = {"SELECT " ROW ", facets FROM object WHERE to_rev > ?1 AND to_rev <= ?2 AND kind < ?3"
                          " ORDER BY to_rev LIMIT 1",
                          false},
    [STMT_STATE_DELETE] = {"DELETE FROM object WHERE row_id = ?1", false},
    [STMT_SECRETS_PURGE] = {"UPDATE object SET secret = NULL WHERE kind = ?1 AND id = ?2 AND to_rev IS NOT NULL AND secret IS NOT NULL",
                            false},
    [STMT_CHANGES_DELETE] = {"DELETE FROM change WHERE (revision, kind, id) IN"
                             " (SELECT revision, kind, id FROM change WHERE revision <= ?1 ORDER BY revision, kind, id LIMIT ?2)",
                             false},
    [STMT_FACET_FILL] = {"UPDATE object SET facets = ?2 WHERE row_id = ?1", false},

    [STMT_SELECTOR_GET] = {"SELECT digest, objects FROM selector WHERE selector = ?1", false},
    [STMT_SELECTOR_PUT] = {"INSERT INTO selector (selector, digest, objects, changed) VALUES (?1, ?2, ?3, ?4)"
                           " ON CONFLICT (selector) DO UPDATE SET digest = ?2, objects = ?3, changed = ?4",
                           false},
    [STMT_SELECTOR_ALL] = {"SELECT selector, digest, objects, changed FROM selector", true},
    [STMT_SELECTOR_SINCE] = {"SELECT selector, digest, objects, changed FROM selector WHERE changed > ?1", false},

    /* What is current and old enough, and what has ended since: the cost is that of the content, not of its history. */
    [STMT_SCAN_SELECTOR] = {"SELECT " ROW " FROM object WHERE selector = ?1 AND held = 1 AND to_rev IS NULL"
                            " AND row_id > ?3 AND from_rev <= ?2 UNION ALL "
                            "SELECT " ROW " FROM object WHERE selector = ?1 AND held = 1 AND to_rev > ?2"
                            " AND row_id > ?3 AND from_rev <= ?2 ORDER BY row_id LIMIT ?4",
                            false},
    [STMT_SCAN_ENDED_AT] = {ENDED " AND o.to_rev = ?4 AND o.row_id > ?6 ORDER BY o.row_id LIMIT ?5", false},
    [STMT_SCAN_ENDED_AFTER] = {ENDED " AND o.to_rev > ?4 AND o.to_rev <= ?3 ORDER BY o.to_rev, o.row_id LIMIT ?5", false},
    [STMT_ENDED_AT] = {"SELECT to_rev FROM object WHERE row_id = ?1", false},
    /* What began in (?2, ?3] and is still valid at ?3; both columns of the order grow together. */
    [STMT_SCAN_PUT] = {"SELECT " ROW " FROM object WHERE selector = ?1 AND held = 1 AND from_rev > ?2 AND from_rev <= ?3"
                       " AND (to_rev IS NULL OR to_rev > ?3) ORDER BY from_rev, row_id",
                       false},

    [STMT_REF_PUT] = {"INSERT INTO ref (from_kind, from_id, pointer, to_kind, to_id) VALUES (?1, ?2, ?3, ?4, ?5)", false},
    [STMT_REF_DELETE] = {"DELETE FROM ref WHERE from_kind = ?1 AND from_id = ?2", false},
    [STMT_REFERRERS] = {"SELECT " ROW_OF("o.") ", r.pointer FROM ref r CROSS JOIN object o ON o.kind = r.from_kind"
                        " AND o.id = r.from_id AND o.to_rev IS NULL WHERE r.to_kind = ?1 AND r.to_id = ?2",
                        false},
    [STMT_REFERRERS_OF_KIND] = {"SELECT " ROW_OF("o.") ", r.pointer FROM ref r CROSS JOIN object o ON o.kind = r.from_kind"
                                " AND o.id = r.from_id AND o.to_rev IS NULL WHERE r.to_kind = ?1 AND r.to_id = ?2"
                                " AND r.from_kind = ?3",
                                false},
    [STMT_NEXT_REFERRED] = {"SELECT to_id FROM ref WHERE to_kind = ?1 AND to_id > ?2 ORDER BY to_id LIMIT 1", false},
    [STMT_DEMAND_PUT] = {"INSERT INTO demand (id, bits) VALUES (?1, ?2)", false},
    [STMT_DEMAND_DELETE] = {"DELETE FROM demand WHERE id = ?1", false},
    [STMT_DEMANDS] = {"SELECT id, bits FROM demand", true}, /* few: every row is wanted */
    [STMT_DEMAND_GET] = {"SELECT bits FROM demand WHERE id = ?1", false},
    [STMT_PATTERN_PUT] = {"INSERT INTO pattern (id, pattern) VALUES (?1, ?2)", false},
    [STMT_PATTERN_DELETE] = {"DELETE FROM pattern WHERE id = ?1", false},
    [STMT_BY_PATTERN] = {"SELECT " ROW_OF("o.") " FROM pattern p CROSS JOIN object o ON o.kind = ?2 AND o.id = p.id"
                         " AND o.to_rev IS NULL WHERE p.pattern = ?1",
                         false},
    [STMT_ANYWHERE_PUT] = {"INSERT INTO anywhere (id) VALUES (?1)", false},
    [STMT_ANYWHERE_DELETE] = {"DELETE FROM anywhere WHERE id = ?1", false},
    /* Whoever walks it stops early (rules_route.c). */
    [STMT_ANYWHERE] = {"SELECT " ROW_OF("o.") " FROM anywhere a CROSS JOIN object o ON o.kind = ?1 AND o.id = a.id"
                       " AND o.to_rev IS NULL",
                       true},
    [STMT_NAME_PUT] = {"INSERT INTO name (id, name) VALUES (?1, ?2)", false},
    [STMT_NAME_DELETE] = {"DELETE FROM name WHERE id = ?1", false},
    [STMT_BY_NAME] = {"SELECT " ROW_OF("o.") " FROM name n CROSS JOIN object o ON o.kind = ?2 AND o.id = n.id"
                      " AND o.to_rev IS NULL WHERE n.name = ?1",
                      false},
    [STMT_BIND_PUT] = {"INSERT INTO bind (id, port, selector, host, bare) VALUES (?1, ?2, ?3, ?4, ?5)", false},
    [STMT_BIND_DELETE] = {"DELETE FROM bind WHERE id = ?1", false},
    /* Whoever walks it stops early (rules_lax.c). */
    [STMT_LISTENERS] = {"SELECT " ROW_OF("o.") " FROM bind b CROSS JOIN object o ON o.kind = ?1 AND o.id = b.id"
                        " AND o.to_rev IS NULL",
                        true},
    [STMT_BARE_LISTENERS] = {"SELECT " ROW_OF("o.") " FROM bind b CROSS JOIN object o ON o.kind = ?1 AND o.id = b.id"
                             " AND o.to_rev IS NULL WHERE b.bare = 1",
                             true},
    [STMT_BY_PORT] = {"SELECT id, selector, host FROM bind WHERE port = ?1", false},

    [STMT_AUDIT_PUT] = {"INSERT INTO audit (time, actor, request_id, source, action, outcome, revision)"
                        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                        false},
    [STMT_AUDIT_LIST] = {"SELECT " AUDIT " FROM audit WHERE row_id > ?1 ORDER BY row_id", false},
    [STMT_AUDIT_OF_ACTOR] = {"SELECT " AUDIT " FROM audit WHERE actor = ?2 AND row_id > ?1 ORDER BY row_id", false},
    [STMT_AUDIT_OF_OUTCOME] = {"SELECT " AUDIT " FROM audit WHERE outcome = ?2 AND row_id > ?1 ORDER BY row_id", false},
    [STMT_AUDIT_SINCE] = {"SELECT min(row_id) FROM audit WHERE time >= ?1", false},
    [STMT_RECEIPT_GET] = {"SELECT " RECEIPT " FROM receipt WHERE token = ?1 AND key = ?2 AND time >= ?3", false},
    [STMT_RECEIPT_NUMBER] = {"SELECT number FROM receipt WHERE token = ?1 ORDER BY number DESC LIMIT 1", false},
    [STMT_RECEIPT_PUT] = {"INSERT OR REPLACE INTO receipt (token, key, number, " RECEIPT ")"
                          " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
                          false},
    [STMT_RECEIPT_PRUNE] = {"DELETE FROM receipt WHERE token = ?1 AND number <= ?2", false},
    [STMT_RECEIPT_EXPIRED] = {"SELECT token, key FROM receipt WHERE time < ?1 ORDER BY time LIMIT 1", false},
    [STMT_RECEIPT_DELETE] = {"DELETE FROM receipt WHERE token = ?1 AND key = ?2", false},
    [STMT_RECEIPT_DELETE_ALL] = {"DELETE FROM receipt WHERE token = ?1", false},
    [STMT_STATUS_GET] = {"SELECT last_seen, last_ack_time, acked_epoch, acked_revision, report FROM agent_status WHERE id = ?1",
                         false},
    /* Not for an agent that was revoked meanwhile. */
    [STMT_STATUS_PUT] = {"INSERT INTO agent_status (id, last_seen, last_ack_time, acked_epoch, acked_revision, report)"
                         " SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE EXISTS"
                         " (SELECT 1 FROM object WHERE kind = ?7 AND id = ?1 AND to_rev IS NULL)"
                         " ON CONFLICT (id) DO UPDATE SET last_seen = ?2, last_ack_time = ?3, acked_epoch = ?4,"
                         " acked_revision = ?5, report = ?6",
                         false},
    [STMT_STATUS_DELETE] = {"DELETE FROM agent_status WHERE id = ?1", false},
    [STMT_ID_WAS_USED] = {"SELECT 1 FROM object WHERE kind = ?1 AND id = ?2 LIMIT 1", false},

    [STMT_SSL_BODIES] = {"SELECT body FROM object WHERE selector = ?1 AND kind = ?2 AND held = 1 AND to_rev IS NULL", false},
    [STMT_TICKET_ALL] = {"SELECT selector, number, name, sealed, made, encrypt_from, encrypt_until, decrypt_until, lost"
                         " FROM ticket_key ORDER BY selector, number",
                         true},
    [STMT_TICKET_LOST] = {"SELECT selector, number FROM ticket_key WHERE lost = 1", true},
    [STMT_TICKET_NUMBER_AFTER] = {"SELECT number FROM ticket_key WHERE selector = ?1 AND number > ?2 ORDER BY number LIMIT 1",
                                  false},
    [STMT_TICKET_SELECTOR_AFTER] = {"SELECT selector FROM ticket_key WHERE selector >= ?1 AND selector > ?2 AND selector < ?3"
                                    " ORDER BY selector LIMIT 1",
                                    false},
    [STMT_TICKET_PUT] = {"INSERT INTO ticket_key (selector, number, name, sealed, made, encrypt_from, encrypt_until, decrypt_until)"
                         " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                         false},
    [STMT_TICKET_UPDATE] = {"UPDATE ticket_key SET encrypt_from = ?3, encrypt_until = ?4, decrypt_until = ?5"
                            " WHERE selector = ?1 AND number = ?2",
                            false},
    [STMT_TICKET_DELETE] = {"DELETE FROM ticket_key WHERE selector = ?1 AND number = ?2", false},
    [STMT_TICKET_LOSE] = {"UPDATE ticket_key SET lost = 1 WHERE selector = ?1", false},

    [STMT_KEY_ALL] = {"SELECT id, fingerprint, made FROM sealing_key", true},
    [STMT_KEY_PUT] = {"INSERT INTO sealing_key (id, fingerprint, made) VALUES (?1, ?2, ?3)"
                      " ON CONFLICT (id) DO UPDATE SET fingerprint = ?2, made = ?3",
                      false},
    [STMT_KEY_DELETE] = {"DELETE FROM sealing_key WHERE id = ?1", false},
    [STMT_SEALED_OBJECTS] = {"SELECT count(*) FROM object WHERE sealed_by = ?1", false},
    [STMT_SEALED_OBJECT_AFTER] = {"SELECT row_id, kind, id, uid, from_rev, secret FROM object WHERE sealed_by = ?1 AND row_id > ?2"
                                  " ORDER BY row_id LIMIT 1",
                                  false},
    [STMT_OBJECT_RESEAL] = {"UPDATE object SET secret = ?2 WHERE row_id = ?1", false},
    [STMT_SEALED_TICKETS] = {"SELECT count(*) FROM ticket_key WHERE sealed_by = ?1", false},
    [STMT_SEALED_TICKET] = {"SELECT selector, number, name, sealed FROM ticket_key WHERE sealed_by = ?1 LIMIT 1", false},
    [STMT_TICKET_RESEAL] = {"UPDATE ticket_key SET sealed = ?3 WHERE selector = ?1 AND number = ?2", false},
    [STMT_SEALED_RECEIPTS] = {"SELECT count(*) FROM receipt WHERE sealed_by = ?1", false},
    [STMT_SEALED_RECEIPT] = {"SELECT token, key, sealed FROM receipt WHERE sealed_by = ?1 LIMIT 1", false},
    [STMT_RECEIPT_RESEAL] = {"UPDATE receipt SET sealed = ?3 WHERE token = ?1 AND key = ?2", false},
};

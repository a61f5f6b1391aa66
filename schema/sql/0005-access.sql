-- SPDX-License-Identifier: Apache-2.0
-- Who may do what, what was refused, what was answered before.

-- Tokens with a role, what they are confined to, an end. What stands here from before is the admin token of the first start.
ALTER TABLE token ADD COLUMN role TEXT NOT NULL DEFAULT 'admin'; -- admin, editor, viewer, enroller
ALTER TABLE token ADD COLUMN scope TEXT; -- compact JSON; NULL: none
ALTER TABLE token ADD COLUMN descr TEXT;
ALTER TABLE token ADD COLUMN created_by TEXT NOT NULL DEFAULT 'tlsplane';
ALTER TABLE token ADD COLUMN expire_time INTEGER; -- NULL: never
ALTER TABLE token ADD COLUMN used_time INTEGER; -- lazily written
ALTER TABLE token ADD COLUMN used_from TEXT;
CREATE UNIQUE INDEX token_name ON token (name);
-- Those that never expire, by role: is there another admin?
CREATE INDEX token_lasting ON token (role, name) WHERE expire_time IS NULL;

CREATE INDEX audit_actor ON audit (actor, row_id);
CREATE INDEX audit_outcome ON audit (outcome, row_id);
CREATE INDEX audit_time ON audit (time);

-- What a POST with an Idempotency-Key did, written in its transaction, so that the same request again is answered and not done again.
CREATE TABLE receipt (
	token BLOB NOT NULL CHECK (length(token) = 32), -- token.sha256
	key TEXT NOT NULL,
	number INTEGER NOT NULL, -- age among those of this token, rising
	request BLOB NOT NULL CHECK (length(request) = 32), -- SHA-256 over method, path, query, body
	time INTEGER NOT NULL,
	epoch INTEGER NOT NULL, -- with revision: the one that was made, or the head when nothing changed
	revision INTEGER NOT NULL,
	changed INTEGER NOT NULL,
	created INTEGER NOT NULL,
	kind INTEGER, -- the object that was answered; NULL: none
	id TEXT,
	warnings TEXT, -- JSON array; NULL: none
	sealed BLOB, -- what was told once
	sealed_by BLOB GENERATED ALWAYS AS (substr(sealed, 2, 4)) VIRTUAL,
	PRIMARY KEY (token, key)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX receipt_number ON receipt (token, number);
CREATE INDEX receipt_time ON receipt (time);
CREATE INDEX receipt_sealed_by ON receipt (sealed_by) WHERE sealed_by IS NOT NULL;

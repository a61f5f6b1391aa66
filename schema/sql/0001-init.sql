-- SPDX-License-Identifier: Apache-2.0
-- The store of the control plane. One file per migration, in order; PRAGMA user_version is the number of the last one applied.
-- A released file never changes. Times are unix seconds.

-- 'keyring': fingerprint of the keyring that sealed this store; 'ca_cert': DER; 'ca_key': PKCS#8 DER, sealed.
CREATE TABLE meta (
	key TEXT PRIMARY KEY,
	value ANY NOT NULL
) STRICT, WITHOUT ROWID;

-- One row per accepted change. Numbers go on across epochs, so `number` alone orders this store's history.
CREATE TABLE revision (
	number INTEGER PRIMARY KEY,
	epoch INTEGER NOT NULL,
	time INTEGER NOT NULL,
	chain BLOB NOT NULL CHECK (length(chain) = 32),
	actor TEXT NOT NULL,
	request_id TEXT NOT NULL,
	source TEXT NOT NULL,
	summary TEXT NOT NULL,
	changes INTEGER NOT NULL
) STRICT;

-- One row per state of an object, valid from from_rev until before to_rev (NULL: current). epoch is that of from_rev. A state is
-- held (1) when some agent may hold it: its kind travels and it is enabled.
CREATE TABLE object (
	row_id INTEGER PRIMARY KEY,
	kind INTEGER NOT NULL,
	id TEXT NOT NULL,
	uid BLOB NOT NULL CHECK (length(uid) = 20),
	epoch INTEGER NOT NULL,
	from_rev INTEGER NOT NULL,
	to_rev INTEGER CHECK (to_rev > from_rev),
	enabled INTEGER NOT NULL,
	held INTEGER NOT NULL,
	selector TEXT NOT NULL,
	labels TEXT,
	descr TEXT,
	body BLOB NOT NULL,
	secret BLOB,
	digest BLOB NOT NULL CHECK (length(digest) = 32),
	create_time INTEGER NOT NULL,
	update_time INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX object_current ON object (kind, id) WHERE to_rev IS NULL;
CREATE UNIQUE INDEX object_history ON object (kind, id, from_rev);
-- A selector's content now (paged by row_id), what began after a revision, what ended after one.
CREATE INDEX object_held_now ON object (selector) WHERE held = 1 AND to_rev IS NULL;
CREATE INDEX object_held_from ON object (selector, from_rev) WHERE held = 1;
CREATE INDEX object_held_to ON object (selector, to_rev) WHERE held = 1 AND to_rev IS NOT NULL;

-- Which objects a revision changed, for what follows the newest changes.
CREATE TABLE change (
	revision INTEGER NOT NULL,
	kind INTEGER NOT NULL,
	id TEXT NOT NULL,
	PRIMARY KEY (revision, kind, id)
) STRICT, WITHOUT ROWID;

-- Current objects per kind, so that counting never scans.
CREATE TABLE tally (
	kind INTEGER PRIMARY KEY,
	objects INTEGER NOT NULL CHECK (objects >= 0)
) STRICT;

-- Per selector that has or had objects: the digest of its held, current objects.
CREATE TABLE selector (
	selector TEXT PRIMARY KEY,
	digest BLOB NOT NULL CHECK (length(digest) = 32),
	objects INTEGER NOT NULL CHECK (objects >= 0),
	changed INTEGER NOT NULL -- the revision that touched it last
) STRICT, WITHOUT ROWID;
CREATE INDEX selector_changed ON selector (changed);

-- What current objects refer to.
CREATE TABLE ref (
	from_kind INTEGER NOT NULL,
	from_id TEXT NOT NULL,
	pointer TEXT NOT NULL,
	to_kind INTEGER NOT NULL,
	to_id TEXT NOT NULL,
	PRIMARY KEY (from_kind, from_id, pointer)
) STRICT, WITHOUT ROWID;
CREATE INDEX ref_target ON ref (to_kind, to_id, from_kind, from_id, pointer);

-- Names of current, enabled SSL objects.
CREATE TABLE name (
	id TEXT NOT NULL,
	name TEXT NOT NULL,
	PRIMARY KEY (id, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX name_name ON name (name, id);

-- Current, enabled TLS options that demand a certificate of clients.
CREATE TABLE demand (
	id TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- Where current, enabled listeners listen; the index alone answers who would collide.
CREATE TABLE bind (
	id TEXT PRIMARY KEY,
	port INTEGER NOT NULL,
	selector TEXT NOT NULL,
	host TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX bind_port ON bind (port, selector, host, id);

-- Admin tokens: only the SHA-256 of the token's text.
CREATE TABLE token (
	sha256 BLOB PRIMARY KEY CHECK (length(sha256) = 32),
	name TEXT NOT NULL,
	create_time INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Who did or tried what. revision: NULL when none was made.
CREATE TABLE audit (
	row_id INTEGER PRIMARY KEY,
	time INTEGER NOT NULL,
	actor TEXT NOT NULL,
	request_id TEXT NOT NULL,
	source TEXT NOT NULL,
	action TEXT NOT NULL,
	outcome TEXT NOT NULL,
	revision INTEGER
) STRICT;

CREATE TRIGGER audit_keep_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END;
CREATE TRIGGER audit_keep_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END;
CREATE TRIGGER revision_keep_update BEFORE UPDATE ON revision BEGIN SELECT RAISE(ABORT, 'history is append-only'); END;
CREATE TRIGGER revision_keep_delete BEFORE DELETE ON revision BEGIN SELECT RAISE(ABORT, 'history is append-only'); END;

-- What the channel learned about agents; no part of history.
CREATE TABLE agent_status (
	id TEXT PRIMARY KEY,
	last_seen INTEGER NOT NULL,
	last_ack_time INTEGER NOT NULL,
	acked_epoch INTEGER NOT NULL,
	acked_revision INTEGER NOT NULL,
	report TEXT
) STRICT, WITHOUT ROWID;

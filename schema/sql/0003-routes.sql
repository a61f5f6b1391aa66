-- SPDX-License-Identifier: Apache-2.0
-- What finds routes, and what is asked of clients in five modes.

-- Patterns of current, enabled routes.
CREATE TABLE pattern (
	id TEXT NOT NULL,
	pattern TEXT NOT NULL,
	PRIMARY KEY (id, pattern)
) STRICT, WITHOUT ROWID;
CREATE INDEX pattern_pattern ON pattern (pattern, id);

-- Current, enabled routes that name no listener and so hold for all.
CREATE TABLE anywhere (
	id TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- Bits of resource.h: a certificate is asked for (1), demanded (2), verified (4). What stands here from before demands and verifies one.
ALTER TABLE demand ADD COLUMN bits INTEGER NOT NULL DEFAULT 7;

-- Listeners without an upstream of their own (1); before, each had one.
ALTER TABLE bind ADD COLUMN bare INTEGER NOT NULL DEFAULT 0;
CREATE INDEX bind_bare ON bind (id) WHERE bare = 1;

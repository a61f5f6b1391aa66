-- SPDX-License-Identifier: Apache-2.0
-- History that can be asked, bounded and cleaned, and what finds objects by what they say.

-- meta 'history_floor' (integer, absent: 0) is the oldest revision whose snapshot is complete: ended states of configuration
-- and `change` rows up to it are removed; revision rows stay. An ended state of an SSL object without a secret was purged of its keys.
CREATE INDEX object_ended ON object (to_rev) WHERE to_rev IS NOT NULL;
CREATE INDEX revision_actor ON revision (actor, number);

-- What a state can be found by, encoded (common/model/facet.h); NULL: not known yet, since it is older than this table.
ALTER TABLE object ADD COLUMN facets BLOB;

-- The selective ones of them as an index, for each state that is kept: it comes and goes with its row. value: a text (names,
-- reversed) or a number (times, hashes).
CREATE TABLE facet (
	kind INTEGER NOT NULL,
	name INTEGER NOT NULL,
	value ANY NOT NULL,
	id TEXT NOT NULL,
	row_id INTEGER NOT NULL,
	PRIMARY KEY (kind, name, value, id, row_id)
) STRICT, WITHOUT ROWID;

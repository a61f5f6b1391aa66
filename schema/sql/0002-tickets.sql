-- SPDX-License-Identifier: Apache-2.0
-- Session ticket keys (channel.proto, TicketKeys): outside revisions, history and digests, kept only as long as they are good.

-- One set per selector. sealed: the key's 64 bytes. lost: 1 when an agent may know the key that no longer holds the selector.
CREATE TABLE ticket_key (
	selector TEXT NOT NULL,
	number INTEGER NOT NULL CHECK (number > 0), -- age within the set, rising
	name BLOB NOT NULL CHECK (length(name) = 16),
	sealed BLOB NOT NULL,
	made INTEGER NOT NULL,
	encrypt_from INTEGER, -- NULL: not promoted yet
	encrypt_until INTEGER NOT NULL,
	decrypt_until INTEGER NOT NULL,
	lost INTEGER NOT NULL DEFAULT 0,
	PRIMARY KEY (selector, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX ticket_key_lost ON ticket_key (selector, number) WHERE lost = 1;

-- The SSL objects of a selector: has it any? No "kind = 1" here: SQLite would prepare every statement with "kind = ?" anew at each use,
-- to see whether this index serves it.
CREATE INDEX object_held_kind ON object (selector, kind) WHERE held = 1 AND to_rev IS NULL;

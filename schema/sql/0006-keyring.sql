-- SPDX-License-Identifier: Apache-2.0
-- Rotation of the keyring. Every sealed value says in its bytes 2 to 5 which key sealed it; indexes of them find what an old key still
-- seals, so that re-sealing needs no memory of how far it has come, and a count costs what is left.

-- The keys that the secrets of this store may be sealed by; each must be in the keyring file. Takes the place of meta 'keyring', which
-- the first open of an older store moves here.
CREATE TABLE sealing_key (
	id INTEGER PRIMARY KEY,
	fingerprint BLOB NOT NULL CHECK (length(fingerprint) = 8),
	made INTEGER NOT NULL
) STRICT;

ALTER TABLE object ADD COLUMN sealed_by BLOB GENERATED ALWAYS AS (substr(secret, 2, 4)) VIRTUAL;
CREATE INDEX object_sealed_by ON object (sealed_by) WHERE sealed_by IS NOT NULL;

ALTER TABLE ticket_key ADD COLUMN sealed_by BLOB GENERATED ALWAYS AS (substr(sealed, 2, 4)) VIRTUAL;
CREATE INDEX ticket_key_sealed_by ON ticket_key (sealed_by);

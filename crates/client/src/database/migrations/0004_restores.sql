-- What can be given back to a server that was restored from a backup, and what is known of a part of a log that did not come
-- back.

-- Recent entries as they came, sealed as they are. No key is here.
CREATE TABLE raw_entry (
    conversation BLOB NOT NULL REFERENCES conversation (id) ON DELETE CASCADE,
    seq INTEGER NOT NULL,
    entry BLOB NOT NULL,
    -- The ratchet tree of the group that a succession begins.
    tree BLOB,
    -- When it came, by this device's clock.
    kept_at INTEGER NOT NULL,
    UNIQUE (conversation, seq)
) STRICT;
CREATE INDEX raw_entry_age ON raw_entry (kept_at);

-- What the entry was, and the leaves that it removed: device and user, 32 bytes each; null where that is not known.
ALTER TABLE log_hash ADD COLUMN kind INTEGER NOT NULL DEFAULT 1;
ALTER TABLE log_hash ADD COLUMN removed BLOB;

-- Whether the entry did not come back after a restore: its author may send the message again under the same id.
ALTER TABLE message ADD COLUMN lost INTEGER NOT NULL DEFAULT 0;

-- 1: the device's group is of an epoch that did not come back; 2: and who was removed in it is not known.
ALTER TABLE conversation ADD COLUMN branched INTEGER NOT NULL DEFAULT 0;

-- Leaves that were removed in a part of the log that did not come back: nothing is sealed to them.
CREATE TABLE returned (
    conversation BLOB NOT NULL REFERENCES conversation (id) ON DELETE CASCADE,
    device BLOB NOT NULL,
    user BLOB NOT NULL,
    PRIMARY KEY (conversation, device)
) STRICT, WITHOUT ROWID;

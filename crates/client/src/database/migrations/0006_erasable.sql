-- What MLS keeps is sealed value by value, each under a key of its own. SQLite moves rows when it rebuilds a page, and leaves
-- where they stood what it does not overwrite; so the keys stand in rows of one size that never move, and are overwritten in
-- place. The program seals what stood here in the clear when it finds the table.
CREATE TABLE erasure_slot (
    id INTEGER PRIMARY KEY,
    -- 32 bytes; zeros in a free one.
    key BLOB NOT NULL,
    -- 0 or 1: neither takes up room, so that the row stays as long as it is.
    free INTEGER NOT NULL
) STRICT;
CREATE INDEX erasure_slot_free ON erasure_slot (id) WHERE free = 1;

ALTER TABLE mls_entry RENAME TO mls_entry_plain;
CREATE TABLE mls_entry (
    key BLOB PRIMARY KEY,
    slot INTEGER NOT NULL REFERENCES erasure_slot (id),
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Of what a rejoin has prepared, which holds keys too.
ALTER TABLE outbox ADD COLUMN slot INTEGER REFERENCES erasure_slot (id);
CREATE TRIGGER outbox_gone AFTER DELETE ON outbox WHEN old.slot IS NOT NULL BEGIN
    UPDATE erasure_slot SET key = zeroblob(32), free = 1 WHERE id = old.slot;
END;

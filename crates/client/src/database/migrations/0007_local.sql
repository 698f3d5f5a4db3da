-- What a person wants of a conversation on this device, and what they have begun to write in it. Nothing of it is ever sent.
CREATE TABLE local (
    conversation BLOB PRIMARY KEY REFERENCES conversation (id) ON DELETE CASCADE,
    pinned INTEGER NOT NULL DEFAULT 0,
    muted INTEGER NOT NULL DEFAULT 0,
    draft TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;

-- Files that are prepared, on their way, or here. What opens them stands in their messages, and their parts in a database of
-- their own, sealed (`part.rs`). A number is never given again, so that parts of one file cannot pass for another's.
CREATE TABLE file (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- Null while it is prepared.
    message INTEGER UNIQUE REFERENCES message (id) ON DELETE CASCADE,
    blob BLOB NOT NULL,
    -- Of all parts together, sealed.
    bytes INTEGER NOT NULL,
    state INTEGER NOT NULL,
    paused INTEGER NOT NULL DEFAULT 0,
    reason TEXT
) STRICT;
CREATE INDEX file_sending ON file (bytes, id) WHERE paused = 0 AND state = 1;
CREATE INDEX file_fetching ON file (bytes, id) WHERE paused = 0 AND state = 2;

-- Blobs that the server is to destroy.
CREATE TABLE unwanted_blob (
    blob BLOB PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- The person's archive on the server (docs/decisions/0110-archive.md): what is in it, its keys, and what is to be changed.

-- 1: the archive has it.
ALTER TABLE message ADD COLUMN archived INTEGER NOT NULL DEFAULT 0;
CREATE INDEX message_unarchived ON message (conversation, seq) WHERE archived = 0 AND seq IS NOT NULL;
CREATE INDEX message_seq ON message (conversation, seq) WHERE seq IS NOT NULL;

-- Archive keys that this device has: version, removed devices, key. Two devices may have made one of the same version.
CREATE TABLE archive_key (
    id INTEGER PRIMARY KEY,
    version INTEGER NOT NULL,
    key BLOB NOT NULL UNIQUE
) STRICT;

-- Keys of days.
CREATE TABLE archive_day (
    day INTEGER PRIMARY KEY,
    key BLOB NOT NULL
) STRICT;

-- How far back the archive was read: the next segment begins before this place; 0: there is nothing before.
CREATE TABLE history (
    conversation BLOB PRIMARY KEY REFERENCES conversation (id) ON DELETE CASCADE,
    before INTEGER NOT NULL,
    -- The last place before this device came that the archive had when it was looked at, and when that was first.
    top INTEGER NOT NULL,
    since INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Messages that were taken back after they were archived: what they said is to leave the archive too.
CREATE TABLE archive_blank (
    conversation BLOB NOT NULL REFERENCES conversation (id) ON DELETE CASCADE,
    seq INTEGER NOT NULL,
    PRIMARY KEY (conversation, seq)
) STRICT, WITHOUT ROWID;

-- Conversations that the person keeps out of the archive, or lets in again; told: the server knows it.
CREATE TABLE archive_choice (
    conversation BLOB PRIMARY KEY REFERENCES conversation (id) ON DELETE CASCADE,
    out INTEGER NOT NULL,
    told INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

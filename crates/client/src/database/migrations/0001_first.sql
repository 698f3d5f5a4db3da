-- The device's own database. The whole file is encrypted (SQLCipher), so that no column is sealed again.

-- One row: who this device is.
CREATE TABLE account (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    tenant BLOB NOT NULL,
    tenant_name TEXT NOT NULL,
    user BLOB NOT NULL,
    device BLOB NOT NULL,
    handle TEXT NOT NULL,
    account_key BLOB NOT NULL,
    device_key BLOB NOT NULL,
    -- The encoded JoinFinish, until the server has confirmed it: repeated as it is after a crash.
    join_finish BLOB,
    suite INTEGER NOT NULL
) STRICT;

-- People whose device chain was seen; the account key and the head of the chain are pinned.
CREATE TABLE contact (
    user BLOB PRIMARY KEY,
    handle TEXT NOT NULL,
    -- Why the server's last word about this person was refused; shown until it is resolved.
    refused TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE chain_entry (
    user BLOB NOT NULL REFERENCES contact (user),
    place INTEGER NOT NULL,
    bytes BLOB NOT NULL,
    PRIMARY KEY (user, place)
) STRICT, WITHOUT ROWID;

-- What MLS keeps: keys, groups, key packages. Only e2ee knows the form.
CREATE TABLE mls_entry (
    key BLOB PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Key packages of this device, until their private keys are forgotten.
CREATE TABLE key_package (
    id INTEGER PRIMARY KEY,
    last_resort INTEGER NOT NULL,
    made_at INTEGER NOT NULL,
    reference BLOB NOT NULL,
    -- Null once the server has it.
    bytes BLOB
) STRICT;

CREATE TABLE conversation (
    id BLOB PRIMARY KEY,
    state INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    -- The other user of a direct conversation.
    peer BLOB,
    -- The current MLS group in the conversation's chain of groups.
    group_id BLOB,
    -- Idempotency key of the claim of key packages, while the conversation is being started.
    claim_key BLOB,
    generation INTEGER NOT NULL DEFAULT 0,
    -- The last entry of the log that was processed, and its hash.
    cursor INTEGER NOT NULL DEFAULT 0,
    entry_hash BLOB NOT NULL,
    acknowledged INTEGER NOT NULL DEFAULT 0,
    -- The device's log begins after this entry; what was before is not for it.
    begins INTEGER NOT NULL DEFAULT 0,
    read_up_to INTEGER NOT NULL DEFAULT 0,
    forked INTEGER NOT NULL DEFAULT 0,
    repaired_at INTEGER,
    -- When the device's keys in the group are to be renewed.
    renew_at INTEGER,
    name TEXT,
    topic TEXT
) STRICT, WITHOUT ROWID;

-- Hashes of recent entries, to check what others say that they have seen.
CREATE TABLE log_hash (
    conversation BLOB NOT NULL REFERENCES conversation (id) ON DELETE CASCADE,
    generation INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    hash BLOB NOT NULL,
    PRIMARY KEY (conversation, generation, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE message (
    id INTEGER PRIMARY KEY,
    conversation BLOB NOT NULL REFERENCES conversation (id),
    generation INTEGER NOT NULL,
    -- Null until the server has recorded it.
    seq INTEGER,
    -- Null when it could not be read or its id was already another's.
    message_id BLOB,
    -- Null when it could not be read: the server's word for the device is all there is.
    author BLOB,
    device BLOB NOT NULL,
    at INTEGER NOT NULL,
    state INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    -- Whether it is a line of its own in the conversation.
    line INTEGER NOT NULL,
    target BLOB,
    content BLOB NOT NULL,
    reason TEXT,
    UNIQUE (conversation, message_id),
    UNIQUE (conversation, generation, seq)
) STRICT;
CREATE INDEX message_target ON message (conversation, target) WHERE target IS NOT NULL;
CREATE INDEX message_line ON message (conversation, seq) WHERE line = 1;

-- How far others have read.
CREATE TABLE receipt (
    conversation BLOB NOT NULL REFERENCES conversation (id) ON DELETE CASCADE,
    user BLOB NOT NULL,
    read_up_to INTEGER NOT NULL,
    PRIMARY KEY (conversation, user)
) STRICT, WITHOUT ROWID;

-- What has to reach the server, in this order within a conversation. A row goes when its outcome is known.
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation BLOB NOT NULL REFERENCES conversation (id),
    kind INTEGER NOT NULL,
    -- What the parameters are made from, if not the message of the same id: claimed key packages.
    input BLOB,
    -- Idempotency key; also the id in the authenticated data.
    message_id BLOB NOT NULL,
    -- The encoded parameters as they were first sent, and the epoch that they were made in; null until sealed.
    parameters BLOB,
    epoch INTEGER,
    UNIQUE (conversation, message_id)
) STRICT;

-- Local search (the tokeniser only splits at our spaces): words, and every two neighbouring characters of scripts that are written without spaces.
CREATE VIRTUAL TABLE search USING fts5 (words, content='', contentless_delete=1, detail=full, tokenize='ascii');

CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

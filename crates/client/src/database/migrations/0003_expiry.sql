-- Messages that expire, people named in messages, what a person has verified; search terms that can be wiped.

-- Seconds after reading that new messages live; 0: for ever.
ALTER TABLE conversation ADD COLUMN timer INTEGER NOT NULL DEFAULT 0;

-- Seconds after reading that the message lives, if it says so.
ALTER TABLE message ADD COLUMN lifetime INTEGER;
-- When it expires, in milliseconds; null while it does not, or has not been read.
ALTER TABLE message ADD COLUMN expires_at INTEGER;
-- Whether it names the person whose device this is.
ALTER TABLE message ADD COLUMN names_me INTEGER NOT NULL DEFAULT 0;
CREATE INDEX message_expiry ON message (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX message_lifetime ON message (conversation, seq) WHERE lifetime IS NOT NULL AND expires_at IS NULL;
CREATE INDEX message_naming ON message (conversation, seq) WHERE names_me = 1;
CREATE INDEX message_author ON message (conversation, author, seq);

-- Pages of a conversation, from the end.
CREATE INDEX message_page ON message (conversation, generation, seq) WHERE line = 1;
CREATE INDEX message_unrecorded ON message (conversation, id) WHERE seq IS NULL;

-- People whose safety number was compared: the account key and the length of the device chain at that time.
CREATE TABLE verified (
    user BLOB PRIMARY KEY,
    account_key BLOB NOT NULL,
    chain_len INTEGER NOT NULL,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Without a copy of the words a row is removed by handing them in again; `secure-delete` then takes them out of the index at
-- once instead of marking them. The program fills the table anew when it finds the note in `meta`.
DROP TABLE search;
CREATE VIRTUAL TABLE search USING fts5 (words, content='', detail=full, tokenize='ascii');
INSERT INTO search (search, rank) VALUES ('secure-delete', 1);
INSERT INTO meta (name, value) VALUES ('search_outdated', x'01');

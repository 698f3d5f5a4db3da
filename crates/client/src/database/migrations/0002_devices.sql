-- Several devices of one person.

-- The tenant's authority, which can close the chains of leavers; pinned when the device joined or was linked.
ALTER TABLE account ADD COLUMN authority_key BLOB;

-- When leaves that no longer speak for anybody are to be removed from the group.
ALTER TABLE conversation ADD COLUMN sweep_at INTEGER;

-- One row, while this device is being linked and is nobody's yet.
CREATE TABLE link (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    tenant BLOB NOT NULL,
    user BLOB NOT NULL,
    device BLOB NOT NULL,
    device_key BLOB NOT NULL,
    secret BLOB NOT NULL,
    -- The sealed offer, and the length of the chain that it was made on.
    offer BLOB NOT NULL,
    chain_len INTEGER NOT NULL,
    made_at INTEGER NOT NULL
) STRICT;

-- What is known of the person's own devices beside their chain.
CREATE TABLE own_device (
    device BLOB PRIMARY KEY,
    name TEXT,
    since INTEGER
) STRICT, WITHOUT ROWID;

-- Devices that the person wants to revoke, until it is done.
CREATE TABLE revocation (
    device BLOB PRIMARY KEY
) STRICT, WITHOUT ROWID;

//! What every column holds, why, and for how long. A column of the database that is not declared here fails a test, and so
//! does a declaration without a column.

/// What someone who holds the database files can read in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposure {
    /// The value: an id, a number, a time, a public key, a hash of ciphertext, a wrapped key, or what is public by design.
    Public,
    /// Nothing: an envelope of `keyring`, bound to its tenant, table, row and column.
    Sealed,
    /// Which rows have equal values, and no values: a keyed hash.
    BlindIndexed,
}

/// How long a value is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// As long as the installation.
    Installation,
    /// Until the tenant is deleted.
    Tenant,
    /// Until the user is erased.
    User,
    /// Until the invite has expired.
    Invite,
    /// Until the device's user is erased.
    Device,
    /// Until the package's lifetime is over.
    KeyPackage,
    /// A day or two.
    Days,
    /// Until the conversation is deleted.
    Conversation,
    /// Until the next epoch.
    Epoch,
    /// Until every member's device has it, or the tenant's retention is over (`rules::retention`).
    Message,
    /// Until its sender takes it back, or its time is over (`rules::blob`).
    Blob,
    /// Until its day is over by the operator's terms (`rules::archive`), its conversation is kept out, or the account is
    /// closed.
    Archive,
    /// Until the joiner has accepted it.
    Welcome,
    /// Until the new device has logged in, or a day at most.
    Link,
    /// As the tenant's audit policy says; for now until the operator deletes the tenant.
    Audit,
}

/// One column of one table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Table.
    pub table: &'static str,
    /// Column.
    pub column: &'static str,
    /// Who can read it.
    pub exposure: Exposure,
    /// What it is for.
    pub purpose: &'static str,
    /// For how long.
    pub kept: Kept,
}

/// A column that was declared sealed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SealedColumn {
    pub(crate) table: &'static str,
    pub(crate) column: &'static str,
}

/// The declared column, found at compile time: what is not declared as sealed cannot be sealed.
pub(crate) const fn sealed(table: &'static str, column: &'static str) -> SealedColumn {
    let mut index = 0;
    while index < COLUMNS.len() {
        let declared = &COLUMNS[index];
        if equal(declared.table, table)
            && equal(declared.column, column)
            && matches!(declared.exposure, Exposure::Sealed)
        {
            return SealedColumn { table, column };
        }
        index += 1;
    }
    undeclared()
}

#[expect(clippy::panic, reason = "evaluated by the compiler, for constants")]
const fn undeclared() -> ! {
    panic!("the column is not declared as sealed")
}

const fn equal(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut index = 0;
    while index < a.len() && index < b.len() && a[index] == b[index] {
        index += 1;
    }
    index == a.len() && index == b.len()
}

macro_rules! columns {
    ($($table:ident: $kept:ident { $($column:ident $exposure:ident $purpose:literal;)* })*) => {
        /// Every column of every table.
        pub const COLUMNS: &[Column] = &[$($(Column {
            table: stringify!($table),
            column: stringify!($column),
            exposure: Exposure::$exposure,
            purpose: $purpose,
            kept: Kept::$kept,
        },)*)*];
    };
}

columns! {
    schema_migrations: Installation {
        version Public "which migration";
        digest Public "notices an edited migration";
    }
    probes: Installation {
        tenant Public "zeros: the row belongs to nobody";
        count Public "is rewritten to see whether the storage takes writes again";
    }
    tenants: Tenant {
        tenant Public "names the tenant";
        name Public "what people type to reach the tenant; public by design";
        suite Public "MLS cipher suite of new groups";
        authority_key Public "public key that closes the chains of leavers";
        created_at Public "for the operator";
    }
    tenant_keys: Tenant {
        tenant Public "whose";
        version Public "which version; raised by a rotation";
        wrapped Public "the tenant key, wrapped by the root";
        created_at Public "tells when a rotation is due";
    }
    data_keys: Tenant {
        tenant Public "whose";
        key_use Public "what the key is for";
        object Public "which user, conversation, blob or day";
        version Public "which version";
        wrapped Public "the key, wrapped by the tenant key; destroying it destroys what it sealed";
    }
    secrets: Tenant {
        tenant Public "whose";
        name Public "which secret";
        value Sealed "the server's half of its passwords (OPAQUE)";
    }
    users: User {
        tenant Public "whose";
        user_id Public "names the user";
        handle Sealed "the handle as it is written";
        handle_index BlindIndexed "finds a user by handle, and keeps handles unique";
        account_key Public "public account identity key";
        opaque_record Sealed "checks the password without knowing it (RFC 9807)";
        state Public "active or closed";
        created_at Public "for the operator";
    }
    invites: Invite {
        tenant Public "whose";
        invite Public "names the invite to the operator";
        code_index BlindIndexed "recognises the code";
        expires_at Public "ends it";
        uses Public "how often it may be redeemed";
        used Public "how often it was redeemed";
        created_by Public "the user who made it; null for the operator";
        created_at Public "for the operator";
    }
    devices: Device {
        tenant Public "whose";
        device Public "names the device";
        user_id Public "whose device";
        device_key Public "public key that it logs in with";
        state Public "active, revoked or closed";
        last_seen_day Public "finds devices that nobody uses; a day and no finer";
    }
    chain_entries: User {
        tenant Public "whose";
        user_id Public "whose chain";
        place Public "from 0";
        entry Public "the signed entry, which contacts check";
    }
    chain_changes: User {
        tenant Public "whose";
        change Public "order, dense from 1 in each tenant";
        user_id Public "whose chain has grown";
    }
    link_offers: Link {
        tenant Public "whose";
        user_id Public "who links a device";
        lookup Public "finds the offer; derived from a secret that the server never sees";
        offer Sealed "what the new device has to say, sealed by it";
        answer Sealed "what the confirming device leaves for it, sealed by it";
        device Public "the new device, once it is confirmed";
        expires_at Public "ends it";
    }
    key_packages: KeyPackage {
        tenant Public "whose";
        reference Public "hash that names the package (RFC 9420 §5.2)";
        device Public "whose";
        last_resort Public "may be handed out more than once";
        package Public "public keys for those who add the device";
        uploaded_at Public "it is handed out for a limited time only";
        not_after Public "end of its lifetime";
        claimed_at Public "when it was handed out first";
        retired_at Public "when a newer last-resort package took its place";
    }
    key_package_claims: Days {
        tenant Public "whose";
        device Public "who claims";
        claim_key Public "the same claim repeated gets the same packages";
        target Public "whose packages";
        claimed_at Public "ends the memory of it";
    }
    key_package_claim_items: Days {
        tenant Public "whose";
        device Public "who claimed";
        claim_key Public "which claim";
        target_device Public "whose package";
        reference Public "which package";
    }
    claim_quotas: Days {
        tenant Public "whose";
        claimer Public "who claims";
        target Public "whose packages";
        window_start Public "which day";
        claims Public "stops who would use up another's packages";
    }
    lookup_quotas: Days {
        tenant Public "whose";
        user_id Public "who looks people up";
        window_start Public "which day";
        lookups Public "stops who would list all the people there are";
    }
    conversations: Conversation {
        tenant Public "whose";
        conversation Public "names it";
        kind Public "direct or group";
        creator Public "device that made it; recognises a repeated request";
        pair_index BlindIndexed "keeps a direct conversation unique for two users";
        group_id Public "the MLS group that serves it now";
        generation Public "raised by a restore";
        epoch Public "of the group";
        head_seq Public "last entry of the log";
        head_hash Public "hash chain over the log";
        commit_seq Public "the commit that began the epoch";
        commit_hash Public "hash chain up to it";
        created_at Public "for the operator";
    }
    mls_groups: Epoch {
        tenant Public "whose";
        conversation Public "which";
        epoch Public "which epoch the rest belongs to";
        group_info Sealed "for joiners by external commit";
        policy Sealed "the group's policy, which names its users";
    }
    public_groups: Epoch {
        tenant Public "whose";
        conversation Public "which";
        seq Public "the commit after which it was taken";
        state Sealed "the server's view of the group, to check commits";
    }
    trees: Epoch {
        tenant Public "whose";
        conversation Public "which";
        group_id Public "of which group";
        epoch Public "which epoch";
        tree Sealed "ratchet tree for joiners; names all members";
    }
    members: Conversation {
        tenant Public "whose";
        conversation Public "which";
        device Public "has or had a leaf";
        joined_seq Public "its log begins after this";
        user_id Public "whose device";
        removed_seq Public "its log ends here";
    }
    entrances: Conversation {
        tenant Public "whose";
        conversation Public "which";
        device Public "who joined from outside";
        seq Public "its log begins after this";
        hash Public "hash chain up to there";
    }
    restores: Tenant {
        tenant Public "whose";
        restored_at Public "when the store was put back from a backup";
        held_until Public "until when only what was lost is recorded; null until somebody comes";
    }
    restored_logs: Conversation {
        tenant Public "whose";
        conversation Public "which";
        generation Public "of the log since that restore";
        seq Public "the last entry that survived it";
        hash Public "hash chain up to there";
    }
    log_entries: Message {
        tenant Public "whose";
        conversation Public "which";
        seq Public "order";
        generation Public "of the log when it was recorded";
        kind Public "application, commit or proposal";
        epoch Public "in which it was made";
        sender Public "device";
        message_id Public "chosen by the sender; part of the hash chain";
        recorded_at Public "for people and for retention";
        digest Public "of a commit's ciphertext: tells a repeat from a reused id";
        payload Sealed "an MLS message, sealed once more";
    }
    recent_sends: Conversation {
        tenant Public "whose";
        conversation Public "where";
        device Public "who sent";
        sends Public "ids, places and times of its last sends: recognises a repeated request";
    }
    welcomes: Welcome {
        tenant Public "whose";
        conversation Public "leads where";
        seq Public "of its commit";
        sender Public "device that committed";
        generation Public "of the log";
        entry_hash Public "hash chain at the commit";
        epoch Public "which tree belongs to it";
        group_id Public "of which group the tree is";
        welcome Sealed "MLS Welcome";
    }
    welcome_recipients: Welcome {
        tenant Public "whose";
        device Public "who joins";
        conversation Public "where";
        seq Public "of the commit";
    }
    cursors: Conversation {
        tenant Public "whose";
        conversation Public "which";
        device Public "whose place";
        generation Public "of the log that it counts in";
        seq Public "everything up to here is on the device";
    }
    blobs: Blob {
        tenant Public "whose";
        blob Public "names it";
        conversation Public "whose members may fetch it";
        user_id Public "who has sent it, and pays for it from their quota";
        bytes Public "how large it is, as its sender has sealed and padded it";
        days Public "for how long its sender wants it";
        state Public "begun, finished or destroyed";
        expires_at Public "ends it";
    }
    archives: User {
        tenant Public "whose";
        user_id Public "whose archive";
        bytes Public "what its segments take from the user's quota";
    }
    archive_days: Archive {
        tenant Public "whose";
        user_id Public "whose archive";
        day Public "which day";
        version Public "which of the user's archive keys the day's key is sealed under";
        wrapped Sealed "the day's key, sealed by a device of the user";
    }
    archive_segments: Archive {
        tenant Public "whose";
        user_id Public "whose archive";
        conversation Public "of which conversation";
        first Public "the first place of its log that the segment holds";
        last Public "the last one";
        day Public "which day's key has sealed it, and ends it";
        revision Public "how often it was replaced";
        bytes Public "how large it is, as the device has sealed it";
        sealed Sealed "what a device has read, sealed by it";
    }
    archive_kept_out: User {
        tenant Public "whose";
        user_id Public "whose archive";
        conversation Public "what that user keeps out of it";
    }
    audit_entries: Audit {
        tenant Public "whose";
        seq Public "order";
        recorded_at Public "when";
        actor_kind Public "operator, user, device or the server itself";
        actor Public "which";
        operation Public "what";
        outcome Public "with what result";
        objects Public "ids it was done to";
    }
    attempts: Days {
        tenant Public "whose";
        subject_index BlindIndexed "the handle that passwords are guessed for, whether anybody has it or not";
        guesses Public "how many since the last success";
        last_at Public "when the last was allowed";
    }
}

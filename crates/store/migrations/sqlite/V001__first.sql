-- Every table begins with the tenant, in its key and in every index. What each column holds, why and for how long is
-- declared in src/schema.rs; a column that is not declared there fails a test.
--
-- Narrow tables are clustered on their key (`without rowid`); wide ones keep rows in order of insertion and find them by
-- index, so that a new row is appended rather than put between others.
--
-- `log_entries`, `recent_sends`, `cursors` and `audit_entries` name no parent: they are written all the time, and the statements that write
-- them have read the parent already. Deleting a tenant empties them by hand.

create table tenants (
    tenant        blob    not null primary key,
    name          text    not null unique,
    suite         integer not null,
    authority_key blob    not null,
    created_at    integer not null
) strict, without rowid;

create table tenant_keys (
    tenant     blob    not null references tenants (tenant) on delete cascade,
    version    integer not null,
    wrapped    blob    not null,
    created_at integer not null,
    primary key (tenant, version)
) strict, without rowid;

create table data_keys (
    tenant  blob    not null references tenants (tenant) on delete cascade,
    key_use integer not null,
    object  blob    not null,
    version integer not null,
    wrapped blob    not null,
    primary key (tenant, key_use, object, version)
) strict, without rowid;

create table secrets (
    tenant blob not null references tenants (tenant) on delete cascade,
    name   text not null,
    value  blob not null,
    primary key (tenant, name)
) strict, without rowid;

create table users (
    tenant        blob    not null references tenants (tenant) on delete cascade,
    user_id       blob    not null,
    handle        blob    not null,
    handle_index  blob    not null,
    account_key   blob    not null,
    opaque_record blob    not null,
    state         integer not null,
    created_at    integer not null,
    primary key (tenant, user_id),
    unique (tenant, handle_index)
) strict, without rowid;

create table invites (
    tenant     blob    not null references tenants (tenant) on delete cascade,
    invite     blob    not null,
    code_index blob    not null,
    expires_at integer not null,
    uses       integer not null,
    used       integer not null,
    created_by blob,
    created_at integer not null,
    primary key (tenant, invite),
    unique (tenant, code_index)
) strict, without rowid;

create table devices (
    tenant        blob    not null,
    device        blob    not null,
    user_id       blob    not null,
    device_key    blob    not null,
    state         integer not null,
    last_seen_day integer not null,
    primary key (tenant, device),
    foreign key (tenant, user_id) references users (tenant, user_id) on delete cascade
) strict, without rowid;
create index devices_of_user on devices (tenant, user_id, device);

create table chain_entries (
    tenant  blob    not null,
    user_id blob    not null,
    place   integer not null,
    entry   blob    not null,
    primary key (tenant, user_id, place),
    foreign key (tenant, user_id) references users (tenant, user_id) on delete cascade
) strict, without rowid;

create table key_packages (
    tenant      blob    not null,
    reference   blob    not null,
    device      blob    not null,
    last_resort integer not null,
    package     blob    not null,
    uploaded_at integer not null,
    not_after   integer not null,
    claimed_at  integer,
    retired_at  integer,
    primary key (tenant, reference),
    foreign key (tenant, device) references devices (tenant, device) on delete cascade
) strict;
create index key_packages_to_hand_out on key_packages (tenant, device, last_resort, uploaded_at)
    where claimed_at is null or last_resort = 1;
create index key_packages_by_end on key_packages (tenant, not_after);

create table key_package_claims (
    tenant     blob    not null,
    device     blob    not null,
    claim_key  blob    not null,
    target     blob    not null,
    claimed_at integer not null,
    primary key (tenant, device, claim_key),
    foreign key (tenant, device) references devices (tenant, device) on delete cascade
) strict, without rowid;

create table key_package_claim_items (
    tenant        blob not null,
    device        blob not null,
    claim_key     blob not null,
    target_device blob not null,
    reference     blob not null,
    primary key (tenant, device, claim_key, target_device),
    foreign key (tenant, device, claim_key) references key_package_claims (tenant, device, claim_key) on delete cascade
) strict, without rowid;

create table claim_quotas (
    tenant       blob    not null references tenants (tenant) on delete cascade,
    claimer      blob    not null,
    target       blob    not null,
    window_start integer not null,
    claims       integer not null,
    primary key (tenant, claimer, target, window_start)
) strict, without rowid;

create table conversations (
    tenant       blob    not null references tenants (tenant) on delete cascade,
    conversation blob    not null,
    kind         integer not null,
    creator      blob    not null,
    pair_index   blob,
    group_id     blob    not null,
    generation   integer not null,
    epoch        integer not null,
    head_seq     integer not null,
    head_hash    blob    not null,
    commit_seq   integer not null,
    commit_hash  blob    not null,
    created_at   integer not null,
    primary key (tenant, conversation)
) strict, without rowid;
create unique index conversations_of_pair on conversations (tenant, pair_index) where pair_index is not null;

create table mls_groups (
    tenant       blob    not null,
    conversation blob    not null,
    epoch        integer not null,
    group_info   blob    not null,
    policy       blob    not null,
    primary key (tenant, conversation),
    foreign key (tenant, conversation) references conversations (tenant, conversation) on delete cascade
) strict;

create table public_groups (
    tenant       blob    not null,
    conversation blob    not null,
    seq          integer not null,
    state        blob    not null,
    primary key (tenant, conversation),
    foreign key (tenant, conversation) references conversations (tenant, conversation) on delete cascade
) strict;

create table trees (
    tenant       blob    not null,
    conversation blob    not null,
    epoch        integer not null,
    tree         blob    not null,
    primary key (tenant, conversation, epoch),
    foreign key (tenant, conversation) references conversations (tenant, conversation) on delete cascade
) strict;

create table members (
    tenant       blob    not null,
    conversation blob    not null,
    device       blob    not null,
    joined_seq   integer not null,
    user_id      blob    not null,
    removed_seq  integer,
    primary key (tenant, conversation, device, joined_seq),
    foreign key (tenant, conversation) references conversations (tenant, conversation) on delete cascade
) strict, without rowid;
create index members_by_device on members (tenant, device, conversation) where removed_seq is null;

create table log_entries (
    tenant       blob    not null,
    conversation blob    not null,
    seq          integer not null,
    generation   integer not null,
    kind         integer not null,
    epoch        integer not null,
    sender       blob    not null,
    message_id   blob    not null,
    recorded_at  integer not null,
    digest       blob,
    payload      blob    not null,
    primary key (tenant, conversation, seq)
) strict;

-- The last sends of each device in a conversation, packed, so that a repeat is recognised without an index over the random
-- ids of all messages, in which every insertion would change a page of its own.
create table recent_sends (
    tenant       blob    not null,
    conversation blob    not null,
    device       blob    not null,
    sends        blob    not null,
    primary key (tenant, conversation, device)
) strict;

create table welcomes (
    tenant       blob    not null,
    conversation blob    not null,
    seq          integer not null,
    sender       blob    not null,
    generation   integer not null,
    entry_hash   blob    not null,
    epoch        integer not null,
    welcome      blob    not null,
    primary key (tenant, conversation, seq),
    foreign key (tenant, conversation) references conversations (tenant, conversation) on delete cascade
) strict;

create table welcome_recipients (
    tenant       blob    not null,
    device       blob    not null,
    conversation blob    not null,
    seq          integer not null,
    primary key (tenant, device, conversation, seq),
    foreign key (tenant, conversation, seq) references welcomes (tenant, conversation, seq) on delete cascade
) strict, without rowid;
create index welcome_recipients_of_welcome on welcome_recipients (tenant, conversation, seq);

create table cursors (
    tenant       blob    not null,
    conversation blob    not null,
    device       blob    not null,
    generation   integer not null,
    seq          integer not null,
    primary key (tenant, conversation, device)
) strict, without rowid;

create table audit_entries (
    tenant      blob    not null,
    seq         integer not null,
    recorded_at integer not null,
    actor_kind  integer not null,
    actor       blob,
    operation   text    not null,
    outcome     text    not null,
    objects     blob    not null,
    primary key (tenant, seq)
) strict, without rowid;

create table attempts (
    tenant        blob    not null references tenants (tenant) on delete cascade,
    subject_index blob    not null,
    guesses       integer not null,
    last_at       integer not null,
    primary key (tenant, subject_index)
) strict, without rowid;

-- One row that is rewritten to find out whether the storage takes writes again.
create table probes (
    tenant blob    not null primary key,
    count  integer not null
) strict, without rowid;

-- The tables of migrations/sqlite/V001__first.sql, in the same order, and the same rules: every table begins with the tenant,
-- in its key and in every index; what each column holds is declared in src/schema.rs. Numbers are bigint everywhere.
--
-- Runs in the schema `mifeng` (schema.sql), as the role that owns it. Below the tables: how their rows are stored, and who
-- may reach them.

create table tenants (
    tenant        bytea  not null primary key,
    name          text   collate "C" not null unique,
    suite         bigint not null,
    authority_key bytea  not null,
    created_at    bigint not null
);

create table tenant_keys (
    tenant     bytea  not null references tenants (tenant) on delete cascade,
    version    bigint not null,
    wrapped    bytea  not null,
    created_at bigint not null,
    primary key (tenant, version)
);

create table data_keys (
    tenant  bytea  not null references tenants (tenant) on delete cascade,
    key_use bigint not null,
    object  bytea  not null,
    version bigint not null,
    wrapped bytea  not null,
    primary key (tenant, key_use, object, version)
);

create table secrets (
    tenant bytea not null references tenants (tenant) on delete cascade,
    name   text  not null,
    value  bytea not null,
    primary key (tenant, name)
);

create table users (
    tenant        bytea  not null references tenants (tenant) on delete cascade,
    user_id       bytea  not null,
    handle        bytea  not null,
    handle_index  bytea  not null,
    account_key   bytea  not null,
    opaque_record bytea  not null,
    state         bigint not null,
    created_at    bigint not null,
    primary key (tenant, user_id),
    unique (tenant, handle_index)
);

create table invites (
    tenant     bytea  not null references tenants (tenant) on delete cascade,
    invite     bytea  not null,
    code_index bytea  not null,
    expires_at bigint not null,
    uses       bigint not null,
    used       bigint not null,
    created_by bytea,
    created_at bigint not null,
    primary key (tenant, invite),
    unique (tenant, code_index)
);

create table devices (
    tenant        bytea  not null,
    device        bytea  not null,
    user_id       bytea  not null,
    device_key    bytea  not null,
    state         bigint not null,
    last_seen_day bigint not null,
    primary key (tenant, device),
    foreign key (tenant, user_id) references users (tenant, user_id) on delete cascade
);
create index devices_of_user on devices (tenant, user_id, device);

create table chain_entries (
    tenant  bytea  not null,
    user_id bytea  not null,
    place   bigint not null,
    entry   bytea  not null,
    primary key (tenant, user_id, place),
    foreign key (tenant, user_id) references users (tenant, user_id) on delete cascade
);

create table key_packages (
    tenant      bytea  not null,
    reference   bytea  not null,
    device      bytea  not null,
    last_resort bigint not null,
    package     bytea  not null,
    uploaded_at bigint not null,
    not_after   bigint not null,
    claimed_at  bigint,
    retired_at  bigint,
    primary key (tenant, reference),
    foreign key (tenant, device) references devices (tenant, device) on delete cascade
);
create index key_packages_to_hand_out on key_packages (tenant, device, last_resort, uploaded_at)
    where claimed_at is null or last_resort = 1;
create index key_packages_by_end on key_packages (tenant, not_after);

create table key_package_claims (
    tenant     bytea  not null,
    device     bytea  not null,
    claim_key  bytea  not null,
    target     bytea  not null,
    claimed_at bigint not null,
    primary key (tenant, device, claim_key),
    foreign key (tenant, device) references devices (tenant, device) on delete cascade
);

create table key_package_claim_items (
    tenant        bytea not null,
    device        bytea not null,
    claim_key     bytea not null,
    target_device bytea not null,
    reference     bytea not null,
    primary key (tenant, device, claim_key, target_device),
    foreign key (tenant, device, claim_key) references key_package_claims (tenant, device, claim_key) on delete cascade
);

create table claim_quotas (
    tenant       bytea  not null references tenants (tenant) on delete cascade,
    claimer      bytea  not null,
    target       bytea  not null,
    window_start bigint not null,
    claims       bigint not null,
    primary key (tenant, claimer, target, window_start)
);

create table conversations (
    tenant       bytea  not null references tenants (tenant) on delete cascade,
    conversation bytea  not null,
    kind         bigint not null,
    creator      bytea  not null,
    pair_index   bytea,
    group_id     bytea  not null,
    generation   bigint not null,
    epoch        bigint not null,
    head_seq     bigint not null,
    head_hash    bytea  not null,
    commit_seq   bigint not null,
    commit_hash  bytea  not null,
    created_at   bigint not null,
    primary key (tenant, conversation)
);
create unique index conversations_of_pair on conversations (tenant, pair_index) where pair_index is not null;

create table mls_groups (
    tenant       bytea  not null,
    conversation bytea  not null,
    epoch        bigint not null,
    group_info   bytea  not null,
    policy       bytea  not null,
    primary key (tenant, conversation),
    foreign key (tenant, conversation) references conversations (tenant, conversation) on delete cascade
);

create table public_groups (
    tenant       bytea  not null,
    conversation bytea  not null,
    seq          bigint not null,
    state        bytea  not null,
    primary key (tenant, conversation),
    foreign key (tenant, conversation) references conversations (tenant, conversation) on delete cascade
);

create table trees (
    tenant       bytea  not null,
    conversation bytea  not null,
    epoch        bigint not null,
    tree         bytea  not null,
    primary key (tenant, conversation, epoch),
    foreign key (tenant, conversation) references conversations (tenant, conversation) on delete cascade
);

create table members (
    tenant       bytea  not null,
    conversation bytea  not null,
    device       bytea  not null,
    joined_seq   bigint not null,
    user_id      bytea  not null,
    removed_seq  bigint,
    primary key (tenant, conversation, device, joined_seq),
    foreign key (tenant, conversation) references conversations (tenant, conversation) on delete cascade
);
create index members_by_device on members (tenant, device, conversation) where removed_seq is null;

create table log_entries (
    tenant       bytea  not null,
    conversation bytea  not null,
    seq          bigint not null,
    generation   bigint not null,
    kind         bigint not null,
    epoch        bigint not null,
    sender       bytea  not null,
    message_id   bytea  not null,
    recorded_at  bigint not null,
    digest       bytea,
    payload      bytea  not null,
    primary key (tenant, conversation, seq)
);

-- The last sends of each device in a conversation, packed, so that a repeat is recognised without an index over the random
-- ids of all messages, in which every insertion would change a page of its own.
create table recent_sends (
    tenant       bytea not null,
    conversation bytea not null,
    device       bytea not null,
    sends        bytea not null,
    primary key (tenant, conversation, device)
);

create table welcomes (
    tenant       bytea  not null,
    conversation bytea  not null,
    seq          bigint not null,
    sender       bytea  not null,
    generation   bigint not null,
    entry_hash   bytea  not null,
    epoch        bigint not null,
    welcome      bytea  not null,
    primary key (tenant, conversation, seq),
    foreign key (tenant, conversation) references conversations (tenant, conversation) on delete cascade
);

create table welcome_recipients (
    tenant       bytea  not null,
    device       bytea  not null,
    conversation bytea  not null,
    seq          bigint not null,
    primary key (tenant, device, conversation, seq),
    foreign key (tenant, conversation, seq) references welcomes (tenant, conversation, seq) on delete cascade
);
create index welcome_recipients_of_welcome on welcome_recipients (tenant, conversation, seq);

create table cursors (
    tenant       bytea  not null,
    conversation bytea  not null,
    device       bytea  not null,
    generation   bigint not null,
    seq          bigint not null,
    primary key (tenant, conversation, device)
);

create table audit_entries (
    tenant      bytea  not null,
    seq         bigint not null,
    recorded_at bigint not null,
    actor_kind  bigint not null,
    actor       bytea,
    operation   text   not null,
    outcome     text   not null,
    objects     bytea  not null,
    primary key (tenant, seq)
);

create table attempts (
    tenant        bytea  not null references tenants (tenant) on delete cascade,
    subject_index bytea  not null,
    guesses       bigint not null,
    last_at       bigint not null,
    primary key (tenant, subject_index)
);

-- One row that is rewritten to find out whether the storage takes writes again.
create table probes (
    tenant bytea  not null primary key,
    count  bigint not null
);

-- What is sealed does not shrink: no time is spent on trying. Windows are rewritten all the time, and kept in the row.
do $$
declare
    c record;
begin
    for c in select attrelid::regclass as name, attname from pg_attribute
        where attrelid in (select oid from pg_class where relnamespace = 'mifeng'::regnamespace and relkind = 'r')
        and atttypid = 'bytea'::regtype and attnum > 0
    loop
        execute format('alter table %s alter column %I set storage external', c.name, c.attname);
    end loop;
end $$;
alter table recent_sends alter column sends set storage plain;

-- Room in the page for the next version of a row that changes often and in no indexed column.
alter table conversations set (fillfactor = 50);
alter table recent_sends set (fillfactor = 40);
alter table cursors set (fillfactor = 50);

-- Row-level security. `app.tenant` and `app.operator` are set for one transaction at a time (src/postgres/connection.rs);
-- where they are not set, nothing is reached.

create function current_tenant() returns bytea language sql stable
    return decode(nullif(current_setting('app.tenant', true), ''), 'hex');

create function is_operator() returns boolean language sql stable
    return coalesce(current_setting('app.operator', true), '') = 'on';

-- For every table with a tenant but `tenants` itself, here and in later migrations.
create procedure protect(name regclass) language plpgsql as $$
begin
    execute format('alter table %s enable row level security', name);
    execute format('alter table %s force row level security', name);
    execute format('create policy own on %s using (tenant = (select mifeng.current_tenant())) '
        'with check (tenant = (select mifeng.current_tenant()))', name);
end $$;
revoke execute on procedure protect from public;

call protect('tenant_keys');
call protect('data_keys');
call protect('secrets');
call protect('users');
call protect('invites');
call protect('devices');
call protect('chain_entries');
call protect('key_packages');
call protect('key_package_claims');
call protect('key_package_claim_items');
call protect('claim_quotas');
call protect('conversations');
call protect('mls_groups');
call protect('public_groups');
call protect('trees');
call protect('members');
call protect('log_entries');
call protect('recent_sends');
call protect('welcomes');
call protect('welcome_recipients');
call protect('cursors');
call protect('audit_entries');
call protect('attempts');
call protect('probes');

-- A tenant sees itself. The operator sees which tenants there are, and makes and deletes the one it is at work on.
alter table tenants enable row level security;
alter table tenants force row level security;
create policy own on tenants for select using (tenant = (select current_tenant()));
create policy operator_lists on tenants for select using ((select is_operator()));
create policy operator_makes on tenants for insert
    with check ((select is_operator()) and tenant = (select current_tenant()));
create policy operator_deletes on tenants for delete
    using ((select is_operator()) and tenant = (select current_tenant()));

-- As migrations/sqlite/V006__blobs.sql.
create table blobs (
    tenant       bytea  not null references tenants (tenant) on delete cascade,
    blob         bytea  not null,
    conversation bytea  not null,
    user_id      bytea  not null,
    bytes        bigint not null,
    days         bigint,
    state        bigint not null,
    expires_at   bigint not null,
    primary key (tenant, blob),
    foreign key (tenant, conversation) references conversations (tenant, conversation) on delete cascade
);
create index blobs_by_user on blobs (tenant, user_id);
create index blobs_by_end on blobs (tenant, state, expires_at);
call protect('blobs');

-- Files that devices have sealed. Their parts lie elsewhere, sealed once more under the blob's own data key.
create table blobs (
    tenant       blob    not null references tenants (tenant) on delete cascade,
    blob         blob    not null,
    conversation blob    not null,
    user_id      blob    not null,
    bytes        integer not null,
    days         integer,
    state        integer not null,
    expires_at   integer not null,
    primary key (tenant, blob),
    foreign key (tenant, conversation) references conversations (tenant, conversation) on delete cascade
) strict, without rowid;
create index blobs_by_user on blobs (tenant, user_id);
create index blobs_by_end on blobs (tenant, state, expires_at);

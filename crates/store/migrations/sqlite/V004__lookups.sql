-- How many people somebody has looked up on which day; the user id of zeros stands for all of a tenant together.
create table lookup_quotas (
    tenant       blob    not null references tenants (tenant) on delete cascade,
    user_id      blob    not null,
    window_start integer not null,
    lookups      integer not null,
    primary key (tenant, user_id, window_start)
) strict, without rowid;

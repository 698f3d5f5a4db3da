-- As migrations/sqlite/V004__lookups.sql.
create table lookup_quotas (
    tenant       bytea  not null references tenants (tenant) on delete cascade,
    user_id      bytea  not null,
    window_start bigint not null,
    lookups      bigint not null,
    primary key (tenant, user_id, window_start)
);
call protect('lookup_quotas');

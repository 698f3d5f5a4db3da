-- As migrations/sqlite/V005__restores.sql.
create table restores (
    tenant      bytea  not null primary key references tenants (tenant) on delete cascade,
    restored_at bigint not null,
    held_until  bigint
);

create table restored_logs (
    tenant       bytea  not null,
    conversation bytea  not null,
    generation   bigint not null,
    seq          bigint not null,
    hash         bytea  not null,
    primary key (tenant, conversation, generation),
    foreign key (tenant, conversation) references conversations (tenant, conversation) on delete cascade
);

call protect('restores');
call protect('restored_logs');

-- As migrations/sqlite/V007__archive.sql.
create table archives (
    tenant  bytea  not null,
    user_id bytea  not null,
    bytes   bigint not null,
    primary key (tenant, user_id),
    foreign key (tenant, user_id) references users (tenant, user_id) on delete cascade
);

create table archive_days (
    tenant  bytea  not null,
    user_id bytea  not null,
    day     bigint not null,
    version bigint not null,
    wrapped bytea  not null,
    primary key (tenant, user_id, day),
    foreign key (tenant, user_id) references archives (tenant, user_id) on delete cascade
);
create index archive_days_by_day on archive_days (tenant, day);

create table archive_segments (
    tenant       bytea  not null,
    user_id      bytea  not null,
    conversation bytea  not null,
    first        bigint not null,
    last         bigint not null,
    day          bigint not null,
    revision     bigint not null,
    bytes        bigint not null,
    sealed       bytea  not null,
    primary key (tenant, user_id, conversation, first),
    foreign key (tenant, user_id, day) references archive_days (tenant, user_id, day) on delete cascade
);
create index archive_segments_of_day on archive_segments (tenant, user_id, day);

create table archive_kept_out (
    tenant       bytea not null,
    user_id      bytea not null,
    conversation bytea not null,
    primary key (tenant, user_id, conversation),
    foreign key (tenant, user_id) references archives (tenant, user_id) on delete cascade
);

call protect('archives');
call protect('archive_days');
call protect('archive_segments');
call protect('archive_kept_out');

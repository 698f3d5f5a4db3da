-- What the devices of a user have read, sealed by them, and sealed once more under the data key of its day. None of these
-- tables names a conversation as its parent: the statements that write have read it already, and who has left it keeps
-- what they have read.

-- One row for each user who has an archive: what its segments take together, and what its writers wait for.
create table archives (
    tenant  blob    not null,
    user_id blob    not null,
    bytes   integer not null,
    primary key (tenant, user_id),
    foreign key (tenant, user_id) references users (tenant, user_id) on delete cascade
) strict, without rowid;

create table archive_days (
    tenant  blob    not null,
    user_id blob    not null,
    day     integer not null,
    version integer not null,
    wrapped blob    not null,
    primary key (tenant, user_id, day),
    foreign key (tenant, user_id) references archives (tenant, user_id) on delete cascade
) strict, without rowid;
create index archive_days_by_day on archive_days (tenant, day);

create table archive_segments (
    tenant       blob    not null,
    user_id      blob    not null,
    conversation blob    not null,
    first        integer not null,
    last         integer not null,
    day          integer not null,
    revision     integer not null,
    bytes        integer not null,
    sealed       blob    not null,
    primary key (tenant, user_id, conversation, first),
    foreign key (tenant, user_id, day) references archive_days (tenant, user_id, day) on delete cascade
) strict;
create index archive_segments_of_day on archive_segments (tenant, user_id, day);

create table archive_kept_out (
    tenant       blob not null,
    user_id      blob not null,
    conversation blob not null,
    primary key (tenant, user_id, conversation),
    foreign key (tenant, user_id) references archives (tenant, user_id) on delete cascade
) strict, without rowid;

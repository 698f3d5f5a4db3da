-- Linking further devices, and what contacts need to learn of it.

-- What a new device and the one that confirms it leave for each other, sealed by them and once more here.
create table link_offers (
    tenant     blob    not null,
    user_id    blob    not null,
    lookup     blob    not null,
    offer      blob    not null,
    answer     blob,
    device     blob,
    expires_at integer not null,
    primary key (tenant, user_id, lookup),
    foreign key (tenant, user_id) references users (tenant, user_id) on delete cascade
) strict;
create index link_offers_by_device on link_offers (tenant, device) where device is not null;
create index link_offers_by_end on link_offers (tenant, expires_at);

-- In which order chains have grown after their first entry: a device that was away asks for what came after its mark.
create table chain_changes (
    tenant  blob    not null,
    change  integer not null,
    user_id blob    not null,
    primary key (tenant, change),
    foreign key (tenant, user_id) references users (tenant, user_id) on delete cascade
) strict, without rowid;

-- Where the log of a device that joined from outside begins, with the hash of the log there.
create table entrances (
    tenant       blob    not null,
    conversation blob    not null,
    device       blob    not null,
    seq          integer not null,
    hash         blob    not null,
    primary key (tenant, conversation, device),
    foreign key (tenant, conversation) references conversations (tenant, conversation) on delete cascade
) strict, without rowid;

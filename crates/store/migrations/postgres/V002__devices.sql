-- The tables of migrations/sqlite/V002__devices.sql.

create table link_offers (
    tenant     bytea  not null,
    user_id    bytea  not null,
    lookup     bytea  not null,
    offer      bytea  not null,
    answer     bytea,
    device     bytea,
    expires_at bigint not null,
    primary key (tenant, user_id, lookup),
    foreign key (tenant, user_id) references users (tenant, user_id) on delete cascade
);
create index link_offers_by_device on link_offers (tenant, device) where device is not null;
create index link_offers_by_end on link_offers (tenant, expires_at);

create table chain_changes (
    tenant  bytea  not null,
    change  bigint not null,
    user_id bytea  not null,
    primary key (tenant, change),
    foreign key (tenant, user_id) references users (tenant, user_id) on delete cascade
);

create table entrances (
    tenant       bytea  not null,
    conversation bytea  not null,
    device       bytea  not null,
    seq          bigint not null,
    hash         bytea  not null,
    primary key (tenant, conversation, device),
    foreign key (tenant, conversation) references conversations (tenant, conversation) on delete cascade
);

call protect('link_offers');
call protect('chain_changes');
call protect('entrances');

-- What a restore from a backup leaves behind: until when the devices give back what was lost, and where each log broke off.

create table restores (
    tenant      blob    not null primary key references tenants (tenant) on delete cascade,
    restored_at integer not null,
    held_until  integer
) strict, without rowid;

create table restored_logs (
    tenant       blob    not null,
    conversation blob    not null,
    generation   integer not null,
    seq          integer not null,
    hash         blob    not null,
    primary key (tenant, conversation, generation),
    foreign key (tenant, conversation) references conversations (tenant, conversation) on delete cascade
) strict, without rowid;

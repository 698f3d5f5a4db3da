-- A conversation is a chain of groups, and epochs begin at 0 in each: what belongs to an epoch says of which group.

create table trees_of_groups (
    tenant       blob    not null,
    conversation blob    not null,
    group_id     blob    not null,
    epoch        integer not null,
    tree         blob    not null,
    primary key (tenant, conversation, group_id, epoch),
    foreign key (tenant, conversation) references conversations (tenant, conversation) on delete cascade
) strict;
insert into trees_of_groups (tenant, conversation, group_id, epoch, tree)
    select t.tenant, t.conversation, c.group_id, t.epoch, t.tree from trees t
    join conversations c on c.tenant = t.tenant and c.conversation = t.conversation;
drop table trees;
alter table trees_of_groups rename to trees;

alter table welcomes add column group_id blob not null default x'';
update welcomes set group_id = (select c.group_id from conversations c
    where c.tenant = welcomes.tenant and c.conversation = welcomes.conversation);

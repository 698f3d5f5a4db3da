-- As migrations/sqlite/V003__successors.sql. What is there belongs to every tenant, so that for this one script the owner of
-- the tables sees all of it.

alter table trees no force row level security;
alter table welcomes no force row level security;
alter table conversations no force row level security;

alter table trees add column group_id bytea;
update trees t set group_id = c.group_id from conversations c
    where c.tenant = t.tenant and c.conversation = t.conversation;
alter table trees alter column group_id set not null;
alter table trees drop constraint trees_pkey;
alter table trees add primary key (tenant, conversation, group_id, epoch);

alter table welcomes add column group_id bytea;
update welcomes w set group_id = c.group_id from conversations c
    where c.tenant = w.tenant and c.conversation = w.conversation;
alter table welcomes alter column group_id set not null;

alter table trees force row level security;
alter table welcomes force row level security;
alter table conversations force row level security;

-- The operator changes the suite of the tenant that it is at work on (grants.sql: nothing else).
create policy operator_changes on tenants for update
    using ((select is_operator()) and tenant = (select current_tenant()))
    with check ((select is_operator()) and tenant = (select current_tenant()));

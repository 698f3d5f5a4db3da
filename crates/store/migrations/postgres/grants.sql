-- After the migrations, at every start that may migrate: what the role that serves may do. It is named by `mifeng.role`, for
-- this transaction. What is recorded is never changed: there, it may only add and delete.
do $$
declare
    role text := current_setting('mifeng.role');
begin
    execute format('grant usage on schema mifeng to %I', role);
    execute format('grant select, insert, update, delete on all tables in schema mifeng to %I', role);
    execute format('revoke insert, update, delete on schema_migrations from %I', role);
    execute format('revoke update on tenants, chain_entries, log_entries, audit_entries from %I', role);
    execute format('grant update (suite) on tenants to %I', role);
end $$;

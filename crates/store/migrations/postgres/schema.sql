-- Before the migrations, at every start that may migrate. Only the owner makes anything in this schema, so that nobody can put
-- a name of theirs before one of ours.
do $$
begin
    if to_regnamespace('mifeng') is null then
        create schema mifeng;
    end if;
    if to_regclass('mifeng.schema_migrations') is null then
        create table mifeng.schema_migrations (version bigint not null primary key, digest bytea not null);
    end if;
end $$;

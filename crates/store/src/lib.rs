//! The database: one Tx, one file per entity, migrations.

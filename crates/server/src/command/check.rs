//! `mifengd check`

use crate::{
    clock,
    config::{Config, StoreKind},
    files, tls,
};
use std::{path::Path, process::ExitCode};
use store::Database;

pub(super) fn run(data: &Path) -> anyhow::Result<ExitCode> {
    let config = super::load_config(data)?;
    println!("configuration          ok");
    let mut problems = 0;
    for plane in tls::Plane::ALL {
        let what = format!("certificates {}", plane.as_str());
        match tls::inspect::server(data, plane, &config.clients.host, clock::now()) {
            Ok(findings) if findings.is_empty() => println!("{what:22} ok"),
            Ok(findings) => {
                for finding in findings {
                    println!("{what:22} {finding}");
                    problems += usize::from(!matches!(finding, tls::inspect::Finding::ExpiresIn { .. }));
                }
            }
            Err(error) => {
                println!("{what:22} {}", crate::gateway::failure::Chain(&error));
                problems += 1;
            }
        }
    }
    problems += private("data directory", data);
    problems += private("root key", &data.join(crate::ROOT_KEY_FILE));
    if let Some(file) = &config.root.passphrase_file {
        problems += private("passphrase file", file);
    }
    for file in config.store.secret_files() {
        problems += private("secret of the store", file);
    }
    problems += database(data, &config);
    Ok(if problems == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Asks a PostgreSQL database whether it may be used. A file in the data directory is left alone: a server may have it open.
fn database(data: &Path, config: &Config) -> usize {
    if config.store.kind != StoreKind::Postgres {
        return 0;
    }
    let checked = config.store.location(data).and_then(|location| Ok(Database::check(location)?));
    match &checked {
        Ok(()) => println!("{:22} ok", "database"),
        Err(error) => println!("{:22} {error:#}", "database"),
    }
    usize::from(checked.is_err())
}

/// One problem or none.
fn private(what: &str, path: &Path) -> usize {
    match files::is_open_to_others(path) {
        Ok(false) => {
            println!("{what:22} ok");
            0
        }
        Ok(true) => {
            println!("{what:22} {} may be read by others: chmod go= it", path.display());
            1
        }
        Err(error) => {
            println!("{what:22} {}: {error}", path.display());
            1
        }
    }
}

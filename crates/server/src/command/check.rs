//! `mifengd check`

use crate::{clock, files, tls};
use std::{path::Path, process::ExitCode};

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
    Ok(if problems == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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

//! `mifengd renew`

use crate::{clock, tls};
use anyhow::Context;
use clap::Args;
use std::{path::Path, process::ExitCode};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The names and addresses by which devices know the server, separated by commas; they must be among those that `init`
    /// was given, for which its authority is good.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_value = "localhost,127.0.0.1,::1")]
    host: Vec<String>,
}

pub(super) fn run(data: &Path, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    for plane in tls::Plane::ALL {
        tls::issue::server(data, plane, &arguments.host, clock::now())
            .with_context(|| format!("cannot make the certificate for {}", plane.as_str()))?;
        println!("{}", plane.files(data).server().display());
    }
    println!("A running server takes them within seconds.");
    Ok(ExitCode::SUCCESS)
}

//! `mifengd`: the server. The commands are in the library, a file each.

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    match mifeng_server::command::run(mifeng_server::command::Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("mifengd: {error:#}");
            ExitCode::FAILURE
        }
    }
}

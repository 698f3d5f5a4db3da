//! `mifengd invite`

use super::say;
use crate::admin::{Caller, CreateInvite};
use clap::Subcommand;
use std::{path::Path, process::ExitCode};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Makes an invite and prints the line to hand over.
    Create {
        /// The tenant's name.
        #[arg(long)]
        tenant: String,
        /// How long it is good: a number and s, m, h or d.
        #[arg(long, default_value = "7d", value_parser = parse_life)]
        expires: u64,
        /// How many people it lets in.
        #[arg(long, default_value_t = 1)]
        uses: u32,
        /// Prints one JSON object.
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(data: &Path, command: &Command) -> anyhow::Result<ExitCode> {
    let Command::Create { tenant, expires, uses, json } = command;
    let caller = Caller::of(data)?;
    let invite = caller.call(&CreateInvite { tenant: tenant.clone(), life_ms: *expires, uses: *uses })?;
    if *json {
        say(serde_json::to_string(&invite)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    say(&invite.link)?;
    say("")?;
    say("Hand this line to the person, and to nobody else. They run:")?;
    say(format_args!("  mifeng join '{}' --handle NAME", invite.link))?;
    Ok(ExitCode::SUCCESS)
}

fn parse_life(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit_ms = match text.get(digits.len()..) {
        Some("s") => 1_000,
        Some("m") => 60_000,
        Some("h") => 3_600_000,
        Some("d") => 86_400_000,
        _ => return Err("a number and s, m, h or d, such as 7d".into()),
    };
    let count: u64 = digits.parse().map_err(|_| "a number and s, m, h or d, such as 7d".to_owned())?;
    count.checked_mul(unit_ms).ok_or_else(|| "too long".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lives_are_read() {
        assert_eq!(parse_life("7d"), Ok(604_800_000));
        assert_eq!(parse_life("90s"), Ok(90_000));
        for wrong in ["", "7", "d", "7w", "-1d", "1.5h", "99999999999999999999d", "999999999999999999d"] {
            assert!(parse_life(wrong).is_err(), "{wrong}");
        }
    }
}

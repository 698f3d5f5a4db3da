//! `cargo xtask soak attacks`: the tests of attacks that take too long for every push, with their full counts.

use crate::stage::stream;
use crate::test::{cargo_command, packages};
use crate::workspace::{self, Layers};
use anyhow::Result;

/// What is ignored otherwise: the rows of ATTACKS that name a number.
const TESTS: [&str; 2] = [
    "a1_a_hundred_thousand_mutated_commits_never_merge",
    "traces::a13_a_million_random_traces_show_every_message_once_in_order_or_its_gap",
];

/// Runs them; `false` if one failed.
pub(crate) fn soak() -> Result<bool> {
    let set = packages(&Layers::read(&workspace::root())?.sets.client);
    // Our own crates are optimised too, and nothing else is built anew.
    let mut command = cargo_command(&["test", "--locked", "--lib", "--test", "attacks"]);
    command.args(set).args(["--", "--ignored", "--nocapture", "--exact"]).env("CARGO_PROFILE_DEV_OPT_LEVEL", "2");
    Ok(stream(command.args(TESTS), |_| {}).is_ok())
}

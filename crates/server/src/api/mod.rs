//! The operations of devices: a file each, with its handler and its errors. What every operation shares is in
//! [`crate::gateway`]; what is allowed is in [`rules`]; what is stored is in [`store`].

pub(crate) mod accept_welcome;
pub(crate) mod acknowledge;
pub(crate) mod answer_link;
mod archive;
pub(crate) mod authenticate;
pub(crate) mod begin_blob;
pub(crate) mod claim_key_packages;
pub(crate) mod collect_link;
pub(crate) mod commit;
pub(crate) mod create_conversation;
pub(crate) mod delete_blob;
pub(crate) mod devices;
mod epoch;
pub(crate) mod fetch;
pub(crate) mod fetch_archive_days;
pub(crate) mod fetch_chain;
pub(crate) mod fetch_chain_changes;
pub(crate) mod fetch_group_info;
pub(crate) mod fetch_joinable;
pub(crate) mod fetch_offer;
pub(crate) mod fetch_own_chain;
pub(crate) mod fetch_part;
pub(crate) mod fetch_restored;
pub(crate) mod fetch_segments;
pub(crate) mod fetch_stay;
pub(crate) mod fetch_tree;
pub(crate) mod fetch_welcomes;
pub(crate) mod find_user;
pub(crate) mod finish_blob;
pub(crate) mod hello;
pub(crate) mod join_finish;
pub(crate) mod join_start;
pub(crate) mod keep_out;
pub(crate) mod list_segments;
pub(crate) mod login_finish;
pub(crate) mod login_start;
mod membership;
pub(crate) mod offer_link;
pub(crate) mod open_archive_day;
pub(crate) mod propose;
pub(crate) mod publish_key_packages;
pub(crate) mod put_part;
pub(crate) mod put_segment;
pub(crate) mod renew_group_info;
pub(crate) mod resupply;
pub(crate) mod revoke_device;
pub(crate) mod rewrap_archive_days;
pub(crate) mod send;
pub(crate) mod succeed;
pub(crate) mod sync;
pub(crate) mod whisper;

use rules::handle::Handle;
use store::{Actor, NewAuditEntry, Tx};
use wire::{ErrorCode, Op, Refusal, UnixMillis};

use crate::gateway::failure::Failure;

/// Writes the audit row of an operation that [`rules::route`] declares to be audited, in the operation's own transaction.
fn audit(
    tx: &mut Tx<'_>,
    now: UnixMillis,
    actor: Actor,
    op: Op,
    outcome: &str,
    objects: &[[u8; 16]],
) -> Result<(), Failure> {
    debug_assert!(rules::route::rule(op).audited, "{op:?} is not declared to be audited");
    tx.record_audit(NewAuditEntry { at: now, actor, operation: op.as_str(), outcome, objects })?;
    Ok(())
}

fn handle(spelling: &str) -> Result<Handle, Refusal> {
    Handle::parse(spelling).map_err(|error| Refusal::with_detail(ErrorCode::InvalidHandle, error.to_string()))
}

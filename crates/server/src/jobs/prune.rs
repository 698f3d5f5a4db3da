//! Deletes what nobody needs any more: entries that all devices have, what has expired.

use crate::{
    clock,
    gateway::failure::{Chain, Failure},
    node::Node,
};
use rules::retention::Retention;
use std::{sync::Arc, time::Duration};
use store::{Store, Tx};
use tokio::sync::watch;
use wire::{ConversationId, TenantId, UnixMillis};

const EVERY: Duration = Duration::from_secs(600);
/// Conversations in one transaction: the writer has other things to do.
const PART: u32 = 64;

pub(super) async fn run(node: Arc<Node>, mut stopped: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            _ = stopped.wait_for(|stopped| *stopped) => return,
        }
        if let Err(failure) = all(&node, clock::now()).await {
            log(&failure);
        }
    }
}

async fn all(node: &Node, now: UnixMillis) -> Result<(), Failure> {
    for (_, tenant) in node.tenants.names().await? {
        if let Err(failure) = one(node, tenant, now).await {
            log(&failure);
        }
    }
    Ok(())
}

async fn one(node: &Node, tenant: TenantId, now: UnixMillis) -> Result<(), Failure> {
    let store = node.database.tenant(tenant);
    store.write(move |tx| expire(tx, now)).await?;
    let mut after = None;
    while let Some(last) = part(&store, after, now).await? {
        after = Some(last);
    }
    Ok(())
}

fn expire(tx: &mut Tx<'_>, now: UnixMillis) -> Result<(), Failure> {
    tx.expire_key_packages(now)?;
    tx.expire_guesses(now)?;
    for invite in tx.invites()? {
        if !rules::invite::redeemable(invite.terms, now) {
            tx.delete_invite(invite.invite)?;
        }
    }
    Ok(())
}

/// Prunes some conversations; the last of them, or nothing when there are no more.
async fn part(
    store: &Store,
    after: Option<ConversationId>,
    now: UnixMillis,
) -> Result<Option<ConversationId>, Failure> {
    let ids = store.read(move |tx| Ok::<_, Failure>(tx.conversations_after(after, PART)?)).await?;
    let ids: Vec<_> = ids.into_iter().map(|there| there.conversation).collect();
    let last = ids.last().copied();
    store
        .write(move |tx: &mut Tx<'_>| {
            ids.iter().try_for_each(|id| tx.prune(*id, Retention::DEFAULT, now).map(drop)).map_err(Failure::from)
        })
        .await?;
    Ok(last)
}

fn log(failure: &Failure) {
    match failure {
        Failure::Internal(cause) => tracing::error!(error = %Chain(cause.as_ref()), "pruning failed"),
        Failure::Refused(refusal) => tracing::warn!(%refusal, "pruning has to wait"),
    }
}

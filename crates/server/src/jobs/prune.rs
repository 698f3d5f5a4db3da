//! Deletes what nobody needs any more: entries that all devices have, what has expired.

use super::{archive, blobs};
use crate::{
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
        if let Err(failure) = all(&node, node.clock.now()).await {
            log(&failure);
        }
    }
}

pub(super) async fn all(node: &Node, now: UnixMillis) -> Result<(), Failure> {
    for (_, tenant) in node.tenants.names().await? {
        if let Err(failure) = one(node, tenant, now).await {
            log(&failure);
        }
    }
    Ok(())
}

async fn one(node: &Node, tenant: TenantId, now: UnixMillis) -> Result<(), Failure> {
    let store = node.database.tenant(tenant);
    // What comes back after a restore is compared with what is there.
    if store.read(move |tx| Ok::<_, Failure>(tx.is_held(now)?)).await? {
        return Ok(());
    }
    store.write(move |tx| expire(tx, now)).await?;
    let mut after = None;
    while let Some(last) = part(&store, after, now).await? {
        after = Some(last);
    }
    archive::sweep(node, tenant, now).await?;
    blobs::sweep(node, tenant, now).await
}

fn expire(tx: &mut Tx<'_>, now: UnixMillis) -> Result<(), Failure> {
    tx.expire_key_packages(now)?;
    tx.expire_guesses(now)?;
    tx.expire_lookups(now)?;
    tx.expire_links(now)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::Config, listen::Caps};
    use keyring::RootKey;
    use store::{NewInvite, NewTenant};
    use trust::AuthorityPublicKey;
    use wire::InviteId;

    #[tokio::test]
    async fn what_has_expired_goes_and_what_has_not_stays() {
        let dir = tempfile::tempdir().unwrap();
        let root = RootKey::ephemeral().unwrap();
        let node = Node::open(dir.path(), Config::default(), root, Caps::new(1, 1)).await.unwrap();
        let tenant = TenantId::from_bytes([1; 16]);
        let authority_key = AuthorityPublicKey::from_bytes([2; 32]);
        let new = NewTenant { tenant, name: "acme", suite: 1, authority_key };
        assert!(node.database.operator().write(move |tx| tx.create_tenant(new, 1)).await.unwrap());
        let store = node.database.tenant(tenant);
        let day_ms = 24 * 3_600_000;
        for (byte, life_ms) in [(1, day_ms), (2, 10 * day_ms)] {
            let terms = rules::invite::terms(1_000, life_ms, 1).unwrap();
            let code = if byte == 1 { "one" } else { "two" };
            let invite = InviteId::from_bytes([byte; 16]);
            let new = NewInvite { invite, code, terms, created_by: None };
            assert!(store.write(move |tx| tx.create_invite(new, 1_000)).await.unwrap());
        }
        all(&node, 1_000 + 2 * day_ms).await.unwrap();
        let left = store.read(|tx| tx.invites()).await.unwrap();
        assert_eq!(left.iter().map(|invite| invite.invite.as_bytes()[0]).collect::<Vec<_>>(), [2]);
    }
}

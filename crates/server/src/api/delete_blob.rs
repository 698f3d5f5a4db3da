//! `delete_blob`: who has sent a file takes it back. Its key is gone when this is answered; its parts go with the next round
//! of `jobs::blobs`.

use crate::gateway::{failure::Failure, state::Session};
use store::{Actor, BlobState, Tx};
use wire::{
    ErrorCode, Op,
    request::{DeleteBlob, Done},
};

pub(crate) async fn handle(session: &Session, delete: DeleteBlob) -> Result<Done, Failure> {
    session.may_record()?;
    let (now, user, device, blob) = (session.clock.now(), session.user, session.device, delete.blob);
    let deleted = session.tenant.store.write(move |tx: &mut Tx<'_>| {
        // Another's is as if there were none.
        let there = tx.blob(blob)?.filter(|there| there.user == user);
        let there = there.ok_or_else(|| Failure::from(ErrorCode::NotFound))?;
        if there.state != BlobState::Destroyed {
            tx.destroy_blob(blob)?;
            super::audit(tx, now, Actor::Device(device), Op::DeleteBlob, "ok", &[*blob.as_bytes()])?;
        }
        Ok(Done {})
    });
    deleted.await
}

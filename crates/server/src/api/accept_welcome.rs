//! `accept_welcome`: the device has joined, or refuses to; a repeat changes nothing.

use crate::gateway::{failure::Failure, state::Session};
use store::Tx;
use wire::request::{AcceptWelcome, Done};

pub(crate) async fn handle(session: &Session, accept: AcceptWelcome) -> Result<Done, Failure> {
    let device = session.device;
    let accepted = session
        .tenant
        .store
        .write(move |tx: &mut Tx<'_>| Ok::<_, Failure>(tx.accept_welcome(device, accept.conversation, accept.seq)?));
    accepted.await.map(|_| Done {})
}

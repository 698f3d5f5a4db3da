//! `fetch_welcomes`: what the device has been invited into and has not accepted yet.

use crate::gateway::{failure::Failure, state::Session};
use wire::{
    limits,
    request::{FetchWelcomes, Welcomes},
};

const MAX: u32 = 50;

pub(crate) async fn handle(session: &Session, FetchWelcomes {}: FetchWelcomes) -> Result<Welcomes, Failure> {
    let device = session.device;
    let mut welcomes = session.tenant.store.read(move |tx| Ok::<_, Failure>(tx.welcomes(device, MAX)?)).await?;
    // One for a thousand joiners has a megabyte: as many as fit, and always one.
    let mut bytes = 0;
    let fit = welcomes.iter().take_while(|pending| {
        bytes += pending.welcome.len();
        bytes <= limits::FETCH_MAX_BYTES
    });
    let fit = fit.count().max(1);
    welcomes.truncate(fit);
    Ok(Welcomes { welcomes })
}

//! `hello`: which tenant the connection is for.

use crate::{
    gateway::{failure::Failure, state::Guest},
    node::Node,
    random,
};
use wire::{
    ErrorCode,
    request::{Greeting, Hello},
};

const VERSION: u16 = 1;

pub(crate) async fn handle(node: &Node, hello: Hello) -> Result<(Greeting, Guest), Failure> {
    if hello.version != VERSION {
        return Err(ErrorCode::UnsupportedVersion.into());
    }
    let tenant = node.tenants.named(&hello.tenant).await?.ok_or(ErrorCode::UnknownTenant)?;
    let challenge = random::bytes()?;
    let greeting = Greeting { tenant: tenant.id, challenge, now: node.clock.now(), suite: tenant.suite };
    Ok((greeting, Guest { tenant, clock: node.clock.clone(), challenge: Some(challenge), login: None }))
}

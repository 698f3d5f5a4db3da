//! From an operation's number to its file in `api`. The match is exhaustive: an operation without a handler does not compile.

use super::{
    failure::Failure,
    state::{Connection, Guest, Person, Session, State, refuse},
};
use crate::{api, metrics::Outcome, node::Node};
use std::{future::Future, sync::Arc};
use wire::{ErrorCode, Op, Operation, frame};

/// An encoded answer, or why there is none.
type Answer = Result<Vec<u8>, Failure>;

/// Acts. `None` means that the answer comes later, from the store's completion or a task.
///
/// What is rare is boxed: the largest operation's state would else be part of every idle connection.
pub(super) async fn run(connection: &mut Connection, op: Op, id: u32, body: &[u8]) -> Option<Answer> {
    match op {
        Op::Send => later(send(connection, id, body).await),
        Op::PutPart => later(beside(connection, id, body, api::put_part::handle).await),
        Op::FetchPart => later(beside(connection, id, body, api::fetch_part::handle).await),
        Op::PutSegment => later(beside(connection, id, body, api::put_segment::handle).await),
        Op::FetchSegments => later(beside(connection, id, body, api::fetch_segments::handle).await),
        Op::Hello | Op::JoinStart | Op::JoinFinish | Op::Authenticate | Op::LoginStart | Op::LoginFinish => {
            Some(Box::pin(session(connection, op, id, body)).await)
        }
        Op::FetchOwnChain | Op::OfferLink | Op::CollectLink => Some(Box::pin(person(connection, op, id, body)).await),
        _ => Some(Box::pin(device(connection, op, id, body)).await),
    }
}

fn later(begun: Result<(), Failure>) -> Option<Answer> {
    begun.err().map(Err)
}

/// Operations that change what the connection is.
async fn session(connection: &mut Connection, op: Op, id: u32, body: &[u8]) -> Answer {
    let node = Arc::clone(&connection.node);
    let answer = match op {
        Op::Hello => {
            let (greeting, guest) = api::hello::handle(&node, params(body)?).await?;
            connection.state = State::Guest(guest);
            frame::answer(id, &greeting)
        }
        Op::JoinStart => frame::answer(id, &api::join_start::handle(guest(connection)?, params(body)?).await?),
        Op::JoinFinish => frame::answer(id, &api::join_finish::handle(guest(connection)?, params(body)?).await?),
        Op::Authenticate => {
            let queue = connection.queue();
            let (answer, session) = api::authenticate::handle(&node, guest(connection)?, queue, params(body)?).await?;
            connection.peer.allowance.lift();
            connection.state = State::Device(session);
            frame::answer(id, &answer)
        }
        Op::LoginStart => frame::answer(id, &api::login_start::handle(guest(connection)?, params(body)?).await?),
        Op::LoginFinish => {
            let (answer, person) = api::login_finish::handle(guest(connection)?, params(body)?).await?;
            connection.state = State::Person(person);
            frame::answer(id, &answer)
        }
        _ => return Err(ErrorCode::UnknownOperation.into()),
    };
    Ok(answer)
}

/// Operations of a person whose device is not linked yet.
async fn person(connection: &Connection, op: Op, id: u32, body: &[u8]) -> Answer {
    let person = of_person(connection)?;
    match op {
        Op::FetchOwnChain => act(id, body, |p| api::fetch_own_chain::handle(person, p)).await,
        Op::OfferLink => act(id, body, |p| api::offer_link::handle(person, p)).await,
        Op::CollectLink => act(id, body, |p| api::collect_link::handle(person, p)).await,
        _ => Err(ErrorCode::UnknownOperation.into()),
    }
}

/// Operations of a device.
async fn device(connection: &Connection, op: Op, id: u32, body: &[u8]) -> Answer {
    let (node, session) = (&connection.node, of_device(connection)?);
    match op {
        Op::PublishKeyPackages => act(id, body, |p| api::publish_key_packages::handle(session, p)).await,
        Op::ClaimKeyPackages => act(id, body, |p| api::claim_key_packages::handle(session, p)).await,
        Op::FindUser => act(id, body, |p| api::find_user::handle(session, p)).await,
        Op::FetchChain => act(id, body, |p| api::fetch_chain::handle(session, p)).await,
        Op::CreateConversation => act(id, body, |p| api::create_conversation::handle(node, session, p)).await,
        Op::Commit => act(id, body, |p| api::commit::handle(node, session, p)).await,
        Op::Fetch => act(id, body, |p| api::fetch::handle(session, p)).await,
        Op::Acknowledge => act(id, body, |p| api::acknowledge::handle(session, p)).await,
        Op::Sync => act(id, body, |p| api::sync::handle(session, p)).await,
        Op::FetchWelcomes => act(id, body, |p| api::fetch_welcomes::handle(session, p)).await,
        Op::AcceptWelcome => act(id, body, |p| api::accept_welcome::handle(session, p)).await,
        Op::FetchTree => act(id, body, |p| api::fetch_tree::handle(node, session, p)).await,
        Op::FetchGroupInfo => act(id, body, |p| api::fetch_group_info::handle(session, p)).await,
        Op::Whisper => act(id, body, |p| api::whisper::handle(node, session, p)).await,
        Op::Succeed => act(id, body, |p| api::succeed::handle(node, session, p)).await,
        Op::FetchRestored => act(id, body, |p| api::fetch_restored::handle(session, p)).await,
        Op::Resupply => act(id, body, |p| api::resupply::handle(node, session, p)).await,
        Op::RenewGroupInfo => act(id, body, |p| api::renew_group_info::handle(node, session, p)).await,
        Op::Propose => act(id, body, |p| api::propose::handle(node, session, p)).await,
        Op::FetchOffer => act(id, body, |p| api::fetch_offer::handle(session, p)).await,
        Op::AnswerLink => act(id, body, |p| api::answer_link::handle(node, session, p)).await,
        Op::RevokeDevice => act(id, body, |p| api::revoke_device::handle(node, session, p)).await,
        Op::FetchChainChanges => act(id, body, |p| api::fetch_chain_changes::handle(session, p)).await,
        Op::FetchJoinable => act(id, body, |p| api::fetch_joinable::handle(session, p)).await,
        Op::FetchStay => act(id, body, |p| api::fetch_stay::handle(session, p)).await,
        Op::BeginBlob => act(id, body, |p| api::begin_blob::handle(node, session, p)).await,
        Op::FinishBlob => act(id, body, |p| api::finish_blob::handle(node, session, p)).await,
        Op::DeleteBlob => act(id, body, |p| api::delete_blob::handle(session, p)).await,
        Op::OpenArchiveDay => act(id, body, |p| api::open_archive_day::handle(node, session, p)).await,
        Op::FetchArchiveDays => act(id, body, |p| api::fetch_archive_days::handle(session, p)).await,
        Op::RewrapArchiveDays => act(id, body, |p| api::rewrap_archive_days::handle(session, p)).await,
        Op::ListSegments => act(id, body, |p| api::list_segments::handle(session, p)).await,
        Op::KeepOut => act(id, body, |p| api::keep_out::handle(session, p)).await,
        Op::Send
        | Op::PutPart
        | Op::FetchPart
        | Op::PutSegment
        | Op::FetchSegments
        | Op::Hello
        | Op::JoinStart
        | Op::JoinFinish
        | Op::Authenticate
        | Op::LoginStart
        | Op::LoginFinish
        | Op::FetchOwnChain
        | Op::OfferLink
        | Op::CollectLink => Err(ErrorCode::UnknownOperation.into()),
    }
}

async fn send(connection: &Connection, id: u32, body: &[u8]) -> Result<(), Failure> {
    // Waiting here stops reading: whoever sends faster than the storage takes is slowed down by TCP.
    let permit = Arc::clone(&connection.in_flight).acquire_owned().await.map_err(Failure::internal)?;
    api::send::begin(&connection.node, of_device(connection)?, permit, id, params(body)?).await
}

/// Acts in a task of its own: what waits for another disk or machine, and what catches up with years of history, does not
/// hold up what else the device has to say.
async fn beside<O, F>(
    connection: &Connection,
    id: u32,
    body: &[u8],
    handle: impl FnOnce(Arc<Node>, Arc<Session>, O) -> F,
) -> Result<(), Failure>
where
    O: Operation,
    F: Future<Output = Result<O::Answer, Failure>> + Send + 'static,
{
    let permit = Arc::clone(&connection.in_flight).acquire_owned().await.map_err(Failure::internal)?;
    let (node, session) = (Arc::clone(&connection.node), Arc::clone(of_device(connection)?));
    let acting = handle(Arc::clone(&node), Arc::clone(&session), params(body)?);
    tokio::spawn(async move {
        match acting.await {
            Ok(answer) => {
                node.metrics.request(O::OP, Outcome::Answered);
                session.queue.push(frame::answer(id, &answer).into());
            }
            Err(failure) => refuse(&node, &session.queue, O::OP, id, failure),
        }
        drop(permit);
    });
    Ok(())
}

async fn act<O, F>(id: u32, body: &[u8], handle: impl FnOnce(O) -> F) -> Answer
where
    O: Operation,
    F: Future<Output = Result<O::Answer, Failure>>,
{
    Ok(frame::answer(id, &handle(params(body)?).await?))
}

fn params<O: Operation>(body: &[u8]) -> Result<O, Failure> {
    wire::decode(body).map_err(|_| ErrorCode::Malformed.into())
}

fn guest(connection: &mut Connection) -> Result<&mut Guest, Failure> {
    match &mut connection.state {
        State::Guest(guest) => Ok(guest),
        _ => Err(ErrorCode::Unauthenticated.into()),
    }
}

fn of_person(connection: &Connection) -> Result<&Person, Failure> {
    match &connection.state {
        State::Person(person) => Ok(person),
        _ => Err(ErrorCode::Unauthenticated.into()),
    }
}

fn of_device(connection: &Connection) -> Result<&Arc<Session>, Failure> {
    match &connection.state {
        State::Device(session) => Ok(session),
        _ => Err(ErrorCode::Unauthenticated.into()),
    }
}

//! People with real clients: they join, publish key packages and begin conversations as everybody does. What they share is
//! one password registration, which nobody will ever log in by, because stretching a password takes a good part of a second.

use super::line::{Socket, Target, receive};
use super::stage::{Stage, TENANT};
use anyhow::{Context, Result, bail};
use client::content::Content;
use client::{Client, ConversationState, Database, DatabaseKey, Event};
use futures_util::SinkExt;
use runtime::{OsEntropy, now};
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use wire::frame::read_request;
use wire::request::{JoinFinish, Send};
use wire::{ConversationId, Op, UserId};

/// Everything that one person waits for comes within this time, or something is wrong.
const PATIENCE: Duration = Duration::from_secs(120);

/// Makes people.
pub(super) struct Crowd {
    target: Target,
    folder: PathBuf,
    code: String,
    uses_left: u32,
    upload: Vec<u8>,
    count: u32,
}

/// One person with one device, connected.
pub(super) struct Person {
    pub(super) handle: String,
    pub(super) client: Client,
    socket: Socket,
    database: PathBuf,
}

/// How many an invite lets in at most (`rules::invite`).
const USES_MAX: u32 = 1_000;

impl Crowd {
    /// Registers the one password that all accounts of a run have.
    pub(super) async fn new(stage: &Stage) -> Result<Self> {
        let (target, folder) = (stage.target()?, stage.folder().join("people"));
        std::fs::create_dir_all(&folder)?;
        let code = stage.invite(1)?.code;
        let mut first = Person::new(&target, &folder, "first").await?;
        first.client.join(TENANT, &code, "first", b"a password that nobody will use", now())?;
        let upload = first.until_sent(Op::JoinFinish).await?;
        let upload = wire::decode::<JoinFinish>(read_request(&upload)?.body)?.registration_upload;
        first.leave()?;
        Ok(Self { target, folder, code: String::new(), uses_left: 0, upload, count: 0 })
    }

    /// The OPAQUE registration that all accounts share.
    pub(super) fn upload(&self) -> &[u8] {
        &self.upload
    }

    /// One more person, who has joined and can be reached.
    pub(super) async fn join(&mut self, stage: &Stage) -> Result<Person> {
        if self.uses_left == 0 {
            (self.code, self.uses_left) = (stage.invite(USES_MAX)?.code, USES_MAX);
        }
        self.uses_left -= 1;
        self.count += 1;
        let handle = format!("person{}", self.count);
        let mut person = Person::new(&self.target, &self.folder, &handle).await?;
        person.client.join_registered(TENANT, &self.code, &handle, &self.upload, now())?;
        person.client.handle_connected(now())?;
        person.until("joining", |client, _| Ok(client.is_caught_up())).await?;
        Ok(person)
    }
}

impl Person {
    async fn new(target: &Target, folder: &std::path::Path, handle: &str) -> Result<Self> {
        let database = folder.join(format!("{handle}.db"));
        let key = DatabaseKey::generate(&mut OsEntropy);
        let client = Client::open(Database::open(&database, &key)?, Box::new(OsEntropy))?;
        Ok(Self { handle: handle.into(), client, socket: target.connect().await?, database })
    }

    /// A direct conversation with this person.
    pub(super) async fn conversation_with(&mut self, other: &str) -> Result<ConversationId> {
        let user = self.find(other).await?;
        let conversation = self.client.start_direct(user, now())?;
        self.until_standing(conversation).await?;
        Ok(conversation)
    }

    /// Looks somebody up.
    pub(super) async fn find(&mut self, handle: &str) -> Result<UserId> {
        self.client.find_user(handle, now())?;
        let known = |client: &mut Client, _: Option<&Event>| Ok(client.contact(handle)?.is_some());
        self.until("finding somebody", known).await?;
        Ok(self.client.contact(handle)?.context("who was found is not known")?.user)
    }

    /// Everything that this person wanted has happened.
    pub(super) async fn until_settled(&mut self) -> Result<()> {
        self.until("the server's answers", |client, _| Ok(client.unsent()? == 0)).await
    }

    /// The group of a conversation stands, with everybody in it.
    pub(super) async fn until_standing(&mut self, conversation: ConversationId) -> Result<()> {
        let stands = |client: &mut Client, _: Option<&Event>| {
            let view = client.conversation(conversation)?;
            Ok(client.unsent()? == 0 && view.is_some_and(|view| view.state == ConversationState::Active))
        };
        self.until("the group", stands).await
    }

    /// Seals a text as this person's client seals it, and keeps it from leaving.
    pub(super) fn seal(&mut self, conversation: ConversationId, text_bytes: usize) -> Result<Send> {
        self.client.send(conversation, &Content::text("m".repeat(text_bytes), now()), now())?;
        while let Some(frame) = self.client.poll_transmit() {
            let request = read_request(&frame)?;
            if request.known() == Some(Op::Send) {
                return Ok(wire::decode(request.body)?);
            }
        }
        bail!("the client did not want to send the message yet")
    }

    /// Gives the connection away; the client ends here, and its database with it.
    pub(super) fn into_socket(self) -> Result<Socket> {
        let Self { client, socket, database, .. } = self;
        drop(client);
        remove(&database)?;
        Ok(socket)
    }

    fn leave(self) -> Result<()> {
        self.into_socket().map(drop)
    }

    /// Carries frames to and fro until `is_done` says so, which is asked after everything that happened.
    pub(super) async fn until(
        &mut self,
        what: &str,
        mut is_done: impl FnMut(&mut Client, Option<&Event>) -> Result<bool>,
    ) -> Result<()> {
        let done = async {
            loop {
                self.transmit().await?;
                while let Some(event) = self.client.poll_event() {
                    fail_on(&event)?;
                    if is_done(&mut self.client, Some(&event))? {
                        return self.transmit().await;
                    }
                }
                if is_done(&mut self.client, None)? {
                    return self.transmit().await;
                }
                self.step().await?;
            }
        };
        timeout(PATIENCE, done).await.map_err(|_| anyhow::anyhow!("waited too long"))?.with_context(|| what.to_owned())
    }

    /// Waits for a frame, or for the time that the client named.
    async fn step(&mut self) -> Result<()> {
        let wait = self.client.poll_timeout().map_or(PATIENCE, |at| Duration::from_millis(at.saturating_sub(now())));
        match timeout(wait, receive(&mut self.socket)).await {
            Ok(frame) => self.client.handle_frame(&frame?, now())?,
            Err(_) => self.client.handle_timeout(now())?,
        }
        Ok(())
    }

    async fn transmit(&mut self) -> Result<()> {
        let mut wrote = false;
        while let Some(frame) = self.client.poll_transmit() {
            self.socket.feed(Message::Binary(frame.into())).await?;
            wrote = true;
        }
        if wrote {
            self.socket.flush().await?;
        }
        Ok(())
    }

    /// The first frame of an operation, which is kept from leaving.
    async fn until_sent(&mut self, op: Op) -> Result<Vec<u8>> {
        self.client.handle_connected(now())?;
        loop {
            while let Some(frame) = self.client.poll_transmit() {
                if read_request(&frame)?.known() == Some(op) {
                    return Ok(frame);
                }
                self.socket.send(Message::Binary(frame.into())).await?;
            }
            self.step().await?;
        }
    }
}

/// What ends the preparations at once.
fn fail_on(event: &Event) -> Result<()> {
    match event {
        Event::JoinRefused(refusal) | Event::LoginRefused(refusal) => bail!("the server refused: {refusal}"),
        Event::Failed { reason, .. } => bail!("a message was refused: {reason}"),
        Event::NotAdded { reason, .. } => bail!("somebody could not be added: {reason}"),
        Event::GroupUnchanged { reason, .. } => bail!("a change was refused: {reason}"),
        Event::ContactUnknown { .. } => bail!("somebody was not found"),
        Event::LookupRefused { refusal, .. } => bail!("somebody was not looked up: {refusal}"),
        _ => Ok(()),
    }
}

fn remove(database: &std::path::Path) -> Result<()> {
    for end in ["", "-wal", "-shm"] {
        let mut path = database.as_os_str().to_owned();
        path.push(end);
        match std::fs::remove_file(PathBuf::from(path)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}

//! Two people who say things that nobody could guess, with the same client that everybody uses.

use super::canary::{Canary, random_text};
use crate::profile::Profile;
use anyhow::{Context, Result, anyhow, bail};
use client::content::{Body, Content, FileDetails, MessageView, Preview, Reaction, Voice};
use client::{Client, Event, FILE_PART_BYTES, FileState};
use runtime::{Next, Shell, now};
use std::path::Path;
use std::time::Duration;
use wire::{ConversationId, InviteLink, MessageId};

/// Everything that one person waits for comes within this time, or something is wrong.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of each file: some parts.
const FILE_BYTES: usize = 600_000;
/// Lines that a conversation of the story has at most.
const LINES: u32 = 100;

/// The two people and what they will say.
pub(super) struct Story {
    ann: Person,
    ben: Person,
    said: Said,
    conversation: Option<ConversationId>,
}

/// What is said, once each.
struct Said {
    text: Canary,
    markdown: Canary,
    reply: Canary,
    edit: Canary,
    reaction: Canary,
    name: Canary,
    topic: Canary,
    file: Canary,
    file_content: Canary,
    thumbnail: Canary,
    voice: Canary,
    later_text: Canary,
    later_answer: Canary,
}

impl Said {
    /// What is said of a file that passes for a picture.
    fn picture(&self) -> FileDetails {
        let thumbnail = [b"\xff\xd8\xff".as_slice(), self.thumbnail.text.as_bytes()].concat();
        FileDetails {
            name: format!("{}.jpg", self.file.text),
            media_type: Some("image/jpeg".into()),
            preview: Some(Preview { width: 640, height: 480, thumbnail }),
            voice: None,
        }
    }

    /// What is said of one that passes for speech.
    fn spoken(&self) -> FileDetails {
        let voice = Voice { duration_ms: 1_500, waveform: self.voice.text.clone().into_bytes() };
        FileDetails { media_type: Some("audio/ogg".into()), voice: Some(voice), ..FileDetails::default() }
    }
}

impl Story {
    /// Two strangers, with their own folders in `folder`.
    pub(super) fn new(folder: &Path) -> Result<Self> {
        let said = Said {
            text: Canary::new("message text")?,
            markdown: Canary::new("markdown")?,
            reply: Canary::new("reply")?,
            edit: Canary::new("edited text")?,
            reaction: Canary::new("reaction")?,
            name: Canary::new("conversation name")?,
            topic: Canary::new("conversation topic")?,
            file: Canary::new("file name")?,
            file_content: Canary::new("content of a file")?,
            thumbnail: Canary::new("preview of a picture")?,
            voice: Canary::new("voice message")?,
            later_text: Canary::new("message text after the restart")?,
            later_answer: Canary::new("answer after the restart")?,
        };
        let (ann, ben) = (Person::new(&folder.join("ann"))?, Person::new(&folder.join("ben"))?);
        Ok(Self { ann, ben, said, conversation: None })
    }

    /// Everything that the server must not have.
    pub(super) fn canaries(&self) -> Vec<Canary> {
        let Said { text, markdown, reply, edit, reaction, name, topic, file, .. } = &self.said;
        let Said { file_content, thumbnail, voice, later_text, later_answer, .. } = &self.said;
        let words = [text, markdown, reply, edit, reaction, name, topic, later_text, later_answer];
        let files = [file, file_content, thumbnail, voice];
        let passwords = [&self.ann.password, &self.ben.password];
        words.into_iter().chain(files).chain(passwords).cloned().collect()
    }

    pub(super) fn people(&mut self) -> [&mut Person; 2] {
        [&mut self.ann, &mut self.ben]
    }

    /// They find each other and say all but the last things; each is read on the other side, or this fails.
    pub(super) async fn talk(&mut self) -> Result<()> {
        let Self { ann, ben, said, .. } = self;
        let conversation = ann.conversation_with(&ben.handle).await?;
        let text = ann.say(conversation, Body::Text(said.text.text.clone()))?;
        ann.say(conversation, Body::Markdown(format!("*{}*", said.markdown.text)))?;
        ann.say(conversation, Body::Name(said.name.text.clone()))?;
        ann.say(conversation, Body::Topic(said.topic.text.clone()))?;
        let picture = ann.send_file(conversation, &said.file_content, said.picture())?;
        let spoken = ann.send_file(conversation, &said.voice, said.spoken())?;
        ann.finish().await?;
        for canary in [&said.text, &said.markdown, &said.file, &said.thumbnail] {
            ben.read(conversation, canary).await?;
        }
        ben.read_file(conversation, picture, &said.file_content).await?;
        ben.read_file(conversation, spoken, &said.voice).await?;
        ben.wait("the conversation's name and topic", |client| {
            let named = Some(Body::Name(said.name.text.clone()));
            let is_named = client.lines(conversation, 20)?.iter().any(|line| line.body == named);
            let topic = client.conversation(conversation)?.and_then(|view| view.topic);
            Ok(is_named && topic.as_ref() == Some(&said.topic.text))
        })
        .await?;

        let reply = Content::text(&said.reply.text, now()).replying_to(text);
        ben.client()?.send(conversation, &reply, now())?;
        let reaction = Reaction { target: text, symbol: said.reaction.text.clone(), removed: false };
        ben.say(conversation, Body::Reaction(reaction))?;
        ben.finish().await?;
        ann.read(conversation, &said.reply).await?;
        ann.read(conversation, &said.reaction).await?;
        ann.say(conversation, Body::Edit { target: text, text: said.edit.text.clone() })?;
        ann.finish().await?;
        ben.read(conversation, &said.edit).await?;
        self.conversation = Some(conversation);
        Ok(())
    }

    /// They leave, so that the server can stop at once.
    pub(super) async fn leave(&mut self) {
        for person in self.people() {
            if let Some(shell) = person.shell.take() {
                shell.close().await;
            }
        }
    }

    /// They come back and say the last things.
    pub(super) async fn talk_again(&mut self) -> Result<()> {
        let conversation = self.conversation.context("they have not talked before")?;
        for person in self.people() {
            person.open()?;
        }
        let Self { ann, ben, said, .. } = self;
        ann.say(conversation, Body::Text(said.later_text.text.clone()))?;
        ann.finish().await?;
        ben.read(conversation, &said.later_text).await?;
        ben.say(conversation, Body::Text(said.later_answer.text.clone()))?;
        ben.finish().await?;
        ann.read(conversation, &said.later_answer).await
    }
}

/// One person with one device.
pub(super) struct Person {
    handle: String,
    password: Canary,
    profile: Profile,
    shell: Option<Shell>,
}

impl Person {
    fn new(folder: &Path) -> Result<Self> {
        let profile = Profile::open(folder).map_err(|failure| anyhow!(failure.text(false)))?;
        Ok(Self { handle: random_text()?, password: Canary::new("password")?, profile, shell: None })
    }

    /// Joins by an invite, and publishes key packages.
    pub(super) async fn join(&mut self, link: InviteLink) -> Result<()> {
        self.profile.remember(&wire::ServerLine::from(&link)).map_err(|failure| anyhow!(failure.text(false)))?;
        self.open()?;
        let (handle, password) = (self.handle.clone(), self.password.text.clone());
        self.client()?.join(&link.tenant, &link.code, &handle, password.as_bytes(), now())?;
        self.wait("joining", |client| Ok(client.account_view().is_some() && client.is_caught_up())).await
    }

    fn open(&mut self) -> Result<()> {
        let shell = self.profile.shell(None).map_err(|failure| anyhow!(failure.text(false)))?;
        self.shell = Some(shell);
        Ok(())
    }

    async fn conversation_with(&mut self, handle: &str) -> Result<ConversationId> {
        self.client()?.find_user(handle, now())?;
        self.wait("finding the other person", |client| Ok(client.contact(handle)?.is_some())).await?;
        let client = self.client()?;
        let contact = client.contact(handle)?.context("the person found is not known")?;
        Ok(client.start_direct(contact.user, now())?)
    }

    fn say(&mut self, conversation: ConversationId, body: Body) -> Result<MessageId> {
        Ok(self.client()?.send(conversation, &Content::new(body, now()), now())?)
    }

    /// Sends a file of several parts that says the same word again and again.
    fn send_file(&mut self, conversation: ConversationId, word: &Canary, details: FileDetails) -> Result<MessageId> {
        let content = repeated(word);
        let client = self.client()?;
        let blob = client.begin_file(content.len() as u64, now())?;
        content.chunks(FILE_PART_BYTES).try_for_each(|part| client.add_to_file(blob, part, now()))?;
        Ok(client.send_file(conversation, blob, details, None, now())?)
    }

    /// A file has arrived whole.
    async fn read_file(&mut self, conversation: ConversationId, message: MessageId, word: &Canary) -> Result<()> {
        self.wait(word.role, |client| Ok(client.message(conversation, message)?.is_some())).await?;
        self.client()?.fetch_file(conversation, message, now())?;
        let is_here = |file: client::FileView| file.state == Some(FileState::Here);
        self.wait(word.role, |client| Ok(client.file(conversation, message)?.is_some_and(is_here))).await?;
        let (client, mut content) = (self.client()?, Vec::new());
        while content.len() < FILE_BYTES {
            let part = client.file_part(conversation, message, (content.len() / FILE_PART_BYTES) as u32)?;
            content.extend_from_slice(&part);
        }
        if content == repeated(word) { Ok(()) } else { bail!("{} came as something else", word.role) }
    }

    /// Everything said is recorded by the server.
    async fn finish(&mut self) -> Result<()> {
        self.wait("the server's answers", |client| Ok(client.unsent()? == 0)).await
    }

    /// A canary has arrived and can be read.
    async fn read(&mut self, conversation: ConversationId, canary: &Canary) -> Result<()> {
        self.wait(canary.role, |client| {
            Ok(client.lines(conversation, LINES)?.iter().any(|line| holds(line, &canary.text)))
        })
        .await
    }

    async fn wait(
        &mut self,
        what: &str,
        mut is_done: impl FnMut(&mut Client) -> Result<bool, client::Error>,
    ) -> Result<()> {
        let shell = self.shell.as_mut().context("not connected")?;
        let outcome = shell.run(Some(PATIENCE), |client, event| match event.as_ref().and_then(failure) {
            Some(failure) => Ok(Next::Done(Some(failure))),
            None => Ok(if is_done(client)? { Next::Done(None) } else { Next::Wait }),
        });
        match outcome.await.with_context(|| format!("waiting for: {what}"))? {
            None => Ok(()),
            Some(failure) => bail!("waiting for: {what}: {failure}"),
        }
    }

    fn client(&mut self) -> Result<&mut Client> {
        Ok(self.shell.as_mut().context("not connected")?.client())
    }
}

fn repeated(word: &Canary) -> Vec<u8> {
    word.text.bytes().cycle().take(FILE_BYTES).collect()
}

/// What ends the story at once.
fn failure(event: &Event) -> Option<String> {
    match event {
        Event::JoinRefused(refusal) | Event::LoginRefused(refusal) => Some(format!("the server refused: {refusal}")),
        Event::Failed { reason, .. } => Some(format!("a message was refused: {reason}")),
        Event::Undecryptable { reason, .. } => Some(format!("a message could not be opened: {reason}")),
        Event::ContactUnknown { .. } => Some("the other person was not found".into()),
        Event::LookupRefused { refusal, .. } => Some(format!("the other person was not looked up: {refusal}")),
        Event::ContactRefused { reason, .. } => Some(format!("the other person's devices were refused: {reason}")),
        _ => None,
    }
}

/// Whether a person who sees this line reads these words.
fn holds(line: &MessageView, words: &str) -> bool {
    let in_body = line.body.as_ref().and_then(Body::words).is_some_and(|body| body.contains(words));
    let preview = match &line.body {
        Some(Body::File(file)) => file.preview.as_ref().map(|preview| preview.thumbnail.as_slice()),
        _ => None,
    };
    let in_preview = preview.is_some_and(|preview| preview.windows(words.len()).any(|part| part == words.as_bytes()));
    in_body || in_preview || line.reactions.iter().any(|reaction| reaction.symbol == words)
}

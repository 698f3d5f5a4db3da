//! Doing with the client what the interface asks for. Everything here is local and quick: what needs the server waits in the
//! client's outbox.

use super::command::Command;
use super::lookup::{Lookup, Then};
use super::model::{About, Effect, Found, Model, Overlay, Save};
use super::refresh;
use super::view::markdown::summary;
use crate::conversation;
use crate::failure::Failure;
use crate::file::{self, Prepared};
use crate::output::in_one_line;
use client::content::markdown::Document;
use client::content::{Body, Content, Reaction};
use client::{Client, FileState, Settings};
use runtime::now;
use std::path::{Path, PathBuf};
use wire::{ConversationId, MessageId};

/// Lines among which the last file is looked for.
const FILES_AMONG: u32 = 200;
/// Lines that a search shows at most.
const FOUND_MAX: u32 = 50;

/// Does it. What a person asked for and cannot be is told in the model; only a broken database is a failure.
pub(super) fn carry_out(
    effect: Effect,
    model: &mut Model,
    client: &mut Client,
    lookup: &mut Option<Lookup>,
) -> Result<(), Failure> {
    match perform(effect, model, client, lookup) {
        Err(failure) if failure.is_fatal() => Err(failure),
        Err(failure) => {
            model.complain(failure.text(false));
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

fn perform(effect: Effect, model: &mut Model, client: &mut Client, lookup: &mut Option<Lookup>) -> Result<(), Failure> {
    match effect {
        Effect::Open(id) => open(model, client, id),
        Effect::Jump(id, place) => {
            open(model, client, id)?;
            match place {
                Some(place) => {
                    model.focus = super::model::Focus::Reading;
                    refresh::around(model, client, place)
                }
                None => Ok(()),
            }
        }
        Effect::Older => refresh::older(model, client),
        Effect::Newer => refresh::newer(model, client),
        Effect::Latest => {
            model.page.lines.clear();
            refresh::page(model, client)
        }
        Effect::Send { conversation, text, about } => send(model, client, conversation, &text, about),
        Effect::Typing(id) => Ok(client.typing(id, now())?),
        Effect::React { conversation, target, symbol, removed } => {
            let reaction = Reaction { target, symbol, removed };
            client.send(conversation, &Content::new(Body::Reaction(reaction), now()), now())?;
            refresh::page(model, client)
        }
        Effect::Delete { conversation, target } => {
            client.send(conversation, &Content::new(Body::Delete { target }, now()), now())?;
            refresh::page(model, client)
        }
        Effect::Leave(id) => {
            client.leave_group(id, now())?;
            model.tell("leaving…");
            Ok(())
        }
        Effect::Search(query) => search(model, client, &query),
        Effect::Verify { user, verified } => {
            client.set_verified(user, verified, now())?;
            model.tell(if verified { "noted: you have compared it" } else { "noted: it is to be compared again" });
            refresh::chats(model, client)
        }
        Effect::Command(command) => run(command, model, client, lookup),
        Effect::Quit => Ok(()),
    }
}

pub(super) fn open(model: &mut Model, client: &Client, id: ConversationId) -> Result<(), Failure> {
    model.switch(Some(id));
    if let Some(view) = client.conversation(id)?.filter(|view| view.unread > 0) {
        model.page.new_after = Some(view.read_up_to);
    }
    refresh::page(model, client)
}

fn send(model: &mut Model, client: &mut Client, id: ConversationId, text: &str, about: About) -> Result<(), Failure> {
    let body = |text: String| {
        let is_plain = Document::parse(&text, &[]).is_plain();
        if is_plain { Body::Text(text) } else { Body::Markdown(text) }
    };
    let content = match &about {
        About::Edit(target) => Content::new(Body::Edit { target: *target, text: text.into() }, now()),
        About::Reply(target, _) => Content::new(body(text.into()), now()).replying_to(*target),
        About::Nothing => Content::new(body(text.into()), now()),
    };
    let sent = client.with_mentions(id, content, now()).and_then(|content| client.send(id, &content, now()));
    if let Err(error) = sent {
        // Nothing that was written is lost by an error.
        model.draft.set(text);
        model.about = about;
        return Err(error.into());
    }
    if !model.page.at_end {
        model.page.lines.clear();
    }
    // Who answers has read.
    model.page.new_after = None;
    refresh::page(model, client)
}

fn search(model: &mut Model, client: &Client, query: &str) -> Result<(), Failure> {
    let results = if query.trim().is_empty() { Vec::new() } else { client.search(query, FOUND_MAX)? };
    let mut lines = Vec::new();
    for (conversation, line) in results {
        let title = client.conversation(conversation)?.map(|view| view.title).unwrap_or_default();
        let author = line.author.map(|author| client.handle_of(author)).transpose()?.unwrap_or_default();
        lines.push(Found {
            conversation,
            title: in_one_line(&title),
            place: line.id.map(|id| client.place_of(conversation, id)).transpose()?.flatten(),
            author: in_one_line(&author),
            text: summary(&line.document()),
            at: line.at,
        });
    }
    if let Some(Overlay::Search { found, chosen, .. }) = &mut model.overlay {
        (*found, *chosen) = (lines, 0);
    }
    Ok(())
}

fn run(command: Command, model: &mut Model, client: &mut Client, lookup: &mut Option<Lookup>) -> Result<(), Failure> {
    let here = model.current.ok_or_else(|| Failure::usage("open a conversation first"));
    let mut seek = |people: Vec<String>, then: Then| *lookup = Some(Lookup::new(people, then));
    match command {
        Command::Direct(handle) => seek(vec![handle], Then::Direct),
        Command::Group { name, people } => seek(people, Then::Group(name)),
        Command::Add(people) => seek(people, Then::Add(here?)),
        Command::Remove(handle) => seek(vec![handle], Then::Remove(here?)),
        Command::Promote(handle) => seek(vec![handle], Then::Admin(here?, true)),
        Command::Demote(handle) => seek(vec![handle], Then::Admin(here?, false)),
        Command::Safety(Some(handle)) => seek(vec![handle], Then::Safety),
        Command::Safety(None) => match model.chat().filter(|chat| chat.peer.is_some()) {
            Some(chat) => seek(vec![chat.title.clone()], Then::Safety),
            None => return Err(Failure::usage("whose? /safety @PERSON")),
        },
        Command::Rename(name) => drop(client.rename(here?, &name, now())?),
        Command::Topic(topic) => drop(client.set_topic(here?, &topic, now())?),
        Command::Timer(seconds) => drop(client.set_timer(here?, seconds, now())?),
        Command::File(path) => send_file(model, client, here?, &path)?,
        Command::Save { message, to } => save_file(model, client, here?, message.as_deref(), to)?,
        Command::Members => members(model, client, here?)?,
        Command::Typing(typing) => set(model, client, |settings| Settings { typing, ..settings })?,
        Command::Receipts(receipts) => set(model, client, |settings| Settings { receipts, ..settings })?,
        // These need nothing of the client, and are done where keys are.
        Command::Leave | Command::Search(_) | Command::Help | Command::Quit => {}
    }
    refresh::page(model, client)
}

fn send_file(model: &mut Model, client: &mut Client, id: ConversationId, path: &str) -> Result<(), Failure> {
    let Prepared { blob, details, size } = file::prepare(client, Path::new(path), false)?;
    let name = in_one_line(&details.name);
    client.send_file(id, blob, details, None, now())?;
    model.tell(format!("sending “{name}”, {}", file::size(size)));
    Ok(())
}

fn save_file(
    model: &mut Model,
    client: &mut Client,
    id: ConversationId,
    message: Option<&str>,
    to: Option<String>,
) -> Result<(), Failure> {
    let message = match message {
        Some(number) => conversation::message(client, id, number)?,
        None => last_file(client, id)?.ok_or_else(|| Failure::usage("no file was sent here lately: /save #N"))?,
    };
    let save = Save { conversation: id, message, to: to.map(PathBuf::from) };
    client.fetch_file(id, message, now())?;
    if !finish(&save, model, client)? {
        model.tell("fetching it…");
        model.saves.push(save);
    }
    Ok(())
}

/// The last line that has a file, among those that a search backwards soon finds.
fn last_file(client: &Client, id: ConversationId) -> Result<Option<MessageId>, Failure> {
    let lines = client.lines(id, FILES_AMONG)?;
    Ok(lines.iter().rev().find(|line| matches!(line.body, Some(Body::File(_)))).and_then(|line| line.id))
}

/// Writes the files that have come meanwhile to where the person wants them.
pub(super) fn finish_saves(model: &mut Model, client: &Client) -> Result<(), Failure> {
    for save in std::mem::take(&mut model.saves) {
        match finish(&save, model, client) {
            Ok(false) => model.saves.push(save),
            Ok(true) => {}
            Err(failure) if failure.is_fatal() => return Err(failure),
            Err(failure) => model.complain(failure.text(false)),
        }
    }
    Ok(())
}

/// Whether there is nothing more to do for it.
fn finish(save: &Save, model: &mut Model, client: &Client) -> Result<bool, Failure> {
    let Save { conversation, message, to } = save;
    let Some(view) = client.file(*conversation, *message)? else { return Ok(true) };
    match view.state {
        Some(FileState::Here | FileState::Sending) => {
            let path = file::save(client, *conversation, *message, to.as_deref())?;
            model.tell(format!("saved as {}", in_one_line(&path.display().to_string())));
            Ok(true)
        }
        Some(FileState::Failed) => {
            Err(Failure::usage(view.reason.unwrap_or_else(|| "the file cannot be fetched".into())))
        }
        _ => {
            if view.of_parts > 1 {
                model.tell(format!("fetching it… {} %", u64::from(view.parts) * 100 / u64::from(view.of_parts)));
            }
            Ok(false)
        }
    }
}

fn set(model: &mut Model, client: &mut Client, change: impl FnOnce(Settings) -> Settings) -> Result<(), Failure> {
    let settings = change(client.settings()?);
    client.set_settings(settings, now())?;
    let word = |on| if on { "on" } else { "off" };
    model.tell(format!("typing {}, receipts {}", word(settings.typing), word(settings.receipts)));
    Ok(())
}

fn members(model: &mut Model, client: &mut Client, id: ConversationId) -> Result<(), Failure> {
    let members = client.members(id, now())?;
    let text = |member: &client::MemberView| {
        let role = if member.admin { "  admin" } else { "" };
        format!("@{}{role}  {} device(s)", in_one_line(&member.handle), member.devices.len())
    };
    let title = model.chat().map(|chat| format!("In {}", chat.title)).unwrap_or_default();
    let text = if members.is_empty() { vec!["not known".into()] } else { members.iter().map(text).collect() };
    model.overlay = Some(Overlay::Card { title, text });
    Ok(())
}

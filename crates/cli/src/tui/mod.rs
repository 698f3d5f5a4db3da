//! `mifeng chat`: conversations on a whole screen.
//!
//! [`model`] is what is shown, [`update`] what keys do to it, [`view`] how it is painted: three pure parts. Around them, this
//! file is the loop: it waits for keys, for the network and for time, lets [`effect`] do with the client what the keys ask
//! for, and reads the client anew ([`refresh`]) when something has happened. The network runs in the same thread through
//! `runtime::Shell`, whose waiting is given up whenever a key comes.

mod command;
mod editor;
mod effect;
mod lookup;
mod model;
mod overlay;
mod refresh;
#[cfg(test)]
mod sample;
mod terminal;
mod text;
mod update;
mod view;

use crate::context::Context;
use crate::conversation;
use crate::failure::Failure;
use client::{Event, FileState};
use crossterm::event::{Event as TerminalEvent, EventStream, KeyEventKind};
use futures_util::StreamExt;
use lookup::{Lookup, Then};
use model::{Effect, Link, Me, Model};
use runtime::{Next, Shell, now};
use std::future::poll_fn;
use std::io::IsTerminal;
use std::task::Poll;
use std::time::Duration;
use terminal::Terminal;
use tokio::signal::unix::{Signal, SignalKind, signal};
use update::{Input, update};
use view::theme::Theme;

/// What changes by time alone is painted so often.
const TICK: Duration = Duration::from_secs(1);
/// Keys that came meanwhile are taken together before a frame is painted: a paste without brackets is many.
const INPUTS_MAX: usize = 4_096;

/// Talk on a whole screen: all conversations, as they happen. F1 shows the keys.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The conversation to begin with: @HANDLE of a person, a conversation's name, or its id.
    chat: Option<String>,
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        if context.output.json {
            return Err(
                Failure::usage("chat is for people").hint("scripts use `mifeng --json tail --follow` and `send`")
            );
        }
        if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
            return Err(Failure::usage("chat needs a terminal").hint("use `mifeng tail --follow` and `send`"));
        }
        let profile = context.profile()?;
        let mut shell = context.shell(&profile)?;
        let account = shell.client().account_view().ok_or(client::Error::NotJoined)?;
        let me = Me {
            user: account.user,
            handle: crate::output::in_one_line(&account.handle),
            tenant: crate::output::in_one_line(&account.tenant_name),
        };
        let offset = context.utc_offset();
        let mut model = Model::new(me, offset, crossterm::terminal::size()?, now());
        let found = self.chat.as_deref().map(|chat| crate::conversation::find(shell.client(), chat));
        let newcomer = self.chat.as_deref().and_then(|chat| chat.strip_prefix('@'));
        let (begin_with, lookup) = match (found, newcomer) {
            (Some(Ok(id)), _) => (Some(id), None),
            // Somebody new: looked up as soon as there is a connection.
            (Some(Err(_)), Some(handle)) => (None, Some(Lookup::new(vec![handle.into()], Then::Direct).patient())),
            (Some(Err(failure)), None) => return Err(failure),
            (None, _) => (shell.client().conversations()?.first().map(|view| view.id), None),
        };
        refresh::chats(&mut model, shell.client())?;
        if let Some(id) = begin_with {
            effect::open(&mut model, shell.client(), id)?;
        }
        let theme = Theme { colour: std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) };
        let mut app = App { shell, model, lookup, theme, ended: false };
        app.run().await?;
        match app.shell.client().unsent()? {
            0 => {}
            1 => eprintln!("One thing is still to be sent: it goes out the next time mifeng connects."),
            count => eprintln!("{count} things are still to be sent: they go out the next time mifeng connects."),
        }
        app.shell.close().await;
        Ok(())
    }
}

struct App {
    shell: Shell,
    model: Model,
    lookup: Option<Lookup>,
    theme: Theme,
    ended: bool,
}

/// What the loop was waiting for.
enum Woken {
    Input(Option<std::io::Result<TerminalEvent>>),
    Network(Result<(), runtime::ShellError>),
    Time,
    Ended,
}

impl App {
    async fn run(&mut self) -> Result<(), Failure> {
        let mut signals = [signal(SignalKind::terminate())?, signal(SignalKind::hangup())?];
        let mut terminal = Terminal::take()?;
        let mut inputs = EventStream::new();
        while !self.ended {
            self.model.at(now());
            self.read()?;
            terminal.screen.draw(|frame| view::draw(frame, &self.model, self.theme))?;
            let mut heard = Vec::new();
            let woken = self.wait(&mut inputs, &mut signals, &mut heard).await;
            self.model.at(now());
            // What was heard counts whatever ended the waiting.
            self.hear(heard)?;
            match woken {
                Woken::Input(input) => self.inputs(input, &mut inputs).await?,
                Woken::Network(result) => result?,
                Woken::Time => {}
                Woken::Ended => self.ended = true,
            }
        }
        Ok(())
    }

    /// Waits until anything happens.
    async fn wait(&mut self, inputs: &mut EventStream, signals: &mut [Signal; 2], heard: &mut Vec<Event>) -> Woken {
        let [terminate, hang_up] = signals;
        // All events that have happened are heard before the waiting ends.
        let network = self.shell.run(None, |_, event| {
            let is_quiet = event.is_none();
            heard.extend(event);
            Ok(if is_quiet && !heard.is_empty() { Next::Done(()) } else { Next::Wait })
        });
        tokio::select! {
            input = inputs.next() => Woken::Input(input),
            _ = terminate.recv() => Woken::Ended,
            _ = hang_up.recv() => Woken::Ended,
            result = network => Woken::Network(result),
            () = tokio::time::sleep(TICK) => Woken::Time,
        }
    }

    /// Takes an input, and those that have come with it.
    async fn inputs(
        &mut self,
        first: Option<std::io::Result<TerminalEvent>>,
        inputs: &mut EventStream,
    ) -> Result<(), Failure> {
        let mut next = Some(first);
        for _ in 0..INPUTS_MAX {
            match next {
                None => return Ok(()),
                // The terminal is gone.
                Some(None) => self.ended = true,
                Some(Some(Err(error))) => return Err(error.into()),
                Some(Some(Ok(event))) => self.input(event)?,
            }
            if self.ended {
                return Ok(());
            }
            // Asked with the loop's own waker: until a key comes, the stream keeps the one that it was asked with first.
            next = poll_fn(|context| match inputs.poll_next_unpin(context) {
                Poll::Ready(input) => Poll::Ready(Some(input)),
                Poll::Pending => Poll::Ready(None),
            })
            .await;
        }
        Ok(())
    }

    fn input(&mut self, event: TerminalEvent) -> Result<(), Failure> {
        let input = match event {
            TerminalEvent::Key(key) if key.kind != KeyEventKind::Release => Input::Key(key),
            TerminalEvent::Paste(text) => Input::Paste(text),
            TerminalEvent::Resize(columns, rows) => Input::Resize(columns, rows),
            TerminalEvent::FocusGained => Input::Focus(true),
            TerminalEvent::FocusLost => Input::Focus(false),
            _ => return Ok(()),
        };
        for effect in update(&mut self.model, input) {
            if effect == Effect::Quit {
                self.ended = true;
            }
            effect::carry_out(effect, &mut self.model, self.shell.client(), &mut self.lookup)?;
        }
        self.look_up()
    }

    /// Goes on with a command that waits for people.
    fn look_up(&mut self) -> Result<(), Failure> {
        let Some(mut lookup) = self.lookup.take() else { return Ok(()) };
        match lookup.proceed(&mut self.model, self.shell.client()) {
            Ok(true) => Ok(()),
            Ok(false) => {
                self.lookup = Some(lookup);
                Ok(())
            }
            Err(failure) if failure.is_fatal() => Err(failure),
            Err(failure) => {
                self.model.complain(failure.text(false));
                Ok(())
            }
        }
    }

    /// What the client told: the model follows.
    fn hear(&mut self, events: Vec<Event>) -> Result<(), Failure> {
        if events.is_empty() {
            return Ok(());
        }
        for event in events {
            if let Some(lookup) = &mut self.lookup
                && let Err(failure) = lookup.hear(&event)
            {
                self.model.complain(failure.text(false));
                self.lookup = None;
            }
            self.heard(event)?;
        }
        self.look_up()?;
        refresh::chats(&mut self.model, self.shell.client())?;
        refresh::page(&mut self.model, self.shell.client())
    }

    fn heard(&mut self, event: Event) -> Result<(), Failure> {
        let model = &mut self.model;
        match event {
            Event::Live => model.link = Link::CatchingUp,
            Event::CaughtUp => model.link = Link::Online,
            Event::Disconnected { retry_at } => {
                model.link = Link::Offline { retry_at };
                model.typing.clear();
            }
            Event::LoginRefused(refusal) => model.link = Link::Refused(Failure::from(refusal).text(false)),
            Event::Typing { conversation, user, until } => {
                let handle = crate::output::in_one_line(&self.shell.client().handle_of(user)?);
                model.typing.retain(|(id, other, _)| (*id, other) != (conversation, &handle));
                model.typing.push((conversation, handle, until));
            }
            Event::Line { conversation, line } => {
                if let Some(author) = line.author {
                    let handle = crate::output::in_one_line(&self.shell.client().handle_of(author)?);
                    model.typing.retain(|(id, other, _)| (*id, other) != (conversation, &handle));
                }
            }
            Event::ConversationReplaced { from, to } if model.current == Some(from) => {
                let draft = std::mem::take(&mut model.draft);
                effect::open(model, self.shell.client(), to)?;
                model.draft = draft;
            }
            Event::GroupUnchanged { reason, .. } => model.complain(crate::output::in_one_line(&reason)),
            Event::NotAdded { user, reason, .. } => {
                let handle = self.shell.client().handle_of(user)?;
                let text = format!("@{handle} could not be added now: {reason}");
                self.model.complain(crate::output::in_one_line(&text));
            }
            Event::DevicesChanged { user, added, removed, closed } => {
                let lines = conversation::device_changes(self.shell.client(), user, &added, &removed, closed)?;
                self.model.complain(crate::output::in_one_line(&lines.join("; ")));
            }
            Event::NoKeyPackage(_) => {
                model.complain("the other person has no device that can be added now; the message waits");
            }
            Event::File { file, .. } => {
                if file.state == Some(FileState::Sending) && file.of_parts > 1 {
                    model.tell(format!("sending… {} %", u64::from(file.parts) * 100 / u64::from(file.of_parts)));
                }
                effect::finish_saves(model, self.shell.client())?;
            }
            Event::Failed { reason, .. } => {
                model.complain(format!("a message was not sent: {}", crate::output::in_one_line(&reason)));
            }
            event => {
                if let Some(alarm) = conversation::alarm(self.shell.client(), &event)? {
                    self.model.complain(alarm);
                }
            }
        }
        Ok(())
    }

    /// What is on the screen and new was read, if somebody looks.
    fn read(&mut self) -> Result<(), Failure> {
        let at_end = self.model.page.at_end && self.model.selected.is_none();
        let looks = self.model.focused && at_end && self.model.overlay.is_none();
        let unread = self.model.chat().filter(|chat| looks && chat.unread > 0).map(|chat| chat.id);
        if let Some(id) = unread {
            self.shell.client().mark_read(id, now())?;
            refresh::chats(&mut self.model, self.shell.client())?;
        }
        if self.model.current.is_none()
            && self.lookup.is_none()
            && let Some(id) = self.model.chats.first().map(|chat| chat.id)
        {
            effect::open(&mut self.model, self.shell.client(), id)?;
        }
        Ok(())
    }
}

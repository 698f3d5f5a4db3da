use super::history;
use crate::context::Context;
use crate::conversation::{self, CHAT_HELP};
use crate::failure::{Failure, Kind};
use crate::line;
use crate::output::in_one_line;
use client::{Client, Event};
use runtime::{Next, now};
use wire::{ConversationId, Refusal};

/// Show the last lines, of one conversation or of all, and mark them as read.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[arg(help = CHAT_HELP)]
    chat: Option<String>,
    /// So many lines of each conversation.
    #[arg(long, short = 'n', default_value_t = 20)]
    lines: u32,
    /// Go on as new lines come.
    #[arg(long, short)]
    follow: bool,
    /// Only what this device has already: do not connect.
    #[arg(long, conflicts_with = "follow")]
    offline: bool,
}

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let profile = context.profile()?;
        let mut shell = context.shell(&profile)?;
        shell.client().status()?;
        if !self.offline {
            match conversation::catch_up_if_possible(&mut shell, context).await {
                Ok(true) => {}
                Ok(false) => eprintln!("offline: this is what this device has"),
                // Out for good: what is here is still the person's to read.
                Err(failure) if failure.is_revoked() => {
                    self.show_last(shell.client(), context)?;
                    return Err(failure);
                }
                Err(failure) => return Err(failure),
            }
        }
        if let Some(chat) = self.chat.as_deref().filter(|_| shell.is_connected()) {
            let id = conversation::find(shell.client(), chat)?;
            let here = u32::try_from(shell.client().lines(id, self.lines)?.len()).unwrap_or(u32::MAX);
            history::fetch(&mut shell, context, id, self.lines.saturating_sub(here)).await?;
        }
        self.show_last(shell.client(), context)?;
        if self.follow {
            let refused = shell.run(None, |client, event| Ok(self.follow(client, context, event))).await?;
            return refused;
        }
        if !self.offline {
            // The receipt of what was just shown; without a connection it goes out later.
            match conversation::settle(&mut shell, context).await {
                Err(failure) if failure.kind == Kind::Offline => {}
                other => other?,
            }
        }
        shell.close().await;
        Ok(())
    }

    fn show_last(&self, client: &mut Client, context: &Context) -> Result<(), Failure> {
        let chosen = self.chat.as_deref().map(|chat| conversation::find(client, chat)).transpose()?;
        let mut views = client.conversations()?;
        views.retain(|view| chosen.is_none_or(|id| id == view.id));
        views.reverse();
        for view in views {
            if chosen.is_none() && !context.output.json {
                println!("— {} —", in_one_line(&view.title));
            }
            for found in client.lines(view.id, self.lines)? {
                context.output.line(line::text(client, &found)?, &line::value(client, view.id, &found)?)?;
            }
            client.mark_read(view.id, now())?;
        }
        Ok(())
    }

    fn follow(&self, client: &mut Client, context: &Context, event: Option<Event>) -> Next<Result<(), Failure>> {
        let shown = match event {
            Some(Event::Line { conversation, line } | Event::LineChanged { conversation, line }) => {
                self.show_new(client, context, conversation, &line)
            }
            Some(Event::LoginRefused(refusal)) => Err(Refusal::into(refusal)),
            Some(Event::DevicesChanged { user, added, removed, closed }) => {
                conversation::announce(client, user, &added, &removed, closed).map_err(Failure::from)
            }
            Some(event) => conversation::alarm(client, &event).map_err(Failure::from).map(|alarm| {
                alarm.iter().for_each(|text| eprintln!("⚠ {text}"));
            }),
            None => Ok(()),
        };
        match shown {
            Ok(()) => Next::Wait,
            Err(failure) => Next::Done(Err(failure)),
        }
    }

    fn show_new(
        &self,
        client: &mut Client,
        context: &Context,
        conversation: ConversationId,
        found: &client::content::MessageView,
    ) -> Result<(), Failure> {
        // A conversation may be new since the command began: its name is looked up each time.
        if self.chat.as_deref().is_some_and(|chat| conversation::find(client, chat).ok() != Some(conversation)) {
            return Ok(());
        }
        let title = client.conversation(conversation)?.map(|view| view.title).unwrap_or_default();
        let prefix = if self.chat.is_none() { format!("{}  ", in_one_line(&title)) } else { String::new() };
        let text = format!("{prefix}{}", line::text(client, found)?);
        context.output.line(text, &line::value(client, conversation, found)?)?;
        Ok(client.mark_read(conversation, now())?)
    }
}

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
            Some(Event::SuccessorRefused { conversation, by, reason }) => {
                eprintln!(
                    "⚠ device {by} put another group in the place of {conversation}'s, which is not followed: {reason}"
                );
                Ok(())
            }
            Some(Event::CommitPoisoned { conversation, user, device, .. }) => {
                let handle = client.handle_of(user).unwrap_or_else(|_| user.to_string());
                let who = in_one_line(&handle);
                eprintln!(
                    "⚠ @{who} (device {device}) has made a commit in {conversation} that others cannot follow; repairing"
                );
                Ok(())
            }
            Some(Event::LogBranched { conversation, entries, again }) => {
                eprintln!(
                    "⚠ the server was restored from a backup: {entries} entries of {conversation} did not come back; \
                     {again} messages of this device are sent again"
                );
                Ok(())
            }
            Some(Event::Returned { conversation, users }) => {
                let name = |user| client.handle_of(user).unwrap_or_else(|_| user.to_string());
                let names: Vec<String> =
                    users.into_iter().map(|user| format!("@{}", in_one_line(&name(user)))).collect();
                eprintln!(
                    "⚠ the restored server has {} in {conversation} again, who were removed: nothing is sent there until \
                     they are gone",
                    names.join(", ")
                );
                Ok(())
            }
            Some(Event::Forked(id)) => {
                eprintln!("⚠ the server showed members different histories of {id}");
                Ok(())
            }
            _ => Ok(()),
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

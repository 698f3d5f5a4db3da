//! What commands about a conversation share: finding it, finding a message in it, waiting until something was sent.

use crate::context::Context;
use crate::failure::{Failure, Kind};
use crate::output::{for_terminal, in_one_line};
use client::content::Content;
use client::{Client, Event, FileState, FileView};
use runtime::{Next, Shell, now};
use std::io::IsTerminal;
use wire::{ConversationId, DeviceId, MessageId, Refusal, UserId};

/// How a person names a conversation.
pub(crate) const CHAT_HELP: &str = "@HANDLE of a person, a conversation's name, or its id";

/// Waits until the device is logged in.
pub(crate) async fn go_live(shell: &mut Shell, context: &Context) -> Result<(), Failure> {
    let refused = shell
        .run(context.timeout(), |client, event| {
            Ok(match event {
                Some(Event::LoginRefused(refusal)) => Next::Done(Some(refusal)),
                _ if client.is_live() => Next::Done(None),
                _ => Next::Wait,
            })
        })
        .await?;
    refused.map_or(Ok(()), |refusal: Refusal| Err(refusal.into()))
}

/// Waits until there is nothing left to fetch or to send.
pub(crate) async fn catch_up(shell: &mut Shell, context: &Context) -> Result<(), Failure> {
    let refused = shell
        .run(context.timeout(), |client, event| {
            Ok(match event {
                Some(Event::LoginRefused(refusal)) => Next::Done(Some(refusal)),
                Some(Event::DevicesChanged { user, added, removed, closed }) => {
                    announce(client, user, &added, &removed, closed)?;
                    Next::Wait
                }
                Some(Event::CaughtUp) => Next::Done(None),
                _ => Next::Wait,
            })
        })
        .await?;
    refused.map_or(Ok(()), |refusal: Refusal| Err(refusal.into()))
}

/// Catches up, unless there is no server to be reached: what is here is still worth showing. Whether there was one.
pub(crate) async fn catch_up_if_possible(shell: &mut Shell, context: &Context) -> Result<bool, Failure> {
    match catch_up(shell, context).await {
        Err(failure) if failure.kind == Kind::Offline => Ok(false),
        other => other.map(|()| true),
    }
}

/// Tells, beside what a command prints, that somebody's devices have changed: who did not expect it asks the person.
pub(crate) fn announce(
    client: &Client,
    user: UserId,
    added: &[DeviceId],
    removed: &[DeviceId],
    closed: bool,
) -> Result<(), client::Error> {
    device_changes(client, user, added, removed, closed)?.iter().for_each(|line| eprintln!("● {line}"));
    Ok(())
}

/// What has changed about somebody's devices, a line each.
pub(crate) fn device_changes(
    client: &Client,
    user: UserId,
    added: &[DeviceId],
    removed: &[DeviceId],
    closed: bool,
) -> Result<Vec<String>, client::Error> {
    let own = client.account_view().is_some_and(|account| account.user == user);
    let who = for_terminal(&client.handle_of(user)?);
    let (has, whose) = if own {
        ("You have".into(), "One of your devices".into())
    } else {
        (format!("{who} has"), format!("A device of {who}"))
    };
    let mut lines: Vec<String> = added.iter().map(|device| format!("{has} a new device: {device}")).collect();
    if closed {
        lines.push(format!("{has} left: no device speaks for them any more"));
    } else {
        lines.extend(removed.iter().map(|device| format!("{whose} was revoked: {device}")));
    }
    Ok(lines)
}

/// What a person should be told of at once, because it is not as it must be: who does what nobody should.
pub(crate) fn alarm(client: &Client, event: &Event) -> Result<Option<String>, client::Error> {
    let title =
        |id| Ok::<_, client::Error>(client.conversation(id)?.map_or_else(|| format!("{id}"), |view| view.title));
    let text = match event {
        Event::SuccessorRefused { conversation, by, reason } => format!(
            "device {by} put another group in the place of that of {}, which is not followed: {reason}",
            title(*conversation)?
        ),
        Event::CommitPoisoned { conversation, user, device, .. } => format!(
            "@{} (device {device}) has made a commit in {} that others cannot follow; repairing",
            client.handle_of(*user)?,
            title(*conversation)?
        ),
        Event::LogBranched { conversation, entries, again } => format!(
            "the server was restored from a backup: {entries} entries of {} did not come back; {again} messages of this \
             device are sent again",
            title(*conversation)?
        ),
        Event::Returned { conversation, users } => {
            let handles = users.iter().map(|user| client.handle_of(*user)).collect::<Result<Vec<_>, _>>()?;
            format!(
                "the restored server has @{} in {} again, who were removed: nothing is sent there until they are gone",
                handles.join(", @"),
                title(*conversation)?
            )
        }
        Event::Forked(id) => format!("the server showed members different histories of {}", title(*id)?),
        _ => return Ok(None),
    };
    Ok(Some(in_one_line(&text)))
}

/// Waits until the outbox is empty.
pub(crate) async fn settle(shell: &mut Shell, context: &Context) -> Result<(), Failure> {
    let settled = |client: &mut Client, _| Ok(if client.unsent()? == 0 { Next::Done(()) } else { Next::Wait });
    Ok(shell.run(context.timeout(), settled).await?)
}

/// A person by handle: known here, or looked up.
pub(crate) async fn person(shell: &mut Shell, context: &Context, handle: &str) -> Result<UserId, Failure> {
    let handle = handle.trim_start_matches('@').to_owned();
    if let Some(contact) = shell.client().contact(&handle)? {
        return Ok(contact.user);
    }
    go_live(shell, context).await?;
    shell.client().find_user(&handle, now())?;
    shell
        .run(context.timeout(), |_, event| {
            Ok(match event {
                Some(Event::ContactFound { user, .. }) => Next::Done(Ok(user)),
                Some(Event::ContactUnknown { handle }) => Next::Done(Err(nobody(&handle))),
                Some(Event::LookupRefused { refusal, .. }) => Next::Done(Err(refusal.into())),
                Some(Event::ContactRefused { reason, .. }) => {
                    let text = format!("what the server says about {handle} does not verify: {reason}");
                    Next::Done(Err(Failure::new(Kind::Refused, text)))
                }
                _ => Next::Wait,
            })
        })
        .await?
}

fn nobody(handle: &str) -> Failure {
    Failure::usage(format!("nobody here is called {handle}")).hint("handles are per tenant; ask the person for theirs")
}

/// The conversation that a person means; a direct one is begun if there is none.
pub(crate) async fn open(shell: &mut Shell, context: &Context, chat: &str) -> Result<ConversationId, Failure> {
    match chat.strip_prefix('@') {
        Some(handle) => {
            let user = person(shell, context, handle).await?;
            Ok(shell.client().start_direct(user, now())?)
        }
        None => match find(shell.client(), chat) {
            // It may be a group that somebody has just added this person to.
            Err(_) => {
                catch_up(shell, context).await?;
                find(shell.client(), chat)
            }
            found => found,
        },
    }
}

/// The conversation that a person means, among those that there are.
pub(crate) fn find(client: &Client, chat: &str) -> Result<ConversationId, Failure> {
    let name = chat.trim_start_matches(['@', '#']);
    let views = client.conversations()?;
    let mut matching = views.iter().filter(|view| view.title == name || view.id.to_string() == name);
    match (matching.next(), matching.next()) {
        (Some(view), None) => Ok(view.id),
        (None, _) => Err(Failure::usage(format!("no conversation is called {chat}")).hint("`mifeng chats` lists them")),
        (Some(_), Some(_)) => Err(Failure::usage(format!("several conversations are called {chat}"))
            .hint("name one by its id: `mifeng chats --json`")),
    }
}

/// The message that a person means: `#` and its number as `tail` shows it, or its id.
pub(crate) fn message(client: &Client, conversation: ConversationId, text: &str) -> Result<MessageId, Failure> {
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    let unknown =
        || Failure::usage(format!("no message {text} in this conversation")).hint("`mifeng tail` shows their numbers");
    let seq: u64 = text.trim_start_matches('#').parse().map_err(|_| unknown())?;
    client.line_at(conversation, seq)?.and_then(|line| line.id).ok_or_else(unknown)
}

/// Hands a content to the outbox, and waits until the server has recorded it unless it is only to be queued. `Ok(None)`:
/// it waits.
pub(crate) async fn send(
    shell: &mut Shell,
    context: &Context,
    conversation: ConversationId,
    content: &Content,
    queue: bool,
) -> Result<(MessageId, Option<u64>), Failure> {
    let sent = shell.client().send(conversation, content, now())?;
    // What takes back something that has not reached the server is not sent itself.
    let waits = !queue && shell.client().message(conversation, sent)?.is_some();
    let seq = match waits {
        true => Some(wait_until_sent(shell, context, conversation, sent).await?),
        false => None,
    };
    Ok((sent, seq))
}

/// Waits until the server has recorded a message, and its file before, if it has one: its place in the log. As long as the file
/// moves, the wait goes on.
pub(crate) async fn wait_until_sent(
    shell: &mut Shell,
    context: &Context,
    conversation: ConversationId,
    sent: MessageId,
) -> Result<u64, Failure> {
    let mut shown = Progress::new(context, "sent");
    loop {
        let outcome = shell
            .run(context.timeout(), |_, event| {
                Ok(match event {
                    Some(Event::Sent { message, seq, .. }) if message == sent => Next::Done(Ok(Some(seq))),
                    Some(Event::Failed { message, reason, .. }) if message == sent => {
                        Next::Done(Err(Failure::new(Kind::Refused, reason)))
                    }
                    Some(Event::File { message, file, .. }) if message == sent => {
                        shown.show(&file);
                        Next::Done(Ok(None))
                    }
                    Some(Event::LoginRefused(refusal)) => Next::Done(Err(refusal.into())),
                    Some(Event::NoKeyPackage(id)) if id == conversation => Next::Done(Err(no_device())),
                    _ => Next::Wait,
                })
            })
            .await??;
        if let Some(seq) = outcome {
            return Ok(seq);
        }
    }
}

fn no_device() -> Failure {
    Failure::new(Kind::Refused, "the other person has no device that can be added now")
        .hint("the message waits here, and goes out with a later command")
}

/// Has the file of a message come to this device, and waits for it as long as it moves.
pub(crate) async fn fetch_file(
    shell: &mut Shell,
    context: &Context,
    conversation: ConversationId,
    message: MessageId,
) -> Result<(), Failure> {
    shell.client().fetch_file(conversation, message, now())?;
    let mut shown = Progress::new(context, "fetched");
    let mut parts = None;
    loop {
        let file = shell
            .run(context.timeout(), |client, event| {
                if let Some(Event::LoginRefused(refusal)) = event {
                    return Ok(Next::Done(Err(Failure::from(refusal))));
                }
                let Some(file) = client.file(conversation, message)? else { return Ok(Next::Wait) };
                let has_moved = parts.is_some_and(|before| before != file.parts);
                parts = Some(file.parts);
                let ended = matches!(file.state, Some(FileState::Here | FileState::Failed | FileState::Sending));
                Ok(if has_moved || ended { Next::Done(Ok(file)) } else { Next::Wait })
            })
            .await??;
        shown.show(&file);
        match file.state {
            Some(FileState::Here | FileState::Sending) => return Ok(()),
            Some(FileState::Failed) => {
                let reason = file.reason.unwrap_or_else(|| "it cannot be fetched".into());
                return Err(Failure::new(Kind::Refused, reason));
            }
            _ => {}
        }
    }
}

/// How far a file is, on a terminal that somebody looks at.
struct Progress {
    shown: bool,
    word: &'static str,
}

impl Progress {
    fn new(context: &Context, word: &'static str) -> Self {
        Self { shown: !context.output.json && std::io::stderr().is_terminal(), word }
    }

    fn show(&mut self, file: &FileView) {
        if self.shown && file.of_parts > 1 {
            let percent = u64::from(file.parts) * 100 / u64::from(file.of_parts);
            eprint!("\r{percent:>3} % {}{}", self.word, if file.parts == file.of_parts { "\n" } else { "" });
        }
    }
}

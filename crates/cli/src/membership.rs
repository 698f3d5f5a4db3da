//! What the commands about a group's members share: finding the people, and waiting until a change has happened.

use crate::context::Context;
use crate::conversation::{self, person};
use crate::failure::{Failure, Kind};
use crate::output::in_one_line;
use client::{Event, MemberView};
use runtime::{Next, Shell, now};
use serde_json::{Value, json};
use wire::{ConversationId, MessageId, UserId};

/// A person who could not be added, and why.
pub(crate) type NotAdded = (UserId, String);

/// People by handle, each once.
pub(crate) async fn people(shell: &mut Shell, context: &Context, handles: &[String]) -> Result<Vec<UserId>, Failure> {
    let mut users = Vec::new();
    for handle in handles {
        let user = person(shell, context, handle).await?;
        if !users.contains(&user) {
            users.push(user);
        }
    }
    Ok(users)
}

/// A group that a person means, with what has happened to it so far.
pub(crate) async fn group(shell: &mut Shell, context: &Context, chat: &str) -> Result<ConversationId, Failure> {
    conversation::catch_up(shell, context).await?;
    conversation::find(shell.client(), chat)
}

/// Waits until everything that was to be sent is sent, and says who could not be added. `change` failing is the failure.
pub(crate) async fn settle(
    shell: &mut Shell,
    context: &Context,
    group: ConversationId,
    change: Option<MessageId>,
) -> Result<Vec<NotAdded>, Failure> {
    let mut not_added = Vec::new();
    let done = shell.run(context.timeout(), |client, event| {
        Ok(match event {
            Some(Event::NotAdded { conversation, user, reason }) if conversation == group => {
                not_added.push((user, reason));
                Next::Wait
            }
            Some(Event::GroupUnchanged { change: failed, reason, .. }) if change.is_none_or(|id| id == failed) => {
                Next::Done(Err(Failure::new(Kind::Refused, reason)))
            }
            Some(Event::LoginRefused(refusal)) => Next::Done(Err(refusal.into())),
            None if client.unsent()? == 0 => Next::Done(Ok(())),
            _ => Next::Wait,
        })
    });
    done.await??;
    Ok(not_added)
}

/// Tells who could not be added, and prints the group's members.
pub(crate) fn show(
    shell: &mut Shell,
    context: &Context,
    group: ConversationId,
    headline: &str,
    not_added: &[NotAdded],
) -> Result<(), Failure> {
    let members = shell.client().members(group, now())?;
    let mut failed = Vec::new();
    let mut text = headline.to_owned();
    for (user, reason) in not_added {
        let handle = shell.client().handle_of(*user)?;
        let line = in_one_line(&format!("@{handle} could not be added now ({reason}); try `mifeng add` later"));
        text.push_str(&format!("\n{line}"));
        failed.push(json!({"handle": handle, "user": user.to_string(), "reason": reason}));
    }
    let members: Vec<Value> = members.iter().map(member).collect();
    let value = json!({"conversation": group.to_string(), "members": members, "not_added": failed});
    Ok(context.output.line(text, &value)?)
}

/// A member as an object.
pub(crate) fn member(member: &MemberView) -> Value {
    let devices: Vec<String> = member.devices.iter().map(ToString::to_string).collect();
    json!({"handle": member.handle, "user": member.user.to_string(), "admin": member.admin, "devices": devices})
}

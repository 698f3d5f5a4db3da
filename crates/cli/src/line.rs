//! A line of a conversation, for people and for scripts.

use crate::duration;
use crate::failure::Failure;
use crate::file::size;
use crate::output::{for_terminal, in_one_line};
use client::content::{Body, MessageView};
use client::{Client, MessageState, Notice};
use serde_json::{Value, json};
use wire::{ConversationId, UserId};

/// `#5 alice: hello  (edited)`.
pub(crate) fn text(client: &Client, line: &MessageView) -> Result<String, Failure> {
    let number = line.seq.map_or_else(|| String::from("…"), |seq| format!("#{seq}"));
    let author = author(client, line)?;
    if let Some(notice) = &line.notice {
        return Ok(format!("{number} — {} {}", for_terminal(&author), deeds(client, notice)?));
    }
    let reply = if line.in_reply_to.is_some() { "↪ " } else { "" };
    let mut text = format!("{number} {}: {reply}{}", in_one_line(&author), words(line));
    if !line.history.is_empty() {
        text.push_str("  (edited)");
    }
    if line.expiry.is_some_and(|expiry| !expiry.is_never()) {
        text.push_str("  ⧗");
    }
    for reaction in &line.reactions {
        text.push_str(&format!("  {}×{}", for_terminal(&reaction.symbol), reaction.users.len()));
    }
    text.push_str(match line.state {
        MessageState::Pending => "  (waits)",
        MessageState::Failed => "  (not sent)",
        MessageState::Recorded
        | MessageState::Undecryptable
        | MessageState::Refused
        | MessageState::Notice
        | MessageState::Expired => "",
    });
    Ok(text)
}

/// The same as an object.
pub(crate) fn value(client: &Client, conversation: ConversationId, line: &MessageView) -> Result<Value, Failure> {
    let reactions: Vec<Value> = line
        .reactions
        .iter()
        .map(|reaction| json!({"symbol": reaction.symbol, "users": reaction.users.iter().map(ToString::to_string).collect::<Vec<_>>()}))
        .collect();
    Ok(json!({
        "conversation": conversation.to_string(),
        "id": line.id.map(|id| id.to_string()),
        "seq": line.seq,
        "author": author(client, line)?,
        "user": line.author.map(|user| user.to_string()),
        "device": line.device.to_string(),
        "at_ms": line.at,
        "state": state(line.state),
        "kind": line.body.as_ref().map(Body::kind_name),
        "text": line.body.as_ref().and_then(|body| body.words()),
        "file": line.body.as_ref().and_then(file),
        "deleted": line.deleted,
        "in_reply_to": line.in_reply_to.map(|id| id.to_string()),
        "history": line.history,
        "reactions": reactions,
        "reason": line.reason,
        "mentions": line.mentions.iter().map(|mention| mention.user.to_string()).collect::<Vec<_>>(),
        "expiry": line.expiry.map(|expiry| json!({"relative": expiry.relative, "seconds": expiry.seconds})),
        "notice": line.notice.as_ref().map(|notice| changes(client, notice)).transpose()?,
    }))
}

/// What a message says about its file.
fn file(body: &Body) -> Option<Value> {
    let Body::File(file) = body else { return None };
    Some(json!({
        "name": file.name, "bytes": file.size, "media_type": file.media_type,
        "pixels": file.preview.as_ref().map(|preview| [preview.width, preview.height]),
        "duration_ms": file.voice.as_ref().map(|voice| voice.duration_ms),
    }))
}

/// `added @bob, @carol; made @dave an admin`.
pub(crate) fn deeds(client: &Client, notice: &Notice) -> Result<String, Failure> {
    let people = |users: &[UserId]| -> Result<String, Failure> {
        let handles = users.iter().map(|user| Ok(format!("@{}", for_terminal(&client.handle_of(*user)?))));
        Ok(handles.collect::<Result<Vec<_>, Failure>>()?.join(", "))
    };
    let mut deeds = Vec::new();
    for (users, before, after) in [
        (&notice.added, "added ", ""),
        (&notice.removed, "removed ", ""),
        (&notice.left, "sees that ", " left"),
        (&notice.promoted, "made ", " admin"),
        (&notice.demoted, "takes the admin's part from ", ""),
    ] {
        if !users.is_empty() {
            deeds.push(format!("{before}{}{after}", people(users)?));
        }
    }
    Ok(deeds.join("; "))
}

/// The same as an object of handles.
fn changes(client: &Client, notice: &Notice) -> Result<Value, Failure> {
    let handles = |users: &[UserId]| -> Result<Vec<String>, Failure> {
        users.iter().map(|user| Ok(client.handle_of(*user)?)).collect()
    };
    Ok(json!({
        "added": handles(&notice.added)?, "removed": handles(&notice.removed)?, "left": handles(&notice.left)?,
        "promoted": handles(&notice.promoted)?, "demoted": handles(&notice.demoted)?,
    }))
}

fn author(client: &Client, line: &MessageView) -> Result<String, Failure> {
    Ok(match line.author {
        Some(user) => client.handle_of(user)?,
        None => String::from("?"),
    })
}

fn words(line: &MessageView) -> String {
    let reason = || line.reason.as_deref().unwrap_or("for an unknown reason");
    match (&line.body, line.state) {
        _ if line.deleted => String::from("(deleted)"),
        (_, MessageState::Undecryptable) => format!("(cannot be decrypted: {})", reason()),
        (_, MessageState::Refused) => format!("(refused: {})", reason()),
        // What looks like the next line's head begins further in.
        (Some(Body::Text(text) | Body::Markdown(text)), _) => for_terminal(text).replace('\n', "\n    "),
        (Some(Body::Name(name)), _) => format!("names the conversation “{}”", in_one_line(name)),
        (Some(Body::Topic(topic)), _) => format!("sets the topic “{}”", in_one_line(topic)),
        (Some(Body::File(file)), _) => format!("file “{}”, {}", in_one_line(&file.name), size(file.size)),
        (Some(Body::Timer { seconds }), _) => duration::timer_set(*seconds),
        (Some(_), _) => String::from("(something that this version does not know)"),
        (None, _) => String::from("(nothing)"),
    }
}

const fn state(state: MessageState) -> &'static str {
    match state {
        MessageState::Pending => "pending",
        MessageState::Recorded => "recorded",
        MessageState::Failed => "failed",
        MessageState::Undecryptable => "undecryptable",
        MessageState::Refused => "refused",
        MessageState::Notice => "notice",
        MessageState::Expired => "expired",
    }
}

//! From queries of the client to the model. Everything that came from others is made fit for a terminal here.

use super::model::{Chat, Mark, Model, Reacted, Shown, What};
use super::view::markdown::summary;
use crate::duration;
use crate::failure::Failure;
use crate::file::size;
use crate::line::deeds;
use crate::output::in_one_line;
use client::content::markdown::{Block, Document, Inline};
use client::content::{Body, MessageView};
use client::{Client, ConversationView, LinePlace, MessageState, PageLine};
use runtime::now;
use wire::{ConversationId, UserId};

/// Lines that are kept in memory at most, however far a person reads.
const WINDOW_MAX: usize = 300;

/// Lines that are read at once: a screenful of the shortest, and some.
fn page_size(model: &Model) -> u32 {
    u32::from(model.size.1).clamp(24, 200) + 8
}

/// Reads the list of conversations anew.
pub(super) fn chats(model: &mut Model, client: &Client) -> Result<(), Failure> {
    model.unsent = client.unsent()?;
    let views = client.conversations()?;
    let own = model.me.user;
    let chats = views.into_iter().map(|view| chat(&view, own, client)).collect::<Result<Vec<_>, _>>()?;
    model.chats = chats;
    for chat in &mut model.chats {
        chat.has_draft = model.drafts.get(&Some(chat.id)).is_some_and(|draft| !draft.is_empty());
    }
    Ok(())
}

fn chat(view: &ConversationView, own: UserId, client: &Client) -> Result<Chat, Failure> {
    let contact = view.peer.map(|peer| client.contact_of(peer)).transpose()?.flatten();
    let mut warnings = Vec::new();
    if view.forked {
        warnings.push("members were shown different histories".into());
    }
    if view.undecryptable > 0 {
        warnings.push(format!("{} unreadable", view.undecryptable));
    }
    if contact.as_ref().is_some_and(|contact| contact.refused.is_some()) {
        warnings.push("the server contradicts itself about them: /safety".into());
    }
    let preview = match &view.last {
        Some(last) => preview(last, view, own, client)?,
        None => "nothing yet".into(),
    };
    Ok(Chat {
        id: view.id,
        title: in_one_line(&view.title),
        peer: view.peer,
        state: view.state,
        topic: view.topic.as_deref().map(in_one_line),
        timer: view.timer,
        unread: view.unread,
        mentions: view.unread_mentions,
        preview,
        at: view.last.as_ref().map(|last| last.at),
        warnings,
        verification: contact.map(|contact| contact.verification),
        has_draft: false,
    })
}

fn preview(line: &MessageView, view: &ConversationView, own: UserId, client: &Client) -> Result<String, Failure> {
    let words = match what(line, client)? {
        What::Words(document) => summary(&document),
        What::System(text) => return Ok(text),
        What::Deleted => "(taken back)".into(),
        What::Bad(why) => why,
    };
    Ok(match line.author {
        Some(author) if author == own => format!("you: {words}"),
        Some(author) if view.peer.is_none() => format!("{}: {words}", in_one_line(&client.handle_of(author)?)),
        _ => words,
    })
}

/// Reads the lines that are in memory anew, with those that are new at the end.
pub(super) fn page(model: &mut Model, client: &Client) -> Result<(), Failure> {
    let Some(id) = model.current else { return Ok(()) };
    let chosen = model.chosen().map(|line| (line.place, line.id));
    if model.page.at_end || model.page.lines.is_empty() {
        // Who reads further up keeps what is there; else what was read goes from memory again.
        let kept = if model.selected.is_some() { model.page.lines.len() + 8 } else { 0 };
        let limit = u32::try_from(kept.min(WINDOW_MAX)).unwrap_or_default().max(page_size(model));
        let lines = client.last_page(id, limit)?;
        model.page.at_start = is_start(client, id, &lines, limit)?;
        model.page.at_end = true;
        set(model, client, id, lines)?;
    } else if let (Some(last), len) = (model.page.lines.last().cloned(), model.page.lines.len()) {
        let before = client.page_before(id, last.place, u32::try_from(len - 1).unwrap_or_default())?;
        set(model, client, id, before)?;
        model.page.lines.push(last);
    }
    model.selected = chosen.and_then(|(place, message)| {
        let is_it = |line: &Shown| line.place == place || (message.is_some() && line.id == message);
        model.page.lines.iter().position(is_it)
    });
    Ok(())
}

/// Whether there is nothing before lines of which there could have been more: neither here nor in the archive.
fn is_start(client: &Client, id: ConversationId, lines: &[PageLine], limit: u32) -> Result<bool, Failure> {
    Ok(lines.len() < limit as usize && !client.has_earlier_history(id)?)
}

/// Adds the lines before those in memory, and asks the archive for more if there are none.
pub(super) fn older(model: &mut Model, client: &mut Client) -> Result<(), Failure> {
    let limit = page_size(model);
    let (Some(id), Some(first)) = (model.current, model.page.lines.first().map(|line| line.place)) else {
        return Ok(());
    };
    let before = client.page_before(id, first, limit)?;
    model.page.at_start = is_start(client, id, &before, limit)?;
    if before.len() < limit as usize && !model.page.at_start {
        client.fetch_history(id, now())?;
    }
    let shown = shown_all(model, client, id, before)?;
    model.selected = model.selected.map(|at| at + shown.len());
    model.page.lines.splice(0..0, shown);
    if model.page.lines.len() > WINDOW_MAX {
        model.page.lines.truncate(WINDOW_MAX);
        model.page.at_end = false;
    }
    Ok(())
}

/// Adds the lines after those in memory.
pub(super) fn newer(model: &mut Model, client: &Client) -> Result<(), Failure> {
    let limit = page_size(model);
    let (Some(id), Some(last)) = (model.current, model.page.lines.last().map(|line| line.place)) else {
        return Ok(());
    };
    let after = client.page_after(id, last, limit)?;
    model.page.at_end = after.len() < limit as usize;
    let shown = shown_all(model, client, id, after)?;
    model.page.lines.extend(shown);
    let surplus = model.page.lines.len().saturating_sub(WINDOW_MAX);
    if surplus > 0 {
        model.page.lines.drain(..surplus);
        model.page.at_start = false;
        model.selected = model.selected.map(|at| at.saturating_sub(surplus));
    }
    Ok(())
}

/// Shows the lines around a place, and chooses the one there.
pub(super) fn around(model: &mut Model, client: &Client, place: LinePlace) -> Result<(), Failure> {
    let limit = page_size(model);
    let Some(id) = model.current else { return Ok(()) };
    let before = client.page_before(id, place, limit)?;
    let mut lines = before;
    let rest = match lines.last() {
        Some(last) => client.page_after(id, last.place, limit)?,
        None => client.page_after(id, LinePlace::default(), limit)?,
    };
    (model.page.at_start, model.page.at_end) = (is_start(client, id, &lines, limit)?, rest.len() < limit as usize);
    lines.extend(rest);
    set(model, client, id, lines)?;
    model.selected = model.page.lines.iter().position(|line| line.place == place);
    Ok(())
}

fn set(model: &mut Model, client: &Client, id: ConversationId, lines: Vec<PageLine>) -> Result<(), Failure> {
    model.page.lines = shown_all(model, client, id, lines)?;
    Ok(())
}

fn shown_all(model: &Model, client: &Client, id: ConversationId, lines: Vec<PageLine>) -> Result<Vec<Shown>, Failure> {
    let Some(view) = client.conversation(id)? else { return Ok(Vec::new()) };
    lines.into_iter().map(|line| shown(line, &view, model.me.user, client)).collect()
}

fn shown(page: PageLine, view: &ConversationView, own: UserId, client: &Client) -> Result<Shown, Failure> {
    let PageLine { place, expires_at, line } = page;
    let handle = |user| client.handle_of(user).map(|handle| in_one_line(&handle));
    let is_own = line.author == Some(own);
    let readers: Vec<UserId> = match line.seq.filter(|_| is_own) {
        Some(seq) => view.readers(seq).collect(),
        None => Vec::new(),
    };
    let mark = match line.state {
        _ if !is_own || line.notice.is_some() => Mark::None,
        MessageState::Pending => Mark::Pending,
        MessageState::Failed => Mark::Failed(in_one_line(line.reason.as_deref().unwrap_or("refused"))),
        _ if readers.is_empty() => Mark::Sent,
        _ if view.peer.is_some() => Mark::Read,
        _ => Mark::ReadBy(readers.len()),
    };
    let reacted = |reaction: &client::content::ReactionView| Reacted {
        symbol: in_one_line(&reaction.symbol).chars().take(16).collect(),
        count: reaction.users.len(),
        mine: reaction.users.contains(&own),
    };
    let quote = match line.in_reply_to {
        Some(id) => Some(quote(id, view.id, client)?),
        None => None,
    };
    Ok(Shown {
        place,
        id: line.id,
        seq: line.seq,
        author: line.author.map(handle).transpose()?.unwrap_or_else(|| "?".into()),
        own: is_own,
        at: line.at,
        what: what(&line, client)?,
        mark,
        edited: !line.history.is_empty(),
        quote,
        reactions: line.reactions.iter().map(reacted).collect(),
        expires_at,
        expires: line.expiry.is_some_and(|expiry| !expiry.is_never()),
        names_me: !is_own && line.mentions.iter().any(|mention| mention.user == own),
        source: line.body.as_ref().and_then(Body::words).unwrap_or_default().to_owned(),
        readers: readers.into_iter().map(handle).collect::<Result<_, _>>()?,
    })
}

/// Author and words of the message that a line answers.
fn quote(id: wire::MessageId, conversation: ConversationId, client: &Client) -> Result<(String, String), Failure> {
    let Some(line) = client.message(conversation, id)? else { return Ok(("?".into(), "(not here)".into())) };
    let author = match line.author {
        Some(author) => in_one_line(&client.handle_of(author)?),
        None => "?".into(),
    };
    let words = match what(&line, client)? {
        What::Words(document) => summary(&document),
        What::System(text) | What::Bad(text) => text,
        What::Deleted => "(taken back)".into(),
    };
    let words = if line.state == MessageState::Expired { "(disappeared)".into() } else { words };
    Ok((author, words))
}

/// What a line is.
pub(super) fn what(line: &MessageView, client: &Client) -> Result<What, Failure> {
    let author = match line.author {
        Some(author) => in_one_line(&client.handle_of(author)?),
        None => "?".into(),
    };
    let reason = || in_one_line(line.reason.as_deref().unwrap_or("for an unknown reason"));
    if let Some(notice) = &line.notice {
        return Ok(What::System(format!("{author} {}", deeds(client, notice)?)));
    }
    Ok(match (&line.body, line.state) {
        _ if line.deleted => What::Deleted,
        (_, MessageState::Undecryptable) => What::Bad(format!("cannot be decrypted: {}", reason())),
        (_, MessageState::Refused) => What::Bad(format!("refused: {}", reason())),
        (Some(Body::Name(name)), _) => What::System(format!("{author} named the conversation “{}”", in_one_line(name))),
        (Some(Body::Topic(topic)), _) if topic.is_empty() => What::System(format!("{author} removed the topic")),
        (Some(Body::Topic(topic)), _) => What::System(format!("{author} set the topic “{}”", in_one_line(topic))),
        (Some(Body::Timer { seconds }), _) => What::System(format!("{author} {}", duration::timer_set(*seconds))),
        (Some(Body::File(file)), _) => {
            let text = format!("file “{}”, {}", in_one_line(&file.name), size(file.size));
            What::Words(Document::plain(&text, &[]))
        }
        (Some(Body::Unknown(_)), _) => What::System(format!("{author} sent something that this version does not know")),
        (Some(_), _) => {
            let mut document = line.document();
            name_people(&mut document.blocks, client)?;
            What::Words(document)
        }
        (None, _) => What::System("(nothing)".into()),
    })
}

/// The author of a message chose the words of a mention; shown is who is really meant.
fn name_people(blocks: &mut [Block], client: &Client) -> Result<(), Failure> {
    for block in blocks {
        match block {
            Block::Paragraph(words) | Block::Heading { words, .. } => name_in(words, client)?,
            Block::Quote(blocks) => name_people(blocks, client)?,
            Block::List { items, .. } => items.iter_mut().try_for_each(|item| name_people(item, client))?,
            Block::Code { .. } | Block::Rule => {}
        }
    }
    Ok(())
}

fn name_in(words: &mut [Inline], client: &Client) -> Result<(), Failure> {
    for inline in words {
        match inline {
            Inline::Mention { user, words } => *words = format!("@{}", client.handle_of(*user)?),
            Inline::Emphasis(words)
            | Inline::Strong(words)
            | Inline::Strikethrough(words)
            | Inline::Link { words, .. } => name_in(words, client)?,
            Inline::Text(_) | Inline::Code(_) | Inline::Break => {}
        }
    }
    Ok(())
}

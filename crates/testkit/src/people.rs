//! What people do. The numbers of an act choose among what there is; what cannot be done then is not done.

use crate::decision::Verb;
use crate::oracle::Said;
use crate::world::World;
use client::content::{Body, Content, Reaction};
use client::{Client, ConversationState, Error, MessageState, Standing};
use std::collections::BTreeSet;
use trust::DeviceState;
use wire::{ConversationId, DeviceId, MessageId, UnixMillis, UserId};

/// Somebody who acts: their client, the time on their clock, the others.
struct Actor<'w> {
    client: &'w mut Client,
    now: UnixMillis,
    user: UserId,
    others: Vec<UserId>,
    serial: u64,
    first: usize,
    second: usize,
}

/// What came of an act: perhaps a message, of which the oracle is to know.
type Acted = Result<Option<(MessageId, Said)>, Error>;

impl World {
    /// A person does something with their device, if it is on. Says whether anything was done.
    pub fn act(&mut self, device: usize, verb: Verb, first: u16, second: u16) -> bool {
        let serial = self.oracle.next_serial();
        if verb == Verb::Link {
            let begun = self.begin_link(device);
            (0..u64::from(begun)).for_each(|_| self.tally.act(verb));
            return begun;
        }
        let mut others: Vec<UserId> =
            self.devices.iter().filter(|device| device.is_linked()).map(|device| device.user).collect();
        let now = self.now;
        let Some(acting) = self.devices.get_mut(device) else { return false };
        let (user, at) = (acting.user, acting.now(now));
        let Some(client) = acting.client.as_mut() else { return false };
        others.retain(|other| *other != user);
        let mut seen = BTreeSet::new();
        others.retain(|other| seen.insert(*other));
        let mut actor = Actor { client, now: at, user, others, serial, first: first.into(), second: second.into() };
        let acted = actor.act(verb);
        self.devices[device].collect();
        match acted {
            Ok(said) => {
                self.tally.act(verb);
                if let Some((id, said)) = said {
                    self.oracle.said(id, said);
                }
                true
            }
            Err(error) if error.is_usage() => false,
            Err(error) => {
                self.oracle.violated(format!("{verb:?} of device {device} failed: {error}"));
                false
            }
        }
    }
}

impl Actor<'_> {
    fn act(&mut self, verb: Verb) -> Acted {
        match verb {
            Verb::Direct => self.client.start_direct(self.other(self.first), self.now).map(|_| None),
            Verb::Group => self.start_group(),
            Verb::Search => self.client.search("message", 10).map(|_| None),
            Verb::Say => self.say(None),
            Verb::Reply => {
                let target = self.line(|_| true)?;
                self.say(Some(target))
            }
            Verb::Edit => self.edit(),
            Verb::Delete => self.delete(),
            Verb::React => self.react(),
            Verb::Read => self.client.mark_read(self.conversation()?, self.now).map(|()| None),
            Verb::Link => Err(Error::AlreadyJoined),
            Verb::Revoke => self.client.revoke_device(self.own_device()?, self.now).map(|()| None),
            Verb::Add | Verb::Remove | Verb::Promote | Verb::Demote | Verb::Leave | Verb::Rename => self.change(verb),
        }
    }

    fn start_group(&mut self) -> Acted {
        let chosen = self.others.iter().enumerate().filter(|(place, _)| self.first >> place & 1 == 1);
        let users: Vec<UserId> = chosen.map(|(_, user)| *user).collect();
        self.client.start_group(&format!("group {}", self.serial), &users, self.now).map(|_| None)
    }

    fn say(&mut self, in_reply_to: Option<MessageId>) -> Acted {
        let conversation = self.conversation()?;
        let text = format!("message {}", self.serial);
        let content = Content { in_reply_to, ..Content::text(&text, self.now) };
        let id = self.client.send(conversation, &content, self.now)?;
        Ok(Some((id, Said { author: self.user, target: None, text: Some(text) })))
    }

    fn edit(&mut self) -> Acted {
        let target = self.line(|own| own)?;
        let text = format!("message {} (edited)", self.serial);
        let body = Body::Edit { target, text: text.clone() };
        let id = self.client.send(self.conversation()?, &Content::new(body, self.now), self.now)?;
        Ok(Some((id, Said { author: self.user, target: Some(target), text: Some(text) })))
    }

    fn delete(&mut self) -> Acted {
        let target = self.line(|own| own)?;
        let content = Content::new(Body::Delete { target }, self.now);
        let id = self.client.send(self.conversation()?, &content, self.now)?;
        Ok(Some((id, Said { author: self.user, target: Some(target), text: None })))
    }

    fn react(&mut self) -> Acted {
        let target = self.line(|_| true)?;
        let body = Body::Reaction(Reaction { target, symbol: "👍".into(), removed: self.second.is_multiple_of(4) });
        self.client.send(self.conversation()?, &Content::new(body, self.now), self.now).map(|_| None)
    }

    fn change(&mut self, verb: Verb) -> Acted {
        let (conversation, other, now) = (self.conversation()?, self.other(self.second), self.now);
        match verb {
            Verb::Add => drop(self.client.add_members(conversation, &[other], now)?),
            Verb::Remove => drop(self.client.remove_members(conversation, &[other], now)?),
            Verb::Promote => drop(self.client.set_admin(conversation, other, true, now)?),
            Verb::Demote => drop(self.client.set_admin(conversation, other, false, now)?),
            Verb::Leave => self.client.leave_group(conversation, now)?,
            _ => drop(self.client.rename(conversation, &format!("name {}", self.serial), now)?),
        }
        Ok(None)
    }

    fn other(&self, choice: usize) -> UserId {
        self.others[choice % self.others.len()]
    }

    /// Another device of this person.
    fn own_device(&self) -> Result<DeviceId, Error> {
        let devices = self.client.devices()?;
        let others: Vec<DeviceId> =
            devices.iter().filter(|view| !view.this && view.state == DeviceState::Active).map(|view| view.id).collect();
        others.get(self.first % others.len().max(1)).copied().ok_or(Error::UnknownDevice)
    }

    /// One of the conversations that are not over.
    fn conversation(&self) -> Result<ConversationId, Error> {
        let all = self.client.standings()?;
        let shown =
            |standing: &&Standing| standing.state != ConversationState::Left && !self.client.is_own_group(standing.id);
        let open = all.iter().filter(shown);
        let mut ids: Vec<ConversationId> = open.map(|standing| standing.id).collect();
        ids.sort_unstable();
        ids.get(self.first % ids.len().max(1)).copied().ok_or(Error::UnknownConversation)
    }

    /// A line of that conversation, of this person's or anybody's.
    fn line(&self, wanted: impl Fn(bool) -> bool) -> Result<MessageId, Error> {
        let lines = self.client.lines(self.conversation()?, 50)?;
        let is_text = |body: &Option<Body>| matches!(body, Some(Body::Text(_)));
        let fits = lines.iter().filter(|line| {
            let is_own = line.author == Some(self.user);
            is_text(&line.body) && line.state != MessageState::Failed && !line.deleted && wanted(is_own)
        });
        let ids: Vec<MessageId> = fits.filter_map(|line| line.id).collect();
        ids.get(self.second % ids.len().max(1)).copied().ok_or(Error::UnknownMessage)
    }
}

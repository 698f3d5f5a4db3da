//! Commands that name people: those who are not known to this device are looked up first, one after the other.

use super::effect;
use super::model::{Model, Overlay};
use super::refresh;
use crate::failure::{Failure, Kind};
use crate::output::in_one_line;
use client::{Client, Event};
use runtime::now;
use std::collections::VecDeque;
use wire::{ConversationId, UserId};

/// A command that waits for people to be found.
#[derive(Debug)]
pub(super) struct Lookup {
    wanted: VecDeque<String>,
    asked: bool,
    found: Vec<UserId>,
    then: Then,
    /// Without a connection it waits for one, instead of giving up.
    patient: bool,
}

/// What is to be done with the people.
#[derive(Debug, Clone)]
pub(super) enum Then {
    Direct,
    Group(String),
    Add(ConversationId),
    Remove(ConversationId),
    Admin(ConversationId, bool),
    Safety,
}

impl Lookup {
    pub(super) fn new(people: Vec<String>, then: Then) -> Self {
        Self { wanted: people.into(), asked: false, found: Vec::new(), then, patient: false }
    }

    /// The same for what was asked before there was a connection.
    pub(super) fn patient(self) -> Self {
        Self { patient: true, ..self }
    }

    /// An event that may be about somebody who is looked for. The failure is what the person is told.
    pub(super) fn hear(&mut self, event: &Event) -> Result<(), Failure> {
        match event {
            Event::ContactFound { .. } => self.asked = false,
            Event::ContactUnknown { handle } => {
                return Err(Failure::usage(format!("nobody here is called {}", in_one_line(handle))));
            }
            Event::LookupRefused { refusal, .. } => return Err(refusal.clone().into()),
            Event::ContactRefused { reason, .. } => {
                let text = format!("what the server says about this person does not verify: {reason}");
                return Err(Failure::new(Kind::Refused, text));
            }
            Event::Disconnected { .. } if self.asked && !self.patient => return Err(offline()),
            Event::Disconnected { .. } => self.asked = false,
            _ => {}
        }
        Ok(())
    }

    /// Goes on as far as possible. `true`: it is done.
    pub(super) fn proceed(&mut self, model: &mut Model, client: &mut Client) -> Result<bool, Failure> {
        while let Some(handle) = self.wanted.front() {
            if let Some(contact) = client.contact(handle)? {
                self.found.push(contact.user);
                self.wanted.pop_front();
                continue;
            }
            if self.asked {
                return Ok(false);
            }
            if !client.is_live() {
                return if self.patient { Ok(false) } else { Err(offline()) };
            }
            client.find_user(handle, now())?;
            self.asked = true;
            return Ok(false);
        }
        self.finish(model, client).map(|()| true)
    }

    fn finish(&self, model: &mut Model, client: &mut Client) -> Result<(), Failure> {
        match (&self.then, self.found.as_slice()) {
            (Then::Direct, [user, ..]) => {
                let id = client.start_direct(*user, now())?;
                refresh::chats(model, client)?;
                effect::open(model, client, id)
            }
            (Then::Group(name), users) => {
                let id = client.start_group(name, users, now())?;
                refresh::chats(model, client)?;
                effect::open(model, client, id)
            }
            (Then::Add(id), users) => Ok(client.add_members(*id, users, now()).map(|_| model.tell("adding…"))?),
            (Then::Remove(id), users) => {
                Ok(client.remove_members(*id, users, now()).map(|_| model.tell("removing…"))?)
            }
            (Then::Admin(id, admin), [user, ..]) => {
                Ok(client.set_admin(*id, *user, *admin, now()).map(|_| model.tell("changing…"))?)
            }
            (Then::Safety, [user, ..]) => safety(model, client, *user),
            (Then::Direct | Then::Admin(..) | Then::Safety, []) => Ok(()),
        }
    }
}

fn offline() -> Failure {
    Failure::new(Kind::Offline, "offline: who is not known to this device cannot be looked up now")
}

fn safety(model: &mut Model, client: &Client, user: UserId) -> Result<(), Failure> {
    let Some(contact) = client.contact_of(user)? else { return Ok(()) };
    model.overlay = Some(Overlay::Safety {
        user,
        handle: in_one_line(&contact.handle),
        number: contact.safety_number,
        verification: contact.verification,
        warning: contact.refused.map(|why| format!("the server's last word about this person was refused: {why}")),
    });
    Ok(())
}

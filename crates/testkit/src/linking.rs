//! Several devices of a person: a new one shows a code, the person carries it to one that they have, and confirms there.

use crate::server::TENANT;
use crate::template::PASSWORD;
use crate::world::World;
use client::Event;
use wire::UnixMillis;

/// A person who sees nothing come of it carries the code over again after this.
const PATIENCE_MS: u64 = 20_000;

/// A code that a new device shows.
#[derive(Debug, Clone)]
pub struct Code {
    text: String,
    /// When it was carried over last.
    carried: Option<UnixMillis>,
}

impl World {
    /// A device that is nobody's yet is to become its person's. Says whether that is news.
    pub fn begin_link(&mut self, number: usize) -> bool {
        let now = self.now;
        let Some(device) = self.devices.get_mut(number).filter(|device| !device.is_linked()) else { return false };
        let at = device.now(now);
        let Some(client) = device.client.as_mut().filter(|_| !device.linking) else { return false };
        client.link(TENANT, &device.handle, PASSWORD, "another", at).expect("it is not linked");
        device.linking = true;
        true
    }

    /// Whether a device has something to do with a code that another one of its person shows.
    pub fn is_shown_a_code(&self, number: usize) -> bool {
        self.shower(number).is_some()
    }

    /// The person types the code that their new device shows into this one.
    pub(crate) fn carry(&mut self, number: usize) -> bool {
        let Some(shower) = self.shower(number) else { return false };
        let now = self.now;
        let Some(code) = self.devices[shower].code.as_mut() else { return false };
        code.carried = Some(now);
        let text = code.text.clone();
        let device = &mut self.devices[number];
        let at = device.now(now);
        if let Some(client) = device.client.as_mut() {
            client.open_link(&text, at).expect("a code is a code");
        }
        device.collect();
        true
    }

    /// After a start: what a device was about to do, its person begins again. It may have become theirs unheard.
    pub(crate) fn link_again(&mut self, number: usize) {
        let device = &mut self.devices[number];
        if std::mem::take(&mut device.linking) {
            device.code = None;
            if device.is_linked() {
                self.is_somebodys(number);
            } else {
                self.begin_link(number);
            }
        }
    }

    fn is_somebodys(&mut self, number: usize) {
        let device = &mut self.devices[number];
        let account = device.client.as_ref().and_then(client::Client::account_view).expect("it has an account now");
        (device.user, device.id, device.linking, device.code) = (account.user, account.device, false, None);
        self.oracle.knows(account.device, account.user);
        self.tally.linked += 1;
    }

    fn shower(&self, number: usize) -> Option<usize> {
        let device = self.devices.get(number).filter(|device| device.is_linked() && device.link.is_some())?;
        let is_live = device.client.as_ref().is_some_and(client::Client::is_live);
        let waits = |code: &Code| code.carried.is_none_or(|at| at + PATIENCE_MS <= self.now);
        let shows =
            |other: &crate::device::Device| other.person == device.person && other.code.as_ref().is_some_and(waits);
        self.devices.iter().position(shows).filter(|_| is_live && !self.oracle.is_revoked(device.id))
    }

    /// What a device has told of linking: codes are read, offers confirmed, refusals met with another attempt.
    pub(crate) fn hear_of_linking(&mut self, number: usize, events: &[Event]) {
        let now = self.now;
        for event in events {
            let device = &mut self.devices[number];
            let at = device.now(now);
            match event {
                Event::LinkCode { code, .. } => {
                    device.code = Some(Code { text: code.expose().into(), carried: None });
                }
                Event::LinkOffered { .. } => {
                    if let Some(client) = device.client.as_mut() {
                        let confirmed = client.confirm_link(at);
                        self.survive(number, confirmed);
                    }
                }
                Event::Joined { .. } | Event::Linked { .. } => self.is_somebodys(number),
                Event::LinkRefused(_) | Event::LinkFailed { .. } if !device.is_linked() => {
                    (device.linking, device.code) = (false, None);
                    self.begin_link(number);
                }
                _ => {}
            }
        }
    }
}

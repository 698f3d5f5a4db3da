//! A world: one server, some devices, what is on its way between them, and the time. It moves by decisions only.

use crate::decision::{Decision, Fault};
use crate::device::{Device, Link};
use crate::oracle::{Asked, Mark, Oracle};
use crate::server::Server;
use crate::tally::Tally;
use client::{ConversationState, Error, Event, Standing};
use mifeng_server::gateway::embedded::Line;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::path::PathBuf;
use trust::registry;
use wire::frame::{self, ServerFrame};
use wire::{ConversationId, EntryKind, TenantId, UnixMillis};

/// So many requests are told of when they do not end.
const ASKED_KEPT: usize = 8;

/// Everything there is.
pub struct World {
    /// The server; absent while it is down.
    pub server: Option<Server>,
    /// The devices.
    pub devices: Vec<Device>,
    /// The tenant.
    pub tenant: TenantId,
    /// The time.
    pub now: UnixMillis,
    /// The model.
    pub oracle: Oracle,
    /// What happened.
    pub tally: Tally,
    /// The last backup of the server.
    pub(crate) backup: Option<Backup>,
    /// What was asked last, by which devices.
    pub(crate) asked: VecDeque<(usize, &'static str)>,
    /// Connections that only the server still believes in.
    pub(crate) orphans: Vec<Line>,
    /// What a hostile server does to frames.
    pub(crate) malice: Option<Box<dyn Malice>>,
    /// Where devices stood when the oracle last looked.
    looked: HashMap<(usize, ConversationId), Standing>,
}

/// A backup of the server's database.
#[derive(Debug, Clone)]
pub(crate) struct Backup {
    pub(crate) folder: PathBuf,
    /// What the model knew then of what is not given back.
    pub(crate) mark: Mark,
}

/// A hostile server: it stands between the devices and the honest one, and changes what passes.
pub trait Malice {
    /// A frame from a device: what reaches the server instead.
    fn up(&mut self, device: usize, frame: Vec<u8>) -> Vec<Vec<u8>> {
        let _ = device;
        vec![frame]
    }

    /// A frame for a device: what reaches it instead.
    fn down(&mut self, device: usize, frame: Vec<u8>) -> Vec<Vec<u8>> {
        let _ = device;
        vec![frame]
    }
}

impl World {
    /// A world of devices that run, at this time; the model knows what has happened before.
    pub fn new(server: Server, devices: Vec<Device>, tenant: TenantId, now: UnixMillis, mut oracle: Oracle) -> Self {
        devices.iter().for_each(|device| oracle.knows(device.id, device.user));
        let tally = Tally { schedules: 1, ..Tally::default() };
        let server = Some(server);
        let (asked, orphans) = (VecDeque::new(), Vec::new());
        Self {
            server,
            devices,
            tenant,
            now,
            oracle,
            tally,
            backup: None,
            asked,
            orphans,
            malice: None,
            looked: HashMap::new(),
        }
    }

    /// Carries out a decision. Says whether there was anything to do.
    pub fn apply(&mut self, decision: Decision) -> bool {
        match decision {
            Decision::Connect(device) => self.connect(device),
            Decision::Up(device) => self.up(device),
            Decision::Down(device) => self.down(device),
            Decision::Tick(device) => self.tick(device),
            Decision::Pass(ms) => self.pass(ms),
            Decision::Act(device, verb, first, second) => self.act(device, verb, first, second),
            Decision::Start(device) => self.start(device),
            Decision::PutAside(device) => self.put_aside(device),
            Decision::Strengthen => self.strengthen(),
            Decision::Backup => self.back_up(),
            Decision::Carry(device) => self.carry(device),
            Decision::Fault(fault) => {
                let fired = self.fault(fault);
                if fired {
                    self.tally.fault(fault);
                }
                fired
            }
        }
    }

    pub(crate) fn connect(&mut self, number: usize) -> bool {
        let now = self.now;
        let Some(device) = self.devices.get_mut(number) else { return false };
        let at = device.now(now);
        let Some(client) = device.client.as_mut() else { return false };
        if device.link.is_some() || !client.wants_connection(at) {
            return false;
        }
        match self.server.as_ref().and_then(Server::connect) {
            Some(line) => {
                let link = Link { line: Some(line), up: VecDeque::new(), down: VecDeque::new() };
                device.link = Some(link);
                let result = client.handle_connected(at);
                self.survive(number, result);
            }
            None => client.handle_disconnected(at),
        }
        true
    }

    pub(crate) fn up(&mut self, number: usize) -> bool {
        let Some(frame) = self.devices.get_mut(number).and_then(|device| device.link.as_mut()?.up.pop_front()) else {
            return false;
        };
        let frames = match &mut self.malice {
            Some(malice) => malice.up(number, frame),
            None => vec![frame],
        };
        frames.into_iter().for_each(|frame| self.serve(number, frame));
        true
    }

    /// The server handles one frame to its end; what it has for anybody is put on its way.
    pub(crate) fn serve(&mut self, number: usize, frame: Vec<u8>) {
        let Some(server) = &self.server else { return };
        let device = &mut self.devices[number];
        let asked = Oracle::asks(device.id, &frame);
        let op = frame::read_request(&frame).ok().and_then(|request| request.known());
        self.asked.extend(op.map(|op| (number, op.as_str())));
        self.asked.drain(..self.asked.len().saturating_sub(ASKED_KEPT));
        let Some(line) = device.link.as_mut().and_then(|link| link.line.as_mut()) else { return };
        if server.frame(line, frame).is_err()
            && let Some(line) = device.link.as_mut().and_then(|link| link.line.take())
        {
            server.close(line);
        }
        self.deliver(number, asked);
    }

    /// Takes what the server has queued; the oracle hears it first.
    fn deliver(&mut self, asker: usize, asked: Option<(u32, Asked)>) {
        for number in 0..self.devices.len() {
            for frame in &self.devices[number].drain() {
                self.oracle.shown(frame);
                if let Some((id, asked)) = asked.as_ref().filter(|_| number == asker) {
                    self.hear(*id, asked, frame);
                }
            }
        }
        for line in &self.orphans {
            Server::take(line, &mut Vec::<Vec<u8>>::new());
        }
    }

    fn hear(&mut self, id: u32, asked: &Asked, frame: &[u8]) {
        let Some(server) = &self.server else { return };
        let snapshot = |conversation| server.snapshot(self.tenant, conversation).expect("the store reads");
        match asked {
            Asked::Create(conversation) => {
                let answered = matches!(frame::read_server(frame), Ok(ServerFrame::Answer { id: of, .. }) if of == id);
                if let Some(snapshot) = snapshot(*conversation).filter(|_| answered) {
                    self.oracle.created(*conversation, snapshot);
                }
            }
            Asked::Revoke(device) => {
                let answered = matches!(frame::read_server(frame), Ok(ServerFrame::Answer { id: of, .. }) if of == id);
                if answered && self.oracle.revoke(*device) {
                    self.tally.revoked += 1;
                }
            }
            Asked::Supply { conversation, accepted } => {
                if let Some((of, at)) = crate::oracle::Oracle::place(frame)
                    && of == id
                    && self.oracle.supplied(*conversation, at.seq, accepted)
                {
                    self.tally.supplied += 1;
                }
            }
            Asked::Append { conversation, accepted } => {
                let Some((of, at)) = crate::oracle::Oracle::place(frame) else { return };
                if of != id || !self.oracle.accepted(*conversation, &at, accepted.clone()) {
                    return;
                }
                match accepted.kind {
                    EntryKind::Commit | EntryKind::Succession => {
                        self.tally.commits += u64::from(accepted.kind == EntryKind::Commit);
                        self.tally.successions += u64::from(accepted.kind == EntryKind::Succession);
                        if let Some(after) = snapshot(*conversation) {
                            self.oracle.committed(*conversation, at.seq, after);
                        }
                    }
                    EntryKind::Application => self.tally.messages += 1,
                    EntryKind::Proposal => {}
                }
            }
        }
    }

    pub(crate) fn down(&mut self, number: usize) -> bool {
        let Some(link) = self.devices.get_mut(number).and_then(|device| device.link.as_mut()) else { return false };
        let Some(frame) = link.down.pop_front() else {
            let over = link.line.is_none();
            if over {
                self.disconnect(number);
            }
            return over;
        };
        let frames = match &mut self.malice {
            Some(malice) => malice.down(number, frame),
            None => vec![frame],
        };
        frames.iter().for_each(|frame| self.handle(number, frame));
        true
    }

    fn handle(&mut self, number: usize, frame: &[u8]) {
        let device = &mut self.devices[number];
        let at = device.now(self.now);
        let Some(client) = device.client.as_mut().filter(|_| device.link.is_some()) else { return };
        let result = client.handle_frame(frame, at);
        self.survive(number, result);
        if tells_of_logs(frame) {
            self.look(number);
        }
    }

    pub(crate) fn tick(&mut self, number: usize) -> bool {
        let now = self.now;
        let Some(device) = self.devices.get_mut(number) else { return false };
        let at = device.now(now);
        let Some(client) = device.client.as_mut().filter(|_| device.link.is_some()) else { return false };
        if client.poll_timeout().is_none_or(|due| due > at) {
            return false;
        }
        let result = client.handle_timeout(at);
        self.survive(number, result);
        true
    }

    /// As the shell does it: a protocol error costs the connection, anything else is a finding.
    pub(crate) fn survive(&mut self, number: usize, result: Result<(), Error>) {
        let now = self.now;
        let device = &mut self.devices[number];
        device.collect();
        let at = device.now(now);
        let closing = device.client.as_ref().is_none_or(|client| !client.wants_connection(at));
        match result {
            Ok(()) if !closing => {}
            Ok(()) | Err(Error::Protocol(_)) => self.disconnect(number),
            Err(error) => {
                self.oracle.violated(format!("device {number} failed: {error} ({error:?})"));
                self.disconnect(number);
            }
        }
        let events = std::mem::take(&mut self.devices[number].told);
        self.hear_of_linking(number, &events);
        self.tally.repairs += events.iter().filter(|event| matches!(event, Event::Repaired(_))).count() as u64;
        self.devices[number].heard.extend(events);
    }

    /// Both ends notice that the connection is over.
    pub(crate) fn disconnect(&mut self, number: usize) {
        let line = self.devices[number].disconnect(self.now);
        if let (Some(line), Some(server)) = (line, &self.server) {
            server.close(line);
        }
    }

    /// The device dies with its connection, and notices nothing; the server does.
    pub(crate) fn disconnect_silently(&mut self, number: usize) {
        let link = self.devices[number].link.take();
        if let (Some(line), Some(server)) = (link.and_then(|link| link.line), &self.server) {
            server.close(line);
        }
    }

    pub(crate) fn pass(&mut self, ms: u64) -> bool {
        self.now += ms;
        if let Some(server) = &self.server {
            server.set_clock(self.now);
            let lines = self.devices.iter().filter_map(|device| device.link.as_ref()?.line.as_ref());
            lines.for_each(|line| server.flush(line));
        }
        true
    }

    /// Every connection of the tenant ends; who comes again is greeted with the new suite.
    fn strengthen(&mut self) -> bool {
        let Some(server) = &self.server else { return false };
        let changed = server.strengthen().expect("the store writes");
        if changed {
            self.oracle.suite = Some(registry::SUITE_XWING);
            self.tally.strengthened = 1;
            self.deliver(usize::MAX, None);
        }
        changed
    }

    fn back_up(&mut self) -> bool {
        let Some(server) = &self.server else { return false };
        match server.back_up() {
            Ok(folder) => self.backup = Some(Backup { folder, mark: self.oracle.mark() }),
            Err(error) => self.oracle.violated(format!("the server cannot be copied: {error:#}")),
        }
        true
    }

    fn put_aside(&mut self, number: usize) -> bool {
        let is_on = |device: &&mut Device| device.client.is_some() && device.is_linked();
        let Some(device) = self.devices.get_mut(number).filter(is_on) else { return false };
        if let Err(error) = device.put_aside() {
            self.oracle.violated(format!("device {number} cannot be copied: {error:#}"));
        }
        true
    }

    pub(crate) fn start(&mut self, number: usize) -> bool {
        let Some(device) = self.devices.get_mut(number).filter(|device| device.client.is_none()) else { return false };
        if let Err(error) = device.start() {
            self.oracle.violated(format!("device {number} does not start: {error:#}"));
        }
        self.link_again(number);
        true
    }

    /// The oracle compares where a device stands with where others stood.
    pub(crate) fn look(&mut self, number: usize) {
        let device = &mut self.devices[number];
        let at = device.now(self.now);
        let Some(client) = device.client.as_mut() else { return };
        for standing in client.standings().expect("the database reads") {
            let Standing { id, state, .. } = standing;
            // Who comes in from outside stands nowhere until the server has said where.
            if state == ConversationState::Joining || self.looked.insert((number, id), standing) == Some(standing) {
                continue;
            }
            let Ok(Some(position)) = client.position(id, at) else { continue };
            let active = state == ConversationState::Active;
            let members = if active { client.members(id, at).unwrap_or_default() } else { Vec::new() };
            let devices: Vec<_> = members.into_iter().flat_map(|member| member.devices).collect();
            self.oracle.stands(device.id, id, position, &devices);
        }
        device.collect();
    }

    /// Everybody gets to know everybody, as after joining.
    pub fn everybody_looks_up_everybody(&mut self) {
        let handles: Vec<String> = self.devices.iter().map(|device| device.handle.clone()).collect();
        for device in &mut self.devices {
            let at = device.now(self.now);
            let Some(client) = device.client.as_mut() else { continue };
            for handle in handles.iter().filter(|handle| **handle != device.handle).collect::<BTreeSet<_>>() {
                client.find_user(handle, at).expect("a live client asks");
            }
            device.collect();
        }
    }

    /// Closes everything and leaves the files.
    pub fn stop(mut self) {
        for number in 0..self.devices.len() {
            self.disconnect(number);
            self.devices[number].client = None;
        }
        if let Some(server) = self.server.take() {
            server.stop();
        }
    }

    /// A hostile server from here on, or an honest one again.
    pub fn beset(&mut self, malice: Option<Box<dyn Malice>>) {
        if malice.is_some() || self.oracle.lied_until.is_some() {
            self.oracle.lied_until = Some(self.oracle.order());
        }
        self.malice = malice;
    }

    pub(crate) fn fault(&mut self, fault: Fault) -> bool {
        crate::faults::strike(self, fault)
    }
}

/// Whether a frame may have moved a log: an entry, or an answer.
fn tells_of_logs(frame: &[u8]) -> bool {
    match frame::read_server(frame) {
        Ok(ServerFrame::Event { kind, body }) => match wire::Event::decode(kind, body) {
            Ok(Some(wire::Event::Recorded(recorded))) => {
                matches!(recorded.entry.kind, EntryKind::Commit | EntryKind::Succession)
            }
            _ => false,
        },
        Ok(ServerFrame::Answer { body, .. }) => body.len() > 8,
        _ => false,
    }
}

//! Counters, and their text form for Prometheus. Plain atomics: a counter on the path of every message must cost nothing.

use crate::tls::Plane;
use std::{
    fmt::Write as _,
    sync::atomic::{AtomicU64, Ordering},
};
use store::Counters;
use wire::{Op, TenantId};

/// What came of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered.
    Answered,
    /// It was refused.
    Refused,
    /// The server failed.
    Failed,
}

const OUTCOMES: [(Outcome, &str); 3] =
    [(Outcome::Answered, "answered"), (Outcome::Refused, "refused"), (Outcome::Failed, "failed")];

/// What went wrong with a connection before it could ask for anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// There was no place for it.
    NoPlace,
    /// The TLS handshake failed.
    Handshake,
    /// The TLS handshake took too long.
    HandshakeTimeout,
    /// It spoke no HTTP.
    Http,
}

const LOSSES: [(Lost, &str); 4] = [
    (Lost::NoPlace, "no_place"),
    (Lost::Handshake, "handshake"),
    (Lost::HandshakeTimeout, "handshake_timeout"),
    (Lost::Http, "http"),
];

/// All counters of the process.
pub struct Metrics {
    requests: Vec<[AtomicU64; 3]>,
    unknown_operations: AtomicU64,
    lost: [[AtomicU64; 4]; 3],
    slow_readers: AtomicU64,
    fanned_out: AtomicU64,
}

/// What is read when somebody looks.
pub struct Gauges {
    /// Devices that are online.
    pub devices_online: usize,
    /// Open connections of the clients' listener.
    pub connections: usize,
    /// Every tenant's name and id.
    pub tenants: Vec<(String, TenantId)>,
    /// What the store has done.
    pub store: Counters,
    /// When the planes' server certificates are over, in seconds since the Unix epoch.
    pub certificates: Vec<(Plane, u64)>,
}

impl Metrics {
    /// All zero.
    pub fn new() -> Self {
        Self {
            requests: Op::ALL.iter().map(|_| Default::default()).collect(),
            unknown_operations: AtomicU64::new(0),
            lost: Default::default(),
            slow_readers: AtomicU64::new(0),
            fanned_out: AtomicU64::new(0),
        }
    }

    /// A request was dealt with.
    pub fn request(&self, op: Op, outcome: Outcome) {
        let counters = Op::ALL.iter().position(|other| *other == op).and_then(|index| self.requests.get(index));
        if let Some(counter) = counters.and_then(|counters| counters.get(outcome as usize)) {
            add(counter, 1);
        }
    }

    /// A request asked for what is not known.
    pub fn unknown_operation(&self) {
        add(&self.unknown_operations, 1);
    }

    /// A connection was lost.
    pub fn lost(&self, plane: Plane, lost: Lost) {
        if let Some(counter) = self.lost.get(plane as usize).and_then(|counters| counters.get(lost as usize)) {
            add(counter, 1);
        }
    }

    /// A connection was dropped because its reader was too slow.
    pub fn slow_reader(&self) {
        add(&self.slow_readers, 1);
    }

    /// Events were queued for so many devices.
    pub fn fanned_out(&self, devices: usize) {
        add(&self.fanned_out, devices as u64);
    }

    /// The text that Prometheus reads (exposition format 0.0.4).
    pub fn render(&self, gauges: &Gauges) -> String {
        let mut page = Page(String::with_capacity(8_192));
        page.head("mifeng_requests_total", "counter", "Requests of devices, by operation and outcome.");
        for (op, counters) in Op::ALL.iter().zip(&self.requests) {
            for ((_, outcome), counter) in OUTCOMES.iter().zip(counters) {
                page.line("mifeng_requests_total", &[("op", op.as_str()), ("outcome", outcome)], read(counter));
            }
        }
        page.head(
            "mifeng_unknown_operations_total",
            "counter",
            "Requests for operations that this version does not know.",
        );
        page.line("mifeng_unknown_operations_total", &[], read(&self.unknown_operations));
        page.head("mifeng_connections_lost_total", "counter", "Connections that ended before they asked for anything.");
        for (plane, counters) in Plane::ALL.iter().zip(&self.lost) {
            for ((_, why), counter) in LOSSES.iter().zip(counters) {
                page.line("mifeng_connections_lost_total", &[("plane", plane.as_str()), ("why", why)], read(counter));
            }
        }
        page.head("mifeng_slow_readers_total", "counter", "Connections dropped because their reader was too slow.");
        page.line("mifeng_slow_readers_total", &[], read(&self.slow_readers));
        page.head("mifeng_events_queued_total", "counter", "Events queued for devices that are online.");
        page.line("mifeng_events_queued_total", &[], read(&self.fanned_out));
        page.head("mifeng_devices_online", "gauge", "Devices with an authenticated connection.");
        page.line("mifeng_devices_online", &[], gauges.devices_online as u64);
        page.head("mifeng_connections", "gauge", "Open connections of devices.");
        page.line("mifeng_connections", &[], gauges.connections as u64);
        page.store(&gauges.store);
        page.head("mifeng_certificate_expires_seconds", "gauge", "When a server certificate is over, in Unix time.");
        for (plane, expires_at_s) in &gauges.certificates {
            page.line("mifeng_certificate_expires_seconds", &[("plane", plane.as_str())], *expires_at_s);
        }
        page.head("mifeng_tenant_info", "gauge", "The tenants, by name.");
        for (name, id) in &gauges.tenants {
            page.line("mifeng_tenant_info", &[("tenant", name), ("id", &id.to_string())], 1);
        }
        page.0
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing into a String cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn store(&mut self, store: &Counters) {
        let all = [
            (
                "mifeng_store_batches_total",
                "counter",
                "Committed transactions, each of which is one fsync.",
                store.batches,
            ),
            ("mifeng_store_writes_total", "counter", "Writes in them.", store.jobs),
            (
                "mifeng_store_undone_total",
                "counter",
                "Writes that were undone because they were refused.",
                store.undone,
            ),
            (
                "mifeng_store_failed_batches_total",
                "counter",
                "Transactions that the storage failed.",
                store.failed_batches,
            ),
            ("mifeng_store_checkpoints_total", "counter", "Moves of the write-ahead log.", store.checkpoints),
            (
                "mifeng_store_reconnects_total",
                "counter",
                "How often a database that was out of reach came back.",
                store.reconnects,
            ),
            ("mifeng_store_largest_batch", "gauge", "Most writes in one transaction.", store.largest_batch),
            ("mifeng_store_waiting", "gauge", "Writes that wait.", store.waiting),
        ];
        for (name, kind, help, value) in all {
            self.head(name, kind, help);
            self.line(name, &[], value);
        }
    }

    /// Label values are names of ours and tenants' names, which have no character that needs escaping.
    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: u64) {
        let labels: Vec<_> = labels.iter().map(|(key, value)| format!("{key}=\"{value}\"")).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }
}

fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_what_was_counted() {
        let metrics = Metrics::new();
        metrics.request(Op::Send, Outcome::Answered);
        metrics.request(Op::Send, Outcome::Answered);
        metrics.lost(Plane::Admin, Lost::Handshake);
        let tenants = vec![("acme".to_owned(), TenantId::from_bytes([1; 16]))];
        let store = Counters {
            batches: 5,
            jobs: 6,
            undone: 0,
            failed_batches: 0,
            largest_batch: 2,
            checkpoints: 0,
            reconnects: 0,
            waiting: 0,
        };
        let certificates = vec![(Plane::Clients, 7)];
        let page = metrics.render(&Gauges { devices_online: 3, connections: 4, tenants, store, certificates });
        for line in [
            "mifeng_requests_total{op=\"send\",outcome=\"answered\"} 2",
            "mifeng_requests_total{op=\"send\",outcome=\"failed\"} 0",
            "mifeng_connections_lost_total{plane=\"admin\",why=\"handshake\"} 1",
            "mifeng_devices_online 3",
            "mifeng_certificate_expires_seconds{plane=\"clients\"} 7",
            "mifeng_store_writes_total 6",
            "mifeng_tenant_info{tenant=\"acme\",id=\"ten_01010101010101010101010101010101\"} 1",
        ] {
            assert!(page.lines().any(|found| found == line), "{line} is not in\n{page}");
        }
    }
}

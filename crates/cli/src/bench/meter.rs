//! What one window of measuring collects, and how windows become a figure: the median, with the least and the greatest.

use super::machine;
use anyhow::{Result, ensure};
use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};
use std::time::{Duration, Instant};

/// Latencies, with three significant digits.
pub(super) struct Latencies(Histogram<u64>);

impl Latencies {
    pub(super) fn new() -> Result<Self> {
        // From a microsecond to ten minutes.
        Ok(Self(Histogram::new_with_bounds(1, 600_000_000, 3)?))
    }

    pub(super) fn record(&mut self, latency: Duration) {
        self.0.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX).max(1));
    }

    pub(super) fn count(&self) -> u64 {
        self.0.len()
    }

    fn ms(&self, quantile: f64) -> f64 {
        self.0.value_at_quantile(quantile) as f64 / 1_000.0
    }
}

/// Named figures of one window.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Figures(Vec<(&'static str, f64)>);

impl Figures {
    pub(super) fn put(&mut self, name: &'static str, value: f64) {
        self.0.push((name, value));
    }

    /// The usual quantiles.
    pub(super) fn put_latencies(&mut self, latencies: &Latencies) {
        for (name, quantile) in
            [("p50_ms", 0.5), ("p90_ms", 0.9), ("p99_ms", 0.99), ("p999_ms", 0.999), ("max_ms", 1.0)]
        {
            self.put(name, latencies.ms(quantile));
        }
    }
}

/// Figures of several windows of the same thing.
#[derive(Debug, Clone, Default)]
pub(super) struct Series(Vec<Figures>);

impl Series {
    pub(super) fn push(&mut self, figures: Figures) {
        self.0.push(figures);
    }

    /// The median of a figure; `None` when no window has it.
    pub(super) fn median(&self, name: &str) -> Option<f64> {
        let sorted = self.sorted(name);
        sorted.get(sorted.len() / 2).copied()
    }

    /// Every figure as `{"median", "least", "greatest"}`.
    pub(super) fn json(&self) -> Value {
        let names = self.0.first().map(|figures| figures.0.as_slice()).unwrap_or_default();
        let spread = |name: &str| {
            let sorted = self.sorted(name);
            let at = |index: usize| sorted.get(index).copied().map(rounded);
            json!({"median": at(sorted.len() / 2), "least": at(0), "greatest": at(sorted.len().saturating_sub(1))})
        };
        Value::Object(names.iter().map(|(name, _)| ((*name).to_owned(), spread(name))).collect::<Map<_, _>>())
    }

    fn sorted(&self, name: &str) -> Vec<f64> {
        let figures = self.0.iter().flat_map(|figures| &figures.0);
        let mut values: Vec<f64> = figures.filter(|(other, _)| *other == name).map(|(_, value)| *value).collect();
        values.sort_by(f64::total_cmp);
        values
    }
}

/// Three significant digits: no figure here is known better.
pub(super) fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return 0.0;
    }
    let scale = 10f64.powf(2.0 - value.abs().log10().floor());
    (value * scale).round() / scale
}

/// Who is measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measured {
    /// The server's process.
    pub(super) server: u32,
    /// The first process of the database that it keeps everything in, if that is another program.
    pub(super) database: Option<u32>,
}

impl Measured {
    /// A process that needs no other.
    pub(super) const fn alone(server: u32) -> Self {
        Self { server, database: None }
    }
}

/// Processor time over a window: of a server with its database, of this process, and of everybody else on the server's core.
pub(super) struct Stopwatch {
    measured: Measured,
    started: Instant,
    before: [Duration; 4],
}

impl Stopwatch {
    pub(super) fn start(measured: Measured) -> Result<Self> {
        Ok(Self { measured, started: Instant::now(), before: times(measured)? })
    }

    /// Seconds since the start, the server's and its database's processor time in seconds, and the shares of the cores as figures.
    pub(super) fn stop(self, figures: &mut Figures) -> Result<(f64, f64)> {
        let seconds = self.started.elapsed().as_secs_f64();
        let [server, database, generator, core] = times(self.measured)?;
        let used = |now: Duration, before: Duration| now.saturating_sub(before).as_secs_f64();
        let [server_before, database_before, generator_before, core_before] = self.before;
        let database = used(database, database_before);
        let server = used(server, server_before) + database;
        ensure!(seconds > 0.0, "a window without time");
        figures.put("server_cpu", server / seconds);
        if self.measured.database.is_some() {
            figures.put("database_cpu", database / seconds);
        }
        figures.put("generator_cpu", used(generator, generator_before) / seconds);
        figures.put("others_on_servers_core", ((used(core, core_before) - server) / seconds).max(0.0));
        Ok((seconds, server))
    }
}

fn times(measured: Measured) -> Result<[Duration; 4]> {
    let own = machine::processor_time(std::process::id())?;
    let server = machine::processor_time(measured.server)?;
    let database = measured.database.map_or(Ok(Duration::ZERO), machine::family_time)?;
    Ok([server, database, own, machine::busy_time(machine::SERVER_CORE)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_what_was_recorded() {
        let mut latencies = Latencies::new().unwrap();
        (1..=1_000).for_each(|ms| latencies.record(Duration::from_millis(ms)));
        let mut figures = Figures::default();
        figures.put_latencies(&latencies);
        for (name, expected) in [("p50_ms", 500.0), ("p99_ms", 990.0), ("max_ms", 1_000.0)] {
            let (_, found) = figures.0.iter().find(|(other, _)| *other == name).unwrap();
            assert!((found - expected).abs() <= expected / 500.0, "{name}: {found}");
        }
        assert_eq!(latencies.count(), 1_000);
    }

    #[test]
    fn the_median_of_windows_is_the_middle_one() {
        let mut series = Series::default();
        for value in [9.0, 1.0, 3.0] {
            let mut figures = Figures::default();
            figures.put("x", value);
            series.push(figures);
        }
        assert_eq!(series.median("x"), Some(3.0));
        assert_eq!(series.median("y"), None);
        assert_eq!(series.json()["x"], json!({"median": 3.0, "least": 1.0, "greatest": 9.0}));
        assert_eq!(rounded(1_234.5), 1_230.0);
    }
}

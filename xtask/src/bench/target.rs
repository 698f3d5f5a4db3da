//! The targets, and how a result is held against them.

use super::Results;
use serde_json::Value;

/// One line of the table.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) id: &'static str,
    pub(crate) quantity: &'static str,
    pub(crate) server: String,
    pub(crate) baseline: String,
    pub(crate) target: &'static str,
    /// `None`: it was not measured, or is only told.
    pub(crate) is_met: Option<bool>,
}

/// Every target with today's figures.
pub(crate) fn rows(results: &Results) -> Vec<Row> {
    let of = |test: &'static str| Figures(results.get(test));
    vec![
        of("pairs").ratio_row(
            "T1",
            "CPU per durable message, 64 pairs, window 16",
            ("cpu_us_per_message", "µs"),
            2.0,
            "≤ 2 × the relay",
        ),
        of("pairs_postgres").limit_row(
            "T2",
            "the same with PostgreSQL, server and database together",
            ("cpu_us_per_message", "µs"),
            55.0,
            "≤ 55 µs",
        ),
        of("ping_pong").ping_pong(),
        of("group").ratio_row(
            "T4",
            "CPU per delivery, group of 500",
            ("cpu_us_per_delivery", "µs"),
            4.3 / 2.8,
            "≤ 1.54 × the relay",
        ),
        of("group").limit_row("T5", "complete fan-out to 500, p99", ("p99_ms", "ms"), 26.0, "≤ 26 ms"),
        of("idle").limit_row(
            "T6",
            "memory per idle connection, 5,000 of them",
            ("pss_kib_per_connection", "KiB"),
            20.0,
            "≤ 20 KiB",
        ),
        of("login").limit_row("T7", "CPU per login of a device", ("cpu_ms_per_login", "ms"), 0.4, "≤ 0.4 ms"),
        of("start").limit_row("T8", "ready after, 10⁶ messages stored", ("ready_ms", "ms"), 150.0, "≤ 150 ms"),
        of("start").limit_row("T8", "memory then", ("rss_mib", "MiB"), 20.0, "≤ 20 MiB"),
        of("pairs").syncs(),
        of("durable").early(),
        of("commits").commits(),
        flatness(of("pairs"), of("pairs_full")),
    ]
}

/// A result of one test, if there is one.
#[derive(Clone, Copy)]
struct Figures<'r>(Option<&'r Value>);

impl Figures<'_> {
    fn number(self, name: &str) -> Option<f64> {
        self.0?.get(name)?.as_f64()
    }

    fn both(self, figure: &str) -> (Option<f64>, Option<f64>) {
        (self.number(&format!("server_{figure}")), self.number(&format!("baseline_{figure}")))
    }

    fn ratio_row(
        self,
        id: &'static str,
        quantity: &'static str,
        (figure, unit): (&str, &str),
        most: f64,
        target: &'static str,
    ) -> Row {
        let (server, baseline) = self.both(figure);
        let ratio = server.zip(baseline).map(|(server, baseline)| server / baseline);
        let told = ratio.map_or_else(String::new, |ratio| format!(" ({ratio:.2} ×)"));
        Row {
            id,
            quantity,
            server: format!("{}{told}", with_unit(server, unit)),
            baseline: with_unit(baseline, unit),
            target,
            is_met: ratio.map(|ratio| ratio <= most),
        }
    }

    fn limit_row(
        self,
        id: &'static str,
        quantity: &'static str,
        (figure, unit): (&str, &str),
        most: f64,
        target: &'static str,
    ) -> Row {
        let (server, baseline) = self.both(figure);
        Row {
            id,
            quantity,
            server: with_unit(server, unit),
            baseline: with_unit(baseline, unit),
            target,
            is_met: server.map(|server| server <= most),
        }
    }

    fn ping_pong(self) -> Row {
        let ((rate, relay_rate), (p99, relay_p99)) = (self.both("messages_per_second"), self.both("p99_ms"));
        let both = |rate, p99| format!("{}, p99 {}", with_unit(rate, "/s"), with_unit(p99, "ms"));
        Row {
            id: "T3",
            quantity: "ping-pong, 64 pairs, window 1",
            server: both(rate, p99),
            baseline: both(relay_rate, relay_p99),
            target: "≥ 10,000/s, p99 ≤ 13.7 ms",
            is_met: rate.zip(p99).map(|(rate, p99)| rate >= 10_000.0 && p99 <= 13.7),
        }
    }

    fn syncs(self) -> Row {
        let per_sync = self.number("server_messages_per_fsync");
        Row {
            id: "T9",
            quantity: "messages per fsync, 64 pairs, window 16",
            server: with_unit(per_sync, ""),
            baseline: "–".into(),
            target: "≥ 8",
            is_met: per_sync.map(|per_sync| per_sync >= 8.0),
        }
    }

    fn early(self) -> Row {
        let early = self.number("server_answers_before_sync");
        Row {
            id: "T9",
            quantity: "answers before their fsync, seen with strace",
            server: with_unit(early, ""),
            baseline: with_unit(self.number("baseline_answers_before_sync"), ""),
            target: "0",
            is_met: early.map(|early| early == 0.0),
        }
    }

    fn commits(self) -> Row {
        let commits = Figures(self.0.and_then(|result| result.get("commits")));
        let per_member = commits.0.and_then(|all| all.get("cpu_us_per_commit_and_member")?.get("median")?.as_f64());
        let ratio = self.number("commit_to_delivery_ratio");
        let told = ratio.map_or_else(String::new, |ratio| format!(" ({ratio:.2} × its delivery)"));
        Row {
            id: "T10",
            quantity: "CPU per commit and member, group of 1,000, suite 0x0001",
            server: format!("{}{told}", with_unit(per_member, "µs")),
            baseline: "–".into(),
            target: "≤ 1.5 × a delivery",
            is_met: ratio.map(|ratio| ratio <= 1.5),
        }
    }
}

fn flatness(few: Figures<'_>, many: Figures<'_>) -> Row {
    let (few, many) = (few.both("cpu_us_per_message"), many.both("cpu_us_per_message"));
    // The relay stores no more the second time: what it costs tells what the machine did meanwhile.
    let ratio = |(server, baseline): (Option<f64>, Option<f64>)| server.zip(baseline).map(|(s, b)| s / b);
    let growth = ratio(few).zip(ratio(many)).map(|(few, many)| many / few);
    Row {
        id: "flat",
        quantity: "T1 with 10⁶ stored messages to T1 with 10⁴, each beside the relay",
        server: growth.map_or_else(|| "not measured".into(), |growth| format!("{growth:.2} ×")),
        baseline: "–".into(),
        target: "≤ 1.2 ×",
        is_met: growth.map(|growth| growth <= 1.2),
    }
}

fn with_unit(value: Option<f64>, unit: &str) -> String {
    let Some(value) = value else { return "not measured".into() };
    let space = if unit.is_empty() || unit == "/s" { "" } else { " " };
    format!("{value}{space}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn results(server: f64) -> Results {
        let pairs = json!({
            "server_cpu_us_per_message": server, "baseline_cpu_us_per_message": 10.0, "server_messages_per_fsync": 9.0,
        });
        [("pairs".to_owned(), pairs)].into_iter().collect()
    }

    fn t1(results: &Results) -> Option<bool> {
        rows(results).into_iter().find(|row| row.id == "T1").unwrap().is_met
    }

    #[test]
    fn a_missed_target_is_missed_and_what_was_not_measured_is_neither() {
        assert_eq!(t1(&results(19.0)), Some(true));
        assert_eq!(t1(&results(21.0)), Some(false));
        assert_eq!(t1(&Results::new()), None);
        let rows = rows(&results(19.0));
        assert_eq!(rows.iter().find(|row| row.id == "T9").unwrap().is_met, Some(true));
        assert!(rows.iter().find(|row| row.id == "T6").unwrap().server.contains("not measured"));
    }
}

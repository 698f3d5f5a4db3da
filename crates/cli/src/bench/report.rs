//! Results: one JSON object per line, or a small table for people.

use super::meter::{Series, rounded};
use crate::output::Output;
use anyhow::Result;
use serde_json::{Map, Value, json};

/// Where results go.
pub(super) struct Report {
    pub(super) output: Output,
}

/// One result while it is put together.
pub(super) struct Entry(Map<String, Value>);

impl Entry {
    /// Of this test.
    pub(super) fn new(test: &str) -> Self {
        let mut entry = Self(Map::new());
        entry.put("test", json!(test));
        entry
    }

    /// Adds a field.
    pub(super) fn put(&mut self, name: &str, value: Value) {
        self.0.insert(name.into(), value);
    }

    /// Adds the median of a figure of both servers, and how many times the relay's the server's is.
    pub(super) fn compare(&mut self, figure: &str, server: &Series, baseline: &Series) {
        let medians = (server.median(figure), baseline.median(figure));
        self.put(&format!("server_{figure}"), json!(medians.0.map(rounded)));
        self.put(&format!("baseline_{figure}"), json!(medians.1.map(rounded)));
        if let (Some(server), Some(baseline)) = medians
            && baseline > 0.0
        {
            self.put(&format!("{figure}_ratio"), json!(rounded(server / baseline)));
        }
    }

    /// Adds all figures of both servers.
    pub(super) fn series(&mut self, server: &Series, baseline: &Series) {
        self.put("server", server.json());
        self.put("baseline", baseline.json());
    }
}

impl Report {
    /// Tells a result.
    pub(super) fn line(&mut self, entry: Entry) -> Result<()> {
        let Entry(fields) = entry;
        let mut text = String::new();
        for (name, value) in &fields {
            match value {
                Value::Object(figures) => figures.iter().for_each(|(figure, spread)| {
                    let spread = spread.get("median").map_or_else(
                        || spread.to_string(),
                        |median| format!("{median}  ({} to {})", spread["least"], spread["greatest"]),
                    );
                    text.push_str(&format!("  {name}.{figure}: {spread}\n"));
                }),
                Value::String(value) => text.push_str(&format!("{name}: {value}\n")),
                value => text.push_str(&format!("{name}: {value}\n")),
            }
        }
        Ok(self.output.line(text, &Value::Object(fields))?)
    }
}

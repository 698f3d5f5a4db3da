//! Logging: what goes to standard error. Ids and counts, never handles, codes, secrets or payloads.

use crate::config::{Log, LogFormat, LogLevel};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Begins to log for the whole process. A second call changes nothing.
pub fn start(log: &Log) {
    // Only a second call fails, and then logging is on already.
    let _ = tracing::subscriber::set_global_default(subscriber(log, std::io::stderr));
}

/// The subscriber that `start` installs, over any writer: the tests read what an operator would.
pub fn subscriber<W>(log: &Log, writer: W) -> Box<dyn tracing::Subscriber + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt().with_max_level(level(log.level)).with_writer(writer).with_ansi(false);
    match log.format {
        LogFormat::Text => Box::new(builder.finish()),
        LogFormat::Json => Box::new(builder.json().flatten_event(true).finish()),
    }
}

const fn level(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    }
}

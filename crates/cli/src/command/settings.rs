use crate::context::Context;
use crate::failure::Failure;
use client::Settings;
use runtime::now;
use serde_json::json;

/// Show or change what this device tells others. Needs no connection.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Tell others that you are writing, and see who else is.
    #[arg(long, value_name = "on|off", value_parser = switch)]
    typing: Option<bool>,
    /// Tell others how far you have read.
    #[arg(long, value_name = "on|off", value_parser = switch)]
    receipts: Option<bool>,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        let profile = context.profile()?;
        let mut shell = context.shell(&profile)?;
        let client = shell.client();
        client.status()?;
        let before = client.settings()?;
        let settings = Settings {
            typing: self.typing.unwrap_or(before.typing),
            receipts: self.receipts.unwrap_or(before.receipts),
        };
        if settings != before {
            client.set_settings(settings, now())?;
        }
        let word = |on| if on { "on" } else { "off" };
        let text = format!("typing    {}\nreceipts  {}", word(settings.typing), word(settings.receipts));
        Ok(context.output.line(text, &json!({"typing": settings.typing, "receipts": settings.receipts}))?)
    }
}

fn switch(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("write on or off".into()),
    }
}

use crate::context::Context;
use crate::conversation::{self, CHAT_HELP};
use crate::failure::Failure;
use crate::file::{self, Prepared};
use crate::output::in_one_line;
use runtime::now;
use serde_json::json;
use std::path::PathBuf;

/// Send a file of up to 2 GiB. It is sealed on this device; ends when the server has it and its message, durably. A picture is
/// made anew from its pixels, so that it does not tell where it was taken.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[arg(help = CHAT_HELP)]
    chat: String,
    /// Which file.
    path: PathBuf,
    /// Send a picture to the last byte as it is, with everything that it tells about itself.
    #[arg(long)]
    as_it_is: bool,
    /// Leave it on this device: it goes out with the next command that connects.
    #[arg(long)]
    queue: bool,
}

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let profile = context.profile()?;
        let mut shell = context.shell(&profile)?;
        let id = conversation::open(&mut shell, context, &self.chat).await?;
        let Prepared { blob, details, size } = file::prepare(shell.client(), &self.path, self.as_it_is)?;
        let name = in_one_line(&details.name);
        let message = shell.client().send_file(id, blob, details, None, now())?;
        let seq = match self.queue {
            true => None,
            false => Some(conversation::wait_until_sent(&mut shell, context, id, message).await?),
        };
        let what = format!("“{name}”, {}", file::size(size));
        let text = seq.map_or_else(|| format!("{what}, waits"), |seq| format!("{what}, sent as #{seq}"));
        let value = json!({
            "conversation": id.to_string(), "message": message.to_string(), "seq": seq, "name": name, "bytes": size,
        });
        context.output.line(text, &value)?;
        shell.close().await;
        Ok(())
    }
}

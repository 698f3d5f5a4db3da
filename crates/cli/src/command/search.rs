use crate::context::Context;
use crate::failure::Failure;
use crate::line;
use crate::output::in_one_line;

/// Search what this device has. Nothing leaves it, and no connection is needed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Words, or a part of a text in a script without spaces.
    query: String,
    /// At most so many lines.
    #[arg(long, default_value_t = 20)]
    limit: u32,
}

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let profile = context.profile()?;
        let mut shell = context.shell(&profile)?;
        let client = shell.client();
        client.status()?;
        for (conversation, found) in client.search(&self.query, self.limit)? {
            let title = client.conversation(conversation)?.map(|view| view.title).unwrap_or_default();
            let text = format!("{}  {}", in_one_line(&title), line::text(client, &found)?);
            context.output.line(text, &line::value(client, conversation, &found)?)?;
        }
        Ok(())
    }
}

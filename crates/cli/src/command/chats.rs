use crate::context::Context;
use crate::conversation::catch_up_if_possible;
use crate::failure::Failure;
use crate::line;
use crate::output::in_one_line;
use client::{ConversationState, ConversationView, Suite};
use runtime::now;
use serde_json::json;
use trust::Kind as ConversationKind;

/// List your conversations, the one with the newest line first.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only what this device has already: do not connect.
    #[arg(long)]
    offline: bool,
}

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let profile = context.profile()?;
        let mut shell = context.shell(&profile)?;
        shell.client().status()?;
        if !self.offline {
            catch_up_if_possible(&mut shell, context).await?;
        }
        for view in shell.client().conversations()? {
            let last = view.last.as_ref().map(|last| line::text(shell.client(), last)).transpose()?;
            let last_value = view.last.as_ref().map(|last| line::value(shell.client(), view.id, last)).transpose()?;
            let suite = shell.client().suite(view.id, now())?.map(suite);
            let value = json!({
                "id": view.id.to_string(), "kind": kind(&view), "title": view.title, "topic": view.topic,
                "state": state(view.state), "unread": view.unread, "unread_mentions": view.unread_mentions,
                "timer_seconds": view.timer, "read_by": read_by(shell.client(), &view)?, "undecryptable": view.undecryptable,
                "forked": view.forked, "suite": suite, "last": last_value,
            });
            context.output.line(summary(&view, last.as_deref()), &value)?;
        }
        shell.close().await;
        Ok(())
    }
}

/// How far others have told that they have read.
fn read_by(client: &client::Client, view: &ConversationView) -> Result<Vec<serde_json::Value>, Failure> {
    let reader = |(user, up_to): &(wire::UserId, u64)| {
        Ok(json!({"handle": client.handle_of(*user)?, "user": user.to_string(), "up_to": up_to}))
    };
    view.read_by.iter().map(reader).collect()
}

fn summary(view: &ConversationView, last: Option<&str>) -> String {
    let unread = if view.unread > 0 { format!(" ({} unread)", view.unread) } else { String::new() };
    let warning = if view.forked { "  ⚠ the server showed members different histories" } else { "" };
    let sigil = if view.kind == ConversationKind::Direct { "@" } else { "" };
    format!("{sigil}{}{unread}{warning}\n    {}", in_one_line(&view.title), last.unwrap_or("nothing yet"))
}

const fn kind(view: &ConversationView) -> &'static str {
    match view.kind {
        ConversationKind::Direct => "direct",
        ConversationKind::Group => "group",
    }
}

const fn suite(suite: Suite) -> &'static str {
    match suite {
        Suite::XWing => "post-quantum",
        Suite::Classical => "classical",
    }
}

fn state(state: ConversationState) -> String {
    format!("{state:?}").to_lowercase()
}

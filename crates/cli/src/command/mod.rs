//! The commands, a file each. The doc comment of a command's arguments is its manual page.

mod add;
mod admin;
mod chats;
mod completions;
mod contacts;
mod edit;
mod group;
mod join;
mod leave;
mod members;
mod open;
mod react;
mod remove;
mod rename;
mod search;
mod send;
mod status;
mod tail;
mod whois;

use crate::bench;
use crate::context::Context;
use crate::failure::Failure;
use crate::prove;
use clap::Subcommand;

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Join(join::Args),
    Status(status::Args),
    Chats(chats::Args),
    Open(open::Args),
    Send(send::Args),
    Reply(send::ReplyArgs),
    Tail(tail::Args),
    React(react::Args),
    Edit(edit::Args),
    Delete(edit::DeleteArgs),
    Group(group::Args),
    Members(members::Args),
    Add(add::Args),
    Remove(remove::Args),
    Admin(admin::Args),
    Rename(rename::Args),
    Leave(leave::Args),
    Search(search::Args),
    Contacts(contacts::Args),
    Whois(whois::Args),
    Prove(prove::Args),
    Bench(bench::Args),
    Completions(completions::Args),
}

impl Command {
    /// Does it.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Join(args) => args.run(context).await,
            Self::Status(args) => args.run(context).await,
            Self::Chats(args) => args.run(context).await,
            Self::Open(args) => args.run(context).await,
            Self::Send(args) => args.run(context).await,
            Self::Reply(args) => args.run(context).await,
            Self::Tail(args) => args.run(context).await,
            Self::React(args) => args.run(context).await,
            Self::Edit(args) => args.run(context).await,
            Self::Delete(args) => args.run(context).await,
            Self::Group(args) => args.run(context).await,
            Self::Members(args) => args.run(context).await,
            Self::Add(args) => args.run(context).await,
            Self::Remove(args) => args.run(context).await,
            Self::Admin(args) => args.run(context).await,
            Self::Rename(args) => args.run(context).await,
            Self::Leave(args) => args.run(context).await,
            Self::Search(args) => args.run(context).await,
            Self::Contacts(args) => args.run(context),
            Self::Whois(args) => args.run(context).await,
            Self::Prove(args) => args.run(context).await,
            Self::Bench(args) => args.run(context).await,
            Self::Completions(args) => args.run(),
        }
    }
}

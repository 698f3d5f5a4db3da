//! The commands, a file each. The doc comment of a command's arguments is its manual page.

mod add;
mod admin;
mod chats;
mod completions;
mod contacts;
mod devices;
mod edit;
mod file;
mod group;
mod history;
mod join;
mod leave;
mod link;
mod members;
mod open;
mod react;
mod remove;
mod rename;
mod safety;
mod save;
mod search;
mod send;
mod settings;
mod status;
mod tail;
mod timer;
mod whois;

use crate::bench;
use crate::context::Context;
use crate::failure::Failure;
use crate::{prove, tui};
use clap::Subcommand;

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Join(join::Args),
    Link(link::Args),
    Chat(tui::Args),
    Status(status::Args),
    Chats(chats::Args),
    Open(open::Args),
    Send(send::Args),
    Reply(send::ReplyArgs),
    File(file::Args),
    Save(save::Args),
    Tail(tail::Args),
    History(history::Args),
    React(react::Args),
    Edit(edit::Args),
    Delete(edit::DeleteArgs),
    Group(group::Args),
    Members(members::Args),
    Add(add::Args),
    Remove(remove::Args),
    Admin(admin::Args),
    Rename(rename::Args),
    Topic(timer::TopicArgs),
    Timer(timer::Args),
    Leave(leave::Args),
    Search(search::Args),
    Contacts(contacts::Args),
    Whois(whois::Args),
    Devices(devices::Args),
    Safety(safety::Args),
    Settings(settings::Args),
    Prove(prove::Args),
    Bench(bench::Args),
    Completions(completions::Args),
}

impl Command {
    /// Does it.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Join(args) => args.run(context).await,
            Self::Link(args) => args.run(context).await,
            Self::Status(args) => args.run(context).await,
            Self::Chats(args) => args.run(context).await,
            Self::Chat(args) => args.run(context).await,
            Self::Open(args) => args.run(context).await,
            Self::Send(args) => args.run(context).await,
            Self::Reply(args) => args.run(context).await,
            Self::File(args) => args.run(context).await,
            Self::Save(args) => args.run(context).await,
            Self::Tail(args) => args.run(context).await,
            Self::History(args) => args.run(context).await,
            Self::React(args) => args.run(context).await,
            Self::Edit(args) => args.run(context).await,
            Self::Delete(args) => args.run(context).await,
            Self::Group(args) => args.run(context).await,
            Self::Members(args) => args.run(context).await,
            Self::Add(args) => args.run(context).await,
            Self::Remove(args) => args.run(context).await,
            Self::Admin(args) => args.run(context).await,
            Self::Rename(args) => args.run(context).await,
            Self::Topic(args) => args.run(context).await,
            Self::Timer(args) => args.run(context).await,
            Self::Leave(args) => args.run(context).await,
            Self::Search(args) => args.run(context).await,
            Self::Contacts(args) => args.run(context),
            Self::Whois(args) => args.run(context).await,
            Self::Devices(args) => args.run(context).await,
            Self::Safety(args) => args.run(context).await,
            Self::Settings(args) => args.run(context),
            Self::Prove(args) => args.run(context).await,
            Self::Bench(args) => args.run(context).await,
            Self::Completions(args) => args.run(),
        }
    }
}

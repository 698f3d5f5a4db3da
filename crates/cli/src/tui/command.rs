//! What a person can type after a slash.

/// A command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    Direct(String),
    Group { name: String, people: Vec<String> },
    Add(Vec<String>),
    Remove(String),
    Promote(String),
    Demote(String),
    Leave,
    Rename(String),
    Topic(String),
    Timer(u32),
    File(String),
    Save { message: Option<String>, to: Option<String> },
    Safety(Option<String>),
    Members,
    Search(String),
    Typing(bool),
    Receipts(bool),
    Help,
    Quit,
}

/// Name, arguments and meaning of every command, in the order in which they are shown.
pub(super) const ALL: &[(&str, &str, &str)] = &[
    ("dm", "@PERSON", "begin or open a direct conversation"),
    ("group", "NAME @PERSON…", "begin a group"),
    ("add", "@PERSON…", "add people to this group"),
    ("remove", "@PERSON", "remove a person from this group"),
    ("promote", "@PERSON", "make a member an admin"),
    ("demote", "@PERSON", "take the admin's part from a member"),
    ("rename", "NAME", "give this group another name"),
    ("topic", "TEXT", "say what this conversation is about"),
    ("timer", "1d | off", "let new messages disappear after reading"),
    ("file", "PATH", "send a file"),
    ("save", "[#N] [FOLDER]", "save a file: that of message #N, or the last"),
    ("members", "", "who is in this conversation"),
    ("safety", "[@PERSON]", "compare a safety number"),
    ("search", "WORDS", "search everything on this device"),
    ("typing", "on | off", "show and tell who is writing"),
    ("receipts", "on | off", "tell others what you have read"),
    ("leave", "", "leave this group"),
    ("help", "", "show all keys"),
    ("quit", "", "end"),
];

/// Reads a command, without its slash.
///
/// # Errors
/// What to tell the person.
pub(super) fn parse(line: &str) -> Result<Command, String> {
    let (name, rest) = line.trim().split_once(char::is_whitespace).unwrap_or((line.trim(), ""));
    let rest = rest.trim();
    let usage = || {
        let known = ALL.iter().find(|(known, _, _)| *known == name);
        known.map_or_else(
            || format!("there is no /{name}; F1 shows what there is"),
            |(name, arguments, _)| format!("/{name} {arguments}"),
        )
    };
    let person = || Some(handle(rest)).filter(|handle| !handle.is_empty()).ok_or_else(usage);
    let switch = || match rest {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(usage()),
    };
    Ok(match name {
        "dm" => Command::Direct(person()?),
        "group" => group(rest).ok_or_else(usage)?,
        "add" => Command::Add(people(rest).ok_or_else(usage)?),
        "remove" => Command::Remove(person()?),
        "promote" => Command::Promote(person()?),
        "demote" => Command::Demote(person()?),
        "leave" => Command::Leave,
        "rename" if !rest.is_empty() => Command::Rename(rest.into()),
        "topic" => Command::Topic(rest.into()),
        "timer" => Command::Timer(crate::duration::parse_timer(rest).ok_or_else(usage)?),
        "safety" => Command::Safety(Some(handle(rest)).filter(|handle| !handle.is_empty())),
        "file" if !rest.is_empty() => Command::File(rest.into()),
        "save" => save(rest),
        "members" => Command::Members,
        "search" => Command::Search(rest.into()),
        "typing" => Command::Typing(switch()?),
        "receipts" => Command::Receipts(switch()?),
        "help" => Command::Help,
        "quit" => Command::Quit,
        _ => return Err(usage()),
    })
}

/// Commands that begin like this, for the line below and the tabulator.
pub(super) fn completions(line: &str) -> Vec<&'static (&'static str, &'static str, &'static str)> {
    let (name, more) = line.split_once(char::is_whitespace).map_or((line, false), |(name, _)| (name, true));
    ALL.iter().filter(|(known, _, _)| if more { *known == name } else { known.starts_with(name) }).collect()
}

fn handle(text: &str) -> String {
    text.trim().trim_start_matches('@').to_owned()
}

/// A number comes first, if there is one.
fn save(text: &str) -> Command {
    let (first, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let words = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    match first.strip_prefix('#') {
        Some(_) => Command::Save { message: Some(first.into()), to: words(rest) },
        None => Command::Save { message: None, to: words(text) },
    }
}

fn people(text: &str) -> Option<Vec<String>> {
    let people: Vec<String> = text.split([' ', ',']).map(handle).filter(|handle| !handle.is_empty()).collect();
    (!people.is_empty()).then_some(people)
}

/// The name goes up to the first `@`.
fn group(text: &str) -> Option<Command> {
    let (name, people_text) = match text.find('@') {
        Some(at) => text.split_at(at),
        None => (text, ""),
    };
    let name = name.trim().trim_matches('"').to_owned();
    (!name.is_empty()).then(|| Command::Group { name, people: people(people_text).unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read() {
        assert_eq!(parse("dm @bob"), Ok(Command::Direct("bob".into())));
        let people = vec!["bob".into(), "小明".into()];
        assert_eq!(parse("group the lab @bob, @小明"), Ok(Command::Group { name: "the lab".into(), people }));
        assert_eq!(parse("timer 1d"), Ok(Command::Timer(86_400)));
        assert_eq!(parse("timer off"), Ok(Command::Timer(0)));
        assert_eq!(parse("topic "), Ok(Command::Topic(String::new())));
        assert_eq!(parse("safety"), Ok(Command::Safety(None)));
        assert_eq!(parse("file my plan.pdf"), Ok(Command::File("my plan.pdf".into())));
        assert_eq!(parse("save"), Ok(Command::Save { message: None, to: None }));
        let to = Some("my files".into());
        assert_eq!(parse("save #7 my files"), Ok(Command::Save { message: Some("#7".into()), to }));
    }

    #[test]
    fn what_is_wrong_is_told_by_its_usage() {
        assert_eq!(parse("dm"), Err("/dm @PERSON".into()));
        assert_eq!(parse("timer soon"), Err("/timer 1d | off".into()));
        assert!(parse("dance").unwrap_err().starts_with("there is no /dance"));
    }

    #[test]
    fn every_command_that_is_shown_is_known() {
        for (name, arguments, _) in ALL {
            let line = match *arguments {
                "" => String::from(*name),
                "on | off" => format!("{name} on"),
                "1d | off" => format!("{name} 1d"),
                _ => format!("{name} x"),
            };
            assert!(parse(&line).is_ok(), "{line}");
        }
        assert_eq!(completions("se").len(), 1);
        assert_eq!(completions("dm @b").len(), 1);
        assert_eq!(completions("").len(), ALL.len());
    }
}

//! Names that are not written, but in the places that `layers.toml` lists.

use super::Breach;
use super::scan::{Named, Source};
use crate::workspace::{Ban, Exception, Layers};

/// Checks every name in every file of `crates/`, `bindings/` and `xtask/`.
pub(super) fn check(plan: &Layers, sources: &[Source]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut used = vec![false; plan.except.len()];
    for source in sources {
        let place = source.path.trim_start_matches("crates/").trim_start_matches("bindings/");
        let owner = place.split('/').next().unwrap_or_default();
        let pure = plan.crates.get(owner).is_some_and(|layer| layer.pure);
        for named in &source.named {
            let bans = plan.pure.iter().filter(|_| pure).chain(&plan.named);
            let mut found: Vec<(String, String)> =
                bans.filter(|ban| !may(ban, place)).filter_map(|ban| banned(ban, named)).collect();
            if plan.security.from.contains(owner) {
                found.extend(never_named(plan, named));
            }
            found.extend(library(plan, owner, named));
            found.retain(|(name, _)| !excepted(&plan.except, place, name, &mut used));
            breaches.extend(found.into_iter().map(|(name, instead)| {
                Breach::new(format!("{}:{}", source.path, named.line), format!("names `{name}`: {instead}"))
            }));
        }
    }
    for (exception, used) in plan.except.iter().zip(used) {
        if !used || exception.reason.trim().is_empty() {
            let what =
                format!("exception for `{}` in {} excepts nothing or has no reason", exception.name, exception.path);
            breaches.push(Breach::new("layers.toml", what));
        }
    }
    breaches
}

fn banned(ban: &Ban, named: &Named) -> Option<(String, String)> {
    ban.names.iter().find(|name| matches(name, named)).map(|name| (name.clone(), ban.instead.clone()))
}

fn never_named(plan: &Layers, named: &Named) -> Option<(String, String)> {
    let name = plan.security.never_named.iter().find(|name| matches(name, named))?;
    Some((name.clone(), "the server knows a group only as `PublicGroup`".into()))
}

/// A library's name at the head of a path, outside the crates that may depend on it.
fn library(plan: &Layers, owner: &str, named: &Named) -> Option<(String, String)> {
    let head = named.segments.first().filter(|_| named.segments.len() > 1)?;
    let (library, only) = plan.only.iter().find(|(library, _)| library.replace('-', "_") == *head)?;
    if only.contains(owner) { None } else { Some((library.clone(), "see [only] in layers.toml".into())) }
}

/// Whether the path contains the name, whole segments in a row. `std::env` is also found in `use std::env;`.
fn matches(name: &str, named: &Named) -> bool {
    let wanted: Vec<&str> = name.split("::").collect();
    named.segments.windows(wanted.len()).any(|window| window == wanted)
}

/// `place` is below a crate, folder or file of the list.
fn may(ban: &Ban, place: &str) -> bool {
    ban.only.iter().any(|allowed| place == allowed || place.starts_with(&format!("{allowed}/")))
}

fn excepted(exceptions: &[Exception], place: &str, name: &str, used: &mut [bool]) -> bool {
    let mut found = false;
    for (exception, used) in exceptions.iter().zip(used) {
        let here = place == exception.path || place.starts_with(&format!("{}/", exception.path));
        if here && exception.name == name {
            *used = true;
            found = true;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace;

    fn breaches(path: &str, text: &str) -> Vec<String> {
        let mut plan = Layers::read(&workspace::root()).unwrap();
        plan.except.clear();
        let source = Source::read(path, text).unwrap();
        check(&plan, &[source]).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn pure_crates_name_no_clock_socket_runtime_or_randomness() {
        for text in [
            "use std::time::SystemTime;",
            "fn f() { let t = std::time::Instant::now(); }",
            "use std::{net::TcpStream};",
            "use tokio::time;",
            "fn f() { rand::random::<u8>(); }",
            "fn f() { getrandom::fill(&mut b); }",
            "use std::fs;",
        ] {
            assert!(!breaches("crates/rules/src/x.rs", text).is_empty(), "{text}");
            assert!(!breaches("crates/client/src/x.rs", text).is_empty(), "{text}");
        }
        assert_eq!(breaches("crates/rules/src/x.rs", "use std::time::Duration; fn f(now: u64) {}"), [""; 0]);
        assert_eq!(breaches("crates/runtime/src/x.rs", "use std::{net::TcpStream, time::Instant};"), [""; 0]);
    }

    #[test]
    fn the_server_names_no_secret_half_of_mls() {
        assert!(!breaches("crates/roster/src/x.rs", "use openmls::prelude::{PublicGroup, MlsGroup};").is_empty());
        assert_eq!(breaches("crates/roster/src/x.rs", "use openmls::prelude::PublicGroup;"), [""; 0]);
        assert_eq!(breaches("crates/e2ee/src/x.rs", "use openmls::prelude::MlsGroup;"), [""; 0]);
    }

    #[test]
    fn libraries_are_named_where_they_belong() {
        assert!(!breaches("crates/server/src/x.rs", "use rusqlite::Connection;").is_empty());
        assert_eq!(breaches("crates/store/src/x.rs", "use rusqlite::Connection;"), [""; 0]);
    }

    #[test]
    fn the_environment_and_printing_have_their_places() {
        for (text, good, bad) in [
            ("fn f() { std::env::var(\"X\"); }", "crates/server/src/config.rs", "crates/server/src/gateway.rs"),
            ("use std::env;", "crates/server/src/config/mod.rs", "crates/store/src/lib.rs"),
            ("fn f() { println!(); }", "crates/cli/src/x.rs", "crates/server/src/gateway.rs"),
            ("fn f() { eprintln!(); }", "crates/server/src/main.rs", "crates/client/src/lib.rs"),
        ] {
            assert_eq!(breaches(good, text), [""; 0], "{text} in {good}");
            assert!(!breaches(bad, text).is_empty(), "{text} in {bad}");
        }
    }

    #[test]
    fn an_exception_excepts_its_name_in_its_place_and_must_be_needed() {
        let mut plan = Layers::read(&workspace::root()).unwrap();
        plan.except = vec![Exception { path: "rules/src/x.rs".into(), name: "Instant".into(), reason: "test".into() }];
        let with = |path: &str| check(&plan, &[Source::read(path, "use std::time::Instant;").unwrap()]).len();
        assert_eq!(with("crates/rules/src/x.rs"), 0);
        assert_eq!(with("crates/rules/src/y.rs"), 2, "the breach, and the exception that excepts nothing");
    }
}

//! The arrows between our crates, as cargo sees them, against `layers.toml`.

use super::Breach;
use crate::workspace::{Layers, short};
use cargo_metadata::{DependencyKind, Metadata};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// One of our packages, as cargo sees it. Names are short ones.
#[derive(Debug, Default, Clone)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) description: String,
    /// Everything it depends on to run or to build.
    pub(super) normal: BTreeSet<String>,
    /// Everything that only its tests depend on.
    pub(super) dev: BTreeSet<String>,
}

/// Our packages.
pub(super) fn members(metadata: &Metadata) -> Vec<Member> {
    let of_kind = |package: &cargo_metadata::Package, dev: bool| {
        let wanted = |kind| (kind == DependencyKind::Development) == dev;
        package.dependencies.iter().filter(|d| wanted(d.kind)).map(|d| short(&d.name).to_owned()).collect()
    };
    let member = |package: &cargo_metadata::Package| Member {
        name: short(&package.name).to_owned(),
        description: package.description.clone().unwrap_or_default(),
        normal: of_kind(package, false),
        dev: of_kind(package, true),
    };
    metadata.workspace_packages().into_iter().map(member).collect()
}

/// Checks every arrow.
pub(super) fn check(plan: &Layers, members: &[Member]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let ours: BTreeSet<&str> = members.iter().map(|member| member.name.as_str()).collect();
    for member in members {
        check_member(plan, member, &ours, &mut breaches);
    }
    for planned in plan.crates.keys().filter(|name| !ours.contains(name.as_str())) {
        breaches.push(Breach::new("layers.toml", format!("there is no crate `{planned}`")));
    }
    for name in plan.sets.all().filter(|name| !ours.contains(name.as_str())) {
        breaches.push(Breach::new("layers.toml", format!("set of a crate that does not exist: `{name}`")));
    }
    breaches.extend(plan.security.from.iter().filter_map(|from| reached(from, &plan.security.never, members)));
    breaches
}

fn check_member(plan: &Layers, member: &Member, ours: &BTreeSet<&str>, breaches: &mut Vec<Breach>) {
    let place = format!("crate {}", member.name);
    let mut breach = |what: String| breaches.push(Breach::new(place.clone(), what));
    if member.description.trim().is_empty() {
        breach("has no description".into());
    }
    let Some(layer) = plan.crates.get(&member.name) else {
        breach("is not in layers.toml".into());
        return;
    };
    if plan.sets.all().all(|name| *name != member.name) {
        breach("is in no set of layers.toml: its tests would not run".into());
    }
    for to in member.normal.iter().filter(|to| ours.contains(to.as_str()) && !layer.may.contains(*to)) {
        breach(format!("may not depend on `{to}`"));
    }
    for to in &member.dev {
        if ours.contains(to.as_str()) && !layer.may.contains(to) && !layer.dev.contains(to) {
            breach(format!("may not depend on `{to}`, not even in its tests"));
        }
    }
    for (library, only) in &plan.only {
        if member.normal.contains(library) && !only.contains(&member.name) {
            breach(format!("may not depend on {library}: only {} may", list(only)));
        }
    }
    if layer.pure {
        for ban in &plan.pure {
            for name in ban.names.iter().filter(|name| member.normal.contains(*name)) {
                breach(format!("is pure and may not depend on {name}: {}", ban.instead));
            }
        }
    }
}

/// The shortest way from a crate to one that it must never reach, over dependencies that end up in the binary.
fn reached(from: &str, never: &BTreeSet<String>, members: &[Member]) -> Option<Breach> {
    let by_name: BTreeMap<&str, &Member> = members.iter().map(|member| (member.name.as_str(), member)).collect();
    let mut ways: VecDeque<Vec<&str>> = VecDeque::from([vec![from]]);
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        let here = *way.last()?;
        if never.contains(here) {
            return Some(Breach::new(format!("crate {from}"), format!("security arrow broken: {}", way.join(" -> "))));
        }
        for next in by_name.get(here).into_iter().flat_map(|member| &member.normal) {
            if by_name.contains_key(next.as_str()) && seen.insert(next) {
                ways.push_back([way.as_slice(), &[next]].concat());
            }
        }
    }
    None
}

fn list(names: &BTreeSet<String>) -> String {
    names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace;

    fn member(name: &str, normal: &[&str], dev: &[&str]) -> Member {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Member { name: name.into(), description: "d".into(), normal: set(normal), dev: set(dev) }
    }

    fn breaches(changed: Member) -> Vec<String> {
        let root = workspace::root();
        let plan = Layers::read(&root).unwrap();
        let mut members = members(&workspace::metadata(&root).unwrap());
        members.retain(|member| member.name != changed.name);
        members.push(changed);
        check(&plan, &members).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_server_crate_that_reaches_a_client_crate_is_a_breach() {
        let found = breaches(member("rules", &["trust", "wire", "e2ee"], &[]));
        assert!(found.iter().any(|b| b.contains("may not depend on `e2ee`")), "{found:?}");
        assert!(found.iter().any(|b| b.contains("server -> rules -> e2ee")), "{found:?}");
        assert!(found.iter().any(|b| b.contains("store -> rules -> e2ee")), "{found:?}");
    }

    #[test]
    fn a_test_may_only_what_is_listed_for_tests() {
        assert_eq!(breaches(member("roster", &["wire"], &["e2ee"])), [""; 0]);
        assert!(!breaches(member("roster", &["wire"], &["client"])).is_empty());
    }

    #[test]
    fn libraries_stay_where_they_belong() {
        let found = breaches(member("rules", &["wire", "rusqlite", "tokio"], &[]));
        assert!(found.iter().any(|b| b.contains("rusqlite")), "{found:?}");
        assert!(found.iter().any(|b| b.contains("pure") && b.contains("tokio")), "{found:?}");
    }

    #[test]
    fn a_crate_outside_the_plan_or_without_description_is_a_breach() {
        let found = breaches(Member { description: " ".into(), ..member("surprise", &[], &[]) });
        assert!(found.iter().any(|b| b.contains("not in layers.toml")), "{found:?}");
        assert!(found.iter().any(|b| b.contains("description")), "{found:?}");
    }
}

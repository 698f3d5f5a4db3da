//! Reads a Rust file into the few facts that the rules need: the paths it names, its functions, its tests. Works on
//! tokens, so that it sees inside macros, and neither comments nor strings confuse it.

use anyhow::{Result, anyhow};
use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};

/// The facts of one file. What is compiled for tests only is left out of `named`, `functions` and `lines`.
#[derive(Debug, Default)]
pub(crate) struct Source {
    /// From the repository's root.
    pub(crate) path: String,
    /// Every path that is written, e.g. `std::time::Instant`; `println!` for a macro.
    pub(crate) named: Vec<Named>,
    /// Every function with a body.
    pub(crate) functions: Vec<Function>,
    /// Lines of code.
    pub(crate) lines: usize,
    /// Names of test functions.
    pub(crate) tests: Vec<String>,
    /// Names of modules that are declared for tests only and stand in their own file.
    test_modules: Vec<String>,
}

/// A path, written somewhere.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) segments: Vec<String>,
    pub(crate) line: usize,
}

/// A function.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) line: usize,
    /// From `fn` to the closing brace.
    pub(crate) lines: usize,
}

impl Source {
    /// Reads a file; `path` is its path from the repository's root.
    pub(crate) fn read(path: &str, text: &str) -> Result<Self> {
        let stream: TokenStream = text.parse().map_err(|error| anyhow!("not Rust: {error}"))?;
        let mut source = Self { path: path.to_owned(), ..Self::default() };
        let tokens: Vec<TokenTree> = stream.into_iter().collect();
        let test_lines = source.walk(&tokens, &[]);
        source.tests.extend(on_both(&tokens));
        source.lines = text.lines().count().saturating_sub(test_lines);
        if path.contains("/tests/") || begins_with_cfg_test(&tokens) {
            source.forget_code();
        }
        Ok(source)
    }

    /// The whole file is test code: only its tests count.
    pub(crate) fn forget_code(&mut self) {
        self.named.clear();
        self.functions.clear();
        self.lines = 0;
    }

    /// Paths, without `.rs`, of the modules that this file declares for tests only.
    pub(crate) fn test_module_paths(&self) -> Vec<String> {
        let folder = match self.path.rsplit_once('/') {
            Some((folder, "lib.rs" | "main.rs" | "mod.rs")) => folder.to_owned(),
            _ => self.path.trim_end_matches(".rs").to_owned(),
        };
        self.test_modules.iter().map(|module| format!("{folder}/{module}")).collect()
    }

    /// Every word of the code that could be the name of something, and the file's own.
    pub(crate) fn words(&self) -> impl Iterator<Item = &str> {
        let module = self.path.rsplit('/').next().and_then(|name| name.strip_suffix(".rs"));
        let parents = self.path.split('/');
        let named = self.named.iter().flat_map(|named| &named.segments).map(String::as_str);
        let functions = self.functions.iter().map(|function| function.name.as_str());
        named.chain(functions).chain(module).chain(parents)
    }

    /// Walks one level of tokens and what is inside; returns the number of lines that are for tests only.
    fn walk(&mut self, tokens: &[TokenTree], prefix: &[String]) -> usize {
        let mut at = 0;
        let mut test_lines = 0;
        while let Some(token) = tokens.get(at) {
            if let Some(end) = test_item(tokens, at) {
                let item = tokens.get(at..end).unwrap_or_default();
                self.note_test(item);
                test_lines += lines_of(item);
                at = end;
                continue;
            }
            match token {
                TokenTree::Ident(_) => at = self.path_from(tokens, at, prefix),
                TokenTree::Group(group) => {
                    test_lines += self.walk(&inside(group), &[]);
                    at += 1;
                }
                _ => at += 1,
            }
        }
        test_lines
    }

    /// Notes the path that begins at `at`; returns where to go on.
    fn path_from(&mut self, tokens: &[TokenTree], at: usize, prefix: &[String]) -> usize {
        let Some(TokenTree::Ident(first)) = tokens.get(at) else { return at + 1 };
        let line = first.span().start().line;
        if first == "fn" {
            self.note_function(tokens, at);
        }
        let before = tokens.get(at.wrapping_sub(1)).and_then(ident);
        let is_new_name = before.is_some_and(|word| word == "as" || word == "fn");
        let is_member = is_punct(tokens.get(at.wrapping_sub(1)), '.') && !is_punct(tokens.get(at.wrapping_sub(2)), '.');
        let mut segments = prefix.to_vec();
        segments.push(first.to_string());
        let mut next = at + 1;
        while is_punct(tokens.get(next), ':') && is_punct(tokens.get(next + 1), ':') {
            match tokens.get(next + 2) {
                Some(TokenTree::Ident(segment)) => segments.push(segment.to_string()),
                Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                    self.use_tree(&inside(group), &segments);
                    return next + 3;
                }
                _ => break,
            }
            next += 3;
        }
        let is_macro = is_punct(tokens.get(next), '!') && !is_punct(tokens.get(next + 1), '=');
        if is_macro && let Some(last) = segments.last_mut() {
            last.push('!');
        }
        if !is_new_name && !is_member {
            self.named.push(Named { segments, line });
        }
        next
    }

    /// Notes the paths in `prefix::{...}`.
    fn use_tree(&mut self, tokens: &[TokenTree], prefix: &[String]) {
        let mut at = 0;
        while at < tokens.len() {
            at = self.path_from(tokens, at, prefix);
        }
    }

    fn note_function(&mut self, tokens: &[TokenTree], at: usize) {
        let Some(TokenTree::Ident(name)) = tokens.get(at + 1) else { return };
        for token in tokens.iter().skip(at + 2) {
            match token {
                TokenTree::Punct(punct) if punct.as_char() == ';' => return,
                TokenTree::Group(body) if body.delimiter() == Delimiter::Brace => {
                    let line = name.span().start().line;
                    let lines = body.span_close().end().line.saturating_sub(line) + 1;
                    self.functions.push(Function { name: name.to_string(), line, lines });
                    return;
                }
                _ => {}
            }
        }
    }

    /// Notes the test functions in an item for tests, and the module it declares.
    fn note_test(&mut self, item: &[TokenTree]) {
        let words: Vec<String> = item.iter().filter_map(ident).collect();
        if let [.., keyword, name] = words.as_slice()
            && keyword == "mod"
            && is_punct(item.last(), ';')
        {
            self.test_modules.push(name.clone());
        }
        self.collect_tests(item);
    }

    /// Test functions are those with an attribute that ends in `test`; also inside `proptest!`.
    fn collect_tests(&mut self, tokens: &[TokenTree]) {
        let mut is_test = false;
        for (at, token) in tokens.iter().enumerate() {
            match token {
                TokenTree::Group(group) if is_punct(tokens.get(at.wrapping_sub(1)), '#') => {
                    is_test |= names_test(group);
                }
                TokenTree::Group(group) => self.collect_tests(&inside(group)),
                TokenTree::Ident(word) if word == "fn" => {
                    if is_test && let Some(name) = tokens.get(at + 1).and_then(ident) {
                        self.tests.push(name);
                    }
                    is_test = false;
                }
                _ => {}
            }
        }
    }
}

/// The functions of which `on_both!` makes a test for each database (crates/store/tests/common).
fn on_both(tokens: &[TokenTree]) -> Vec<String> {
    let lists = tokens.windows(3).filter_map(|window| match window {
        [name, bang, TokenTree::Group(list)] if is_punct(Some(bang), '!') && ident(name)? == "on_both" => Some(list),
        _ => None,
    });
    lists.flat_map(inside).filter_map(|token| ident(&token)).collect()
}

/// If an item that is compiled for tests only begins at `at` (with its attributes), where it ends.
fn test_item(tokens: &[TokenTree], at: usize) -> Option<usize> {
    let mut next = at;
    let mut for_tests = false;
    while is_punct(tokens.get(next), '#') {
        let Some(TokenTree::Group(attribute)) = tokens.get(next + 1) else { return None };
        for_tests |= is_cfg_test(attribute) || names_test(attribute);
        next += 2;
    }
    if !for_tests {
        return None;
    }
    while let Some(token) = tokens.get(next) {
        next += 1;
        match token {
            TokenTree::Punct(punct) if punct.as_char() == ';' => return Some(next),
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                return Some(if is_punct(tokens.get(next), ';') { next + 1 } else { next });
            }
            _ => {}
        }
    }
    Some(next)
}

/// `#![cfg(test)]` at the head of a file.
fn begins_with_cfg_test(tokens: &[TokenTree]) -> bool {
    tokens.windows(3).any(|window| {
        matches!(window, [hash, bang, TokenTree::Group(group)]
            if is_punct(Some(hash), '#') && is_punct(Some(bang), '!') && is_cfg_test(group))
    })
}

/// `[cfg(test)]`, `[cfg(all(test, unix))]`; not `[cfg(not(test))]`.
fn is_cfg_test(attribute: &Group) -> bool {
    let text = attribute.stream().to_string().replace(' ', "");
    let words = || text.split(|c: char| !c.is_alphanumeric() && c != '_');
    text.starts_with("cfg(") && words().any(|word| word == "test") && words().all(|word| word != "not" && word != "any")
}

/// `[test]`, `[tokio::test]`.
fn names_test(attribute: &Group) -> bool {
    let path: Vec<TokenTree> = inside(attribute)
        .into_iter()
        .take_while(|token| !matches!(token, TokenTree::Group(_)) && !is_punct(Some(token), '='))
        .collect();
    path.last().and_then(ident).is_some_and(|word| word == "test")
}

fn inside(group: &Group) -> Vec<TokenTree> {
    group.stream().into_iter().collect()
}

fn ident(token: &TokenTree) -> Option<String> {
    if let TokenTree::Ident(word) = token { Some(word.to_string()) } else { None }
}

fn is_punct(token: Option<&TokenTree>, wanted: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == wanted)
}

fn lines_of(item: &[TokenTree]) -> usize {
    let start = item.first().map(TokenTree::span).map_or(0, |span: Span| span.start().line);
    let end = item.last().map(TokenTree::span).map_or(0, |span: Span| span.end().line);
    (end + 1).saturating_sub(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> Vec<String> {
        let source = Source::read("crates/x/src/y.rs", text).unwrap();
        source.named.iter().map(|named| named.segments.join("::")).collect()
    }

    #[test]
    fn nested_imports_are_written_out() {
        let found = paths("use std::{fmt, net::{TcpStream, UdpSocket as Socket}, time::*};");
        for path in ["std::fmt", "std::net::TcpStream", "std::net::UdpSocket", "std::time"] {
            assert!(found.iter().any(|f| f == path), "{path} is not in {found:?}");
        }
        assert!(!found.iter().any(|f| f.contains("Socket") && f.ends_with("net::Socket")));
    }

    #[test]
    fn names_in_macros_count_and_names_in_comments_and_strings_do_not() {
        assert!(!paths("impl A { fn rand(&self) {} }").contains(&"rand".to_owned()), "a definition is not a use");
        let found = paths("fn f() { println!(\"tokio {}\", Instant::now()); } // std::net\n/// rand\nstruct A;");
        assert!(found.contains(&"println!".to_owned()) && found.contains(&"Instant::now".to_owned()), "{found:?}");
        assert!(!found.iter().any(|f| f.contains("tokio") || f.contains("net") || f.contains("rand")), "{found:?}");
    }

    #[test]
    fn code_for_tests_does_not_count_and_other_code_does() {
        let text = "fn a() { x::y(); }\n#[cfg(test)]\nmod tests {\n use tokio::z;\n #[test]\n fn t() {}\n}\n";
        let source = Source::read("crates/x/src/y.rs", text).unwrap();
        assert!(source.named.iter().all(|named| named.segments[0] != "tokio"));
        assert_eq!((source.lines, source.tests.as_slice()), (1, ["t".to_owned()].as_slice()));
        assert!(paths("#[cfg(not(test))]\nuse tokio::z;").contains(&"tokio::z".to_owned()));
    }

    #[test]
    fn tests_in_property_macros_are_known() {
        let text =
            "#[cfg(test)] mod tests { proptest! { #[test] fn p(a: u8) {} } #[tokio::test] async fn q() {} fn no() {} }";
        assert_eq!(Source::read("crates/x/src/y.rs", text).unwrap().tests, ["p", "q"]);
    }

    #[test]
    fn tests_on_both_databases_are_known() {
        let text = "on_both! {\n one;\n two;\n}\nasync fn one(on: On) {}\nasync fn three(on: On) {}";
        assert_eq!(Source::read("crates/a/tests/a.rs", text).unwrap().tests, ["one", "two"]);
    }

    #[test]
    fn a_test_module_in_its_own_file_is_known_by_its_path() {
        let text = "#[cfg(test)]\nmod tests;\n#[cfg(test)] mod other { }";
        assert_eq!(Source::read("crates/x/src/lib.rs", text).unwrap().test_module_paths(), ["crates/x/src/tests"]);
        assert_eq!(Source::read("crates/x/src/y.rs", text).unwrap().test_module_paths(), ["crates/x/src/y/tests"]);
    }

    #[test]
    fn functions_are_measured() {
        let text = "impl A {\n    fn long(&self) -> [u8; 2]\n    where\n        A: B,\n    {\n        one();\n    }\n    fn none();\n}";
        let functions = Source::read("crates/x/src/y.rs", text).unwrap().functions;
        assert_eq!(functions, [Function { name: "long".into(), line: 2, lines: 6 }]);
    }
}

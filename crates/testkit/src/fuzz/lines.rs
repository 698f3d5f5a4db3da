//! Texts that people paste or write: lines, codes, names, and the server's configuration.

use super::stage::Counted;
use mifeng_server::config::{self, environment::Overrides};
use rules::handle::Handle;
use std::fmt::{Debug, Display};
use std::path::Path;
use std::str::FromStr;
use vault::link::LinkSecret;
use wire::{InviteLink, ServerLine, limits};

/// Longer lines than this are none.
const LINE_MAX_BYTES: usize = 1_024;

pub(super) mod invite_line {
    use super::*;

    pub(in crate::fuzz) fn run(bytes: &[u8]) -> bool {
        line_returns::<InviteLink>(bytes)
    }

    pub(in crate::fuzz) fn seeds() -> Vec<Vec<u8>> {
        let (tenant, code) = ("acme".to_owned(), "AB-cd_09".to_owned());
        let link = InviteLink { host: "localhost".into(), port: 7443, tenant, code, ca: [0xa5; 32] };
        let address = InviteLink { host: "[::1]".into(), ..link.clone() };
        [link, address].map(|link| link.to_string().into_bytes()).to_vec()
    }
}

pub(super) mod server_line {
    use super::*;

    pub(in crate::fuzz) fn run(bytes: &[u8]) -> bool {
        line_returns::<ServerLine>(bytes)
    }

    pub(in crate::fuzz) fn seeds() -> Vec<Vec<u8>> {
        let line = ServerLine { host: "mifeng.example".into(), port: 1, tenant: "acme".into(), ca: [0xa5; 32] };
        vec![line.to_string().into_bytes()]
    }
}

pub(super) mod link_code {
    use super::*;

    pub(in crate::fuzz) fn run(bytes: &[u8]) -> bool {
        let Some(secret) = text(bytes).and_then(|text| LinkSecret::from_code(text).ok()) else { return false };
        let again = LinkSecret::from_code(&secret.to_code()).unwrap();
        assert_eq!(again.to_sealed_storage(), secret.to_sealed_storage());
        true
    }

    pub(in crate::fuzz) fn seeds() -> Vec<Vec<u8>> {
        let code = LinkSecret::generate(&mut Counted(b'l')).to_code();
        vec![code.as_bytes().to_vec(), code.to_lowercase().replace('q', " -q").into_bytes()]
    }
}

pub(super) mod handle {
    use super::*;

    pub(in crate::fuzz) fn run(bytes: &[u8]) -> bool {
        let Some(handle) = text(bytes).and_then(|text| Handle::parse(text).ok()) else { return false };
        assert!((1..=limits::HANDLE_MAX_CHARS).contains(&handle.as_str().chars().count()));
        assert!(Handle::parse(handle.as_str()).as_ref() == Ok(&handle), "{} has another form", handle.as_str());
        true
    }

    pub(in crate::fuzz) fn seeds() -> Vec<Vec<u8>> {
        ["alice", "Ａｌｉｃｅ", "josé.o-neil_2", "李雷", "हिन्दी", "ДМИТРИЙ"]
            .map(|text| text.as_bytes().to_vec())
            .to_vec()
    }
}

pub(super) mod tenant_name {
    use super::*;

    pub(in crate::fuzz) fn run(bytes: &[u8]) -> bool {
        let Some(name) = text(bytes).filter(|text| rules::tenant::is_name(text)) else { return false };
        assert!(
            name.len() <= 63 && name.bytes().all(|byte| byte.is_ascii_lowercase() || b"-0123456789".contains(&byte))
        );
        true
    }

    pub(in crate::fuzz) fn seeds() -> Vec<Vec<u8>> {
        vec![b"acme".to_vec(), b"a1-b2".to_vec()]
    }
}

pub(super) mod configuration {
    use super::*;

    pub(in crate::fuzz) fn run(bytes: &[u8]) -> bool {
        let parse = |text| config::parse(Path::new(config::FILE_NAME), text, &Overrides::default());
        match text(bytes).map(parse) {
            Some(Ok(config)) => {
                assert!(config.validate().is_ok());
                true
            }
            Some(Err(error)) => {
                assert!(!error.to_string().is_empty());
                false
            }
            None => false,
        }
    }

    pub(in crate::fuzz) fn seeds() -> Vec<Vec<u8>> {
        let set = "[clients]\nlisten = \"127.0.0.1:1\"\n[limits]\nconnections = 7\n[log]\nformat = \"json\"\n";
        [config::TEMPLATE, set, ""].map(|text| text.as_bytes().to_vec()).to_vec()
    }
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

fn line_returns<L: FromStr + Display + PartialEq + Debug>(bytes: &[u8]) -> bool {
    let Some((text, line)) = text(bytes).and_then(|text| Some((text, text.parse::<L>().ok()?))) else { return false };
    assert!(text.trim().len() <= LINE_MAX_BYTES);
    assert_eq!(line.to_string().parse::<L>().ok(), Some(line));
    true
}

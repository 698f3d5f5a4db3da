//! What the device's files hold, decrypted: the pages of the database, live and free, and those of the write-ahead log.

use super::Counter;
use crate::DatabaseKey;
use aes::cipher::{BlockDecrypt, KeyInit};
use std::fs;
use tempfile::TempDir;

const PAGE: usize = 4_096;
const RESERVED: usize = 80;
const LOG_HEADER: usize = 32;
const FRAME_HEADER: usize = 24;

/// Every page of the database file and of its write-ahead log, one after the other.
pub(crate) fn pages(folder: &TempDir) -> Vec<u8> {
    [database_pages(folder), log_pages(folder)].concat()
}

/// Every page of the database file.
pub(crate) fn database_pages(folder: &TempDir) -> Vec<u8> {
    let file = fs::read(folder.path().join("device.db")).unwrap();
    let numbered = file.chunks_exact(PAGE).enumerate();
    let plain = numbered.flat_map(|(number, page)| decrypted(page, number == 0)).collect::<Vec<u8>>();
    assert!(holds(&plain, b"CREATE TABLE message"), "the pages are decrypted");
    plain
}

/// Every page in the write-ahead log, whether it still counts or not.
pub(crate) fn log_pages(folder: &TempDir) -> Vec<u8> {
    let log = fs::read(folder.path().join("device.db-wal")).unwrap_or_default();
    let frames = log.get(LOG_HEADER..).unwrap_or_default().chunks_exact(FRAME_HEADER + PAGE);
    frames.flat_map(|frame| decrypted(&frame[FRAME_HEADER..], frame[..4] == [0, 0, 0, 1])).collect()
}

/// As SQLCipher 4 encrypts: AES-256-CBC under the raw key, the page's initialisation vector in the 80 bytes at its end, the
/// salt in the first 16 bytes of the first page.
fn decrypted(page: &[u8], is_first: bool) -> Vec<u8> {
    let cipher = aes::Aes256::new(DatabaseKey::generate(&mut Counter::at(7)).expose().into());
    let (body, end) = page.split_at(PAGE - RESERVED);
    let mut previous: [u8; 16] = end[..16].try_into().unwrap();
    let mut plain = Vec::with_capacity(body.len());
    for chunk in body[if is_first { 16 } else { 0 }..].chunks_exact(16) {
        let mut block = aes::Block::clone_from_slice(chunk);
        cipher.decrypt_block(&mut block);
        plain.extend(block.iter().zip(previous).map(|(byte, mask)| byte ^ mask));
        previous = chunk.try_into().unwrap();
    }
    plain
}

/// Whether the bytes stand somewhere.
pub(crate) fn holds(pages: &[u8], bytes: &[u8]) -> bool {
    pages.windows(bytes.len()).any(|window| window == bytes)
}

//! Free pages of an SQLite file (its file format, §1.5): pages whose rows were deleted, and that keep what was in them until
//! they are used again.

use anyhow::{Result, bail};

/// The free pages of a database file, one after the other.
///
/// # Errors
/// When the bytes are no SQLite file, or its list of free pages is broken.
pub(super) fn free_pages(file: &[u8]) -> Result<Vec<u8>> {
    let page_bytes = page_size(file)?;
    let total = number(file, 36)?;
    let mut trunk = number(file, 32)?;
    let mut pages = Vec::new();
    let mut seen = 0;
    while trunk != 0 {
        let page = page(file, trunk, page_bytes)?;
        pages.extend_from_slice(page);
        seen += 1;
        let leaves = number(page, 4)?;
        if leaves as usize > page_bytes / 4 - 2 {
            bail!("the list of free pages is broken: {leaves} leaves on page {trunk}");
        }
        for leaf in 0..leaves as usize {
            pages.extend_from_slice(self::page(file, number(page, 8 + 4 * leaf)?, page_bytes)?);
            seen += 1;
        }
        if seen > total {
            bail!("the list of free pages is broken: more than {total} pages on it");
        }
        trunk = number(page, 0)?;
    }
    if seen == total { Ok(pages) } else { bail!("the list of free pages is broken: {seen} of {total} pages on it") }
}

/// Bytes of a page.
fn page_size(file: &[u8]) -> Result<usize> {
    if !file.starts_with(b"SQLite format 3\0") {
        bail!("not an SQLite database");
    }
    match file.get(16..18) {
        Some([0, 1]) => Ok(65_536),
        Some(&[high, low]) if usize::from(high) << 8 >= 512 => Ok(usize::from(high) << 8 | usize::from(low)),
        _ => bail!("not an SQLite database: page size"),
    }
}

/// A page by its number, from 1.
fn page(file: &[u8], number: u32, page_bytes: usize) -> Result<&[u8]> {
    let start = (number as usize).checked_sub(1).map(|index| index * page_bytes);
    match start.and_then(|start| file.get(start..start + page_bytes)) {
        Some(page) => Ok(page),
        None => bail!("the list of free pages is broken: there is no page {number}"),
    }
}

fn number(bytes: &[u8], at: usize) -> Result<u32> {
    match bytes.get(at..).and_then(|rest| rest.first_chunk()) {
        Some(bytes) => Ok(u32::from_be_bytes(*bytes)),
        None => bail!("the file ends early"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: usize = 512;

    /// Pages: 1 header, 2 trunk with leaves 4 and 5, 3 in use, 6 second trunk.
    fn database() -> Vec<u8> {
        let mut file = vec![0; 6 * PAGE];
        file[..16].copy_from_slice(b"SQLite format 3\0");
        file[16..18].copy_from_slice(&512u16.to_be_bytes());
        let mut put = |page: usize, at: usize, number: u32| {
            file[(page - 1) * PAGE + at..][..4].copy_from_slice(&number.to_be_bytes());
        };
        put(1, 32, 2);
        put(1, 36, 4);
        put(2, 0, 6);
        put(2, 4, 2);
        put(2, 8, 4);
        put(2, 12, 5);
        for (page, text) in [(2, b"trunk"), (3, b"alive"), (4, b"leafA"), (5, b"leafB"), (6, b"last!")] {
            file[(page - 1) * PAGE + 100..][..5].copy_from_slice(text);
        }
        file
    }

    fn holds(pages: &[u8], text: &[u8]) -> bool {
        pages.windows(text.len()).any(|window| window == text)
    }

    #[test]
    fn all_free_pages_and_no_others() {
        let pages = free_pages(&database()).unwrap();
        assert_eq!(pages.len(), 4 * PAGE);
        for text in [b"trunk", b"leafA", b"leafB", b"last!"] {
            assert!(holds(&pages, text));
        }
        assert!(!holds(&pages, b"alive"));
    }

    #[test]
    fn a_broken_list_is_an_error_and_not_a_shorter_search() {
        for (at, number) in [(36, 5), (36, 3), (32, 99), (PAGE + 8, 99), (PAGE + 8, 0), (PAGE + 4, 127), (5 * PAGE, 2)]
        {
            let mut file = database();
            file[at..at + 4].copy_from_slice(&u32::to_be_bytes(number));
            assert!(free_pages(&file).is_err(), "{number} at {at}");
        }
        assert!(free_pages(b"something else").is_err());
        assert!(free_pages(&database()[..40]).is_err());
    }
}

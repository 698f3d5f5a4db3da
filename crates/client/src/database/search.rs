//! Local search. Words are indexed as they are; runs of scripts that are written without spaces are indexed as every
//! character and every two neighbours, so that a Chinese word of two characters is one term.

use crate::content::Content;
use rusqlite::{Connection, Result, params};

pub(crate) fn index(db: &Connection, row: i64, text: &str) -> Result<()> {
    db.prepare_cached("INSERT INTO search (rowid, words) VALUES (?, ?)")?.execute(params![row, terms(text)]).map(|_| ())
}

/// Takes a text out of the index, which keeps no copy of it: it has to be the very text that was indexed. A row that is not
/// in the index is left alone; taking it out would damage what the others have.
pub(crate) fn remove(db: &Connection, row: i64, text: &str) -> Result<()> {
    let sql = "INSERT INTO search (search, rowid, words)
               SELECT 'delete', ?1, ?2 WHERE EXISTS (SELECT 1 FROM search_docsize WHERE id = ?1)";
    db.prepare_cached(sql)?.execute(params![row, terms(text)]).map(|_| ())
}

/// Fills the index from the messages, after its form has changed.
pub(crate) fn fill_if_outdated(db: &Connection) -> Result<()> {
    if db.execute("DELETE FROM meta WHERE name = 'search_outdated'", [])? == 0 {
        return Ok(());
    }
    let mut messages = db.prepare("SELECT id, content FROM message WHERE state IN (0, 1, 2)")?;
    let mut rows = messages.query([])?;
    while let Some(row) = rows.next()? {
        let content = Content::from_bytes(&row.get::<_, Vec<u8>>(1)?).ok();
        if let Some(words) = content.as_ref().and_then(|content| content.body.words()) {
            index(db, row.get(0)?, words)?;
        }
    }
    Ok(())
}

/// Row numbers of messages that hold every part of the query, newest first.
pub(crate) fn find(db: &Connection, query: &str, limit: u32) -> Result<Vec<i64>> {
    let Some(matcher) = matcher(query) else { return Ok(Vec::new()) };
    db.prepare_cached("SELECT rowid FROM search WHERE search MATCH ? ORDER BY rowid DESC LIMIT ?")?
        .query_map(params![matcher, limit], |row| row.get(0))?
        .collect()
}

/// A text as the index sees it: terms between spaces.
fn terms(text: &str) -> String {
    let mut terms = String::with_capacity(text.len() * 2);
    for part in parts(text) {
        match part {
            Part::Word(word) => push(&mut terms, &word),
            Part::Run(run) => {
                run.iter().for_each(|character| push(&mut terms, &character.to_string()));
                run.windows(2).for_each(|pair| push(&mut terms, &pair.iter().collect::<String>()));
            }
        }
    }
    terms
}

/// A query in FTS5's language: all parts, words by their beginnings.
fn matcher(query: &str) -> Option<String> {
    let mut matcher = String::new();
    for part in parts(query) {
        match part {
            Part::Word(word) => push(&mut matcher, &format!("\"{word}\"*")),
            Part::Run(run) if run.len() == 1 => push(&mut matcher, &format!("\"{}\"", run.iter().collect::<String>())),
            Part::Run(run) => {
                run.windows(2).for_each(|pair| push(&mut matcher, &format!("\"{}\"", pair.iter().collect::<String>())));
            }
        }
    }
    (!matcher.is_empty()).then_some(matcher)
}

fn push(text: &mut String, term: &str) {
    if !text.is_empty() {
        text.push(' ');
    }
    text.push_str(term);
}

enum Part {
    Word(String),
    Run(Vec<char>),
}

fn parts(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    for character in text.chars().filter(|character| !is_ignorable(*character)).flat_map(char::to_lowercase) {
        match parts.last_mut() {
            Some(Part::Run(run)) if is_unspaced(character) => run.push(character),
            _ if is_unspaced(character) => parts.push(Part::Run(vec![character])),
            Some(Part::Word(word)) if character.is_alphanumeric() => word.push(character),
            _ if character.is_alphanumeric() => parts.push(Part::Word(character.to_string())),
            // A separator ends whatever came before it.
            _ => parts.push(Part::Word(String::new())),
        }
    }
    parts.retain(|part| !matches!(part, Part::Word(word) if word.is_empty()));
    parts
}

/// Han, kana, Hangul, Thai, Lao, Khmer, Myanmar.
const fn is_unspaced(character: char) -> bool {
    matches!(character, '\u{0e00}'..='\u{0eff}' | '\u{1000}'..='\u{109f}' | '\u{1100}'..='\u{11ff}' | '\u{1780}'..='\u{17ff}'
        | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}'
        | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// Joiners and variation selectors: they change how a character looks, not which it is.
const fn is_ignorable(character: char) -> bool {
    matches!(character, '\u{00ad}' | '\u{200b}'..='\u{200f}' | '\u{fe00}'..='\u{fe0f}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn indexed(texts: &[&str]) -> Connection {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(
            "CREATE VIRTUAL TABLE search USING fts5 (words, content='', detail=full, tokenize='ascii');
             INSERT INTO search (search, rank) VALUES ('secure-delete', 1);",
        )
        .unwrap();
        for (row, text) in (1..).zip(texts) {
            index(&db, row, text).unwrap();
        }
        db
    }

    #[test]
    fn words_and_two_characters_are_found() {
        let db = indexed(&["我们明天去北京开会", "meet at the Bahnhof", "东京和北方", "北京"]);
        assert_eq!(find(&db, "北京", 10).unwrap(), [4, 1]);
        assert_eq!(find(&db, "明天 开会", 10).unwrap(), [1]);
        assert_eq!(find(&db, "bahn", 10).unwrap(), [2]);
        assert_eq!(find(&db, "京", 10).unwrap(), [4, 3, 1]);
        assert_eq!(find(&db, "\"*()", 10).unwrap(), [0; 0]);
    }

    #[test]
    fn what_is_removed_is_not_found() {
        let db = indexed(&["北京", "北京"]);
        remove(&db, 1, "北京").unwrap();
        remove(&db, 1, "北京").unwrap();
        remove(&db, 77, "北京").unwrap();
        assert_eq!(find(&db, "北京", 10).unwrap(), [2]);
        db.execute_batch("INSERT INTO search (search) VALUES ('integrity-check')").unwrap();
        let terms: i64 = db.query_row("SELECT count(*) FROM search_docsize", [], |row| row.get(0)).unwrap();
        assert_eq!(terms, 1);
    }

    #[test]
    fn a_two_character_word_among_100_000_messages_is_found_at_once() {
        let db = indexed(&[]);
        db.execute_batch("BEGIN").unwrap();
        for row in 0..100_000_i64 {
            let filler: String =
                (0..12).map(|n| char::from_u32(0x4e00 + ((row * 31 + n * 7) % 3_000) as u32).unwrap()).collect();
            index(&db, row, &if row % 10_000 == 17 { format!("{filler}鼬鼯{filler}") } else { filler }).unwrap();
        }
        db.execute_batch("COMMIT").unwrap();
        let start = std::time::Instant::now();
        assert_eq!(find(&db, "鼬鼯", 50).unwrap().len(), 10);
        assert!(start.elapsed().as_millis() <= 100, "{:?}", start.elapsed());
    }

    proptest! {
        #[test]
        fn any_text_can_be_indexed_and_asked_for(text: String) {
            let db = indexed(&[&text]);
            let found = find(&db, &text, 10).unwrap();
            prop_assert_eq!(found.is_empty(), matcher(&text).is_none());
        }
    }
}

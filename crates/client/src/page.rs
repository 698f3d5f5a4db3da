//! Reading a conversation in pages, from the end or from any line.

use crate::Error;
use crate::client::Client;
use crate::content::MessageView;
use crate::database::message;
use crate::database::page::{self, Place, Placed};
use wire::{ConversationId, MessageId, UnixMillis};

/// A line of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageLine {
    /// Where it stands: pages before and after it begin here.
    pub place: Place,
    /// When it expires on this device, if its time has begun.
    pub expires_at: Option<UnixMillis>,
    /// What it says.
    pub line: MessageView,
}

/// A part of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// Its lines, oldest first.
    pub lines: Vec<PageLine>,
    /// There are lines before it.
    pub earlier: bool,
    /// There are lines after it.
    pub later: bool,
}

impl Client {
    /// The line at a place with up to so many before and after it; without a place, the last `before` lines.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn window(&self, id: ConversationId, at: Option<Place>, before: u32, after: u32) -> Result<Window, Error> {
        let (db, sought) = (self.reader(), before.saturating_add(1));
        let mut lines = match at {
            Some(place) => page::before(db, id, place, sought)?,
            None => page::last(db, id, sought)?,
        };
        let end = lines.last().map(|placed| placed.place).unwrap_or_default();
        let earlier = lines.len() as u64 > u64::from(before);
        lines.drain(..usize::from(earlier));
        let mut later = false;
        if at.is_some() {
            let mut rest = page::after(db, id, end, after.saturating_add(2))?;
            let wanted = (after as usize).saturating_add(1);
            later = rest.len() > wanted;
            rest.truncate(wanted);
            lines.extend(rest);
        }
        Ok(Window { lines: self.page(id, lines)?, earlier, later })
    }

    /// The last lines of a conversation, oldest first.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn last_page(&self, id: ConversationId, limit: u32) -> Result<Vec<PageLine>, Error> {
        self.page(id, page::last(self.reader(), id, limit)?)
    }

    /// The lines before a place, the nearest, oldest first. Fewer than `limit`: there are no more.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn page_before(&self, id: ConversationId, place: Place, limit: u32) -> Result<Vec<PageLine>, Error> {
        self.page(id, page::before(self.reader(), id, place, limit)?)
    }

    /// The lines after a place, the nearest, oldest first. Fewer than `limit`: there are no more.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn page_after(&self, id: ConversationId, place: Place, limit: u32) -> Result<Vec<PageLine>, Error> {
        self.page(id, page::after(self.reader(), id, place, limit)?)
    }

    /// Where a message stands, if it is a line.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn place_of(&self, id: ConversationId, message: MessageId) -> Result<Option<Place>, Error> {
        Ok(page::place_of(self.reader(), id, message)?)
    }

    /// The line at a place in the log.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn line_at(&self, id: ConversationId, seq: u64) -> Result<Option<MessageView>, Error> {
        message::at_seq(self.reader(), id, seq)?.map(|line| self.line(id, &line)).transpose()
    }

    fn page(&self, id: ConversationId, lines: Vec<Placed>) -> Result<Vec<PageLine>, Error> {
        let view = |placed: Placed| {
            let Placed { place, expires_at, line } = placed;
            Ok(PageLine { place, expires_at, line: self.line(id, &line)? })
        };
        lines.into_iter().map(view).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::{Body, Content};
    use crate::database::message::Place as Stored;
    use crate::testing::{BOB, CONVERSATION, followed};
    use crate::{MessageRow, MessageState};
    use wire::DeviceId;

    /// A conversation with so many recorded lines and two that wait.
    fn with_lines(count: u64) -> (tempfile::TempDir, Client) {
        let (folder, mut client) = followed();
        client
            .turn(1, |turn| {
                let row = turn.conversation(CONVERSATION)?;
                for number in (1..=count).chain([u64::MAX - 1, u64::MAX]) {
                    let waits = number > count;
                    let line = MessageRow {
                        seq: (!waits).then_some(number),
                        message_id: Some(MessageId::from_bytes(
                            [number.to_be_bytes(), [0; 8]].concat().try_into().unwrap(),
                        )),
                        author: Some(BOB),
                        device: DeviceId::from_bytes([8; 16]),
                        at: number.min(1 << 40),
                        state: if waits { MessageState::Pending } else { MessageState::Recorded },
                        content: Content::text(format!("line {number}"), 1).to_bytes(),
                        reason: None,
                    };
                    message::insert(turn.db, &row, &line, Stored { kind: 1, line: true, target: None })?;
                }
                Ok(())
            })
            .unwrap();
        (folder, client)
    }

    fn words(lines: &[PageLine]) -> Vec<String> {
        let words = |line: &PageLine| line.line.body.as_ref().and_then(Body::words).unwrap().to_owned();
        lines.iter().map(words).collect()
    }

    #[test]
    fn pages_back_and_forth_meet_every_line_once() {
        let (_folder, client) = with_lines(250);
        let mut back = client.last_page(CONVERSATION, 30).unwrap();
        loop {
            let page = client.page_before(CONVERSATION, back[0].place, 30).unwrap();
            if page.is_empty() {
                break;
            }
            back = [page, back].concat();
        }
        assert_eq!(back.len(), 252);
        assert!(back.windows(2).all(|pair| pair[0].place < pair[1].place));
        let mut forth = vec![back[0].clone()];
        loop {
            let page = client.page_after(CONVERSATION, forth.last().unwrap().place, 30).unwrap();
            if page.is_empty() {
                break;
            }
            forth.extend(page);
        }
        assert_eq!(words(&forth), words(&back));
        let all: Vec<String> = client
            .lines(CONVERSATION, u32::MAX)
            .unwrap()
            .iter()
            .map(|line| line.body.as_ref().and_then(Body::words).unwrap().to_owned())
            .collect();
        assert_eq!(words(&back), all);
        assert_eq!(client.line_at(CONVERSATION, 7).unwrap().unwrap().at, 7);
    }

    #[test]
    fn a_window_is_where_it_was_asked_for_and_knows_whether_there_is_more() {
        let (_folder, client) = with_lines(50);
        let all = client.last_page(CONVERSATION, 100).unwrap();
        let window = |at: Option<usize>, before, after| {
            let at = at.map(|at| all[at].place.to_string().parse().unwrap());
            let Window { lines, earlier, later } = client.window(CONVERSATION, at, before, after).unwrap();
            (words(&lines), earlier, later)
        };
        let part = |range: std::ops::Range<usize>| words(&all[range]);
        assert_eq!(window(None, 10, 10), (part(42..52), true, false));
        assert_eq!(window(None, 52, 0), (part(0..52), false, false));
        assert_eq!(window(Some(20), 5, 5), (part(15..26), true, true));
        assert_eq!(window(Some(20), 0, 0), (part(20..21), true, true));
        assert_eq!(window(Some(0), 5, 5), (part(0..6), false, true));
        assert_eq!(window(Some(51), 5, 5), (part(46..52), true, false));
        assert_eq!(window(Some(46), 5, 5), (part(41..52), true, false));
        assert_eq!(window(Some(5), 5, 60), (part(0..52), false, false));
        for text in ["", "0", "2.1.1.1", "0.1.1", "0.1.1.1.1", "0.-1.1.1", "1.1.1.x"] {
            assert!(text.parse::<Place>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_length_of_a_conversation_does_not_cost() {
        let (_folder, client) = with_lines(20_000);
        let middle = client
            .place_of(CONVERSATION, MessageId::from_bytes([0, 0, 0, 0, 0, 0, 0x27, 0x10, 0, 0, 0, 0, 0, 0, 0, 0]));
        let middle = middle.unwrap().unwrap();
        let start = std::time::Instant::now();
        let pages = [
            client.last_page(CONVERSATION, 60).unwrap(),
            client.page_before(CONVERSATION, middle, 60).unwrap(),
            client.page_after(CONVERSATION, middle, 60).unwrap(),
        ];
        assert!(start.elapsed().as_millis() <= 150, "{:?}", start.elapsed());
        assert!(pages.iter().all(|page| page.len() == 60));
        assert_eq!(words(&pages[2])[0], "line 10001");
    }

    #[test]
    fn a_page_of_a_long_conversation_is_found_by_its_index() {
        let (_folder, client) = with_lines(10);
        let plan =
            "EXPLAIN QUERY PLAN SELECT id FROM message WHERE conversation = x'00' AND line = 1 AND seq IS NOT NULL
                    AND (generation, seq) < (1, 1) ORDER BY generation DESC, seq DESC LIMIT 30";
        let mut statement = client.reader().prepare(plan).unwrap();
        let steps: Vec<String> = statement.query_map([], |row| row.get(3)).unwrap().collect::<Result<_, _>>().unwrap();
        assert!(steps.iter().all(|step| !step.contains("TEMP B-TREE") && step.contains("INDEX")), "{steps:?}");
    }
}

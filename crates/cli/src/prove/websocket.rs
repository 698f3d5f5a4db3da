//! Takes the mask off what WebSocket clients send (RFC 6455 §5.3). Without this a record of the traffic would hold every
//! client's words disguised, and searching it would prove nothing.

/// Reads one direction of one connection as it comes: an HTTP head, then frames.
#[derive(Debug)]
pub(super) struct Unmask {
    state: State,
    /// The beginning of a head that is not whole yet.
    pending: Vec<u8>,
}

#[derive(Debug)]
enum State {
    HttpHead,
    FrameHead,
    Payload { left: u64, mask: Option<[u8; 4]>, at: usize },
}

/// An HTTP head is never longer than this.
const HTTP_HEAD_MAX_BYTES: usize = 64 << 10;

/// The stream is not what a WebSocket client sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the traffic is not a WebSocket's")]
pub(super) struct NotWebSocket;

impl Unmask {
    /// At the beginning of a connection.
    pub(super) const fn new() -> Self {
        Self { state: State::HttpHead, pending: Vec::new() }
    }

    /// Takes the next bytes and appends to `plain` what they say: the HTTP head and the frames' heads as they are, the
    /// payloads without their mask.
    ///
    /// # Errors
    /// [`NotWebSocket`].
    pub(super) fn feed(&mut self, mut bytes: &[u8], plain: &mut Vec<u8>) -> Result<(), NotWebSocket> {
        while !bytes.is_empty() {
            bytes = match &mut self.state {
                State::HttpHead => self.http_head(bytes, plain)?,
                State::FrameHead => self.frame_head(bytes, plain),
                State::Payload { left, mask, at } => {
                    let now = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                    let (payload, rest) = bytes.split_at(now);
                    let key = mask.unwrap_or_default();
                    plain.extend(payload.iter().zip(key.iter().cycle().skip(*at % 4)).map(|(byte, key)| byte ^ key));
                    *at += now;
                    *left -= now as u64;
                    if *left == 0 {
                        self.state = State::FrameHead;
                    }
                    rest
                }
            };
        }
        Ok(())
    }

    fn http_head<'b>(&mut self, bytes: &'b [u8], plain: &mut Vec<u8>) -> Result<&'b [u8], NotWebSocket> {
        let before = self.pending.len();
        self.pending.extend_from_slice(bytes);
        if let Some(end) = self.pending.windows(4).position(|window| window == b"\r\n\r\n") {
            plain.extend(self.pending.get(..end + 4).unwrap_or_default());
            self.pending.clear();
            self.state = State::FrameHead;
            return Ok(bytes.get(end + 4 - before..).unwrap_or_default());
        }
        if self.pending.len() > HTTP_HEAD_MAX_BYTES { Err(NotWebSocket) } else { Ok(&[]) }
    }

    /// One byte at a time: heads are short.
    fn frame_head<'b>(&mut self, bytes: &'b [u8], plain: &mut Vec<u8>) -> &'b [u8] {
        let Some((first, rest)) = bytes.split_first() else { return bytes };
        self.pending.push(*first);
        if let Some((left, mask)) = parse_head(&self.pending) {
            plain.append(&mut self.pending);
            self.state = if left == 0 { State::FrameHead } else { State::Payload { left, mask, at: 0 } };
        }
        rest
    }

    /// Whether the connection ended between two frames. Otherwise the last frame was cut off.
    #[cfg(test)]
    fn is_between_frames(&self) -> bool {
        matches!(self.state, State::FrameHead) && self.pending.is_empty()
    }
}

/// Length of the payload and the mask, once the head is whole.
fn parse_head(head: &[u8]) -> Option<(u64, Option<[u8; 4]>)> {
    let second = *head.get(1)?;
    let is_masked = second & 0x80 != 0;
    let (left, used) = match second & 0x7f {
        126 => (u64::from(u16::from_be_bytes(*head.get(2..)?.first_chunk()?)), 4),
        127 => (u64::from_be_bytes(*head.get(2..)?.first_chunk()?), 10),
        short => (u64::from(short), 2),
    };
    let mask = if is_masked { Some(*head.get(used..)?.first_chunk()?) } else { None };
    Some((left, mask))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] = b"GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n";

    fn frame(payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
        let bit = if mask.is_some() { 0x80 } else { 0 };
        let mut frame = vec![0x82];
        match payload.len() {
            short @ 0..126 => frame.push(bit | u8::try_from(short).unwrap()),
            middle @ 126..0x1_0000 => {
                frame.push(bit | 126);
                frame.extend(u16::try_from(middle).unwrap().to_be_bytes());
            }
            long => {
                frame.push(bit | 127);
                frame.extend((long as u64).to_be_bytes());
            }
        }
        frame.extend(mask.unwrap_or_default().iter().filter(|_| mask.is_some()));
        let key = mask.unwrap_or_default();
        frame.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
        frame
    }

    #[test]
    fn masked_words_are_read_however_the_bytes_arrive() {
        let mask = Some([0x37, 0xfa, 0x21, 0x3d]);
        let words: [Vec<u8>; 4] =
            [b"first".to_vec(), Vec::new(), vec![b'm'; 300], [vec![b'l'; 70_000], b"last".to_vec()].concat()];
        let stream: Vec<u8> = HEAD.iter().copied().chain(words.iter().flat_map(|word| frame(word, mask))).collect();
        assert!(!stream.windows(5).any(|window| window == b"first"), "the mask hides it");
        for size in [1, 2, 3, 5, 11, 4096, stream.len()] {
            let mut unmask = Unmask::new();
            let mut plain = Vec::new();
            for piece in stream.chunks(size) {
                unmask.feed(piece, &mut plain).unwrap();
            }
            assert!(unmask.is_between_frames(), "pieces of {size}");
            assert!(plain.starts_with(HEAD) && plain.ends_with(b"last"), "pieces of {size}");
            assert!(plain.windows(5).any(|window| window == b"first"), "pieces of {size}");
        }
    }

    #[test]
    fn what_is_no_websocket_is_an_error_and_frames_without_mask_are_read() {
        let mut plain = Vec::new();
        assert_eq!(Unmask::new().feed(&vec![b'x'; HTTP_HEAD_MAX_BYTES + 1], &mut plain), Err(NotWebSocket));
        let mut unmask = Unmask::new();
        unmask.feed(&[HEAD, &frame(b"words", None)].concat(), &mut plain).unwrap();
        assert!(plain.ends_with(b"words"));
    }
}

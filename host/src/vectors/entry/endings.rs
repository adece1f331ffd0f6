//! Lines that all end alike: `\\r\\n` as `\\n`, and the last line too. A reader of rows counts lines right only where they do.

use std::io::Read;

/// Gives what it reads with its lines ended by `\\n`.
pub(super) struct Endings<R> {
    from: R,
    /// Whether a `\\r` was read and not given yet.
    held: bool,
    /// The last byte that was given.
    last: u8,
    ended: bool,
    /// What was made ready, and how much of it was given.
    ready: Vec<u8>,
    given: usize,
}

/// How much is read at a time, in bytes.
const PIECE: usize = 16 << 10;

impl<R: Read> Endings<R> {
    pub(super) fn of(from: R) -> Self {
        Self { from, held: false, last: b'\n', ended: false, ready: Vec::new(), given: 0 }
    }

    /// What comes of a piece of the text; of an empty one, what its end needs.
    fn piece(&mut self, read: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(read.len() + 2);
        for byte in read {
            if std::mem::take(&mut self.held) && *byte != b'\n' {
                out.push(b'\r');
            }
            match byte {
                b'\r' => self.held = true,
                byte => out.push(*byte),
            }
        }
        if read.is_empty() {
            self.ended = true;
            if std::mem::take(&mut self.held) {
                out.push(b'\r');
            }
            if out.last().copied().unwrap_or(self.last) != b'\n' {
                out.push(b'\n');
            }
        }
        self.last = out.last().copied().unwrap_or(self.last);
        out
    }
}

impl<R: Read> Read for Endings<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.given == self.ready.len() && !self.ended {
            let mut own = vec![0; PIECE];
            let read = self.from.read(&mut own)?;
            self.ready = self.piece(own.get(..read).unwrap_or_default());
            self.given = 0;
        }
        let ready = self.ready.get(self.given..).unwrap_or_default();
        buffer.iter_mut().zip(ready).for_each(|(to, from)| *to = *from);
        let now = ready.len().min(buffer.len());
        self.given += now;
        Ok(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Gives what it holds in pieces of this size.
    struct Pieces<'a>(&'a [u8], usize);

    impl Read for Pieces<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let (now, later) = self.0.split_at(self.1.min(self.0.len()).min(buffer.len()));
            buffer[..now.len()].copy_from_slice(now);
            self.0 = later;
            Ok(now.len())
        }
    }

    proptest! {
        #[test]
        fn nothing_is_lost_but_what_stands_before_the_end_of_a_line(text in "[a\\r\\n]{0,24}", size in 1_usize..8) {
            let mut read = String::new();
            Endings::of(Pieces(text.as_bytes(), size)).read_to_string(&mut read).unwrap();
            let mut wanted = text.replace("\r\n", "\n");
            if !wanted.is_empty() && !wanted.ends_with('\n') {
                wanted.push('\n');
            }
            prop_assert_eq!(read, wanted);
        }
    }
}

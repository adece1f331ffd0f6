//! Bodies as they come, packed or not (RFC 9110, section 8.4.1: gzip), and no more of them than a limit, counted as they are when
//! unpacked. The client's own unpacking was the alternative; it is for every client of the process or for none, and those whose bodies
//! nobody limits must not unpack what a stranger sends.

use flate2::write::GzDecoder;
use reqwest::header::{CONTENT_ENCODING, HeaderMap};
use std::io::{self, Write};

/// What has come of a body.
pub(super) enum Body {
    /// As it came.
    Plain(Limited),
    /// Unpacked on the way.
    Packed(Box<GzDecoder<Limited>>),
}

/// Bytes, up to a limit.
pub(super) struct Limited {
    bytes: Vec<u8>,
    most: usize,
    over: bool,
}

/// Why a body is not read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unread {
    /// It is larger than the limit.
    TooLarge,
    /// It is not what it says it is, or was cut off.
    Broken,
}

impl Body {
    pub(super) fn of(headers: &HeaderMap, most: usize) -> Self {
        let limited = Limited { bytes: Vec::new(), most, over: false };
        let packed = headers.get(CONTENT_ENCODING).is_some_and(|how| how.as_bytes().eq_ignore_ascii_case(b"gzip"));
        if packed { Self::Packed(Box::new(GzDecoder::new(limited))) } else { Self::Plain(limited) }
    }

    pub(super) fn push(&mut self, chunk: &[u8]) -> Result<(), Unread> {
        let pushed = match self {
            Self::Plain(limited) => limited.write_all(chunk),
            Self::Packed(packed) => packed.write_all(chunk),
        };
        pushed.map_err(|_| if self.limited().over { Unread::TooLarge } else { Unread::Broken })
    }

    pub(super) fn len(&self) -> usize {
        self.limited().bytes.len()
    }

    /// What came, as far as it did; and whether that was all of it.
    pub(super) fn finish(self) -> (Vec<u8>, Result<(), Unread>) {
        match self {
            Self::Plain(limited) => (limited.bytes, Ok(())),
            Self::Packed(mut packed) => {
                let ended = packed.try_finish().map_err(|_| if packed.get_ref().over { Unread::TooLarge } else { Unread::Broken });
                (std::mem::take(&mut packed.get_mut().bytes), ended)
            }
        }
    }

    fn limited(&self) -> &Limited {
        match self {
            Self::Plain(limited) => limited,
            Self::Packed(packed) => packed.get_ref(),
        }
    }
}

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left = self.most - self.bytes.len();
        self.bytes.extend_from_slice(bytes.get(..left).unwrap_or(bytes));
        self.over |= bytes.len() > left;
        if self.over { Err(io::Error::other("too large")) } else { Ok(bytes.len()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;

    fn read(packed: bool, bytes: &[u8], most: usize) -> (usize, Result<(), Unread>) {
        let headers = if packed { HeaderMap::from_iter([(CONTENT_ENCODING, "GZIP".parse().unwrap())]) } else { HeaderMap::new() };
        let mut body = Body::of(&headers, most);
        let pushed = bytes.chunks(7).try_for_each(|chunk| body.push(chunk));
        let (all, ended) = body.finish();
        (all.len(), pushed.and(ended))
    }

    #[test]
    fn a_body_is_limited_by_what_it_is_when_unpacked() {
        let mut packer = GzEncoder::new(Vec::new(), Compression::best());
        packer.write_all(&[b' '; 1 << 20]).unwrap();
        let packed = packer.finish().unwrap();
        assert!(packed.len() < 2000);
        assert_eq!(read(true, &packed, 1 << 20), (1 << 20, Ok(())));
        assert_eq!(read(true, &packed, 1000), (1000, Err(Unread::TooLarge)));
        assert_eq!(read(false, &packed, 1 << 20), (packed.len(), Ok(())));
        assert_eq!(read(false, &packed, 10), (10, Err(Unread::TooLarge)));
        assert_eq!(read(true, &packed[..packed.len() / 2], 1 << 20).1, Err(Unread::Broken));
        assert_eq!(read(true, b"not packed at all", 1000).1, Err(Unread::Broken));
    }
}

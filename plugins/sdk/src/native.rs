//! A classifier run natively, for `tracejury plugin bench --native`, which compares it with the component. It reads traces from stdin in
//! a form that needs no library, then the number of one trace after another, and answers each with the nanoseconds it took. All
//! numbers are little-endian: a text is its length (u32) and its bytes, what may be absent has a byte before it, 0 or 1.

use crate::{Classifier, Fault, Step, Trace};
use std::hint::black_box;
use std::io::{ErrorKind, Read, Result, Write};
use std::time::Instant;

/// Serves until stdin ends.
///
/// # Errors
/// The streams fail, or what is read is not of the form.
pub fn serve<T: Classifier>(mut input: impl Read, mut output: impl Write) -> Result<()> {
    T::configure("").map_err(std::io::Error::other)?;
    let count = number(&mut input)?;
    let traces = (0..count).map(|_| trace(&mut input)).collect::<Result<Vec<_>>>()?;
    loop {
        let wanted = match number(&mut input) {
            Err(end) if end.kind() == ErrorKind::UnexpectedEof => return Ok(()),
            wanted => wanted? as usize,
        };
        let trace = traces.get(wanted).ok_or(ErrorKind::InvalidData)?;
        let started = Instant::now();
        let _ = black_box(T::classify(black_box(trace)));
        let took = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        output.write_all(&took.to_le_bytes())?;
        output.flush()?;
    }
}

fn number(input: &mut impl Read) -> Result<u32> {
    let mut bytes = [0; 4];
    input.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

fn text(input: &mut impl Read) -> Result<String> {
    let length = number(input)?;
    let mut bytes = Vec::new();
    input.take(u64::from(length)).read_to_end(&mut bytes)?;
    String::from_utf8(bytes).map_err(|_| ErrorKind::InvalidData.into())
}

fn maybe<I: Read, T>(input: &mut I, read: impl FnOnce(&mut I) -> Result<T>) -> Result<Option<T>> {
    let mut there = [0];
    input.read_exact(&mut there)?;
    (there != [0]).then(|| read(input)).transpose()
}

fn fault(input: &mut impl Read) -> Result<Fault> {
    Ok(Fault { message: text(input)?, stack: maybe(input, text)?, code: maybe(input, text)? })
}

fn trace(input: &mut impl Read) -> Result<Trace> {
    let [session_id, action_id, environment, status] = [text(input)?, text(input)?, text(input)?, text(input)?];
    let (error, failing_step, count) = (maybe(input, fault)?, maybe(input, number)?, number(input)?);
    let step = |_| {
        Ok(Step { id: text(input)?, name: maybe(input, text)?, timestamp: None, input: None, output: None, error: maybe(input, fault)? })
    };
    let steps = (0..count).map(step).collect::<Result<_>>()?;
    Ok(Trace { session_id, action_id, environment, status, error, failing_step, steps, attributes: Vec::new() })
}

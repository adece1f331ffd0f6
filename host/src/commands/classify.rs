//! `tracejury classify`: recorded traces in, outcomes out, in the order they came. Traces are read as they arrive and judged on
//! all processors; what is in memory at once does not grow with their number.

use super::unclassified::Collector;
use super::{Hold, court, settings, terms};
use crate::classify::{Asked, Terms, judge_here};
use crate::cli::ClassifyArgs;
use crate::debug_api::{Recorded, parse_recorded};
use crate::exit::{Exit, Failure};
use crate::jury::Jury;
use crate::model::Outcome;
use crate::report::{Batch, Files, Format, Progress, Report, warn};
use rayon::prelude::*;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};

/// How much is read at a time, in bytes; less where less is there.
const BLOCK: usize = 128 << 10;
/// How many blocks are judged side by side.
const AT_ONCE: usize = 16;

pub(super) async fn execute(args: ClassifyArgs) -> Result<Exit, Failure> {
    let settings = settings(&args.common)?;
    let (court, terms) = (court(&settings, Hold::of(args.locked)).await?, terms(&settings)?);
    let files = if args.traces.is_empty() { vec![PathBuf::from("-")] } else { args.traces };
    let format = args.common.format;
    let jury = Arc::clone(&court.jury);
    let collector = Collector::new(&settings.plugins).while_reading(&files);
    let work = tokio::task::spawn_blocking(move || classify(&jury, &terms, files, format, &collector));
    work.await.map_err(|e| Failure::new(Exit::CouldNotRun, format!("classifying broke off: {e}"), "please report this"))?
}

fn classify(jury: &Jury, terms: &Terms, files: Vec<PathBuf>, format: Format, collector: &Collector) -> Result<Exit, Failure> {
    let (blocks, read) = sync_channel(AT_ONCE);
    let reader = std::thread::spawn(move || read_all(&files, &blocks));
    let mut report = Report::new(format, None, Progress::None, Files::default());
    let mut bad = 0;
    let mut done = Vec::new();
    loop {
        let mut write = |done: Vec<Judged>| done.into_iter().for_each(|judged| bad += judged.report(&mut report));
        let first = read.try_recv().ok().or_else(|| {
            // Nothing more is there yet: whoever waits for an answer gets it now.
            write(std::mem::take(&mut done));
            read.recv().ok()
        });
        let blocks: Vec<_> = first.into_iter().chain(read.try_iter()).take(AT_ONCE).collect();
        if blocks.is_empty() {
            break;
        }
        // What was judged is written while what comes next is judged.
        let judge = || blocks.par_iter().map(|block| block.judge(jury, terms, format, collector)).collect::<Vec<_>>();
        (done, ()) = rayon::join(judge, || write(std::mem::take(&mut done)));
    }
    let ended = reader.join().unwrap_or_else(|_| Err(Failure::new(Exit::CouldNotRun, "reading broke off", "please report this")));
    if ended.is_err() && report.outcomes() == 0 {
        return ended.map(|()| Exit::Usage);
    }
    // What was judged before a file that cannot be read is not lost with it.
    report.table();
    let (summary, _) = report.finish(&[]);
    ended?;
    match (summary.vectors == 0 && bad == 0, bad) {
        (true, _) => Err(Failure::new(Exit::Usage, "there is no trace to classify", "give a file with one recorded trace a line")),
        (false, 0) => Ok(Exit::of(&summary)),
        (false, _) => Ok(Exit::Usage),
    }
}

/// Whole lines of one file, and the number of the first.
struct Block {
    place: String,
    first_line: usize,
    text: Vec<u8>,
}

/// What came of a block: outcomes, and what is wrong with lines that are none.
struct Judged {
    batch: Batch,
    wrong: Vec<String>,
}

impl Block {
    fn judge(&self, jury: &Jury, terms: &Terms, format: Format, collector: &Collector) -> Judged {
        let mut judged = Judged { batch: Batch::new(format), wrong: Vec::new() };
        let mut right = Vec::new();
        for (i, line) in self.text.split(|byte| *byte == b'\n').enumerate().filter(|(_, line)| !line.trim_ascii().is_empty()) {
            match recorded(line) {
                Ok(recorded) => right.push(recorded),
                Err(what) => judged.wrong.push(format!("{}:{}: {what}; the line is skipped", self.place, self.first_line + i)),
            }
        }
        let (traces, asked): (Vec<_>, Vec<_>) = right.into_iter().map(|r| ((r.name, r.trace), (r.input, r.expect))).unzip();
        let cases = traces.into_iter().zip(&asked).map(|((name, trace), (input, expect))| {
            let name = name.unwrap_or_else(|| trace.session.to_string());
            let outcome = Outcome::of(name, trace.action, trace.environment);
            (trace, Asked { input: input.as_ref(), expect: expect.as_ref(), terms }, outcome)
        });
        let mut outcomes = judge_here(jury, cases.collect());
        collector.collect(&mut outcomes);
        outcomes.into_iter().for_each(|outcome| judged.batch.add(outcome));
        judged
    }
}

impl Judged {
    /// Reports all; the number of lines that are no trace.
    fn report(self, report: &mut Report) -> usize {
        self.wrong.iter().for_each(|what| warn(what, "README, section Recorded traces, has the format"));
        report.batch(self.batch);
        self.wrong.len()
    }
}

fn recorded(line: &[u8]) -> Result<Recorded, String> {
    parse_recorded(std::str::from_utf8(line).map_err(|_| "is not UTF-8".to_owned())?)
}

/// Reads files one after the other, in blocks of whole lines.
fn read_all(files: &[PathBuf], blocks: &SyncSender<Block>) -> Result<(), Failure> {
    for file in files {
        let stdin = file == Path::new("-");
        let place = if stdin { "stdin".to_owned() } else { file.display().to_string() };
        let opened: std::io::Result<Box<dyn Read>> =
            if stdin { Ok(Box::new(std::io::stdin())) } else { std::fs::File::open(file).map(|f| Box::new(f) as _) };
        opened
            .and_then(|input| read_blocks(&place, input, blocks))
            .map_err(|e| Failure::new(Exit::Usage, format!("{place}: cannot be read: {e}"), "check the file's name and permissions"))?;
    }
    Ok(())
}

fn read_blocks(place: &str, input: impl Read, blocks: &SyncSender<Block>) -> std::io::Result<()> {
    let mut input = BufReader::with_capacity(BLOCK, input);
    let (mut line, mut rest) = (1, Vec::new());
    loop {
        let read = input.fill_buf()?;
        let length = read.len();
        let whole = read.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let (lines, begun) = read.split_at_checked(if length == 0 { 0 } else { whole }).unwrap_or((read, &[]));
        if whole > 0 || length == 0 {
            let mut text = std::mem::take(&mut rest);
            text.extend_from_slice(lines);
            let lines = text.iter().filter(|byte| **byte == b'\n').count();
            // Nobody listens any more only where judging has broken off, which is told there.
            let told = text.is_empty() || blocks.send(Block { place: place.to_owned(), first_line: line, text }).is_ok();
            line += lines;
            if !told || length == 0 {
                return Ok(());
            }
        }
        rest.extend_from_slice(begun);
        input.consume(length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn blocks_hold_whole_lines_and_know_their_numbers() {
        let text = b"one\n\nthree\nfour without an end";
        for size in 1..text.len() + 1 {
            let (send, receive) = sync_channel(64);
            read_blocks("f", Pieces(text, size), &send).unwrap();
            drop(send);
            let mut numbered = Vec::new();
            for block in receive {
                for (i, line) in block.text.split(|b| *b == b'\n').enumerate().filter(|(_, line)| !line.is_empty()) {
                    numbered.push((block.first_line + i, String::from_utf8(line.to_vec()).unwrap()));
                }
            }
            assert_eq!(numbered, [(1, "one".into()), (3, "three".into()), (4, "four without an end".into())], "{size}");
        }
    }
}

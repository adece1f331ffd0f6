//! Lines for people on stderr: each is masked by what the vector it is about holds, since a platform's answer and a plugin's words may
//! quote the input. It knows whose line it is, not what is to be masked.

use std::future::Future;
use std::io::Write;
use std::sync::Arc;
use tracing_subscriber::fmt::MakeWriter;

/// Takes out of a line what must not be in it.
pub type Mask = Arc<dyn Fn(&str) -> String + Send + Sync>;

tokio::task_local! {
    static MASK: Mask;
}

/// Does some work whose lines are masked.
pub async fn masked<F: Future>(mask: Mask, work: F) -> F::Output {
    MASK.scope(mask, work).await
}

/// The mask of the work that is done, to take it along to another thread.
#[must_use]
pub fn current() -> Option<Mask> {
    MASK.try_with(Arc::clone).ok()
}

/// Does some work on this thread whose lines are masked, where there is a mask.
pub fn masked_here<T>(mask: Option<Mask>, work: impl FnOnce() -> T) -> T {
    match mask {
        Some(mask) => MASK.sync_scope(mask, work),
        None => work(),
    }
}

/// Writes lines to stderr.
pub struct Lines {
    /// For lines that are about no vector.
    otherwise: Mask,
}

impl Lines {
    /// `otherwise` masks lines that are about no vector.
    #[must_use]
    pub fn new(otherwise: Mask) -> Self {
        Self { otherwise }
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line { mask: current().unwrap_or_else(|| Arc::clone(&self.otherwise)) }
    }
}

/// One line on its way.
pub struct Line {
    mask: Mask,
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let text = (self.mask)(&String::from_utf8_lossy(bytes));
        std::io::stderr().lock().write_all(text.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(word: &'static str) -> Mask {
        Arc::new(move |text| text.replace(word, "***"))
    }

    #[tokio::test]
    async fn a_mask_goes_with_its_work_and_can_be_taken_to_another_thread() {
        assert!(current().is_none());
        let here = masked(mask("eve"), async {
            tokio::task::yield_now().await;
            let taken = current();
            tokio::task::spawn_blocking(move || masked_here(taken, || current().unwrap()("eve says"))).await.unwrap()
        });
        let (here, there) = tokio::join!(here, masked(mask("bob"), async { current().unwrap()("eve, bob") }));
        assert_eq!((here.as_str(), there.as_str()), ("*** says", "eve, ***"));
        assert!(current().is_none());
    }
}

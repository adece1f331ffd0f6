//! How right classifiers are: labelled failures in, figures out. It knows labels, outcomes and arithmetic, not how anything is classified.

mod backtest;
mod corpus;
pub mod figure;
mod html;
mod score;

pub use backtest::{Backtest, Flip};
pub use corpus::{Labelled, Truth, read, without_label};
pub use html::page;
pub use score::{Judged, Mistake, Row, Scores, halves};

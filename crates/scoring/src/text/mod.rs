//! The text path: tokens, the features they make, the table that weighs them, and the phrases that are flagged.

mod flags;
mod grams;
mod language;
mod marks;
mod moods;
mod stems;
mod table;
mod tokens;

pub use flags::{Flag, Flags, Words};
pub use grams::{Gram, of_token, pair_key, token_key, word_key};
pub use language::foreign;
pub use moods::{MOODS, Moods};
pub use stems::Stems;
pub use table::{COLUMNS, Table, Weights};
pub use tokens::{Kind, Token, Tokens};

//! The text path: tokens, the features they make, the table that weighs them, and the phrases that are flagged.

mod flags;
mod forms;
mod grams;
mod language;
mod marks;
mod moods;
mod near;
mod negation;
mod personal;
mod reply;
mod stems;
mod table;
mod tokens;

pub use flags::{Flag, Flags, Words};
pub use grams::{Gram, negated_key, of_token, of_word, pair_key, token_key, word_key, words_of};
pub use language::foreign;
pub use moods::{MOODS, Moods};
pub use near::sim_hash;
pub use personal::{LOOKED_AT, Personal, PersonalData, PersonalKind, redacted};
pub use reply::{Replies, ReplyFault, ReplyFaultKind};
pub use stems::Stems;
pub use table::{COLUMNS, Table, Weights};
pub use tokens::{Kind, Token, Tokens};

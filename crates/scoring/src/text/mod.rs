//! Text processing: tokenizer, features and their weight table, flagged phrases, personal data, reply checks
//! and language detection.

mod flags;
mod folded;
mod grams;
mod language;
mod marks;
mod moods;
mod negation;
mod patterns;
mod personal;
mod reply;
mod sieve;
mod sim_hash;
mod stems;
mod table;
mod terms;
mod tokens;

pub use flags::{FlagMatcher, FlagSpan, WordLine};
pub use grams::{Gram, negated_key, pair_key, token_grams, token_key, token_words, word_grams, word_key};
pub use language::{detect_foreign, letters};
pub use moods::{MOOD_FEATURES, MoodFeatures};
pub use personal::{MAX_SCANNED_BYTES, PersonalDataDetector, PersonalKind, PersonalSpan, redacted};
pub use reply::{ReplyChecker, ReplyFault, ReplyFaultKind};
pub use sim_hash::sim_hash;
pub use stems::CachedStemmer;
pub use table::{COLUMNS, ColumnWeights, WeightTable};
pub use tokens::{Token, TokenKind, Tokenizer};

//! Trains the encoder: starts from all-MiniLM-L6-v2 and tunes it on every labelled post, all heads at once.

mod base;
mod batch_predict;
mod fine_tune;
mod fused;
mod net;

pub use batch_predict::predict_all;
pub use fine_tune::{EncoderOptions, train};

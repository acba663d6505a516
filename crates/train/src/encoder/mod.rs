//! Trains the encoder: fine-tunes all-MiniLM-L6-v2 on every labelled post, with all heads at once.

mod base;
mod batch_predict;
mod fine_tune;
mod fused;
mod net;

pub use batch_predict::predict_all;
pub use fine_tune::{EncoderOptions, train};

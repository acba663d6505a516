//! Trains the encoder: starts from all-MiniLM-L6-v2 and tunes it on every labelled post, all heads at once.

mod base;
mod fused;
mod many;
mod net;
mod tune;

pub use many::say_all;
pub use tune::{Options, train};

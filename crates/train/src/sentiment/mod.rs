//! Trains the fast tier: one linear table, taught by labels and by the encoder.
//!
//! A linear model of words levels off on the labels alone. What lifts it is the encoder's opinion of every post,
//! labelled or not (distillation, Hinton et al. 2015): the table learns a mixture of labels and that opinion.

mod lexicon;
mod sparse_regression;
mod targets;
mod train;
mod vocabulary;

pub use train::{SentimentOptions, evaluate, train};

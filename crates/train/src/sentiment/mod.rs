//! Trains the fast text model: a linear table, learned from labels and from the encoder.
//!
//! A linear model of words stops improving on labels alone. The encoder's predictions of every post, labelled
//! or not, improve it further (distillation, Hinton et al. 2015), so it learns a mixture of both.

mod lexicon;
mod sparse_regression;
mod targets;
mod train;
mod vocabulary;

pub use train::{SentimentOptions, evaluate, train};

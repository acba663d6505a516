//! Benchmarks live in `record.rs`; this crate has no code of its own.

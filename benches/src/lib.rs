//! Benchmarks live in `record.rs` and `broker/`; this crate has no code of its own.

//! What the benchmarks share: steps that take turns, told as ratios to the first.

use std::time::Instant;

const ROUNDS: usize = 15;

/// A step: its name, the records it works on, and the work.
pub type BenchStep<'a> = (&'a str, usize, &'a mut dyn FnMut());

/// Runs the steps in turns, so that a machine that slows down slows them all, and prints the medians over rounds.
pub fn report<const N: usize>(mut steps: [BenchStep<'_>; N]) {
    let mut nanos = vec![Vec::new(); steps.len()];
    for _ in 0..ROUNDS {
        for ((_, n, step), nanos) in steps.iter_mut().zip(&mut nanos) {
            let start = Instant::now();
            step();
            nanos.push(start.elapsed().as_nanos() as f64 / *n as f64);
        }
    }
    println!("{:<38} {:>12} {:>12} {:>10}", "step", "ns a record", "records/s", "to parse");
    let plain = nanos[0].clone();
    for ((name, ..), nanos) in steps.iter().zip(&nanos) {
        let ratio = median(nanos.iter().zip(&plain).map(|(a, b)| a / b).collect());
        let each = median(nanos.clone());
        println!("{name:<38} {each:>12.0} {:>12.0} {ratio:>10.2}", 1e9 / each);
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

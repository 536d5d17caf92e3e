//! Rust's optimisers side by side where callbacks are cheap: total time and evaluations, each peer as its documentation
//! calls it.
//!
//!     cargo run --release --manifest-path benches/peers/rust/Cargo.toml [-- ROUNDS]
//!
//! The chained Rosenbrock function (Conn, Gould & Toint) of n unknowns from the standard start, to ‖g‖ ≤ 1e-6, and a decay
//! a·exp(−bt) + c fitted to 50 points with MINPACK's default tolerances. Rounds are interleaved; medians. `solved` is by the
//! gradient at the peer's last point, computed here.

mod chain;
mod decay;

use std::time::Instant;

/// What a run made.
pub struct Outcome {
    pub x: Vec<f64>,
    /// Values, gradients and products; residuals and Jacobians.
    pub counts: [u64; 3],
}

/// A solver by its name.
pub type Peer<'p> = (&'static str, Box<dyn Fn() -> Option<Outcome> + 'p>);

/// Runs all of them in turns; prints a row for each.
fn race(problem: &str, rounds: usize, peers: &[Peer<'_>], gradient_norm: impl Fn(&[f64]) -> f64) {
    let mut times = vec![vec![]; peers.len()];
    let mut last = vec![];
    for round in 0..rounds {
        last.clear();
        for ((_, run), times) in peers.iter().zip(&mut times) {
            let start = Instant::now();
            let outcome = run();
            // The first round warms up.
            if round > 0 || rounds == 1 {
                times.push(start.elapsed().as_secs_f64() * 1e6);
            }
            last.push(outcome);
        }
    }
    let median = |times: &mut Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    for (((name, _), times), outcome) in peers.iter().zip(&mut times).zip(last) {
        match outcome {
            Some(Outcome { x, counts: [a, b, c] }) => {
                println!("| {problem} | {name} | {:.1} | {a} | {b} | {c} | {:.1e} |", median(times), gradient_norm(&x));
            }
            None => println!("| {problem} | {name} | {:.1} | | | | failed |", median(times)),
        }
    }
}

fn main() {
    let rounds = std::env::args().nth(1).map_or(9, |rounds| rounds.parse().expect("ROUNDS is a number"));
    println!("| problem | solver | median µs | values | gradients | products | gradient norm at the end |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for n in [2, 10, 100, 1000] {
        let chain = chain::Chain::new(n);
        race(&format!("chained Rosenbrock {n}"), rounds, &chain.peers(), |x| chain::norm(&chain.gradient(x)));
    }
    race("decay, 3 of 50", rounds, &decay::peers(), |x| chain::norm(&decay::gradient(x)));
}

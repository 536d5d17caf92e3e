//! What a first-order step costs beside the gradient: `cargo bench --bench first_order [-- UNKNOWNS]`, 10⁷ by default.
//!
//! A step reads and writes every vector once. Its time is compared with that of a parallel copy (one `memcpy` a thread)
//! that moves as many bytes: half of them read, half of them written. Both are timed in turns; the medians are given.

use std::hint::black_box;
use std::time::Instant;

use newton_krylov::{
    Scalar,
    first_order::{AdaGrad, Adam, GradientDescent, GradientMethod, HeavyBall, Momentum, Nesterov, RmsProp},
};

/// Timings of each, in turns.
const TURNS: usize = 15;
/// A step may take so much longer than the copy.
const MOST: f64 = 1.2;

fn main() {
    let unknowns = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(10_000_000);
    println!("{unknowns} unknowns, {} threads, medians of {TURNS}", rayon::current_num_threads());
    println!("{:<24} {:>8} {:>10} {:>10} {:>8} {:>7}", "", "streams", "step, ms", "copy, ms", "GB/s", "ratio");
    let worst = f64::max(all::<f64>("f64", unknowns), all::<f32>("f32", unknowns));
    println!("largest ratio {worst:.2}; the goal is {MOST}");
}

/// The largest ratio.
fn all<T: Scalar>(scalar: &str, unknowns: usize) -> f64 {
    [
        one::<T, _>("gradient descent", scalar, unknowns, GradientDescent { rate: 1e-3 }),
        one::<T, _>("heavy ball", scalar, unknowns, HeavyBall { rate: 1e-3, momentum: 0.9 }),
        one::<T, _>("Nesterov", scalar, unknowns, Nesterov { rate: 1e-3, momentum: Momentum::Constant(0.9) }),
        one::<T, _>("AdaGrad", scalar, unknowns, AdaGrad::default()),
        one::<T, _>("RMSProp", scalar, unknowns, RmsProp::default()),
        one::<T, _>("Adam", scalar, unknowns, Adam::default()),
        one::<T, _>("AdamW", scalar, unknowns, Adam { decay: 0.01, ..Adam::default() }),
    ]
    .into_iter()
    .fold(0.0, f64::max)
}

fn one<T: Scalar, M: GradientMethod>(name: &str, scalar: &str, unknowns: usize, method: M) -> f64 {
    let gradient: Vec<T> = (0..unknowns).map(|i| T::from_f64((i as f64).sin())).collect();
    let mut x = vec![T::one(); unknowns];
    let mut moments = method.moments(unknowns);
    // g is read; x and the moments are read and written.
    let streams = 3 + 2 * (moments.first.len() + moments.second.len()) / unknowns;
    let copied = streams * unknowns / 2;
    let (source, mut target) = (vec![T::one(); copied], vec![T::zero(); copied]);
    let (mut steps, mut copies) = (vec![], vec![]);
    for _ in 0..=TURNS {
        let start = Instant::now();
        black_box(method.step(&mut moments, black_box(&gradient), &mut x).expect("valid input"));
        steps.push(start.elapsed().as_secs_f64());
        let start = Instant::now();
        copy(black_box(&source), &mut target);
        black_box(&mut target);
        copies.push(start.elapsed().as_secs_f64());
    }
    let median = |times: &mut Vec<f64>| {
        times.remove(0); // the first one touches the pages
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    let (step, copy) = (median(&mut steps), median(&mut copies));
    let bandwidth = (streams * unknowns * size_of::<T>()) as f64 / step * 1e-9;
    let ratio = step / copy;
    println!(
        "{:<24} {streams:>8} {:>10.2} {:>10.2} {bandwidth:>8.1} {ratio:>7.2}",
        format!("{name}, {scalar}"),
        1e3 * step,
        1e3 * copy
    );
    ratio
}

/// One part for every thread.
fn copy<T: Copy + Send + Sync>(source: &[T], target: &mut [T]) {
    let part = source.len().div_ceil(rayon::current_num_threads()).max(1);
    rayon::scope(|scope| {
        for (source, target) in source.chunks(part).zip(target.chunks_mut(part)) {
            scope.spawn(|_| target.copy_from_slice(source));
        }
    });
}

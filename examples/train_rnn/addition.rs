//! The addition problem of Hochreiter & Schmidhuber, "Long short-term memory" (Neural Computation 9 (1997)), section 5.4.
//!
//! At every step a sequence has a number and a mark. Two numbers are marked; the target, asked for after the last step, is
//! their sum. The first is one of the first T/10, the second another one of the first T/2: so between the numbers and the
//! answer there are always T/2 steps of noise.
//!
//! Here as in later work the numbers are uniform in [0, 1) and the target is their plain sum, and all sequences have the
//! length T (the authors draw lengths from T to 11T/10).

use newton_krylov::models::ElmanNetwork;
use newton_krylov::random::SplitMix64;
use newton_krylov::{Model, SampledModel};

/// Inputs for each step: the number and its mark.
pub const INPUTS: usize = 2;
/// A sequence is processed correctly if the error at its end is below this (Hochreiter & Schmidhuber, whose targets
/// extend over half the range that they have here).
const CORRECT: f32 = 0.04;
/// The problem is solved if at most this share of fresh sequences is not processed correctly.
const WRONG: f64 = 0.01;
/// Sequences evaluated at a time.
const PART: usize = 1000;

pub struct Sequences {
    pub inputs: Vec<f32>,
    pub sums: Vec<f32>,
}

impl Sequences {
    /// `count` sequences of `length` steps, at least 2, fixed by the seed.
    pub fn draw(length: usize, count: usize, seed: u64) -> Self {
        let mut random = SplitMix64::new(seed);
        let below = |n: usize, random: &mut SplitMix64| (random.uniform() * n as f64) as usize;
        let mut sequences = Sequences { inputs: Vec::with_capacity(INPUTS * length * count), sums: vec![] };
        for _ in 0..count {
            let first = below((length / 10).max(1), &mut random);
            let second = loop {
                let second = below((length / 2).max(2), &mut random);
                if second != first {
                    break second;
                }
            };
            let mut sum = 0.0;
            for step in 0..length {
                let (number, marked) = (random.uniform() as f32, step == first || step == second);
                sequences.inputs.extend([number, if marked { 1.0 } else { 0.0 }]);
                sum += if marked { number } else { 0.0 };
            }
            sequences.sums.push(sum);
        }
        sequences
    }
}

/// How well a network adds.
#[derive(Clone, Copy, Debug)]
pub struct Quality {
    /// The mean squared error; the mean of all sums has 1/6.
    pub error: f64,
    /// The share of sequences that are not processed correctly.
    pub wrong: f64,
}

impl Quality {
    pub fn of(network: &ElmanNetwork, x: &[f32], sequences: &Sequences) -> Self {
        let model = network.on(&sequences.inputs).expect("whole sequences");
        let (mut squares, mut wrong) = (0.0, 0);
        let all: Vec<usize> = (0..sequences.sums.len()).collect();
        let mut outputs = vec![0.0; PART];
        for part in all.chunks(PART) {
            let outputs = &mut outputs[..part.len()];
            model.batch(part).evaluate(x, outputs);
            for (y, &i) in outputs.iter().zip(part) {
                let error = (y - sequences.sums[i]).abs();
                squares += f64::from(error).powi(2);
                wrong += usize::from(error.is_nan() || error >= CORRECT);
            }
        }
        let count = sequences.sums.len() as f64;
        Quality { error: squares / count, wrong: wrong as f64 / count }
    }

    pub fn solved(&self) -> bool {
        self.wrong <= WRONG
    }
}

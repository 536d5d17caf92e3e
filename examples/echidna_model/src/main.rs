//! The shortest way from a Rust function to exact products: write f over echidna's numbers, record it, minimise.
//!
//! ```sh
//! cargo run --release --manifest-path examples/echidna_model/Cargo.toml
//! ```
//!
//! Minimises a chain of a hundred unknowns and fits a decay with its standard errors, and says what a product costs in
//! gradients. A function of yours is one like `chain` or `decay`: any code over `BReverse<f64>` whose branches do not depend
//! on x.

mod recorded;

use std::time::Instant;

use echidna::BReverse;
use newton_krylov::statistics::{ParameterTable, covariance};
use newton_krylov::{Expansion, LevenbergMarquardt, Objective, SymmetricOperator, TrustRegion, check};
use num_traits::Float;

use recorded::{recorded_objective, recorded_residuals};

type Number = BReverse<f64>;

/// Σ 100(xᵢ₊₁ − xᵢ²)² + (1 − xᵢ)².
fn chain(x: &[Number]) -> Number {
    x.windows(2).fold(Number::constant(0.0), |sum, pair| {
        let (a, b) = (pair[1] - pair[0] * pair[0], Number::constant(1.0) - pair[0]);
        sum + Number::constant(100.0) * a * a + b * b
    })
}

/// a exp(−bt) + c − y.
fn decay(x: &[Number], points: &[(f64, f64)]) -> Vec<Number> {
    let at = |&(t, y): &(f64, f64)| x[0] * (x[1] * Number::constant(-t)).exp() + x[2] - Number::constant(y);
    points.iter().map(at).collect()
}

/// Median seconds of a call.
fn seconds(mut call: impl FnMut()) -> f64 {
    let mut times: Vec<f64> = (0..21)
        .map(|_| {
            let start = Instant::now();
            call();
            start.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[10]
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let n = 100;
    let x0: Vec<f64> = (0..n).map(|i| if i % 2 == 0 { -1.2 } else { 1.0 }).collect();
    let (tape, _) = echidna::record(chain, &x0);
    let f = recorded_objective(&tape);
    let verdict = check::objective(&f, &x0, 1)?;
    if !verdict.passed() {
        return Err(verdict.to_string().into());
    }
    println!("{}", TrustRegion::default().minimize(&f, &x0)?);

    let at = f.expand(&x0);
    let mut out = vec![0.0; n];
    let gradient = seconds(|| at.gradient(&mut out));
    let product = seconds(|| at.apply(&x0, &mut out));
    println!("a product with the Hessian costs {:.1} gradients\n", product / gradient);

    let points: Vec<(f64, f64)> =
        (0..50).map(|i| 0.1 * i as f64).map(|t| (t, 5.0 * (-1.3 * t).exp() + 0.7 + 0.05 * (7.0 * t).sin())).collect();
    let (tape, _) = echidna::record_multi(|x| decay(x, &points), &[1.0, 1.0, 0.0]);
    let fit = recorded_residuals(tape);
    let report = LevenbergMarquardt::default().minimize(&fit, &[1.0, 1.0, 0.0])?;
    let errors = covariance(&fit, &report.x)?.standard_errors;
    println!("{report}\n{}", ParameterTable::new(&["amplitude", "rate", "offset"], &report.x, Some(&errors))?);
    Ok(())
}

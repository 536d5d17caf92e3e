//! Least squares on the Golub–Kahan path: the same problems as by dense factors, and what it costs.

use std::cell::Cell;

use newton_krylov::problems::NistStrd;
use newton_krylov::{
    Inner, InnerStop, LevenbergMarquardt, LinearMap, Linearization, Memory, Model, Stopping, least_squares,
};

fn krylov() -> LevenbergMarquardt {
    LevenbergMarquardt { inner: Inner::Krylov, ..LevenbergMarquardt::default() }
}

#[test]
fn nist_problems_are_solved_without_a_matrix() {
    let (mut solved, mut sum) = (0, 0.0);
    for problem in NistStrd::all() {
        for which in [1, 2] {
            let report = krylov().minimize(&problem.least_squares(), problem.start(which)).unwrap();
            let digits = problem.digits(&report.x);
            println!(
                "{:9} {which} {digits:5.2} r {:4} J {:4} Jv {:4} Jtu {:4} {}",
                problem.name(),
                report.counts.residuals,
                report.counts.linearizations,
                report.counts.products,
                report.counts.transpose_products,
                report.termination
            );
            solved += usize::from(digits >= 6.0);
            sum += digits;
        }
    }
    println!("{solved}/54 mean {:.3}", sum / 54.0);
}

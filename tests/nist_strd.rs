//! The certified answers of NIST's nonlinear regression problems, from both starts, with default options.

use newton_krylov::LevenbergMarquardt;
use newton_krylov::problems::NistStrd;

#[test]
fn every_problem_is_solved_from_both_starts() {
    let (mut solved, mut sum, mut total) = (0, 0.0, [0; 2]);
    for problem in NistStrd::all() {
        for which in [1, 2] {
            let report =
                LevenbergMarquardt::default().minimize(&problem.least_squares(), problem.start(which)).unwrap();
            let digits = problem.digits(&report.x);
            println!(
                "{:9} {which} {digits:5.2} r {:4} J {:4} cos {:.1e} {}",
                problem.name(),
                report.counts.residuals,
                report.counts.linearizations,
                report.cosine,
                report.termination
            );
            solved += usize::from(digits >= 6.0);
            sum += digits;
            total[0] += report.counts.residuals;
            total[1] += report.counts.linearizations;
        }
    }
    println!("{solved}/54 mean {:.3} residuals {} Jacobians {}", sum / 54.0, total[0], total[1]);
}

//! NIST's nonlinear regression problems: the certified answers from both starts, and the files' format.

use std::cell::Cell;

use newton_krylov::problems::NistStrd;
use newton_krylov::{
    LeastSquaresReport, LevenbergMarquardt, Stopping, check, differences::Difference, least_squares_from_residuals,
};

/// Digits and report of the 54 runs.
fn runs(solver: &LevenbergMarquardt) -> Vec<(String, f64, LeastSquaresReport<f64>)> {
    let mut runs = vec![];
    for problem in NistStrd::all() {
        for which in [1, 2] {
            let report = solver.minimize(&problem.least_squares(), problem.start(which)).unwrap();
            runs.push((format!("{problem} from start {which}"), problem.digits(&report.x), report));
        }
    }
    runs
}

fn mean(runs: &[(String, f64, LeastSquaresReport<f64>)]) -> f64 {
    runs.iter().map(|run| run.1).sum::<f64>() / runs.len() as f64
}

#[test]
fn default_options_solve_all_54() {
    let runs = runs(&LevenbergMarquardt::default());
    assert_eq!(runs.len(), 54);
    for (name, digits, report) in &runs {
        assert!(*digits >= 8.9, "{name}: {digits:.2} digits\n{report}");
        assert!(report.termination.converged(), "{name}\n{report}");
    }
    let mean = mean(&runs);
    assert!(mean >= 10.3, "{mean}");
    let totals = |count: fn(&LeastSquaresReport<f64>) -> usize| runs.iter().map(|run| count(&run.2)).sum::<usize>();
    let (residuals, jacobians) = (totals(|r| r.counts.values), totals(|r| r.counts.gradients));
    println!("mean {mean:.2} digits, {residuals} residuals, {jacobians} Jacobians");
    assert!(residuals <= 4200 && jacobians <= 4000, "{residuals} {jacobians}");
}

#[test]
fn acceleration_saves_jacobians() {
    let plain: usize = runs(&LevenbergMarquardt::default()).iter().map(|run| run.2.counts.gradients).sum();
    let runs = runs(&LevenbergMarquardt { acceleration: true, ..LevenbergMarquardt::default() });
    let accelerated: usize = runs.iter().map(|run| run.2.counts.gradients).sum();
    assert!(accelerated * 10 < plain * 7, "{accelerated} of {plain}");
    for (name, digits, report) in &runs {
        assert!(*digits >= 6.0 || name == "MGH10 from start 1", "{name}: {digits}\n{report}");
    }
}

#[test]
fn the_sum_of_squares_is_the_certified_one() {
    for problem in NistStrd::all() {
        let mut r = vec![0.0; problem.observations()];
        problem.residuals(problem.certified(), &mut r);
        let sum: f64 = r.iter().map(|r| r * r).sum();
        // Lanczos1's is 1.4e-25, far below what parameters of eleven digits can reach.
        assert!((sum / problem.sum_of_squares() - 1.0).abs() < 1e-8 || sum < 1e-20, "{problem}: {sum}");
    }
}

#[test]
fn levels_of_difficulty_are_those_of_the_collection() {
    let count = |level: &str| NistStrd::all().iter().filter(|problem| problem.difficulty() == level).count();
    assert_eq!([count("lower"), count("average"), count("higher")], [8, 11, 8]);
}

#[test]
fn jacobians_are_derivatives() {
    for problem in NistStrd::all() {
        let verdict = check::least_squares(&problem.least_squares::<f64>(), problem.certified(), 3).unwrap();
        assert!(verdict.passed(), "{problem}\n{verdict}");
    }
}

#[test]
fn residuals_alone_are_enough() {
    for problem in NistStrd::all() {
        let r = |b: &[f64], r: &mut [f64]| problem.residuals(b, r);
        let m = problem.observations();
        let fit = least_squares_from_residuals(m, problem.certified().len(), r, Difference::Central);
        let report = LevenbergMarquardt::default().minimize(&fit, problem.start(2)).unwrap();
        assert!(problem.digits(&report.x) >= 6.0, "{problem}: {}\n{report}", problem.digits(&report.x));
    }
}

/// Calls of MINPACK's `lmdif` (SciPy 1.17.1's `leastsq`, ftol = xtol = 1e-12, for which it has 7.4 digits in the mean)
/// from both starts.
const MINPACK: [(&str, [usize; 2]); 10] = [
    ("Chwirut1", [42, 25]),
    ("DanWood", [19, 19]),
    ("ENSO", [311, 281]),
    ("Gauss1", [46, 64]),
    ("Hahn1", [89, 97]),
    ("Kirby2", [49, 43]),
    ("MGH10", [1028, 486]),
    ("Misra1b", [62, 20]),
    ("Roszman1", [31, 26]),
    ("Thurber", [328, 233]),
];

#[test]
fn forward_differences_cost_what_they_cost_in_minpack() {
    let (mut excess, mut runs) = (0.0, 0);
    for problem in NistStrd::all() {
        for which in [1, 2] {
            let (calls, m) = (Cell::new(0), problem.observations());
            let r = |b: &[f64], r: &mut [f64]| {
                calls.set(calls.get() + 1);
                problem.residuals(b, r);
            };
            let fit = least_squares_from_residuals(m, problem.certified().len(), r, Difference::Forward);
            let report = LevenbergMarquardt::default().minimize(&fit, problem.start(which)).unwrap();
            assert!(report.termination.converged() && problem.digits(&report.x) >= 4.8, "{problem} {which}\n{report}");
            assert_eq!(report.counts.values, calls.get());
            if let Some((_, minpack)) = MINPACK.iter().find(|(name, _)| *name == problem.name()) {
                excess += (calls.get() as f64 / minpack[which - 1] as f64).ln();
                runs += 1;
            }
        }
    }
    assert!(runs == 20 && (excess / 20.0).exp() <= 1.05, "{}", (excess / 20.0).exp());
}

#[test]
fn single_precision_has_its_digits() {
    for name in ["Misra1a", "Chwirut2", "DanWood", "Rat42", "Gauss1", "ENSO"] {
        let problem = NistStrd::all().into_iter().find(|p| p.name() == name).unwrap();
        let start: Vec<f32> = problem.start(2).iter().map(|&b| b as f32).collect();
        let report = LevenbergMarquardt::default().minimize(&problem.least_squares::<f32>(), &start).unwrap();
        assert!(problem.digits(&report.x) >= 3.0, "{name}: {}\n{report}", problem.digits(&report.x));
    }
}

#[test]
fn malformed_files_are_refused_with_their_line() {
    let text = include_str!("../data/nist_strd/Misra1a.dat");
    assert_eq!(NistStrd::parse(text).unwrap().name(), "Misra1a");
    let refused = |text: &str, line: usize, words: &str| {
        let error = NistStrd::parse(text).unwrap_err();
        assert!(error.line == line && error.to_string().contains(words), "{error}");
    };
    refused(&text.replace("17.94E0", "17.94X0"), 63, "'17.94X0' is not a finite number");
    refused(&text.replacen("114.9E0", "", 1), 62, "expected 2 numbers, found 1");
    refused(&text.replace("(lines 61 to 74)", "(lines 61 to 90)"), 75, "ends before line 75");
    refused(&text.replace("(lines 41 to 42)", "(lines x)"), 5, "no range of lines");
    refused(&text.replace("Residual Sum of Squares", "Sum"), 1, "there is no line with 'Residual Sum of Squares:'");
    refused(&text.replace("Dataset Name:  Misra1a", "Dataset Name:  Misra9z"), 2, "'Misra9z' is none");
    refused(&text.replace("500         250", "500"), 41, "expected 4 numbers");
    refused(&text.replace("Lower Level", "Lowest Level"), 28, "none of Lower, Average and Higher");
    refused("", 1, "no line with 'Dataset Name:'");
}

/// Between a tolerance and the default lie digits, and what they cost.
#[test]
fn a_looser_tolerance_takes_fewer_residuals() {
    let with = |gradient_relative| {
        let stopping = Stopping { gradient_relative, ..Stopping::default() };
        let runs = runs(&LevenbergMarquardt { stopping, ..LevenbergMarquardt::default() });
        assert!(runs.iter().all(|run| run.2.termination.converged()), "{gradient_relative}");
        (runs.iter().map(|run| run.2.counts.values).sum::<usize>(), mean(&runs))
    };
    let ((loose, few_digits), (tight, digits)) = (with(1e-3), with(1e-8));
    println!("{loose} and {tight} residuals, {few_digits:.1} and {digits:.1} digits");
    assert!(20 * loose < 19 * tight && few_digits > 5.0 && few_digits < digits - 1.0);
}

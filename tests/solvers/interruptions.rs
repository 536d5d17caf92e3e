//! Errors and panics of callbacks at any call, cancellation by another thread, limits, and what is told of all that: through
//! every solver.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;

use super::every_solver::{Broken, Fault, Fuse, Minimize, every_solver, short};
use newton_krylov::*;

/// Whether the value that is reported is that of a batch.
fn sampled(name: &str) -> bool {
    name.contains("batches") || name.contains("Hessian-free")
}

/// Whether it may form a matrix.
fn forms(name: &str) -> bool {
    name.contains("Dense") || name.contains("9 unknowns")
}

/// What is wrong, of all solvers and calls.
#[derive(Default)]
struct Findings(Vec<String>);

impl Findings {
    fn expect(&mut self, holds: bool, say: impl FnOnce() -> String) {
        if !holds {
            self.0.push(say());
        }
    }

    /// The best point is reported, with its own value and gradient, and the observer saw the start, and what is true.
    fn expect_the_truth(&mut self, name: &str, fuse: &Fuse, report: &Report<f64>) {
        self.expect(report.x.iter().all(|x| x.is_finite()), || format!("{name}: {:?}", report.x));
        let seen = fuse.seen.borrow();
        let [values, gradients, products, transposed] = fuse.calls.each_ref().map(Cell::get);
        let fit = name.starts_with("fit");
        let Counts { values: v, gradients: g, products: p, transpose_products: t } = report.counts;
        // In least squares gradients are Jacobians, for which nothing is called. A matrix that was begun is told as one.
        let told = [v, if fit { gradients } else { g }, p, t];
        let begun = if report.error.is_some() && forms(name) { report.x.len() - 1 } else { 0 };
        let right = (products..=products + begun).contains(&p) && [v, told[1], t] == [values, gradients, transposed];
        self.expect(right, || format!("{name}: {:?} made, {told:?} told", [values, gradients, products, transposed]));
        if let Some(first) = seen.first() {
            self.expect(first.iteration == 0, || format!("{name}: the first is shown as {}", first.iteration));
            self.expect(sampled(name) || first.value == report.initial_value, || {
                format!("{name}: the first is {}, not {}", first.value, report.initial_value)
            });
        }
        if report.value.is_nan() {
            self.expect(seen.is_empty(), || format!("{name}: no value, but shown {}", seen[0].value));
        } else if !sampled(name) {
            let points = seen.iter().map(|seen| (&seen.x, seen.value, seen.gradient_norm));
            for (x, told, gradient_norm) in points.chain([(&report.x, report.value, report.gradient_norm)]) {
                let (there, mut g) = ((fuse.problem.value)(x), vec![0.0; x.len()]);
                self.expect((there - told).abs() <= 1e-12 * there.abs(), || format!("{name}: {told} for {there}"));
                (fuse.problem.gradient)(x, &mut g);
                let norm = g.iter().map(|g| g * g).sum::<f64>().sqrt();
                // On a simplex it is another norm.
                let right = gradient_norm.is_nan() || (norm - gradient_norm).abs() <= 1e-6 * norm + 1e-12;
                self.expect(right || name.contains("Mirror"), || format!("{name}: ‖g‖ {gradient_norm} for {norm}"));
            }
            let least = seen.iter().map(|seen| seen.value).fold(report.initial_value, f64::min);
            let best = report.value <= least + 1e-14 * least.abs() || report.termination.converged();
            self.expect(best, || format!("{name}: {} where {least} was met", report.value));
        }
    }
}

impl Drop for Findings {
    fn drop(&mut self) {
        let Findings(wrong) = self;
        assert!(wrong.is_empty() || std::thread::panicking(), "{}", wrong.join("\n"));
    }
}

#[test]
fn an_error_at_any_call_ends_the_run_at_once() {
    let (mut met, mut findings) = (0, Findings::default());
    for at in 1..=50 {
        every_solver(
            || (short(), Fuse::new(at, Fault::Error)),
            |name, fuse, run| {
                let report = run().unwrap_or_else(|error| panic!("{name}, call {at}: {error}"));
                if fuse.calls() < at {
                    return; // the run was over
                }
                met += 1;
                let name = format!("{name}, call {at}");
                let failed = report.termination == Termination::CallbackFailed;
                findings.expect(failed, || format!("{name}: {:?}", report.termination));
                let error = report.error.as_ref().and_then(|error| error.downcast_ref());
                findings.expect(error == Some(&Broken(at)), || format!("{name}: {error:?}"));
                findings.expect(fuse.calls() == at, || format!("{name}: {} more calls", fuse.calls() - at));
                findings.expect_the_truth(&name, fuse, &report);
            },
        );
    }
    assert!(met > 800, "{met}");
}

#[test]
fn the_start_is_shown() {
    let mut findings = Findings::default();
    every_solver(
        || (short(), Fuse::new(0, Fault::Nothing)),
        |name, fuse, run| {
            let report = run().unwrap();
            findings.expect_the_truth(name, fuse, &report);
            findings.expect(!fuse.seen.borrow().is_empty(), || format!("{name}: the start is not shown"));
        },
    );
}

#[test]
fn a_panic_leaves_nothing_poisoned() {
    let runs = |at| {
        let mut reports = vec![];
        every_solver(
            || (short(), Fuse::new(at, Fault::Panic)),
            |name, _, run: Minimize<'_>| {
                // After the panic, the same solver and objective once more.
                let report = catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| run()).unwrap();
                reports.push((name.to_string(), report.x, report.value.to_bits(), report.counts));
            },
        );
        reports
    };
    let right = runs(0);
    for at in [1, 2, 3, 7, 20] {
        assert_eq!(runs(at), right, "{at}");
    }
}

#[test]
fn cancellation_by_another_thread_ends_a_run_within_one_call() {
    let mut findings = Findings::default();
    for at in 1..=25 {
        let start = || {
            let stopping = short();
            let (tell, heard) = mpsc::sync_channel(0);
            let (done, told) = mpsc::sync_channel(1);
            let flag = stopping.cancellation.clone();
            std::thread::spawn(move || {
                if heard.recv().is_ok() {
                    flag.cancel();
                    let _ = done.send(());
                }
            });
            (stopping, Fuse::new(at, Fault::Cancel(tell, told)))
        };
        every_solver(start, |name, fuse, run| {
            let report = run().unwrap();
            if fuse.calls() >= at {
                let name = format!("{name}, call {at}");
                // The products that form a matrix are one call.
                let most = at + if forms(&name) { report.x.len() } else { 1 };
                findings.expect(fuse.calls() <= most, || format!("{name}: {} more calls", fuse.calls() - at));
                let ended = report.termination == Termination::Cancelled || report.termination.converged();
                findings.expect(ended, || format!("{name}: {:?}", report.termination));
                findings.expect_the_truth(&name, fuse, &report);
            }
        });
    }
}

#[test]
fn no_limit_is_passed_by_one_call_and_each_is_named() {
    let mut findings = Findings::default();
    for most in 1..=25 {
        let unlimited = short();
        for (stopping, named) in [
            (Stopping { max_values: most, ..unlimited.clone() }, Termination::MaxValues),
            (Stopping { max_gradients: most, ..unlimited.clone() }, Termination::MaxGradients),
            (Stopping { max_products: most - 1, ..unlimited.clone() }, Termination::MaxProducts),
            (Stopping { max_iterations: most - 1, ..unlimited.clone() }, Termination::MaxIterations),
        ] {
            every_solver(
                || (stopping.clone(), Fuse::new(0, Fault::Nothing)),
                |name, fuse, run| {
                    let name = format!("{name}, {most} before {named:?}");
                    let report = run().unwrap();
                    // Where the limit is out of its reach the run ends as it would without it, and where it leaves no room
                    // for a closer look the run has stalled.
                    let unlimited = report.steps == unlimited.max_iterations;
                    let no_room = name.contains("9 unknowns") && report.termination == Termination::Stalled;
                    let ended = report.termination == named || report.termination.converged() || unlimited || no_room;
                    findings.expect(ended, || format!("{name}: {:?}", report.termination));
                    let made = fuse.calls.each_ref().map(Cell::get);
                    let found = [made[0], made[1], made[2] + made[3], report.steps];
                    let limits =
                        [stopping.max_values, stopping.max_gradients, stopping.max_products, stopping.max_iterations];
                    for (found, limit) in found.into_iter().zip(limits) {
                        findings.expect(found <= limit, || format!("{name}: {found} of {limit}"));
                    }
                    findings.expect_the_truth(&name, fuse, &report);
                },
            );
        }
    }
}

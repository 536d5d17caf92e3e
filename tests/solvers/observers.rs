//! Histories that are written while a run goes on are those of its report, to the last bit.

use std::cell::RefCell;
use std::io::{self, Write};
use std::ops::ControlFlow;

use newton_krylov::observers::Log;
use newton_krylov::problems::ChainedRosenbrock;
use newton_krylov::{
    Report, Stopping, TrustRegion,
    first_order::{Adam, FirstOrder},
};

const NAMES: [&str; 10] = [
    "iteration",
    "seconds",
    "value",
    "gradient_norm",
    "step_norm",
    "ratio",
    "rejected",
    "values",
    "gradients",
    "products",
];

/// A run with two logs and an observer of its own, which stops it after some iterations.
fn run<A: Write, B: Write>(a: &mut Log<A>, b: &mut Log<B>, most: usize) -> Report<f64> {
    let valley = ChainedRosenbrock::new(6).unwrap();
    let observer = |state: &newton_krylov::Progress<'_, f64>| {
        a.observe(state)?;
        b.observe(state)?;
        if state.iteration == most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    TrustRegion::default().minimize_with(&valley, &[-1.2, 1.0, -1.2, 1.0, -1.2, 1.0], observer).unwrap()
}

#[test]
fn both_forms_hold_the_history_of_the_report() {
    let (mut csv, mut json) = (Log::csv(vec![]), Log::json_lines(vec![]));
    let report = run(&mut csv, &mut json, 7);
    assert_eq!(report.iterations(), 7);
    let [csv, json] = [csv, json].map(|log| String::from_utf8(log.finish().unwrap()).unwrap());
    let mut rows = csv.lines().map(|line| line.split(',').collect::<Vec<_>>());
    assert_eq!(rows.next().unwrap(), NAMES);
    let rows: Vec<_> = rows.collect();
    let objects: Vec<serde_json::Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((rows.len(), objects.len()), (8, 8));
    for (i, (row, object)) in rows.iter().zip(&objects).enumerate() {
        assert_eq!((row.len(), object.as_object().unwrap().len()), (10, 10));
        for (name, cell) in NAMES.iter().zip(row) {
            // An empty cell is `null`, and all others are the same numbers.
            assert_eq!(object[name].as_f64(), cell.parse().ok(), "{name} of {i}");
        }
        let number = |k: usize| row[k].parse::<f64>().unwrap();
        assert_eq!(number(0), i as f64);
        let Some(last) = i.checked_sub(1).map(|before| report.history[before]) else {
            assert_eq!((row[4], row[5], row[6]), ("", "", ""));
            assert_eq!((number(2), number(3)), (report.initial_value, report.initial_gradient_norm));
            continue;
        };
        assert_eq!([2, 3, 4, 5].map(number), [last.value, last.gradient_norm, last.step_norm, last.ratio]);
        assert_eq!(number(6), last.rejected as f64);
    }
    let counts = [7, 8, 9].map(|k| rows[7][k].parse::<usize>().unwrap());
    assert_eq!(counts, [report.counts.values, report.counts.gradients, report.counts.products]);
}

#[test]
fn what_is_not_finite_is_null_in_json_and_nan_in_csv() {
    let valley = ChainedRosenbrock::new(2).unwrap();
    let adam = FirstOrder {
        stopping: Stopping { max_iterations: 3, ..Stopping::default() },
        ..FirstOrder::new(Adam::default())
    };
    let (mut csv, mut json) = (Log::csv(vec![]), Log::json_lines(vec![]));
    // A given rate predicts no decrease: its ratio is NaN.
    adam.minimize_with(&valley, &[0.0_f64, 0.0], |state| {
        csv.observe(state)?;
        json.observe(state)
    })
    .unwrap();
    let [csv, json] = [csv, json].map(|log| String::from_utf8(log.finish().unwrap()).unwrap());
    assert_eq!(csv.lines().nth(2).unwrap().split(',').nth(5), Some("NaN"));
    let second: serde_json::Value = serde_json::from_str(json.lines().nth(1).unwrap()).unwrap();
    assert!(second["ratio"].is_null() && second["step_norm"].is_number());
}

/// Takes some lines, and then there is no room.
struct Full<'w>(usize, &'w RefCell<usize>);

impl Write for Full<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        *self.1.borrow_mut() += 1;
        self.0 = self.0.checked_sub(1).ok_or(io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::BrokenPipe.into())
    }
}

#[test]
fn an_error_of_the_writer_is_kept_and_stops_no_run() {
    let (calls, other) = (RefCell::new(0), RefCell::new(0));
    let (mut full, mut roomy) = (Log::csv(Full(3, &calls)), Log::json_lines(Full(100, &other)));
    let report = run(&mut full, &mut roomy, 9);
    assert_eq!(report.iterations(), 9);
    // The fourth line fails, and nothing is tried afterwards.
    assert_eq!(*calls.borrow(), 4);
    assert_eq!(full.error().map(io::Error::kind), Some(io::ErrorKind::StorageFull));
    assert_eq!(full.finish().err().map(|e| e.kind()), Some(io::ErrorKind::StorageFull));
    assert!(roomy.error().is_none());
    assert_eq!(roomy.finish().err().map(|e| e.kind()), Some(io::ErrorKind::BrokenPipe));
}

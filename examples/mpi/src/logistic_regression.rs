//! L2-regularised logistic regression, ½‖w‖² + C Σ log(1 + exp(−yᵢ xᵢᵀw)), with its rows dealt out over the ranks, or
//! its features.
//!
//! By rows every rank has all of w, and what is local is summed by the library ([`Summed`]): d numbers for a gradient or a
//! product. By features every rank has its part of w, and all margins are summed here: as many numbers as there are rows.
//!
//! ```sh
//! mpirun -n 2 target/release/logistic_regression                      # heart_scale, rows dealt out
//! mpirun -n 2 target/release/logistic_regression rcv1.binary --by features
//! ```

use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;

use clap::{Parser, ValueEnum};
use newton_krylov::problems::{LabeledRows, generate_wide_sparse, parse_libsvm, read_libsvm_file};
use newton_krylov::{
    InnerSolver, Stopping, TrustRegion, objective,
    ranks::{Communicator, Slices, Summed, check_equal, distributed},
};
use ranks::{Mpi, run, summary};

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum By {
    Rows,
    Features,
}

#[derive(Parser)]
struct Arguments {
    /// Data in the LIBSVM format; without a file heart_scale
    path: Option<PathBuf>,
    /// Generate so many rows, with a quarter as many features
    #[arg(long, conflicts_with = "path")]
    generate: Option<usize>,
    /// What is dealt out
    #[arg(long, value_enum, default_value = "rows")]
    by: By,
    /// The weight of the losses
    #[arg(long, default_value_t = 1.0)]
    c: f64,
    /// Stop at this relative gradient
    #[arg(long, default_value_t = 1e-6)]
    tolerance: f64,
}

/// Some rows and some columns of the features, and the rows' labels, ±1.
struct Part {
    starts: Vec<usize>,
    entries: Vec<(usize, f64)>,
    labels: Vec<f64>,
}

impl Part {
    fn new(set: &LabeledRows<f64>, rows: Range<usize>, columns: &Range<usize>) -> Self {
        let (mut starts, mut entries) = (vec![0], vec![]);
        for i in rows.clone() {
            let (indices, values) = set.features.row(i);
            let all = indices.iter().map(|&j| j as usize).zip(values.iter().copied());
            entries.extend(all.filter(|(j, _)| columns.contains(j)).map(|(j, v)| (j - columns.start, v)));
            starts.push(entries.len());
        }
        Part { starts, entries, labels: set.labels[rows].to_vec() }
    }

    fn row(&self, i: usize) -> &[(usize, f64)] {
        &self.entries[self.starts[i]..self.starts[i + 1]]
    }

    fn times(&self, v: &[f64]) -> Vec<f64> {
        (0..self.labels.len()).map(|i| self.row(i).iter().map(|&(j, x)| x * v[j]).sum()).collect()
    }

    /// out ← out + Xᵀu.
    fn add_transpose_times(&self, u: &[f64], out: &mut [f64]) {
        (0..u.len()).for_each(|i| self.row(i).iter().for_each(|&(j, x)| out[j] += u[i] * x));
    }

    /// Σ log(1 + exp(−yz)).
    fn loss(&self, margins: &[f64]) -> f64 {
        let one = |(y, z): (&f64, &f64)| (-y * z).max(0.0) + (-(y * z).abs()).exp().ln_1p();
        self.labels.iter().zip(margins).map(one).sum()
    }

    /// c times the derivative of every loss.
    fn slopes(&self, c: f64, margins: &[f64]) -> Vec<f64> {
        self.labels.iter().zip(margins).map(|(y, z)| -c * y / (1.0 + (y * z).exp())).collect()
    }

    /// c times the second derivative of every loss, times t.
    fn curved(&self, c: f64, margins: &[f64], t: &[f64]) -> Vec<f64> {
        margins.iter().zip(t).map(|(z, t)| c * t / ((1.0 + z.exp()) * (1.0 + (-z).exp()))).collect()
    }
}

fn squares(w: &[f64]) -> f64 {
    w.iter().map(|w| w * w).sum()
}

fn solve(ranks: Rc<Mpi>, arguments: &Arguments) -> Result<(), String> {
    let mut set: LabeledRows<f64> = match (&arguments.path, arguments.generate) {
        (Some(path), _) => read_libsvm_file(path).map_err(|e| e.to_string())?,
        (None, Some(rows)) => generate_wide_sparse(rows, (rows / 4).max(1), 1).map_err(|e| e.to_string())?,
        (None, None) => parse_libsvm(include_str!("../../../tests/data/heart_scale")).map_err(|e| e.to_string())?,
    };
    let largest = set.labels.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    set.labels.iter_mut().for_each(|y| *y = if *y == largest { 1.0 } else { -1.0 });
    let (rows, features, c) = (set.features.rows(), set.features.cols(), arguments.c);
    let seen = [rows as f64, features as f64, squares(&set.labels), c, arguments.tolerance];
    check_equal(&*ranks, "the data or an option", &seen).map_err(|e| e.to_string())?;
    let stopping = Stopping { gradient_relative: arguments.tolerance, ..Stopping::default() };
    let solver = TrustRegion { stopping, inner: InnerSolver::Krylov, ..TrustRegion::default() };
    let report = if arguments.by == By::Rows {
        let part = Part::new(&set, ranks.part(rows, "rows")?, &(0..features));
        let share = 1.0 / ranks.size() as f64;
        let local = objective(
            features,
            |w: &[f64]| 0.5 * share * squares(w) + c * part.loss(&part.times(w)),
            |w: &[f64], g: &mut [f64]| {
                g.iter_mut().zip(w).for_each(|(g, w)| *g = share * w);
                part.add_transpose_times(&part.slopes(c, &part.times(w)), g);
            },
            |w: &[f64], v: &[f64], hv: &mut [f64]| {
                hv.iter_mut().zip(v).for_each(|(hv, v)| *hv = share * v);
                part.add_transpose_times(&part.curved(c, &part.times(w), &part.times(v)), hv);
            },
        );
        let whole = Summed::new(ranks.clone(), local);
        distributed(ranks.clone(), Slices::Residuals, || solver.minimize(&whole, &vec![0.0; features]))
    } else {
        let columns = ranks.part(features, "features")?;
        let part = Part::new(&set, 0..rows, &columns);
        // Xw from the parts of all ranks.
        let times = |w: &[f64]| {
            let mut margins = part.times(w);
            ranks.sum(&mut margins);
            margins
        };
        let whole = objective(
            columns.len(),
            |w: &[f64]| {
                let mut sum = [squares(w)];
                ranks.sum(&mut sum);
                0.5 * sum[0] + c * part.loss(&times(w))
            },
            |w: &[f64], g: &mut [f64]| {
                g.copy_from_slice(w);
                part.add_transpose_times(&part.slopes(c, &times(w)), g);
            },
            |w: &[f64], v: &[f64], hv: &mut [f64]| {
                hv.copy_from_slice(v);
                part.add_transpose_times(&part.curved(c, &times(w), &times(v)), hv);
            },
        );
        distributed(ranks.clone(), Slices::Everything, || solver.minimize(&whole, &vec![0.0; columns.len()]))
    };
    let report = report.map_err(|e| e.to_string())?;
    if ranks.talks() {
        println!("{rows} rows, {features} features\n{report}\n{}", summary(&ranks, &report));
    }
    Ok(())
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    run(|ranks| solve(ranks, &arguments))
}

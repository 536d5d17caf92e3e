//! a exp(−bt) + c through 50 points, from (1, 1, 0).

use levenberg_marquardt::LeastSquaresProblem;
use nalgebra::storage::Owned;
use nalgebra::{Dyn, OMatrix, OVector, U3, Vector3};
use newton_krylov::{LevenbergMarquardt, least_squares_dense};
use std::cell::Cell;

use crate::{Outcome, Peer};

const POINTS: usize = 50;
const START: [f64; 3] = [1.0, 1.0, 0.0];

/// tᵢ, and yᵢ with an error that is no draw.
fn data(i: usize) -> (f64, f64) {
    let t = 0.1 * i as f64;
    (t, 5.0 * (-1.3 * t).exp() + 0.7 + 0.05 * (7.0 * t).sin())
}

fn residuals(x: &[f64], r: &mut [f64]) {
    for (i, r) in r.iter_mut().enumerate() {
        let (t, y) = data(i);
        *r = x[0] * (-x[1] * t).exp() + x[2] - y;
    }
}

/// By columns.
fn jacobian(x: &[f64], j: &mut [f64]) {
    for i in 0..POINTS {
        let t = data(i).0;
        let e = (-x[1] * t).exp();
        (j[i], j[POINTS + i], j[2 * POINTS + i]) = (e, -x[0] * t * e, 1.0);
    }
}

pub fn gradient(x: &[f64]) -> Vec<f64> {
    let (mut r, mut j) = ([0.0; POINTS], [0.0; 3 * POINTS]);
    residuals(x, &mut r);
    jacobian(x, &mut j);
    j.chunks(POINTS).map(|column| column.iter().zip(&r).map(|(a, b)| a * b).sum()).collect()
}

struct Fit {
    x: Vector3<f64>,
    counts: [Cell<u64>; 2],
}

impl LeastSquaresProblem<f64, Dyn, U3> for Fit {
    type ParameterStorage = Owned<f64, U3>;
    type ResidualStorage = Owned<f64, Dyn>;
    type JacobianStorage = Owned<f64, Dyn, U3>;

    fn set_params(&mut self, x: &Vector3<f64>) {
        self.x = *x;
    }
    fn params(&self) -> Vector3<f64> {
        self.x
    }
    fn residuals(&self) -> Option<OVector<f64, Dyn>> {
        self.counts[0].set(self.counts[0].get() + 1);
        let mut r = OVector::<f64, Dyn>::zeros(POINTS);
        residuals(self.x.as_slice(), r.as_mut_slice());
        Some(r)
    }
    fn jacobian(&self) -> Option<OMatrix<f64, Dyn, U3>> {
        self.counts[1].set(self.counts[1].get() + 1);
        let mut j = OMatrix::<f64, Dyn, U3>::zeros(POINTS);
        jacobian(self.x.as_slice(), j.as_mut_slice());
        Some(j)
    }
}

pub fn peers() -> Vec<Peer<'static>> {
    let ours = || {
        let fit = least_squares_dense(POINTS, 3, residuals, jacobian);
        let report = LevenbergMarquardt::default().minimize(&fit, &START).ok()?;
        let counts = [report.counts.values as u64, report.counts.gradients as u64, 0];
        Some(Outcome { x: report.x.clone(), counts })
    };
    let crate_of_minpack = || {
        let problem = Fit { x: Vector3::from(START), counts: Default::default() };
        let (end, report) = levenberg_marquardt::LevenbergMarquardt::new().minimize(problem);
        let counts = [end.counts[0].get(), end.counts[1].get(), 0];
        report.termination.was_successful().then(|| Outcome { x: end.x.as_slice().to_vec(), counts })
    };
    vec![("LevenbergMarquardt", Box::new(ours)), ("levenberg-marquardt", Box::new(crate_of_minpack))]
}

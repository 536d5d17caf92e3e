//! x ∈ {0, …, K − 1}: T = (1[x = 0], …, 1[x = K − 2]), ηᵢ = ln pᵢ/p_{K−1}, A = ln(1 + Σe^ηᵢ), μᵢ = pᵢ,
//! F = diag(p) − ppᵀ. The last class has no parameter, so that the others are free.

use super::{Coordinates, ExponentialFamily};
use crate::base::{Result, check_component, check_range};

/// The categorical family of K classes, with K − 1 parameters: ηᵢ = ln(pᵢ/p_{K−1}), μᵢ = pᵢ. An observation is the
/// number of its class, from 0.
///
/// ```
/// use newton_krylov::exponential_family::{Categorical, ExponentialFamily};
///
/// let family = Categorical::new(3)?;
/// let mut mean = [0.0; 2];
/// family.to_mean(&[2.0_f64.ln(), 0.0], &mut mean)?; // weights 2, 1 and 1
/// assert!((mean[0] - 0.5).abs() < 1e-15 && (mean[1] - 0.25).abs() < 1e-15);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Categorical {
    classes: usize,
}

impl Categorical {
    /// The family with `classes` classes.
    ///
    /// # Errors
    /// For fewer than 2.
    pub fn new(classes: usize) -> Result<Self> {
        check_range("classes", classes as f64, classes >= 2, "at least 2")?;
        Ok(Categorical { classes })
    }
}

/// max(0, η₀, …).
fn largest(natural: &[f64]) -> f64 {
    natural.iter().fold(0.0, |largest: f64, &eta| largest.max(eta))
}

/// e^−shift (1 + Σe^ηᵢ).
fn total(natural: &[f64], shift: f64) -> f64 {
    natural.iter().map(|eta| (eta - shift).exp()).sum::<f64>() + (-shift).exp()
}

impl ExponentialFamily for Categorical {
    fn parameters(&self) -> usize {
        self.classes - 1
    }
    fn check_domain(&self, coordinates: Coordinates, parameters: &[f64]) -> Result<()> {
        if coordinates == Coordinates::Natural {
            return Ok(());
        }
        for (index, &p) in parameters.iter().enumerate() {
            check_component("mean", index, p, p > 0.0, "above 0")?;
        }
        let sum: f64 = parameters.iter().sum();
        check_range("the sum of mean", sum, sum < 1.0, "below 1")
    }
    fn check_support(&self, x: &[f64]) -> Result<()> {
        let valid = x[0] >= 0.0 && x[0] < self.classes as f64 && x[0].fract() == 0.0;
        check_component("x", 0, x[0], valid, "the number of a class, from 0")
    }
    fn log_partition_at(&self, natural: &[f64]) -> f64 {
        let shift = largest(natural);
        if shift == 0.0 {
            return natural.iter().map(|eta| eta.exp()).sum::<f64>().ln_1p();
        }
        shift + total(natural, shift).ln()
    }
    fn mean_at(&self, natural: &[f64], mean: &mut [f64]) {
        let shift = largest(natural);
        let total = total(natural, shift);
        mean.iter_mut().zip(natural).for_each(|(p, eta)| *p = (eta - shift).exp() / total);
    }
    fn natural_at(&self, mean: &[f64], natural: &mut [f64]) {
        let rest = (-mean.iter().sum::<f64>()).ln_1p();
        natural.iter_mut().zip(mean).for_each(|(eta, p)| *eta = p.ln() - rest);
    }
    fn divergence_at(&self, p: &[f64], q: &[f64]) -> f64 {
        let (log_p, log_q) = (self.log_partition_at(p), self.log_partition_at(q));
        let term = |p: f64, q: f64| (p - log_p).exp() * ((p - log_p) - (q - log_q));
        p.iter().zip(q).map(|(&p, &q)| term(p, q)).sum::<f64>() + term(0.0, 0.0)
    }
    fn fisher_product_at(&self, natural: &[f64], v: &[f64], out: &mut [f64]) {
        self.mean_at(natural, out);
        let along: f64 = out.iter().zip(v).map(|(p, v)| p * v).sum();
        out.iter_mut().zip(v).for_each(|(p, v)| *p *= v - along);
    }
    fn statistics_at(&self, x: &[f64], out: &mut [f64]) {
        out.iter_mut().enumerate().for_each(|(class, t)| *t = f64::from(u8::from(x[0] == class as f64)));
    }
}

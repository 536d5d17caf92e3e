//! The limited-memory preconditioner: made of the products of the last solve.
//!
//! With steps S, their products Y = MS + λS and K = SᵀY,
//!
//!   P⁻¹ = γ(I − SK⁻¹Yᵀ)(I − YK⁻¹Sᵀ) + SK⁻¹Sᵀ,   γ = sᵀy / yᵀy of the last pair,
//!
//! has P⁻¹Y = S. For steps that are conjugate, as those of conjugate gradients, it is the L-BFGS matrix of Morales & Nocedal,
//! "Automatic preconditioning by limited memory quasi-Newton updating" (SIAM J. Optim. 10 (2000)); written with K it depends on
//! the space that the steps span alone, so steps of any kind will do (Gratton, Sartenaer & Tshimanga, "On a class of limited
//! memory preconditioners for large scale linear systems with multiple right-hand sides", SIAM J. Optim. 21 (2011), section
//! 3: m eigenvalues of P⁻¹(M + λI) are 1, the others lie between the extreme ones of γ(M + λI)). So S is replaced by the Ritz
//! vectors of its span, orthonormal and with SᵀMS = Θ, and MS along with it: then K = Θ + λI for every λ.

use super::learned::{LearnedPreconditioner, LearningCost};
use super::product_record::{MOST, ProductRecord};
use super::ritz::{scaled_eigenvectors, symmetric_products};
use crate::base::{Eigen, Result, Scalar, check_length, check_range};
use crate::base::{columns, columns::Columns, kernels};
use crate::operator::{Preconditioner, SampledObjective};

/// Steps are independent as far as eigenvalues of SᵀS are above this many units of roundoff of the largest.
const NOISE: f64 = 64.0;

/// P⁻¹ from products that were made before, for instance of a system that is solved again with another right-hand side.
///
/// It costs no product. Applying it costs 6m dots and additions of vectors. Storage: 2m vectors, and in a run of
/// [`HessianFree`](crate::HessianFree) 2m for the record of the solve that goes on. There it learns from every solve for
/// the next, and needs recipes of many products.
///
/// ```
/// use std::cell::RefCell;
///
/// use newton_krylov::{SymmetricOperator, damped_step, operator};
/// use newton_krylov::operators::DiagonalOperator;
/// use newton_krylov::preconditioners::{LimitedMemoryPreconditioner, Preconditioned, ProductRecord};
///
/// let m = DiagonalOperator((1..=500).map(|i| if i <= 8 { 1e4 * i as f64 } else { 1.0 / i as f64 }).collect());
/// let record = RefCell::new(ProductRecord::new(20)?);
/// let recorded = operator(500, |v: &[f64], mv: &mut [f64]| {
///     m.apply(v, mv);
///     record.borrow_mut().see(v, mv);
/// });
/// let first = damped_step(&recorded, &[1.0; 500], 1e-2)?;
/// let preconditioner = LimitedMemoryPreconditioner::from_record(record.into_inner())?;
/// let other: Vec<f64> = (0..500).map(|i| (i as f64).sin()).collect();
/// let second = damped_step(&Preconditioned { operator: &m, preconditioner }, &other, 1e-2)?;
/// assert!(second.products < first.products);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LimitedMemoryPreconditioner<T> {
    pairs: usize,
    /// S and MS by columns.
    steps: Vec<T>,
    products: Vec<T>,
    /// Θ, falling.
    ritz_values: Vec<f64>,
    /// sᵀMs and ‖Ms‖² of the last pair, ‖s‖ = 1.
    last: [f64; 2],
}

impl<T: Scalar> LimitedMemoryPreconditioner<T> {
    /// A preconditioner that has yet to learn, from at most `pairs` products of every solve. Morales & Nocedal use 4 to 20.
    ///
    /// # Errors
    /// If `pairs` is 0 or above 32.
    pub fn new(pairs: usize) -> Result<Self> {
        check_range("pairs", pairs as f64, (1..=MOST).contains(&pairs), "between 1 and 32")?;
        Ok(LimitedMemoryPreconditioner { pairs, steps: vec![], products: vec![], ritz_values: vec![], last: [0.0; 2] })
    }

    /// The preconditioner from products that were recorded. Without any it is the identity.
    ///
    /// # Errors
    /// Never for a record that was made by [`ProductRecord::new`].
    pub fn from_record(mut record: ProductRecord<T>) -> Result<Self> {
        let mut preconditioner = Self::new(record.most())?;
        preconditioner.take(&mut record);
        Ok(preconditioner)
    }

    /// Learns from the pairs of a record, and leaves it empty, with the memory of the pairs that are forgotten for them. An
    /// empty record changes nothing.
    fn take(&mut self, record: &mut ProductRecord<T>) {
        let count = record.len();
        if count == 0 {
            return;
        }
        std::mem::swap(&mut self.steps, &mut record.steps);
        std::mem::swap(&mut self.products, &mut record.products);
        record.clear();
        let dim = self.steps.len() / count;
        let image = &self.products[dim * (count - 1)..];
        self.last = [kernels::dot(&self.steps[dim * (count - 1)..], image), kernels::dot(image, image)];
        self.ritz_values.clear();
        let kept = self.rotate_to_ritz_vectors(dim, count).unwrap_or(0);
        self.steps.truncate(dim * kept);
        self.products.truncate(dim * kept);
    }

    /// S ← SWD^-½ with SᵀS = WDWᵀ, then S ← SV with SᵀMS = VΘVᵀ, and MS along with both. The columns that are left.
    fn rotate_to_ritz_vectors(&mut self, dim: usize, count: usize) -> Option<usize> {
        let (mut eigen, mut small, mut rotation) = (Eigen::new(count), vec![], vec![]);
        symmetric_products(dim, &self.steps, &self.steps, &mut small);
        let noise = NOISE * T::epsilon_f64();
        let kept = scaled_eigenvectors(&mut eigen, &small, count, noise, |d| d.sqrt().recip(), &mut rotation)?;
        for columns in [&mut self.steps, &mut self.products] {
            columns::rotate(dim, columns, &rotation);
            columns.truncate(dim * kept);
        }
        symmetric_products(dim, &self.steps, &self.products, &mut small);
        scaled_eigenvectors(&mut eigen, &small, kept, f64::NEG_INFINITY, |_| 1.0, &mut rotation)?;
        for columns in [&mut self.steps, &mut self.products] {
            columns::rotate(dim, columns, &rotation);
        }
        self.ritz_values.extend(eigen.values().iter().rev());
        Some(kept)
    }
}

impl<T: Scalar> Preconditioner<T> for LimitedMemoryPreconditioner<T> {
    /// r ← P⁻¹r, λ being the shift, at least 0. Ritz values at which M + λI is not positive, or not above the rounding error
    /// of the largest, are left out, so that P is definite also where M is not.
    fn precondition(&self, shift: f64, r: &mut [T]) {
        let Some(&largest) = self.ritz_values.first() else { return };
        let (count, shift) = (self.ritz_values.len(), shift.max(0.0));
        assert_eq!(self.steps.len(), count * r.len(), "the pairs need the operator's dimension");
        let [slope, square] = self.last;
        let (sy, yy) = (slope + shift, square + 2.0 * shift * slope + shift * shift);
        let gamma = if sy > 0.0 { sy / yy } else { yy.sqrt().recip() };
        let least = NOISE * T::epsilon_f64() * (largest + shift);
        let good = self.ritz_values.iter().take_while(|&&theta| theta + shift > least.max(0.0)).count();
        if good == 0 || !(gamma.is_finite() && gamma > 0.0) {
            return;
        }
        let (steps, products) = (Columns::new(r.len(), &self.steps), Columns::new(r.len(), &self.products));
        let (mut a, mut b, mut image) = ([0.0; MOST], [0.0; MOST], [0.0; MOST]);
        let (a, b, image) = (&mut a[..good], &mut b[..good], &mut image[..good]);
        // a = K⁻¹Sᵀr, r ← γ(r − Ya)
        steps.transpose_times(r, a);
        a.iter_mut().zip(&self.ritz_values).for_each(|(a, theta)| *a /= theta + shift);
        products.add_times(-1.0, a, r);
        steps.add_times(-shift, a, r);
        kernels::scale(gamma, r);
        // b = K⁻¹Yᵀr, r ← r + S(a − b)
        steps.transpose_times(r, b);
        products.transpose_times(r, image);
        for i in 0..good {
            a[i] -= (image[i] + shift * b[i]) / (self.ritz_values[i] + shift);
        }
        steps.add_times(1.0, a, r);
    }
}

impl<T: Scalar, S: SampledObjective<T>> LearnedPreconditioner<T, S> for LimitedMemoryPreconditioner<T> {
    fn learn(&mut self, _: &S, _: &[T], _: &[usize], _: f64) -> LearningCost {
        LearningCost::default()
    }

    fn pairs(&self) -> usize {
        self.pairs
    }

    fn learn_products(&mut self, record: &mut ProductRecord<T>) {
        self.take(record);
    }

    fn preconditioner(&self) -> Option<&dyn Preconditioner<T>> {
        (!self.ritz_values.is_empty()).then_some(self)
    }

    fn fits(&self, objective: &S) -> Result<()> {
        check_length("the preconditioner's pairs", &self.steps, self.ritz_values.len() * objective.dim())
    }
}

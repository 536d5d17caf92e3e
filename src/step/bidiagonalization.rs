//! One step of Golub–Kahan bidiagonalisation, of a matrix A = JS that is seen through its products.
//!
//!   βₖ₊₁uₖ₊₁ = Avₖ − αₖuₖ,   αₖ₊₁vₖ₊₁ = Aᵀuₖ₊₁ − βₖ₊₁vₖ,   β₁u₁ = −r,   α₁v₁ = Aᵀu₁
//!
//! (Golub & Kahan, SIAM J. Numer. Anal. 2 (1965); Paige & Saunders, ACM Trans. Math. Softw. 8 (1982), section 3). S is a
//! diagonal column scaling, or none.
//!
//! Only the v are reorthogonalised, against those that are stored (Simon & Zha, SIAM J. Sci. Comput. 21 (2000)). That is
//! enough: the recurrence from r is that of the matrix [r A] from the right vector e₁, and with the right vectors
//! orthogonal to working precision the bidiagonal matrix is that of a nearby [r A], whatever becomes of the u (Barlow,
//! Numer. Math. 124 (2013)). So the small problem is solved as by a backward stable dense method, and no left vector
//! needs to be stored.
//!
//! Deviation: uₖ is kept with a factor, uₖ·βₖ, as long as that is near 1. This saves a pass over m numbers. With the
//! update comes uₖᵀAvₖ in the same pass, which must be αₖ: whether the products are adjoint is watched for nothing.

use crate::base::{Scalar, columns::Columns, kernels};
use crate::operator::LinearMap;

/// Factors that u may carry.
const NEAR_ONE: std::ops::Range<f64> = 1e-5..1e5;

/// What became of an attempt to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advance {
    /// There is a new vector.
    Advanced,
    /// There is none: the space is invariant.
    Invariant,
    /// The product is not finite.
    NotFinite,
}

/// uₖ and vₖ, and what a product needs. Storage: 2m + 2n numbers, and n with a scaling.
pub struct Bidiagonalization<T> {
    /// `factor`·uₖ.
    u: Vec<T>,
    factor: f64,
    /// vₖ; after [`contract`](Self::contract) α times that.
    pub v: Vec<T>,
    /// αₖ and βₖ.
    pub alpha: f64,
    pub beta: f64,
    product: Vec<T>,
    /// Whether `product` is Avₖ already.
    has_product: bool,
    transpose_product: Vec<T>,
    scaled: Vec<T>,
    h: Vec<f64>,
    /// Products made, of both kinds.
    pub made: usize,
    /// The largest ‖Avₖ‖ met.
    size: f64,
    /// The largest |uₖᵀAvₖ − αₖ| met, beside the largest ‖Avₖ‖.
    pub mismatch: f64,
}

impl<T: Scalar> Bidiagonalization<T> {
    /// Room for a J with m rows and n columns, and for reorthogonalisation against `stored` vectors.
    pub fn new(m: usize, n: usize, stored: usize) -> Self {
        Bidiagonalization {
            u: vec![T::zero(); m],
            factor: 1.0,
            v: vec![T::zero(); n],
            alpha: 0.0,
            beta: 0.0,
            product: vec![T::zero(); m],
            has_product: false,
            transpose_product: vec![T::zero(); n],
            scaled: vec![],
            h: vec![0.0; stored],
            made: 0,
            size: 0.0,
            mismatch: 0.0,
        }
    }

    /// Storage in numbers.
    pub fn numbers(&self) -> usize {
        2 * (self.u.len() + self.v.len()) + self.scaled.len()
    }

    /// Takes u, v and their coefficients from another one.
    pub fn copy_from(&mut self, other: &Self) {
        self.u.copy_from_slice(&other.u);
        self.v.copy_from_slice(&other.v);
        (self.factor, self.alpha, self.beta) = (other.factor, other.alpha, other.beta);
        (self.size, self.mismatch) = (other.size, other.mismatch);
    }

    /// β₁u₁ = −r. Returns β₁.
    pub fn start(&mut self, residual: &[T]) -> f64 {
        self.u.copy_from_slice(residual);
        self.beta = kernels::norm(residual);
        self.factor = -self.beta;
        (self.size, self.mismatch) = (0.0, 0.0);
        self.keep_near_one();
        self.beta
    }

    /// α₁v₁ = Aᵀu₁ from g = Jᵀr, after [`start`](Self::start). No product. Returns α₁; v₁ is normalised.
    pub fn start_from_gradient(&mut self, gradient: &[T], scaling: Option<&[T]>) -> f64 {
        self.has_product = false;
        self.v.copy_from_slice(gradient);
        if let Some(scaling) = scaling {
            kernels::multiply(scaling, &mut self.v);
        }
        let size = kernels::norm(&self.v);
        self.alpha = size / self.beta;
        if size > 0.0 && self.alpha.is_finite() {
            kernels::scale(-size.recip(), &mut self.v);
        }
        self.alpha
    }

    fn keep_near_one(&mut self) {
        if !NEAR_ONE.contains(&self.factor.abs()) && self.factor != 0.0 && self.factor.is_finite() {
            kernels::scale(self.factor.recip(), &mut self.u);
            self.factor = 1.0;
        }
    }

    /// ‖Avₖ‖, of which [`expand`](Self::expand) then makes use: one product, and none there.
    pub fn look_ahead(&mut self, jacobian: &impl LinearMap<T>, scaling: Option<&[T]>) -> f64 {
        self.multiply(jacobian, scaling);
        self.has_product = true;
        kernels::norm(&self.product)
    }

    /// product ← Avₖ.
    fn multiply(&mut self, jacobian: &impl LinearMap<T>, scaling: Option<&[T]>) {
        self.made += 1;
        match scaling {
            None => jacobian.apply(&self.v, &mut self.product),
            Some(scaling) => {
                self.scaled.clear();
                self.scaled.extend_from_slice(&self.v);
                kernels::multiply(scaling, &mut self.scaled);
                jacobian.apply(&self.scaled, &mut self.product);
            }
        }
    }

    /// βu ← Av − αu, with the new β. One product. Expects v to be normalised.
    pub fn expand(&mut self, jacobian: &impl LinearMap<T>, scaling: Option<&[T]>) -> Advance {
        if !std::mem::take(&mut self.has_product) {
            self.multiply(jacobian, scaling);
        }
        let (beta, across) = kernels::golub_kahan_update(1.0, &self.product, -self.alpha / self.factor, &mut self.u);
        if !beta.is_finite() {
            return Advance::NotFinite;
        }
        let size = beta.hypot(self.alpha);
        self.size = self.size.max(size);
        if size > 0.0 {
            self.mismatch = self.mismatch.max((across / self.factor - self.alpha).abs() / self.size);
        }
        self.beta = if beta > T::epsilon_f64() * size { beta } else { 0.0 };
        self.factor = beta;
        self.keep_near_one();
        if self.beta > 0.0 {
            Advance::Advanced
        } else {
            self.alpha = 0.0;
            Advance::Invariant
        }
    }

    /// αv ← Aᵀu − βv, with the new α, orthogonalised against `stored`. One transposed product. v keeps the factor α, so
    /// that the caller can take it away in a pass of its own.
    pub fn contract(&mut self, jacobian: &impl LinearMap<T>, scaling: Option<&[T]>, stored: Columns<'_, T>) -> Advance {
        self.made += 1;
        jacobian.apply_transpose(&self.u, &mut self.transpose_product);
        if let Some(scaling) = scaling {
            kernels::multiply(scaling, &mut self.transpose_product);
        }
        let (mut alpha, _) =
            kernels::golub_kahan_update(self.factor.recip(), &self.transpose_product, -self.beta, &mut self.v);
        if !alpha.is_finite() {
            return Advance::NotFinite;
        }
        // What of v is rounding of Aᵀu.
        let size = alpha.hypot(self.beta);
        let mut least = T::epsilon_f64() * size;
        let count = stored.data.len() / stored.dim;
        if count > 0 {
            least *= 16.0;
            for _ in 0..4 {
                let before = alpha;
                let h = &mut self.h[..count];
                stored.transpose_times(&self.v, h);
                stored.add_times(-1.0, h, &mut self.v);
                alpha = kernels::norm(&self.v);
                if alpha > 0.7 * before || alpha <= least {
                    break;
                }
            }
        }
        self.alpha = if alpha > least { alpha } else { 0.0 };
        if self.alpha > 0.0 { Advance::Advanced } else { Advance::Invariant }
    }

    /// Ax for a vector x that takes the place of v: one product.
    pub fn image(&mut self, jacobian: &impl LinearMap<T>, scaling: Option<&[T]>, x: &[T]) -> &[T] {
        self.v.copy_from_slice(x);
        self.multiply(jacobian, scaling);
        &self.product
    }
}

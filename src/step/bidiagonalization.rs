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
//! Deviation: uₖ and vₖ are kept with factors, uₖ·βₖ and vₖ·αₖ, as long as these are near 1. This saves a pass over each.
//! With the update of u comes uₖᵀAvₖ in the same pass, which must be αₖ: whether the products are adjoint is watched for
//! nothing.

use crate::base::columns::{Columns, ROUNDING};
use crate::base::{Scalar, kernels, space};
use crate::operator::LinearMap;

/// Factors that a vector may carry.
pub const NEAR_ONE: std::ops::Range<f64> = 1e-5..1e5;

/// `numbers` = `factor` times the vector that is meant.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Scaled<T> {
    pub numbers: Vec<T>,
    pub factor: f64,
}

impl<T: Scalar> Scaled<T> {
    /// Divides the factor out.
    pub fn normalise(&mut self) {
        if self.factor != 1.0 && self.factor != 0.0 && self.factor.is_finite() {
            kernels::scale(self.factor.recip(), &mut self.numbers);
            self.factor = 1.0;
        }
    }

    fn keep_near_one(&mut self) {
        if !NEAR_ONE.contains(&self.factor.abs()) {
            self.normalise();
        }
    }

    fn copy_from(&mut self, other: &Self) {
        self.numbers.copy_from_slice(&other.numbers);
        self.factor = other.factor;
    }
}

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
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Bidiagonalization<T> {
    /// uₖ.
    u: Scaled<T>,
    /// vₖ.
    pub v: Scaled<T>,
    /// αₖ and βₖ.
    pub alpha: f64,
    pub beta: f64,
    product: Vec<T>,
    /// Whether `product` is Avₖ already.
    has_product: bool,
    /// Aᵀu; after [`contract`](Self::contract) the vector before vₖ, which the caller may exchange for another buffer.
    pub spent: Vec<T>,
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
    /// Room for a J with as many rows as the buffer `u` has numbers and n columns, and for reorthogonalisation against
    /// `stored` vectors.
    pub fn new(u: Vec<T>, n: usize, stored: usize) -> Self {
        let m = u.len();
        Bidiagonalization {
            u: Scaled { numbers: u, factor: 1.0 },
            v: Scaled { numbers: vec![T::zero(); n], factor: 1.0 },
            alpha: 0.0,
            beta: 0.0,
            product: vec![T::zero(); m],
            has_product: false,
            spent: vec![T::zero(); n],
            scaled: vec![],
            h: vec![0.0; stored + 1],
            made: 0,
            size: 0.0,
            mismatch: 0.0,
        }
    }

    /// Storage in numbers.
    pub fn numbers(&self) -> usize {
        2 * (self.u.numbers.len() + self.v.numbers.len()) + self.scaled.len()
    }

    /// Takes u, v and their coefficients from another one.
    pub fn copy_from(&mut self, other: &Self) {
        self.u.copy_from(&other.u);
        self.v.copy_from(&other.v);
        (self.alpha, self.beta) = (other.alpha, other.beta);
        (self.size, self.mismatch) = (other.size, other.mismatch);
    }

    /// β₁u₁ = −r. Returns β₁.
    pub fn start(&mut self, residual: &[T]) -> f64 {
        self.u.numbers.copy_from_slice(residual);
        self.start_in_place(space::of_residuals(|| kernels::norm(residual)));
        self.beta
    }

    /// As [`start`](Self::start), where the buffer of u holds r already and its norm is known.
    pub fn start_in_place(&mut self, beta: f64) {
        self.beta = beta;
        self.u.factor = -beta;
        (self.size, self.mismatch) = (0.0, 0.0);
        self.u.keep_near_one();
    }

    /// The buffer of u, for other uses.
    pub fn into_buffer(self) -> Vec<T> {
        self.u.numbers
    }

    /// α₁v₁ = Aᵀu₁ from g = Jᵀr, after [`start`](Self::start). No product. Returns α₁; v₁ is normalised.
    pub fn start_from_gradient(&mut self, gradient: &[T], scaling: Option<&[T]>) -> f64 {
        self.has_product = false;
        self.v.numbers.copy_from_slice(gradient);
        if let Some(scaling) = scaling {
            kernels::multiply(scaling, &mut self.v.numbers);
        }
        let size = kernels::norm(&self.v.numbers);
        self.alpha = size / self.beta;
        self.v.factor = -size;
        self.v.normalise();
        self.alpha
    }

    /// ‖Avₖ‖, of which [`expand`](Self::expand) then makes use: one product, and none there.
    pub fn look_ahead(&mut self, jacobian: &dyn LinearMap<T>, scaling: Option<&[T]>) -> f64 {
        self.multiply(jacobian, scaling);
        self.has_product = true;
        space::of_residuals(|| kernels::norm(&self.product)) / self.v.factor.abs()
    }

    /// product ← A times the numbers of vₖ.
    fn multiply(&mut self, jacobian: &dyn LinearMap<T>, scaling: Option<&[T]>) {
        self.made += 1;
        match scaling {
            None => jacobian.apply(&self.v.numbers, &mut self.product),
            Some(scaling) => {
                self.scaled.clear();
                self.scaled.extend_from_slice(&self.v.numbers);
                kernels::multiply(scaling, &mut self.scaled);
                jacobian.apply(&self.scaled, &mut self.product);
            }
        }
    }

    /// βu ← Av − αu, with the new β. One product.
    pub fn expand(&mut self, jacobian: &dyn LinearMap<T>, scaling: Option<&[T]>) -> Advance {
        if !std::mem::take(&mut self.has_product) {
            self.multiply(jacobian, scaling);
        }
        let Self { u, v, product, .. } = self;
        let factors = (v.factor.recip(), -self.alpha / u.factor);
        let (beta, across) =
            space::of_residuals(|| kernels::golub_kahan_update(factors.0, product, factors.1, &mut u.numbers));
        if !beta.is_finite() {
            return Advance::NotFinite;
        }
        let size = beta.hypot(self.alpha);
        self.size = self.size.max(size);
        if size > 0.0 {
            self.mismatch = self.mismatch.max((across / (u.factor * v.factor) - self.alpha).abs() / self.size);
        }
        self.beta = if beta > T::epsilon_f64() * size { beta } else { 0.0 };
        u.factor = beta;
        u.keep_near_one();
        if self.beta > 0.0 {
            Advance::Advanced
        } else {
            std::mem::swap(&mut v.numbers, &mut self.spent);
            self.end()
        }
    }

    /// αv ← Aᵀu − βv, with the new α, orthogonalised against `stored`. One transposed product.
    pub fn contract(&mut self, jacobian: &dyn LinearMap<T>, scaling: Option<&[T]>, stored: Columns<'_, T>) -> Advance {
        self.made += 1;
        let Self { u, v, spent, .. } = self;
        jacobian.apply_transpose(&u.numbers, spent);
        if let Some(scaling) = scaling {
            kernels::multiply(scaling, spent);
        }
        let (mut alpha, _) = kernels::golub_kahan_update(-self.beta / v.factor, &v.numbers, u.factor.recip(), spent);
        if !alpha.is_finite() {
            return Advance::NotFinite;
        }
        std::mem::swap(&mut v.numbers, spent);
        // What of v is rounding of Aᵀu.
        let size = alpha.hypot(self.beta);
        let mut least = T::epsilon_f64() * size;
        let count = stored.data.len() / stored.dim;
        if count > 0 {
            least *= ROUNDING;
            alpha = stored.remove_all_from(&mut v.numbers, &mut self.h[..=count], alpha, least);
        }
        if alpha.is_nan() || alpha <= least {
            return self.end();
        }
        self.alpha = alpha;
        v.factor = alpha;
        v.keep_near_one();
        Advance::Advanced
    }

    /// There is no vₖ₊₁.
    fn end(&mut self) -> Advance {
        self.alpha = 0.0;
        self.v.numbers.fill(T::zero());
        self.v.factor = 1.0;
        Advance::Invariant
    }

    /// Ax for a vector x that takes the place of v: one product.
    pub fn image(&mut self, jacobian: &dyn LinearMap<T>, scaling: Option<&[T]>, x: &[T]) -> &[T] {
        self.v.numbers.copy_from_slice(x);
        self.v.factor = 1.0;
        self.multiply(jacobian, scaling);
        &self.product
    }
}

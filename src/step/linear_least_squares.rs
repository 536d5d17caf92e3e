//! Options and reports of [linear least squares](super::corrected_lsmr).

/// Options for min ‖Ax − b‖² + λ‖x‖², and the solver.
///
/// ```
/// use newton_krylov::{LinearLeastSquares, linear_map};
/// use newton_krylov::steps::LinearOutcome;
///
/// // The line through (0, 1), (1, 3), (2, 4): b ≈ x₀ + x₁t.
/// let a = linear_map(
///     3,
///     2,
///     |v: &[f64], av: &mut [f64]| (0..3).for_each(|i| av[i] = v[0] + v[1] * i as f64),
///     |u: &[f64], atu: &mut [f64]| atu.copy_from_slice(&[u[0] + u[1] + u[2], u[1] + 2.0 * u[2]]),
/// );
/// let fit = LinearLeastSquares::default().solve(&a, &[1.0, 3.0, 4.0])?;
/// assert_eq!(fit.outcome, LinearOutcome::LeastSquares);
/// assert!((fit.x[0] - 7.0 / 6.0).abs() < 1e-12 && (fit.x[1] - 1.5).abs() < 1e-12);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LinearLeastSquares {
    /// λ ≥ 0, in units of AᵀA (SciPy's and Krylov.jl's `lsmr` take its root). Default 0: where A has no full column rank, the solution of least ‖x‖.
    pub damping: f64,
    /// How precise A and b are, relatively: the solution is exact for an A and b that differ by no more. In [0, 1); default
    /// 1e-8, near the √ε of Krylov.jl's `lsmr`. Values below 4ε of the vector type count as that.
    pub tolerance: f64,
    /// Stop when the condition number of [A; √λI] is estimated above this. Default 1e8, that of the authors' code and of
    /// SciPy's `lsmr`; infinity never stops.
    pub condition_limit: f64,
    /// The most iterations, of one product with A and one with Aᵀ each. Default: m + n, that of Krylov.jl.
    pub max_iterations: Option<usize>,
    /// Right vectors that are stored, n numbers each, and against which later ones are reorthogonalised: fewer iterations
    /// where A is ill-conditioned, but 4n operations for each vector in each of them. Default: all, min(m, n), where
    /// these are at most 10⁶ numbers, and none otherwise.
    pub stored: Option<usize>,
}

impl Default for LinearLeastSquares {
    fn default() -> Self {
        LinearLeastSquares { damping: 0.0, tolerance: 1e-8, condition_limit: 1e8, max_iterations: None, stored: None }
    }
}

/// Why [`LinearLeastSquares`] stopped. With η the tolerance and r = b − Ax; true values, not estimates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum LinearOutcome {
    /// ‖r̄‖ ≤ η(‖A‖‖x‖ + ‖b‖): x solves the system, which is consistent. Here r̄ is r, and [r; −√λx] with damping.
    Consistent,
    /// ‖Aᵀr − λx‖ ≤ η‖A‖‖r̄‖: x is a least-squares solution. Or that norm no longer falls and is within the rounding with
    /// which it can be evaluated, 4ε‖A‖(‖A‖‖x‖ + ‖b‖).
    LeastSquares,
    /// The condition number is above its limit. Damp, rescale the columns, or raise the limit.
    ConditionLimit,
    /// The most iterations were made. Allow more, or ask for less.
    IterationLimit,
    /// Rounding keeps the true residuals from reaching the tolerance. Ask for less, store more vectors, or compute in
    /// `f64`.
    Stagnated,
    /// A product is not finite; x is the best before.
    NotFinite,
    /// The products are not those of a matrix and its transpose: uᵀAv and vᵀAᵀu differ by more than ε^¼ of ‖Av‖. Correct
    /// the map; `newton_krylov::check` helps to find the mistake.
    NotAdjoint,
}

impl LinearOutcome {
    /// Whether x solves the problem to the tolerance.
    pub fn converged(self) -> bool {
        matches!(self, LinearOutcome::Consistent | LinearOutcome::LeastSquares)
    }
}

/// The solution of min ‖Ax − b‖² + λ‖x‖² by [`LinearLeastSquares`], and what is known of it.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LinearReport<T> {
    /// x: of those whose residual was verified with a product, that with the smallest ‖Ax − b‖² + λ‖x‖².
    pub x: Vec<T>,
    /// ‖b − Ax‖, evaluated with a product and not by recurrence.
    pub residual_norm: f64,
    /// ‖Aᵀ(b − Ax) − λx‖, evaluated with products; NaN if the product is.
    pub gradient_norm: f64,
    /// An estimate of ‖[A; λI]‖, in the Frobenius norm of what was seen of it.
    pub operator_norm: f64,
    /// An estimate of the condition number of [A; √λI], from below but for rounding.
    pub condition: f64,
    /// Iterations.
    pub iterations: usize,
    /// Products with A.
    pub products: usize,
    /// Products with Aᵀ.
    pub transpose_products: usize,
    /// Why it stopped.
    pub outcome: LinearOutcome,
}

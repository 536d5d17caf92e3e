//! Cholesky factors of a reduced matrix, by faer: dense, or sparse in the order of its [pattern](super::reduced_pattern).

use faer::dyn_stack::StackReq;
use faer::linalg::cholesky::llt;
use faer::linalg::cholesky::llt::factor::{LltParams, LltRegularization};
use faer::perm::PermRef;
use faer::sparse::linalg::SupernodalThreshold;
use faer::sparse::linalg::cholesky::{
    CholeskySymbolicParams, LltRef, SymbolicCholesky, SymmetricOrdering, factorize_symbolic_cholesky,
};
use faer::sparse::{SparseColMatRef, SymbolicSparseColMatRef};
use faer::{Conj, MatMut, MatRef, Par, Side, Spec};

use super::reduced_pattern::{ReducedGraph, ReducedPattern};
use super::reduced_system::ReducedSystem;
use crate::base::native::{Scratch, clean_registers};
use crate::base::{Scalar, parallel};
use crate::operator::{BlockJacobian, BlockLayout};

/// A factor and its workspace.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Factor {
    Dense(Dense),
    Sparse(Box<Sparse>),
}

/// The whole lower triangle, by columns.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Dense {
    matrix: Vec<f64>,
    /// Where each kept block begins, and the end.
    bounds: Vec<usize>,
    /// The rows of every column: all.
    rows: Vec<usize>,
    #[cfg_attr(feature = "serde", serde(skip))]
    scratch: Scratch,
}

/// What is not zero.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "Values"))]
pub struct Sparse {
    pattern: ReducedPattern,
    matrix: Vec<f64>,
    factor: Vec<f64>,
    #[cfg_attr(feature = "serde", serde(skip))]
    symbolic: SymbolicCholesky<usize>,
    #[cfg_attr(feature = "serde", serde(skip))]
    scratch: Scratch,
}

/// What is saved of a sparse factor: the analysis of its pattern is repeated.
#[cfg(feature = "serde")]
#[derive(serde::Deserialize)]
struct Values {
    pattern: ReducedPattern,
    matrix: Vec<f64>,
    factor: Vec<f64>,
}

#[cfg(feature = "serde")]
impl TryFrom<Values> for Sparse {
    type Error = &'static str;

    fn try_from(Values { pattern, matrix, factor }: Values) -> Result<Self, &'static str> {
        let sparse = Sparse::new(pattern, usize::MAX).ok_or("no memory for the analysis of a sparse matrix")?;
        let fits = matrix.len() == sparse.matrix.len() && factor.len() == sparse.factor.len();
        if fits { Ok(Sparse { matrix, factor, ..sparse }) } else { Err("a sparse factor of another pattern") }
    }
}

impl Sparse {
    /// `None` if there is no memory for the analysis, or the factor with its padding has more than `most` numbers.
    fn new(pattern: ReducedPattern, most: usize) -> Option<Self> {
        let dim = pattern.order.len();
        let symbolic = factorize_symbolic_cholesky(
            sparsity(&pattern),
            Side::Lower,
            SymmetricOrdering::Custom(PermRef::new_checked(&pattern.order, &pattern.position, dim)),
            // By supernodes also where few columns share a pattern: as fast on pose graphs, twice as fast where points are
            // not eliminated.
            CholeskySymbolicParams {
                supernodal_flop_ratio_threshold: SupernodalThreshold::FORCE_SUPERNODAL,
                ..Default::default()
            },
        )
        .ok()?;
        if symbolic.len_val() > most {
            return None;
        }
        Some(Sparse {
            matrix: vec![0.0; pattern.rows.len()],
            factor: vec![0.0; symbolic.len_val()],
            scratch: Scratch::try_new(sparse_request(&symbolic))?,
            symbolic,
            pattern,
        })
    }
}

/// What factorisation and solves need.
fn dense_request(dim: usize) -> StackReq {
    let params: Spec<LltParams, f64> = Spec::default();
    llt::factor::cholesky_in_place_scratch::<f64>(dim, parallel::dense(dim), params)
}

fn sparse_request(symbolic: &SymbolicCholesky<usize>) -> StackReq {
    let params: Spec<LltParams, f64> = Spec::default();
    StackReq::any_of(&[
        symbolic.factorize_numeric_llt_scratch::<f64>(Par::Seq, params),
        symbolic.solve_in_place_scratch::<f64>(1, Par::Seq),
    ])
}

impl Factor {
    pub fn dense(layout: &BlockLayout) -> Self {
        let dim = layout.reduced_dim();
        Factor::Dense(Dense {
            matrix: vec![0.0; dim * dim],
            bounds: layout.kept_bounds.iter().map(|&start| start * dim).collect(),
            rows: (0..dim).collect(),
            scratch: Scratch::new(dense_request(dim)),
        })
    }

    /// `None` if there is no memory for the analysis, or the factor with its padding has more than `most` numbers.
    pub fn sparse(layout: &BlockLayout, graph: &ReducedGraph, most: usize) -> Option<Self> {
        let sparse = Sparse::new(ReducedPattern::new(layout, graph), most)?;
        Some(Factor::Sparse(Box::new(sparse)))
    }

    /// Forms the matrix of the system and factorises it. False if it is not positive definite.
    pub fn factorise<T: Scalar>(&mut self, system: &ReducedSystem<T>, jacobian: BlockJacobian<'_, T>) -> bool {
        let done = match self {
            Factor::Dense(Dense { matrix, bounds, rows, scratch }) => {
                let dim = rows.len();
                system.form(jacobian, bounds, &|_| rows, matrix);
                llt::factor::cholesky_in_place(
                    MatMut::from_column_major_slice_mut(matrix, dim, dim),
                    LltRegularization::default(),
                    parallel::dense(dim),
                    scratch.stack(dense_request(dim)),
                    Spec::default(),
                )
                .is_ok()
            }
            Factor::Sparse(sparse) => {
                let Sparse { pattern, matrix, factor, symbolic, scratch } = &mut **sparse;
                system.form(jacobian, &pattern.bounds, &|start| pattern.rows_of(start), matrix);
                symbolic
                    .factorize_numeric_llt(
                        factor,
                        SparseColMatRef::new(sparsity(pattern), &*matrix),
                        Side::Lower,
                        LltRegularization::default(),
                        Par::Seq,
                        scratch.stack(sparse_request(symbolic)),
                        Spec::default(),
                    )
                    .is_ok()
            }
        };
        clean_registers();
        done
    }

    /// r ← M⁻¹r.
    pub fn solve(&mut self, r: &mut [f64]) {
        let dim = r.len();
        let r = MatMut::from_column_major_slice_mut(r, dim, 1);
        match self {
            Factor::Dense(Dense { matrix, scratch, .. }) => {
                let factor = MatRef::from_column_major_slice(matrix, dim, dim);
                llt::solve::solve_in_place(factor, r, Par::Seq, scratch.stack(StackReq::EMPTY));
            }
            Factor::Sparse(sparse) => {
                let Sparse { symbolic, factor, scratch, .. } = &mut **sparse;
                let stack = scratch.stack(sparse_request(symbolic));
                LltRef::new(symbolic, factor).solve_in_place_with_conj(Conj::No, r, Par::Seq, stack);
            }
        }
        clean_registers();
    }

    /// Storage in numbers.
    pub fn numbers(&self) -> usize {
        match self {
            Factor::Dense(dense) => dense.matrix.len(),
            // The matrix, its rows, and both again in the order of elimination.
            Factor::Sparse(sparse) => 4 * sparse.matrix.len() + sparse.factor.len(),
        }
    }
}

fn sparsity(pattern: &ReducedPattern) -> SymbolicSparseColMatRef<'_, usize> {
    let dim = pattern.order.len();
    SymbolicSparseColMatRef::new_checked(dim, dim, &pattern.columns, None, &pattern.rows)
}

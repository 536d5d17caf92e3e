//! The reduced matrix of a [reduced system](super::reduced_system), formed and factorised by faer's Cholesky.
//!
//! Whether that pays is estimated once, from the structure: every two residual blocks of a group add a block to the
//! matrix, and the factor takes dim³/3 operations, against the expected number of products.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::factor::{LltParams, LltRegularization, cholesky_in_place, cholesky_in_place_scratch};
use faer::linalg::cholesky::llt::solve::solve_in_place;
use faer::{MatMut, MatRef, Par, Spec};

use super::family::Inner;
use super::reduced_system::ReducedSystem;
use crate::base::Scalar;
use crate::operator::{BlockJacobian, BlockLayout};

/// Products that conjugate gradients with Schur–Jacobi are expected to take for a step: 20 to 60 on problems of
/// "Bundle adjustment in the large".
const EXPECTED: usize = 50;
/// Bytes that the explicit matrix may take.
const MOST_BYTES: usize = 1 << 30;
/// Unknowns from which factorisations use all threads; below, one thread is faster.
const PARALLEL: usize = 512;

/// The Cholesky factor of an explicit reduced matrix.
pub struct Explicit {
    pub matrix: Vec<f64>,
    scratch: MemBuffer,
    /// Whether there is a factor.
    pub usable: bool,
    /// Products that forming and factorising cost as much as.
    pub cost: usize,
    /// Solves with this factor, their cost with that of the factor, and the products of the last one.
    solves: usize,
    spent: usize,
    last: usize,
}

impl Explicit {
    fn new(dim: usize, cost: usize) -> Self {
        let params: Spec<LltParams, f64> = Spec::default();
        Explicit {
            matrix: vec![0.0; dim * dim],
            scratch: MemBuffer::new(cholesky_in_place_scratch::<f64>(dim, parallel(dim), params)),
            usable: false,
            cost,
            solves: 0,
            spent: 0,
            last: 0,
        }
    }

    /// The factor's workspace, if there is to be one.
    pub fn choose(layout: &BlockLayout, inner: Inner) -> Option<Self> {
        let (dim, cost) = (layout.reduced_dim(), explicit_cost(layout));
        let wanted = match inner {
            Inner::Automatic => cost < EXPECTED && dim.saturating_mul(8 * dim) <= MOST_BYTES,
            Inner::Krylov => false,
            Inner::Dense => true,
        };
        wanted.then(|| Explicit::new(dim, cost))
    }

    /// Whether a new factor pays: the old one makes a solve dearer than the average so far, its own cost included.
    pub fn is_due(&self) -> bool {
        !self.usable || self.last * self.solves > self.spent
    }

    pub fn used(&mut self, products: usize) {
        self.solves += 1;
        self.spent += products;
        self.last = products;
    }

    pub fn factorise<T: Scalar>(&mut self, system: &ReducedSystem<T>, jacobian: BlockJacobian<'_, T>) {
        let dim = jacobian.layout.reduced_dim();
        system.form(jacobian, &mut self.matrix);
        let result = cholesky_in_place(
            MatMut::from_column_major_slice_mut(&mut self.matrix, dim, dim),
            LltRegularization::default(),
            parallel(dim),
            MemStack::new(&mut self.scratch),
            Spec::default(),
        );
        self.usable = result.is_ok();
        (self.solves, self.spent, self.last) = (0, self.cost, 0);
    }

    pub fn solve(&mut self, r: &mut [f64]) {
        let dim = r.len();
        solve_in_place(
            MatRef::from_column_major_slice(&self.matrix, dim, dim),
            MatMut::from_column_major_slice_mut(r, dim, 1),
            Par::Seq,
            MemStack::new(&mut self.scratch),
        );
    }
}

fn parallel(dim: usize) -> Par {
    if dim >= PARALLEL { Par::rayon(0) } else { Par::Seq }
}

/// What the explicit matrix costs, in products.
fn explicit_cost(layout: &BlockLayout) -> usize {
    let dim = layout.reduced_dim();
    // A product passes the stored numbers twice, and waits for memory: 4 operations at about the same pace.
    let product = 4.0 * layout.numbers() as f64;
    // Each two residual blocks of a group add a matrix: rows · columns² operations.
    let mut pairs = 0.0;
    for g in 0..layout.groups.len() {
        let numbers: f64 = layout
            .blocks_of(g)
            .flat_map(|b| layout.touches(b..b + 1).iter().map(move |t| (b, t)))
            .map(|(b, t)| (layout.stored[b].rows as usize * layout.statement.size(t.parameter)) as f64)
            .sum();
        let widest = layout.most_columns as f64;
        let blocks = layout.blocks_of(g).len() as f64;
        pairs += 0.5 * numbers * (blocks + 1.0) * widest;
    }
    // Factorisation: dim³/3 operations, some 8 times as fast as those that wait for memory.
    let factor = (dim as f64).powi(3) / 24.0;
    ((2.0 * pairs + factor) / product).ceil().max(2.0) as usize
}

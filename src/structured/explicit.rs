//! The reduced matrix of a [reduced system](super::reduced_system), formed and [factorised](super::factor): whether, how,
//! and when again.
//!
//! Whether that pays is estimated once, from the structure: every two residual blocks of a group add a block to the
//! matrix, and the factor takes operations that the [pattern](super::reduced_pattern) tells, against the expected number
//! of products.

use super::factor::Factor;
use super::reduced_pattern::ReducedGraph;
use super::reduced_system::ReducedSystem;
use crate::base::Scalar;
use crate::operator::{BlockJacobian, BlockLayout};
use crate::step::InnerSolver;

/// Products that conjugate gradients with Schur–Jacobi are expected to take for a step: 20 to 60 on problems of
/// "Bundle adjustment in the large", where points are eliminated; 550 on the pose graph sphere2500 and more than 2000 on
/// M3500, where nothing is.
const EXPECTED: f64 = 50.0;
const EXPECTED_WHOLE: f64 = 500.0;
/// Bytes that the explicit matrix and its factor may take.
const MOST_BYTES: f64 = (1 << 30) as f64;
/// How many operations of a factorisation take as long as one that waits for memory, dense and sparse.
const DENSE_PACE: f64 = 8.0;
const SPARSE_PACE: f64 = 4.0;

/// The Cholesky factor of an explicit reduced matrix.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ExplicitSchur {
    pub factor: Factor,
    /// Whether there is a factor.
    pub usable: bool,
    /// Products that forming and factorising cost as much as, and a product together with a solve.
    pub cost: usize,
    iteration: f64,
    /// Whether it may serve more than one system. Where nothing is eliminated it may not: pose graphs are weakest in
    /// directions that reach through the whole graph and change with every λ, so that an old factor takes 15 to 90
    /// products, more than a new one costs (M3500 and sphere2500: 1.4 and 1.6 times the time).
    lasting: bool,
    /// Solves with this factor, their cost with that of the factor, and the cost of the last one.
    solves: usize,
    spent: f64,
    last: f64,
}

impl ExplicitSchur {
    /// The factor's workspace, if there is to be one: dense or sparse, whichever is cheaper.
    pub fn choose(layout: &BlockLayout, inner: InnerSolver) -> Option<Self> {
        let product = product_cost(layout);
        let forming = forming_cost(layout);
        let expected = if layout.eliminates() { EXPECTED } else { EXPECTED_WHOLE };
        let fits = |cost: f64, bytes: f64| match inner {
            InnerSolver::Automatic => cost < expected * product && bytes <= MOST_BYTES,
            InnerSolver::Krylov => false,
            InnerSolver::Dense => true,
        };
        if !fits(forming, 0.0) {
            return None;
        }
        let dim = layout.reduced_dim() as f64;
        let dense = forming + dim.powi(3) / (3.0 * DENSE_PACE);
        let most = if inner == InnerSolver::Dense { usize::MAX } else { (MOST_BYTES / 8.0) as usize };
        let sparse = ReducedGraph::new(layout, most)
            .map(|graph| (forming + graph.operations / SPARSE_PACE, graph))
            .filter(|&(cost, _)| cost < dense);
        let (cost, entries, factor) = match sparse {
            Some((cost, graph)) => {
                // Values and rows, and both again in the order of elimination.
                let bytes = 8.0 * (graph.entries + 4.0 * graph.stored);
                let factor = fits(cost, bytes).then(|| Factor::sparse(layout, &graph, most)).flatten()?;
                (cost, graph.entries, factor)
            }
            None => (dense, 0.5 * dim * dim, fits(dense, 8.0 * dim * dim).then(|| Factor::dense(layout))?),
        };
        Some(ExplicitSchur {
            factor,
            usable: false,
            cost: (cost / product).ceil().max(2.0) as usize,
            // A solve passes the factor twice, with 2 operations for an entry.
            iteration: 1.0 + 4.0 * entries / product,
            lasting: layout.eliminates(),
            solves: 0,
            spent: 0.0,
            last: 0.0,
        })
    }

    /// Whether a new factor pays where a solve begins: the old one makes it dearer than the average so far, its own cost
    /// included.
    pub fn is_due(&self) -> bool {
        !self.usable || !self.lasting || self.last * self.solves as f64 > self.spent
    }

    /// Whether the factor, that of another system, is too old, after so many products in a solve.
    pub fn is_too_old(&self, products: usize) -> bool {
        self.usable && self.solves > 0 && products as f64 * self.iteration >= 2.0 * self.cost as f64
    }

    pub fn used(&mut self, products: usize) {
        self.last = products as f64 * self.iteration;
        self.spent += self.last;
        self.solves += 1;
    }

    pub fn factorise<T: Scalar>(&mut self, system: &ReducedSystem<T>, jacobian: BlockJacobian<'_, T>) {
        self.usable = self.factor.factorise(system, jacobian);
        (self.solves, self.spent, self.last) = (0, self.cost as f64, 0.0);
    }
}

/// What a product with the reduced matrix costs, in operations that wait for memory: it passes the stored numbers twice,
/// 4 operations at about the same pace.
fn product_cost(layout: &BlockLayout) -> f64 {
    4.0 * layout.numbers() as f64
}

/// What forming the matrix costs, in the same unit.
fn forming_cost(layout: &BlockLayout) -> f64 {
    // Each two residual blocks of a group add a matrix: rows · columns² operations.
    let mut pairs = 0.0;
    for g in 0..layout.groups.len() {
        let numbers: f64 = layout
            .blocks_of(g)
            .flat_map(|b| layout.touches(b..b + 1).iter().map(move |t| (b, t)))
            .map(|(b, t)| (layout.stored[b].rows as usize * layout.declaration.size(t.parameter)) as f64)
            .sum();
        let widest = layout.most_columns as f64;
        let blocks = layout.blocks_of(g).len() as f64;
        pairs += 0.5 * numbers * (blocks + 1.0) * widest;
    }
    2.0 * pairs
}

//! How many vectors a run may store, and for what.

use crate::base::space;
use crate::step::MOST_BASIS;

/// Vectors that a run needs besides basis and remembered curvature: x, the trial point, δ, Mδ, two gradients, nine in the
/// workspaces, five for conjugate gradients and four for what they find.
const FIXED: usize = 24;
/// The default budget in bytes, where fewer vectors than [`MOST`] fit.
const BYTES: usize = 1 << 26;
/// Vectors that are remembered at most. On Rosenbrock's chained function of 60 to 130 unknowns 80 save 7 % of the products and
/// take 1.4 times the time; 40 need 4 % more and take 0.7 times the time, 24 need 13 %. Beyond 200 unknowns 80 save nothing.
const REMEMBERED: usize = 56;
/// The default budget in vectors: more than this has not paid in products on any problem measured.
const MOST: usize = FIXED + REMEMBERED + 200;

/// Memory for vectors of length d.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Memory {
    /// 280 vectors, or as many as 64 MiB hold, but at least 28.
    #[default]
    Automatic,
    /// At most so many vectors of length d, at least 28.
    Vectors(usize),
    /// As [`Vectors`](Self::Vectors), with nothing remembered between outer iterations: every step is taken from
    /// products at its own point, as in the textbooks.
    Forgetful(usize),
}

/// How the memory is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// Basis vectors of the Krylov space; each needs a second vector for its product.
    pub columns: usize,
    /// Vectors of the remembered model.
    pub remembered: usize,
}

impl Memory {
    /// The vectors that a run with `part` unknowns of `size` bytes at hand may store: as many on all ranks, and for any
    /// number of them.
    pub(super) fn vectors(self, part: usize, size: usize) -> usize {
        self.of_whole(space::whole(part), size)
    }

    fn of_whole(self, dim: usize, size: usize) -> usize {
        match self {
            Memory::Automatic => (BYTES / (dim * size)).clamp(FIXED + 4, MOST),
            Memory::Vectors(most) | Memory::Forgetful(most) => most.max(FIXED + 4),
        }
    }

    /// The vectors that a run on the Krylov path stores at most.
    pub(super) fn most_vectors(self, dim: usize, size: usize) -> usize {
        let plan = self.plan(dim.max(1), size);
        FIXED + 2 * plan.columns + plan.remembered
    }

    /// Right vectors that a Golub–Kahan space for `dim` parameters may store, one vector each.
    pub(super) fn right_vectors(self, dim: usize, size: usize) -> usize {
        (self.vectors(dim.max(1), size) - FIXED).min(MOST_BASIS)
    }

    pub(super) fn plan(self, part: usize, size: usize) -> Plan {
        let dim = space::whole(part);
        let vectors = self.of_whole(dim, size) - FIXED;
        let remembered = match self {
            Memory::Forgetful(_) => 0,
            _ => (vectors * 2 / 7).min(REMEMBERED).min(dim),
        };
        Plan { columns: ((vectors - remembered) / 2).clamp(1, dim.min(MOST_BASIS)), remembered }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_fit_their_budget() {
        for dim in [1, 2, 100, 1_000_000, 10_000_000] {
            for memory in [Memory::Automatic, Memory::Vectors(0), Memory::Vectors(57), Memory::Forgetful(100)] {
                let plan = memory.plan(dim, 8);
                assert!(
                    FIXED + 2 * plan.columns + plan.remembered <= memory.vectors(dim, 8),
                    "{dim} {memory:?} {plan:?}"
                );
            }
        }
        assert_eq!(Memory::Automatic.vectors(1_000_000, 8), 28);
        assert_eq!(Memory::Automatic.plan(1000, 8), Plan { columns: 100, remembered: 56 });
    }
}

//! When a Krylov space is worth completing to the whole matrix, and how.
//!
//! *When*: the excess of the error over what is wanted falls from look to look; if at the rate of the last half of the
//! products it takes d products or more to vanish, the matrix will have cost no more.
//!
//! *How*: k products W = MV are known and d − k are missing. Elimination with row pivoting, V = E V_P with E_P = I for the
//! rows P of V that it takes as pivots and |E| small, makes M E = W V_P⁻¹ = X of them. The products with the unit vectors of
//! the other rows R give the columns M_R, by symmetry their rows too, and what is left is
//!
//!   M_PP = X_P − M_PR E_R.

use super::krylov::KrylovSpace;
use crate::base::{Scalar, kernels};
use crate::operator::SymmetricOperator;

/// The share of d below which a trend is no evidence, and the products. The orthogonalisation of so many vectors takes a
/// small part of the time of a factorisation, d³/16 of d³/3 operations.
const EVIDENCE: usize = 8;
const FEWEST: usize = 6;
/// Unit vectors that go into one call.
const COLUMNS: usize = 16;

/// ln(error / wanted) after so many products, for every look.
#[derive(Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Trend(Vec<(usize, f64)>);

impl Trend {
    /// Room for the looks at a space of so many dimensions, so that none allocates.
    pub fn new(most: usize) -> Self {
        Trend(Vec::with_capacity(most))
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Notes an error of `excess` times what is wanted, and says whether d products will not do.
    pub fn is_hopeless(&mut self, products: usize, excess: f64, dim: usize) -> bool {
        let excess = excess.ln();
        self.0.push((products, excess));
        if products < FEWEST.max(dim.div_ceil(EVIDENCE)) {
            return false;
        }
        let before = self.0.partition_point(|look| 2 * look.0 < products).min(self.0.len() - 1);
        let (then, its_excess) = self.0[before];
        let rate = (its_excess - excess) / (products - then) as f64;
        // Not finite, or not falling: hopeless as well.
        let expected = products as f64 + excess / rate.max(0.0);
        expected.is_nan() || expected >= dim as f64
    }
}

/// Writes M, made of a space and of d − k further products, by columns; `columns` is room for those, d(d − k) numbers.
/// False if one is not finite.
pub fn complete<T: Scalar>(
    operator: &impl SymmetricOperator<T>,
    space: &KrylovSpace<T>,
    columns: &mut [T],
    matrix: &mut [T],
    asymmetry: &mut f64,
) -> bool {
    let (d, k) = (operator.dim(), space.len());
    let widen = |v: &[T]| v.iter().map(|&v| v.into()).collect::<Vec<f64>>();
    let (mut e, mut x) = (widen(space.basis().data), widen(space.products().data));
    let Some(pivots) = eliminate(d, &mut e, &mut x) else { return false };
    let mut is_pivot = vec![false; d];
    pivots.iter().for_each(|&p| is_pivot[p] = true);
    let others: Vec<usize> = (0..d).filter(|&i| !is_pivot[i]).collect();
    let mut units = vec![T::zero(); d * COLUMNS.min(others.len())];
    for (block, out) in others.chunks(COLUMNS).zip(columns.chunks_mut(d * COLUMNS)) {
        block.iter().enumerate().for_each(|(j, &i)| units[j * d + i] = T::one());
        operator.apply_block(&units[..block.len() * d], out);
        block.iter().enumerate().for_each(|(j, &i)| units[j * d + i] = T::zero());
    }
    let columns = &columns[..d * others.len()];
    if !kernels::all_finite(columns) {
        return false;
    }
    // The columns of R, and as rows of P their mirror image; the part R × R is as the operator gave it.
    for (column, &r) in columns.chunks_exact(d).zip(&others) {
        matrix[r * d..(r + 1) * d].copy_from_slice(column);
        pivots.iter().for_each(|&p| matrix[p * d + r] = column[p]);
    }
    let mut left = vec![0.0; k];
    let mut block = vec![0.0; k * k];
    for j in 0..k {
        left.iter_mut().zip(&pivots).for_each(|(left, &p)| *left = x[j * d + p]);
        for (column, &r) in columns.chunks_exact(d).zip(&others) {
            let entry = e[j * d + r];
            left.iter_mut().zip(&pivots).for_each(|(left, &p)| *left -= entry * column[p].into());
        }
        block[j * k..(j + 1) * k].copy_from_slice(&left);
    }
    for j in 0..k {
        for i in 0..k {
            let mean = 0.5 * (block[j * k + i] + block[i * k + j]);
            matrix[pivots[j] * d + pivots[i]] = T::from_f64(mean);
        }
    }
    *asymmetry = space.asymmetry;
    true
}

/// Makes E = V V_P⁻¹ of V and X = W V_P⁻¹ of W, by Gauss and Jordan's elimination of columns; returns the rows P.
fn eliminate(d: usize, v: &mut [f64], w: &mut [f64]) -> Option<Vec<usize>> {
    let mut pivots: Vec<usize> = Vec::with_capacity(v.len() / d);
    let mut free = vec![true; d];
    for j in 0..v.len() / d {
        let column = &v[j * d..(j + 1) * d];
        let pivot = (0..d).filter(|&i| free[i]).max_by(|&a, &b| column[a].abs().total_cmp(&column[b].abs()))?;
        let size = column[pivot];
        if !(size.abs() > f64::EPSILON && size.is_finite()) {
            return None;
        }
        free[pivot] = false;
        pivots.push(pivot);
        for i in j * d..(j + 1) * d {
            v[i] /= size;
            w[i] /= size;
        }
        for other in (0..v.len() / d).filter(|&other| other != j) {
            let factor = v[other * d + pivot];
            if factor != 0.0 {
                subtract(v, d, other, factor, j);
                subtract(w, d, other, factor, j);
            }
        }
    }
    Some(pivots)
}

/// Column `to` ← column `to` − factor · column `from`.
fn subtract(columns: &mut [f64], d: usize, to: usize, factor: f64, from: usize) {
    let (low, high) = columns.split_at_mut(to.max(from) * d);
    let (to, from) = if to < from {
        (&mut low[to * d..(to + 1) * d], &high[..d])
    } else {
        (&mut high[..d], &low[from * d..(from + 1) * d])
    };
    to.iter_mut().zip(from).for_each(|(to, from)| *to -= factor * from);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::operator;
    use crate::step::krylov::Growth;

    #[test]
    fn trends_tell_slow_from_fast() {
        // Half a digit a product from 1e8: 16 products, fewer than 100 and more than 12.
        for (dim, hopeless) in [(100, false), (12, true)] {
            let mut trend = Trend::new(8);
            let told = (1..8).map(|k| trend.is_hopeless(k, 1e8 * 10_f64.powf(-0.5 * k as f64), dim)).last();
            assert_eq!(told, Some(hopeless));
        }
        // An error that does not fall, after an eighth of the products and not before.
        let mut trend = Trend::new(16);
        for k in 1..=13 {
            assert_eq!(trend.is_hopeless(k, 1e3, 100), k == 13);
        }
    }

    #[test]
    fn a_space_is_completed_to_its_matrix() {
        let d = 12;
        let entry = |i: usize, j: usize| 1.0 / (1.0 + (i + j) as f64) + if i == j { i as f64 } else { 0.0 };
        let made = std::cell::Cell::new(0);
        let m = operator(d, |v: &[f64], out: &mut [f64]| {
            made.set(made.get() + 1);
            (0..d).for_each(|i| out[i] = (0..d).map(|j| entry(i, j) * v[j]).sum());
        });
        for k in [1, 5, 11] {
            let g: Vec<f64> = (0..d).map(|i| (i as f64).cos()).collect();
            let mut space = KrylovSpace::new(d, d);
            space.direction().copy_from_slice(&g);
            for _ in 0..k {
                assert_eq!(space.grow(&m, &g), Growth::Grown);
                space.point_to_newest_product(0.0);
            }
            made.set(0);
            let (mut columns, mut matrix) = (vec![0.0; d * d], vec![f64::NAN; d * d]);
            assert!(complete(&m, &space, &mut columns, &mut matrix, &mut 0.0));
            assert_eq!(made.get(), d - k);
            for i in 0..d {
                for j in 0..d {
                    assert!((matrix[j * d + i] - entry(i, j)).abs() < 1e-12, "{k} {i} {j}");
                }
            }
        }
    }
}

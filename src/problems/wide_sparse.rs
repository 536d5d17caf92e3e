//! A sparse classification set that any language can make up.

use super::libsvm::LabeledRows;
use super::sparse_rows::SparseRows;
use crate::base::random::SplitMix64;
use crate::base::{Result, Scalar, check_positive_dimension};

/// A wide sparse set that is the same everywhere: `rows` rows with 24 to 64 draws of one of `features` features each,
/// feature frequencies falling like rank^(−¾), rows of about unit length, labels from a random w with noise.
///
/// With 200,000 rows, 50,000 features and the seed 20240601 it has 8.3 million non-zeros, and the minimum of
/// [`LogisticRegression`](super::LogisticRegression) at C = 1 is 96857.15330903708. Only IEEE sums, products and roots of SplitMix64 draws go into
/// it, so every language that follows the recipe obtains the same bits.
///
/// # Errors
/// If there are no rows or no features.
pub fn generate_wide_sparse<T: Scalar>(rows: usize, features: usize, seed: u64) -> Result<LabeledRows<T>> {
    check_positive_dimension("rows", rows)?;
    check_positive_dimension("features", features)?;
    let mut random = SplitMix64::new(seed);
    // Nearly normal: the sum of twelve uniform numbers, centred.
    let bell = |random: &mut SplitMix64| (0..12).fold(0.0, |sum, _| sum + random.uniform()) - 6.0;
    let truth: Vec<f64> = (0..features).map(|_| bell(&mut random)).collect();
    let (mut row_starts, mut columns, mut values, mut labels) = (vec![0], vec![], vec![], vec![]);
    let mut row: Vec<u32> = Vec::new();
    for _ in 0..rows {
        let draws = 24 + (random.uniform() * 41.0) as usize;
        row.clear();
        row.extend((0..draws).map(|_| {
            // The fourth power of a uniform number has a density ∝ rank^(−¾); the popular ranks are then scattered.
            let u = random.uniform();
            let rank = (features as f64 * (u * u * u * u)) as u64;
            ((rank * 27_644_437 + 12_345) % features as u64) as u32
        }));
        row.sort_unstable();
        row.dedup();
        let unit = 1.0 / (row.len() as f64).sqrt();
        let mut score = 0.0;
        for &column in &row {
            let value = (0.5 + random.uniform()) * unit;
            score += value * truth[column as usize];
            columns.push(column);
            values.push(T::from_f64(value));
        }
        labels.push(if 3.0 * score + 1.8 * bell(&mut random) > 0.0 { T::one() } else { -T::one() });
        row_starts.push(columns.len());
    }
    let features = SparseRows::new(row_starts, columns, values, features)?;
    Ok(LabeledRows { features, labels, classes: [-1.0, 1.0] })
}

//! Vectors whose parts, of different lengths, are computed in parallel.

use std::ops::Range;

/// Calls `body(parts, data)` for ranges of parts that together are all parts, in parallel. Part i is what lies between
/// `bounds[i]` and `bounds[i + 1]`; `data` holds the parts of the range, one after the other. A range has one part, or at
/// most `grain` elements.
pub fn over_parts<T: Send>(
    bounds: &[usize],
    data: &mut [T],
    grain: usize,
    body: &(impl Fn(Range<usize>, &mut [T]) + Sync),
) {
    fn node<T: Send>(
        parts: Range<usize>,
        bounds: &[usize],
        data: &mut [T],
        grain: usize,
        body: &(impl Fn(Range<usize>, &mut [T]) + Sync),
    ) {
        if parts.len() <= 1 || data.len() <= grain {
            return body(parts, data);
        }
        let middle = parts.start + parts.len() / 2;
        let (low, high) = data.split_at_mut(bounds[middle] - bounds[parts.start]);
        rayon::join(
            || node(parts.start..middle, bounds, low, grain, body),
            || node(middle..parts.end, bounds, high, grain, body),
        );
    }
    if bounds.len() > 1 {
        debug_assert_eq!(data.len(), bounds[bounds.len() - 1] - bounds[0]);
        node(0..bounds.len() - 1, bounds, data, grain, body);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_visited_once() {
        let bounds = [0, 3, 3, 10, 11, 50, 64];
        for grain in [0, 5, 100] {
            let mut data = vec![0_usize; 64];
            over_parts(&bounds, &mut data, grain, &|parts, data| {
                let start = bounds[parts.start];
                for i in parts {
                    data[bounds[i] - start..bounds[i + 1] - start].iter_mut().for_each(|v| *v += i + 1);
                }
            });
            for i in 0..6 {
                assert!(data[bounds[i]..bounds[i + 1]].iter().all(|&v| v == i + 1));
            }
        }
        over_parts(&[0], &mut [0.0_f64; 0], 1, &|_, _| panic!("there is no part"));
    }
}

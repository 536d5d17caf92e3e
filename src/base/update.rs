//! The fused kernel of first-order steps: one pass over the gradient, the point and what a method remembers.
//!
//! With ten million unknowns a first-order step costs what its memory traffic costs. So every stream is touched once:
//! the gradient is read, the point and the remembered vectors are read and written, and ‖δ‖² is summed on the way, over
//! the same blocks and the same tree as all sums ([`kernels`](super::kernels)).
//!
//! There are no subnormal numbers in it. What a method remembers of a component that no longer matters decays towards them,
//! and so do the weights of inputs that are always 0 under regularisation; arithmetic with them takes a hundred times as
//! long. So subnormal results become 0, and so do components of the gradient that are below ε⁻¹ of the smallest normal
//! number. Squares have [`Square`].

use super::Scalar;
use super::kernels::{BLOCK, LANES, both, join_lanes};
use super::native::vectorized;
use super::space;

/// A first-order step that is to be made.
pub struct Move<'a, T> {
    /// g, or P⁻¹g in its place.
    pub gradient: &'a [T],
    /// Where the step starts, if not at `x`.
    pub from: Option<&'a [T]>,
    /// Where it leads to. With `from` its contents before are arbitrary.
    pub x: &'a mut [T],
}

/// For every component i: (δ, m′) ← rule(gᵢ, xᵢ, mᵢ), then xᵢ ← xᵢ + δ and mᵢ ← m′, with K remembered vectors m.
///
/// Returns ‖δ‖₂² of the steps as they were made, after rounding: 0 only if x did not move, and finite only if the new x is.
pub fn update<T: Scalar, const K: usize>(
    step: Move<'_, T>,
    memory: [&mut [T]; K],
    rule: &(impl Fn(T, T, [T; K]) -> (T, [T; K]) + Sync),
) -> f64 {
    space::add_up([part(step, memory, rule)])[0]
}

/// [`update`] of what this rank has.
fn part<T: Scalar, const K: usize>(
    Move { gradient, from, x }: Move<'_, T>,
    memory: [&mut [T]; K],
    rule: &(impl Fn(T, T, [T; K]) -> (T, [T; K]) + Sync),
) -> f64 {
    let n = x.len();
    if n <= BLOCK {
        return vectorized(
            n,
            #[inline(always)]
            || block(&gradient[..n], from, x, memory, rule),
        );
    }
    let middle = n.div_ceil(BLOCK) / 2 * BLOCK;
    let (gradient, other_gradient) = gradient.split_at(middle);
    let (from, other_from) = from.map(|from| from.split_at(middle)).unzip();
    let (x, other_x) = x.split_at_mut(middle);
    let mut other_memory: [&mut [T]; K] = std::array::from_fn(|_| &mut [][..]);
    let mut k = 0;
    let memory = memory.map(|m| {
        let (low, high) = m.split_at_mut(middle);
        other_memory[k] = high;
        k += 1;
        low
    });
    let low = || part(Move { gradient, from, x }, memory, rule);
    let other = Move { gradient: other_gradient, from: other_from, x: other_x };
    let high = || part(other, other_memory, rule);
    let (a, b) = both(n, low, high);
    a + b
}

/// Components that are computed together, in local arrays: no two of them alias, so vector instructions are used.
const GROUP: usize = 8 * LANES;

#[inline(always)]
fn block<T: Scalar, const K: usize>(
    gradient: &[T],
    from: Option<&[T]>,
    x: &mut [T],
    memory: [&mut [T]; K],
    rule: &impl Fn(T, T, [T; K]) -> (T, [T; K]),
) -> f64 {
    if let Some(from) = from {
        x.copy_from_slice(from);
    }
    let (gradients, last_gradient) = gradient.as_chunks::<GROUP>();
    let (xs, last_x) = x.as_chunks_mut::<GROUP>();
    let mut last_memory: [&mut [T]; K] = std::array::from_fn(|_| &mut [][..]);
    let mut k = 0;
    let mut memories = memory.map(|m| {
        let (groups, last) = m.as_chunks_mut::<GROUP>();
        last_memory[k] = last;
        k += 1;
        groups
    });
    let mut sums = [0.0; LANES];
    for (c, (gradient, x)) in gradients.iter().zip(xs).enumerate() {
        group(gradient, x, memories.each_mut().map(|m| &mut m[c]), rule, &mut sums);
    }
    let rest = last_x.len();
    if rest > 0 {
        let mut g = [T::zero(); GROUP];
        let mut x = [T::zero(); GROUP];
        let mut m = [[T::zero(); GROUP]; K];
        g[..rest].copy_from_slice(last_gradient);
        x[..rest].copy_from_slice(last_x);
        m.iter_mut().zip(&last_memory).for_each(|(m, last)| m[..rest].copy_from_slice(last));
        // What a rule makes of the zeros behind the rest must not be summed.
        let mut padded = [0.0; LANES];
        let before = x;
        group(&g, &mut x, m.each_mut(), rule, &mut padded);
        for i in 0..rest {
            let made: f64 = (x[i] - before[i]).into();
            sums[i % LANES] += made * made;
        }
        last_x.copy_from_slice(&x[..rest]);
        m.iter().zip(last_memory).for_each(|(m, last)| last.copy_from_slice(&m[..rest]));
    }
    join_lanes(sums)
}

/// a, or 0 if it is smaller than `least`.
#[inline(always)]
fn above<T: Scalar>(a: T, least: T) -> T {
    if a.abs() < least { T::zero() } else { a }
}

/// a ↦ wa² for a weight w in (0, 1], or 0 where that would be subnormal.
#[derive(Clone, Copy)]
pub struct Square<T> {
    weight: T,
    /// √(m/w) for the smallest normal number m.
    least: T,
}

impl<T: Scalar> Square<T> {
    pub fn weighted(weight: f64) -> Self {
        let smallest: f64 = T::min_positive_value().into();
        Square { weight: T::from_f64(weight), least: T::from_f64((smallest / weight).sqrt()) }
    }

    #[inline(always)]
    pub fn of(self, a: T) -> T {
        let a = above(a, self.least);
        self.weight * a * a
    }
}

#[inline(always)]
fn group<T: Scalar, const K: usize>(
    gradient: &[T; GROUP],
    x: &mut [T; GROUP],
    mut memory: [&mut [T; GROUP]; K],
    rule: &impl Fn(T, T, [T; K]) -> (T, [T; K]),
    sums: &mut [f64; LANES],
) {
    let normal = T::min_positive_value();
    let (g, before) = (gradient.map(|g| above(g, normal / T::epsilon())), *x);
    let mut m: [[T; GROUP]; K] = memory.each_ref().map(|m| **m);
    let (mut after, mut made) = ([T::zero(); GROUP], [T::zero(); GROUP]);
    for i in 0..GROUP {
        let (delta, remembered) = rule(g[i], before[i], std::array::from_fn(|k| m[k][i]));
        for k in 0..K {
            m[k][i] = above(remembered[k], normal);
        }
        after[i] = above(before[i] + delta, normal);
        made[i] = after[i] - before[i];
    }
    *x = after;
    memory.iter_mut().zip(m).for_each(|(memory, m)| **memory = m);
    for made in made.chunks_exact(LANES) {
        for (sum, &made) in sums.iter_mut().zip(made) {
            let made: f64 = made.into();
            *sum += made * made;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A rule with both kinds of memory, by one plain loop.
    fn plain(g: &[f64], x: &mut [f64], m: &mut [f64], v: &mut [f64]) -> f64 {
        let mut sum = 0.0;
        for i in 0..x.len() {
            (m[i], v[i]) = (0.5 * m[i] + g[i], v[i] + g[i] * g[i]);
            let before = x[i];
            x[i] += -0.1 * m[i] / (v[i].sqrt() + 1.0) - 0.01 * x[i];
            sum += (x[i] - before).powi(2);
        }
        sum
    }

    #[test]
    fn every_component_is_moved_once() {
        for n in [0, 1, 7, 8, 9, 4095, 4096, 4097, 70_001, 300_000] {
            let g: Vec<f64> = (0..n).map(|i| (i as f64).sin()).collect();
            let start: Vec<f64> = (0..n).map(|i| (i as f64).cos()).collect();
            let rule = |g: f64, x: f64, [m, v]: [f64; 2]| {
                let (m, v) = (0.5 * m + g, v + g * g);
                (-0.1 * m / (v.sqrt() + 1.0) - 0.01 * x, [m, v])
            };
            let (mut x, mut m, mut v) = (start.clone(), vec![0.3; n], vec![0.2; n]);
            let (mut y, mut my, mut vy) = (vec![f64::NAN; n], m.clone(), v.clone());
            let (mut z, mut mz, mut vz) = (x.clone(), m.clone(), v.clone());
            let expected = plain(&g, &mut x, &mut m, &mut v);
            let there = update(Move { gradient: &g, from: Some(&start), x: &mut y }, [&mut my, &mut vy], &rule);
            let in_place = update(Move { gradient: &g, from: None, x: &mut z }, [&mut mz, &mut vz], &rule);
            assert!((there - expected).abs() <= 1e-12 * expected, "{n}: {there} and {expected}");
            assert_eq!(there.to_bits(), in_place.to_bits());
            for ((x, y), z) in x.iter().zip(&y).zip(&z) {
                assert!((x - y).abs() <= 1e-15 && y == z, "{n}");
            }
            assert_eq!((&m, &v), (&my, &vy));
            assert_eq!((&m, &v), (&mz, &vz));
        }
    }

    #[test]
    fn the_sum_does_not_depend_on_the_number_of_threads() {
        let n = 300_001;
        let g: Vec<f32> = (0..n).map(|i| (i as f32).sin()).collect();
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                update(Move { gradient: &g, from: None, x: &mut vec![1.0; n] }, [], &|g, _, []| (-0.1 * g, []))
                    .to_bits()
            })
        };
        assert_eq!(run(1), run(3));
    }

    #[test]
    fn subnormal_numbers_become_zero() {
        let (normal, n) = (f32::MIN_POSITIVE, 67);
        let even = |i: usize, value: f32| if i.is_multiple_of(2) { value } else { 0.0 };
        let gradient = |size: f32| (0..n).map(|i| even(i, size).max(0.5 * size)).collect::<Vec<f32>>();
        let (mut x, mut m) = (vec![0.0; n], vec![f32::NAN; n]);
        update(Move { gradient: &gradient(1.0), from: None, x: &mut x }, [&mut m], &|g, _, [_]| {
            (-normal * g, [normal * g])
        });
        assert!((0..n).all(|i| x[i] == even(i, -normal) && m[i] == even(i, normal)));
        let least = normal / f32::EPSILON;
        update(Move { gradient: &gradient(least), from: None, x: &mut x }, [&mut m], &|g, _, [_]| (g, [g]));
        assert!((0..n).all(|i| m[i] == even(i, least)));
        let square = Square::<f32>::weighted(0.01);
        assert_eq!([1e-17, 1.1e-18, 0.0].map(|a| square.of(a)), [0.01 * 1e-17 * 1e-17, 0.01 * 1.1e-18 * 1.1e-18, 0.0]);
        assert_eq!([1e-18, -1e-30].map(|a| square.of(a)), [0.0; 2]);
        assert!(square.of(f32::NAN).is_nan());
    }

    #[test]
    fn the_sum_tells_whether_the_point_moved_and_is_finite() {
        let step = |g: f64, x: f64| update(Move { gradient: &[g], from: None, x: &mut [x] }, [], &|g, _, []| (g, []));
        assert_eq!(step(1e-20, 1.0), 0.0);
        assert!(!step(f64::MAX, f64::MAX).is_finite());
        assert!(step(f64::NAN, 1.0).is_nan());
    }
}

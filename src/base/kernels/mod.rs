//! Vector kernels: the only place where vectors are summed. All sums accumulate in `f64`, whatever the vectors hold.

mod recurrences;
mod tree;
mod vectors;

pub use recurrences::{
    conjugate_gradient_dots, conjugate_gradient_step, conjugate_gradient_update, golub_kahan_update, lanczos_update,
    lsmr_updates, minres_updates,
};
pub use tree::{for_rows, sum_rows, sum_terms};
pub use vectors::*;

pub(super) use tree::{BLOCK, LANES, both, for_blocks, join_lanes, tree_sum};

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn vector(n: usize, seed: u64) -> Vec<f64> {
        let mut state = seed;
        (0..n)
            .map(|_| {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (state >> 33) as f64 / (1u64 << 31) as f64 - 0.5
            })
            .collect()
    }

    #[test]
    fn sums_do_not_depend_on_the_number_of_threads() {
        let n = 300_001;
        let (a, b) = (vector(n, 1), vector(n, 2));
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let mut y = b.clone();
                axpy(0.3, &a, &mut y);
                let (size, across) = golub_kahan_update(0.7, &a, -0.4, &mut b.clone());
                let [mut h, mut h_bar, mut x] = [b.clone(), a.clone(), b.clone()];
                let solution = lsmr_updates([&a], [[1.1, 0.2, -0.3, 0.4]], &mut h, &mut h_bar, &mut x);
                let mut vectors = [a.clone(), b.clone(), y.clone()];
                let [z, r, p] = &mut vectors;
                let [rr, zz] = conjugate_gradient_step([0.1, 0.2, 0.3], &a, z, r, p);
                let [pp, pq, _] = conjugate_gradient_dots(0.3, p, &a);
                let [length, _, _] = lanczos_update([0.1, 0.2, 0.3], &a, &b, p);
                [dot(&a, &b), dot(&y, &y), size, across, solution, rr, zz, pp, pq, length].map(f64::to_bits)
            })
        };
        assert_eq!(run(1), run(3));
    }

    #[test]
    fn fused_updates_agree_with_single_ones() {
        for n in [1, 4095, 4097, 200_003] {
            let [v, h, h_bar, x] = [1, 2, 3, 4].map(|seed| vector(n, seed));
            let (mut h2, mut h_bar2, mut x2) = (h.clone(), h_bar.clone(), x.clone());
            let factors = [[2.0, -0.3, 0.7, -1.5], [0.5, 0.1, -0.2, 0.3]];
            let size = lsmr_updates([&v, &x], factors, &mut h2, &mut h_bar2, &mut x2);
            for i in 0..n {
                let (bar, next) = (h[i] - 0.3 * h_bar[i], 2.0 * v[i] - 1.5 * h[i]);
                let last = next + 0.1 * bar;
                assert_eq!((h_bar2[i], h2[i]), (last, 0.5 * x[i] + 0.3 * next));
                assert_eq!(x2[i], x[i] + 0.7 * bar - 0.2 * last);
            }
            assert!((size / norm(&x2) - 1.0).abs() < 1e-14);
            let mut y = v.clone();
            let (size, across) = golub_kahan_update(0.5, &h, -2.0, &mut y);
            assert!((0..n).all(|i| y[i] == 0.5 * h[i] - 2.0 * v[i]));
            assert!((size / norm(&y) - 1.0).abs() < 1e-14);
            assert!((across - dot(&h, &v)).abs() < 1e-14 * norm(&h) * norm(&v));
        }
        for n in [1, 4095, 4097, 200_003] {
            let [p, q, z, r] = [1, 2, 3, 4].map(|seed| vector(n, seed));
            let close = |a: f64, b: f64| (a - b).abs() < 1e-12 * (1.0 + norm(&p) * norm(&p));
            let shifted: Vec<f64> = (0..n).map(|i| q[i] + 0.3 * p[i]).collect();
            let [pp, pq, qq] = conjugate_gradient_dots(0.3, &p, &q);
            assert!(close(pp, dot(&p, &p)) && close(pq, dot(&p, &shifted)) && close(qq, dot(&shifted, &shifted)));
            let (mut z2, mut r2, mut p2) = (z.clone(), r.clone(), p.clone());
            let [rr, zz] = conjugate_gradient_step([0.5, -0.7, 0.3], &q, &mut z2, &mut r2, &mut p2);
            for i in 0..n {
                assert_eq!((z2[i], r2[i]), (z[i] + 0.5 * p[i], r[i] + 0.5 * shifted[i]));
                assert_eq!(p2[i], -0.7 * p[i] - r2[i]);
            }
            assert!(close(rr, dot(&r2, &r2)) && close(zz, dot(&z2, &z2)));
            let mut new = q.clone();
            let [size, along, across] = lanczos_update([0.5, -0.7, 2.0], &p, &z, &mut new);
            assert!((0..n).all(|i| new[i] == 0.5 * p[i] - 0.7 * z[i] + 2.0 * q[i]));
            assert!(close(size, norm(&new)) && close(along, dot(&p, &new)) && close(across, dot(&z, &q)));
            let factors = [[0.5, -0.7, 2.0, 0.1, 0.9, -0.2], [0.3, 0.2, -0.1, -0.6, 0.8, 0.4]];
            let mut once: [Vec<f64>; 4] = [3, 4, 5, 6].map(|seed| vector(n, seed));
            let mut twice = once.clone();
            minres_updates([&p, &q], factors, once.each_mut().map(|v| &mut v[..]));
            for (v, factors) in [&p, &q].into_iter().zip(factors) {
                let [w, w2, z, r] = twice.clone();
                let [a, b, c, d, e, f] = factors;
                twice[1] = w.clone();
                twice[0] = (0..n).map(|i| a * v[i] + b * w[i] + c * w2[i]).collect();
                twice[2] = (0..n).map(|i| z[i] + d * twice[0][i]).collect();
                twice[3] = (0..n).map(|i| e * r[i] + f * v[i]).collect();
            }
            assert_eq!(once, twice);
        }
        let mut y = [3e-200_f64, 4e-200];
        assert!((golub_kahan_update(1.0, &[0.0; 2], 1.0, &mut y).0 / 5e-200 - 1.0).abs() < 1e-15);
    }

    #[test]
    fn norms_survive_extreme_scales() {
        assert!((norm(&[3e200_f64, 4e200]) / 5e200 - 1.0).abs() < 1e-15);
        assert!((norm(&[3e-200_f64, 4e-200]) / 5e-200 - 1.0).abs() < 1e-15);
        assert!((norm(&[3e30_f32, 4e30]) / 5e30 - 1.0).abs() < 1e-7);
        assert_eq!(norm::<f64>(&[0.0; 3]), 0.0);
        assert_eq!(norm(&[1.0, f64::INFINITY]), f64::INFINITY);
        assert!(norm(&[1.0, f64::NAN, 2.0]).is_nan());
    }

    #[test]
    fn long_f32_sums_accumulate_in_f64() {
        let a = vec![0.1_f32; 10_000_000];
        let exact = 1e7 * (0.1_f32 as f64) * (0.1_f32 as f64);
        assert!((dot(&a, &a) / exact - 1.0).abs() < 1e-12);
    }
}

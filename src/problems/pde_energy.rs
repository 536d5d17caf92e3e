//! A Ginzburg–Landau energy on the unit cube, discretised by finite differences.
//!
//! Stationary where −Δu + κ (u³ − u) = f. The Hessian's condition grows like N², as it does for all second-order elliptic
//! equations; beyond the smallest eigenvalue of A, 12 sin²(πh/2)/h² ≈ 3π², κ makes several minima.
//!
//! Two truths come with it, for one function u* without symmetries. Either f is the continuous equation's left-hand
//! side at u*, and the discrete minimiser tends to u* like h² ([`GinzburgLandau::continuous`]); or f is the discrete
//! left-hand side, and ∇E_h(u*) = 0 up to rounding ([`GinzburgLandau::discrete`]).
//!
//! Planes of the grid are worked on in parallel. Sums run along the rows of a plane and then over the planes by a
//! binary tree that depends on N alone, so results are bitwise the same for any number of threads. The energy is summed
//! in `f64`. Storage is one vector (f) and a row.

use std::f64::consts::PI;
use std::ops::Range;

use crate::base::parallel::{Chunked, for_each, for_each_if, join};
use crate::base::{Result, Scalar, check_not_negative, check_positive_dimension};
use crate::operator::{Expansion, Objective, SymmetricOperator};

/// Unknowns from which planes are worked on in parallel.
const PARALLEL: usize = 1 << 16;

/// The Ginzburg–Landau energy ∫ ½|∇u|² + (κ/4)(u² − 1)² − f u on the unit cube, u = 0 on its boundary, by second-order
/// finite differences on N³ inner points with spacing h = 1/(N + 1).
///
/// - E_h(u) = h³ Σ \[½|Du|² + (κ/4)(u² − 1)² − f u\]
/// - ∇E_h(u) = h³ (A u + κ (u³ − u) − f), with the seven-point A ≈ −Δ
/// - ∇²E_h(u) v = h³ (A v + κ (3u² − 1) v)
///
/// Bounded below; strictly convex for κ < 12 sin²(πh/2)/h² ≈ 29.6; with a larger κ the Hessian is indefinite near
/// u = 0. f is made for a chosen u*, the [`truth`](Self::truth). The factor h³, with which E_h tends to the integral,
/// makes gradients small: ‖∇E_h‖₂ is of the order h^(3/2).
///
/// Evaluation is parallel, bitwise the same for any number of threads, and allocates nothing.
///
/// An unknown u(x, y, z) at ((i + 1)h, (j + 1)h, (k + 1)h) has the index (kN + j)N + i.
///
/// ```
/// use newton_krylov::{Expansion, Objective, problems::GinzburgLandau};
///
/// let energy = GinzburgLandau::<f64>::discrete(20, 10.0)?;
/// let truth = energy.truth();
/// let mut gradient = vec![0.0; 8000];
/// energy.expand(&truth).gradient(&mut gradient);
/// assert!(gradient.iter().all(|g| g.abs() < 1e-15));
/// # Ok::<(), newton_krylov::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct GinzburgLandau<T> {
    points: usize,
    coupling: f64,
    source: Vec<T>,
    /// What lies beyond the boundary: a row of zeros.
    outside: Vec<T>,
}

impl<T: Scalar> GinzburgLandau<T> {
    /// N = `points` inner points along each edge of the cube, κ = `coupling`, and f from the continuous equation.
    pub fn continuous(points: usize, coupling: f64) -> Result<Self> {
        let mut energy = Self::without_source(points, coupling)?;
        energy.source = energy.sample(|x, y, z| {
            let (a, b, c) = factors(x, y, z);
            let u = a.0 * b.0 * c.0;
            -(a.1 * b.0 * c.0 + a.0 * b.1 * c.0 + a.0 * b.0 * c.1) + coupling * (u * u * u - u)
        });
        Ok(energy)
    }

    /// N = `points` inner points along each edge of the cube, κ = `coupling`, and f such that ∇E_h(u*) = 0.
    pub fn discrete(points: usize, coupling: f64) -> Result<Self> {
        let mut energy = Self::without_source(points, coupling)?;
        let h = energy.spacing();
        energy.source = energy.sample(|x, y, z| {
            // A acts on each factor alone; the factors vanish on the boundary, so A needs no special rows there.
            let second = |i: usize| {
                let shifted = |s: f64| {
                    let mut point = [x, y, z];
                    point[i] += s * h;
                    truth(point)
                };
                (2.0 * truth([x, y, z]) - shifted(-1.0) - shifted(1.0)) / (h * h)
            };
            let u = truth([x, y, z]);
            second(0) + second(1) + second(2) + coupling * (u * u * u - u)
        });
        Ok(energy)
    }

    fn without_source(points: usize, coupling: f64) -> Result<Self> {
        check_positive_dimension("points", points)?;
        check_not_negative("coupling", coupling)?;
        Ok(GinzburgLandau { points, coupling, source: Vec::new(), outside: vec![T::zero(); points] })
    }

    /// h = 1/(N + 1).
    pub fn spacing(&self) -> f64 {
        1.0 / (self.points as f64 + 1.0)
    }

    /// u* on the grid.
    pub fn truth(&self) -> Vec<T> {
        self.sample(|x, y, z| truth([x, y, z]))
    }

    /// The start u = 0.
    pub fn start(&self) -> Vec<T> {
        vec![T::zero(); self.points.pow(3)]
    }

    fn sample(&self, f: impl Fn(f64, f64, f64) -> f64 + Sync) -> Vec<T> {
        let (n, h) = (self.points, self.spacing());
        let at = |index: usize| (index as f64 + 1.0) * h;
        let mut samples = vec![T::zero(); n * n * n];
        for_each(Chunked(&mut samples, n * n), &|k, plane| {
            for (i, sample) in plane.iter_mut().enumerate() {
                *sample = T::from_f64(f(at(i % n), at(i / n), at(k)));
            }
        });
        samples
    }

    /// Row j of plane k of `u`, counted from 1; rows 0 and N + 1 and planes 0 and N + 1 are the boundary.
    fn row<'a>(&'a self, u: &'a [T], k: usize, j: usize) -> &'a [T] {
        let inside = 1..=self.points;
        if inside.contains(&k) && inside.contains(&j) {
            let start = ((k - 1) * self.points + j - 1) * self.points;
            &u[start..start + self.points]
        } else {
            &self.outside
        }
    }

    /// The part of E_h/h³ that belongs to plane k: its points, and the differences towards smaller coordinates. The
    /// last plane has those towards the far boundary too.
    fn plane_energy(&self, u: &[T], k: usize) -> f64 {
        let n = self.points;
        let inverse = 0.5 / self.spacing().powi(2);
        let squares = |a: &[T], b: &[T]| -> f64 {
            a.iter().zip(b).map(|(&a, &b)| Into::<f64>::into(a) - b.into()).map(|d| d * d).sum()
        };
        let mut sum = 0.0;
        for j in 1..=n {
            let row = self.row(u, k, j);
            let (first, last): (f64, f64) = (row[0].into(), row[n - 1].into());
            let mut differences = squares(row, self.row(u, k, j - 1)) + squares(row, self.row(u, k - 1, j));
            differences += first * first + squares(&row[1..], &row[..n - 1]) + last * last;
            if j == n {
                differences += squares(row, &self.outside);
            }
            if k == n {
                differences += squares(row, &self.outside);
            }
            let source = self.row(&self.source, k, j);
            let mut points = 0.0;
            for (&u, &f) in row.iter().zip(source) {
                let (u, f): (f64, f64) = (u.into(), f.into());
                let well = u * u - 1.0;
                points += 0.25 * self.coupling * well * well - f * u;
            }
            sum += inverse * differences + points;
        }
        sum
    }

    /// Σ over planes by a binary tree.
    fn tree_energy(&self, u: &[T], planes: Range<usize>) -> f64 {
        if planes.len() == 1 {
            return self.plane_energy(u, planes.start);
        }
        let middle = planes.start + planes.len() / 2;
        let low = || self.tree_energy(u, planes.start..middle);
        let high = || self.tree_energy(u, middle..planes.end);
        let (low, high) = if u.len() < PARALLEL { (low(), high()) } else { join(low, high) };
        low + high
    }

    /// out ← h³Av, row by row, each of which `complete(index of its first point, row of v, row of out)` finishes.
    fn for_rows(&self, v: &[T], out: &mut [T], complete: impl Fn(usize, &[T], &mut [T]) + Sync) {
        let n = self.points;
        let h = T::from_f64(self.spacing());
        let six = T::from_f64(6.0);
        for_each_if(v.len() >= PARALLEL, Chunked(out, n * n), &|k, out| {
            for (j, out) in out.chunks_exact_mut(n).enumerate() {
                let row = self.row(v, k + 1, j + 1);
                let (south, north) = (self.row(v, k + 1, j), self.row(v, k + 1, j + 2));
                let (below, above) = (self.row(v, k, j + 1), self.row(v, k + 2, j + 1));
                for i in 0..n {
                    out[i] = h * (six * row[i] - (south[i] + north[i]) - (below[i] + above[i]));
                }
                for (out, &west) in out[1..].iter_mut().zip(row) {
                    *out -= h * west;
                }
                for (out, &east) in out.iter_mut().zip(&row[1..]) {
                    *out -= h * east;
                }
                complete((k * n + j) * n, row, out);
            }
        });
    }
}

impl<T: Scalar> Objective<T> for GinzburgLandau<T> {
    fn dim(&self) -> usize {
        self.source.len()
    }

    fn value(&self, u: &[T]) -> f64 {
        self.spacing().powi(3) * self.tree_energy(u, 1..self.points + 1)
    }

    fn expand<'a>(&'a self, x: &'a [T]) -> impl Expansion<T> + 'a {
        GinzburgLandauAt { energy: self, u: x }
    }
}

struct GinzburgLandauAt<'a, T> {
    energy: &'a GinzburgLandau<T>,
    u: &'a [T],
}

impl<T: Scalar> SymmetricOperator<T> for GinzburgLandauAt<'_, T> {
    fn dim(&self) -> usize {
        self.u.len()
    }

    fn apply(&self, v: &[T], out: &mut [T]) {
        let (three, weight) = (T::from_f64(3.0), T::from_f64(self.energy.coupling * self.energy.spacing().powi(3)));
        self.energy.for_rows(v, out, |start, v, out| {
            let u = &self.u[start..start + v.len()];
            for ((out, &v), &u) in out.iter_mut().zip(v).zip(u) {
                *out += weight * (three * u * u - T::one()) * v;
            }
        });
    }
}

impl<T: Scalar> Expansion<T> for GinzburgLandauAt<'_, T> {
    fn value(&self) -> f64 {
        self.energy.value(self.u)
    }

    fn gradient(&self, out: &mut [T]) {
        let volume = self.energy.spacing().powi(3);
        let (weight, volume) = (T::from_f64(self.energy.coupling * volume), T::from_f64(volume));
        self.energy.for_rows(self.u, out, |start, u, out| {
            let source = &self.energy.source[start..start + u.len()];
            for ((out, &u), &f) in out.iter_mut().zip(u).zip(source) {
                *out += weight * (u * u - T::one()) * u - volume * f;
            }
        });
    }
}

/// u* = a(x) b(y) c(z).
fn truth([x, y, z]: [f64; 3]) -> f64 {
    let (a, b, c) = factors(x, y, z);
    a.0 * b.0 * c.0
}

/// a = 2x(1 − x)eˣ, b = sin πy + ½ sin 2πy, c = (1 + z) sin πz, each with its second derivative.
fn factors(x: f64, y: f64, z: f64) -> ((f64, f64), (f64, f64), (f64, f64)) {
    let a = (2.0 * x * (1.0 - x) * x.exp(), -2.0 * x * (x + 3.0) * x.exp());
    let (once, twice) = ((PI * y).sin(), (2.0 * PI * y).sin());
    let b = (once + 0.5 * twice, -PI * PI * (once + 2.0 * twice));
    let (sin, cos) = (PI * z).sin_cos();
    let c = ((1.0 + z) * sin, 2.0 * PI * cos - PI * PI * (1.0 + z) * sin);
    (a, b, c)
}

//! The reference problems behind a C ABI, so that solvers in other languages run on the same functions, bit for bit.
//!
//! Problems are numbered from 0 to `reference_problem_count() − 1`: the 35 Moré–Garbow–Hillstrom functions (set 0),
//! those with many unknowns (set 1), chained Rosenbrock (set 2). Pointers must be valid for n numbers. `mgh.py` loads
//! it. The Ginzburg–Landau energy has a size, so it is made and freed by the caller; `pde_energy.py` loads it.

#![allow(unsafe_code)]

use std::ffi::c_char;
use std::slice::{from_raw_parts, from_raw_parts_mut};
use std::sync::LazyLock;

use newton_krylov::problems::{ChainedRosenbrock, GinzburgLandau, MoreGarbowHillstrom};
use newton_krylov::{Expansion, Objective, SymmetricOperator};

#[derive(Clone, Copy)]
enum Problem {
    SumOfSquares(MoreGarbowHillstrom),
    Chained(ChainedRosenbrock),
}

/// The problems, each with its set.
static PROBLEMS: LazyLock<Vec<(usize, Problem)>> = LazyLock::new(|| {
    let all = MoreGarbowHillstrom::all().into_iter().map(|p| (0, Problem::SumOfSquares(p)));
    let large = MoreGarbowHillstrom::large().into_iter().map(|p| (1, Problem::SumOfSquares(p)));
    let chained = [10, 50, 200].into_iter().filter_map(|n| ChainedRosenbrock::new(n).ok());
    all.chain(large).chain(chained.map(|p| (2, Problem::Chained(p)))).collect()
});

/// Calls an expression on whichever problem it is.
macro_rules! on {
    ($index:expr, $problem:ident => $body:expr) => {
        match &PROBLEMS[$index].1 {
            Problem::SumOfSquares($problem) => $body,
            Problem::Chained($problem) => $body,
        }
    };
}

fn unknowns(index: usize) -> usize {
    on!(index, p => Objective::<f64>::dim(p))
}

/// How many problems there are.
#[unsafe(no_mangle)]
pub extern "C" fn reference_problem_count() -> usize {
    PROBLEMS.len()
}

/// The set that a problem belongs to.
#[unsafe(no_mangle)]
pub extern "C" fn reference_problem_set(index: usize) -> usize {
    PROBLEMS[index].0
}

/// n.
#[unsafe(no_mangle)]
pub extern "C" fn reference_problem_unknowns(index: usize) -> usize {
    unknowns(index)
}

/// Writes the name, cut to `capacity` bytes, and returns its length in bytes.
///
/// # Safety
/// `out` must be valid for writing `capacity` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reference_problem_name(index: usize, out: *mut c_char, capacity: usize) -> usize {
    let name = on!(index, p => p.to_string());
    // SAFETY: the caller's promise.
    let out = unsafe { from_raw_parts_mut(out.cast::<u8>(), capacity) };
    let length = name.len().min(capacity);
    out[..length].copy_from_slice(&name.as_bytes()[..length]);
    name.len()
}

/// out ← factor · x₀; where x₀ = 0 every component is `factor`, unless that is 1.
///
/// # Safety
/// `out` must be valid for writing n numbers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reference_problem_start(index: usize, factor: f64, out: *mut f64) {
    let start = match &PROBLEMS[index].1 {
        Problem::SumOfSquares(p) => p.scaled_start(factor),
        Problem::Chained(p) => p.start::<f64>().iter().map(|x| factor * x).collect(),
    };
    // SAFETY: the caller's promise.
    unsafe { from_raw_parts_mut(out, start.len()) }.copy_from_slice(&start);
}

/// F(x).
///
/// # Safety
/// `x` must be valid for reading n numbers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reference_problem_value(index: usize, x: *const f64) -> f64 {
    // SAFETY: the caller's promise.
    let x = unsafe { from_raw_parts(x, unknowns(index)) };
    on!(index, p => p.value(x))
}

/// out ← ∇F(x).
///
/// # Safety
/// `x` must be valid for reading and `out` for writing n numbers, and they must not overlap.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reference_problem_gradient(index: usize, x: *const f64, out: *mut f64) {
    let n = unknowns(index);
    // SAFETY: the caller's promise.
    let (x, out) = unsafe { (from_raw_parts(x, n), from_raw_parts_mut(out, n)) };
    on!(index, p => p.expand(x).gradient(out));
}

/// out ← ∇²F(x) v.
///
/// # Safety
/// `x` and `v` must be valid for reading and `out` for writing n numbers, and `out` must not overlap the others.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reference_problem_product(index: usize, x: *const f64, v: *const f64, out: *mut f64) {
    let n = unknowns(index);
    // SAFETY: the caller's promise.
    let (x, v, out) = unsafe { (from_raw_parts(x, n), from_raw_parts(v, n), from_raw_parts_mut(out, n)) };
    on!(index, p => p.expand(x).apply(v, out));
}

/// The discrete Ginzburg–Landau energy on `points`³ points, to be freed with [`ginzburg_landau_free`]; null for
/// arguments out of range.
#[unsafe(no_mangle)]
pub extern "C" fn ginzburg_landau_new(points: usize, coupling: f64) -> *mut GinzburgLandau<f64> {
    GinzburgLandau::discrete(points, coupling).map_or(std::ptr::null_mut(), |energy| Box::into_raw(Box::new(energy)))
}

/// Frees an energy.
///
/// # Safety
/// `energy` must come from [`ginzburg_landau_new`], and nobody must use it afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ginzburg_landau_free(energy: *mut GinzburgLandau<f64>) {
    // SAFETY: the caller's promise.
    drop(unsafe { Box::from_raw(energy) });
}

/// E(u).
///
/// # Safety
/// `energy` must be alive and `u` valid for reading n numbers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ginzburg_landau_value(energy: *const GinzburgLandau<f64>, u: *const f64) -> f64 {
    // SAFETY: the caller's promise.
    let energy = unsafe { &*energy };
    // SAFETY: the caller's promise.
    energy.value(unsafe { from_raw_parts(u, energy.dim()) })
}

/// out ← ∇E(u).
///
/// # Safety
/// `energy` must be alive, `u` valid for reading and `out` for writing n numbers, without overlap.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ginzburg_landau_gradient(energy: *const GinzburgLandau<f64>, u: *const f64, out: *mut f64) {
    // SAFETY: the caller's promise.
    let energy = unsafe { &*energy };
    let n = energy.dim();
    // SAFETY: the caller's promise.
    let (u, out) = unsafe { (from_raw_parts(u, n), from_raw_parts_mut(out, n)) };
    energy.expand(u).gradient(out);
}

/// out ← ∇²E(u) v.
///
/// # Safety
/// `energy` must be alive, `u` and `v` valid for reading and `out` for writing n numbers; `out` must not overlap the
/// others.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ginzburg_landau_product(
    energy: *const GinzburgLandau<f64>,
    u: *const f64,
    v: *const f64,
    out: *mut f64,
) {
    // SAFETY: the caller's promise.
    let energy = unsafe { &*energy };
    let n = energy.dim();
    // SAFETY: the caller's promise.
    let (u, v, out) = unsafe { (from_raw_parts(u, n), from_raw_parts(v, n), from_raw_parts_mut(out, n)) };
    energy.expand(u).apply(v, out);
}

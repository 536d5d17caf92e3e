//! The space that vectors live in: whether the slices at hand are whole vectors, or one rank's part of vectors that are
//! spread over processes.
//!
//! Where parts are all there is, a sum over a vector is Σ over ranks of the sum over the rank's part, and its largest
//! entry, its length and the place of a random number in it are likewise those of the whole. So the kernels ask here
//! after their local part, on the thread that called them, and nothing else of the library knows of ranks: a solver that
//! only ever sees sums takes the same decisions everywhere.
//!
//! The space belongs to the thread, for as long as [`distributed`] runs. As an ability of the objective it would have to be
//! forwarded by every wrapper and handed to every kernel, and a type parameter would show in users' types.
//!
//! An inner product of the user's own (a mass matrix) does not fit in here: it is no sum over ranks of local sums, and it
//! turns gradients into other vectors. What it is wanted for, counts that do not depend on the mesh, the operator's
//! [`preconditioner`](crate::SymmetricOperator::preconditioner) does.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::random::SplitMix64;
use super::{Error, Result, Scalar};

/// Processes, threads or others that run the same program, each on its part of the data.
///
/// Calls are collective: all ranks make the same ones in the same order. Answers must be the same bits on all ranks;
/// decisions are taken from them.
pub trait Communicator {
    /// Which of the [`size`](Self::size) ranks this is, from 0.
    fn rank(&self) -> usize;
    /// How many ranks there are, at least 1.
    fn size(&self) -> usize;
    /// Overwrites every value by its sum over all ranks.
    fn sum(&self, values: &mut [f64]);
    /// Overwrites every value by the largest over all ranks. There is no NaN among them.
    fn largest(&self, values: &mut [f64]);
}

/// Which vectors are spread over the ranks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slices {
    /// Residuals and their images Jv: every rank has rows of its own and all of x. Gradients and products are already
    /// summed over the ranks when they reach the library, as [`Summed`](crate::ranks::Summed) does.
    Residuals,
    /// These, and x, gradients, products and steps too: every rank has its own numbers of each.
    Everything,
}

struct Space {
    ranks: Rc<dyn Communicator>,
    slices: Slices,
}

thread_local! {
    static SPACE: RefCell<Option<Space>> = const { RefCell::new(None) };
    /// Whether there is one: what a run on one rank asks, many times in an iteration.
    static SPREAD: Cell<bool> = const { Cell::new(false) };
    /// Whether the vectors at hand are parts; which ones those are changes with [`of_residuals`].
    static IN_PARTS: Cell<bool> = const { Cell::new(false) };
    static REDUCTIONS: Cell<usize> = const { Cell::new(0) };
    /// Whether this rank asks to stop, and whether any rank did at the last sum, if there was one since that was asked.
    static STOP: Cell<(bool, Option<bool>)> = const { Cell::new((false, None)) };
}

/// Calls `run` with vectors spread over `ranks`: every solver, and all else that this thread calls in it, adds up over
/// them. Does not allocate in sums; each costs one call of [`Communicator::sum`] or [`Communicator::largest`].
///
/// What differs from a run on one rank: nothing forms a matrix by rows or columns of parts, so the dense paths are not
/// taken, on any number of ranks, and what has no other is refused. A run ends on all ranks where time is up on one, or one
/// cancels it, or one observer or callback ends it. Options, x₀ where it is not spread, and
/// seeds must be the same on all ranks ([`check_equal`]).
///
/// ```
/// use std::rc::Rc;
/// use newton_krylov::{TrustRegion, objective};
/// use newton_krylov::ranks::{Communicator, Slices, distributed};
///
/// /// The only one of its kind. An MPI communicator takes as many lines.
/// struct Alone;
/// impl Communicator for Alone {
///     fn rank(&self) -> usize { 0 }
///     fn size(&self) -> usize { 1 }
///     fn sum(&self, _: &mut [f64]) {}
///     fn largest(&self, _: &mut [f64]) {}
/// }
///
/// let f = objective(
///     3,
///     |x: &[f64]| x.iter().map(|x| x.exp() - x).sum::<f64>(),
///     |x, g| (0..3).for_each(|i| g[i] = x[i].exp() - 1.0),
///     |x, v, hv| (0..3).for_each(|i| hv[i] = x[i].exp() * v[i]),
/// );
/// let report = distributed(Rc::new(Alone), Slices::Everything, || TrustRegion::default().minimize(&f, &[1.0; 3]))?;
/// assert!(report.termination.converged());
/// # Ok::<(), newton_krylov::Error>(())
/// ```
pub fn distributed<R>(ranks: Rc<dyn Communicator>, slices: Slices, run: impl FnOnce() -> R) -> R {
    struct Restore(Option<Space>, bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            SPREAD.set(self.0.is_some());
            SPACE.set(self.0.take());
            IN_PARTS.set(self.1);
        }
    }
    let before = SPACE.replace(Some(Space { ranks, slices }));
    SPREAD.set(true);
    let _restore = Restore(before, IN_PARTS.replace(slices == Slices::Everything));
    run()
}

/// Sums and maxima over ranks in which the library has taken part on this thread so far; what closures add up is not among
/// them.
pub fn reductions() -> usize {
    REDUCTIONS.get()
}

/// Tells whether an argument's numbers are the same bits on all ranks; for the start of a run: x₀ where it is not spread,
/// options, seeds. Collective, one sum of two numbers for every rank.
///
/// # Errors
/// On all ranks, with the first rank where they are not what they are on rank 0.
pub fn check_equal(ranks: &dyn Communicator, argument: &'static str, numbers: &[f64]) -> Result<()> {
    let mut hash = numbers.len() as u64;
    for number in numbers {
        hash = SplitMix64::new(hash ^ number.to_bits()).next_u64();
    }
    // Halves of 32 bits are exact as numbers, also as sums with zeros.
    let mut all = vec![0.0; 2 * ranks.size()];
    all[2 * ranks.rank()] = (hash >> 32) as f64;
    all[2 * ranks.rank() + 1] = (hash & 0xffff_ffff) as f64;
    ranks.sum(&mut all);
    match all.chunks_exact(2).position(|other| *other != all[..2]) {
        Some(rank) => Err(Error::Differs { argument, rank }),
        None => Ok(()),
    }
}

/// Counts a sum or maximum over ranks.
pub(crate) fn count_reduction() {
    REDUCTIONS.set(REDUCTIONS.get() + 1);
}

#[inline]
fn with<R>(ask: impl FnOnce(&dyn Communicator) -> R) -> Option<R> {
    if !residuals_in_parts() {
        return None;
    }
    let ranks = SPACE.with_borrow(|space| space.as_ref().map(|space| space.ranks.clone()))?;
    count_reduction();
    Some(ask(&*ranks))
}

thread_local! {
    static ROOM: RefCell<Vec<f64>> = const { RefCell::new(Vec::new()) };
}

#[cold]
#[inline(never)]
fn sum_over_ranks(values: &mut [f64]) {
    with(|ranks| sum(ranks, values));
}

/// Overwrites every value by its sum over the ranks. What this rank wants for the run goes along.
pub(crate) fn sum(ranks: &dyn Communicator, values: &mut [f64]) {
    ROOM.with_borrow_mut(|room| {
        room.clear();
        room.extend_from_slice(values);
        let (asks, _) = STOP.get();
        room.push(f64::from(asks));
        ranks.sum(room);
        STOP.set((asks, Some(room.pop() != Some(0.0))));
        values.copy_from_slice(room);
    });
}

/// Forgets what an earlier run wanted.
pub(crate) fn start_run() {
    STOP.set((false, None));
}

/// Whether to stop, because any rank asked to before the last sum; asks to, if this one wants to, from the next sum on. A
/// reduction only where there was none since this was asked last.
pub(crate) fn stops(here: bool) -> bool {
    if !residuals_in_parts() {
        return here;
    }
    let (_, told) = STOP.replace((here, None));
    told.unwrap_or_else(|| agree([here]) == [true])
}

/// What any rank says: one reduction in a distributed run.
#[inline]
pub(crate) fn agree<const N: usize>(says: [bool; N]) -> [bool; N] {
    if !residuals_in_parts() {
        return says;
    }
    let mut answers = says.map(f64::from);
    with(|ranks| ranks.sum(&mut answers));
    answers.map(|answer| answer != 0.0)
}

/// A number that all ranks have from a callback; NaN if it is on one that has a part of the vectors at hand.
pub(crate) fn common(value: f64) -> f64 {
    if in_parts() && anywhere(value.is_nan()) { f64::NAN } else { value }
}

/// Passes on what is right on all ranks; where it is not on another one, that is the error.
pub(crate) fn accepted<V>(here: Result<V>) -> Result<V> {
    let refused = with(|ranks| {
        let mut last = [if here.is_err() { 1.0 + ranks.rank() as f64 } else { 0.0 }];
        ranks.largest(&mut last);
        last[0] as usize
    });
    match refused {
        None | Some(0) => here,
        Some(rank) => here.and(Err(Error::OnRank { rank: rank - 1 })),
    }
}

/// Refuses what cannot be distributed where vectors are in parts.
pub(crate) fn check_whole(argument: &'static str) -> Result<()> {
    refuse(in_parts(), argument, "whole vectors: it cannot be distributed with Slices::Everything")
}

/// As [`check_whole`], where residuals are in parts.
pub(crate) fn check_whole_residuals(argument: &'static str) -> Result<()> {
    refuse(residuals_in_parts(), argument, "all residuals: it cannot be distributed")
}

fn refuse(refused: bool, argument: &'static str, requirement: &'static str) -> Result<()> {
    if refused { Err(Error::Unsupported { argument, requirement }) } else { Ok(()) }
}

/// Whether the vectors at hand are parts of longer ones.
#[inline]
pub(crate) fn in_parts() -> bool {
    IN_PARTS.get()
}

/// How many ranks have the same x where residuals are in parts: what belongs to x counts as often in sums over residuals.
pub(crate) fn copies() -> usize {
    SPACE.with_borrow(|space| match space {
        Some(space) if space.slices == Slices::Residuals => space.ranks.size(),
        _ => 1,
    })
}

/// Whether residuals are.
#[inline]
pub(crate) fn residuals_in_parts() -> bool {
    SPREAD.get()
}

/// Calls `ask` where the vectors are residuals.
#[inline]
pub(crate) fn of_residuals<R>(ask: impl FnOnce() -> R) -> R {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            IN_PARTS.set(self.0);
        }
    }
    let _restore = Restore(IN_PARTS.replace(residuals_in_parts()));
    ask()
}

/// Sums over whole vectors, from those over the parts at hand: one reduction, and none of nothing.
#[inline]
pub(crate) fn add_up<const N: usize>(values: [f64; N]) -> [f64; N] {
    /// A copy, so that on one rank the values stay where they are: in registers.
    #[cold]
    #[inline(never)]
    fn summed<const N: usize>(mut values: [f64; N]) -> [f64; N] {
        sum_over_ranks(&mut values);
        values
    }
    if N > 0 && in_parts() { summed(values) } else { values }
}

/// As [`add_up`].
#[inline]
pub(super) fn add_up_all(values: &mut [f64]) {
    if in_parts() {
        sum_over_ranks(values);
    }
}

/// The largest over whole vectors of a number that is not negative; NaN if it is NaN anywhere.
#[inline]
pub(crate) fn largest(value: f64) -> f64 {
    if !in_parts() {
        return value;
    }
    let mut both = [f64::from(value.is_nan()), if value.is_nan() { 0.0 } else { value }];
    with(|ranks| ranks.largest(&mut both));
    if both[0] > 0.0 { f64::NAN } else { both[1] }
}

/// ‖a‖ from the norms of the parts at hand.
pub(crate) fn norm(of_part: f64) -> f64 {
    let largest = largest(of_part);
    if !in_parts() || largest == 0.0 || !largest.is_finite() {
        return largest;
    }
    add_up([(of_part / largest).powi(2)])[0].sqrt() * largest
}

/// Whether this is so on any rank that has a part of the vectors at hand.
#[inline]
pub(crate) fn anywhere(here: bool) -> bool {
    if !in_parts() {
        return here;
    }
    add_up([f64::from(here)]) != [0.0]
}

/// The length of whole vectors, where this is that of the part at hand: one reduction.
pub(crate) fn whole(len: usize) -> usize {
    add_up([len as f64])[0] as usize
}

/// Draws normal variates of this deviation: the same whole vector for any number of ranks.
pub(crate) fn normals<T: Scalar>(random: &mut SplitMix64, deviation: f64, part: &mut [T]) {
    let mut skip = [0, 0];
    if in_parts() {
        with(|ranks| {
            let mut lengths = vec![0.0; ranks.size()];
            lengths[ranks.rank()] = part.len() as f64;
            ranks.sum(&mut lengths);
            let before: f64 = lengths[..ranks.rank()].iter().sum();
            let behind: f64 = lengths[ranks.rank() + 1..].iter().sum();
            skip = [before as u64, behind as u64];
        });
    }
    // Each takes two numbers of 64 bits.
    random.skip(2 * skip[0]);
    part.iter_mut().for_each(|number| *number = T::from_f64(deviation * random.normal()));
    random.skip(2 * skip[1]);
}

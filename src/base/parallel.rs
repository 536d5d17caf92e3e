//! What may run at the same time: the only place that knows of threads. Without the feature `rayon` the same work is done
//! one after the other. How it is cut depends on lengths alone, never on the number of threads.

use std::ops::Range;

use faer::Par;

/// Calls both, at the same time if a thread is free.
#[cfg(feature = "rayon")]
pub fn join<A: Send, B: Send>(a: impl FnOnce() -> A + Send, b: impl FnOnce() -> B + Send) -> (A, B) {
    /// The one that is compiled.
    fn both(a: &mut (dyn FnMut() + Send), b: &mut (dyn FnMut() + Send)) {
        rayon::join(a, b);
    }
    let (mut a, mut b) = ((Some(a), None), (Some(b), None));
    both(&mut || a.1 = a.0.take().map(|a| a()), &mut || b.1 = b.0.take().map(|b| b()));
    a.1.zip(b.1).expect("both were called once")
}

/// Calls one after the other.
#[cfg(not(feature = "rayon"))]
#[inline]
pub fn join<A: Send, B: Send>(a: impl FnOnce() -> A + Send, b: impl FnOnce() -> B + Send) -> (A, B) {
    (a(), b())
}

/// Threads that [`join`] may use, and whether the caller is one of them.
#[cfg(feature = "rayon")]
#[inline]
pub fn threads() -> (usize, bool) {
    (rayon::current_num_threads(), rayon::current_thread_index().is_some())
}

/// The caller's.
#[cfg(not(feature = "rayon"))]
#[inline]
pub fn threads() -> (usize, bool) {
    (1, true)
}

/// With which threads a dense factorisation for so many unknowns runs: with all from 512 on; below, one is faster.
#[cfg(feature = "rayon")]
pub fn dense(dim: usize) -> Par {
    if dim >= 512 { Par::rayon(0) } else { Par::Seq }
}

/// With the caller's.
#[cfg(not(feature = "rayon"))]
pub fn dense(_: usize) -> Par {
    Par::Seq
}

/// What can be handed out part by part.
pub trait Parts: Send + Sized {
    /// A part.
    type Part;
    /// How many there are.
    fn count(&self) -> usize;
    /// Those before `at`, and the others.
    fn split(self, at: usize) -> (Self, Self);
    /// The first.
    fn first(self) -> Self::Part;
}

impl<'a, T: Sync> Parts for &'a [T] {
    type Part = &'a T;
    fn count(&self) -> usize {
        self.len()
    }
    fn split(self, at: usize) -> (Self, Self) {
        self.split_at(at)
    }
    fn first(self) -> &'a T {
        &self[0]
    }
}

impl<'a, T: Send> Parts for &'a mut [T] {
    type Part = &'a mut T;
    fn count(&self) -> usize {
        self.len()
    }
    fn split(self, at: usize) -> (Self, Self) {
        self.split_at_mut(at)
    }
    fn first(self) -> &'a mut T {
        &mut self[0]
    }
}

/// A slice in chunks of so many elements; the last may be shorter. Only models and problems cut slices so.
#[cfg(any(test, feature = "models", feature = "problems"))]
pub struct Chunked<'a, T>(pub &'a mut [T], pub usize);

#[cfg(any(test, feature = "models", feature = "problems"))]
impl<'a, T: Send> Parts for Chunked<'a, T> {
    type Part = &'a mut [T];
    fn count(&self) -> usize {
        self.0.len().div_ceil(self.1)
    }
    fn split(self, at: usize) -> (Self, Self) {
        let (low, high) = self.0.split_at_mut(self.0.len().min(at * self.1));
        (Chunked(low, self.1), Chunked(high, self.1))
    }
    fn first(self) -> &'a mut [T] {
        let end = self.0.len().min(self.1);
        &mut self.0[..end]
    }
}

/// Pairs, as many as the shorter one has parts.
impl<A: Parts, B: Parts> Parts for (A, B) {
    type Part = (A::Part, B::Part);
    fn count(&self) -> usize {
        self.0.count().min(self.1.count())
    }
    fn split(self, at: usize) -> (Self, Self) {
        let (a, b) = (self.0.split(at), self.1.split(at));
        ((a.0, b.0), (a.1, b.1))
    }
    fn first(self) -> Self::Part {
        (self.0.first(), self.1.first())
    }
}

/// Triples.
impl<A: Parts, B: Parts, C: Parts> Parts for (A, B, C) {
    type Part = (A::Part, B::Part, C::Part);
    fn count(&self) -> usize {
        self.0.count().min(self.1.count()).min(self.2.count())
    }
    fn split(self, at: usize) -> (Self, Self) {
        let (a, b, c) = (self.0.split(at), self.1.split(at), self.2.split(at));
        ((a.0, b.0, c.0), (a.1, b.1, c.1))
    }
    fn first(self) -> Self::Part {
        (self.0.first(), self.1.first(), self.2.first())
    }
}

/// Calls `body(i, part)` for every part, in parallel. A part should be worth some microseconds.
pub fn for_each<P: Parts>(parts: P, body: &(impl Fn(usize, P::Part) + Sync)) {
    for_each_if(true, parts, body);
}

/// Calls `body(i, part)` for every part, in parallel where that `pays`.
pub fn for_each_if<P: Parts>(pays: bool, parts: P, body: &(impl Fn(usize, P::Part) + Sync)) {
    fn node<P: Parts>(pays: bool, start: usize, parts: P, body: &(impl Fn(usize, P::Part) + Sync)) {
        let count = parts.count();
        if count <= 1 {
            if count == 1 {
                body(start, parts.first());
            }
            return;
        }
        let (low, high) = parts.split(count / 2);
        let low = || node(pays, start, low, body);
        let high = || node(pays, start + count / 2, high, body);
        if pays {
            join(low, high);
        } else {
            low();
            high();
        }
    }
    node(pays, 0, parts, body);
}

/// Calls `body(parts, data)` for ranges of parts that together are all parts, in parallel. Part i is what lies between
/// `bounds[i]` and `bounds[i + 1]`; `data` holds the parts of the range, one after the other. A range has one part, or at
/// most `grain` elements.
pub fn over_parts<T: Send>(
    bounds: &[usize],
    data: &mut [T],
    grain: usize,
    body: &(dyn Fn(Range<usize>, &mut [T]) + Sync),
) {
    fn node<T: Send>(
        parts: Range<usize>,
        bounds: &[usize],
        data: &mut [T],
        grain: usize,
        body: &(dyn Fn(Range<usize>, &mut [T]) + Sync),
    ) {
        if parts.len() <= 1 || data.len() <= grain {
            return body(parts, data);
        }
        let middle = parts.start + parts.len() / 2;
        let (low, high) = data.split_at_mut(bounds[middle] - bounds[parts.start]);
        join(
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

    #[test]
    fn parts_go_together_by_their_number() {
        for (len, size) in [(0, 3), (1, 3), (3, 3), (10, 3), (17, 1), (5, 9)] {
            for pays in [false, true] {
                let count = usize::div_ceil(len, size);
                let names: Vec<usize> = (0..count + 2).collect();
                let (mut data, mut lengths) = (vec![0; len], vec![0; count + 1]);
                for_each_if(pays, (Chunked(&mut data, size), &mut lengths[..], &names[..]), &|i,
                                                                                              (
                    chunk,
                    length,
                    name,
                )| {
                    assert_eq!(i, *name);
                    chunk.iter_mut().for_each(|v| *v += i + 1);
                    *length += chunk.len();
                });
                assert!((0..len).all(|i| data[i] == i / size + 1), "{len} by {size}");
                assert_eq!((lengths.iter().sum::<usize>(), lengths[count]), (len, 0));
            }
        }
    }
}

//! Allocations, counted by the allocator itself. A program without the harness, so that nothing else runs beside it.
#![allow(unsafe_code)]

mod models;
mod solvers;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

struct Counting;

static ON: AtomicBool = AtomicBool::new(false);
static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);
/// Allocations of at least so many bytes are counted as large.
static LARGE_FROM: AtomicUsize = AtomicUsize::new(usize::MAX);
static LARGE: AtomicUsize = AtomicUsize::new(0);

impl Counting {
    fn note(bytes: usize) {
        if ON.load(Relaxed) {
            ALLOCATIONS.fetch_add(1, Relaxed);
            if bytes >= LARGE_FROM.load(Relaxed) {
                LARGE.fetch_add(1, Relaxed);
            }
        }
    }
}

unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::note(layout.size());
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::note(size);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The allocations, and the large ones among them, of a call.
fn allocations<R>(call: impl FnOnce() -> R) -> (R, usize, usize) {
    let before = (ALLOCATIONS.load(Relaxed), LARGE.load(Relaxed));
    ON.store(true, Relaxed);
    let result = call();
    ON.store(false, Relaxed);
    (result, ALLOCATIONS.load(Relaxed) - before.0, LARGE.load(Relaxed) - before.1)
}

fn main() {
    solvers::memory_is_allocated_once();
    models::memory_is_allocated_once();
}

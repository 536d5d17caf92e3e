//! Ranks that are threads of this process.

use std::rc::Rc;
use std::sync::{Arc, Barrier, Mutex};
use std::thread;

use newton_krylov::ranks::Communicator;

/// One of several threads that add up on a common board, in the order of the ranks.
#[derive(Clone)]
pub struct Thread {
    rank: usize,
    board: Arc<(Mutex<Vec<Vec<f64>>>, Barrier)>,
}

impl Thread {
    fn combine(&self, values: &mut [f64], with: impl Fn(f64, f64) -> f64) {
        let (board, barrier) = &*self.board;
        board.lock().unwrap()[self.rank] = values.to_vec();
        barrier.wait();
        let all = board.lock().unwrap().clone();
        barrier.wait();
        for (i, value) in values.iter_mut().enumerate() {
            *value = all[1..].iter().fold(all[0][i], |sum, other| with(sum, other[i]));
        }
    }
}

impl Communicator for Thread {
    fn rank(&self) -> usize {
        self.rank
    }
    fn size(&self) -> usize {
        self.board.0.lock().unwrap().len()
    }
    fn sum(&self, values: &mut [f64]) {
        self.combine(values, |a, b| a + b);
    }
    fn largest(&self, values: &mut [f64]) {
        self.combine(values, f64::max);
    }
}

/// What each of `size` ranks makes of it.
pub fn on_ranks<R: Send>(size: usize, run: impl Fn(Rc<Thread>) -> R + Sync) -> Vec<R> {
    let board = Arc::new((Mutex::new(vec![vec![]; size]), Barrier::new(size)));
    let start = |rank| {
        let (board, run) = (board.clone(), &run);
        move || run(Rc::new(Thread { rank, board }))
    };
    thread::scope(|scope| {
        let ranks: Vec<_> = (0..size).map(|rank| scope.spawn(start(rank))).collect();
        ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
    })
}

/// The part of `0..whole` that a rank has.
pub fn part(whole: usize, ranks: &impl Communicator) -> std::ops::Range<usize> {
    whole * ranks.rank() / ranks.size()..whole * (ranks.rank() + 1) / ranks.size()
}

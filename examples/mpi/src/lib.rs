//! MPI as a [`Communicator`] of the library, and what the examples share.

use std::cell::{Cell, RefCell};
use std::fmt::Display;
use std::ops::Range;
use std::process::ExitCode;
use std::rc::Rc;

use mpi::Threading;
use mpi::collective::SystemOperation;
use mpi::point_to_point::send_receive_into;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator as _, CommunicatorCollectives, Destination, Source};
use newton_krylov::{Counts, Report, Scalar, ranks::Communicator};
use serde_json::{Value, json};

/// All processes that `mpirun` has started.
pub struct Mpi {
    world: SimpleCommunicator,
    room: RefCell<Vec<f64>>,
    /// Bytes sent to neighbours.
    sent: Cell<usize>,
}

impl Mpi {
    fn reduce(&self, values: &mut [f64], operation: SystemOperation) {
        let mut room = self.room.borrow_mut();
        room.clear();
        room.extend_from_slice(values);
        self.world.all_reduce_into(&room[..], values, operation);
    }

    /// Fills `before` with what the rank before sends as its `last`, and `behind` with the `first` of the rank behind;
    /// with zeros where there is none.
    pub fn exchange(&self, first: &[f64], last: &[f64], before: &mut [f64], behind: &mut [f64]) {
        self.shift(last, 1, before);
        self.shift(first, -1, behind);
    }

    /// Sends to the rank `by` further and receives from the one as far back.
    fn shift(&self, send: &[f64], by: i32, receive: &mut [f64]) {
        let at = |rank: i32| (0..self.world.size()).contains(&rank).then(|| self.world.process_at_rank(rank));
        let (to, from) = (at(self.world.rank() + by), at(self.world.rank() - by));
        if to.is_some() {
            self.sent.set(self.sent.get() + size_of_val(send));
        }
        match (to, from) {
            (Some(to), Some(from)) => drop(send_receive_into(send, &to, receive, &from)),
            (Some(to), None) => {
                to.send(send);
                receive.fill(0.0);
            }
            (None, Some(from)) => drop(from.receive_into(receive)),
            (None, None) => receive.fill(0.0),
        }
    }

    /// The part of `0..whole` that this rank has.
    ///
    /// # Errors
    /// If there is none.
    pub fn part(&self, whole: usize, of: &str) -> Result<Range<usize>, String> {
        let (rank, size) = (Communicator::rank(self), Communicator::size(self));
        if whole < size {
            return Err(format!("{whole} {of} cannot be dealt out over {size} ranks"));
        }
        Ok(whole * rank / size..whole * (rank + 1) / size)
    }

    /// Bytes sent to neighbours so far.
    pub fn sent(&self) -> usize {
        self.sent.get()
    }

    /// Whether this rank does the talking.
    pub fn talks(&self) -> bool {
        self.world.rank() == 0
    }
}

impl Communicator for Mpi {
    fn rank(&self) -> usize {
        self.world.rank() as usize
    }
    fn size(&self) -> usize {
        self.world.size() as usize
    }
    fn sum(&self, values: &mut [f64]) {
        self.reduce(values, SystemOperation::sum());
    }
    fn largest(&self, values: &mut [f64]) {
        self.reduce(values, SystemOperation::max());
    }
}

/// Runs `main` on every rank. A rank whose `main` fails says why and ends all others, which may be waiting for it.
pub fn run<E: Display>(main: impl FnOnce(Rc<Mpi>) -> Result<(), E>) -> ExitCode {
    let Some((universe, threading)) = mpi::initialize_with_threading(Threading::Funneled) else {
        eprintln!("error: MPI was initialised before");
        return ExitCode::FAILURE;
    };
    if threading < Threading::Funneled {
        eprintln!("error: this MPI does not allow threads beside the one that calls it");
        return ExitCode::FAILURE;
    }
    let ranks = Rc::new(Mpi { world: universe.world(), room: RefCell::default(), sent: Cell::new(0) });
    let rank = Communicator::rank(&*ranks);
    // A panic would leave the others waiting as well.
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| main(ranks)));
    let reason = match ended {
        Ok(Ok(())) => return ExitCode::SUCCESS,
        Ok(Err(error)) => error.to_string(),
        Err(_) => "a panic".into(),
    };
    eprintln!("error on rank {rank}: {reason}");
    universe.world().abort(1)
}

/// The line with which an example ends.
pub fn summary<T: Scalar>(ranks: &Mpi, report: &Report<T>) -> Value {
    let Counts { values, gradients, products, .. } = report.counts;
    json!({
        "ranks": Communicator::size(ranks),
        "value": report.value,
        "gradient_norm": report.gradient_norm,
        "values": values,
        "gradients": gradients,
        "products": products,
        "iterations": report.iterations(),
        "reductions": report.reductions,
        "termination": report.termination.to_string(),
        "seconds": report.seconds,
        "bytes_to_neighbours": ranks.sent(),
    })
}

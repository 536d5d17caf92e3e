//! Which samples make the next batch.

use crate::base::random::SplitMix64;
use crate::base::{Error, Result, check_positive_dimension, check_range};

/// Draws batches without replacement: in every epoch each sample occurs once, in an order fixed by seed and epoch.
///
/// The last batch of an epoch is shorter where the size does not divide the number of samples. The state is a few
/// numbers (feature `serde`): a copy that is saved and loaded draws the same batches.
///
/// ```
/// use newton_krylov::Batches;
///
/// let mut batches = Batches::new(5, 2, 1)?;
/// let mut epoch: Vec<usize> = (0..3).flat_map(|_| batches.draw().to_vec()).collect();
/// epoch.sort();
/// assert_eq!(epoch, [0, 1, 2, 3, 4]);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "Position", into = "Position"))]
pub struct Batches {
    at: Position,
    /// This epoch's order; empty until the first draw from it.
    order: Vec<usize>,
}

/// What fixes everything that will be drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Position {
    samples: usize,
    size: usize,
    seed: u64,
    epoch: u64,
    /// Samples of this epoch that were drawn.
    drawn: usize,
}

impl TryFrom<Position> for Batches {
    type Error = Error;

    /// Refuses what no [`Batches`] has ever been, such as a batch of no samples.
    fn try_from(at: Position) -> Result<Self> {
        check_positive_dimension("samples", at.samples)?;
        check_size(at.size, at.samples)?;
        check_range("drawn", at.drawn as f64, at.drawn <= at.samples, "at most the number of samples")?;
        Ok(Batches { at, order: Vec::new() })
    }
}

impl From<Batches> for Position {
    fn from(batches: Batches) -> Self {
        batches.at
    }
}

impl Batches {
    /// Batches of `size` out of `samples`.
    ///
    /// # Errors
    /// If there are no samples, or `size` is 0 or more than there are.
    pub fn new(samples: usize, size: usize, seed: u64) -> Result<Self> {
        Position { samples, size, seed, epoch: 0, drawn: 0 }.try_into()
    }

    /// The indices of the next batch.
    pub fn draw(&mut self) -> &[usize] {
        if self.at.drawn >= self.at.samples {
            self.at.epoch = self.at.epoch.wrapping_add(1);
            self.at.drawn = 0;
            self.order.clear();
        }
        if self.order.is_empty() {
            self.shuffle();
        }
        let start = self.at.drawn;
        self.at.drawn = (start + self.at.size).min(self.at.samples);
        &self.order[start..self.at.drawn]
    }

    /// The size of the batches from now on.
    ///
    /// # Errors
    /// If it is 0 or more than there are samples.
    pub fn set_size(&mut self, size: usize) -> Result<()> {
        check_size(size, self.at.samples)?;
        self.at.size = size;
        Ok(())
    }

    /// Refuses another number of samples.
    pub(crate) fn check(&self, samples: usize) -> Result<()> {
        let found = self.at.samples;
        if found == samples { Ok(()) } else { Err(Error::Length { argument: "batches", expected: samples, found }) }
    }

    /// The number of samples.
    pub fn samples(&self) -> usize {
        self.at.samples
    }

    /// Whether the next batch is the first of an epoch.
    pub fn at_start_of_epoch(&self) -> bool {
        self.at.drawn == 0 || self.at.drawn >= self.at.samples
    }

    /// Epochs completed before the one that the last batch is from.
    pub fn epoch(&self) -> u64 {
        self.at.epoch
    }

    /// Fisher & Yates' shuffle (Knuth, *The Art of Computer Programming* 2, section 3.4.2, algorithm P).
    fn shuffle(&mut self) {
        let mut random = SplitMix64::new(SplitMix64::new(self.at.seed).next_u64().wrapping_add(self.at.epoch));
        self.order.extend(0..self.at.samples);
        for i in (1..self.at.samples).rev() {
            self.order.swap(i, (random.uniform() * (i + 1) as f64) as usize);
        }
    }
}

fn check_size(size: usize, samples: usize) -> Result<()> {
    let requirement = "at least 1 and at most the number of samples";
    check_range("size", size as f64, (1..=samples).contains(&size), requirement)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_epoch_has_each_sample_once_in_another_order() {
        let mut batches = Batches::new(10, 4, 7).unwrap();
        let mut epochs = vec![];
        for _ in 0..3 {
            let epoch: Vec<usize> = (0..3).flat_map(|_| batches.draw().to_vec()).collect();
            let mut sorted = epoch.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..10).collect::<Vec<_>>());
            epochs.push(epoch);
        }
        assert!(epochs[0] != epochs[1] && epochs[1] != epochs[2]);
    }

    #[test]
    fn sizes_out_of_range_are_refused() {
        assert!(Batches::new(0, 1, 0).is_err());
        assert!(Batches::new(3, 0, 0).is_err());
        assert!(Batches::new(3, 4, 0).is_err());
        let mut batches = Batches::new(3, 1, 0).unwrap();
        assert!(batches.set_size(0).is_err() && batches.set_size(4).is_err());
    }

    #[test]
    fn a_new_size_holds_from_the_next_batch_on() {
        let mut batches = Batches::new(10, 2, 7).unwrap();
        let mut epoch = batches.draw().to_vec();
        assert!(!batches.at_start_of_epoch());
        batches.set_size(5).unwrap();
        epoch.extend(batches.draw());
        epoch.extend(batches.draw());
        assert!(batches.at_start_of_epoch());
        epoch.sort_unstable();
        assert_eq!(epoch, (0..10).collect::<Vec<_>>());
    }

    #[cfg(feature = "serde")]
    #[test]
    fn a_saved_copy_draws_the_same() {
        let mut batches = Batches::new(7, 3, 2).unwrap();
        (0..4).for_each(|_| drop(batches.draw().to_vec()));
        let mut copy: Batches = serde_json::from_str(&serde_json::to_string(&batches).unwrap()).unwrap();
        for _ in 0..10 {
            assert_eq!(batches.draw(), copy.draw());
        }
    }

    #[cfg(feature = "serde")]
    #[test]
    fn positions_that_cannot_be_are_refused() {
        let load = |samples: usize, size: usize, drawn: usize, epoch: u64| {
            let text = format!(r#"{{"samples":{samples},"size":{size},"seed":0,"epoch":{epoch},"drawn":{drawn}}}"#);
            serde_json::from_str::<Batches>(&text)
        };
        for (samples, size, drawn, words) in
            [(0, 1, 0, "samples is zero"), (5, 0, 0, "size is 0"), (5, 6, 0, "size is 6"), (5, 2, 6, "drawn is 6")]
        {
            let message = load(samples, size, drawn, 0).unwrap_err().to_string();
            assert!(message.contains(words), "{message:?} does not say {words:?}");
        }
        let mut last = load(5, 5, 5, u64::MAX).unwrap();
        assert_eq!((last.draw().len(), last.epoch()), (5, 0));
    }
}

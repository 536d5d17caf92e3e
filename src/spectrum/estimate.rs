//! A stochastic estimate and how far it may be off.

/// An estimate of a number from independent random probes.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Estimate {
    /// The mean over the probes. NaN if a product was not finite, or a function was not defined where it was needed.
    pub value: f64,
    /// The standard error of the mean, from the probes' scatter: about 95 of 100 seeds give a value within twice this.
    pub standard_error: f64,
    /// What the standard error does not show: how much the value changed over the last quarter of the steps of a
    /// quadrature. 0 for estimates without a systematic error. A sign, not a bound.
    pub truncation: f64,
    /// Probes.
    pub probes: usize,
    /// Products made.
    pub products: usize,
}

/// Mean and scatter of numbers, one after the other (Welford, Technometrics 4 (1962)).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sample {
    count: usize,
    pub mean: f64,
    squares: f64,
}

impl Sample {
    pub fn add(&mut self, value: f64) {
        self.count += 1;
        if !(value.is_finite() && self.mean.is_finite()) {
            (self.mean, self.squares) = (self.mean + value, f64::NAN);
            return;
        }
        let difference = value - self.mean;
        self.mean += difference / self.count as f64;
        self.squares += difference * (value - self.mean);
    }

    /// The standard error of the mean.
    pub fn standard_error(&self) -> f64 {
        (self.squares / (self.count as f64 * (self.count as f64 - 1.0))).sqrt()
    }

    pub fn estimate(&self, products: usize) -> Estimate {
        Estimate {
            value: self.mean,
            standard_error: self.standard_error(),
            truncation: 0.0,
            probes: self.count,
            products,
        }
    }
}

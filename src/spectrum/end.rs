//! The end of the spectrum.

/// Which eigenvalues are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum End {
    /// The largest, in falling order.
    Largest,
    /// The smallest, in rising order.
    Smallest,
    /// The largest in magnitude, in falling order of it.
    LargestMagnitude,
}

impl End {
    /// The indices of rising `values`, the most wanted first.
    pub(super) fn sort(self, values: &[f64], order: &mut Vec<usize>) {
        order.clear();
        order.extend(0..values.len());
        match self {
            End::Smallest => {}
            End::Largest => order.reverse(),
            End::LargestMagnitude => order.sort_by(|&a, &b| values[b].abs().total_cmp(&values[a].abs())),
        }
    }

    /// What makes an eigenvalue wanted: of two with the same measure either may come first.
    pub(super) fn measure(self, value: f64) -> f64 {
        if self == End::LargestMagnitude { value.abs() } else { value }
    }
}

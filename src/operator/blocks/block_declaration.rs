//! What the user declares of residual and parameter blocks.

use std::ops::Range;

/// No parameter block.
pub const NONE: u32 = u32::MAX;

/// What the user states: sizes, touches, and which parameter blocks are eliminated.
#[derive(Clone, Debug)]
pub struct BlockDeclaration {
    /// Where each parameter block begins in x, and the end.
    pub parameters: Vec<usize>,
    pub eliminated: Vec<bool>,
    /// Where each residual block begins in r, and the end.
    pub rows: Vec<usize>,
    /// The parameter blocks that residual block i touches are `touched[touched_ends[i]..touched_ends[i + 1]]`.
    pub touched: Vec<u32>,
    pub touched_ends: Vec<usize>,
}

impl Default for BlockDeclaration {
    /// No parameters and no residuals.
    fn default() -> Self {
        let ends = || vec![0];
        let (eliminated, touched) = (vec![], vec![]);
        BlockDeclaration { parameters: ends(), eliminated, rows: ends(), touched, touched_ends: ends() }
    }
}

impl BlockDeclaration {
    /// n, the number of parameters.
    pub fn dim(&self) -> usize {
        self.parameters[self.parameter_blocks()]
    }

    /// m, the number of residuals.
    pub fn output_dim(&self) -> usize {
        self.rows[self.residual_blocks()]
    }

    #[inline]
    pub fn touched(&self, block: usize) -> &[u32] {
        &self.touched[self.touched_ends[block]..self.touched_ends[block + 1]]
    }

    #[inline]
    pub fn parameter(&self, block: u32) -> Range<usize> {
        self.parameters[block as usize]..self.parameters[block as usize + 1]
    }

    #[inline]
    pub fn size(&self, block: u32) -> usize {
        self.parameter(block).len()
    }

    pub fn residual_blocks(&self) -> usize {
        self.rows.len() - 1
    }

    pub fn parameter_blocks(&self) -> usize {
        self.parameters.len() - 1
    }

    /// The eliminated parameter block that a residual block touches.
    pub fn eliminated_by(&self, block: usize) -> u32 {
        self.touched(block).iter().copied().find(|&p| self.eliminated[p as usize]).unwrap_or(NONE)
    }
}

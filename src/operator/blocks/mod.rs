//! Residuals that come in small blocks, each of which depends on few parameters.
//!
//!   r(x) = (r₁(x_a, x_b, …), r₂(x_c, …), …),   f(x) = ½ Σᵢ ‖rᵢ‖²
//!
//! Every parameter belongs to one parameter block, and every residual block touches some of these: in bundle adjustment
//! an observation touches a camera and a point. The Jacobian consists of small dense blocks, which the user writes, one
//! residual block at a time; the library evaluates them in parallel, stores them, and has all products from them.

mod block_declaration;
mod block_jacobian;
mod block_layout;

use std::ops::Range;
use std::sync::Mutex;

use super::{LinearMap, Linearization, Model};
use crate::base::{CallbackError, CallbackOutput, ErrorSlot, Result, Scalar, check_range, parallel::over_parts};

pub(crate) use block_declaration::NONE as NO_PARAMETER;
pub(crate) use block_jacobian::{BlockJacobian, BlockValues, ChunkValues, RowWeights};
pub(crate) use block_layout::{BlockLayout, Chunk};

use block_declaration::BlockDeclaration;
use block_jacobian::gather;

/// Up to so many parameters dense factors of the whole Jacobian are better where nothing is eliminated.
const FEW: usize = 512;
/// Rows that one task evaluates at least.
const GRAIN: usize = 1024;

/// The parameter blocks, the residual blocks, and which of them belong together.
///
/// ```
/// use newton_krylov::{LinearMap, Linearization, Model};
/// use newton_krylov::operators::BlockStructure;
///
/// // Three positions on a line, a measured distance between each two neighbours, and one known position.
/// let distances = [1.0, 1.5];
/// let mut structure = BlockStructure::new();
/// let positions = structure.parameters(3, 1)?;
/// for i in 0..2 {
///     structure.residual(1, &[positions.start + i, positions.start + i + 1])?;
/// }
/// structure.residual(1, &[positions.start])?;
/// let model = structure.model(|i, x: &[f64], r, jacobian| {
///     r[0] = if i < 2 { x[1] - x[0] - distances[i] } else { x[0] - 4.0 };
///     if let Some(jacobian) = jacobian {
///         jacobian.copy_from_slice(if i < 2 { &[-1.0, 1.0] } else { &[1.0] });
///     }
/// });
/// let x = [0.0, 2.0, 3.0];
/// let at = model.linearize(&x);
/// let mut gradient = [0.0; 3];
/// at.apply_transpose(at.outputs(), &mut gradient);
/// assert_eq!((at.outputs(), gradient), (&[1.0, -0.5, -4.0][..], [-5.0, 1.5, -0.5]));
/// # Ok::<(), newton_krylov::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct BlockStructure {
    declaration: BlockDeclaration,
}

impl BlockStructure {
    /// No parameters and no residuals.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `count` parameter blocks of `size` numbers each behind those there are, and returns their numbers.
    ///
    /// # Errors
    /// `size` is zero, or there are too many blocks for 32 bits.
    pub fn parameters(&mut self, count: usize, size: usize) -> Result<Range<usize>> {
        check_range("size", size as f64, size > 0 && size <= u16::MAX as usize, "from 1 to 65535")?;
        let first = self.declaration.parameter_blocks();
        let few = first.checked_add(count).is_some_and(|n| n < u32::MAX as usize);
        check_range("count", count as f64, few, "such that all parameter blocks are fewer than 2³² − 1")?;
        let start = self.declaration.parameters[first];
        self.declaration.parameters.extend((1..=count).map(|i| start + i * size));
        self.declaration.eliminated.resize(first + count, false);
        Ok(first..first + count)
    }

    /// Adds a residual block of `size` residuals, behind those there are, that depends on the parameter blocks `touches`
    /// and on no other. Returns its number.
    ///
    /// # Errors
    /// `size` is zero; `touches` is empty, or names a block that does not exist, or the same block twice, or two that
    /// are eliminated.
    pub fn residual(&mut self, size: usize, touches: &[usize]) -> Result<usize> {
        let declaration = &mut self.declaration;
        check_range("size", size as f64, size > 0 && size <= u16::MAX as usize, "from 1 to 65535")?;
        check_range("the length of touches", touches.len() as f64, !touches.is_empty(), "positive")?;
        let few = declaration.touched.len() + touches.len() < u32::MAX as usize;
        check_range("touches", declaration.touched.len() as f64, few, "fewer than 2³² − 1 in all residual blocks")?;
        let mut eliminated = 0;
        for (i, &block) in touches.iter().enumerate() {
            let exists = block < declaration.parameter_blocks();
            check_range("touches", block as f64, exists, "the number of a parameter block that exists")?;
            check_range("touches", block as f64, !touches[..i].contains(&block), "named once in a residual block")?;
            eliminated += usize::from(declaration.eliminated[block]);
            check_range("touches", block as f64, eliminated <= 1, "the only eliminated one in a residual block")?;
        }
        declaration.touched.extend(touches.iter().map(|&block| block as u32));
        declaration.touched_ends.push(declaration.touched.len());
        declaration.rows.push(declaration.output_dim() + size);
        Ok(declaration.residual_blocks() - 1)
    }

    /// Says that solvers may eliminate these parameter blocks: no residual block touches two of them, so that given all
    /// other parameters, each is found by itself. It pays where these are most of the parameters; they should be small.
    ///
    /// # Errors
    /// A residual block touches two eliminated blocks, or the blocks do not exist. Then nothing has changed.
    pub fn eliminate(&mut self, blocks: Range<usize>) -> Result<()> {
        let all = self.declaration.parameter_blocks();
        let requirement = "at most the number of parameter blocks";
        check_range("the end of blocks", blocks.end as f64, blocks.end <= all, requirement)?;
        let mut eliminated = self.declaration.eliminated.clone();
        blocks.for_each(|block| eliminated[block] = true);
        for i in 0..self.declaration.residual_blocks() {
            let count = self.declaration.touched(i).iter().filter(|&&block| eliminated[block as usize]).count();
            check_range("eliminated blocks in a residual block", count as f64, count <= 1, "at most one")?;
        }
        self.declaration.eliminated = eliminated;
        Ok(())
    }

    /// n, the number of parameters.
    pub fn dim(&self) -> usize {
        self.declaration.dim()
    }

    /// Where the numbers of a parameter block are in x. Blocks follow each other in the order in which they were added.
    ///
    /// # Panics
    /// There is no such block.
    pub fn range(&self, block: usize) -> Range<usize> {
        self.declaration.parameter(block as u32)
    }

    /// The model with these blocks.
    ///
    /// `evaluate(i, x, r, jacobian)` evaluates residual block i. In `x` are the numbers of the parameter blocks that it
    /// touches, in the order in which it names them, one after the other. It overwrites `r` with the residuals and, if
    /// there is a `jacobian`, writes that of these residuals for these numbers to it, by rows; entries that it does not
    /// write are zero. A block that cannot be evaluated writes NaN, or returns a `Result<(), E>` whose error ends a run. It is
    /// called from many threads at once.
    ///
    /// Stored are the Jacobian's blocks (once for every linearization that is alive, in memory that is used again) and
    /// some 30 bytes of indices for a residual block. A product reads all this once.
    pub fn model<T, F, R>(self, evaluate: F) -> BlockModel<T, F>
    where
        T: Scalar,
        F: Fn(usize, &[T], &mut [T], Option<&mut [T]>) -> R + Sync,
        R: CallbackOutput<()>,
    {
        let (layout, spare) = (BlockLayout::new(self.declaration), Mutex::new(Vec::new()));
        BlockModel { layout, evaluate, spare, errors: ErrorSlot::new() }
    }
}

/// A model of residual blocks; see [`BlockStructure::model`].
#[derive(Debug)]
pub struct BlockModel<T, F> {
    layout: BlockLayout,
    evaluate: F,
    /// Memory of linearizations that are gone.
    spare: Mutex<Vec<BlockValues<T>>>,
    errors: ErrorSlot,
}

impl<T, F, R> Model<T> for BlockModel<T, F>
where
    T: Scalar,
    F: Fn(usize, &[T], &mut [T], Option<&mut [T]>) -> R + Sync,
    R: CallbackOutput<()>,
{
    fn dim(&self) -> usize {
        self.layout.declaration.dim()
    }

    fn output_dim(&self) -> usize {
        self.layout.declaration.output_dim()
    }

    fn evaluate(&self, x: &[T], out: &mut [T]) {
        let rows = &self.layout.declaration.rows;
        over_parts(rows, out, GRAIN, &|blocks, out| {
            let mut parameters = vec![T::zero(); self.layout.most_columns];
            let start = rows[blocks.start];
            for i in blocks {
                let columns = gather(&self.layout, i, x, &mut parameters);
                let (x, out) = (&parameters[..columns], &mut out[rows[i] - start..rows[i + 1] - start]);
                self.errors.write(out, |out| (self.evaluate)(i, x, out, None));
            }
        });
    }

    fn linearize<'a>(&'a self, x: &'a [T]) -> impl Linearization<T> + 'a {
        let mut values = self.spare.lock().ok().and_then(|mut spare| spare.pop()).unwrap_or_default();
        values.evaluate(&self.layout, x, &|i, x: &[T], r: &mut [T], jacobian: Option<&mut [T]>| {
            self.errors.write(r, |r| (self.evaluate)(i, x, r, jacobian));
        });
        BlockLinearization { layout: &self.layout, values, spare: &self.spare, errors: &self.errors }
    }
    fn take_error(&self) -> Option<CallbackError> {
        self.errors.take()
    }

    fn in_blocks_of(&self, rows: usize) -> bool {
        let starts = &self.layout.declaration.rows;
        (self.layout.eliminates() || self.dim() > FEW) && starts.iter().all(|start| start.is_multiple_of(rows))
    }
}

/// A block model at a point.
struct BlockLinearization<'a, T: Scalar> {
    layout: &'a BlockLayout,
    values: BlockValues<T>,
    spare: &'a Mutex<Vec<BlockValues<T>>>,
    errors: &'a ErrorSlot,
}

impl<T: Scalar> BlockLinearization<'_, T> {
    fn jacobian(&self) -> BlockJacobian<'_, T> {
        BlockJacobian { layout: self.layout, values: &self.values, weights: None }
    }
}

impl<T: Scalar> Drop for BlockLinearization<'_, T> {
    fn drop(&mut self) {
        if let Ok(mut spare) = self.spare.lock() {
            spare.push(std::mem::take(&mut self.values));
        }
    }
}

impl<T: Scalar> LinearMap<T> for BlockLinearization<'_, T> {
    fn rows(&self) -> usize {
        self.values.outputs.len()
    }
    fn columns(&self) -> usize {
        self.values.gradient.len()
    }
    fn apply(&self, v: &[T], out: &mut [T]) {
        self.jacobian().apply(v, out);
    }
    fn apply_transpose(&self, u: &[T], out: &mut [T]) {
        self.jacobian().apply_transpose(u, out);
    }
    fn take_error(&self) -> Option<CallbackError> {
        self.errors.take()
    }
    fn column_norms(&self, out: &mut [T]) -> bool {
        out.iter_mut().zip(&self.values.norms).for_each(|(out, squared)| *out = squared.sqrt());
        true
    }
    fn blocks(&self) -> Option<BlockJacobian<'_, T>> {
        Some(self.jacobian())
    }
}

impl<T: Scalar> Linearization<T> for BlockLinearization<'_, T> {
    fn outputs(&self) -> &[T] {
        &self.values.outputs
    }
}

//! Saved runs: everything that fixes how a run goes on, with what it belongs to.

use std::fmt::Display;

use serde::{Deserialize, Serialize};

use super::identity::Identity;
use crate::base::{Error, Result, Scalar, Stored, checksum::fnv1a};

/// Everything that fixes how a run goes on: [`Run::save`](crate::Run::save) makes it, `resume` of the same solver takes it
/// up, and the run goes on bitwise as if it had not been interrupted.
///
/// It is written and read with [`checkpoint`](crate::checkpoint), or in any other format of serde's. It says what it belongs
/// to: the solver with the options that it depends on, this version of the library, the number type, the numbers of unknowns
/// and of residuals or samples; `resume` refuses any other by name. It does not know the objective, which has to be the same.
/// [`Stopping`](crate::Stopping) is that of the solver that resumes: a run that has come to a limit can go on.
///
/// ```
/// use newton_krylov::{Run, RunState, TrustRegion, checkpoint, objective};
///
/// let f = objective(
///     1,
///     |x: &[f64]| x[0].powi(4),
///     |x, g| g[0] = 4.0 * x[0].powi(3),
///     |x, v, hv| hv[0] = 12.0 * x[0] * x[0] * v[0],
/// );
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("quartic");
/// let solver = TrustRegion::default();
/// let mut run = solver.start(&f, &[1.0])?;
/// run.iterate()?;
/// checkpoint::save(&path, "quartic", &run.save())?;
///
/// // Later, perhaps in another process.
/// let state: RunState = checkpoint::load(&path, "quartic")?;
/// let report = solver.resume(&f, &state)?.complete()?;
/// assert_eq!(report.x, solver.minimize(&f, &[1.0])?.x);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunState {
    solver: String,
    version: String,
    precision: String,
    unknowns: usize,
    /// Residuals or samples; 0 where there are none.
    data: usize,
    checksum: u64,
    contents: Vec<u8>,
}

impl RunState {
    /// The state of a run of `solver` that consists of these `parts`.
    pub(crate) fn new<T>(solver: &dyn Identity, [unknowns, data]: [usize; 2], parts: &impl Serialize) -> Self {
        let contents = bytes(parts);
        RunState {
            solver: solver.to_string(),
            version: env!("CARGO_PKG_VERSION").into(),
            precision: std::any::type_name::<T>().into(),
            unknowns,
            data,
            checksum: fnv1a(&contents),
            contents,
        }
    }

    /// The parts, if they are of a run of `solver`.
    pub(crate) fn parts<T: Scalar, P: Stored>(&self, solver: &dyn Identity, [unknowns, data]: [usize; 2]) -> Result<P> {
        let check = |what, found: &dyn Display, expected: &dyn Display| {
            let (found, expected) = (found.to_string(), expected.to_string());
            if found == expected { Ok(()) } else { Err(Error::State { what, expected, found }) }
        };
        check("solver", &self.solver, &solver)?;
        check("version of the library", &self.version, &env!("CARGO_PKG_VERSION"))?;
        check("number type", &self.precision, &std::any::type_name::<T>())?;
        check("number of unknowns", &self.unknowns, &unknowns)?;
        check("number of residuals or samples", &self.data, &data)?;
        check("checksum", &fnv1a(&self.contents), &self.checksum)?;
        parts(&self.contents)
    }
}

/// What makes up a state, or a part of one.
pub(super) fn bytes(parts: &impl Serialize) -> Vec<u8> {
    postcard::to_allocvec(parts).expect("the lengths of all parts are known")
}

/// What these [`bytes`] were.
pub(super) fn parts<P: Stored>(bytes: &[u8]) -> Result<P> {
    let found = match postcard::take_from_bytes(bytes) {
        Ok((parts, [])) => return Ok(parts),
        Ok((_, rest)) => format!("too long by {} bytes", rest.len()),
        Err(error) => error.to_string(),
    };
    Err(Error::State { what: "contents", expected: "a run of this solver".into(), found })
}

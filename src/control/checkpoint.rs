//! Saving and loading the state of a run, so that a process killed at any moment loses at most what it was doing.
//!
//! [`save`] writes a temporary file beside the destination, makes the system store it (fsync), and renames it onto the
//! destination, which POSIX defines as atomic: whoever reads the destination finds the old file or the new one, complete.
//! [`load`] accepts a file only if its mark, version, kind, length and checksum are right.
//!
//! Layout, little-endian:
//!
//! | bytes | what |
//! | --- | --- |
//! | 8 | the mark `NKRYLOV\n` |
//! | 4 | version of this layout, now 1 |
//! | 4 | length k of the kind |
//! | k | the kind, UTF-8: what the state is, as the caller names it |
//! | 8 | length p of the state |
//! | p | the state in [postcard's format](https://postcard.jamesmunns.com/wire-format) |
//! | 8 | checksum of all bytes before it: FNV-1a, 64 bits (Fowler, Noll & Vo; RFC 9923) |
//!
//! Postcard writes floating-point numbers as their bits, so that they are restored exactly, NaN included; it is a
//! published, stable format, and there is no text to parse. Each step of FNV-1a is a bijection of the checksum for a given
//! byte, so that any change of a single byte is found with certainty, and any other with probability 1 − 2⁻⁶⁴.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::{error, fmt};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Run, RunState};
use crate::base::{Error, checksum::fnv1a};

const MARK: &[u8; 8] = b"NKRYLOV\n";
const VERSION: u32 = 1;

/// Why a checkpoint could not be saved or loaded.
#[derive(Debug)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The file cannot be read or written.
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is not a checkpoint.
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The file was written by a version of the library with another layout.
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// The file holds the state of something else.
    Kind {
        /// The file.
        path: PathBuf,
        /// What was asked for.
        expected: String,
        /// What it holds.
        found: String,
    },
    /// The file is incomplete, or was changed after it was written.
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        reason: &'static str,
    },
    /// The run could not start or go on.
    Run(Error),
    /// The file is in order, but its state is not of the type that was asked for, or a state cannot be written.
    State {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
}

impl fmt::Display for CheckpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CheckpointError::Io { path, source } => write!(f, "{}: {source}", path.display()),
            CheckpointError::Foreign { path } => write!(f, "{} is not a checkpoint", path.display()),
            CheckpointError::Version { path, found } => {
                write!(f, "{} has layout version {found}, but {VERSION} is needed", path.display())
            }
            CheckpointError::Kind { path, expected, found } => {
                write!(f, "{} is a checkpoint of \"{found}\", but \"{expected}\" is needed", path.display())
            }
            CheckpointError::Run(error) => error.fmt(f),
            CheckpointError::Damaged { path, reason } => write!(f, "{} is damaged: {reason}", path.display()),
            CheckpointError::State { path, reason } => {
                write!(f, "the state of {} does not fit: {reason}", path.display())
            }
        }
    }
}

impl error::Error for CheckpointError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            CheckpointError::Io { source, .. } => Some(source),
            CheckpointError::Run(error) => Some(error),
            _ => None,
        }
    }
}

/// Replaces the file at `path` by one that holds `state`, atomically. The new file has the permissions of the old one.
///
/// `kind` names what the state is, and [`load`] must be asked for the same; put into it whatever else makes two states
/// incompatible. The temporary file has the name of the destination with `.partial` added; what a killed process left
/// of it, or anybody else put there, is deleted by the next save and never written to. Two processes must not save to the
/// same path at the same time.
///
/// ```
/// use newton_krylov::checkpoint;
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("state");
/// checkpoint::save(&path, "numbers", &vec![0.1_f32, f32::NEG_INFINITY])?;
/// assert_eq!(checkpoint::load::<Vec<f32>>(&path, "numbers")?, [0.1, f32::NEG_INFINITY]);
/// assert!(checkpoint::load::<Vec<f32>>(&path, "letters").is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If the file cannot be written, the state cannot be serialised, or what is at `path` is a link, a folder, a device or
/// the like, of which none is replaced. All is then as it was before, and nothing is left behind.
pub fn save<S: Serialize>(path: impl AsRef<Path>, kind: &str, state: &S) -> Result<(), CheckpointError> {
    let path = path.as_ref();
    let bytes = encode(path, kind, state)?;
    let permissions = replaceable(path).map_err(at(path))?;
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let replace = || {
        write_new(&partial, permissions, &bytes).map_err(at(&partial))?;
        fs::rename(&partial, path).map_err(at(path))
    };
    replace().inspect_err(|_| drop(fs::remove_file(&partial)))?;
    sync_folder(path).map_err(at(path))
}

/// The state that [`save`] wrote to `path`.
///
/// # Errors
/// If the file cannot be read, is no checkpoint, was written by another version, is of another kind, is damaged, or its
/// state is not an `S`.
pub fn load<S: DeserializeOwned>(path: impl AsRef<Path>, kind: &str) -> Result<S, CheckpointError> {
    let path = path.as_ref();
    // What is no file might never end.
    let is_file = fs::metadata(path).map_err(at(path))?.is_file();
    if !is_file {
        return Err(CheckpointError::Foreign { path: path.to_owned() });
    }
    decode(path, kind, &fs::read(path).map_err(at(path))?)
}

impl From<Error> for CheckpointError {
    fn from(error: Error) -> Self {
        CheckpointError::Run(error)
    }
}

/// What the files of [`complete`] hold.
const RUN: &str = "run";

/// Completes a run, whose state it saves to `path` after every `every` steps (1 or more) and at the end. What was lost if the
/// process is killed is what came after the last of these: [`find`] has the state to go on from. A file that cannot be written
/// ends the run.
///
/// The solvers' `minimize_saved` is both in one call:
///
/// ```
/// use newton_krylov::{TrustRegion, objective};
///
/// let f = objective(
///     1,
///     |x: &[f64]| x[0].powi(4),
///     |x, g| g[0] = 4.0 * x[0].powi(3),
///     |x, v, hv| hv[0] = 12.0 * x[0] * x[0] * v[0],
/// );
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("quartic.run");
/// // Every ten steps; if the file is there, the run in it goes on.
/// let report = TrustRegion::default().minimize_saved(&f, &[1.0], &path, 10)?;
/// assert!(report.termination.converged());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If the run cannot go on ([`Run::iterate`]), or its state cannot be saved.
pub fn complete<T, R: Run<T>>(mut run: R, path: impl AsRef<Path>, every: usize) -> Result<R::Report, CheckpointError> {
    let mut steps = 0_usize;
    loop {
        let termination = run.iterate()?;
        steps = steps.wrapping_add(1);
        if termination.is_some() || steps.is_multiple_of(every.max(1)) {
            save(&path, RUN, &run.save())?;
        }
        if let Some(termination) = termination {
            return Ok(run.finish(termination));
        }
    }
}

/// The state that [`complete`] saved to `path`; `None` if there is no such file.
///
/// # Errors
/// As [`load`].
pub fn find(path: impl AsRef<Path>) -> Result<Option<RunState>, CheckpointError> {
    match load(path, RUN) {
        Err(CheckpointError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        found => found.map(Some),
    }
}

/// The error of the system about this file.
fn at(path: &Path) -> impl Fn(io::Error) -> CheckpointError {
    move |source| CheckpointError::Io { path: path.to_owned(), source }
}

/// The permissions of the file that is to be replaced, if there is one.
fn replaceable(path: &Path) -> io::Result<Option<Permissions>> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_file() => Ok(Some(found.permissions())),
        Ok(found) => {
            let what = match found.file_type() {
                kind if kind.is_symlink() => "a link",
                kind if kind.is_dir() => "a folder",
                _ => "a device, pipe or socket",
            };
            Err(io::Error::other(format!("is {what}, and only files are replaced")))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes a file that was not there; what has its name is deleted, not followed. Nobody reads it before it has the
/// permissions.
fn write_new(path: &Path, permissions: Option<Permissions>, bytes: &[u8]) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = File::options().write(true).create_new(true).open(path)?;
    if let Some(permissions) = permissions {
        file.set_permissions(permissions)?;
    }
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes the system store the folder's entry as well.
#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// Elsewhere folders cannot be opened for this.
#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

fn encode<S: Serialize>(path: &Path, kind: &str, state: &S) -> Result<Vec<u8>, CheckpointError> {
    let mut bytes = Vec::new();
    bytes.extend(MARK);
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend((kind.len() as u32).to_le_bytes());
    bytes.extend(kind.as_bytes());
    let length_at = bytes.len();
    bytes.extend([0; 8]);
    let start = bytes.len();
    let mut bytes = postcard::to_extend(state, bytes)
        .map_err(|e| CheckpointError::State { path: path.to_owned(), reason: e.to_string() })?;
    let length = (bytes.len() - start) as u64;
    bytes[length_at..start].copy_from_slice(&length.to_le_bytes());
    bytes.extend(fnv1a(&bytes).to_le_bytes());
    Ok(bytes)
}

fn decode<S: DeserializeOwned>(path: &Path, kind: &str, bytes: &[u8]) -> Result<S, CheckpointError> {
    let path = || path.to_owned();
    let damaged = |reason| CheckpointError::Damaged { path: path(), reason };
    let rest = bytes.strip_prefix(MARK).ok_or_else(|| CheckpointError::Foreign { path: path() })?;
    let (version, rest) = take::<4>(rest).ok_or_else(|| damaged("it ends within its header"))?;
    let found = u32::from_le_bytes(version);
    if found != VERSION {
        return Err(CheckpointError::Version { path: path(), found });
    }
    let (before_checksum, checksum) =
        bytes.split_last_chunk::<8>().ok_or_else(|| damaged("it ends within its header"))?;
    if fnv1a(before_checksum) != u64::from_le_bytes(*checksum) {
        return Err(damaged("its checksum does not fit"));
    }
    let contents = || {
        let (length, rest) = take::<4>(rest)?;
        let (found, rest) = rest.split_at_checked(u32::from_le_bytes(length) as usize)?;
        let (length, rest) = take::<8>(rest)?;
        let (state, checksum) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(length)).ok()?)?;
        (checksum.len() == 8).then_some((String::from_utf8_lossy(found), state))
    };
    let (found, state) = contents().ok_or_else(|| damaged("its lengths do not fit"))?;
    if found != kind {
        return Err(CheckpointError::Kind { path: path(), expected: kind.into(), found: found.into() });
    }
    match postcard::take_from_bytes(state) {
        Ok((state, [])) => Ok(state),
        Ok((_, rest)) => {
            Err(CheckpointError::State { path: path(), reason: format!("{} bytes are left over", rest.len()) })
        }
        Err(e) => Err(CheckpointError::State { path: path(), reason: e.to_string() }),
    }
}

fn take<const N: usize>(bytes: &[u8]) -> Option<([u8; N], &[u8])> {
    bytes.split_first_chunk::<N>().map(|(head, rest)| (*head, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_damaged_byte_and_every_shorter_file_is_refused() {
        let path = Path::new("state");
        let state = (vec![1.5_f32, -0.0, f32::NAN], 7_u64, Some("text".to_string()));
        let bytes = encode(path, "kind", &state).unwrap();
        let load = |bytes: &[u8]| decode::<(Vec<f32>, u64, Option<String>)>(path, "kind", bytes);
        let (numbers, seven, text) = load(&bytes).unwrap();
        let bits = |v: &[f32]| v.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!((bits(&numbers), seven, text), (bits(&state.0), 7, Some("text".into())));
        for i in 0..bytes.len() {
            for flip in [1, 0x80, 0xff] {
                let mut damaged = bytes.clone();
                damaged[i] ^= flip;
                assert!(load(&damaged).is_err(), "byte {i}");
            }
            assert!(load(&bytes[..i]).is_err(), "length {i}");
        }
        assert!(load(&[&bytes[..], &[0]].concat()).is_err());
    }

    #[test]
    fn errors_say_what_is_wrong() {
        let path = Path::new("state");
        let bytes = encode(path, "one", &[1_u8]).unwrap();
        let error = |bytes: &[u8], kind| decode::<Vec<f64>>(path, kind, bytes).unwrap_err();
        assert!(matches!(error(b"%PDF-1.7", "one"), CheckpointError::Foreign { .. }));
        assert!(matches!(error(&[], "one"), CheckpointError::Foreign { .. }));
        assert!(matches!(error(&bytes, "other"), CheckpointError::Kind { found, .. } if found == "one"));
        assert!(matches!(error(&bytes, "one"), CheckpointError::State { .. }));
        let mut newer = bytes.clone();
        newer[8] = 2;
        assert!(matches!(error(&newer, "one"), CheckpointError::Version { found: 2, .. }));
        let missing = load::<u8>("no such folder/state", "one").unwrap_err();
        assert!(matches!(&missing, CheckpointError::Io { .. }) && missing.to_string().contains("no such folder"));
    }
}

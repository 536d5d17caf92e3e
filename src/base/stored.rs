//! What a saved run consists of: with the feature `serde` whatever can be serialised, without it anything.

/// Can be written into a saved state and read from it.
#[cfg(feature = "serde")]
pub trait Stored: serde::Serialize + serde::de::DeserializeOwned {}
#[cfg(feature = "serde")]
impl<S: serde::Serialize + serde::de::DeserializeOwned> Stored for S {}

/// Can be part of a run that nobody saves.
#[cfg(not(feature = "serde"))]
pub trait Stored {}
#[cfg(not(feature = "serde"))]
impl<S: ?Sized> Stored for S {}

//! Whose a run is.

use std::fmt;

/// What tells a solver from others whose states it cannot take.
#[cfg_attr(not(feature = "serde"), allow(dead_code, reason = "only saved states ask"))]
pub(crate) trait Identity {
    /// Its name, with the options that its states depend on.
    fn identify(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

impl fmt::Display for dyn Identity + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.identify(f)
    }
}

/// The last part of a type's name, without its own parameters.
pub(crate) fn type_name<V: ?Sized>() -> &'static str {
    let path = std::any::type_name::<V>();
    let path = path.split('<').next().unwrap_or(path);
    path.rsplit("::").next().unwrap_or(path)
}

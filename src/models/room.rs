//! Memory of linearizations, which is made once and handed from one point to the next.

use std::sync::Mutex;

use crate::base::Scalar;

/// Rooms that nobody uses now.
#[derive(Default)]
pub(super) struct Rooms<T>(Mutex<Vec<Room<T>>>);

impl<T: Scalar> Rooms<T> {
    /// Room that somebody has left, or new.
    pub fn take(&self) -> Room<T> {
        self.0.lock().map_or_else(|_| Room::default(), |mut rooms| rooms.pop().unwrap_or_default())
    }

    pub fn leave(&self, room: Room<T>) {
        if let Ok(mut rooms) = self.0.lock() {
            rooms.push(room);
        }
    }
}

/// Memory of a linearization. Buffers only grow.
#[derive(Default)]
pub(super) struct Room<T> {
    /// Inputs and values of all layers, chunk after chunk.
    pub values: Vec<T>,
    pub outputs: Vec<T>,
    pub products: Products<T>,
}

/// Memory of products.
#[derive(Default)]
pub(super) struct Products<T> {
    /// The weights at this point by columns, if they were needed, and those of a direction.
    pub weights: Vec<T>,
    pub weights_known: bool,
    pub direction: Vec<T>,
    /// Derivatives for the pre-activations of a group of chunks; in Hessian products the room of each chunk for a layer.
    pub group: Vec<T>,
    /// For Hessian products: δ, the tangents of the values and of δ for all samples, and Jv and W(Jv).
    pub deltas: Vec<T>,
    pub tangents: Vec<T>,
    pub delta_tangents: Vec<T>,
    pub outputs: Vec<T>,
    pub image: Vec<T>,
}

/// The first `len` numbers of a buffer, which grows if it has fewer.
pub(super) fn room<T: Scalar>(buffer: &mut Vec<T>, len: usize) -> &mut [T] {
    if buffer.len() < len {
        buffer.resize(len, T::zero());
    }
    &mut buffer[..len]
}

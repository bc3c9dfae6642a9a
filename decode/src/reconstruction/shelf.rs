//! Buffers of a loop are lent and come back, so that each reconstruction finds the addresses of the one before it.
//!
//! That spares allocations, which wait for the whole device, and it is what captured graphs need: a graph is bound to the
//! addresses that it was captured with. Two reconstructions at once borrow two sets; one that is cut between two steps
//! gives its set back like one that ends.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

/// Sets of buffers that nobody uses at the moment.
pub(crate) struct Shelf<T>(Arc<Mutex<Vec<T>>>);

/// A set of buffers until it is dropped.
pub(crate) struct Lent<T> {
    set: Option<T>,
    shelf: Arc<Mutex<Vec<T>>>,
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> Shelf<T> {
    /// The set that came back last, or one that `make` makes.
    pub(crate) fn lend<E>(&self, make: impl FnOnce() -> Result<T, E>) -> Result<Lent<T>, E> {
        let idle = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let set = idle.map_or_else(make, Ok)?;
        Ok(Lent { set: Some(set), shelf: Arc::clone(&self.0) })
    }
}

impl<T> Deref for Lent<T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.set.as_ref().expect("only dropping takes it out")
    }
}

impl<T> DerefMut for Lent<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.set.as_mut().expect("only dropping takes it out")
    }
}

impl<T> Drop for Lent<T> {
    fn drop(&mut self) {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner).extend(self.set.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_comes_back_and_is_lent_again_and_two_at_once_are_two() {
        let shelf = Shelf::default();
        let mut made = 0;
        let mut lend = || {
            let make = || {
                made += 1;
                Ok::<_, ()>(made)
            };
            shelf.lend(make).unwrap()
        };
        let (first, second) = (lend(), lend());
        assert_eq!((*first, *second), (1, 2));
        drop(first);
        assert_eq!(*lend(), 1);
        drop(second);
        assert_eq!(*lend(), 2);
    }
}

//! Keys and PINs in memory: in a place of their own that is wiped when they go.

use std::fmt;
use std::ops::Deref;

use zeroize::Zeroize;

/// `N` bytes that nobody else is to see. They stay where they were put first: moving them moves a pointer and leaves no
/// copy behind. `Debug` prints none of them.
pub struct Secret<const N: usize>(Box<[u8; N]>);

impl<const N: usize> Secret<N> {
    /// Copies exactly `N` bytes; `None` for any other number.
    pub fn copy(bytes: &[u8]) -> Option<Self> {
        <&[u8; N]>::try_from(bytes).ok().map(Secret::from)
    }
}

impl<const N: usize> From<&[u8; N]> for Secret<N> {
    fn from(bytes: &[u8; N]) -> Self {
        let mut secret = Secret(Box::new([0; N]));
        secret.0.copy_from_slice(bytes);
        secret
    }
}

impl<const N: usize> Clone for Secret<N> {
    fn clone(&self) -> Self {
        Secret::from(&**self)
    }
}

impl<const N: usize> Deref for Secret<N> {
    type Target = [u8; N];

    fn deref(&self) -> &[u8; N] {
        &self.0
    }
}

impl<const N: usize> Drop for Secret<N> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<const N: usize> fmt::Debug for Secret<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

//! Keys and PINs in memory: in a place of their own ([`Secret`]), and wiped from the stack where they were worked with.

pub(crate) use rsp::secret::Secret;

/// How much of the stack a command may have used for keys that it has worked with.
const USED_STACK: usize = 16 * 1024;

/// Wipes what the functions that were called before have left on the stack. What they work with is theirs, and nobody
/// but the compiler knows where they had copies of it.
#[inline(never)]
pub(crate) fn wipe_stack() {
    let mut below = [0u8; USED_STACK];
    std::hint::black_box(&mut below);
}

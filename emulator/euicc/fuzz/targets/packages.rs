//! Bound profile packages whose every segment is authentic: what is inside is anything, and so is the way it is cut.
#![no_main]

use euicc::fuzzing::{self, Inside};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // Two bytes say what is right, three how long the commands are; the rest is cut into them.
    let [flags, cut, configure, metadata, replace, rest @ ..] = data else { return };
    let take = |rest: &mut &'_ [u8], length: usize| -> Vec<u8> {
        let (taken, left) = rest.split_at(length.min(rest.len()));
        let taken = taken.to_vec();
        *rest = left;
        taken
    };
    let mut rest = rest;
    let inside = Inside {
        configure: (flags & 1 != 0).then(|| take(&mut rest, usize::from(*configure))),
        metadata: (flags & 2 != 0).then(|| take(&mut rest, 8 * usize::from(*metadata))),
        replace: (flags & 4 != 0).then(|| take(&mut rest, usize::from(*replace))),
        replace_keys: flags & 8 != 0,
        header: flags & 16 != 0,
        package: rest.to_vec(),
        piece: usize::from(*cut),
    };
    fuzzing::load(inside);
});

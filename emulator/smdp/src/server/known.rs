//! Chains of certificates that were verified before.
//!
//! An EUM's certificate comes with every card of its, and a card's with each of its notifications: what has once been
//! verified is known again by its bytes, and only its dates are looked at. Nothing but a success is remembered, so
//! what is forged costs its verification each time and takes no room.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use rsp::cert::{Certificate, EuiccChain, VerifiedEum};
use rsp::crypto::sha256;

/// How many of each kind are remembered at least; twice as many at most.
const REMEMBERED: usize = 2048;

/// Which certificates, by their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key([u8; 32]);

impl Key {
    /// An EUM's certificate, or that and an eUICC's. DER ends where it says: two cannot be cut in another place.
    pub(super) fn of(certificates: &[&[u8]]) -> Self {
        Key(sha256(certificates))
    }
}

/// A map that forgets what was not asked for lately: two generations, of which the younger is filled, and the elder
/// thrown away when that is full.
#[derive(Debug)]
struct Generations<T> {
    young: HashMap<Key, T>,
    old: HashMap<Key, T>,
}

impl<T> Default for Generations<T> {
    fn default() -> Self {
        Generations { young: HashMap::new(), old: HashMap::new() }
    }
}

impl<T: Clone> Generations<T> {
    fn get(&mut self, key: &Key) -> Option<T> {
        if let Some(known) = self.young.get(key) {
            return Some(known.clone());
        }
        let known = self.old.remove(key)?;
        self.put(*key, known.clone());
        Some(known)
    }

    fn put(&mut self, key: Key, value: T) {
        if self.young.len() >= REMEMBERED {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }
}

#[derive(Debug, Default)]
struct Inner {
    eums: Generations<VerifiedEum>,
    chains: Generations<EuiccChain>,
}

/// What was verified before.
#[derive(Debug, Default)]
pub(crate) struct Known(Mutex<Inner>);

impl Known {
    fn with<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The EUM's certificate, if it was verified under this CI.
    pub(super) fn eum(&self, key: &Key, ci: &Certificate) -> Option<VerifiedEum> {
        self.with(|inner| inner.eums.get(key)).filter(|eum| eum.ci() == ci)
    }

    /// The chain, whatever the CI.
    pub(super) fn chain(&self, key: &Key) -> Option<EuiccChain> {
        self.with(|inner| inner.chains.get(key))
    }

    pub(super) fn remember_eum(&self, key: Key, eum: &VerifiedEum) {
        self.with(|inner| inner.eums.put(key, eum.clone()));
    }

    pub(super) fn remember_chain(&self, key: Key, chain: &EuiccChain) {
        self.with(|inner| inner.chains.put(key, chain.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_stays_and_there_is_never_too_much() {
        let mut map = Generations::default();
        let key = |number: usize| Key::of(&[&number.to_be_bytes()]);
        map.put(key(0), 0);
        for number in 1..10 * REMEMBERED {
            map.put(key(number), number);
            if number % 100 == 0 {
                assert_eq!(map.get(&key(0)), Some(0));
            }
            assert!(map.young.len() + map.old.len() <= 2 * REMEMBERED);
        }
        assert_eq!(map.get(&key(1)), None);
        assert_eq!(map.get(&key(10 * REMEMBERED - 1)), Some(10 * REMEMBERED - 1));
    }
}

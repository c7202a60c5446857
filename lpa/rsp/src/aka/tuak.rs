//! TUAK (3GPP TS 35.231): the authentication functions on Keccak.
//!
//! All values stand in the state with their last byte first (TS 35.231 §6.1: bit 0 of the state is the last bit of
//! the value).

use zeroize::Zeroizing;

use super::keccak::permute;
use super::{Functions, Vector};
use crate::secret::Secret;

/// TS 35.231 §6.2.
const ALGORITHM_NAME: &[u8; 7] = b"TUAK1.0";

/// The lengths of what TUAK gives, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lengths {
    pub(super) mac: usize,
    pub(super) res: usize,
    pub(super) ck: usize,
    pub(super) ik: usize,
}

/// A subscriber's TUAK.
#[derive(Clone)]
pub(super) struct Tuak {
    /// 16 or 32 bytes.
    key: Zeroizing<Vec<u8>>,
    topc: Secret<32>,
    /// How often the permutation is made.
    iterations: u8,
    lengths: Lengths,
}

impl Tuak {
    /// `None` when the key is neither 128 nor 256 bits.
    pub(super) fn new(key: &[u8], topc: Secret<32>, iterations: u8, lengths: Lengths) -> Option<Self> {
        matches!(key.len(), 16 | 32).then(|| Tuak {
            key: Zeroizing::new(key.to_vec()),
            topc,
            iterations: iterations.max(1),
            lengths,
        })
    }

    /// The state after the permutation of TS 35.231 §6.2 to §6.4.
    fn run(&self, instance: u8, rand: &[u8; 16], sqn_amf: Option<(&[u8; 6], &[u8; 2])>) -> Zeroizing<[u8; 200]> {
        let mut state = Zeroizing::new([0; 200]);
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            for (place, byte) in state[at..at + bytes.len()].iter_mut().zip(bytes.iter().rev()) {
                *place = *byte;
            }
            at += bytes.len();
        };
        put(&*self.topc);
        put(&[instance | u8::from(self.key.len() == 32)]);
        put(ALGORITHM_NAME);
        put(rand);
        let (sqn, amf) = sqn_amf.unwrap_or((&[0; 6], &[0; 2]));
        put(amf);
        put(sqn);
        put(&self.key);
        // Padding (TS 35.231 §6.2): a key of 128 bits leaves zeros, then 11111, and a one at bit 1087.
        state[96] = 0x1F;
        state[135] = 0x80;
        for _ in 0..self.iterations {
            permute(&mut state);
        }
        state
    }

    fn mac(&self, instance: u8, rand: &[u8; 16], sqn: &[u8; 6], amf: &[u8; 2]) -> Vec<u8> {
        // TS 35.231 §6.3: bits 2 to 4 of INSTANCE are the length of the MAC in units of 64 bits.
        let state = self.run(instance | self.lengths.mac as u8, rand, Some((sqn, amf)));
        reversed(&state[..self.lengths.mac])
    }
}

fn reversed(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().rev().copied().collect()
}

fn key_of_six(state: &[u8; 200]) -> [u8; 6] {
    std::array::from_fn(|index| state[101 - index])
}

impl Functions for Tuak {
    fn f1(&self, rand: &[u8; 16], sqn: &[u8; 6], amf: &[u8; 2]) -> Vec<u8> {
        self.mac(0x00, rand, sqn, amf)
    }

    fn f1_star(&self, rand: &[u8; 16], sqn: &[u8; 6], amf: &[u8; 2]) -> Vec<u8> {
        self.mac(0x80, rand, sqn, amf)
    }

    fn f2345(&self, rand: &[u8; 16]) -> Vector {
        let Lengths { res, ck, ik, .. } = self.lengths;
        // TS 35.231 §6.4: RES of 32 bits has no bit of its own.
        let res_bits = if res == 4 { 0 } else { res as u8 };
        let instance = 0x40 | res_bits | u8::from(ck == 32) << 2 | u8::from(ik == 32) << 1;
        let state = self.run(instance, rand, None);
        Vector {
            res: Zeroizing::new(reversed(&state[..res])),
            ck: Zeroizing::new(reversed(&state[32..32 + ck])),
            ik: Zeroizing::new(reversed(&state[64..64 + ik])),
            ak: key_of_six(&state),
        }
    }

    fn f5_star(&self, rand: &[u8; 16]) -> [u8; 6] {
        key_of_six(&self.run(0xC0, rand, None))
    }
}

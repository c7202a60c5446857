//! Milenage (3GPP TS 35.206): the authentication functions on AES-128, with the constants r1 to r5 and c1 to c5 of
//! the profile.

use crate::crypto::aes_encrypt_blocks;
use zeroize::Zeroizing;

use super::{Functions, Vector};
use crate::secret::Secret;

/// The constants r1 to r5, in bits (TS 35.206 §4.1).
pub(super) const ROTATIONS: [u8; 5] = [0x40, 0x00, 0x20, 0x40, 0x60];

/// The constants c1 to c5 (TS 35.206 §4.1).
pub(super) const CONSTANTS: [u128; 5] = [0, 1, 2, 4, 8];

/// A subscriber's Milenage.
#[derive(Clone)]
pub(super) struct Milenage {
    key: Secret<16>,
    opc: Secret<16>,
    rotations: [u8; 5],
    constants: [u128; 5],
}

impl Milenage {
    pub(super) fn new(key: Secret<16>, opc: Secret<16>, rotations: [u8; 5], constants: [u128; 5]) -> Self {
        Milenage { key, opc, rotations, constants }
    }

    fn opc(&self) -> u128 {
        u128::from_be_bytes(*self.opc)
    }

    fn encrypt<const N: usize>(&self, blocks: [u128; N]) -> [u128; N] {
        let plain = Zeroizing::new(blocks.iter().flat_map(|block| block.to_be_bytes()).collect::<Vec<u8>>());
        // Whole blocks under a key of the right length are never refused.
        let cipher = Zeroizing::new(aes_encrypt_blocks(&self.key, &plain).unwrap_or_default());
        let mut out = [0; N];
        for (block, bytes) in out.iter_mut().zip(cipher.chunks_exact(16)) {
            *block = bytes.iter().fold(0, |block, byte| block << 8 | u128::from(*byte));
        }
        out
    }

    /// TEMP (TS 35.206 §4.1).
    fn temp(&self, rand: &[u8; 16]) -> u128 {
        let [temp] = self.encrypt([u128::from_be_bytes(*rand) ^ self.opc()]);
        temp
    }

    /// OUT1 (TS 35.206 §4.1): MAC-A in its first half, MAC-S in its second.
    fn out1(&self, rand: &[u8; 16], sqn: &[u8; 6], amf: &[u8; 2]) -> [u8; 16] {
        let mut half = [0; 8];
        half[..6].copy_from_slice(sqn);
        half[6..].copy_from_slice(amf);
        let half = u128::from(u64::from_be_bytes(half));
        let in1 = half << 64 | half;
        let turned = (in1 ^ self.opc()).rotate_left(u32::from(self.rotations[0]));
        let [out] = self.encrypt([self.temp(rand) ^ turned ^ self.constants[0]]);
        (out ^ self.opc()).to_be_bytes()
    }

    /// OUT2 to OUT5 (TS 35.206 §4.1).
    fn out2345(&self, rand: &[u8; 16]) -> [[u8; 16]; 4] {
        let inner = self.temp(rand) ^ self.opc();
        let block = |n: usize| inner.rotate_left(u32::from(self.rotations[n])) ^ self.constants[n];
        self.encrypt([block(1), block(2), block(3), block(4)]).map(|out| (out ^ self.opc()).to_be_bytes())
    }
}

fn first_six(bytes: &[u8; 16]) -> [u8; 6] {
    std::array::from_fn(|index| bytes[index])
}

impl Functions for Milenage {
    fn f1(&self, rand: &[u8; 16], sqn: &[u8; 6], amf: &[u8; 2]) -> Vec<u8> {
        self.out1(rand, sqn, amf)[..8].to_vec()
    }

    fn f1_star(&self, rand: &[u8; 16], sqn: &[u8; 6], amf: &[u8; 2]) -> Vec<u8> {
        self.out1(rand, sqn, amf)[8..].to_vec()
    }

    fn f2345(&self, rand: &[u8; 16]) -> Vector {
        let [out2, out3, out4, _] = self.out2345(rand);
        Vector {
            res: Zeroizing::new(out2[8..].to_vec()),
            ck: Zeroizing::new(out3.to_vec()),
            ik: Zeroizing::new(out4.to_vec()),
            ak: first_six(&out2),
        }
    }

    fn f5_star(&self, rand: &[u8; 16]) -> [u8; 6] {
        first_six(&self.out2345(rand)[3])
    }
}

//! The permutation Keccak-f[1600] (FIPS 202 §3.3, 3GPP TS 35.231 annex D), which TUAK is made of.

/// The round constants of the step iota.
const ROUND: [u64; 24] = [
    0x0000_0000_0000_0001,
    0x0000_0000_0000_8082,
    0x8000_0000_0000_808A,
    0x8000_0000_8000_8000,
    0x0000_0000_0000_808B,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8009,
    0x0000_0000_0000_008A,
    0x0000_0000_0000_0088,
    0x0000_0000_8000_8009,
    0x0000_0000_8000_000A,
    0x0000_0000_8000_808B,
    0x8000_0000_0000_008B,
    0x8000_0000_0000_8089,
    0x8000_0000_0000_8003,
    0x8000_0000_0000_8002,
    0x8000_0000_0000_0080,
    0x0000_0000_0000_800A,
    0x8000_0000_8000_000A,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8080,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8008,
];

/// How far the step rho turns the lane at x + 5 y.
const TURN: [u32; 25] = [0, 1, 62, 28, 27, 36, 44, 6, 55, 20, 3, 10, 43, 25, 39, 41, 45, 15, 21, 8, 18, 2, 61, 56, 14];

/// Permutes a state of 200 bytes, lanes of eight bytes with the lowest first.
pub(super) fn permute(state: &mut [u8; 200]) {
    let mut a = [0u64; 25];
    for (lane, bytes) in a.iter_mut().zip(state.chunks_exact(8)) {
        *lane = bytes.iter().rev().fold(0, |lane, byte| lane << 8 | u64::from(*byte));
    }
    for constant in ROUND {
        // theta
        let mut columns = [0u64; 5];
        for (index, lane) in a.iter().enumerate() {
            columns[index % 5] ^= lane;
        }
        for (index, lane) in a.iter_mut().enumerate() {
            *lane ^= columns[(index + 4) % 5] ^ columns[(index + 1) % 5].rotate_left(1);
        }
        // rho and pi
        let mut b = [0u64; 25];
        for (index, lane) in a.iter().enumerate() {
            let (x, y) = (index % 5, index / 5);
            b[y + 5 * ((2 * x + 3 * y) % 5)] = lane.rotate_left(TURN[index]);
        }
        // chi
        for (index, lane) in a.iter_mut().enumerate() {
            let (x, row) = (index % 5, index / 5 * 5);
            *lane = b[index] ^ (!b[row + (x + 1) % 5] & b[row + (x + 2) % 5]);
        }
        // iota
        a[0] ^= constant;
    }
    for (bytes, lane) in state.chunks_exact_mut(8).zip(a) {
        bytes.copy_from_slice(&lane.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{from_hex, to_hex};

    fn permuted(bytes: &[u8]) -> String {
        let mut state: [u8; 200] = bytes.try_into().unwrap();
        permute(&mut state);
        to_hex(&state)
    }

    /// 3GPP TS 35.232 §3: test sets 2 and 3 of the permutation.
    #[test]
    fn known_answers_of_ts_35_232() {
        // proves: USIM - authentication
        let mut one = [0; 200];
        one[0] = 0x80;
        assert!(permuted(&one).starts_with("44E0E58CA968975C4C2592A157F53F2124519B010B89E15E301EF58F76501DB5"));
        let counting: Vec<u8> = (1..=200).collect();
        assert!(permuted(&counting).starts_with("5DD0E3DD9E46DB2187A9E1A444427D7A832FEF29913990E015EA8D1F3F1FA641"));
    }

    /// SHA3-256 is the permutation with padding: the digest of the empty message (FIPS 202).
    #[test]
    fn sha3_is_made_of_it() {
        // proves: USIM - authentication
        let mut state = [0; 200];
        state[0] = 0x06;
        state[135] = 0x80;
        permute(&mut state);
        let digest = from_hex("A7FFC6F8BF1ED76651C14756A061D662F580FF4DE43B49FA82D80A4B80F8434A").unwrap();
        assert_eq!(state[..32], digest);
    }
}

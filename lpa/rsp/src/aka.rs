//! Authentication and key agreement (3GPP TS 33.102 §6.3, TS 31.102 §7.1.2), of both who share a key.
//!
//! ```text
//! home network: Aka::challenge(RAND, SQN, AMF) -> AUTN and XRES ─▶ card: Aka::authenticate -> RES, CK, IK
//!               Aka::resynchronised(RAND, AUTS) -> SQN          ◀─                        -> AUTS, or the MAC is wrong
//! ```
//!
//! The functions f1 to f5* are those of Milenage, TUAK or the test algorithm. The sequence numbers are the caller's:
//! those that a card has seen, and those that a home network has given.

mod keccak;
mod milenage;
#[cfg(test)]
mod tests;
mod tuak;

use zeroize::Zeroizing;

use self::milenage::Milenage;
use self::tuak::{Lengths, Tuak};
use crate::crypto::equal_in_constant_time;
use crate::saip::{Kind, ProfileHeader, split};
use crate::secret::Secret;
use crate::tlv::{Tlv, TlvError};

/// What f2 to f5 give for a challenge.
pub(super) struct Vector {
    pub(super) res: Zeroizing<Vec<u8>>,
    pub(super) ck: Zeroizing<Vec<u8>>,
    pub(super) ik: Zeroizing<Vec<u8>>,
    pub(super) ak: [u8; 6],
}

/// The functions of TS 33.102 §6.3.2.
pub(super) trait Functions {
    fn f1(&self, rand: &[u8; 16], sqn: &[u8; 6], amf: &[u8; 2]) -> Vec<u8>;
    fn f1_star(&self, rand: &[u8; 16], sqn: &[u8; 6], amf: &[u8; 2]) -> Vec<u8>;
    fn f2345(&self, rand: &[u8; 16]) -> Vector;
    fn f5_star(&self, rand: &[u8; 16]) -> [u8; 6];
}

/// The test algorithm of TS 34.108 §8.1.2.
#[derive(Clone)]
struct TestAlgorithm {
    key: Secret<16>,
    res_length: usize,
}

impl TestAlgorithm {
    fn out(&self, rand: &[u8; 16]) -> u128 {
        u128::from_be_bytes(*self.key) ^ u128::from_be_bytes(*rand)
    }
}

impl Functions for TestAlgorithm {
    fn f1(&self, rand: &[u8; 16], sqn: &[u8; 6], amf: &[u8; 2]) -> Vec<u8> {
        // TS 34.108 §8.1.2.1: XMAC is the first 64 bits of XDOUT, xor SQN and AMF.
        let out = self.out(rand).to_be_bytes();
        sqn.iter().chain(amf).zip(out).map(|(a, b)| a ^ b).collect()
    }

    fn f1_star(&self, rand: &[u8; 16], sqn: &[u8; 6], amf: &[u8; 2]) -> Vec<u8> {
        self.f1(rand, sqn, amf)
    }

    fn f2345(&self, rand: &[u8; 16]) -> Vector {
        let out = self.out(rand);
        Vector {
            res: Zeroizing::new(out.to_be_bytes()[..self.res_length].to_vec()),
            ck: Zeroizing::new(out.rotate_left(8).to_be_bytes().to_vec()),
            ik: Zeroizing::new(out.rotate_left(16).to_be_bytes().to_vec()),
            ak: self.f5_star(rand),
        }
    }

    fn f5_star(&self, rand: &[u8; 16]) -> [u8; 6] {
        // Bits 24 to 71.
        let out = self.out(rand).to_be_bytes();
        std::array::from_fn(|index| out[3 + index])
    }
}

#[derive(Clone)]
enum Algorithm {
    Milenage(Milenage),
    Tuak(Tuak),
    Test(TestAlgorithm),
}

impl Algorithm {
    fn functions(&self) -> &dyn Functions {
        match self {
            Algorithm::Milenage(milenage) => milenage,
            Algorithm::Tuak(tuak) => tuak,
            Algorithm::Test(test) => test,
        }
    }
}

/// The algorithms of SAIP, `AlgoParameter.algorithmID`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlgorithmId {
    /// 3GPP TS 35.206.
    Milenage,
    /// 3GPP TS 35.231.
    Tuak {
        /// 128 or 256.
        key_bits: u16,
    },
    /// 3GPP TS 34.108 §8.1.2.
    Test,
}

/// An algorithm, as descriptions name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AlgorithmName {
    /// 3GPP TS 35.206.
    #[default]
    Milenage,
    /// 3GPP TS 35.231.
    Tuak,
    /// 3GPP TS 34.108 §8.1.2.
    Test,
}

/// The highest SEQ that was accepted with each IND (TS 33.102 annex C.1.2), 32 of them.
pub type SequenceNumbers = [u64; 32];

/// The length of IND in bits (TS 33.102 annex C.3.2, SAIP `sqnInit`: 32 entries).
pub const IND_BITS: u32 = 5;

/// The most that SAIP allows in `sqnDelta`, `sqnAgeLimit` and `sqnInit`.
const MAX_SEQ: u64 = 0x07FF_FFFF_FFFF;

/// The parameters of one application's authentication (SAIP `PE-AKAParameter`). `Debug` prints no key.
#[derive(Clone)]
pub struct Aka {
    algorithm: Algorithm,
    id: AlgorithmId,
    /// The most by which SEQ may grow at once (TS 33.102 annex C.2.1), when that is checked.
    delta: Option<u64>,
    initial: SequenceNumbers,
}

impl std::fmt::Debug for Aka {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Aka({:?})", self.id)
    }
}

/// What becomes of a challenge on the card.
pub enum Outcome {
    /// The network is genuine and its challenge new.
    Success {
        /// What the network expects.
        res: Zeroizing<Vec<u8>>,
        /// The cipher key.
        ck: Zeroizing<Vec<u8>>,
        /// The integrity key.
        ik: Zeroizing<Vec<u8>>,
        /// The key of the GSM context that belongs to them.
        kc: [u8; 8],
    },
    /// The challenge is not new: AUTS.
    SynchronisationFailure([u8; 14]),
    /// The MAC is wrong.
    MacFailure,
}

/// Why parameters cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AkaError {
    /// The element has not the form of `PE-AKAParameter`.
    Format,
    /// A value breaks the rule of its field.
    Value,
}

/// What a home network sends, and what it expects (TS 33.102 §6.3.2).
pub struct Challenge {
    /// AUTN: SQN xor AK, AMF, MAC.
    pub autn: [u8; 16],
    /// XRES.
    pub expected: Zeroizing<Vec<u8>>,
}

impl From<TlvError> for AkaError {
    fn from(_: TlvError) -> Self {
        AkaError::Format
    }
}

/// A big-endian number of six bytes.
fn number(bytes: &[u8]) -> Result<u64, AkaError> {
    let value = <[u8; 6]>::try_from(bytes).map_err(|_| AkaError::Value)?;
    let value = value.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    if value <= MAX_SEQ { Ok(value) } else { Err(AkaError::Value) }
}

fn six(number: u64) -> [u8; 6] {
    let bytes = number.to_be_bytes();
    std::array::from_fn(|index| bytes[2 + index])
}

fn array<const N: usize>(bytes: &[u8]) -> Result<[u8; N], AkaError> {
    bytes.try_into().map_err(|_| AkaError::Value)
}

fn secret<const N: usize>(bytes: &[u8]) -> Result<Secret<N>, AkaError> {
    Secret::copy(bytes).ok_or(AkaError::Value)
}

impl Aka {
    /// Reads `PE-AKAParameter` whose parameters are its own: `parameter` is `AlgoParameter`, `element` the whole.
    pub fn parse(element: &Tlv<'_>, parameter: &Tlv<'_>) -> Result<Self, AkaError> {
        let mut fields = parameter.reader();
        let id = fields.require(0x80)?.as_u32()?;
        let options = array::<1>(fields.require(0x81)?.value())?[0];
        let key = fields.require(0x82)?.value();
        let opc = fields.require(0x83)?.value();
        let rotations = fields.optional(0x84)?.map(|tlv| array(tlv.value())).transpose()?;
        let constants = fields.optional(0x85)?.map(|tlv| array::<80>(tlv.value())).transpose()?;
        let _counter_max = fields.optional(0x86)?;
        let iterations = fields.optional(0x87)?.map(|tlv| tlv.as_u32()).transpose()?.unwrap_or(1);
        // The length of RES: 02 is 128 bits in GSMA TS.48, and so on around it.
        let res_length = match options & 0x03 {
            0 => 4,
            1 => 8,
            2 => 16,
            _ => 32,
        };
        let (algorithm, id) = match id {
            1 => {
                let mut numbers = milenage::CONSTANTS;
                if let Some(bytes) = constants {
                    for (number, bytes) in numbers.iter_mut().zip(bytes.chunks_exact(16)) {
                        *number = bytes.iter().fold(0, |number, byte| number << 8 | u128::from(*byte));
                    }
                }
                let rotations = rotations.unwrap_or(milenage::ROTATIONS);
                let milenage = Milenage::new(secret(key)?, secret(opc)?, rotations, numbers);
                (Algorithm::Milenage(milenage), AlgorithmId::Milenage)
            }
            2 => {
                // AUTN has room for a MAC of 64 bits, the answer to AUTHENTICATE for keys of 128 (TS 31.102 §7.1.2).
                let lengths = Lengths { mac: 8, res: res_length, ck: 16, ik: 16 };
                let iterations = u8::try_from(iterations).ok().filter(|count| *count > 0).ok_or(AkaError::Value)?;
                let tuak = Tuak::new(key, secret(opc)?, iterations, lengths).ok_or(AkaError::Value)?;
                (Algorithm::Tuak(tuak), AlgorithmId::Tuak { key_bits: key.len() as u16 * 8 })
            }
            3 => {
                let test = TestAlgorithm { key: secret(key)?, res_length: res_length.min(16) };
                (Algorithm::Test(test), AlgorithmId::Test)
            }
            _ => return Err(AkaError::Value),
        };

        let mut fields = element.reader();
        fields.require(0xA1)?;
        // SAIP, `sqnOptions`: by default 02, which protects against wrap around of SQN.
        const WRAP_AROUND: u8 = 0x02;
        let options = fields.optional(0x82)?.map_or(Ok([WRAP_AROUND]), |tlv| array::<1>(tlv.value()))?[0];
        let delta = fields.optional(0x83)?.map_or(Ok(1 << 28), |tlv| number(tlv.value()))?;
        if let Some(age_limit) = fields.optional(0x84)? {
            number(age_limit.value())?;
        }
        let mut initial = [0; 32];
        if let Some(list) = fields.optional(0xA5)? {
            let mut places = initial.iter_mut();
            for entry in list.reader() {
                *places.next().ok_or(AkaError::Value)? = number(entry?.value())?;
            }
        }
        Ok(Aka { algorithm, id, delta: (options & WRAP_AROUND != 0).then_some(delta), initial })
    }

    /// The sequence numbers at first.
    pub fn initial(&self) -> SequenceNumbers {
        self.initial
    }

    /// Which algorithm it is.
    pub fn algorithm(&self) -> AlgorithmId {
        self.id
    }

    /// The subscriber of an unprotected profile package: its ICCID and the parameters of its first application. `None`
    /// for a package without any, or none that can be read.
    pub fn of_package(package: &[u8]) -> Option<(crate::Iccid, Aka)> {
        let header = ProfileHeader::of_package(package).ok()?;
        let mut parameters =
            split(package).filter_map(Result::ok).filter(|element| element.kind() == Kind::AkaParameter);
        let own = parameters.find_map(|element| {
            let choice = element.tlv().reader().require(0xA1).ok()?;
            Aka::parse(&element.tlv(), &choice.reader().require(0xA1).ok()?).ok()
        });
        Some((header.iccid, own?))
    }

    /// Parameters from a key and its companion: OPc of 16 bytes for Milenage, TOPc of 32 for TUAK, none that counts for
    /// the test algorithm. RES has 64 bits, as it has on the cards of the lab.
    pub fn from_keys(algorithm: AlgorithmName, key: &[u8], opc: &[u8]) -> Result<Aka, AkaError> {
        const RES: usize = 8;
        let (algorithm, id) = match algorithm {
            AlgorithmName::Milenage => {
                let milenage = Milenage::new(secret(key)?, secret(opc)?, milenage::ROTATIONS, milenage::CONSTANTS);
                (Algorithm::Milenage(milenage), AlgorithmId::Milenage)
            }
            AlgorithmName::Tuak => {
                let lengths = Lengths { mac: 8, res: RES, ck: 16, ik: 16 };
                let tuak = Tuak::new(key, secret(opc)?, 1, lengths).ok_or(AkaError::Value)?;
                (Algorithm::Tuak(tuak), AlgorithmId::Tuak { key_bits: key.len() as u16 * 8 })
            }
            AlgorithmName::Test => {
                (Algorithm::Test(TestAlgorithm { key: secret(key)?, res_length: RES }), AlgorithmId::Test)
            }
        };
        Ok(Aka { algorithm, id, delta: None, initial: [0; 32] })
    }

    /// The home network's side (TS 33.102 §6.3.2): a challenge with this sequence number, IND in its lowest bits.
    pub fn challenge(&self, rand: &[u8; 16], number: u64, amf: [u8; 2]) -> Challenge {
        let functions = self.algorithm.functions();
        let vector = functions.f2345(rand);
        let sqn = six(number);
        let mut autn = [0; 16];
        let hidden = sqn.iter().zip(vector.ak).map(|(a, b)| a ^ b);
        let mac = functions.f1(rand, &sqn, &amf);
        for (out, byte) in autn.iter_mut().zip(hidden.chain(amf).chain(mac)) {
            *out = byte;
        }
        Challenge { autn, expected: vector.res }
    }

    /// The home network's side of AUTS (TS 33.102 §6.3.5): the highest sequence number that the card has seen, IND in
    /// its lowest bits; `None` when the MAC is wrong.
    pub fn resynchronised(&self, rand: &[u8; 16], auts: &[u8; 14]) -> Option<u64> {
        let functions = self.algorithm.functions();
        let mask = functions.f5_star(rand);
        let sqn: [u8; 6] = std::array::from_fn(|index| auts[index] ^ mask[index]);
        let is_right = equal_in_constant_time(&functions.f1_star(rand, &sqn, &[0, 0]), &auts[6..]);
        is_right.then(|| sqn.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    }

    /// The 3G context (TS 33.102 §6.3.3).
    pub fn authenticate(&self, rand: &[u8; 16], autn: &[u8; 16], seen: &mut SequenceNumbers) -> Outcome {
        self.authenticate_with(self.algorithm.functions().f2345(rand), rand, autn, seen)
    }

    /// The GBA context in bootstrapping mode: the MAC is hidden under IK, which no terminal that has the challenge alone
    /// knows (TS 33.220 §5.3.2: `MAC* = MAC xor Trunc(SHA-1(IK))`).
    pub fn bootstrap(&self, rand: &[u8; 16], autn: &[u8; 16], seen: &mut SequenceNumbers) -> Outcome {
        let vector = self.algorithm.functions().f2345(rand);
        let mask = openssl::sha::sha1(&vector.ik);
        let mut plain = *autn;
        plain[8..].iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
        self.authenticate_with(vector, rand, &plain, seen)
    }

    fn authenticate_with(
        &self,
        vector: Vector,
        rand: &[u8; 16],
        autn: &[u8; 16],
        seen: &mut SequenceNumbers,
    ) -> Outcome {
        let functions = self.algorithm.functions();
        let mut sqn = [0; 6];
        for ((out, hidden), mask) in sqn.iter_mut().zip(&autn[..6]).zip(vector.ak) {
            *out = hidden ^ mask;
        }
        let amf = [autn[6], autn[7]];
        if !equal_in_constant_time(&functions.f1(rand, &sqn, &amf), &autn[8..]) {
            return Outcome::MacFailure;
        }
        let number = sqn.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        let fresh = match self.id {
            // TS 34.108 §8.1.2.2: the test algorithm takes every SQN, and one AMF asks for the failure.
            AlgorithmId::Test => amf != [0xFF; 2],
            _ => self.is_fresh(number, seen),
        };
        if !fresh {
            let own = match self.id {
                AlgorithmId::Test => number,
                _ => highest(seen),
            };
            return Outcome::SynchronisationFailure(self.resynchronise(rand, own));
        }
        seen[(number & 0x1F) as usize] = number >> IND_BITS;
        let kc = kc(&vector.ck, &vector.ik);
        Outcome::Success { res: vector.res, ck: vector.ck, ik: vector.ik, kc }
    }

    /// TS 33.102 annex C.2.2: SEQ is higher than the one seen with its IND, and not too far from the highest.
    fn is_fresh(&self, number: u64, seen: &SequenceNumbers) -> bool {
        let (seq, ind) = (number >> IND_BITS, (number & 0x1F) as usize);
        let near = self.delta.is_none_or(|delta| seq <= (highest(seen) >> IND_BITS).saturating_add(delta));
        near && seq > seen[ind]
    }

    /// AUTS (TS 33.102 §6.3.3): SQN_MS xor AK*, and MAC-S over it with AMF zero.
    fn resynchronise(&self, rand: &[u8; 16], own: u64) -> [u8; 14] {
        let functions = self.algorithm.functions();
        let sqn = six(own);
        let mask = functions.f5_star(rand);
        let mac = functions.f1_star(rand, &sqn, &[0, 0]);
        let mut auts = [0; 14];
        let hidden = sqn.iter().zip(mask).map(|(a, b)| a ^ b);
        for (out, byte) in auts.iter_mut().zip(hidden.chain(mac)) {
            *out = byte;
        }
        auts
    }

    /// The GSM context (TS 33.102 §6.8.1.2): SRES and Kc by the conversion functions c2 and c3.
    pub fn authenticate_gsm(&self, rand: &[u8; 16]) -> ([u8; 4], [u8; 8]) {
        let vector = self.algorithm.functions().f2345(rand);
        let mut sres = [0; 4];
        for part in vector.res.chunks(4) {
            for (out, byte) in sres.iter_mut().zip(part) {
                *out ^= byte;
            }
        }
        (sres, kc(&vector.ck, &vector.ik))
    }
}

/// The highest number seen, its IND with it.
fn highest(seen: &SequenceNumbers) -> u64 {
    (0..)
        .zip(seen)
        .map(|(ind, seq): (u64, &u64)| seq << IND_BITS | ind)
        .fold((0, 0), |(best, number), next| {
            // Of equal ones the first.
            if next >> IND_BITS > best { (next >> IND_BITS, next) } else { (best, number) }
        })
        .1
}

/// c3 (TS 33.102 §6.8.1.2): the halves of CK and IK, xored.
fn kc(ck: &[u8], ik: &[u8]) -> [u8; 8] {
    let mut kc = [0; 8];
    for half in ck.chunks_exact(8).chain(ik.chunks_exact(8)) {
        for (out, byte) in kc.iter_mut().zip(half) {
            *out ^= byte;
        }
    }
    kc
}

use crate::ids::{from_hex, to_hex};
use crate::tlv::Writer;

use super::*;

fn bytes<const N: usize>(hex: &str) -> [u8; N] {
    from_hex(hex).unwrap().try_into().unwrap()
}

fn secret<const N: usize>(hex: &str) -> Secret<N> {
    Secret::copy(&from_hex(hex).unwrap()).unwrap()
}

/// K, RAND, SQN, AMF, OPc or TOPc, f1, f1*, f2, f3, f4, f5, f5*.
type TestSet = [&'static str; 12];

fn check(functions: &dyn Functions, set: &TestSet) {
    let [_, rand, sqn, amf, _, mac_a, mac_s, res, ck, ik, ak, ak_star] = set;
    let (rand, sqn, amf) = (bytes(rand), bytes(sqn), bytes(amf));
    assert_eq!(to_hex(&functions.f1(&rand, &sqn, &amf)), *mac_a);
    assert_eq!(to_hex(&functions.f1_star(&rand, &sqn, &amf)), *mac_s);
    let vector = functions.f2345(&rand);
    let got = [to_hex(&vector.res), to_hex(&vector.ck), to_hex(&vector.ik), to_hex(&vector.ak)];
    assert_eq!(got, [*res, *ck, *ik, *ak]);
    assert_eq!(to_hex(&functions.f5_star(&rand)), *ak_star);
}

/// A test set of TS 35.208, with SRES and Kc of the GSM context behind it.
type MilenageSet = [&'static str; 14];

fn milenage_sets() -> Vec<MilenageSet> {
    let lines = include_str!("ts_35_208.txt").lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| Vec::from_iter(line.split(' ')).try_into().expect("14 values in a line")).collect()
}

#[test]
fn milenage_of_ts_35_208() {
    // proves: USIM - authentication
    let sets = milenage_sets();
    assert_eq!(sets.len(), 20);
    for set in &sets {
        let milenage = Milenage::new(secret(set[0]), secret(set[4]), milenage::ROTATIONS, milenage::CONSTANTS);
        check(&milenage, set[..12].try_into().unwrap());
    }
}

#[test]
fn the_gsm_context_of_ts_55_205() {
    // proves: USIM - authentication
    for [key, rand, _, _, opc, .., sres, kc] in milenage_sets() {
        let aka = parsed(&element(1, 1, &bytes::<16>(key), &bytes::<16>(opc), |w| w)).unwrap();
        let (own_sres, own_kc) = aka.authenticate_gsm(&bytes(rand));
        assert_eq!((to_hex(&own_sres).as_str(), to_hex(&own_kc).as_str()), (sres, kc));
    }
}

/// 3GPP TS 35.232 §6 and §7, and TS 35.233 §6.3 to §6.8, which has the same: test sets 1 to 6, how often the
/// permutation is made, and the values.
#[test]
fn tuak_of_ts_35_232() {
    // proves: USIM - authentication
    #[rustfmt::skip]
    let sets: [(u8, TestSet); 6] = [
        (1, ["ABABABABABABABABABABABABABABABAB", "42424242424242424242424242424242", "111111111111", "FFFF", "BD04D9530E87513C5D837AC2AD954623A8E2330C115305A73EB45D1F40CCCBFF", "F9A54E6AEAA8618D", "E94B4DC6C7297DF3", "657ACD64", "D71A1E5C6CAFFE986A26F783E5C78BE1", "BE849FA2564F869AECEE6F62D4337E72", "719F1E9B9054", "E7AF6B3D0E38"]),
        (1, ["FFFEFDFCFBFAF9F8F7F6F5F4F3F2F1F0EFEEEDECEBEAE9E8E7E6E5E4E3E2E1E0", "0123456789ABCDEF0123456789ABCDEF", "0123456789AB", "ABCD", "305425427E18C503C8A4B294EA72C95D0C36C6C6B29D0C65DE5974D5977F8524", "C0B8C2D4148EC7AA5F1D78A97E4D1D58", "EF81AF7290F7842C6CEAFA537FA0745B", "E9D749DC4EEA0035", "A4CB6F6529AB17F8337F27BAA8234D47", "2274155CCF4199D5E2ABCBF621907F90", "480A9345CC1E", "F84EB338848C"]),
        (1, ["FFFEFDFCFBFAF9F8F7F6F5F4F3F2F1F0EFEEEDECEBEAE9E8E7E6E5E4E3E2E1E0", "0123456789ABCDEF0123456789ABCDEF", "0123456789AB", "ABCD", "305425427E18C503C8A4B294EA72C95D0C36C6C6B29D0C65DE5974D5977F8524", "D97B75A1776065271B1E212BC3B1BF173F438B21E6C64A55A96C372E085E5CC5", "427BBF07C6E3A86C54F8C5216499F3909A6FD4A164C9FE235B1550258111B821", "07021C73E7635C7D", "4D59AC796834EB85D11FA148A5058C3C", "126D47500136FDC5DDFD14F19EBF16749CE4B6435323FBB5715A3A796A6082BD", "1D6622C4E59A", "F84EB338848C"]),
        (1, ["B8DA837A50652D6AC7C97DA14F6ACC61", "6887E55425A966BD86C9661A5FA72BE8", "0DEA2EE2C5AF", "DF1E", "2BC16EB657A68E1F446F08F57C0EFB1D493527A2E652CE281EB6CA0E4487760A", "749214087958DD8F58BFCDF869D8AE3F", "619E865AFE80E382AEE13063F9DFB56D", "4041CE438E3E38E8AA96562EED83AC43", "3E3BC01BEA0CD914C4C2C83CE2D92757", "666A8E6F577B1AA77B7FD53CEBB8A3D6", "1F880D005119", "45E617D77FE5"]),
        (1, ["1574CA56881D05C189C82880F789C9CD4244955F4426AA2B69C29F15770E5AA5", "C570AAC68CDE651FB1E3088322498BEF", "C89BB71F3A41", "297D", "3C6052E41532A28A47AA3CBB89F223E8F3AAA976AECD48BC3E7D6165A55EFF62", "D7340DAD02B4CB01", "C6021E2E66ACCB15", "84D89B41DB1867FFD4C7BA1D82163F4D526A20FBAE5418FBB526940B1EEB905C", "D419676AFE5AB58C1D8BEE0D43523A4D2F52EF0B31A4676A0C334427A988FE65", "205533E505661B61D05CC0EAC87818F4", "D7B3D2D4980A", "CA9655264986"]),
        (2, ["1574CA56881D05C189C82880F789C9CD4244955F4426AA2B69C29F15770E5AA5", "C570AAC68CDE651FB1E3088322498BEF", "C89BB71F3A41", "297D", "B04A66F26C62FCD6C82DE22A179AB65506ECF47F56245CD149966CFA9CEC7A51", "90D2289ED1CA1C3DBC2247BB480D431AC71D2E4A7677F6E997CFDDB0CBAD88B7", "427355DBAC30E825063ABA61B556E87583ABAC638E3AB01C4C884AD9D458DC2F", "D67E6E64590D22EECBA7324AFA4AF4460C93F01B24506D6E12047D789A94C867", "EDE57EDFC57CDFFE1AAE75066A1B7479BBC3837438E88D37A801CCCC9F972B89", "48ED9299126E5057402FE01F9201CF25249F9C5C0ED2AFCF084755DAFF1D3999", "6AAE8D18C448", "8C5F33B61F4E"]),
    ];
    for (iterations, set) in &sets {
        let length = |index: usize| set[index].len() / 2;
        let lengths = Lengths { mac: length(5), res: length(7), ck: length(8), ik: length(9) };
        let tuak = Tuak::new(&from_hex(set[0]).unwrap(), secret(set[4]), *iterations, lengths).unwrap();
        check(&tuak, set);
    }
    assert!(
        Tuak::new(&[0; 17], super::secret(&[0; 32]).unwrap(), 1, Lengths { mac: 8, res: 8, ck: 16, ik: 16 }).is_none()
    );
}

const KEY: [u8; 16] = [0x46; 16];
const OPC: [u8; 16] = [0xCD; 16];
const RAND: [u8; 16] = [0x23; 16];

/// `PE-AKAParameter` with this algorithm; the rest of its fields by `more`.
fn element(algorithm: u32, options: u8, key: &[u8], opc: &[u8], more: impl FnOnce(Writer) -> Writer) -> Vec<u8> {
    Writer::new()
        .nested(0xA4, |w| {
            more(w.nested(0xA0, |w| w.integer(0x81, 1)).nested(0xA1, |w| {
                w.nested(0xA1, |w| w.integer(0x80, algorithm).put(0x81, &[options]).put(0x82, key).put(0x83, opc))
            }))
        })
        .into_vec()
}

fn parsed(element: &[u8]) -> Result<Aka, AkaError> {
    let element = Tlv::parse_exact(element).unwrap();
    let parameter = element.reader().require(0xA1).unwrap().reader().require(0xA1).unwrap();
    Aka::parse(&element, &parameter)
}

/// What a network sends for SQN.
fn autn(aka: &Aka, sqn: u64, amf: [u8; 2]) -> [u8; 16] {
    let functions = aka.algorithm.functions();
    let sqn = six(sqn);
    let ak = functions.f2345(&RAND).ak;
    let mut autn = Vec::from_iter(sqn.iter().zip(ak).map(|(a, b)| a ^ b));
    autn.extend_from_slice(&amf);
    autn.extend_from_slice(&functions.f1(&RAND, &sqn, &amf));
    autn.try_into().unwrap()
}

#[test]
fn sequence_numbers_are_taken_once_and_in_order() {
    // proves: USIM - authentication
    for element in [
        element(1, 1, &KEY, &OPC, |w| w),
        element(2, 1, &KEY, &[0xCD; 32], |w| w),
        element(2, 2, &[0x46; 32], &[0xCD; 32], |w| w),
    ] {
        let aka = parsed(&element).unwrap();
        let mut seen = aka.initial();
        let mut fresh = |sqn| match aka.authenticate(&RAND, &autn(&aka, sqn, [0x80, 0]), &mut seen) {
            Outcome::Success { .. } => true,
            Outcome::SynchronisationFailure(_) => false,
            Outcome::MacFailure => panic!("the MAC is right"),
        };
        // IND counts separately; the same SQN is taken once (TS 33.102 annex C.2.2).
        assert!(!fresh(0));
        assert!(fresh(0x21));
        assert!(!fresh(0x21));
        assert!(fresh(0x22));
        assert!(fresh(0x61));
        assert!(!fresh(0x41));
        assert!(fresh(0x43));
        // Not farther from the highest SEQ, 3, than 2 to the 28 (annex C.2.1).
        assert!(!fresh(((1 << 28) + 4) << 5));
        assert!(fresh(((1 << 28) + 3) << 5));
    }
}

#[test]
fn a_synchronisation_failure_tells_the_highest_number() {
    // proves: USIM - authentication
    let aka = parsed(&element(1, 1, &KEY, &OPC, |w| w)).unwrap();
    let mut seen = aka.initial();
    assert!(matches!(aka.authenticate(&RAND, &autn(&aka, 0x125, [0; 2]), &mut seen), Outcome::Success { .. }));
    let Outcome::SynchronisationFailure(auts) = aka.authenticate(&RAND, &autn(&aka, 0x25, [0; 2]), &mut seen) else {
        panic!("an old challenge is taken");
    };
    // What the home network does with it (TS 33.102 §6.3.5).
    let functions = aka.algorithm.functions();
    let mask = functions.f5_star(&RAND);
    let sqn: [u8; 6] = std::array::from_fn(|index| auts[index] ^ mask[index]);
    assert_eq!(sqn, six(0x125));
    assert_eq!(functions.f1_star(&RAND, &sqn, &[0; 2]), auts[6..]);
    // A wrong MAC changes nothing and tells nothing.
    let before = seen;
    let mut wrong = autn(&aka, 0x145, [0; 2]);
    wrong[15] ^= 1;
    assert!(matches!(aka.authenticate(&RAND, &wrong, &mut seen), Outcome::MacFailure));
    assert_eq!(seen, before);
}

#[test]
fn the_test_algorithm_of_ts_34_108() {
    // proves: USIM - authentication
    let aka = parsed(&element(3, 2, &std::array::from_fn::<u8, 16, _>(|index| index as u8), &[0; 16], |w| w)).unwrap();
    let mut seen = aka.initial();
    // XDOUT is K xor RAND; computed by hand.
    let challenge = autn(&aka, 0, [0; 2]);
    let Outcome::Success { res, ck, ik, .. } = aka.authenticate(&RAND, &challenge, &mut seen) else {
        panic!("refused");
    };
    assert_eq!(to_hex(&res), "23222120272625242B2A29282F2E2D2C");
    assert_eq!(to_hex(&ck), "222120272625242B2A29282F2E2D2C23");
    assert_eq!(to_hex(&ik), "2120272625242B2A29282F2E2D2C2322");
    // Any SQN again, and a failure on demand.
    assert!(matches!(aka.authenticate(&RAND, &challenge, &mut seen), Outcome::Success { .. }));
    let on_demand = autn(&aka, 5, [0xFF; 2]);
    assert!(matches!(aka.authenticate(&RAND, &on_demand, &mut seen), Outcome::SynchronisationFailure(_)));
}

#[test]
fn parameters_that_break_their_rules() {
    // proves: USIM - authentication
    let wrong = |element: Vec<u8>| parsed(&element).unwrap_err();
    assert_eq!(wrong(element(1, 1, &KEY[..15], &OPC, |w| w)), AkaError::Value);
    assert_eq!(wrong(element(1, 1, &KEY, &OPC[..15], |w| w)), AkaError::Value);
    assert_eq!(wrong(element(2, 1, &KEY, &OPC, |w| w)), AkaError::Value);
    assert_eq!(wrong(element(4, 1, &KEY, &OPC, |w| w)), AkaError::Value);
    assert_eq!(wrong(element(1, 1, &KEY, &OPC, |w| w.put(0x83, &[0x08, 0, 0, 0, 0, 0]))), AkaError::Value);
    let numbers = |count| {
        element(1, 1, &KEY, &OPC, |w| w.nested(0xA5, |w| (0..count).fold(w, |w, _| w.put(0x04, &[0, 0, 0, 0, 0, 7]))))
    };
    assert_eq!(wrong(numbers(33)), AkaError::Value);
    assert_eq!(parsed(&numbers(32)).unwrap().initial(), [7; 32]);
    let without_check = parsed(&element(1, 1, &KEY, &OPC, |w| w.put(0x82, &[0]))).unwrap();
    assert_eq!(without_check.delta, None);
    assert!(!format!("{without_check:?}").contains("46"));
}

/// AUTN and AUTS put together by hand from the values of TS 35.208, set by set.
#[test]
fn what_a_home_network_sends_and_takes() {
    for [key, rand, sqn, amf, opc, mac_a, mac_s, res, _, _, ak, ak_star, ..] in milenage_sets() {
        let aka = Aka::from_keys(AlgorithmName::Milenage, &from_hex(key).unwrap(), &from_hex(opc).unwrap()).unwrap();
        let number = u64::from_str_radix(sqn, 16).unwrap();
        let rand = bytes(rand);
        let hidden = |mask: &str| format!("{:012X}", number ^ u64::from_str_radix(mask, 16).unwrap());
        let Challenge { autn, expected } = aka.challenge(&rand, number, bytes(amf));
        assert_eq!(to_hex(&autn), format!("{}{amf}{mac_a}", hidden(ak)));
        assert_eq!(to_hex(&expected), res);
        // The sets have an AMF that is not zero, and with it another MAC-S than AUTS has.
        let auts = bytes::<14>(&format!("{}{mac_s}", hidden(ak_star)));
        assert_eq!(aka.resynchronised(&rand, &auts), None);
        let auts = aka.resynchronise(&rand, number);
        assert_eq!(to_hex(&auts[..6]), hidden(ak_star));
        assert_eq!(aka.resynchronised(&rand, &auts), Some(number));
    }
}

#[test]
fn a_home_network_and_its_card() {
    for element in [
        element(1, 1, &KEY, &OPC, |w| w),
        element(2, 2, &[0x46; 32], &[0xCD; 32], |w| w),
        element(3, 1, &KEY, &OPC, |w| w),
    ] {
        let card = parsed(&element).unwrap();
        let mut seen = card.initial();
        let challenge = card.challenge(&RAND, 0x21, [0x80, 0]);
        let Outcome::Success { res, .. } = card.authenticate(&RAND, &challenge.autn, &mut seen) else {
            panic!("the card refuses its own network");
        };
        assert_eq!(*res, *challenge.expected);
    }
    // Another key, and another OPc.
    let card = parsed(&element(1, 1, &KEY, &OPC, |w| w)).unwrap();
    for (key, opc) in [([0x47; 16], OPC), (KEY, [0xCE; 16])] {
        let other = Aka::from_keys(AlgorithmName::Milenage, &key, &opc).unwrap();
        let challenge = other.challenge(&RAND, 0x21, [0x80, 0]);
        let outcome = card.authenticate(&RAND, &challenge.autn, &mut card.initial());
        assert!(matches!(outcome, Outcome::MacFailure));
    }
    for (algorithm, key, opc) in
        [(AlgorithmName::Milenage, 15, 16), (AlgorithmName::Milenage, 16, 32), (AlgorithmName::Tuak, 16, 16)]
    {
        assert_eq!(Aka::from_keys(algorithm, &vec![0; key], &vec![0; opc]).err(), Some(AkaError::Value));
    }
}

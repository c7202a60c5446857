//! The concealed subscription identifier, when the USIM computes it (TS 31.102 §7.5, TS 33.501 §6.12.2).

use rsp::crypto::Random;
use rsp::ecies::{Profile, conceal};
use rsp::tlv::{Reader, Writer};

/// The null scheme (TS 33.501 annex C.2).
const NULL_SCHEME: u8 = 0;

/// What the identifier is made of.
pub(super) struct Subscription<'a> {
    /// EF.IMSI (TS 31.102 §4.2.2).
    pub(super) imsi: &'a [u8],
    /// How many digits of it are the MNC (EF.AD).
    pub(super) mnc_digits: usize,
    /// The first two bytes of EF.Routing_Indicator.
    pub(super) routing_indicator: [u8; 2],
    /// EF.SUCI_Calc_Info (TS 31.102 §4.4.11.8).
    pub(super) schemes: &'a [u8],
}

/// The SUCI TLV data object (TS 31.102 §7.5.2.2): a mobile identity of type SUCI (TS 24.501 §9.11.3.4). `None` when
/// there is no IMSI to conceal.
pub(super) fn identity(subscription: &Subscription<'_>, random: &mut dyn Random) -> Option<Vec<u8>> {
    let (length, bytes) = subscription.imsi.split_first()?;
    let bytes = bytes.get(..usize::from(*length))?;
    // The first nibble is parity and type.
    let digits: Vec<u8> =
        bytes.iter().flat_map(|byte| [byte & 15, byte >> 4]).skip(1).filter(|digit| *digit < 10).collect();
    let (network, subscriber) = digits.split_at_checked(3 + subscription.mnc_digits)?;
    let plaintext: Vec<u8> =
        subscriber.chunks(2).map(|pair| pair.get(1).copied().unwrap_or(0x0F) << 4 | pair[0]).collect();
    let third = network.get(5).copied().unwrap_or(0x0F);
    // TS 24.501 figure 9.11.3.4.3: SUPI format IMSI, type SUCI; MCC and MNC as in TS 24.008 §10.5.1.13.
    let mut value = vec![0x01, network[1] << 4 | network[0], third << 4 | network[2], network[4] << 4 | network[3]];
    value.extend_from_slice(&subscription.routing_indicator);
    value.extend_from_slice(&concealed(subscription.schemes, &plaintext, random));
    Some(Writer::new().put(0xA1, &value).into_vec())
}

/// Scheme, key identifier and output, by the first scheme in the list that there is a key for. Without any the
/// identifier is not concealed (TS 33.501 §6.12.2).
fn concealed(schemes: &[u8], plaintext: &[u8], random: &mut dyn Random) -> Vec<u8> {
    let mut objects = Reader::new(schemes);
    // What follows the objects is padding, and may be no TLV.
    let list = objects.expect(0xA0).map(|list| list.value()).unwrap_or_default();
    let keys = objects.expect(0xA1).map(|keys| keys.reader()).ok();
    let key = |index: u8| {
        let mut keys = keys?;
        let mut found = None;
        // TS 31.102 §4.4.11.8: identifier and key, counted from 1.
        for _ in 0..index {
            let identifier = keys.expect(0x80).ok()?.as_array::<1>().ok()?[0];
            found = Some((identifier, keys.expect(0x81).ok()?.value()));
        }
        found
    };
    for pair in list.chunks_exact(2) {
        let profile = match pair[0] {
            NULL_SCHEME => break,
            1 => Profile::A,
            2 => Profile::B,
            _ => continue,
        };
        let Some((identifier, key)) = key(pair[1]) else { continue };
        if let Ok(output) = conceal(profile, key, plaintext, random) {
            return [&[pair[0], identifier], &output[..]].concat();
        }
    }
    [&[NULL_SCHEME, 0], plaintext].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rsp::crypto::SeededRandom;
    use rsp::ids::{from_hex, to_hex};

    fn of(imsi: &str, mnc_digits: usize, schemes: &str) -> Option<String> {
        let subscription = Subscription {
            imsi: &from_hex(imsi).unwrap(),
            mnc_digits,
            routing_indicator: [0x17, 0xFF],
            schemes: &from_hex(schemes).unwrap(),
        };
        identity(&subscription, &mut SeededRandom::new(3, "suci")).map(|suci| to_hex(&suci))
    }

    #[test]
    fn the_null_scheme_hides_nothing() {
        // proves: USIM - identity
        // IMSI 001010000000101: network 001 01, subscriber 0000000101.
        let expected = "A10D0100F11017FF00000000001010".to_owned();
        assert_eq!(of("080910100000001010", 2, "A0020000FFFF"), Some(expected.clone()));
        assert_eq!(of("080910100000001010", 2, ""), Some(expected.clone()));
        // A scheme without a key is passed over.
        assert_eq!(of("080910100000001010", 2, "A00402010000A100"), Some(expected));
        // An odd number of digits, and an MNC of three.
        assert_eq!(of("083901141200000010", 3, "A0020000"), Some("A10D0113201417FF000001000000F1".to_owned()));
        assert_eq!(of("FFFFFFFFFFFFFFFFFF", 2, ""), None);
    }

    #[test]
    fn the_first_scheme_with_a_key_conceals() {
        // proves: USIM - identity
        // The list of TS 31.121 §4.9.4: profile B with key 1, profile A with key 2, null.
        let keys = "8001 1B 8141 0472DA71976234CE833A6907425867B82E074D44EF907DFB4B3E21C1C2256EBCD1\
                    5A7DED52FCBB097A4ED250E036C7B9C8C7004C4EEDC4F068CD7BF8D3F900E3B4\
                    8001 1E 8120 5A8D38864820197C3394B92613B20B91633CBD897119273BF8E4A6F4EEC0A650";
        let keys = keys.replace(' ', "");
        let schemes = |list: &str| format!("{list}A1{:02X}{keys}FFFF", keys.len() / 2);
        let suci = of("080910100000001010", 2, &schemes("A006020101020000")).unwrap();
        // 33 bytes of one-time key, five of ciphertext, eight of MAC.
        assert!(suci.starts_with("A1360100F11017FF021B0"), "{suci}");
        assert_eq!(suci.len(), 2 * (2 + 8 + 33 + 5 + 8));
        let suci = of("080910100000001010", 2, &schemes("A00401020000")).unwrap();
        assert!(suci.starts_with("A1350100F11017FF011E"), "{suci}");
    }
}

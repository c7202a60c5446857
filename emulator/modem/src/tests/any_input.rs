//! Whatever hosts write and cards answer, both ports go on.

use proptest::prelude::*;

use crate::Modem;
use crate::card::Card;
use crate::model::Model;

/// A card that answers anything.
struct Wild(Vec<Vec<u8>>, usize);

impl Card for Wild {
    fn reset(&mut self) -> Vec<u8> {
        Vec::new()
    }

    fn transmit(&mut self, _: &[u8]) -> Vec<u8> {
        self.1 += 1;
        self.0.get(self.1 % self.0.len().max(1)).cloned().unwrap_or_default()
    }
}

fn pieces() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..12),
        proptest::sample::select(vec![
            "AT",
            "at",
            "A/",
            "\r",
            "\r\n",
            "E0",
            "E1",
            "V0",
            "V1",
            "Q1",
            "Q0",
            "&F",
            "Z",
            "I",
            ";",
            "+CMEE=2",
            "+CCHO=\"A0000005591010FFFFFFFF8900000100\"",
            "+CGLA=1,10,\"81C0000005\"",
            "+CCHC=1",
            "+CFUN=1,1",
            "+CFUN=0",
            "+QESIM=\"eid\"",
            "+QESIM=\"profile_detail\",1",
            "+QESIM=\"enable_profile\",1",
            "+CIMI",
            "+QCCID",
            "+CPIN?",
            "+CSIM=10,\"0070000001\"",
            "=?",
            "?",
            ",",
            "\"",
            "S3=13",
            "S5=8",
            "\x08",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
    ]
}

proptest! {
    #[test]
    fn any_input_and_any_card(
        pieces in proptest::collection::vec((pieces(), 0usize..2), 0..40),
        answers in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..20), 0..6),
    ) {
        let mut modem = Modem::new(Model::named("RM500Q-GL").unwrap(), Box::new(Wild(answers, 0)));
        for (bytes, port) in pieces {
            for write in modem.receive(port, &bytes).writes {
                prop_assert!(write.port < 2 && !write.bytes.is_empty());
            }
        }
        for port in 0..2 {
            // Whatever was set before, a line that ends on every terminator brings a known state back.
            let every: Vec<u8> = (0..=127).collect();
            let _ = modem.receive(port, &every);
            for terminator in 0..=127 {
                let _ = modem.receive(port, &[b'A', b'T', b'&', b'F', terminator]);
                let _ = modem.hang_up(port);
            }
            prop_assert_eq!(modem.receive(port, b"ATE0\rAT\r").for_port(port), b"ATE0\r\r\nOK\r\n\r\nOK\r\n");
        }
    }
}

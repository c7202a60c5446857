//! Access rules (TS 102 221 §9.2): what EF.ARR says about an operation, held against the PINs that are verified.

use rsp::tlv::{Reader, Tlv};

use super::files::Files;
use super::image::FileRef;

/// What is done to a file. Its bits are those of the access mode byte of an EF (TS 102 221 §9.2.3, ISO 7816-4 §5.4.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Read,
    Update,
    Deactivate,
    Activate,
    /// By its instruction byte; it has no bit.
    Instruction(u8),
}

impl Operation {
    fn is_in(self, mode: u32, value: &[u8]) -> bool {
        const ACCESS_MODE_BYTE: u32 = 0x80;
        const INSTRUCTIONS: u32 = 0x84;
        let bit = match self {
            Operation::Read => 0x01,
            Operation::Update => 0x02,
            Operation::Deactivate => 0x08,
            Operation::Activate => 0x10,
            Operation::Instruction(ins) => return mode == INSTRUCTIONS && value.contains(&ins),
        };
        mode == ACCESS_MODE_BYTE && matches!(value, [byte] if byte & bit != 0)
    }
}

/// The deepest nesting of conditions that is read.
const DEEPEST: u8 = 4;

/// Whether the rules allow the operation. What no rule names is never allowed (TS 102 221 §9.2.4).
pub(super) fn allows(rules: &[u8], operation: Operation, verified: &impl Fn(u8) -> bool) -> bool {
    let mut matches = false;
    for item in Reader::new(rules) {
        // Records are padded with FF.
        let Ok(item) = item else { return false };
        let tag = item.tag().0;
        if (0x80..=0x8F).contains(&tag) {
            matches |= operation.is_in(tag, item.value());
        } else if std::mem::take(&mut matches) && holds(&item, verified, 0) {
            return true;
        }
    }
    false
}

/// Whether a security condition is met (ISO 7816-4 §5.4.3.2).
fn holds(condition: &Tlv<'_>, verified: &impl Fn(u8) -> bool, depth: u8) -> bool {
    const ALWAYS: u32 = 0x90;
    const KEY: u32 = 0xA4;
    const ANY_OF: u32 = 0xA0;
    const ALL_OF: u32 = 0xAF;
    if depth > DEEPEST {
        return false;
    }
    let inner = || condition.reader();
    match condition.tag().0 {
        ALWAYS => true,
        KEY => match inner().optional(0x83) {
            Ok(Some(key)) => matches!(key.value(), [key] if verified(*key)),
            _ => false,
        },
        ANY_OF => inner().any(|item| item.is_ok_and(|item| holds(&item, verified, depth + 1))),
        ALL_OF => !inner().is_empty() && inner().all(|item| item.is_ok_and(|item| holds(&item, verified, depth + 1))),
        // 97 is never; the others ask for secure messaging, which the card does not have.
        _ => false,
    }
}

impl Files {
    /// Whether there is anybody who may carry out an operation on a file: no rule says never.
    pub(super) fn somebody_may(&self, file: FileRef, operation: Operation) -> bool {
        self.rules(file).is_some_and(|rules| allows(rules, operation, &|_| true))
    }

    /// Whether an operation on a file is allowed with what is verified now.
    pub(super) fn may(&self, file: FileRef, operation: Operation, verified: &impl Fn(usize) -> bool) -> bool {
        let (image, parent) = (self.image(), self.image().file(file).parent);
        let Some(rules) = self.rules(file) else { return false };
        allows(rules, operation, &|key| {
            // TS 102 221 §9.5.1: what a disabled PIN protects is open.
            image.pin(parent, key).is_some_and(|pin| !self.pin(pin).enabled || verified(pin))
        })
    }

    /// The record of an EF.ARR that a file names.
    fn rules(&self, file: FileRef) -> Option<&[u8]> {
        let image = self.image();
        let (arr, record) = image.file(file).access;
        // TS 102 221 §9.2.7: the EF.ARR of the directory, or of one around it.
        let mut around = image.ancestry(image.file(file).parent);
        let rules = around.find_map(|directory| image.child(directory, arr))?;
        self.record(rules, usize::from(record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rsp::ids::from_hex;

    fn allowed(rules: &str, operation: Operation, keys: &[u8]) -> bool {
        allows(&from_hex(rules).unwrap(), operation, &|key| keys.contains(&key))
    }

    #[test]
    fn rules_of_ts_48() {
        // proves: USIM - access conditions
        use Operation::*;
        // Read always, update PIN1, the rest ADM, RESIZE FILE ADM.
        let rules = "8001019000800102A4068301019501088401D4A40683010A950108800158A40683010A950108FFFF";
        assert!(allowed(rules, Read, &[]));
        assert!(!allowed(rules, Update, &[]));
        assert!(allowed(rules, Update, &[1]));
        assert!(!allowed(rules, Activate, &[1]));
        assert!(allowed(rules, Deactivate, &[10]));
        assert!(allowed(rules, Instruction(0xD4), &[10]));
        assert!(!allowed(rules, Instruction(0x32), &[1, 10]));
    }

    #[test]
    fn conditions_in_conditions() {
        // proves: USIM - access conditions
        use Operation::Read;
        let any = "800101A00AA403830101A403830102";
        assert!(!allowed(any, Read, &[]) && allowed(any, Read, &[2]));
        let all = "800101AF0AA403830101A403830102";
        assert!(!allowed(all, Read, &[2]) && allowed(all, Read, &[1, 2]));
        assert!(!allowed("8001019700", Read, &[1]));
        assert!(!allowed("800101B400", Read, &[1]));
        // One condition for two access modes, and one that comes without any.
        assert!(allowed("8001028001019000", Read, &[]));
        assert!(!allowed("9000", Read, &[]));
        assert!(!allowed("8001029000 A403830101".replace(' ', "").as_str(), Read, &[1]));
    }

    proptest! {
        #[test]
        fn no_rules_panic(rules in proptest::collection::vec(any::<u8>(), 0..60)) {
            // proves: Robust - no panic on any input
            allows(&rules, Operation::Read, &|_| true);
        }
    }
}

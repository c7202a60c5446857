//! The files of a card on which no profile is enabled: the MF alone, as eUICCs in the field.

use rsp::tlv::Writer;

use crate::apdu::Sw;

/// File identifier of the MF.
const MF: u16 = 0x3F00;

/// What SELECT by file identifier or path finds (TS 102 221 §11.1.1): the MF, or nothing.
pub(crate) fn find(p1: u8, data: &[u8]) -> Result<(), Sw> {
    if !data.len().is_multiple_of(2) {
        return Err(Sw::WRONG_LENGTH);
    }
    match (p1, data) {
        // No data names the MF; its parent is itself.
        (0x00 | 0x03, []) => Ok(()),
        (0x00 | 0x08, id) if *id == MF.to_be_bytes() => Ok(()),
        (0x00, [_, _]) | (0x01 | 0x08 | 0x09, _) => Err(Sw::NOT_FOUND),
        (0x00 | 0x03, _) => Err(Sw::WRONG_LENGTH),
        _ => Err(Sw::WRONG_P1_P2),
    }
}

/// The file control parameters of the MF (TS 102 221 §11.1.1.3).
pub(crate) fn control_parameters(free_memory: u32) -> Vec<u8> {
    Writer::new()
        .nested(0x62, |w| {
            w.put(0x82, &[0x78, 0x21])
                .put(0x83, &MF.to_be_bytes())
                // UICC characteristics, free memory, TERMINAL CAPABILITY supported.
                .nested(0xA5, |w| w.put(0x80, &[0x71]).put(0x83, &free_memory.to_be_bytes()).put(0x87, &[0x01]))
                .put(0x8A, &[0x05])
                .put(0x8B, &[0x2F, 0x06, 0x01])
                // PIN status: the administrative key 0A is the only one.
                .nested(0xC6, |w| w.put(0x90, &[0x80]).put(0x83, &[0x0A]))
        })
        .into_vec()
}

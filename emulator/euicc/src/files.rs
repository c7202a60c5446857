//! The files of a card on which no profile is enabled: the MF alone, as eUICCs in the field, or EF_ICCID besides on
//! cards that tell a default number (TS 102 221 §13).

use rsp::Iccid;
use rsp::tlv::Writer;

use crate::apdu::Sw;

/// A file of the card itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum File {
    /// The MF.
    #[default]
    Mf,
    /// EF_ICCID.
    Iccid,
}

/// File identifier of the MF.
const MF: u16 = 0x3F00;
/// File identifier of EF_ICCID, and its short identifier (TS 102 221 §13.2).
const EF_ICCID: u16 = 0x2FE2;
pub(crate) const EF_ICCID_SHORT_ID: u8 = 0x02;
/// File identifier of the current application, for paths.
const CURRENT_APPLICATION: u16 = 0x7FFF;

/// What SELECT by file identifier or path names (TS 102 221 §11.1.1).
pub(crate) fn find(p1: u8, data: &[u8], default_iccid: Option<Iccid>) -> Result<File, Sw> {
    let path: Vec<u16> = match data.len() % 2 {
        0 => data.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect(),
        _ => return Err(Sw::WRONG_LENGTH),
    };
    let file = |id| match id {
        MF => Ok(File::Mf),
        EF_ICCID if default_iccid.is_some() => Ok(File::Iccid),
        _ => Err(Sw::NOT_FOUND),
    };
    match (p1, &path[..]) {
        // By identifier; no data names the MF.
        (0x00, []) => Ok(File::Mf),
        (0x00, [id]) => file(*id),
        // By path from the MF, which may be written out; from the current DF, which is the MF.
        (0x08, [MF, id] | [id]) => file(*id),
        (0x09, [id]) if *id != CURRENT_APPLICATION => file(*id),
        // The parent of the MF or of a file under it.
        (0x03, []) => Ok(File::Mf),
        (0x00 | 0x03, _) => Err(Sw::WRONG_LENGTH),
        (0x01 | 0x08 | 0x09, _) => Err(Sw::NOT_FOUND),
        _ => Err(Sw::WRONG_P1_P2),
    }
}

/// The file control parameters (TS 102 221 §11.1.1.3).
pub(crate) fn control_parameters(file: File, free_memory: u32) -> Vec<u8> {
    Writer::new()
        .nested(0x62, |w| match file {
            File::Mf => w
                .put(0x82, &[0x78, 0x21])
                .put(0x83, &MF.to_be_bytes())
                // UICC characteristics, free memory, TERMINAL CAPABILITY supported.
                .nested(0xA5, |w| w.put(0x80, &[0x71]).put(0x83, &free_memory.to_be_bytes()).put(0x87, &[0x01]))
                .put(0x8A, &[0x05])
                .put(0x8B, &[0x2F, 0x06, 0x01])
                // PIN status: the administrative key 0A is the only one.
                .nested(0xC6, |w| w.put(0x90, &[0x80]).put(0x83, &[0x0A])),
            File::Iccid => w
                .put(0x82, &[0x41, 0x21])
                .put(0x83, &EF_ICCID.to_be_bytes())
                .put(0x8A, &[0x05])
                .put(0x8B, &[0x2F, 0x06, 0x02])
                .put(0x80, &10u16.to_be_bytes())
                .put(0x88, &[EF_ICCID_SHORT_ID << 3]),
        })
        .into_vec()
}

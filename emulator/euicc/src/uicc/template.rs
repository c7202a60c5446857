//! The file structure templates of SAIP (annex A): what a file is like as long as its profile element does not say
//! otherwise.
//!
//! A template is the list of the fields of its profile element, in their order: field 2 comes after `PEHeader` and
//! the template's identifier. A directory in the list holds the files after it, up to the next directory; the first
//! directory is the one that the element is about.

use rsp::Oid;
use rsp::saip::Kind;

/// What a file holds as long as nobody has written to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fill {
    /// These bytes, the last of them again and again up to the end (TS 102 222, filling pattern).
    Head(&'static [u8]),
    /// These bytes again and again (TS 102 222, repeat pattern).
    Repeat(&'static [u8]),
    /// `FF`, and these bytes at the end.
    Tail(&'static [u8]),
}

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Mf,
    Df,
    Adf,
    Transparent { size: u16 },
    LinearFixed { records: u8, length: u8 },
    Cyclic { records: u8, length: u8 },
    BerTlv,
}

/// One file of a template. Sizes of 0 are given by the profile element.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    /// 0 where the profile element gives the identifier.
    pub(super) id: u16,
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    /// The record of EF.ARR.
    pub(super) rule: u8,
    pub(super) short_id: Option<u8>,
    pub(super) fill: Fill,
    /// Updated often: the special file information says so.
    pub(super) often: bool,
    /// The profile element has to describe it.
    pub(super) required: bool,
}

impl Entry {
    const fn short(mut self, id: u8) -> Self {
        self.short_id = Some(id);
        self
    }

    const fn fill(mut self, fill: &'static [u8]) -> Self {
        self.fill = Fill::Head(fill);
        self
    }

    const fn repeat(mut self, pattern: &'static [u8]) -> Self {
        self.fill = Fill::Repeat(pattern);
        self
    }

    const fn tail(mut self, end: &'static [u8]) -> Self {
        self.fill = Fill::Tail(end);
        self
    }

    const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    const fn often(mut self) -> Self {
        self.often = true;
        self
    }
}

const fn entry(id: u16, name: &'static str, shape: Shape, rule: u8) -> Entry {
    Entry { id, name, shape, rule, short_id: None, fill: Fill::Head(&[0xFF]), often: false, required: false }
}

const fn df(id: u16, name: &'static str) -> Entry {
    entry(id, name, Shape::Df, 14)
}

const fn tr(id: u16, name: &'static str, size: u16, rule: u8) -> Entry {
    entry(id, name, Shape::Transparent { size }, rule)
}

const fn lf(id: u16, name: &'static str, records: u8, length: u8, rule: u8) -> Entry {
    entry(id, name, Shape::LinearFixed { records, length }, rule)
}

const fn cy(id: u16, name: &'static str, records: u8, length: u8, rule: u8) -> Entry {
    entry(id, name, Shape::Cyclic { records, length }, rule).fill(&[0x00])
}

const fn bt(id: u16, name: &'static str, rule: u8) -> Entry {
    entry(id, name, Shape::BerTlv, rule)
}

/// A template.
#[derive(Debug, Clone, Copy)]
pub(super) struct Template {
    /// Its files, from field 2 of the profile element on.
    pub(super) files: &'static [Entry],
    /// Whether its files are made even where the profile element does not name them.
    pub(super) by_default: bool,
    /// Where its files are.
    pub(super) place: Place,
}

/// Where the files of a template are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The first file is the MF.
    Root,
    /// The first file is a directory under the MF.
    UnderMf,
    /// The first file is a new application.
    Application,
    /// The first file is a directory of the application of this kind.
    UnderApplication(Kind),
    /// All files are in the application of this kind.
    InApplication(Kind),
}

/// The number after 2.23.143.1.2, and the version after it.
fn number(oid: &Oid) -> Option<(u8, u8)> {
    match oid.as_der_content().strip_prefix(&[0x67, 0x81, 0x0F, 0x01, 0x02])? {
        [number] => Some((*number, 1)),
        [number, version] => Some((*number, *version)),
        _ => None,
    }
}

/// The template with this identifier, as far as a card of this major version of SAIP has it.
pub(super) fn find(oid: &Oid, major: u8) -> Option<(Kind, Template)> {
    let (number, version) = number(oid)?;
    // SAIP annex A: second and later versions of the templates came with version 3.
    let versions = match (number, major) {
        (3 | 4 | 9 | 10 | 11, 3..) => 2,
        (5, 3..) => 3,
        (13, 3..) => 4,
        _ => 1,
    };
    if !(1..=versions).contains(&version) {
        return None;
    }
    let (kind, files, by_default, place) = match number {
        1 => (Kind::Mf, MF, true, Place::Root),
        2 => (Kind::Cd, CD, false, Place::UnderMf),
        3 => (Kind::Telecom, TELECOM, false, Place::UnderMf),
        4 if version == 1 => (Kind::Usim, USIM, true, Place::Application),
        4 => (Kind::Usim, USIM_2, true, Place::Application),
        5 => (Kind::OptUsim, OPT_USIM, false, Place::InApplication(Kind::Usim)),
        6 => (Kind::Phonebook, PHONEBOOK, false, Place::UnderApplication(Kind::Usim)),
        7 => (Kind::GsmAccess, GSM_ACCESS, false, Place::UnderApplication(Kind::Usim)),
        8 => (Kind::Isim, ISIM, true, Place::Application),
        9 => (Kind::OptIsim, OPT_ISIM, false, Place::InApplication(Kind::Isim)),
        10 => (Kind::Csim, CSIM, true, Place::Application),
        11 => (Kind::OptCsim, OPT_CSIM, false, Place::InApplication(Kind::Csim)),
        12 => (Kind::Eap, EAP, false, Place::UnderMf),
        13 if version < 3 => (Kind::Df5gs, DF_5GS, false, Place::UnderApplication(Kind::Usim)),
        13 => (Kind::Df5gs, DF_5GS_3, false, Place::UnderApplication(Kind::Usim)),
        14 => (Kind::DfSaip, DF_SAIP, false, Place::UnderApplication(Kind::Usim)),
        _ => return None,
    };
    Some((kind, Template { files, by_default, place }))
}

/// Whether a card of this major version of SAIP has the template with this identifier.
pub(crate) fn knows(oid: &Oid, major: u8) -> bool {
    find(oid, major).is_some()
}

/// SAIP §9.2.
const MF: &[Entry] = &[
    entry(0x3F00, "MF", Shape::Mf, 14),
    tr(0x2F05, "EF.PL", 2, 1).short(0x05),
    tr(0x2FE2, "EF.ICCID", 10, 11).short(0x02).required(),
    lf(0x2F00, "EF.DIR", 0, 0, 10).short(0x1E).required(),
    lf(0x2F06, "EF.ARR", 0, 0, 10).short(0x06).required(),
    tr(0x2F08, "EF.UMPC", 5, 10).short(0x08),
];

/// SAIP §9.3.
const CD: &[Entry] = &[df(0x7F11, "DF.CD"), tr(0x6F01, "EF.LAUNCHPAD", 0, 2), tr(0x6F40, "EF.ICON", 0, 2)];

macro_rules! phonebook_files {
    () => {
        [
            lf(0x4F30, "EF.PBR", 0, 0, 2),
            lf(0x4F38, "EF.EXT1", 0, 13, 5).fill(&[0x00, 0xFF]),
            lf(0x4F40, "EF.AAS", 0, 0, 5),
            lf(0x4F48, "EF.GAS", 0, 0, 5),
            tr(0x4F22, "EF.PSC", 4, 5).fill(&[0x00]),
            tr(0x4F23, "EF.CC", 2, 5).fill(&[0x00]).often(),
            tr(0x4F24, "EF.PUID", 2, 5).fill(&[0x00]).often(),
            lf(0x4F50, "EF.IAP", 0, 0, 5),
            lf(0x4F58, "EF.ADN", 0, 0, 5),
            lf(0x4F60, "EF.PBC", 0, 2, 5).fill(&[0x00]),
            lf(0x4F68, "EF.ANR", 0, 0, 5),
            lf(0x4F70, "EF.PURI", 0, 0, 5),
            lf(0x4F78, "EF.EMAIL", 0, 0, 5),
            lf(0x4F80, "EF.SNE", 0, 0, 5),
            lf(0x4F88, "EF.UID", 0, 2, 5).fill(&[0x00]),
            lf(0x4F90, "EF.GRP", 0, 0, 5).fill(&[0x00]),
            lf(0x4F98, "EF.CCP1", 0, 0, 5),
        ]
    };
}

/// SAIP §9.4.
const TELECOM: &[Entry] = &{
    let [pbr, ext1, aas, gas, psc, cc, puid, iap, adn, pbc, anr, puri, email, sne, uid, grp, ccp1] = phonebook_files!();
    [
        df(0x7F10, "DF.TELECOM"),
        lf(0x6F06, "EF.ARR", 0, 0, 10),
        lf(0x6F53, "EF.RMA", 0, 0, 3),
        tr(0x6F54, "EF.SUME", 22, 3),
        lf(0x6FE0, "EF.ICE_DN", 50, 24, 9),
        lf(0x6FE1, "EF.ICE_FF", 0, 0, 9),
        lf(0x6FE5, "EF.PSISMSC", 0, 0, 5),
        df(0x5F50, "DF.GRAPHICS"),
        lf(0x4F20, "EF.IMG", 0, 0, 2).fill(&[0x00, 0xFF]),
        tr(0x4F40, "EF.IIDF", 0, 2),
        bt(0x4F21, "EF.ICE_GRAPHICS", 9),
        tr(0x4F01, "EF.LAUNCH_SCWS", 0, 10),
        tr(0x4F80, "EF.ICON", 0, 10),
        df(0x5F3A, "DF.PHONEBOOK"),
        pbr,
        ext1,
        aas,
        gas,
        psc,
        cc,
        puid,
        iap,
        adn,
        pbc,
        anr,
        puri,
        email,
        sne,
        uid,
        grp,
        ccp1,
        df(0x5F3B, "DF.MULTIMEDIA"),
        bt(0x4F47, "EF.MML", 5),
        bt(0x4F48, "EF.MMDF", 5),
        df(0x5F3C, "DF.MMSS"),
        tr(0x4F20, "EF.MLPL", 0, 2).short(0x01),
        tr(0x4F21, "EF.MSPL", 0, 2).short(0x02),
        tr(0x4F22, "EF.MMSSMODE", 1, 2).short(0x03),
        df(0x5F3D, "DF.MCS"),
        tr(0x4F01, "EF.MST", 0, 2).short(0x01),
        bt(0x4F02, "EF.MCS_CONFIG", 2).short(0x02),
        df(0x5F3E, "DF.V2X"),
        tr(0x4F01, "EF.VST", 0, 2).short(0x01),
        bt(0x4F02, "EF.V2X_CONFIG", 2).short(0x02),
        tr(0x4F03, "EF.V2XP_PC5", 0, 2),
        tr(0x4F04, "EF.V2XP_Uu", 0, 2),
    ]
};

macro_rules! usim_files {
    ($ust:literal) => {
        &[
            entry(0, "ADF.USIM", Shape::Adf, 14),
            tr(0x6F07, "EF.IMSI", 9, 2).short(0x07).required(),
            lf(0x6F06, "EF.ARR", 0, 0, 10).short(0x17).required(),
            tr(0x6F08, "EF.Keys", 33, 5).short(0x08).fill(&[0x07, 0xFF]).often(),
            tr(0x6F09, "EF.KeysPS", 33, 5).short(0x09).fill(&[0x07, 0xFF]).often(),
            tr(0x6F31, "EF.HPPLMN", 1, 2).short(0x12).fill(&[0x0A]),
            tr(0x6F38, "EF.UST", $ust, 2).short(0x04).required(),
            lf(0x6F3B, "EF.FDN", 20, 26, 8),
            lf(0x6F3C, "EF.SMS", 10, 176, 5).fill(&[0x00, 0xFF]),
            lf(0x6F42, "EF.SMSP", 1, 38, 5),
            tr(0x6F43, "EF.SMSS", 2, 5),
            tr(0x6F46, "EF.SPN", 17, 10).required(),
            tr(0x6F56, "EF.EST", 1, 8).short(0x05).required(),
            tr(0x6F5B, "EF.START-HFN", 6, 5).short(0x0F).fill(&[0xF0, 0x00, 0x00, 0xF0, 0x00, 0x00]).often(),
            tr(0x6F5C, "EF.THRESHOLD", 3, 2).short(0x10),
            tr(0x6F73, "EF.PSLOCI", 14, 5).short(0x0C).tail(&[0x00, 0x00, 0xFF, 0x01]).often(),
            tr(0x6F78, "EF.ACC", 2, 2).short(0x06).required(),
            tr(0x6F7B, "EF.FPLMN", 12, 5).short(0x0D),
            tr(0x6F7E, "EF.LOCI", 11, 5).short(0x0B).tail(&[0x00, 0x00, 0xFF, 0x01]).often(),
            tr(0x6FAD, "EF.AD", 4, 10).short(0x03).fill(&[0x00, 0x00, 0x00, 0x02]),
            lf(0x6FB7, "EF.ECC", 1, 4, 10).short(0x01).required(),
            tr(0x6FC4, "EF.NETPAR", 128, 5).often(),
            tr(0x6FE3, "EF.EPSLOCI", 18, 5).short(0x1E).tail(&[0x00, 0x00, 0x01]).often(),
            lf(0x6FE4, "EF.EPSNSC", 1, 80, 5).short(0x18).often(),
        ]
    };
}

/// SAIP §9.5.1, and its second version.
const USIM: &[Entry] = usim_files!(14);
const USIM_2: &[Entry] = usim_files!(17);

const NO_NETWORK: &[u8] = &[0xFF, 0xFF, 0xFF, 0x00, 0x00];

/// SAIP §9.5.2; what version 2.3 does not have comes at the end.
const OPT_USIM: &[Entry] = &[
    tr(0x6F05, "EF.LI", 6, 1).short(0x02),
    tr(0x6F37, "EF.ACMmax", 3, 5).fill(&[0x00]),
    cy(0x6F39, "EF.ACM", 1, 3, 7).often(),
    tr(0x6F3E, "EF.GID1", 8, 2),
    tr(0x6F3F, "EF.GID2", 8, 2),
    lf(0x6F40, "EF.MSISDN", 1, 24, 2),
    tr(0x6F41, "EF.PUCT", 5, 5).fill(NO_NETWORK),
    tr(0x6F45, "EF.CBMI", 10, 5),
    tr(0x6F48, "EF.CBMID", 10, 2).short(0x0E),
    lf(0x6F49, "EF.SDN", 10, 24, 2),
    lf(0x6F4B, "EF.EXT2", 10, 13, 8).fill(&[0x00, 0xFF]),
    lf(0x6F4C, "EF.EXT3", 10, 13, 2).fill(&[0x00, 0xFF]),
    tr(0x6F50, "EF.CBMIR", 20, 5),
    tr(0x6F60, "EF.PLMNwAcT", 40, 5).short(0x0A).repeat(NO_NETWORK),
    tr(0x6F61, "EF.OPLMNwAcT", 40, 2).short(0x11).repeat(NO_NETWORK),
    tr(0x6F62, "EF.HPLMNwAcT", 5, 2).short(0x13).repeat(NO_NETWORK),
    tr(0x6F2C, "EF.DCK", 16, 5),
    tr(0x6F32, "EF.CNL", 30, 2),
    lf(0x6F47, "EF.SMSR", 10, 30, 5).fill(&[0x00, 0xFF]),
    lf(0x6F4D, "EF.BDN", 10, 25, 8),
    lf(0x6F4E, "EF.EXT5", 10, 13, 5).fill(&[0x00, 0xFF]),
    lf(0x6F4F, "EF.CCP2", 5, 15, 5).short(0x16),
    lf(0x6F55, "EF.EXT4", 10, 13, 8).fill(&[0x00, 0xFF]),
    tr(0x6F57, "EF.ACL", 101, 8).fill(&[0x00, 0xFF]),
    lf(0x6F58, "EF.CMI", 10, 11, 2),
    cy(0x6F80, "EF.ICI", 20, 38, 5).short(0x14).tail(&[0x00, 0x00, 0x00, 0x00, 0x01, 0xFF, 0xFF]).often(),
    cy(0x6F81, "EF.OCI", 20, 37, 5).short(0x15).tail(&[0x00, 0x00, 0x00, 0x01, 0xFF, 0xFF]).often(),
    cy(0x6F82, "EF.ICT", 1, 3, 7).often(),
    cy(0x6F83, "EF.OCT", 1, 3, 7).often(),
    tr(0x6FB1, "EF.VGCS", 20, 2),
    tr(0x6FB2, "EF.VGCSS", 7, 5),
    tr(0x6FB3, "EF.VBS", 20, 2),
    tr(0x6FB4, "EF.VBSS", 7, 5),
    tr(0x6FB5, "EF.eMLPP", 2, 2),
    tr(0x6FB6, "EF.AaeM", 1, 5).fill(&[0x00]),
    tr(0x6FC3, "EF.HiddenKey", 4, 5),
    lf(0x6FC5, "EF.PNN", 10, 16, 10).short(0x19),
    lf(0x6FC6, "EF.OPL", 5, 8, 10).short(0x1A),
    lf(0x6FC7, "EF.MBDN", 3, 24, 5),
    lf(0x6FC8, "EF.EXT6", 10, 13, 5).fill(&[0x00, 0xFF]),
    lf(0x6FC9, "EF.MBI", 10, 5, 5),
    lf(0x6FCA, "EF.MWIS", 10, 6, 5).fill(&[0x00]).often(),
    lf(0x6FCB, "EF.CFIS", 10, 16, 5).fill(&[0x01, 0x00, 0xFF]),
    lf(0x6FCC, "EF.EXT7", 10, 13, 5).fill(&[0x00, 0xFF]),
    tr(0x6FCD, "EF.SPDI", 17, 2).short(0x1B),
    lf(0x6FCE, "EF.MMSN", 10, 6, 5).fill(&[0x00, 0x00, 0x00, 0xFF]),
    lf(0x6FCF, "EF.EXT8", 10, 13, 5).fill(&[0x00, 0xFF]),
    tr(0x6FD0, "EF.MMSICP", 100, 2),
    lf(0x6FD1, "EF.MMSUP", 0, 0, 5),
    tr(0x6FD2, "EF.MMSUCP", 100, 5),
    lf(0x6FD3, "EF.NIA", 5, 11, 2),
    tr(0x6FD4, "EF.VGCSCA", 0, 2).fill(&[0x00]),
    tr(0x6FD5, "EF.VBSCA", 0, 2).fill(&[0x00]),
    tr(0x6FD6, "EF.GBABP", 0, 5),
    lf(0x6FD7, "EF.MSK", 0, 0, 2).often(),
    lf(0x6FD8, "EF.MUK", 0, 0, 2),
    tr(0x6FD9, "EF.EHPLMN", 15, 2).short(0x1D),
    lf(0x6FDA, "EF.GBANL", 0, 0, 2),
    tr(0x6FDB, "EF.EHPLMNPI", 1, 2).fill(&[0x00]),
    tr(0x6FDC, "EF.LRPLMNSI", 1, 2).fill(&[0x00]),
    lf(0x6FDD, "EF.NAFKCA", 0, 0, 2),
    tr(0x6FDE, "EF.SPNI", 0, 10).fill(&[0x00, 0xFF]),
    lf(0x6FDF, "EF.PNNI", 0, 0, 10).fill(&[0x00, 0xFF]),
    lf(0x6FE2, "EF.NCP-IP", 0, 0, 2),
    tr(0x6FE6, "EF.UFC", 30, 10),
    tr(0x6FE8, "EF.NASCONFIG", 18, 2),
    lf(0x6FE7, "EF.UICCIARI", 0, 0, 2),
    tr(0x6FEC, "EF.PWS", 0, 10),
    lf(0x6FED, "EF.FDNURI", 0, 0, 8),
    lf(0x6FEE, "EF.BDNURI", 0, 0, 8),
    lf(0x6FEF, "EF.SDNURI", 0, 0, 2),
    lf(0x6FF0, "EF.IAL", 0, 0, 3),
    cy(0x6FF1, "EF.IPS", 0, 4, 10).fill(&[0xFF]).often(),
    lf(0x6FF2, "EF.IPD", 0, 0, 3).often(),
    tr(0x6FF3, "EF.ePDGId", 0, 2),
    tr(0x6FF4, "EF.ePDGSelection", 0, 2),
    tr(0x6FF5, "EF.ePDGIdEm", 0, 2),
    tr(0x6FF6, "EF.ePDGSelectionEm", 0, 2),
    tr(0x6FF7, "EF.FromPreferred", 1, 2).fill(&[0x00]),
    bt(0x6FF8, "EF.IMSConfigData", 2),
    tr(0x6FF9, "EF.3GPPPSDATAOFF", 4, 2),
    lf(0x6FFA, "EF.3GPPPSDATAOFFservicelist", 0, 0, 2),
    bt(0x6FFC, "EF.XCAPConfigData", 2),
    tr(0x6FFD, "EF.EARFCNList", 0, 10),
    bt(0x6FFE, "EF.MuDMiDConfigData", 2),
    tr(0x6F01, "EF.eAKA", 1, 3),
];

/// SAIP §9.5.3.
const PHONEBOOK: &[Entry] = &{
    let [pbr, ext1, aas, gas, psc, cc, puid, iap, adn, pbc, anr, puri, email, sne, uid, grp, ccp1] = phonebook_files!();
    [
        df(0x5F3A, "DF.PHONEBOOK"),
        pbr,
        ext1,
        aas,
        gas,
        psc,
        cc,
        puid,
        iap,
        adn,
        pbc,
        anr,
        puri,
        email,
        sne,
        uid,
        grp,
        ccp1,
    ]
};

/// SAIP §9.5.4.
const GSM_ACCESS: &[Entry] = &[
    df(0x5F3B, "DF.GSM-ACCESS"),
    tr(0x4F20, "EF.Kc", 9, 5).short(0x01).tail(&[0x07]).often(),
    tr(0x4F52, "EF.KcGPRS", 9, 5).short(0x02).tail(&[0x07]).often(),
    tr(0x4F63, "EF.CPBCCH", 10, 5).often(),
    tr(0x4F64, "EF.InvScan", 1, 2).fill(&[0x00]),
];

/// SAIP §9.5.11.
const DF_5GS: &[Entry] = &[
    df(0x5FC0, "DF.5GS"),
    tr(0x4F01, "EF.5GS3GPPLOCI", 20, 5).short(0x01).tail(&[0x00, 0x00, 0x00, 0x01]).often(),
    tr(0x4F02, "EF.5GSN3GPPLOCI", 20, 5).short(0x02).tail(&[0x00, 0x00, 0x00, 0x01]).often(),
    lf(0x4F03, "EF.5GS3GPPNSC", 1, 57, 5).short(0x03).often(),
    lf(0x4F04, "EF.5GSN3GPPNSC", 1, 57, 5).short(0x04).often(),
    tr(0x4F05, "EF.5GAUTHKEYS", 110, 5).short(0x05).often(),
    tr(0x4F06, "EF.UAC_AIC", 4, 2).short(0x06),
    tr(0x4F07, "EF.SUCI_Calc_Info", 0, 2).short(0x07),
    lf(0x4F08, "EF.OPL5G", 0, 10, 10).short(0x08),
    tr(0x4F09, "EF.SUPI_NAI", 0, 2).short(0x09),
    tr(0x4F0A, "EF.Routing_Indicator", 4, 2).short(0x0A).fill(&[0xF0, 0xFF]),
    bt(0x4F0B, "EF.URSP", 2),
    tr(0x4F0C, "EF.TN3GPPSNN", 1, 2).short(0x0C).fill(&[0x00]),
];

/// SAIP §9.5.11.3 and §9.5.11.4.
const DF_5GS_3: &[Entry] = &[
    df(0x5FC0, "DF.5GS"),
    tr(0x4F01, "EF.5GS3GPPLOCI", 20, 5).short(0x01).tail(&[0x00, 0x00, 0x00, 0x01]).often(),
    tr(0x4F02, "EF.5GSN3GPPLOCI", 20, 5).short(0x02).tail(&[0x00, 0x00, 0x00, 0x01]).often(),
    lf(0x4F03, "EF.5GS3GPPNSC", 2, 62, 5).short(0x03).often(),
    lf(0x4F04, "EF.5GSN3GPPNSC", 2, 62, 5).short(0x04).often(),
    tr(0x4F05, "EF.5GAUTHKEYS", 110, 5).short(0x05).often(),
    tr(0x4F06, "EF.UAC_AIC", 4, 2).short(0x06),
    tr(0x4F07, "EF.SUCI_Calc_Info", 0, 2).short(0x07),
    lf(0x4F08, "EF.OPL5G", 0, 10, 10).short(0x08),
    tr(0x4F09, "EF.SUPI_NAI", 0, 2).short(0x09),
    tr(0x4F0A, "EF.Routing_Indicator", 4, 2).short(0x0A).fill(&[0xF0, 0xFF, 0x00, 0x00]),
    bt(0x4F0B, "EF.URSP", 2),
    tr(0x4F0C, "EF.TN3GPPSNN", 1, 2).short(0x0C).fill(&[0x00]),
    tr(0x4F0D, "EF.CAG", 2, 2).short(0x0D),
    tr(0x4F0E, "EF.SOR-CMCI", 0, 2).short(0x0E),
    tr(0x4F0F, "EF.DRI", 7, 2).short(0x0F),
    tr(0x4F10, "EF.5GSEDRX", 2, 2).short(0x10),
    tr(0x4F11, "EF.5GNSWO_CONF", 1, 2).short(0x11),
    tr(0x4F15, "EF.MCHPPLMN", 1, 2).short(0x15),
    tr(0x4F16, "EF.KAUSF_DERIVATION", 1, 2).short(0x16),
];

/// SAIP §9.5.12.
const DF_SAIP: &[Entry] = &[df(0x5FD0, "DF.SAIP"), tr(0x4F01, "EF.SUCI_Calc_Info_USIM", 0, 3)];

/// SAIP §9.6.1.
const ISIM: &[Entry] = &[
    entry(0, "ADF.ISIM", Shape::Adf, 14),
    tr(0x6F02, "EF.IMPI", 0, 2).short(0x02).required(),
    lf(0x6F04, "EF.IMPU", 1, 0, 2).short(0x04).required(),
    tr(0x6F03, "EF.DOMAIN", 0, 2).short(0x05).required(),
    tr(0x6F07, "EF.IST", 14, 2).short(0x07).required(),
    tr(0x6FAD, "EF.AD", 3, 10).short(0x03).fill(&[0x00]),
    lf(0x6F06, "EF.ARR", 0, 0, 10).short(0x06).required(),
];

/// SAIP §9.6.2.
const OPT_ISIM: &[Entry] = &[
    lf(0x6F09, "EF.P-CSCF", 1, 0, 2),
    lf(0x6F3C, "EF.SMS", 10, 176, 5).fill(&[0x00, 0xFF]),
    lf(0x6F42, "EF.SMSP", 1, 38, 5),
    tr(0x6F43, "EF.SMSS", 2, 5),
    lf(0x6F47, "EF.SMSR", 10, 30, 5).fill(&[0x00, 0xFF]),
    tr(0x6FD5, "EF.GBABP", 0, 5),
    lf(0x6FD7, "EF.GBANL", 0, 0, 2),
    lf(0x6FDD, "EF.NAFKCA", 0, 0, 2),
    lf(0x6FE7, "EF.UICCIARI", 0, 0, 2),
    tr(0x6FF7, "EF.FromPreferred", 1, 2).fill(&[0x00]),
    bt(0x6FF8, "EF.IMSConfigData", 2),
    bt(0x6FFC, "EF.XCAPConfigData", 2),
    lf(0x6FFA, "EF.WebRTCURI", 0, 0, 2),
    bt(0x6FFE, "EF.MuDMiDConfigData", 2),
];

/// SAIP §9.7.1, files of 3GPP2 C.S0065.
const CSIM: &[Entry] = &[
    entry(0, "ADF.CSIM", Shape::Adf, 14),
    lf(0x6F06, "EF.ARR", 0, 0, 10),
    cy(0x6F21, "EF.COUNT", 1, 2, 5),
    tr(0x6F22, "EF.IMSI_M", 10, 2),
    tr(0x6F23, "EF.IMSI_T", 10, 2),
    tr(0x6F24, "EF.TMSI", 16, 5),
    tr(0x6F25, "EF.AH", 2, 2).fill(&[0x00]),
    tr(0x6F26, "EF.AOP", 1, 2),
    tr(0x6F27, "EF.ALOC", 7, 5).fill(&[0x00]),
    lf(0x6F28, "EF.CDMAHOME", 0, 5, 2),
    lf(0x6F29, "EF.ZNREGI", 0, 8, 5).fill(&[0x00]),
    tr(0x6F2A, "EF.SNREGI", 7, 5),
    tr(0x6F2B, "EF.DISTREGI", 8, 5).fill(&[0x00]),
    tr(0x6F2C, "EF.ACCOLC", 1, 2),
    tr(0x6F2D, "EF.TERM", 1, 2),
    tr(0x6F2F, "EF.ACP", 7, 2),
    tr(0x6F30, "EF.PRL", 0, 2),
    tr(0x6F31, "EF.RUIMID", 8, 2),
    tr(0x6F32, "EF.CSIM_ST", 0, 2),
    tr(0x6F33, "EF.SPC", 3, 2).fill(&[0x00]),
    tr(0x6F34, "EF.OTAPASPC", 1, 2),
    tr(0x6F35, "EF.NAMLOCK", 1, 2),
    tr(0x6F36, "EF.OTA", 17, 2),
    tr(0x6F37, "EF.SP", 1, 5),
    tr(0x6F38, "EF.ESN_MEID_ME", 8, 5).fill(&[0x00]),
    tr(0x6F3A, "EF.LI", 0, 2),
    tr(0x6F42, "EF.USGIND", 1, 2),
    tr(0x6F43, "EF.AD", 3, 10).fill(&[0x00]),
    tr(0x6F45, "EF.MAX_PRL", 4, 2),
    tr(0x6F46, "EF.SPCS", 1, 2),
    tr(0x6F55, "EF.MECRP", 3, 5).fill(&[0x00]),
    tr(0x6F70, "EF.HOME_TAG", 0, 2),
    tr(0x6F71, "EF.GROUP_TAG", 0, 2),
    tr(0x6F72, "EF.SPECIFIC_TAG", 0, 2),
    tr(0x6F73, "EF.CALL_PROMPT", 0, 2),
];

/// SAIP §9.7.2, files of 3GPP2 C.S0065.
const OPT_CSIM: &[Entry] = &[
    tr(0x6F2E, "EF.SSCI", 1, 5),
    lf(0x6F3B, "EF.FDN", 0, 0, 8),
    lf(0x6F3C, "EF.SMS", 0, 0, 5).fill(&[0x00, 0xFF]),
    lf(0x6F3D, "EF.SMSP", 0, 0, 5),
    tr(0x6F3E, "EF.SMSS", 5, 5),
    tr(0x6F3F, "EF.SSFC", 0, 2),
    tr(0x6F41, "EF.SPN", 35, 10),
    lf(0x6F44, "EF.MDN", 0, 11, 2),
    tr(0x6F47, "EF.ECC", 0, 10),
    tr(0x6F48, "EF.ME3GPDOPC", 1, 5),
    tr(0x6F49, "EF.3GPDOPM", 1, 5),
    tr(0x6F4A, "EF.SIPCAP", 4, 2),
    tr(0x6F4B, "EF.MIPCAP", 5, 2),
    tr(0x6F4C, "EF.SIPUPP", 0, 2),
    tr(0x6F4D, "EF.MIPUPP", 0, 2),
    tr(0x6F4E, "EF.SIPSP", 1, 5),
    tr(0x6F4F, "EF.MIPSP", 0, 5),
    tr(0x6F50, "EF.SIPPAPSS", 0, 5),
    tr(0x6F53, "EF.PUZL", 0, 2),
    tr(0x6F54, "EF.MAXPUZL", 5, 2),
    tr(0x6F56, "EF.HRPDCAP", 3, 2),
    tr(0x6F57, "EF.HRPDUPP", 0, 2),
    tr(0x6F58, "EF.CSSPR", 1, 2),
    tr(0x6F59, "EF.ATC", 1, 2),
    tr(0x6F5A, "EF.EPRL", 0, 2),
    tr(0x6F5B, "EF.BCSMSCFG", 1, 2),
    tr(0x6F5C, "EF.BCSMSPREF", 1, 5),
    lf(0x6F5D, "EF.BCSMSTABLE", 0, 0, 2),
    lf(0x6F5E, "EF.BCSMSP", 0, 2, 5),
    lf(0x6F63, "EF.BAKPARA", 0, 0, 5),
    lf(0x6F64, "EF.UPBAKPARA", 0, 0, 5),
    lf(0x6F65, "EF.MMSN", 0, 8, 5),
    lf(0x6F66, "EF.EXT8", 0, 13, 5).fill(&[0x00, 0xFF]),
    tr(0x6F67, "EF.MMSICP", 0, 2),
    lf(0x6F68, "EF.MMSUP", 0, 0, 5),
    tr(0x6F69, "EF.MMSUCP", 0, 5),
    tr(0x6F6A, "EF.AuthCapability", 0, 2),
    tr(0x6F6B, "EF.3GCIK", 32, 2),
    tr(0x6F6C, "EF.DCK", 20, 5),
    tr(0x6F6D, "EF.GID1", 0, 2),
    tr(0x6F6E, "EF.GID2", 0, 2),
    tr(0x6F6F, "EF.CDMACNL", 0, 2),
    tr(0x6F74, "EF.SF_EUIMID", 7, 2),
    tr(0x6F75, "EF.EST", 1, 8),
    tr(0x6F76, "EF.HiddenKey", 4, 5),
    tr(0x6F77, "EF.LCSVER", 2, 2),
    tr(0x6F78, "EF.LCSCP", 0, 2),
    lf(0x6F79, "EF.SDN", 0, 0, 2),
    lf(0x6F7A, "EF.EXT2", 0, 13, 8).fill(&[0x00, 0xFF]),
    lf(0x6F7B, "EF.EXT3", 0, 13, 2).fill(&[0x00, 0xFF]),
    cy(0x6F7C, "EF.ICI", 0, 0, 5),
    cy(0x6F7D, "EF.OCI", 0, 0, 5),
    lf(0x6F7E, "EF.EXT5", 0, 13, 5).fill(&[0x00, 0xFF]),
    lf(0x6F7F, "EF.CCP2", 0, 0, 5),
    tr(0x6F80, "EF.AppLabels", 0, 2),
    tr(0x6F81, "EF.Model", 126, 5),
    tr(0x6F82, "EF.RC", 0, 2),
    tr(0x6F83, "EF.SMSCAP", 4, 2),
    tr(0x6F84, "EF.MIPFlags", 1, 2),
    tr(0x6F85, "EF.3GPDUPPExt", 0, 2),
    tr(0x6F86, "EF.IPv6CAP", 21, 2),
    tr(0x6F87, "EF.TCPConfig", 2, 2),
    tr(0x6F88, "EF.DGC", 3, 2),
    tr(0x6F89, "EF.WAPBrowserCP", 0, 2),
    tr(0x6F8A, "EF.WAPBrowserBM", 0, 2),
    tr(0x6F8B, "EF.MMSConfig", 8, 2),
    tr(0x6F8C, "EF.JDL", 0, 2),
];

/// SAIP §9.8.
const EAP: &[Entry] = &[
    df(0, "DF.EAP"),
    tr(0x4F01, "EF.EAPKEYS", 0, 2).often(),
    tr(0x4F02, "EF.EAPSTATUS", 1, 2).fill(&[0x00]).often(),
    tr(0x4F03, "EF.PUId", 0, 2),
    tr(0x4F04, "EF.Ps", 0, 5).often(),
    tr(0x4F20, "EF.CurID", 0, 5).often(),
    tr(0x4F21, "EF.ReID", 0, 5),
    tr(0x4F22, "EF.Realm", 0, 5),
];

/// The name of a file of the templates, by its identifier and that of the directory it is in; `application` is the
/// kind of the application around it.
pub(super) fn name(id: u16, directory: Option<u16>, application: Option<Kind>) -> Option<&'static str> {
    let lists: &[&[Entry]] = match application {
        Some(Kind::Usim) => &[USIM, OPT_USIM, PHONEBOOK, GSM_ACCESS, DF_5GS_3, DF_SAIP],
        Some(Kind::Isim) => &[ISIM, OPT_ISIM],
        Some(_) => &[CSIM, OPT_CSIM],
        None => &[MF, TELECOM, CD],
    };
    let mut found = None;
    for list in lists {
        let mut inside = None;
        for entry in *list {
            match entry.shape {
                Shape::Df if entry.id == id => found = found.or(Some(entry.name)),
                Shape::Df => inside = Some(entry.id),
                Shape::Mf | Shape::Adf => inside = None,
                _ if entry.id == id && inside == directory => return Some(entry.name),
                _ => {}
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_stand_where_the_specification_has_them() {
        // SAIP annex D: the number of a field counts from PEHeader, 0.
        let field = |files: &[Entry], name: &str| files.iter().position(|entry| entry.name == name).unwrap() + 2;
        assert_eq!(field(MF, "EF.UMPC"), 7);
        assert_eq!(field(TELECOM, "DF.MMSS"), 36);
        assert_eq!(field(USIM, "EF.EPSNSC"), 25);
        assert_eq!(field(OPT_USIM, "EF.SPDI"), 46);
        assert_eq!(field(OPT_USIM, "EF.SDNURI"), 72);
        assert_eq!(field(OPT_USIM, "EF.eAKA"), 87);
        assert_eq!(field(DF_5GS, "EF.TN3GPPSNN"), 14);
        assert_eq!(field(CSIM, "EF.CALL_PROMPT"), 36);
        assert_eq!(field(OPT_CSIM, "EF.JDL"), 68);
    }

    #[test]
    fn versions_of_the_templates() {
        let find = |oid: &str, major| find(&Oid::parse(oid).unwrap(), major).map(|(kind, _)| kind);
        assert_eq!(find("2.23.143.1.2.4", 2), Some(Kind::Usim));
        assert_eq!(find("2.23.143.1.2.4.2", 2), None);
        assert_eq!(find("2.23.143.1.2.4.2", 3), Some(Kind::Usim));
        assert_eq!(find("2.23.143.1.2.13.4", 3), Some(Kind::Df5gs));
        assert_eq!(find("2.23.143.1.2.16", 3), None);
        assert_eq!(find("2.23.143.1.3.1", 3), None);
    }

    #[test]
    fn names() {
        assert_eq!(name(0x6F07, None, Some(Kind::Usim)), Some("EF.IMSI"));
        assert_eq!(name(0x6F07, None, Some(Kind::Isim)), Some("EF.IST"));
        assert_eq!(name(0x4F20, Some(0x5F3B), Some(Kind::Usim)), Some("EF.Kc"));
        assert_eq!(name(0x4F20, Some(0x5F50), None), Some("EF.IMG"));
        assert_eq!(name(0x2FE2, None, None), Some("EF.ICCID"));
        assert_eq!(name(0x5FC0, None, Some(Kind::Usim)), Some("DF.5GS"));
        assert_eq!(name(0x6F99, None, None), None);
    }
}

//! `CONFORMANCE.md`, made from the tests: each says in a line `// proves: ...` which requirements and which result
//! codes it proves. Here is the list of what there is to be proved, and the reason for what is left out. The file is
//! compared with what the tests say; `UPDATE_CONFORMANCE=1 cargo test -p euicc conformance` writes it anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// What is to be proved: its name in the tests, the family of SGP.23 §4.2 and §5.2 when it has one, what it asks for.
const REQUIREMENTS: &[(&str, &str, &str)] = &[
    (
        "EUICC.AtrAndIsdrSelection",
        "TC_eUICC_ATR_And_ISDR_Selection",
        "answer to reset, SELECT of the ISD-R and its FCI",
    ),
    ("ES6.UpdateMetadata", "4.2.2", "names, icon and policy rules changed by the operator (SGP.22 §5.4.1)"),
    (
        "ES8+.InitialiseSecureChannel",
        "4.2.3",
        "signature, transaction id, remote operation, control reference template, keys (§5.5.1)",
    ),
    ("ES8+.ConfigureISDP", "4.2.4", "the ISD-P and its SM-DP+ (§5.5.2)"),
    ("ES8+.StoreMetadata", "4.2.5", "metadata and the card's rules for them (§5.5.3)"),
    ("ES8+.ReplaceSessionKeys", "4.2.6", "the keys of a protected profile package (§5.5.4)"),
    ("ES8+.LoadProfileElements", "4.2.7", "the profile elements, each with its EUICCResponse (§5.5.5)"),
    ("ES10a.GetEuiccConfiguredAddresses", "4.2.8", "default SM-DP+ and root SM-DS (§5.7.3)"),
    ("ES10a.SetDefaultDpAddress", "4.2.9", "the default SM-DP+ address (§5.7.4)"),
    ("ES10b.PrepareDownload", "4.2.10", "CERT.DPpb, smdpSignature2, one-time keys, confirmation code (§5.7.5)"),
    ("ES10b.LoadBoundProfilePackage", "4.2.11", "order, size and authenticity of every segment; the result (§5.7.6)"),
    ("ES10b.GetEUICCChallenge", "4.2.12", "a challenge that serves once (§5.7.7)"),
    ("ES10b.GetEUICCInfo", "4.2.13", "EUICCInfo1 and EUICCInfo2 (§5.7.8)"),
    ("ES10b.ListNotification", "4.2.14", "by event (§5.7.9)"),
    ("ES10b.RetrieveNotificationsList", "4.2.15", "by number and event (§5.7.10)"),
    ("ES10b.RemoveNotificationFromList", "4.2.16", "once (§5.7.11)"),
    (
        "ES10b.LoadCRL",
        "4.2.17",
        "certificate revocation lists, in parts and as changes; whom they name is refused (§4.6, §5.7.12)",
    ),
    ("ES10b.AuthenticateServer", "4.2.18", "CERT.DPauth and CERT.DSauth, serverSignature1, challenge (§5.7.13)"),
    ("ES10b.CancelSession", "4.2.19", "signed, and once (§5.7.14)"),
    ("ES10c.GetProfilesInfo", "4.2.20", "every search criterion and tag list (§5.7.15)"),
    ("ES10c.EnableProfile", "4.2.21", "by ICCID and AID, implicit disable, refreshFlag (§5.7.16)"),
    ("ES10c.DisableProfile", "4.2.22", "by ICCID and AID, refreshFlag (§5.7.17)"),
    ("ES10c.DeleteProfile", "4.2.23", "by ICCID and AID (§5.7.18)"),
    ("ES10c.eUICCMemoryReset", "4.2.24", "each option (§5.7.19)"),
    ("ES10c.GetEID", "4.2.25", "the EID (§5.7.20)"),
    ("ES10c.SetNickname", "4.2.26", "set, changed, removed (§5.7.21)"),
    ("ES10b.GetRAT", "4.2.27", "the rules authorisation table (§5.7.22)"),
    ("EUICC.Procedures", "5.2.1 - 5.2.7", "the functions in any order, beside a model of the card"),
    ("EUICC.Refresh", "5.2", "REFRESH: 91xx, FETCH, TERMINAL RESPONSE, reset, and the state in between (§3.2)"),
    ("EUICC.Notifications", "5.2", "each event to each recipient, order and numbers (§3.5)"),
    ("EUICC.ProfilePolicyRules", "5.2", "PPR1 and PPR2 are enforced, and lifted by the operator only (§2.9.3)"),
    ("EUICC.RulesAuthorisationTable", "5.2", "which rules a profile may bring (§2.9.2)"),
    ("EUICC.TestProfiles", "5.2", "test profiles: keys, and what comes back after them (§2.4.5.4, §3.2)"),
    ("EUICC.Transport", "", "class bytes, channels, STORE DATA, GET RESPONSE, status words (TS 102 221, §5.7.2)"),
    (
        "USIM - profile elements are executed",
        "",
        "files by template, one by one and by link, PINs, keys; security domains, applications and RFM are kept (SAIP §8, annex A)",
    ),
    ("USIM - what cannot be executed", "", "the status of the EUICCResponse that ends the installation (SAIP annex D)"),
    (
        "USIM - selection",
        "",
        "by identifier, path, parent, name and part of a name, on any channel; what comes back (TS 102 221 §8.4, §8.5, §11.1.1, §11.1.2)",
    ),
    (
        "USIM - files",
        "",
        "reading, updating, searching, increasing, activating and deactivating (TS 102 221 §11.1.3 to §11.1.8, §11.1.14, §11.1.15); objects of BER-TLV files in blocks (§11.3)",
    ),
    ("USIM - access conditions", "", "the rules in EF.ARR (TS 102 221 §9.2)"),
    (
        "USIM - PINs",
        "",
        "verify, change, disable, enable, unblock, and the tries left (TS 102 221 §9.5, §11.1.9 to §11.1.13)",
    ),
    (
        "USIM - authentication",
        "",
        "3G, GSM and GBA context, Milenage, TUAK, the test algorithm, resynchronisation (TS 31.102 §7.1, TS 33.102, TS 33.220, TS 35.208, TS 35.232, TS 34.108)",
    ),
    ("USIM - identity", "", "GET IDENTITY (TS 31.102 §7.5, TS 33.501 annex C)"),
    (
        "USIM - over the air",
        "",
        "secured packets in short messages: keys, checks, ciphering, counters, parts, responses; commands on files and for the operator's security domain (TS 31.115, TS 102 225, TS 102 226)",
    ),
    ("USIM - what changes is kept", "", "per profile, over resets, and while it is disabled"),
    ("Cards as data - one TOML file, every built-in card", "", "a card is described by a file"),
    ("Cards as data - everything a card tells of itself", "", "versions, capabilities, memory, keys, numbers"),
    ("Cards as data - a plain USIM", "", "a card that is no eUICC"),
    ("Cards as data - quirk 14", "", "the ISD-R is hidden until TERMINAL CAPABILITY"),
    ("Cards as data - quirk 17", "", "no data without Le"),
    ("Cards as data - quirk 18", "", "switches in one form only"),
    ("Cards as data - quirk 19", "", "another AID of the ISD-R"),
    ("Cards as data - quirk 20", "", "6601 for long blocks"),
    ("Cards as data - quirk 22", "", "6985 until the reset"),
    ("Cards as data - quirk 23", "", "catBusy until the reset"),
    ("Cards as data - quirks 32 and 40", "", "a card without profile: no files, or a default ICCID"),
    ("Durable - everything that is kept is the same after power off, and counters go on", "", ""),
    ("Durable - state lives in one redb file", "", ""),
    (
        "Durable - after a cut at any write the card is as before or as after, and what the host was told is true",
        "",
        "",
    ),
    ("Durable - what cannot be kept is not confirmed", "", ""),
    ("Durable - a store of another version, card or program is refused with words", "", ""),
    ("Durable - a damaged store is refused and not overwritten", "", ""),
    (
        "Robust - no panic on any input",
        "",
        "random APDUs, commands and packages; the fuzz targets in `fuzz/` go further",
    ),
    ("Robust - every wrong bit has its failure", "", "certificates, signatures, segments"),
    ("Robust - lengths, nesting and chains are bounded", "", ""),
    ("Robust - no key in Debug output", "", ""),
    (
        "Robust - keys are wiped on delete",
        "",
        "neither in the memory of the card's process nor in its file, once the profile is gone or has not been installed",
    ),
    ("Data - SGP.26 certificates and keys", "", "both curves"),
    ("Data - TS.48 profile packages", "", "both install"),
    ("Data - the recorded session", "", "decrypts to its profile package and metadata"),
    ("Real cards - traces", "", "the same commands, see below"),
];

/// Result codes: the function or type, its code, its name in the specification.
const CODES: &[(&str, u32, &str)] = &[
    ("ES10a.SetDefaultDpAddress", 0, "ok"),
    ("ES10b.PrepareDownload", 1, "invalidCertificate"),
    ("ES10b.PrepareDownload", 2, "invalidSignature"),
    ("ES10b.PrepareDownload", 3, "unsupportedCurve"),
    ("ES10b.PrepareDownload", 4, "noSessionContext"),
    ("ES10b.PrepareDownload", 5, "invalidTransactionId"),
    ("ES10b.PrepareDownload", 127, "undefinedError"),
    ("ES10b.AuthenticateServer", 1, "invalidCertificate"),
    ("ES10b.AuthenticateServer", 2, "invalidSignature"),
    ("ES10b.AuthenticateServer", 3, "unsupportedCurve"),
    ("ES10b.AuthenticateServer", 4, "noSessionContext"),
    ("ES10b.AuthenticateServer", 5, "invalidOid"),
    ("ES10b.AuthenticateServer", 6, "euiccChallengeMismatch"),
    ("ES10b.AuthenticateServer", 7, "ciPKUnknown"),
    ("ES10b.LoadCRL", 1, "invalidSignature"),
    ("ES10b.LoadCRL", 2, "invalidCRLFormat"),
    ("ES10b.LoadCRL", 3, "notEnoughMemorySpace"),
    ("ES10b.LoadCRL", 4, "verificationKeyNotFound"),
    ("ES10b.LoadCRL", 5, "fresherCrlAlreadyLoaded"),
    ("ES10b.LoadCRL", 6, "baseCrlMissing"),
    ("ES10b.CancelSession", 0, "ok"),
    ("ES10b.CancelSession", 5, "invalidTransactionId"),
    ("ES10b.RemoveNotificationFromList", 0, "ok"),
    ("ES10b.RemoveNotificationFromList", 1, "nothingToDelete"),
    ("ES10c.GetProfilesInfo", 1, "incorrectInputValues"),
    ("ES10c.EnableProfile", 0, "ok"),
    ("ES10c.EnableProfile", 1, "iccidOrAidNotFound"),
    ("ES10c.EnableProfile", 2, "profileNotInDisabledState"),
    ("ES10c.EnableProfile", 3, "disallowedByPolicy"),
    ("ES10c.EnableProfile", 4, "wrongProfileReenabling"),
    ("ES10c.EnableProfile", 5, "catBusy"),
    ("ES10c.EnableProfile", 127, "undefinedError"),
    ("ES10c.DisableProfile", 0, "ok"),
    ("ES10c.DisableProfile", 1, "iccidOrAidNotFound"),
    ("ES10c.DisableProfile", 2, "profileNotInEnabledState"),
    ("ES10c.DisableProfile", 3, "disallowedByPolicy"),
    ("ES10c.DisableProfile", 5, "catBusy"),
    ("ES10c.DisableProfile", 127, "undefinedError"),
    ("ES10c.DeleteProfile", 0, "ok"),
    ("ES10c.DeleteProfile", 1, "iccidOrAidNotFound"),
    ("ES10c.DeleteProfile", 2, "profileNotInDisabledState"),
    ("ES10c.DeleteProfile", 3, "disallowedByPolicy"),
    ("ES10c.eUICCMemoryReset", 0, "ok"),
    ("ES10c.eUICCMemoryReset", 1, "nothingToDelete"),
    ("ES10c.eUICCMemoryReset", 5, "catBusy"),
    ("ES10c.SetNickname", 0, "ok"),
    ("ES10c.SetNickname", 1, "iccidNotFound"),
    ("ES10c.SetNickname", 127, "undefinedError"),
    ("BppCommandId", 0, "initialiseSecureChannel"),
    ("BppCommandId", 1, "configureISDP"),
    ("BppCommandId", 2, "storeMetadata"),
    ("BppCommandId", 4, "replaceSessionKeys"),
    ("BppCommandId", 5, "loadProfileElements"),
    ("ErrorReason", 1, "incorrectInputValues"),
    ("ErrorReason", 2, "invalidSignature"),
    ("ErrorReason", 3, "invalidTransactionId"),
    ("ErrorReason", 4, "unsupportedCrtValues"),
    ("ErrorReason", 5, "unsupportedRemoteOperationType"),
    ("ErrorReason", 6, "unsupportedProfileClass"),
    ("ErrorReason", 7, "scp03tStructureError"),
    ("ErrorReason", 8, "scp03tSecurityError"),
    ("ErrorReason", 9, "installFailedDueToIccidAlreadyExistsOnEuicc"),
    ("ErrorReason", 10, "installFailedDueToInsufficientMemoryForProfile"),
    ("ErrorReason", 11, "installFailedDueToInterruption"),
    ("ErrorReason", 12, "installFailedDueToPEProcessingError"),
    ("ErrorReason", 13, "installFailedDueToDataMismatch"),
    ("ErrorReason", 14, "testProfileInstallFailedDueToInvalidNaaKey"),
    ("ErrorReason", 15, "pprNotAllowed"),
];

/// What is not there, and why.
const LEFT_OUT: &[(&str, &str)] = &[
    ("ES10b.LoadRPM and all of RPM (4.2.28)", "SGP.22 v3; the card is one of v2.5"),
    ("LPAe, LpaeActivation (§5.10)", "the card has no LPA of its own and says so: notSupported"),
    (
        "undefinedError of AuthenticateServer, CancelSession, DeleteProfile, eUICCMemoryReset, ListNotification, LoadCRL, RetrieveNotificationsList, RemoveNotificationFromList and SetDefaultDpAddress",
        "nothing leads to it: a command that cannot be read is answered by 6A80, a memory that fails by 6581",
    ),
    ("BppCommandId 3, storeMetadata2", "a package of v2.5 has one StoreMetadata"),
    ("ErrorReason 127, installFailedDueToUnknownError", "reached only when OpenSSL itself fails"),
    ("ErrorReason 17 to 32", "of SGP.22 v3 and SGP.32"),
    (
        "serviceSpecificDataStoredInEuicc (BF22) in metadata and profile information",
        "the card does not set serviceSpecificDataSupport; the element is passed over",
    ),
    (
        "SCP81, CAT_TP and BIP under remote management",
        "secured packets come in short messages (SCP80); digital signatures in them are answered by status 06",
    ),
    (
        "MBMS, VGCS, local key and HTTP Digest contexts of AUTHENTICATE, CAVE",
        "answered by 9864; the parameters of CDMA are kept as a record. Their services are taken out of EF.UST and EF.IST",
    ),
    (
        "EF.GBANL (TS 31.102 §4.2.74)",
        "the card does not write the list of functions for which it has derived keys; the terminal may",
    ),
    (
        "the universal PIN and its replacement (TS 102 221 §9.4.1)",
        "SAIP has no key reference for it (annex D, PINKeyReferenceValue), so no profile can bring one; answered by 6A86",
    ),
    (
        "applets, and what a security domain manages",
        "kept as records and shown by `esimlab profile show`; there is no runtime behind them. The domain's keys open secured packets, and ES6 goes through it; GET STATUS, LOAD, DELETE and PUT KEY are answered by 6D00",
    ),
    (
        "access domains of remote file management but 00",
        "taken as FF, no access beyond what is always allowed: no profile package of the field has another",
    ),
    (
        "sqnAgeLimit and the bits of sqnOptions but 02",
        "the public sources do not say what the bits mean; 02 is the protection against wrap around, which is there",
    ),
    (
        "comparison of secrets in constant time",
        "by construction: challenges and MACs are compared by OpenSSL's CRYPTO_memcmp",
    ),
    (
        "a failed memory",
        "a card whose store cannot be written answers 6581 until it is opened anew; a real one may recover",
    ),
];

/// What the card does where the public sources leave it open.
const CHOICES: &[(&str, &str)] = &[
    (
        "A terminal that has not told of REFRESH in its TERMINAL PROFILE",
        "has a switch with refreshFlag at once, answered by 9000: TS 102 223 §5.2 forbids to send it the command, and nothing else would complete the switch",
    ),
    ("TERMINAL RESPONSE 2X to REFRESH", "the command is announced again"),
    ("TERMINAL RESPONSE 1X or 3X to REFRESH", "the marks are taken back, the profiles stay as they were"),
    (
        "While a switch is marked",
        "another switch and a memory reset are answered by catBusy, deletion of a profile in it by profileNotInDisabledState; everything else works",
    ),
    (
        "Events of test profiles",
        "are notified as their metadata want it; SGP.22 v3.1 §2.4.5.3 forbids it, and no public source tells it of v2.5",
    ),
    (
        "A test profile is enabled, and nothing was enabled before it",
        "an operational or provisioning profile is answered by wrongProfileReenabling: the test profile has to be disabled first",
    ),
    (
        "A profile with PPR1 beside an installed operational one",
        "is installed: that rule is for the LPA (§3.1.3), the card checks the rules authorisation table",
    ),
    (
        "LoadCRL on a card without crlSupport in its RspCapability (the usual one)",
        "is answered by 6A88, as a function that is not there",
    ),
    (
        "A certificate that a loaded list names",
        "is answered by invalidCertificate; v2.5 has no code of its own. A session that is open goes on",
    ),
    (
        "A revocation list in parts",
        "parts count from 1; what a part names is revoked at once, and what the list before names stays so until the new one is whole. Lists with different issuing distribution points stand beside each other. The dates of a list are not looked at: an old one is better than none",
    ),
    (
        "A secured packet whose security is wrong (status 01, 05, 06, 09)",
        "the response is neither checked nor ciphered: there is nothing right to do it with",
    ),
    (
        "A response packet that is longer than a short message",
        "has the number of commands and the last status word, and no data",
    ),
    ("The notification list is full (256)", "the oldest one goes"),
    (
        "algorithmOptions of PE-AKAParameter",
        "the length of RES: 0 to 3 for 32, 64, 128 and 256 bits, after 02 in TS.48, which is 128; for Milenage always 64",
    ),
    ("Reading or writing a file that is deactivated", "6984, unless its special file information allows it"),
    ("DISABLE PIN of a disabled PIN, ENABLE PIN of an enabled one", "6984 and 6985"),
    (
        "An application that is selected anew",
        "keeps its session; when no channel has it any more, what its own PINs have opened is closed",
    ),
];

/// What differs from the recorded card, and why.
const TRACES: &[(&str, &str)] = &[
    ("omnikey-info.log, omnikey-profiles.log", "none: a card configured like the recorded one answers to the byte"),
    (
        "omnikey-enable.log, omnikey-disable.log",
        "none in the answers; the recorded terminal has not told of REFRESH, so both cards answer 9000",
    ),
    (
        "omnikey-notifications.log, omnikey-retrieve-notifications.log",
        "other numbers, addresses, signatures and certificates, and another count: those of other downloads; the structure of an entry is the same",
    ),
    ("omnikey-profiles-error.log", "not compared: its header says that it was edited by hand, and no card answers so"),
];

/// The sources whose tests are read.
fn sources() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shared = ["bpp.rs", "aka/tests.rs", "aka/keccak.rs"];
    let mut files = Vec::from(shared.map(|file| root.join("../../lpa/rsp/src").join(file)));
    let mut folders = vec![root.join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("conformance.rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

#[derive(Default)]
struct Proofs {
    requirements: BTreeMap<String, Vec<String>>,
    codes: BTreeMap<(String, u32), Vec<String>>,
}

fn proofs() -> Proofs {
    let mut proofs = Proofs::default();
    for path in sources() {
        let text = std::fs::read_to_string(&path).unwrap();
        // The tests beside a module are in `tests.rs` of its folder.
        let module = match path.ends_with("tests.rs") {
            true => path.parent().and_then(Path::file_name),
            false => path.file_stem(),
        };
        let module = module.unwrap().to_string_lossy().into_owned();
        let mut test = String::new();
        for line in text.lines().map(str::trim) {
            if let Some(rest) = line.strip_prefix("fn ") {
                test = format!("{module}::{}", rest.split('(').next().unwrap());
            }
            let Some(list) = line.strip_prefix("// proves: ") else { continue };
            for item in list.split("; ") {
                // Codes are in parentheses at the end.
                let (name, codes) = match item.strip_suffix(')').and_then(|item| item.rsplit_once(" (")) {
                    Some((name, codes)) => (name, codes.split(", ").map(|code| code.parse::<u32>().unwrap()).collect()),
                    None => (item, Vec::new()),
                };
                for code in codes {
                    proofs.codes.entry((name.to_owned(), code)).or_default().push(test.clone());
                }
                proofs.requirements.entry(name.to_owned()).or_default().push(test.clone());
            }
        }
    }
    proofs
}

fn tests(list: &[String]) -> String {
    let mut list: Vec<String> = list.iter().map(|test| format!("`{test}`")).collect();
    list.dedup();
    list.join(", ")
}

fn render(proofs: &Proofs) -> String {
    let mut text = "# What the card is proved to do\n\n\
        Made from the tests by `UPDATE_CONFORMANCE=1 cargo test -p euicc conformance`; do not edit. The card is to\n\
        behave as SGP.22 v2.5 says; families are those of SGP.23 sections 4.2 and 5.2, as far as public sources name\n\
        them. A test is `module::name` in `emulator/euicc/src`; `bpp` is a module of `rsp`.\n\n\
        ## Requirements\n\n| requirement | SGP.23 | what it asks for | proved by |\n| --- | --- | --- | --- |\n"
        .to_owned();
    for (name, family, what) in REQUIREMENTS {
        let proved = proofs.requirements.get(*name).map(|list| tests(list)).unwrap_or_default();
        let _ = writeln!(text, "| {name} | {family} | {what} | {proved} |");
    }
    text += "\n## Result codes\n\n| function or type | code | name | proved by |\n| --- | --- | --- | --- |\n";
    for (function, code, name) in CODES {
        let proved = proofs.codes.get(&((*function).to_owned(), *code)).map(|list| tests(list)).unwrap_or_default();
        let _ = writeln!(text, "| {function} | {code} | {name} | {proved} |");
    }
    for (title, head, rows) in [
        ("Left out", "what | why", LEFT_OUT),
        ("Where the public sources leave it open", "case | what the card does", CHOICES),
        ("Beside the recorded traces of a real card", "trace | differences, and why", TRACES),
    ] {
        let _ = write!(text, "\n## {title}\n\n| {head} |\n| --- | --- |\n");
        for (what, why) in rows {
            let _ = writeln!(text, "| {what} | {why} |");
        }
    }
    text
}

#[test]
fn the_table_is_what_the_tests_say() {
    let proofs = proofs();
    let mut wrong = Vec::new();
    for (name, ..) in REQUIREMENTS {
        if !proofs.requirements.contains_key(*name) {
            wrong.push(format!("no test proves {name:?}"));
        }
    }
    for name in proofs.requirements.keys() {
        let is_code = CODES.iter().any(|(function, ..)| function == name);
        if !is_code && !REQUIREMENTS.iter().any(|(known, ..)| known == name) {
            wrong.push(format!("{name:?} is proved, and no requirement"));
        }
    }
    for (function, code, _) in CODES {
        if !proofs.codes.contains_key(&((*function).to_owned(), *code)) {
            wrong.push(format!("no test reaches {function} {code}"));
        }
    }
    for (function, code) in proofs.codes.keys() {
        if !CODES.iter().any(|(known, number, _)| known == function && number == code) {
            wrong.push(format!("{function} {code} is reached, and no code"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("CONFORMANCE.md");
    let text = render(&proofs);
    if std::env::var_os("UPDATE_CONFORMANCE").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == text,
        "CONFORMANCE.md is not what the tests say: UPDATE_CONFORMANCE=1 cargo test -p euicc conformance"
    );
}

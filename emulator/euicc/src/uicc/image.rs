//! What a profile's elements have made: the tree of files, PINs, authentication parameters, and the records of what
//! is only kept. An image never changes; what the terminal and the network change lies over it, see
//! [`super::files`].

use rsp::Aid;
use rsp::saip::Kind;
use zeroize::Zeroizing;

use super::secret::Secret;
use rsp::aka::Aka;
use rsp::ota::{Key, KeySet};

/// A file, by its place in the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FileRef(pub(super) u16);

/// The MF is made first.
pub(crate) const MF: FileRef = FileRef(0);

/// Identifiers with a meaning of their own (TS 102 221 §8.3 and §13).
pub(crate) mod id {
    pub(crate) const MF: u16 = 0x3F00;
    pub(crate) const CURRENT_APPLICATION: u16 = 0x7FFF;
    pub(crate) const MF_ARR: u16 = 0x2F06;
    pub(crate) const ARR: u16 = 0x6F06;
    pub(crate) const IMSI: u16 = 0x6F07;
    pub(crate) const UST: u16 = 0x6F38;
    /// Of an ISIM; of a USIM the same identifier is that of EF.IMSI.
    pub(crate) const IST: u16 = 0x6F07;
    pub(crate) const GBA_PARAMETERS: u16 = 0x6FD6;
    pub(crate) const GID1: u16 = 0x6F3E;
    pub(crate) const GID2: u16 = 0x6F3F;
    pub(crate) const AD: u16 = 0x6FAD;
    pub(crate) const DF_5GS: u16 = 0x5FC0;
    pub(crate) const ROUTING_INDICATOR: u16 = 0x4F0A;
    pub(crate) const DF_SAIP: u16 = 0x5FD0;
    pub(crate) const SUCI_CALCULATION: u16 = 0x4F01;
}

/// How a file is structured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Structure {
    Directory,
    /// The directory of an application; its profile element.
    Application {
        aid: Aid,
        kind: Kind,
    },
    Transparent,
    LinearFixed {
        length: u8,
    },
    Cyclic {
        length: u8,
    },
    BerTlv,
}

impl Structure {
    pub(crate) fn is_directory(&self) -> bool {
        matches!(self, Structure::Directory | Structure::Application { .. })
    }

    /// The length of a record.
    pub(crate) fn record_length(&self) -> Option<usize> {
        match self {
            Structure::LinearFixed { length } | Structure::Cyclic { length } => Some(usize::from(*length)),
            _ => None,
        }
    }
}

/// Life cycle status (TS 102 221 §11.1.1.4.9): operational and activated.
pub(crate) const ACTIVATED: u8 = 0x05;
/// Operational and deactivated.
pub(crate) const DEACTIVATED: u8 = 0x04;

/// Bits of the special file information (TS 102 222 §6.3.2.2.2).
pub(crate) mod special {
    pub(crate) const OFTEN_UPDATED: u8 = 0x80;
    pub(crate) const USABLE_WHEN_DEACTIVATED: u8 = 0x40;
}

/// A file as the profile has made it.
pub(crate) struct File {
    /// The file identifier; of an application the temporary one that paths in the package use.
    pub(crate) id: u16,
    pub(crate) parent: FileRef,
    pub(crate) structure: Structure,
    /// Where its access rules are: identifier of an EF.ARR, and a record.
    pub(crate) access: (u16, u8),
    pub(crate) short_id: Option<u8>,
    pub(crate) life_cycle: u8,
    pub(crate) special: u8,
    /// Of a directory: the keys whose status is shown.
    pub(crate) pin_status: Vec<u8>,
    /// It may hold keys.
    pub(crate) content: Zeroizing<Vec<u8>>,
    /// The file whose content this one shows.
    pub(crate) link: Option<FileRef>,
}

/// A PIN or administrative key.
pub(crate) struct Pin {
    /// The directory that it belongs to.
    pub(crate) directory: FileRef,
    pub(crate) key: u8,
    pub(crate) value: Secret<8>,
    /// The unblocking code, in the order in which they were made.
    pub(crate) puk: Option<u16>,
    pub(crate) enabled: bool,
    pub(crate) may_be_changed: bool,
    pub(crate) may_be_disabled: bool,
    pub(crate) tries: Tries,
}

/// An unblocking code.
pub(crate) struct Puk {
    pub(crate) key: u8,
    pub(crate) value: Secret<8>,
    pub(crate) tries: Tries,
}

/// How often a wrong value may be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tries {
    pub(crate) most: u8,
    pub(crate) left: u8,
}

/// The authentication of an application.
pub(crate) struct Authentication {
    pub(crate) application: FileRef,
    pub(crate) aka: Aka,
}

/// Something that is kept and does nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Record {
    SecurityDomain { aid: Vec<u8>, keys: Vec<(u8, u8)> },
    Application { package: Option<Vec<u8>>, code: usize, instances: Vec<Vec<u8>> },
    RemoteFileManagement { aid: Vec<u8>, tars: Vec<[u8; 3]>, minimum_security: u8, application: Option<Vec<u8>> },
    Cdma,
}

/// A security domain, as far as secured packets are for it or are opened with its keys.
pub(crate) struct Domain {
    pub(crate) aid: Vec<u8>,
    pub(crate) tars: Vec<[u8; 3]>,
    pub(crate) minimum_security: u8,
    pub(crate) keys: Vec<DomainKey>,
}

/// A key of a security domain.
pub(crate) struct DomainKey {
    pub(crate) version: u8,
    /// In a key set for secured packets 1 is KIc, 2 KID and 3 the key for keys (TS 102 226 §8.2.1.5).
    pub(crate) identifier: u8,
    pub(crate) key: Key,
    /// The counter at first.
    pub(crate) counter: u64,
}

/// Remote management of files.
pub(crate) struct RemoteFiles {
    pub(crate) tars: Vec<[u8; 3]>,
    pub(crate) minimum_security: u8,
    /// The domain whose keys secure it; that of the operator when none is named.
    pub(crate) domain: Option<Vec<u8>>,
    /// The application whose files it is about; without one the files of the UICC.
    pub(crate) application: Option<Vec<u8>>,
    /// Whether it has access to everything that somebody may have access to (TS 102 226 §8.2.1.3.2.4, access domain 00).
    pub(crate) has_access: bool,
}

/// Whom a secured packet is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RemoteTarget {
    Domain { minimum_security: u8 },
    Files { application: Option<FileRef>, has_access: bool, minimum_security: u8 },
}

impl RemoteTarget {
    /// The security that it wants at least, coded as the first byte of the security parameters.
    pub(crate) fn minimum_security(self) -> u8 {
        match self {
            RemoteTarget::Domain { minimum_security } | RemoteTarget::Files { minimum_security, .. } => {
                minimum_security
            }
        }
    }
}

/// Everything that a package has made.
#[derive(Default)]
pub(crate) struct Image {
    pub(super) files: Vec<File>,
    pub(super) pins: Vec<Pin>,
    pub(super) puks: Vec<Puk>,
    /// Directories whose PINs are those of another.
    pub(super) shared_pins: Vec<(FileRef, FileRef)>,
    pub(super) authentications: Vec<Authentication>,
    /// Applications whose authentication is another's, by its place.
    pub(super) shared_authentications: Vec<(FileRef, usize)>,
    pub(super) records: Vec<Record>,
    pub(super) domains: Vec<Domain>,
    pub(super) remote_files: Vec<RemoteFiles>,
}

impl std::fmt::Debug for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Image({} files, {} PINs)", self.files.len(), self.pins.len())
    }
}

/// How many links are followed from one file.
const LONGEST_CHAIN_OF_LINKS: usize = 4;

impl Image {
    /// Whether there is no file at all, not even an MF.
    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    pub(crate) fn file(&self, file: FileRef) -> &File {
        // References are made by this image, for files that it has and keeps.
        &self.files[usize::from(file.0)]
    }

    pub(crate) fn references(&self) -> impl Iterator<Item = FileRef> + use<> {
        (0..self.files.len() as u16).map(FileRef)
    }

    /// The file that holds the content: itself, or what it is a link to.
    pub(crate) fn resolve(&self, mut file: FileRef) -> FileRef {
        for _ in 0..LONGEST_CHAIN_OF_LINKS {
            match self.file(file).link {
                Some(target) => file = target,
                None => break,
            }
        }
        file
    }

    /// The file with this identifier in a directory. Applications have none.
    pub(crate) fn child(&self, directory: FileRef, id: u16) -> Option<FileRef> {
        self.children(directory).find(|child| {
            let file = self.file(*child);
            file.id == id && !matches!(file.structure, Structure::Application { .. })
        })
    }

    /// The file with this short identifier in a directory.
    pub(crate) fn by_short_id(&self, directory: FileRef, short_id: u8) -> Option<FileRef> {
        self.children(directory).find(|child| self.file(*child).short_id == Some(short_id))
    }

    pub(crate) fn children(&self, directory: FileRef) -> impl Iterator<Item = FileRef> + '_ {
        let directory = self.resolve(directory);
        self.references().skip(1).filter(move |file| self.file(*file).parent == directory)
    }

    /// The file at a path of the package: from the MF, applications by their temporary identifiers.
    pub(super) fn by_package_path(&self, path: &[u8]) -> Option<FileRef> {
        // SAIP annex D: a path has at most 8 bytes.
        if !path.len().is_multiple_of(2) || path.len() > 8 || self.is_empty() {
            return None;
        }
        let mut ids = path.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).peekable();
        ids.next_if_eq(&id::MF);
        ids.try_fold(MF, |directory, id| self.children(directory).find(|child| self.file(*child).id == id))
    }

    /// The directory itself, and those it is in, up to the MF.
    pub(crate) fn ancestry(&self, file: FileRef) -> impl Iterator<Item = FileRef> + '_ {
        std::iter::successors(Some(file), |file| (*file != MF).then(|| self.file(*file).parent))
    }

    /// The application around a file.
    pub(crate) fn application_of(&self, file: FileRef) -> Option<FileRef> {
        self.ancestry(file).find(|file| matches!(self.file(*file).structure, Structure::Application { .. }))
    }

    /// The applications, in the order in which they were made.
    pub(crate) fn applications(&self) -> impl Iterator<Item = (FileRef, &Aid, Kind)> + '_ {
        self.references().filter_map(|file| match &self.file(file).structure {
            Structure::Application { aid, kind } => Some((file, aid, *kind)),
            _ => None,
        })
    }

    /// The PIN that a key reference names in a directory: its own, that of the directory it shares PINs with, or
    /// one of the directories around it (TS 102 221 §9.4.2: global keys belong to the MF).
    pub(crate) fn pin(&self, directory: FileRef, key: u8) -> Option<usize> {
        self.ancestry(directory).find_map(|directory| {
            let owner = self.shared_pins.iter().find(|(from, _)| *from == directory).map_or(directory, |(_, to)| *to);
            self.pins.iter().position(|pin| pin.directory == owner && pin.key == key)
        })
    }

    /// The authentication of an application.
    pub(crate) fn authentication(&self, application: FileRef) -> Option<usize> {
        let own = self.authentications.iter().position(|entry| entry.application == application);
        own.or_else(|| {
            self.shared_authentications.iter().find(|(from, _)| *from == application).map(|(_, index)| *index)
        })
    }

    /// EF.GID1 and EF.GID2 of the first USIM.
    pub(crate) fn group_identifiers(&self) -> [Option<&[u8]>; 2] {
        let usim = self.applications().find(|(_, _, kind)| *kind == Kind::Usim).map(|(file, ..)| file);
        [id::GID1, id::GID2].map(|id| {
            let file = self.child(usim?, id)?;
            Some(&self.file(self.resolve(file)).content[..])
        })
    }

    /// Whom a toolkit application reference names, and the domain whose keys secure what is sent to it.
    pub(crate) fn remote_target(&self, tar: [u8; 3]) -> Option<(RemoteTarget, usize)> {
        for (index, domain) in self.domains.iter().enumerate() {
            if domain.tars.contains(&tar) {
                return Some((RemoteTarget::Domain { minimum_security: domain.minimum_security }, index));
            }
        }
        let files = self.remote_files.iter().find(|files| files.tars.contains(&tar))?;
        let application = match &files.application {
            None => None,
            Some(aid) => Some(self.applications().find(|(_, of, _)| of.as_bytes() == aid)?.0),
        };
        let domain = files.domain.as_ref().and_then(|aid| self.domains.iter().position(|domain| domain.aid == *aid));
        let RemoteFiles { has_access, minimum_security, .. } = *files;
        Some((RemoteTarget::Files { application, has_access, minimum_security }, domain.unwrap_or(0)))
    }

    /// The keys of a domain in these versions, for ciphering and for checksums. A version that is not asked for is that
    /// of the other, and 0 the first there is.
    pub(crate) fn domain_keys(&self, domain: usize, kic: Option<u8>, kid: Option<u8>) -> Option<KeySet> {
        const KIC: u8 = 1;
        const KID: u8 = 2;
        let keys = &self.domains.get(domain)?.keys;
        let find = |version: u8, identifier: u8| {
            let is_it = |key: &&DomainKey| key.identifier == identifier && (version == 0 || key.version == version);
            // TS 102 225 §5.1.2: versions 01 to 0F are for secured packets.
            keys.iter().filter(|key| (0x01..=0x0F).contains(&key.version)).find(is_it).map(|key| key.key.clone())
        };
        let (kic, kid) = (kic.or(kid)?, kid.or(kic)?);
        Some(KeySet { kic: find(kic, KIC)?, kid: find(kid, KID)? })
    }

    /// The counter of a key set as the package has made it.
    pub(crate) fn initial_counter(&self, domain: usize, version: u8) -> u64 {
        let keys = self.domains.get(domain).map_or(&[][..], |domain| &domain.keys);
        keys.iter().filter(|key| key.version == version).map(|key| key.counter).max().unwrap_or(0)
    }

    /// The memory that the files take.
    pub(crate) fn size(&self) -> usize {
        self.files.iter().map(|file| FILE_OVERHEAD + file.content.len()).sum()
    }
}

/// What a file takes beside its content.
pub(super) const FILE_OVERHEAD: usize = 16;

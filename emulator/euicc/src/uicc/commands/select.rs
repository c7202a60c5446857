//! SELECT and STATUS: which file a command names, and the control parameters that tell of it.

use rsp::Aid;
use rsp::tlv::Writer;

use super::View;
use crate::apdu::Sw;
use crate::uicc::image::{FileRef, MF, Structure, id};

impl View<'_> {
    /// The file that SELECT by identifier, by path or by parent names (TS 102 221 §11.1.1.2, §8.4).
    pub(crate) fn find(&self, p1: u8, data: &[u8]) -> Result<FileRef, Sw> {
        let path: Vec<u16> = match data.len() % 2 {
            0 => data.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect(),
            _ => return Err(Sw::WRONG_LENGTH),
        };
        let found = match (p1, &path[..]) {
            // No data names the MF.
            (0x00, []) => Some(MF),
            (0x00, [id]) => self.by_identifier(*id),
            (0x01, [id]) => {
                let child = self.files.image().child(self.selection.directory, *id);
                child.filter(|child| self.structure(*child).is_directory())
            }
            (0x03, []) => Some(self.parent(self.selection.directory)),
            // From the MF, which may be written out, or from the application.
            (0x08, [id::MF, rest @ ..]) => self.walk(MF, rest),
            (0x08, [id::CURRENT_APPLICATION, rest @ ..]) => self.walk(self.selection.application.unwrap_or(MF), rest),
            (0x08, [_, ..]) => self.walk(MF, &path),
            (0x09, [_, ..]) => self.walk(self.selection.directory, &path),
            (0x00 | 0x01 | 0x03 | 0x08 | 0x09, _) => return Err(Sw::WRONG_LENGTH),
            _ => return Err(Sw::WRONG_P1_P2),
        };
        found.ok_or(Sw::NOT_FOUND)
    }

    /// TS 102 221 §8.4.1: a file of the current directory, the directory itself, its parent, a directory beside it,
    /// the MF, or the current application.
    fn by_identifier(&self, id: u16) -> Option<FileRef> {
        let image = self.files.image();
        let directory = self.selection.directory;
        let parent = self.parent(directory);
        let is = |file: FileRef| image.file(file).id == id && !self.is_application(file);
        match id {
            id::MF => return Some(MF),
            id::CURRENT_APPLICATION => return self.selection.application,
            _ => {}
        }
        image
            .child(directory, id)
            .or_else(|| [directory, parent].into_iter().find(|file| is(*file)))
            .or_else(|| image.child(parent, id).filter(|file| self.structure(*file).is_directory()))
    }

    pub(super) fn walk(&self, from: FileRef, path: &[u16]) -> Option<FileRef> {
        path.iter().try_fold(from, |directory, id| self.files.image().child(directory, *id))
    }

    pub(super) fn parent(&self, file: FileRef) -> FileRef {
        self.files.image().file(file).parent
    }

    pub(super) fn structure(&self, file: FileRef) -> &Structure {
        &self.files.target(file).structure
    }

    pub(super) fn is_application(&self, file: FileRef) -> bool {
        matches!(self.files.image().file(file).structure, Structure::Application { .. })
    }

    /// Selects a file. Gives its control parameters, and what is said with them.
    pub(crate) fn select(&mut self, file: FileRef) -> (Vec<u8>, Sw) {
        let parent = self.parent(file);
        let is_directory = self.structure(file).is_directory();
        self.selection.select(file, is_directory, parent);
        if self.is_application(file) {
            self.selection.application = Some(file);
        }
        // TS 102 221 §11.1.1.4: a file that is deactivated can be selected, with a warning.
        let sw = if self.files.is_deactivated(file) { Sw::FILE_DEACTIVATED } else { Sw::OK };
        (self.control_parameters(file), sw)
    }

    /// The applications, in the order in which they were made.
    pub(crate) fn applications(&self) -> impl Iterator<Item = (FileRef, &Aid)> {
        self.files.image().applications().map(|(file, aid, _)| (file, aid))
    }

    /// The application of the channel, when it has one.
    pub(crate) fn current_application(&self) -> Option<FileRef> {
        self.selection.application
    }

    /// Its AID.
    pub(crate) fn application_name(&self) -> Option<&Aid> {
        match &self.files.image().file(self.selection.application?).structure {
            Structure::Application { aid, .. } => Some(aid),
            _ => None,
        }
    }

    /// Leaves the application of the channel. When no other channel has it, its session ends, and what its own PINs
    /// have opened is closed (TS 102 221 §8.5.1.3).
    pub(crate) fn leave_application(&mut self, shared: bool) {
        if let Some(application) = self.selection.application.take()
            && !shared
        {
            let image = self.files.image();
            self.verified.forget(|pin| image.application_of(image.pins[pin].directory) == Some(application));
        }
        self.selection.select(MF, true, MF);
    }

    /// STATUS: the control parameters of the current directory (TS 102 221 §11.1.2).
    pub(crate) fn directory_parameters(&self) -> Vec<u8> {
        self.control_parameters(self.selection.directory)
    }

    /// The file control parameters (TS 102 221 §11.1.1.3).
    fn control_parameters(&self, file: FileRef) -> Vec<u8> {
        let image = self.files.image();
        let own = image.file(file);
        let target = self.files.target(file);
        let (arr, record) = own.access;
        let [high, low] = arr.to_be_bytes();
        let rules = [high, low, record];
        let life_cycle = [self.files.life_cycle(file)];
        let size = self.files.content(file).len() as u16;
        let short_id: &[u8] = &own.short_id.map_or(vec![], |id| vec![id << 3]);
        // Special file information; of a BER-TLV file its coding (DER) and what is reserved for it, which is all it gets
        // (TS 102 221 §11.1.1.4.6).
        let special = |w: Writer| match (target.special, &target.structure) {
            (0, Structure::BerTlv) => w.nested(0xA5, |w| ber_tlv(w, size)),
            (byte, Structure::BerTlv) => w.nested(0xA5, |w| ber_tlv(w, size).put(0xC0, &[byte])),
            (0, _) => w,
            (byte, _) => w.nested(0xA5, |w| w.put(0xC0, &[byte])),
        };
        let elementary = |w: Writer, descriptor: &[u8]| {
            let w = special(w.put(0x82, descriptor).put(0x83, &own.id.to_be_bytes()));
            w.put(0x8A, &life_cycle).put(0x8B, &rules).put(0x80, &size.to_be_bytes()).put(0x88, short_id)
        };
        let records = self.files.record_count(file) as u8;
        Writer::new()
            .nested(0x62, |w| match &target.structure {
                Structure::Transparent => elementary(w, &[0x41, 0x21]),
                Structure::LinearFixed { length } => elementary(w, &[0x42, 0x21, 0x00, *length, records]),
                Structure::Cyclic { length } => elementary(w, &[0x46, 0x21, 0x00, *length, records]),
                Structure::BerTlv => elementary(w, &[0x79, 0x21]),
                Structure::Directory | Structure::Application { .. } => {
                    let w = w.put(0x82, &[0x78, 0x21]);
                    let w = match &own.structure {
                        Structure::Application { aid, .. } => w.put(0x84, aid.as_bytes()),
                        _ => w.put(0x83, &own.id.to_be_bytes()),
                    };
                    // UICC characteristics, free memory, TERMINAL CAPABILITY supported.
                    let w = w.nested(0xA5, |w| {
                        let w = w.put(0x80, &[0x71]).put(0x83, &self.free_memory.to_be_bytes());
                        if file == MF { w.put(0x87, &[0x01]) } else { w }
                    });
                    let w = w.put(0x8A, &life_cycle).put(0x8B, &rules);
                    w.nested(0xC6, |w| self.pin_status(file, w))
                }
            })
            .into_vec()
    }

    /// The PIN status template (TS 102 221 §9.5.2): a bit for each key, and the keys.
    fn pin_status(&self, directory: FileRef, w: Writer) -> Writer {
        let image = self.files.image();
        let keys = &image.file(directory).pin_status;
        let mut bits = vec![0u8; keys.len().div_ceil(8)];
        for (index, key) in keys.iter().enumerate() {
            if image.pin(directory, *key).is_some_and(|pin| self.files.pin(pin).enabled) {
                bits[index / 8] |= 0x80 >> (index % 8);
            }
        }
        keys.iter().fold(w.put(0x90, &bits), |w, key| w.put(0x83, &[*key]))
    }
}

/// File details, reserved file size and maximum file size.
fn ber_tlv(w: Writer, size: u16) -> Writer {
    w.put(0x84, &[0x01]).put(0x85, &size.to_be_bytes()).put(0x86, &size.to_be_bytes())
}

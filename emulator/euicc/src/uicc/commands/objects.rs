//! RETRIEVE DATA and SET DATA on BER-TLV files (TS 102 221 §11.3): objects are read and written whole, in blocks when
//! one command is too short for them. What is on its way belongs to the channel; any other command on files drops it.

use rsp::tlv::{Tag, Tlv, TlvError, encode};
use zeroize::Zeroizing;

use super::{Answer, Done, View};
use crate::apdu::{Command, Response, Sw};
use crate::uicc::access::Operation;
use crate::uicc::image::{FileRef, Structure};

/// An object that is on its way in blocks. `Debug` prints none of it.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) enum Transfer {
    #[default]
    None,
    /// RETRIEVE DATA: the object, where the block begins that was given last, and where it ends.
    Out { object: Zeroizing<Vec<u8>>, block: usize, end: usize },
    /// SET DATA: what has come so far.
    In { file: FileRef, object: Zeroizing<Vec<u8>> },
}

impl std::fmt::Debug for Transfer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Transfer::None => "None",
            Transfer::Out { .. } => "Out",
            Transfer::In { .. } => "In",
        })
    }
}

/// The tag list object (TS 102 221 §11.3.1): the tags of all objects of the file.
const TAG_LIST: Tag = Tag(0x5C);

/// Which block P2 asks for; its low bits are a short identifier.
enum Block {
    First,
    Next,
    Previous,
}

impl Block {
    fn of(command: &Command<'_>) -> Result<Self, Sw> {
        match (command.p1, command.p2 & 0xE0) {
            (0x00, 0x80) => Ok(Block::First),
            (0x00, 0x00) => Ok(Block::Next),
            (0x00, 0x40) => Ok(Block::Previous),
            _ => Err(Sw::WRONG_P1_P2),
        }
    }
}

/// The objects of a file: behind the last one there is nothing but padding.
fn objects(content: &[u8]) -> impl Iterator<Item = Tlv<'_>> {
    let mut rest = content;
    std::iter::from_fn(move || {
        if matches!(rest.first(), None | Some(0x00 | 0xFF)) {
            return None;
        }
        let (object, after) = Tlv::parse(rest).ok()?;
        rest = after;
        Some(object)
    })
}

/// A tag that stands alone.
fn lone_tag(data: &[u8]) -> Option<Tag> {
    let with_length = [data, &[0x00]].concat();
    Tlv::parse_exact(&with_length).ok().filter(|tlv| tlv.value().is_empty()).map(|tlv| tlv.tag())
}

impl View<'_> {
    fn object_file(&mut self, command: &Command<'_>, operation: Operation) -> Result<FileRef, Sw> {
        let file = self.elementary_file(command.p2 & 0x1F)?;
        if *self.structure(file) != Structure::BerTlv {
            return Err(Sw::INCOMPATIBLE_FILE);
        }
        self.check(file, operation)?;
        Ok(file)
    }

    /// RETRIEVE DATA (TS 102 221 §11.3.1).
    pub(super) fn retrieve_data(&mut self, command: &Command<'_>, under_way: Transfer) -> Done {
        let block = Block::of(command)?;
        let file = self.object_file(command, Operation::Read)?;
        let (object, begin) = match (block, under_way) {
            (Block::First, _) => {
                let tag = lone_tag(command.data).ok_or(Sw::WRONG_DATA)?;
                (self.object(file, tag).ok_or(Sw::DATA_NOT_FOUND)?, 0)
            }
            (_, _) if !command.data.is_empty() => return Err(Sw::WRONG_LENGTH),
            (Block::Next, Transfer::Out { object, end, .. }) if end < object.len() => (object, end),
            (Block::Previous, Transfer::Out { object, block, .. }) => (object, block),
            _ => return Err(Sw::CONDITIONS_NOT_SATISFIED),
        };
        let left = object.len() - begin;
        let expected = command.le.unwrap_or(256);
        if command.data.is_empty() && expected > left {
            // Nothing moves for a length that is asked for again.
            let sw = Sw::exact_length(left);
            self.selection.transfer = Transfer::Out { object, block: begin, end: begin };
            return Err(sw);
        }
        let end = begin + expected.min(left);
        let (data, is_last) = (object[begin..end].to_vec(), end == object.len());
        let sw = if is_last { Sw::OK } else { Sw::MORE_DATA_AVAILABLE };
        self.selection.transfer = Transfer::Out { object, block: begin, end };
        Ok(if command.data.is_empty() { Answer::Now(Response { data, sw }) } else { Answer::OfferWith(data, sw) })
    }

    /// An object with its tag and length, or the tag list.
    fn object(&self, file: FileRef, tag: Tag) -> Option<Zeroizing<Vec<u8>>> {
        let content = self.files.content(file);
        if tag == TAG_LIST {
            let tags: Vec<u8> =
                objects(content).flat_map(|object| object.raw()[..object.tag().len()].to_vec()).collect();
            return Some(Zeroizing::new(encode(TAG_LIST, &tags)));
        }
        objects(content).find(|object| object.tag() == tag).map(|object| Zeroizing::new(object.raw().to_vec()))
    }

    /// SET DATA (TS 102 221 §11.3.2): a whole object takes the place of the one with its tag; a tag alone deletes it.
    pub(super) fn set_data(&mut self, command: &Command<'_>, under_way: Transfer) -> Done {
        let block = Block::of(command)?;
        let file = self.object_file(command, Operation::Update)?;
        let received = match (block, under_way) {
            (Block::First, _) => match lone_tag(command.data) {
                Some(TAG_LIST) => return Err(Sw::WRONG_DATA),
                Some(tag) => return self.put_object(file, tag, &[]),
                None => Zeroizing::new(command.data.to_vec()),
            },
            (Block::Next, Transfer::In { file: begun, object }) if begun == file => {
                Zeroizing::new([&object, command.data].concat())
            }
            (Block::Previous, _) => return Err(Sw::WRONG_P1_P2),
            _ => return Err(Sw::CONDITIONS_NOT_SATISFIED),
        };
        match Tlv::parse(&received) {
            Ok((object, [])) if object.tag() != TAG_LIST && !matches!(received[0], 0x00 | 0xFF) => {
                self.put_object(file, object.tag(), object.raw())
            }
            Err(TlvError::Truncated { needed, .. }) if !command.data.is_empty() => {
                // Refused at its head, not when all of it has come.
                if received.len().saturating_add(needed) > self.files.content(file).len() {
                    return Err(Sw::NOT_ENOUGH_MEMORY);
                }
                self.selection.transfer = Transfer::In { file, object: received };
                Err(Sw::MORE_DATA_EXPECTED)
            }
            _ => Err(Sw::WRONG_DATA),
        }
    }

    /// Puts an object, with its tag and length, in the place of the one with its tag; nothing deletes it.
    fn put_object(&mut self, file: FileRef, tag: Tag, object: &[u8]) -> Done {
        let content = self.files.content(file);
        let size = content.len();
        let (mut new, mut placed) = (Zeroizing::new(Vec::with_capacity(size)), false);
        for old in objects(content) {
            let is_it = old.tag() == tag;
            placed |= is_it;
            new.extend_from_slice(if is_it { object } else { old.raw() });
        }
        if !placed {
            if object.is_empty() {
                return Err(Sw::DATA_NOT_FOUND);
            }
            new.extend_from_slice(object);
        }
        if new.len() > size {
            return Err(Sw::NOT_ENOUGH_MEMORY);
        }
        new.resize(size, 0xFF);
        self.files.write(file, 0, &new);
        Ok(Sw::OK.into())
    }
}

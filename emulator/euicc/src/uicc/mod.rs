//! The UICC that an enabled profile is: its files, PINs and authentication (TS 102 221, TS 31.102).
//!
//! ```text
//! profile elements → install: templates and parameters → image: the tree of files, PINs, keys; it never changes
//! commands         → commands: selection, access rules → files: the image, and what has been changed since
//! ```
//!
//! - `template`: the file structures of SAIP that elements refer to; `install` makes them;
//! - `image` is what the package has made, `files` the state over it, which can be kept apart and put back;
//! - `selection`: what a channel has selected and what is verified; `access`: who may do what;
//! - `suci`: the concealed identifier; authentication is that of [`rsp::aka`];
//! - `secret`: how keys and PINs are kept; `report`: what becomes of each element of a package, for people.

mod access;
mod commands;
mod files;
mod image;
mod install;
mod report;
mod secret;
mod selection;
mod suci;
mod template;

pub(crate) use commands::{Answer, View, ins, is_interindustry, without_profile};
pub(crate) use files::{Files, OverlayError};
pub(crate) use image::{FileRef, RemoteTarget};
pub(crate) use install::{Installer, Status};
pub use report::{ElementReport, Outcome, PackageReport};
pub(crate) use secret::wipe_stack;
pub(crate) use selection::{Selection, Verified};
pub(crate) use template::knows as knows_template;

//! The vocabulary of remote SIM provisioning (GSMA SGP.22 v2.5) that every part of the lab shares.
//!
//! - [`tlv`]: BER-TLV on raw slices; what was received is what is verified and forwarded.
//! - [`ids`], [`activation_code`]: identifiers that can only hold valid values.
//! - [`es10`]: the messages of ES10a, ES10b, ES10c and ES8+.
//! - [`saip`]: unprotected profile packages.
//! - [`bpp`]: the bound profile package and its secure channel.
//! - [`crypto`]: keys, signatures, key agreement, over one OpenSSL.
//! - [`aka`]: authentication and key agreement; [`ecies`]: concealing the subscription identifier.
//! - [`cert`]: certificates, their roles and the chains that SGP.22 §4.5.2 allows.
//! - [`ota`]: secured packets over the air; [`crc`]: the redundancy checks of these, and of others.
//!
//! Nothing here does input or output, and nothing knows the time: both are handed in.

pub mod activation_code;
pub mod aka;
pub mod bpp;
pub mod cert;
pub mod crc;
pub mod crypto;
pub mod ecies;
pub mod es10;
pub mod gba;
pub mod ids;
pub mod ota;
pub mod saip;
pub mod secret;
pub mod tlv;

pub use activation_code::{ActivationCode, ServerAddress};
pub use ids::{Aid, Eid, Iccid, MatchingId, Oid, TransactionId, Version};

/// The AID of the ISD-R (SGP.02 annex H, SGP.22 §2.4.2).
pub const ISD_R_AID: [u8; 16] =
    [0xA0, 0x00, 0x00, 0x05, 0x59, 0x10, 0x10, 0xFF, 0xFF, 0xFF, 0xFF, 0x89, 0x00, 0x00, 0x01, 0x00];

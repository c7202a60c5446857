//! An SM-DP+ in software.
//!
//! - [`profile`]: profiles that can be ordered, made from a short description or taken from a file.
//! - [`order`]: orders and where they stand.
//! - [`server`]: the SM-DP+ itself, sessions and orders without I/O.
//! - [`smds`]: an SM-DS, the events that wait for cards.
//! - [`status`]: what it answers when it refuses.
//! - [`store`]: orders in a file that outlives the server.
//! - [`manage`]: orders, sessions, faults and metrics for whoever runs the server.
//! - [`front`]: ES9+ over HTTPS, with faults on demand.
//!
//! An ES9+ request comes in at the front, is performed by the server, and a response or a status goes out. Time and
//! randomness are handed in.

mod binding;
pub mod flaw;
pub mod front;
pub mod manage;
pub mod order;
pub mod profile;
pub mod server;
pub mod smds;
pub mod status;
pub mod store;
#[cfg(test)]
mod testing;

pub use front::{Fault, Function, Server, SharedSmdp, SmdsServer};
pub use order::{Order, OrderId, OrderSpec, OrderState};
pub use profile::{Profile, ProfileSpec};
pub use server::{Credentials, Identity, Smdp, SmdpConfig, SmdpEvent, SmdpEventKind};
pub use smds::{Smds, SmdsConfig};
pub use status::{Status, StatusError};
pub use store::Store;

//! A lab in a program of your own: a modem on a terminal, a card with a profile, a server with an order.
//!
//! `cargo run -p esimlab --example lab` asks the modem for the EID, as the software under test would, and looks at
//! what was seen.

use std::error::Error;
use std::io::Write;

use esimlab::lab::{Lab, Preinstalled};
use esimlab::timeline::{Direction, Kind};
use smdp::profile::built_in_named;
use smdp::{OrderSpec, Profile};

#[tokio::main(flavor = "multi_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let profile = |name: &str| -> Result<Profile, Box<dyn Error>> {
        let spec = built_in_named(name).ok_or("no such profile")?;
        Ok(Profile::build(&spec)?)
    };
    let lab = Lab::builder()
        .seed(1)
        .profile(Preinstalled { profile: profile("operator-a")?, enabled: true, nickname: Some("Home".to_owned()) })
        .order(OrderSpec::new("MY-ORDER", profile("operator-b")?))
        .start()?;
    println!("modem  {}\nserver {}", lab.tty().display(), lab.smdp_address());

    // Here the software under test comes in; a line to the modem stands for it.
    std::fs::OpenOptions::new().write(true).open(lab.tty())?.write_all(b"AT+QESIM=\"eid\"\r")?;

    // What is waited for is the event itself: no sleep is too short or too long.
    let is_eid = |kind: &Kind| match kind {
        Kind::At { direction: Direction::Response, text, .. } => text.starts_with("+QESIM: \"eid\""),
        _ => false,
    };
    let (_, event) = lab.timeline().wait_for(0, |event| is_eid(&event.kind)).await;
    println!("{event}");
    for profile in lab.profiles() {
        println!("on the card: {} ({:?})", profile.iccid, profile.state);
    }
    Ok(())
}

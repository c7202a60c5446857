//! The links to a modem's terminals, and what takes these away and brings them back.

use std::path::{Path, PathBuf};
use std::sync::Weak;
use std::time::Duration;

use modem::RunningModem;

use crate::timeline::{Role, Timeline};

/// Takes the terminals away and brings them back when a fault asks for it, until the lab goes down.
pub(super) async fn unplug(
    mut asked: tokio::sync::mpsc::UnboundedReceiver<Duration>,
    modem: Weak<RunningModem>,
    folder: PathBuf,
    timeline: Timeline,
) {
    let none = std::iter::empty::<(&str, String)>;
    while let Some(time) = asked.recv().await {
        let Some(modem) = modem.upgrade() else { return };
        modem.unplug();
        let _ = unlink_all(&folder);
        timeline.note(Role::Modem, "terminals gone", none());
        tokio::time::sleep(time).await;
        // Without a terminal there is nothing to come back to: whoever waits for it runs into its own deadline.
        if modem.plug_in().is_ok() {
            let _ = link_all(&modem.current_ttys(), &folder);
            timeline.note(Role::Modem, "terminals back", none());
        }
    }
}

/// Takes the links to the terminals away.
pub(super) fn unlink_all(folder: &Path) -> std::io::Result<()> {
    let mut port = 0;
    while folder.join(format!("tty{port}")).symlink_metadata().is_ok() {
        std::fs::remove_file(folder.join(format!("tty{port}")))?;
        port += 1;
    }
    Ok(())
}

/// Makes the links to the terminals in a folder, or has them lead to others.
pub(super) fn link_all(ttys: &[PathBuf], folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let link = |(port, tty): (usize, &PathBuf)| {
        let (link, new) = (folder.join(format!("tty{port}")), folder.join(format!("tty{port}.new")));
        std::os::unix::fs::symlink(tty, &new)?;
        // In one step: whoever opens it finds the one or the other.
        std::fs::rename(&new, &link)?;
        Ok(link)
    };
    ttys.iter().enumerate().map(link).collect()
}

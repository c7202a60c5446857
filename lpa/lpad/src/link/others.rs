//! Who else has a terminal open. Two programs that read from one terminal take the answers away from each other, and
//! neither can know it from what it reads.

use std::fs::{self, Metadata};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

/// The other programs that have the terminal open, by name and number, as far as this user may see them: `smsd (812)`.
pub fn others(terminal: &Path) -> Vec<String> {
    let Ok(terminal) = fs::metadata(terminal) else { return Vec::new() };
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let mut found = Vec::new();
    for process in processes.flatten() {
        let number = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
        let Some(number) = number.filter(|number| *number != std::process::id()) else { continue };
        if holds(&process.path(), &terminal) {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            found.push(format!("{} ({number})", name.trim_end()));
        }
    }
    found
}

fn holds(process: &Path, terminal: &Metadata) -> bool {
    let Ok(files) = fs::read_dir(process.join("fd")) else { return false };
    let mut has_it = false;
    for file in files.flatten() {
        // Whoever has made a pseudo-terminal is the other end of it, and no rival.
        if fs::read_link(file.path()).is_ok_and(|target| target.ends_with("ptmx")) {
            return false;
        }
        has_it |= fs::metadata(file.path())
            .is_ok_and(|other| other.file_type().is_char_device() && other.rdev() == terminal.rdev());
    }
    has_it
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use std::fs::File;
    use std::process::{Command, Stdio};

    #[test]
    fn a_program_that_has_the_terminal_open_is_named() {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let path = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        assert_eq!(others(Path::new(&path)), Vec::<String>::new());
        // It reads until the terminal hangs up. What else it inherits is nobody's terminal.
        let terminal = File::options().read(true).write(true).open(&path).unwrap();
        let mut rival =
            Command::new("cat").stdin(terminal).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let expected = format!("cat ({})", rival.id());
        assert!(others(Path::new(&path)).contains(&expected));
        drop(master);
        rival.wait().unwrap();
        assert!(others(Path::new("/dev/nothing")).is_empty());
    }
}

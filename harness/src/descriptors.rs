//! How many files this process may have open: as many as the system lets it, and no more scenarios at a time than they
//! are enough for.

use std::io::Write;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the program has open beside its labs: standard streams, reports, runtime, watcher.
const OWN: u64 = 24;

/// What a lab has open, with its server's connections and the pipes of its LPA.
const PER_LAB: u64 = 40;

/// Raises the limit that users set for all programs to the one that the system sets for the user, and gives it.
pub(crate) fn raise_limit() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return limit.current;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    }
}

/// As many scenarios at a time as files can be open for, at least one; it is told when those are fewer than wanted.
pub(crate) fn jobs_that_fit(wanted: usize) -> usize {
    let limit = raise_limit();
    let jobs = fitting(wanted, limit);
    if let (true, Some(limit)) = (jobs < wanted, limit) {
        let problem = format!("{limit} files may be open at a time (ulimit -n): that is enough for -j {jobs}");
        let _ = writeln!(std::io::stderr(), "esimlab: {problem}");
    }
    jobs
}

fn fitting(wanted: usize, limit: Option<u64>) -> usize {
    let Some(limit) = limit else { return wanted };
    let most = limit.saturating_sub(OWN) / PER_LAB;
    wanted.min(usize::try_from(most).unwrap_or(usize::MAX)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_labs_than_files_can_be_open_for() {
        assert_eq!(fitting(8, None), 8);
        assert_eq!(fitting(8, Some(1 << 20)), 8);
        assert_eq!(fitting(8, Some(256)), 5);
        assert_eq!(fitting(8, Some(64)), 1);
        assert_eq!(fitting(1, Some(3)), 1);
    }

    #[test]
    fn the_limit_is_what_it_is_said_to_be() {
        let raised = raise_limit();
        assert_eq!(getrlimit(Resource::Nofile).current, raised);
    }
}

//! Finding scenario files: by path, by id or topic, by a word in their title; and splitting them for shards.
//!
//! The id of a scenario is its path below the folder of scenarios, without `.toml`: `errors/code-used`. Its first
//! part is the topic.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::ast::Scenario;
use super::error::{Mistakes, nearest};
use super::parse::{Vocabulary, parse_in};

/// The folder that is looked into when no path is given.
pub const DEFAULT_FOLDER: &str = "scenarios";

/// A scenario file that has been found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ScenarioPath {
    /// Its id.
    pub id: String,
    /// Where it is.
    pub path: PathBuf,
}

/// A scenario that has been read.
#[derive(Debug, Clone)]
pub struct LoadedScenario {
    /// Its id.
    pub id: String,
    /// Where it came from.
    pub path: PathBuf,
    /// What it says.
    pub scenario: Scenario,
    /// What in it is likely not to be meant.
    pub warnings: Mistakes,
}

/// Why scenario files could not be found or read.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// There is no folder of scenarios here.
    #[error("there is no folder {} here; go to the project's folder, or give the path of a scenario", folder.display())]
    NoFolder {
        /// The folder that was looked for.
        folder: PathBuf,
    },
    /// An argument is written as a path, and nothing is there.
    #[error("there is no file {given}")]
    NoFile {
        /// The argument.
        given: String,
    },
    /// An argument is neither a path nor an id nor a topic.
    #[error("{given:?} is neither a file, nor a folder, nor the id or topic of a scenario in {}{hint}", folder.display())]
    NotFound {
        /// The argument.
        given: String,
        /// The folder of scenarios.
        folder: PathBuf,
        /// What may have been meant.
        hint: String,
    },
    /// A file or folder cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

/// The scenario files that the arguments select, sorted by id, each once. No argument selects all of `folder`.
pub fn find(arguments: &[String], folder: &Path) -> Result<Vec<ScenarioPath>, LoadError> {
    let mut found = Vec::new();
    let known = || match folder.is_dir() {
        true => files_below(folder, folder),
        false => Err(LoadError::NoFolder { folder: folder.to_owned() }),
    };
    if arguments.is_empty() {
        found = known()?;
    }
    for argument in arguments {
        let path = Path::new(argument);
        if path.is_dir() {
            // A folder inside the folder of scenarios keeps the ids that its files have there.
            let base = if below(path, folder).is_some() { folder } else { path };
            let prefix = below(path, folder).unwrap_or_default();
            found.extend(files_below(&base.join(prefix), base)?);
        } else if path.is_file() {
            let id = below(path, folder).unwrap_or_else(|| path.file_name().map(PathBuf::from).unwrap_or_default());
            found.push(ScenarioPath { id: id_of(&id), path: path.to_owned() });
        } else if argument.ends_with(".toml") || argument.starts_with(['/', '.']) {
            return Err(LoadError::NoFile { given: argument.clone() });
        } else {
            let known = known()?;
            let wanted = argument.trim_end_matches('/');
            let of_topic = |id: &str| id == wanted || id.strip_prefix(wanted).is_some_and(|rest| rest.starts_with('/'));
            let selected: Vec<_> = known.iter().filter(|file| of_topic(&file.id)).cloned().collect();
            if selected.is_empty() {
                let ids = known.iter().map(|file| file.id.as_str());
                let names = ids.clone().chain(ids.filter_map(|id| id.rsplit('/').next()));
                let hint = nearest(wanted, names).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
                return Err(LoadError::NotFound { given: argument.clone(), folder: folder.to_owned(), hint });
            }
            found.extend(selected);
        }
    }
    found.sort();
    found.dedup_by(|a, b| a.id == b.id && same_file(&a.path, &b.path));
    Ok(found)
}

/// Reads a scenario file. The outer error is the system's, the inner one the author's.
pub fn load(file: &ScenarioPath, vocabulary: &Vocabulary) -> Result<Result<LoadedScenario, Mistakes>, LoadError> {
    let text = fs::read_to_string(&file.path).map_err(|error| LoadError::Io { path: file.path.clone(), error })?;
    let folder = file.path.parent();
    let read = parse_in(&file.path.display().to_string(), &text, vocabulary, folder);
    Ok(read.map(|(scenario, warnings)| LoadedScenario {
        id: file.id.clone(),
        path: file.path.clone(),
        scenario,
        warnings,
    }))
}

fn files_below(folder: &Path, base: &Path) -> Result<Vec<ScenarioPath>, LoadError> {
    let error = |path: &Path| {
        let path = path.to_owned();
        move |error| LoadError::Io { path, error }
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(error(folder))? {
        let entry = entry.map_err(error(folder))?;
        let path = entry.path();
        // What is hidden is none of the author's: editors' files, or the folders in which Kubernetes keeps the real
        // files of a ConfigMap, with a link to each beside them.
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        // A link to a folder is not followed: it could lead back up.
        let kind = entry.file_type().map_err(error(&path))?;
        if kind.is_dir() {
            files.extend(files_below(&path, base)?);
        } else if path.extension().is_some_and(|extension| extension == "toml") {
            let id = id_of(path.strip_prefix(base).unwrap_or(&path));
            files.push(ScenarioPath { id, path });
        }
    }
    Ok(files)
}

/// The path relative to `folder`, if it is inside it.
fn below(path: &Path, folder: &Path) -> Option<PathBuf> {
    let (path, folder) = (path.canonicalize().ok()?, folder.canonicalize().ok()?);
    path.strip_prefix(folder).ok().map(Path::to_owned)
}

fn same_file(a: &Path, b: &Path) -> bool {
    a == b || a.canonicalize().ok().is_some_and(|a| b.canonicalize().is_ok_and(|b| a == b))
}

fn id_of(path: &Path) -> String {
    let id = path.with_extension("");
    let parts: Vec<_> = id.iter().map(|part| part.to_string_lossy()).collect();
    parts.join("/")
}

/// The topic of an id: all but its last part.
pub fn topic(id: &str) -> &str {
    id.rsplit_once('/').map_or("", |(topic, _)| topic)
}

/// One of `count` parts of a run, counted from 1: `2/4`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    index: usize,
    count: usize,
}

impl Shard {
    /// The elements of this part: every `count`-th one, so that a topic of slow scenarios is spread over all parts.
    pub fn select<T>(self, all: Vec<T>) -> Vec<T> {
        all.into_iter().skip(self.index - 1).step_by(self.count).collect()
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('/').and_then(|(index, count)| Some((index.parse().ok()?, count.parse().ok()?)));
        match numbers {
            Some((index, count)) if (1..=count).contains(&index) => Ok(Shard { index, count }),
            _ => Err(format!("{text:?} is no part of a run; write I/N with I from 1 to N, as in `2/4`")),
        }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in ["errors/used.toml", "errors/tls.toml", "download/plain.toml", "top.toml", "errors/README.md"] {
            let path = folder.path().join("scenarios").join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        folder
    }

    fn ids(arguments: &[&str], folder: &Path) -> Result<Vec<String>, String> {
        let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
        let found = find(&arguments, folder).map_err(|error| error.to_string())?;
        Ok(found.into_iter().map(|file| file.id).collect())
    }

    #[test]
    fn selection_by_nothing_id_topic_and_path() {
        let folder = folder();
        let scenarios = folder.path().join("scenarios");
        let path = |name: &str| scenarios.join(name).display().to_string();
        assert_eq!(ids(&[], &scenarios).unwrap(), ["download/plain", "errors/tls", "errors/used", "top"]);
        assert_eq!(ids(&["errors"], &scenarios).unwrap(), ["errors/tls", "errors/used"]);
        assert_eq!(ids(&["errors/used", "errors/", "top"], &scenarios).unwrap(), ["errors/tls", "errors/used", "top"]);
        assert_eq!(ids(&[&path("errors/used.toml"), "errors/used"], &scenarios).unwrap(), ["errors/used"]);
        assert_eq!(ids(&[&path("errors")], &scenarios).unwrap(), ["errors/tls", "errors/used"]);
        // Outside the folder of scenarios a folder is one of its own.
        let elsewhere = scenarios.join("nowhere");
        assert_eq!(ids(&[&path("errors")], &elsewhere).unwrap(), ["tls", "used"]);
        assert_eq!(ids(&[&path("errors/tls.toml")], &elsewhere).unwrap(), ["tls"]);
        assert_eq!((topic("errors/used"), topic("top")), ("errors", ""));
    }

    /// A ConfigMap of Kubernetes is mounted so: a folder with the files, named by the time, and links to them.
    #[test]
    fn a_scenario_that_is_mounted_from_a_config_map_is_there_once() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().join("..2026_11_26_02_00_00.123");
        fs::create_dir(&real).unwrap();
        fs::write(real.join("case.toml"), "").unwrap();
        let link = |target: &str, name: &str| std::os::unix::fs::symlink(target, folder.path().join(name)).unwrap();
        link("..2026_11_26_02_00_00.123", "..data");
        link("..data/case.toml", "case.toml");
        let argument = folder.path().display().to_string();
        assert_eq!(ids(&[&argument], &folder.path().join("nowhere")).unwrap(), ["case"]);
    }

    #[test]
    fn what_is_not_there_is_told_with_what_to_do() {
        let folder = folder();
        let scenarios = folder.path().join("scenarios");
        let error = ids(&["errors/usd"], &scenarios).unwrap_err();
        assert!(error.contains("did you mean errors/used?"), "{error}");
        let error = ids(&["plan"], &scenarios).unwrap_err();
        assert!(error.contains("did you mean plain?"), "{error}");
        let error = ids(&[], &folder.path().join("missing")).unwrap_err();
        assert!(error.contains("give the path of a scenario"), "{error}");
    }

    #[test]
    fn shards_are_read_strictly() {
        assert_eq!("2/4".parse::<Shard>().unwrap().to_string(), "2/4");
        for wrong in ["", "1", "0/4", "5/4", "1/0", "a/b", "-1/4", "1/4/2"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn the_shards_of_a_run_are_all_of_it_once(length in 0_usize..50, count in 1_usize..12) {
            let all: Vec<usize> = (0..length).collect();
            let mut parts: Vec<Vec<usize>> =
                (1..=count).map(|index| Shard { index, count }.select(all.clone())).collect();
            let (least, most) = (parts.iter().map(Vec::len).min(), parts.iter().map(Vec::len).max());
            prop_assert!(most.unwrap_or(0) - least.unwrap_or(0) <= 1);
            let mut joined: Vec<usize> = parts.drain(..).flatten().collect();
            joined.sort_unstable();
            prop_assert_eq!(joined, all);
        }
    }
}

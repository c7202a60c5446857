//! The non-volatile memory of the lab's module as a file of the folder that the lab keeps its state in: one for each
//! model, as another model is another module. The card goes from one to the other.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use modem::{Model, Nvm, NvmStore};

use crate::lab::LabError;
use crate::peer::file_name;

/// The folder of these files in the folder of the state.
const FOLDER: &str = "modem";

/// The file of a module.
pub(crate) struct NvmFile {
    path: PathBuf,
}

impl NvmFile {
    /// The file for a model, and what it holds. One that cannot be read is an error, and stays as it is.
    pub(crate) fn open(state: &Path, model: &Model) -> Result<(Self, Option<Nvm>), LabError> {
        let folder = state.join(FOLDER);
        let path = folder.join(format!("{}.toml", file_name(&model.identity.model)));
        let failed = |source| LabError::Io { what: path.display().to_string(), source };
        std::fs::create_dir_all(&folder).map_err(failed)?;
        let nvm = match std::fs::read_to_string(&path) {
            Ok(text) => match Nvm::parse(&text, model) {
                Ok(nvm) => Some(nvm),
                Err(source) => return Err(LabError::Nvm { path, source }),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed(error)),
        };
        Ok((NvmFile { path }, nvm))
    }

    /// Writes beside the file, and moves what is whole into its place.
    fn write(&self, text: &str) -> io::Result<()> {
        let beside = self.path.with_extension("new");
        let mut file = File::create(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_data()?;
        std::fs::rename(&beside, &self.path)
    }
}

impl NvmStore for NvmFile {
    fn save(&mut self, text: &str) {
        if let Err(error) = self.write(text) {
            // The module goes on with it; only the next start will not have it.
            eprintln!("esimlab: the memory of the module is not kept in {}: {error}", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_there_the_next_time() {
        let folder = tempfile::tempdir().unwrap();
        let model = Model::named("RM500Q-GL").unwrap();
        let (mut file, nothing) = NvmFile::open(folder.path(), &model).unwrap();
        assert_eq!(nothing, None);
        file.save("format = 2\n");
        let path = folder.path().join("modem/RM500Q-GL.toml");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "format = 2\n");
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        let refused = NvmFile::open(folder.path(), &model).err().unwrap().to_string();
        assert!(refused.contains("modem/RM500Q-GL.toml: ") && refused.contains("format 2"), "{refused}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "format = 2\n", "it is left alone");
        std::fs::write(&path, [0xFF, 0xFE]).unwrap();
        assert!(NvmFile::open(folder.path(), &model).is_err());
        assert_eq!(NvmFile::open(folder.path(), &Model::named("EC200U").unwrap()).unwrap().1, None);
    }
}

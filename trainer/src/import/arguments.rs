//! The command line of `import`.

use crate::dataset_write::{NewFolder, SplitChoice};
use crate::training_folder::Split;
use mindeye_config::Failure;
use std::path::{Path, PathBuf};

/// What the source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Source {
    /// The Natural Scenes Dataset's own files (Allen et al. 2022).
    Nsd,
    /// Shards of MindEye's webdataset.
    Webdataset,
    /// Derivatives of `mindeye-preprocess run`.
    Bids,
    /// One numpy archive.
    Npz,
}

impl Source {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Nsd => "nsd",
            Self::Webdataset => "webdataset",
            Self::Bids => "bids",
            Self::Npz => "npz",
        }
    }
}

/// Turns recorded data into a training folder.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// What the source is
    #[arg(long, value_enum)]
    pub(super) from: Source,
    /// Files or folders of the source
    #[arg(long, num_args = 1.., required = true)]
    pub(super) source: Vec<PathBuf>,
    /// Training folder to make
    #[arg(long)]
    pub(super) out: PathBuf,
    /// Which image is for what: a table with the columns image and split; else as the source says, else by hash
    #[arg(long)]
    split: Option<PathBuf>,
    /// Seed of the hash that chooses test images where nothing else does
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Share of images that the hash takes for testing
    #[arg(long, default_value_t = 0.1)]
    test_share: f64,
    /// Folder of pictures, IMAGE.png or .jpg
    #[arg(long, value_name = "DIR")]
    pub(super) images: Option<PathBuf>,
    /// Targets, float32 .npy [images, T, D], rows in ascending order of the images' names
    #[arg(long, value_name = "FILE")]
    pub(super) targets: Option<PathBuf>,
    /// Mask whose voxels the betas have
    #[arg(long)]
    pub(super) mask: Option<PathBuf>,
    /// EPI reference on the mask's grid
    #[arg(long)]
    pub(super) reference: Option<PathBuf>,
    /// bids: the events table of each source, in order; else events.tsv in its folder
    #[arg(long, num_args = 1..)]
    pub(super) events: Vec<PathBuf>,
    /// nsd: subject, 1 to 8
    #[arg(long, default_value_t = 1)]
    pub(super) subject: u32,
    /// nsd: folder of betas
    #[arg(long, default_value = "betas_fithrf_GLMdenoise_RR")]
    pub(super) betas: String,
    /// nsd: write the pictures too
    #[arg(long)]
    pub(super) stimuli: bool,
}

impl Arguments {
    pub(super) fn check(&self) -> Result<(), Failure> {
        let named = self.source.iter().map(|path| ("--source", path));
        let named = named.chain(self.events.iter().map(|path| ("--events", path)));
        let options = [
            ("--split", &self.split),
            ("--images", &self.images),
            ("--targets", &self.targets),
            ("--mask", &self.mask),
            ("--reference", &self.reference),
        ];
        let options = options.into_iter().filter_map(|(flag, path)| Some((flag, path.as_ref()?)));
        if let Some((flag, path)) = named.chain(options).find(|(_, path)| !path.exists()) {
            return Err(Failure::usage(format!("{flag} {}: does not exist", path.display())));
        }
        if self.out.exists() {
            return Err(Failure::usage(format!(
                "--out {}: exists already; name another or remove it",
                self.out.display()
            )));
        }
        if !(self.test_share > 0.0 && self.test_share < 1.0) {
            return Err(Failure::usage(format!("--test-share {}: must lie between 0 and 1", self.test_share)));
        }
        Ok(())
    }

    /// A file beats the source beats the hash.
    pub(super) fn split_choice(&self, source_says: bool) -> SplitChoice {
        match &self.split {
            Some(path) => SplitChoice::File(path.clone()),
            None if source_says => SplitChoice::Source,
            None => SplitChoice::Hash { seed: self.seed, test_share: self.test_share },
        }
    }

    #[expect(clippy::print_stdout, reason = "standard output is where a program's answer goes")]
    pub(super) fn tell(&self, folder: &NewFolder) {
        let count = |part: Split| folder.trials.iter().filter(|trial| trial.split == part).count();
        println!(
            "{}: {} trials ({} train, {} validation, {} test), {} voxels, split by {}",
            self.out.display(),
            folder.trials.len(),
            count(Split::Train),
            count(Split::Validation),
            count(Split::Test),
            folder.voxels.ncols(),
            folder.facts.provenance.split
        );
        folder.facts.provenance.notes.iter().for_each(|note| println!("  note: {note}"));
    }
}

/// File name of `path`, for messages that must not tell where a participant's data lie.
pub(super) fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

//! The decoder: a warm bundle that turns one z-scored pattern into the products that there is time for.

use crate::running::RunningNetwork;
use crate::{Bundle, DecodeError, Gallery, Network, NetworkReport, Parity, Picture, Retrieval, WarmUpReport, parity};
use mindeye_config::{Clock, Dimensions, EngineKind, NetworkEntry, Step, Timings};
use mindeye_engine::Engine;
use mindeye_preprocess::Pattern;
use std::sync::Arc;

/// Which products a bundle can make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Products {
    /// Scores of the gallery: needs the backbone and a gallery.
    pub retrieval: bool,
    /// The low-level picture: needs low-level network and VAE decoder.
    pub blurry: bool,
}

/// Networks that reproduced their golden cases, and the gallery. Equal patterns give equal bytes.
pub struct Decoder {
    engine: Box<dyn Engine>,
    clock: Arc<dyn Clock>,
    dimensions: Dimensions,
    gallery: Option<Arc<Gallery>>,
    backbone: Option<RunningNetwork>,
    low_level: Option<RunningNetwork>,
    vae_decoder: Option<RunningNetwork>,
}

impl Decoder {
    /// Opens every network of `bundle` on `engine` and runs its golden case once (run 0 of a mock's plan). On the mock
    /// only names and shapes can be checked, and the report says so.
    ///
    /// # Errors
    /// [`DecodeError::Engine`] when a network cannot be opened or run, [`DecodeError::NonFinite`], and
    /// [`DecodeError::Parity`] naming network, output, amount and tolerance.
    pub fn warm_up(
        bundle: &Bundle,
        engine: Box<dyn Engine>,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, WarmUpReport), DecodeError> {
        let mut report = WarmUpReport { engine: engine.describe(), networks: Vec::new() };
        let mut ready = |network: Network| -> Result<Option<RunningNetwork>, DecodeError> {
            let Some(entry) = bundle.manifest.network(network.key()) else { return Ok(None) };
            let (running, proof) = prove(bundle, network, entry, engine.as_ref(), clock.as_ref())?;
            report.networks.push(proof);
            Ok(Some(running))
        };
        let backbone = ready(Network::Backbone)?;
        let low_level = ready(Network::LowLevel)?;
        let vae_decoder = ready(Network::VaeDecoder)?;
        let (dimensions, gallery) = (bundle.manifest.dimensions.clone(), bundle.gallery.clone());
        Ok((Self { engine, clock, dimensions, gallery, backbone, low_level, vae_decoder }, report))
    }

    /// The kind of engine that computes.
    #[must_use]
    pub fn engine(&self) -> EngineKind {
        self.engine.kind()
    }

    /// Which products this bundle can make.
    #[must_use]
    pub fn products(&self) -> Products {
        Products {
            retrieval: self.backbone.is_some() && self.gallery.is_some(),
            blurry: self.low_level.is_some() && self.vae_decoder.is_some(),
        }
    }

    /// Scores the gallery against a z-scored pattern, `f32[voxels]`; adds its times to `backbone` and `retrieval`.
    ///
    /// # Errors
    /// [`DecodeError::NoProduct`], [`DecodeError::Voxels`], or what engine or gallery say.
    pub fn retrieve(&mut self, zscored: &Pattern, timings: &mut Timings) -> Result<Retrieval, DecodeError> {
        self.check_voxels(zscored)?;
        let (engine, clock) = (self.engine.as_ref(), self.clock.as_ref());
        let backbone = part("retrieval", "backbone", self.backbone.as_mut())?;
        let gallery = part("retrieval", "gallery", self.gallery.as_ref())?;

        let outputs = timed(clock, timings, Step::Backbone, || backbone.run(engine, &[&zscored.0]))?;
        let retrieval_tokens = &outputs[1];
        Ok(timed(clock, timings, Step::Retrieval, || gallery.score(retrieval_tokens))?)
    }

    /// Decodes the low-level picture of a z-scored pattern, `f32[voxels]`; adds its times to `low_level` and `vae`.
    /// MindEye decodes, encodes and samples that picture once more before diffusion; this is the first decoding
    /// (spec: diffusion section 2.3).
    ///
    /// # Errors
    /// [`DecodeError::NoProduct`], [`DecodeError::Voxels`], or what the engine says.
    pub fn blurry(&mut self, zscored: &Pattern, timings: &mut Timings) -> Result<Picture, DecodeError> {
        self.check_voxels(zscored)?;
        let (engine, clock) = (self.engine.as_ref(), self.clock.as_ref());
        let low_level = part("blurry", "low-level", self.low_level.as_mut())?;
        let vae_decoder = part("blurry", "vae-decoder", self.vae_decoder.as_mut())?;

        let outputs = timed(clock, timings, Step::LowLevel, || low_level.run(engine, &[&zscored.0]))?;
        let latent = unscaled(&outputs[0], self.dimensions.latent_scale);
        timed(clock, timings, Step::Vae, || {
            let image = &vae_decoder.run(engine, &[&latent])?[0];
            Picture::from_planes(image, self.dimensions.picture)
        })
    }

    fn check_voxels(&self, pattern: &Pattern) -> Result<(), DecodeError> {
        let (expected, found) = (self.dimensions.voxels, pattern.len());
        if found == expected { Ok(()) } else { Err(DecodeError::Voxels { expected, found }) }
    }
}

/// Opens a network and holds it against its golden case.
fn prove(
    bundle: &Bundle,
    network: Network,
    entry: &NetworkEntry,
    engine: &dyn Engine,
    clock: &dyn Clock,
) -> Result<(RunningNetwork, NetworkReport), DecodeError> {
    let started = clock.now();
    let path = bundle.dir.join(&entry.path);
    let mut running = RunningNetwork::open(engine, network, path, &bundle.manifest.dimensions)?;
    let opened = clock.now();
    let inputs = bundle.golden.inputs(network);
    let outputs = running.run(engine, &inputs)?;
    let finished = clock.now();
    let parity = match engine.kind() {
        EngineKind::Mock => Parity::NotChecked,
        _ => parity::check(network, outputs, &bundle.golden.outputs(network), entry)?,
    };
    let report = NetworkReport { network, opening: opened.since(started), first_run: finished.since(opened), parity };
    Ok((running, report))
}

fn part<T>(product: &'static str, missing: &'static str, part: Option<T>) -> Result<T, DecodeError> {
    part.ok_or(DecodeError::NoProduct { product, missing })
}

/// Runs `work` and books its time under `step`, also when it fails.
fn timed<T>(clock: &dyn Clock, timings: &mut Timings, step: Step, work: impl FnOnce() -> T) -> T {
    let started = clock.now();
    let result = work();
    timings.add(step, clock.now().since(started));
    result
}

/// The low-level network predicts latents in the diffusion's scale; AutoencoderKL's decoder takes them without it.
fn unscaled(latent: &[f32], latent_scale: f64) -> Vec<f32> {
    latent.iter().map(|v| (f64::from(*v) / latent_scale) as f32).collect()
}

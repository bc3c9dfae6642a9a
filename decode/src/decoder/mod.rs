//! The decoder: a warm bundle that turns one z-scored pattern into the products that there is time for.

mod networks;

pub(crate) use networks::{Networks, Running, missing};

use crate::effort::{Effort, Offers, StepTimes, Work};
use crate::picture::PixelRange;
use crate::reconstruction::{Reconstruction, Setup, rehearse};
use crate::running::RunningNetwork;
use crate::sampler::LoopPlace;
use crate::{
    Bundle, DecodeError, FrontEnd, Gallery, Network, NetworkReport, Parity, Picture, Retrieval, TrialNoise,
    TwoStageGallery, WarmUpReport, parity,
};
use mindeye_config::{Budget, Clock, Dimensions, EngineKind, NetworkEntry, SchedulerConfig, Step, Timings};
use mindeye_engine::Engine;
use mindeye_preprocess::Pattern;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Which products a bundle can make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Products {
    /// Scores of the gallery: needs the backbone and a gallery.
    pub retrieval: bool,
    /// The low-level picture: needs the low-level network and a decoder, VAE or TAESD.
    pub blurry: bool,
    /// The full reconstruction: needs backbone, prior, UNet and a decoder.
    pub reconstruction: bool,
}

/// Networks that reproduced their golden cases, and the gallery. Equal patterns and noise give equal bytes.
pub struct Decoder {
    pub(crate) networks: Networks,
    pub(crate) dimensions: Dimensions,
    scheduler: SchedulerConfig,
    gallery: Option<Arc<Gallery>>,
    two_stage: Option<Arc<TwoStageGallery>>,
    /// Time for the second look at a gallery that has a first.
    retrieval_limit: Duration,
}

/// Default time for the second look: the best thousand of a gallery of full tokens are 0.79 GB of reading, some 80 ms on two
/// cores.
const RETRIEVAL_LIMIT: Duration = Duration::from_millis(100);

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
        Self::warm_up_only(bundle, engine, clock, &Network::ALL)
    }

    /// The same with those networks of the bundle that are among `wanted`: for a decoder that has a part of the work.
    ///
    /// # Errors
    /// As [`Decoder::warm_up`].
    pub fn warm_up_only(
        bundle: &Bundle,
        engine: Box<dyn Engine>,
        clock: Arc<dyn Clock>,
        wanted: &[Network],
    ) -> Result<(Self, WarmUpReport), DecodeError> {
        let mut report = WarmUpReport { engine: engine.describe(), networks: Vec::new() };
        let mut running = BTreeMap::new();
        for network in wanted.iter().copied() {
            let Some(entry) = bundle.manifest.network(network.key()) else { continue };
            let (opened, proof) = prove(bundle, network, entry, engine.as_ref(), clock.as_ref())?;
            report.networks.push(proof);
            running.insert(network, opened);
        }
        let networks = Networks::new(engine, clock, StepTimes::from_warm_up(&report), running)?;
        let (dimensions, scheduler) = (bundle.manifest.dimensions.clone(), bundle.scheduler.clone());
        let (gallery, two_stage) = (bundle.gallery.clone(), bundle.two_stage.clone());
        let mut decoder =
            Self { networks, dimensions, scheduler, gallery, two_stage, retrieval_limit: RETRIEVAL_LIMIT };
        decoder.rehearse()?;
        Ok((decoder, report))
    }

    /// Where the engine computes on a device, runs each network twice more and takes the first step of each loop: kernels
    /// are built in the first run (seconds, for a published UNet) and graphs are captured for each thread. Who decodes on
    /// another thread than that of warm-up calls this there before the first trial. On a host nothing happens.
    ///
    /// # Errors
    /// What the engine says.
    pub fn rehearse(&mut self) -> Result<(), DecodeError> {
        self.networks.settle()?;
        match self.setup(Effort::Full) {
            Ok(setup) => rehearse(&mut self.networks, &setup.prior, &setup.latent),
            Err(_) => Ok(()), // `begin` says what is missing, to whoever asks for a picture
        }
    }

    /// The kind of engine that computes.
    #[must_use]
    pub fn engine(&self) -> EngineKind {
        self.networks.engine.kind()
    }

    /// Where the prior's loop and the latent's run: on the host with an engine that computes there, on a device where the
    /// bundle has the graphs for it (`prior-step`; `step`, `branches` and a UNet of both branches).
    #[must_use]
    pub fn loops(&self) -> [LoopPlace; 2] {
        [self.networks.prior_loop(), self.networks.latent_loop()]
    }

    /// The same decoder with its loops at `place` as far as the bundle has the graphs for it: to hold one against the
    /// other.
    #[must_use]
    pub fn with_loops(mut self, place: LoopPlace) -> Self {
        self.networks.wanted_place = place;
        self
    }

    /// Which products this bundle can make.
    #[must_use]
    pub fn products(&self) -> Products {
        let has = |network| self.networks.has(network);
        let renders = has(Network::VaeDecoder) || has(Network::TaesdDecoder);
        Products {
            retrieval: has(Network::Backbone) && self.gallery.is_some(),
            blurry: has(Network::LowLevel) && renders,
            reconstruction: [Network::Backbone, Network::Prior, Network::Unet].into_iter().all(has) && renders,
        }
    }

    /// What each effort would run, for the ladder; an effort that this bundle cannot make is not offered.
    #[must_use]
    pub fn offers(&self) -> Offers {
        let products = self.products();
        let mut offers = Offers::default();
        if products.retrieval {
            offers.add(Effort::Retrieval, [(Network::Backbone, 1)]);
        }
        if products.blurry {
            offers.add(Effort::Blurry, [(Network::LowLevel, 1), (self.preview_renderer(), 1)]);
        }
        for effort in [Effort::Fast, Effort::Full] {
            if let Ok(setup) = self.setup(effort) {
                offers.add_work(effort, setup.work(0));
            }
        }
        offers
    }

    /// Plans with the times of `budget` until a network has run live: they were measured under load, the one run of warm-up
    /// was not. A row is a trial's; it is shared among the runs of a full trial, so that steps whose time goes to several
    /// networks (the VAE's picture and TAESD's) are left to warm-up.
    pub fn expect(&mut self, budget: &Budget) {
        let offers = self.offers();
        let work = [Effort::Retrieval, Effort::Blurry, offers.best()].map(|effort| offers.work(effort));
        let trial = work.into_iter().flatten().fold(Work::default(), |sum, work| sum + work);
        self.networks.times.expect(budget, &trial);
    }

    /// What each network has taken lately on this machine.
    #[must_use]
    pub fn times(&self) -> &StepTimes {
        &self.networks.times
    }

    /// The same decoder with `candidates` pictures for a full reconstruction, instead of the bundle's number.
    #[must_use]
    pub fn with_candidates(mut self, candidates: u32) -> Self {
        self.scheduler.candidates = candidates;
        self
    }

    /// The same decoder with at most `limit` for the second look at a gallery that has coarse vectors for a first.
    #[must_use]
    pub fn with_retrieval_limit(mut self, limit: Duration) -> Self {
        self.retrieval_limit = limit;
        self
    }

    /// Decodes with `front_end` in the backbone's place from now on; with `None` the backbone answers again.
    pub fn use_front_end(&mut self, front_end: Option<&Arc<FrontEnd>>) {
        let is_in_use = match (self.networks.front_end(), front_end) {
            (Some(old), Some(new)) => Arc::ptr_eq(old, new),
            (None, None) => true,
            _ => false,
        };
        if !is_in_use {
            self.networks.set_front_end(front_end.cloned());
        }
    }

    /// Scores the gallery against a z-scored pattern, `f32[voxels]`; adds its times to `backbone` and `retrieval`.
    ///
    /// # Errors
    /// [`DecodeError::NoProduct`], [`DecodeError::Voxels`], or what engine or gallery say.
    pub fn retrieve(&mut self, zscored: &Pattern, timings: &mut Timings) -> Result<Retrieval, DecodeError> {
        const PRODUCT: &str = "retrieval";
        self.check_voxels(zscored)?;
        let lacks_gallery = DecodeError::NoProduct { product: PRODUCT, missing: "gallery" };
        let gallery = match self.networks.has(Network::Backbone) {
            true => self.gallery.as_ref().ok_or(lacks_gallery)?,
            false => return Err(missing(PRODUCT, Network::Backbone)),
        };
        let clock = Arc::clone(&self.networks.clock);
        let outputs = self.networks.run(PRODUCT, Network::Backbone, &[&zscored.0], timings)?;
        let retrieval_tokens = &outputs[1];
        let deadline = clock.now() + self.retrieval_limit;
        let score = || match &self.two_stage {
            Some(pair) => pair.score(retrieval_tokens, deadline, clock.as_ref()),
            None => gallery.score(retrieval_tokens),
        };
        Ok(timed(clock.as_ref(), timings, Step::Retrieval, score)?)
    }

    /// Decodes the low-level picture of a z-scored pattern, `f32[voxels]`; adds its times to `low_level` and `vae`.
    /// MindEye decodes, encodes and samples that picture once more before diffusion; this is the first decoding
    /// (spec: diffusion section 2.3). A bundle without a VAE decoder takes TAESD's.
    ///
    /// # Errors
    /// [`DecodeError::NoProduct`], [`DecodeError::Voxels`], or what the engine says.
    pub fn blurry(&mut self, zscored: &Pattern, timings: &mut Timings) -> Result<Picture, DecodeError> {
        const PRODUCT: &str = "blurry";
        self.check_voxels(zscored)?;
        if !self.products().blurry && self.networks.has(Network::LowLevel) {
            return Err(missing(PRODUCT, Network::VaeDecoder));
        }
        let renderer = self.preview_renderer();
        let latent = self.networks.run(PRODUCT, Network::LowLevel, &[&zscored.0], timings)?[0].clone();
        self.render(PRODUCT, renderer, &latent, timings)
    }

    /// A reconstruction of a z-scored pattern, `f32[voxels]`, at [`Effort::Full`] or [`Effort::Fast`]. Nothing has run yet:
    /// each call of [`Reconstruction::step`] runs a network once.
    ///
    /// # Errors
    /// [`DecodeError::NoProduct`] naming the network that is missing, [`DecodeError::Voxels`].
    pub fn begin(&self, zscored: &Pattern, effort: Effort, noise: TrialNoise) -> Result<Reconstruction, DecodeError> {
        self.check_voxels(zscored)?;
        Ok(Reconstruction::new(zscored.clone(), self.setup(effort)?, noise))
    }

    fn setup(&self, effort: Effort) -> Result<Setup, DecodeError> {
        Setup::new(&self.networks, &self.scheduler, effort)
    }

    /// The VAE where there is one: the blurry picture is also a result of its own.
    fn preview_renderer(&self) -> Network {
        if self.networks.has(Network::VaeDecoder) { Network::VaeDecoder } else { Network::TaesdDecoder }
    }

    /// The picture of a scaled latent, f32[4, h, w].
    pub(crate) fn render(
        &mut self,
        product: &'static str,
        renderer: Network,
        latent: &[f32],
        timings: &mut Timings,
    ) -> Result<Picture, DecodeError> {
        let (size, scale) = (self.dimensions.picture, self.dimensions.latent_scale);
        let (latent, range) = match renderer {
            Network::TaesdDecoder => (latent.to_vec(), PixelRange::Unit),
            _ => (unscaled(latent, scale), PixelRange::Symmetric),
        };
        let image = &self.networks.run(product, renderer, &[&latent], timings)?[0];
        Picture::from_planes(image, size, range)
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
    let mut running = RunningNetwork::open(engine, network, path, entry)?;
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

/// Runs `work` and books its time under `step`, also when it fails.
fn timed<T>(clock: &dyn Clock, timings: &mut Timings, step: Step, work: impl FnOnce() -> T) -> T {
    let started = clock.now();
    let result = work();
    timings.add(step, clock.now().since(started));
    result
}

/// The low-level network and the diffusion have latents in the diffusion's scale; AutoencoderKL's decoder takes them
/// without it.
pub(crate) fn unscaled(latent: &[f32], latent_scale: f64) -> Vec<f32> {
    latent.iter().map(|v| (f64::from(*v) / latent_scale) as f32).collect()
}

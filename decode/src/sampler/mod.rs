//! A sampler is a plan: where to evaluate the network, and which linear combination of named tensors comes next.
//!
//! ```text
//!   schedule (f64 scalars) ──► Plan { start, steps: [timestep, guidance, coefficients 3 x 6] } ──► Walk, one step at a time
//! ```
//!
//! Every sampler of the method is linear in six tensors (`Mixed`) with numbers that depend on the step alone. So a plan is
//! data: it can be printed, compared with another program's trace, and walked on the host (`host`) or by the exporter's
//! `step` graph on a device (`crate::reconstruction`). Equations: spec, diffusion section 3, and MindEye section 2.2.

mod ddim;
mod dpm_solver;
mod host;
mod plan;
mod prior;
mod schedule;
mod solver;
mod unipc;
mod walk;

pub(crate) use host::{Field, HostStepper};
pub use plan::{MADE, MIXED, Made, Mixed, Plan, PlanStep, Row, Start};
pub use prior::prior_plan;
pub use schedule::{CosineSchedule, LatentSchedule};
pub(crate) use walk::{Stepper, Walk, first_sample};

use ddim::ddim;
use dpm_solver::dpm_solver;
use mindeye_config::{Sampler, SchedulerConfig};
use unipc::unipc;

/// Where a sampler's tensors are mixed, and so where they are between two steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoopPlace {
    /// On the host, in f64: the oracle of the other, and as good where the engine computes in host memory anyway.
    Host,
    /// In buffers of the engine, by graphs: nothing is downloaded before the last step.
    Device,
}

impl std::fmt::Display for LoopPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Host => "the host",
            Self::Device => "the device",
        })
    }
}

/// From what a latent is walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartFrom {
    /// From the blurry picture's latent with noise added: only the last `strength` of the steps is walked (img2img).
    Picture,
    /// From noise alone, through all steps.
    Noise,
}

/// The plan of a latent's reconstruction in `steps` steps (before the img2img start), as `config` says.
///
/// Guidance goes to the first `guided_share` of the walked steps, and to none at a scale of 1 or less.
#[must_use]
pub fn latent_plan(config: &SchedulerConfig, steps: usize, from: StartFrom) -> Plan {
    let schedule = LatentSchedule::new(config);
    let skipped = match from {
        StartFrom::Picture => steps - config.walked(steps),
        StartFrom::Noise => 0,
    };
    let mut plan = match config.sampler {
        Sampler::Unipc => unipc(&schedule, steps, skipped, config.final_sigma),
        Sampler::DpmSolver => dpm_solver(&schedule, steps, skipped, config.final_sigma),
        Sampler::Ddim => ddim(&schedule, steps, skipped),
    };
    if from == StartFrom::Noise {
        plan.start = Start { signal: 0.0, noise: 1.0 };
    }
    guide(&mut plan.steps, config);
    plan
}

fn guide(steps: &mut [PlanStep], config: &SchedulerConfig) {
    let guided = (steps.len() as f64 * config.guided_share).ceil() as usize;
    let guidance = (config.guidance > 1.0).then_some(config.guidance);
    steps[..guided].iter_mut().for_each(|step| step.guidance = guidance);
}

//! The renderer's networks, losses and gradients are those of diffusers and transformers
//! (tests/oracle/_make_renderer_fixture.py), and its tensors those of the exporter's demo.
#![cfg(feature = "libtorch")]

#[path = "learning_support/fixture.rs"]
mod fixture;

use fixture::{Fixture, assert_close};
use mindeye_config::{ModelDimensions, OptimiserConfig, RendererDimensions, SchedulerConfig, TrainingPrecision};
use mindeye_decode::sampler::LatentSchedule;
use mindeye_exporter::bundle::{Size, Sizes};
use mindeye_exporter::networks::Network;
use mindeye_trainer::CyclePoint;
use mindeye_trainer::learning::{
    AdamW, Parameters, Posterior, bi_mix_co, clip_image, noised, unet, vae_decode, vae_encode,
};
use mindeye_trainer::networks::{Autoencoder, ClipImage, Layout, Unet};
use std::collections::BTreeSet;
use tch::{Device, Kind, Reduction, Tensor};

/// As in the script.
const KL_WEIGHT: f64 = 1e-2;
const TEMPERATURE: f64 = 0.1;

/// The loss of a network with these weights on the fixture's inputs.
type Loss = dyn Fn(&Fixture, &Parameters) -> Tensor;

/// One network of the fixture: its name, tensors, and loss.
struct Case {
    name: &'static str,
    layout: Layout,
    loss: Box<Loss>,
}

fn cases() -> [Case; 3] {
    let vae = Autoencoder { channels: vec![4, 8], resnets: 1, norm_groups: 2, latent_side: 4 };
    let clip = ClipImage { patch: 4, tokens: 5, token_dim: 10, width: 12, mlp: 20, layers: 2, heads: 2 };
    let denoiser = Unet {
        channels: vec![8, 16],
        attends: vec![true, false],
        resnets: 1,
        heads: 2,
        time_width: 32,
        token_dim: 6,
        tokens: 5,
        norm_groups: 4,
        latent_side: 4,
    };
    [
        Case { name: "vae", layout: vae.layout(), loss: Box::new(move |f, p| vae_loss(&vae, f, p)) },
        Case { name: "encoder", layout: clip.layout(), loss: Box::new(move |f, p| encoder_loss(&clip, f, p)) },
        Case { name: "unet", layout: denoiser.layout(), loss: Box::new(move |f, p| unet_loss(&denoiser, f, p)) },
    ]
}

fn vae_loss(sizes: &Autoencoder, fixture: &Fixture, parameters: &Parameters) -> Tensor {
    let pictures = fixture.get("vae.in.pictures");
    let posterior = Posterior::of(&vae_encode(sizes, parameters, pictures));
    let answer = vae_decode(sizes, parameters, &posterior.sample(fixture.get("vae.in.noise")));
    answer.l1_loss(pictures, Reduction::Mean) + posterior.divergence() * KL_WEIGHT
}

fn encoder_loss(sizes: &ClipImage, fixture: &Fixture, parameters: &Parameters) -> Tensor {
    let tokens = |view: &str| clip_image(sizes, parameters, fixture.get(&format!("encoder.in.{view}")));
    let same = Tensor::eye(3, (Kind::Float, Device::Cpu));
    bi_mix_co(&tokens("one"), &tokens("other"), &same, TEMPERATURE)
}

fn unet_loss(sizes: &Unet, fixture: &Fixture, parameters: &Parameters) -> Tensor {
    let input = |name: &str| fixture.get(&format!("unet.in.{name}"));
    let schedule = LatentSchedule::new(&SchedulerConfig::default());
    let steps = Vec::<f64>::try_from(input("timestep").to_kind(Kind::Double)).unwrap();
    let kept: Vec<f32> = steps.iter().map(|t| schedule.alpha_cumprod(*t as usize) as f32).collect();
    let x = noised(input("latents"), input("noise"), &Tensor::from_slice(&kept));
    unet(sizes, parameters, &x, input("timestep"), input("tokens")).mse_loss(input("noise"), Reduction::Mean)
}

fn read(case: &Case, fixture: &Fixture) -> Parameters {
    let home = tempfile::tempdir().unwrap();
    let file = fixture.file(home.path(), &format!("{}.w.", case.name), &[]);
    Parameters::read(&file, case.layout.clone(), |_| false, Device::Cpu).unwrap()
}

fn gradients(parameters: &Parameters, loss: &Tensor) -> Vec<Tensor> {
    let trained: Vec<&Tensor> = parameters.trained().map(|(_, tensor)| tensor).collect();
    Tensor::run_backward(&[loss], &trained, false, false)
}

#[test]
fn losses_gradients_and_one_step_of_every_network_are_those_of_diffusers_and_transformers() {
    let fixture = Fixture::read("tiny_renderer");
    for case in cases() {
        let (name, parameters) = (case.name, read(&case, &fixture));
        let loss = (case.loss)(&fixture, &parameters);
        let expected = fixture.number(&format!("{name}.loss"));
        let off = (loss.double_value(&[]) / expected - 1.0).abs();
        // 2e-5: float32 on both sides, sums in another order.
        assert!(off < 2e-5, "{name}: loss {} instead of {expected}", loss.double_value(&[]));
        let found = gradients(&parameters, &loss);
        for ((slot, _), gradient) in parameters.trained().zip(&found) {
            let expected = fixture.get(&format!("{name}.grad.{}", slot.key));
            // Gradients that are zero but for rounding (a key's bias, under softmax) are compared with the rest.
            if expected.abs().max().double_value(&[]) > 1e-5 {
                assert_close(&format!("{name}: {}", slot.key), gradient, expected, 5e-4);
            }
        }
        check_one_step(name, &fixture, &parameters, &found);
    }
}

/// One update of AdamW moves the tensors that the fixture kept as `torch.optim.AdamW` does.
fn check_one_step(name: &str, fixture: &Fixture, parameters: &Parameters, gradients: &[Tensor]) {
    let before = parameters.snapshot();
    let config = OptimiserConfig::default();
    AdamW::new(&config, parameters).update(parameters, gradients, CyclePoint { learning_rate: 1e-3, momentum: 0.9 });
    let mut compared = 0;
    for (slot, tensor) in parameters.trained().filter(|(slot, _)| slot.key.ends_with("bias") && slot.len() <= 12) {
        if fixture.get(&format!("{name}.grad.{}", slot.key)).abs().min().double_value(&[]) > 1e-5 {
            let moved = |after: &Tensor| after - &before[&slot.key];
            let expected = moved(fixture.get(&format!("{name}.after.{}", slot.key)));
            // 2e-2: a first step is the sign of the gradient, written over numbers a thousand times larger in float32.
            assert_close(&format!("{name} after a step: {}", slot.key), &moved(tensor), &expected, 2e-2);
            compared += 1;
        }
    }
    assert!(compared > 3, "{name}: {compared} tensors compared");
}

#[test]
fn bfloat16_rounds_products_alone_and_stays_near() {
    let fixture = Fixture::read("tiny_renderer");
    for case in cases() {
        let mut parameters = read(&case, &fixture);
        let exact = (case.loss)(&fixture, &parameters);
        parameters.set_precision(TrainingPrecision::Bf16);
        let rounded = (case.loss)(&fixture, &parameters);
        let off = ((&rounded - &exact) / &exact).abs().double_value(&[]);
        // 5e-2: one rounding is 4e-3, and a dozen layers follow each other; 0 would mean that nothing was rounded.
        assert!(off > 0.0 && off < 5e-2, "{}: {off:.1e}", case.name);
        let found = gradients(&parameters, &rounded);
        assert!(found.iter().all(|g| g.kind() == Kind::Float), "{}: gradients belong to float32 weights", case.name);
    }
}

#[test]
fn the_demo_renderer_has_the_tensors_of_the_exporters_demo() {
    let model: ModelDimensions = toml::from_str(include_str!("../../config/model/demo.toml")).unwrap();
    let renderer: RendererDimensions = toml::from_str(include_str!("../../config/renderer/demo.toml")).unwrap();
    let theirs = Sizes::of(&model, model.voxels, Size::Demo).unwrap();
    let of = |network: &dyn Network| network.layout().tensors;
    let clip = ClipImage::of(&model, &renderer).unwrap();
    let pairs = [
        ("vae", Autoencoder::of(&model).layout(), [of(&theirs.vae_encoder), of(&theirs.vae_decoder)].concat()),
        ("unet", Unet::of(&model, &renderer).layout(), of(&theirs.unet)),
        ("encoder", clip.layout(), of(theirs.clip_image.as_ref().unwrap())),
    ];
    for (name, ours, theirs) in pairs {
        let ours: BTreeSet<_> = ours.slots.into_iter().map(|slot| (slot.key, slot.shape)).collect();
        let theirs: BTreeSet<_> = theirs.into_iter().collect();
        assert_eq!(ours, theirs, "{name}");
    }
}

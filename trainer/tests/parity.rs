//! Networks, losses, gradients and optimiser give PyTorch's numbers (tests/oracle/_make_training_fixture.py).
#![cfg(feature = "libtorch")]

#[path = "learning_support/fixture.rs"]
mod fixture;

use fixture::{Fixture, assert_close, relative};
use mindeye_config::{MixcoTarget, OptimiserConfig};
use mindeye_trainer::learning::{
    AdamW, Kept, Parameters, PriorNetwork, backbone, bi_mix_co, low_level, mix, noised, soft_clip, teacher_contrast,
};
use mindeye_trainer::networks::{Backbone, FrontEnd, Layout, LowLevel, Prior};
use mindeye_trainer::{Mixing, OneCycle, cosine_alphas_cumprod};
use tch::{Device, Kind, Reduction, Tensor};

const TOKENS: usize = 3;
const DIM: usize = 10;

fn sizes() -> (Backbone, Prior, Layout) {
    let backbone = Backbone {
        front_end: FrontEnd::None,
        inputs: 13,
        hidden: 12,
        blocks: 2,
        tokens: TOKENS,
        token_dim: DIM,
        projector_hidden: 14,
    };
    let prior = Prior { tokens: TOKENS, token_dim: DIM, depth: 2, heads: 2, head_dim: 8 };
    let mut layout = backbone.layout();
    layout.extend(prior.layout());
    (backbone, prior, layout)
}

/// One batch of the fixture through networks and losses.
struct Step {
    tokens: Tensor,
    projected: Tensor,
    predicted: Tensor,
    prior: Tensor,
    faithful: Tensor,
    clean: Tensor,
    soft: Tensor,
}

fn step(fixture: &Fixture, parameters: &Parameters) -> Step {
    let (backbone_sizes, prior_sizes, _) = sizes();
    let input = |name: &str| fixture.get(&format!("in.{name}"));
    let whole = |name: &str| Vec::<i64>::try_from(input(name).to_kind(Kind::Int64)).unwrap();
    let mixing = Mixing {
        partner: whole("partner").into_iter().map(|i| i as usize).collect(),
        weight: Vec::<f32>::try_from(input("weight")).unwrap(),
    };
    let answer = backbone(&backbone_sizes, parameters, &mix(input("voxels"), &mixing), 0, None);
    let target = input("target");
    let mixed = |kind| {
        let weights = Tensor::from_slice(&mixing.target(kind)).view([5, 5]);
        bi_mix_co(&answer.projected, target, &weights, 0.006)
    };
    let kept: Vec<f32> = cosine_alphas_cumprod(100).into_iter().map(|a| a as f32).collect();
    let timestep = Tensor::from_slice(&whole("timestep"));
    let clean = target * (DIM as f64).sqrt();
    let x = noised(&clean, input("noise"), &Tensor::from_slice(&kept).index_select(0, &timestep));
    let keep = |name: &str| input(name).to_kind(Kind::Bool);
    let conditions = Kept { brain: keep("keep_brain"), noised: keep("keep_noised") };
    let network = PriorNetwork::new(prior_sizes, Device::Cpu);
    let predicted = network.forward(parameters, &x, &timestep, &answer.tokens, Some(&conditions));
    Step {
        prior: predicted.mse_loss(&clean, Reduction::Mean),
        faithful: mixed(MixcoTarget::Faithful),
        clean: mixed(MixcoTarget::Clean),
        soft: soft_clip(&answer.projected, target, 0.005),
        tokens: answer.tokens,
        projected: answer.projected,
        predicted,
    }
}

fn parameters(fixture: &Fixture, prefix: &str, layout: Layout) -> Parameters {
    let home = tempfile::tempdir().unwrap();
    let path = fixture.file(home.path(), prefix, &[]);
    Parameters::read(&path, layout, |_| false, Device::Cpu).unwrap()
}

#[test]
fn forward_passes_and_losses_are_pytorchs() {
    let fixture = Fixture::read("tiny_training");
    let parameters = parameters(&fixture, "w.", sizes().2);
    let found = step(&fixture, &parameters);
    // 1e-5: float32 sums in another order through two residual blocks and two transformer layers.
    for (name, tensor) in [("tokens", &found.tokens), ("projected", &found.projected), ("predicted", &found.predicted)]
    {
        assert_close(name, tensor, fixture.get(&format!("loss.{name}")), 1e-5);
    }
    // 2e-5: logits are divided by a temperature of 0.006, which makes their rounding 170 times as large.
    for (name, loss) in
        [("prior", &found.prior), ("faithful", &found.faithful), ("clean", &found.clean), ("soft", &found.soft)]
    {
        assert_close(name, loss, fixture.get(&format!("loss.{name}")), 2e-5);
    }
    let gap = fixture.number("loss.faithful") - fixture.number("loss.clean");
    assert!(gap.abs() > 1e-3, "the batch has fixed points, so both targets must differ: {gap}");
}

#[test]
fn gradients_of_every_tensor_are_pytorchs() {
    let fixture = Fixture::read("tiny_training");
    let parameters = parameters(&fixture, "w.", sizes().2);
    let found = step(&fixture, &parameters);
    for (name, contrastive) in [("faithful", &found.faithful), ("soft", &found.soft)] {
        let total = contrastive + &found.prior * 30.0;
        let trained: Vec<&Tensor> = parameters.trained().map(|(_, tensor)| tensor).collect();
        let gradients = Tensor::run_backward(&[total], &trained, true, false);
        for ((slot, _), gradient) in parameters.trained().zip(&gradients) {
            let expected = fixture.get(&format!("grad.{name}.{}", slot.key));
            // 2e-4 of the largest: as above, and sums of gradients cancel.
            assert_close(&format!("{name} {}", slot.key), gradient, expected, 2e-4);
        }
    }
}

#[test]
fn three_steps_of_adamw_under_one_cycle_are_pytorchs() {
    let fixture = Fixture::read("tiny_training");
    let parameters = parameters(&fixture, "w.", sizes().2);
    let config = OptimiserConfig { warmup_epochs: 1.5, ..OptimiserConfig::default() };
    let cycle = OneCycle::new(&config, 3, 4);
    let mut optimiser = AdamW::new(&config, &parameters);
    for update in 0..3 {
        let point = cycle.at(update);
        let expected = Vec::<f32>::try_from(fixture.get("rates").get(update as i64)).unwrap();
        // 1e-6: the fixture holds float32.
        assert!((point.learning_rate / f64::from(expected[0]) - 1.0).abs() < 1e-6, "{point:?} {expected:?}");
        assert!((point.momentum / f64::from(expected[1]) - 1.0).abs() < 1e-6, "{point:?} {expected:?}");
        let found = step(&fixture, &parameters);
        let trained: Vec<&Tensor> = parameters.trained().map(|(_, tensor)| tensor).collect();
        let gradients = Tensor::run_backward(&[&found.faithful + &found.prior * 30.0], &trained, false, false);
        optimiser.update(&parameters, &gradients, point);
    }
    for (slot, tensor) in parameters.trained() {
        let moved = tensor - fixture.get(&format!("w.{}", slot.key));
        let expected = fixture.get(&format!("after.{}", slot.key)) - fixture.get(&format!("w.{}", slot.key));
        // 2e-2 of the largest: where a gradient is tiny a step is near its sign times the rate, and rounding decides.
        assert_close(&slot.key, &moved, &expected, 2e-2);
    }
}

/// scale · sin(frequency · (i + 1)), as the oracle makes what is not stored.
fn wave(shape: &[i64], frequency: f64, scale: f64) -> Tensor {
    let count: i64 = shape.iter().product();
    let angles = (Tensor::arange(count, (Kind::Double, Device::Cpu)) + 1.0) * frequency;
    (angles.sin() * scale).to_kind(Kind::Float).view(shape)
}

#[test]
fn the_low_level_network_its_losses_and_gradients_are_pytorchs() {
    let fixture = Fixture::read("tiny_training");
    let sizes = LowLevel {
        voxels: 13,
        hidden: 12,
        blocks: 2,
        map_channels: 6,
        map_side: 2,
        channels: vec![4, 8, 12],
        norm_groups: 2,
    };
    let head = sizes.training_layout().slots.into_iter().filter(|slot| slot.key.starts_with("maps_projector."));
    let head: Vec<(String, Tensor)> = head
        .map(|slot| {
            let shape: Vec<i64> = slot.shape.iter().map(|n| *n as i64).collect();
            let gain =
                if ["maps_projector.1.weight", "maps_projector.4.weight"].contains(&&*slot.key) { 1.0 } else { 0.0 };
            (slot.key, wave(&shape, 0.37, 0.05) + gain)
        })
        .collect();
    let home = tempfile::tempdir().unwrap();
    let path = fixture.file(home.path(), "low.w.", &head);
    let parameters = Parameters::read(&path, sizes.training_layout(), |_| false, Device::Cpu).unwrap();
    let no_dropout = mindeye_config::DropoutConfig { first: 0.0, blocks: 0.0 };
    let answer = low_level(&sizes, &parameters, fixture.get("low.in.voxels"), Some(&no_dropout));
    // 1e-5: float32 sums in another order.
    assert_close("latent", &answer.latent, fixture.get("low.answer"), 1e-5);
    let l1 = answer.latent.l1_loss(fixture.get("low.in.latent"), Reduction::Mean) / 0.18215;
    let student = answer.features.unwrap();
    let (teacher, augmented) = (wave(&student.size(), 0.11, 1.0), wave(&student.size(), 0.13, 1.0));
    let contrast = teacher_contrast(&student, &teacher, &augmented, 0.075);
    assert_close("l1", &l1, fixture.get("low.loss.l1"), 1e-5);
    assert_close("contrast", &contrast, fixture.get("low.loss.contrast"), 1e-5);
    let trained: Vec<&Tensor> = parameters.trained().map(|(_, tensor)| tensor).collect();
    let gradients = Tensor::run_backward(&[l1 + contrast * 0.1], &trained, false, false);
    for ((slot, _), gradient) in parameters.trained().zip(&gradients) {
        let key = &slot.key;
        // 5e-4 of the largest: float32 gradients through seven group normalisations; a probe sums thousands of them.
        if key.starts_with("maps_projector.") {
            let probe = (gradient * wave(&gradient.size(), 0.07, 1.0)).sum(Kind::Float);
            let scale = gradient.norm().double_value(&[]);
            let off = (&probe - fixture.get(&format!("low.probe.{key}"))).double_value(&[]).abs() / scale;
            assert!(off <= 5e-4, "{key}: {off:.2e}");
        } else if key.ends_with("to_k.bias") {
            // Softmax cannot see an offset of all keys: the gradient is zero, and both sides hold its rounding.
            let largest = gradient.abs().max().double_value(&[]);
            assert!(largest < 1e-5, "{key}: {largest:.2e}");
        } else {
            assert_close(key, gradient, fixture.get(&format!("low.grad.{key}")), 5e-4);
        }
    }
}

#[test]
fn the_ridge_variant_is_affine_at_gate_0_and_adds_the_gated_mlp() {
    let sizes =
        Backbone { front_end: FrontEnd::Ridge { participants: vec![13, 9], shared: 12 }, inputs: 12, ..sizes().0 };
    let parameters = Parameters::random(sizes.layout(), 3, Device::Cpu);
    let normal = |shape: [i64; 2]| Tensor::randn(shape, (Kind::Float, Device::Cpu));
    let gate = |value: f64| {
        let _ = tch::no_grad(|| parameters.get("voxel2clip.gate").shallow_clone().fill_(value));
    };
    let tokens = |x: &Tensor, participant| backbone(&sizes, &parameters, x, participant, None).tokens;
    for (participant, voxels) in [(0, 13), (1, 9)] {
        let (x, y) = (normal([4, voxels]), normal([4, voxels]));
        let mean = (&x + &y) / 2.0;
        let bend = |x: &Tensor, y: &Tensor| (tokens(x, participant) + tokens(y, participant)) / 2.0;
        gate(0.0);
        // 1e-5: float32 sums in another order.
        assert_close("affine", &tokens(&mean, participant), &bend(&x, &y), 1e-5);
        let straight = tokens(&x, participant);
        gate(1.0);
        assert!(relative(&tokens(&mean, participant), &bend(&x, &y)) > 1e-3, "the MLP bends the map");
        let residual = tokens(&x, participant) - &straight;
        gate(0.25);
        assert_close("gate", &(tokens(&x, participant) - &straight), &(residual * 0.25), 1e-4);
    }
}

#[test]
fn loading_is_strict_and_tells_everything() {
    let fixture = Fixture::read("tiny_training");
    let home = tempfile::tempdir().unwrap();
    let path = fixture.file(home.path(), "w.", &[("stray".into(), Tensor::zeros([2], (Kind::Float, Device::Cpu)))]);
    let mut layout = sizes().2;
    layout.slots[0].shape = vec![7, 7];
    layout.linear_without_bias("absent", 2, 2);
    let Err(error) = Parameters::read(&path, layout, |_| false, Device::Cpu) else { panic!("loaded") };
    let message = error.to_string();
    for part in [
        "1 missing: absent.weight [2, 2]",
        "1 extra: stray [2]",
        "voxel2clip.lin0.0.weight (expected [7, 7], found [12, 13])",
    ] {
        assert!(message.contains(part), "{message}");
    }
    let broken = Tensor::full([12, 13], f64::NAN, (Kind::Float, Device::Cpu));
    let only = home.path().join("nan.safetensors");
    Tensor::write_safetensors(&[("absent.weight", broken)], &only).unwrap();
    let mut layout = Layout::default();
    layout.linear_without_bias("absent", 12, 13);
    let Err(error) = Parameters::read(&only, layout, |_| false, Device::Cpu) else { panic!("loaded") };
    assert!(error.to_string().contains("NaN or infinite numbers in absent.weight"), "{error}");
}

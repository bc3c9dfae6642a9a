//! Every network against the answers of the code that it comes from: diffusers, transformers and dalle2-pytorch on
//! random weights of their own (`tests/oracle/README.md` tells how the fixtures were made).

mod common;

use common::{Fixture, assert_close, exported, reference};
use mindeye_exporter::networks::Choices;
use mindeye_exporter::reference::Array;

const DIFFUSERS: &str = "diffusion_pytorch_model.safetensors";

/// Holds reference and graph of `name` to the origin's `expected` answer to `inputs`. `seen` turns our output into the
/// origin's convention.
fn check(
    name: &str,
    fixture: &Fixture,
    choices: Choices,
    inputs: &[Array],
    expected: &Array,
    seen: fn(Array) -> Array,
) {
    let model = fixture.folder.path();
    let ours = seen(reference(name, model, &choices, inputs).swap_remove(0));
    assert_close(&ours, expected, &format!("{name}: reference"));
    let Some(mut outputs) = exported(name, model, choices, inputs) else { return };
    assert_close(&seen(outputs.swap_remove(0)), expected, &format!("{name}: ONNX Runtime"));
}

fn as_it_is(output: Array) -> Array {
    output
}

#[test]
fn the_prior_predicts_as_dalle2_pytorch_does() {
    let fixture = Fixture::new("tiny_prior", "model.safetensors");
    let inputs = ["noised_tokens", "timestep", "brain_tokens"].map(|name| fixture.io(name));
    check("prior", &fixture, Choices::default(), &inputs, &fixture.io("predicted_tokens"), as_it_is);
}

#[test]
fn the_unet_predicts_noise_as_diffusers_does() {
    let fixture = Fixture::new("tiny_unet", DIFFUSERS);
    let inputs = ["sample", "timestep", "tokens"].map(|name| fixture.io(name));
    let choices = Choices { tokens: Some(7), ..Choices::default() };
    check("unet", &fixture, choices, &inputs, &fixture.io("eps"), as_it_is);
}

#[test]
fn the_vae_decodes_as_diffusers_does() {
    let fixture = Fixture::new("tiny_vae", DIFFUSERS);
    // The side of the latent comes from sample_size, 64 px, over three doublings.
    let latent = fixture.io("scaled_latent").map(|v| v / 0.18215);
    check("vae-decoder", &fixture, Choices::default(), &[latent], &fixture.io("decoded"), as_it_is);
}

#[test]
fn the_vae_encodes_as_diffusers_does() {
    let fixture = Fixture::new("tiny_vae", DIFFUSERS);
    let (mean, log_variance) = (fixture.io("enc_mean"), fixture.io("enc_logvar"));
    // diffusers clamps the log-variance, which these weights do not reach.
    assert!(log_variance.values.iter().all(|v| v.abs() < 20.0));
    let moments = Array::new(&[1, 8, 8, 8], [mean.values, log_variance.values].concat());
    check("vae-encoder", &fixture, Choices::default(), &[fixture.io("image")], &moments, as_it_is);
}

#[test]
fn taesd_decodes_and_encodes_as_diffusers_does() {
    let fixture = Fixture::new("tiny_taesd", DIFFUSERS);
    let choices = Choices { latent_side: Some(8), ..Choices::default() };
    // diffusers' pictures are in [-1, 1], ours in [0, 1].
    let to_diffusers = |image: Array| image.map(|v| 2.0 * v - 1.0);
    let latent = fixture.io("scaled_latent");
    check("taesd-decoder", &fixture, choices, &[latent], &fixture.io("decoded"), to_diffusers);
    let image = fixture.io("image").map(|v| (v + 1.0) / 2.0);
    check("taesd-encoder", &fixture, choices, &[image], &fixture.io("encoded"), as_it_is);
}

#[test]
fn clip_sees_as_transformers_does_with_either_activation() {
    for activation in ["quick_gelu", "gelu"] {
        let fixture = Fixture::new("tiny_clip", "model.safetensors");
        let config = fixture.folder.path().join("config.json");
        let text = std::fs::read_to_string(&config).unwrap();
        std::fs::write(&config, text.replace("\"quick_gelu\"", &format!("\"{activation}\""))).unwrap();
        let expected = fixture.io(&format!("image_tokens.{activation}"));
        check("clip-image", &fixture, Choices::default(), &[fixture.io("pixel_values")], &expected, as_it_is);
    }
}

//! Settings beside the weights and choices of the user that cannot be followed are refused by their key or flag.

mod common;

use common::{
    Fixture, miniature, miniature_sizes, miniature_unet, miniatures, model_folder, read_tensors, write_tensors,
};
use mindeye_config::Exit;
use mindeye_exporter::networks::{Choices, open};
use mindeye_exporter::{GraphRequest, export_graph};
use std::path::Path;

#[test]
fn channels_that_do_not_divide_into_groups_are_refused_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let path = model_folder(&miniature_sizes().vae_decoder, folder.path(), 1);
    std::fs::remove_file(folder.path().join("config.json")).unwrap();
    let error = export_graph(&GraphRequest::new("vae-decoder", &path, &folder.path().join("o.onnx"))).unwrap_err();
    let expected = "node `decoder.mid_block.resnets.0.norm1`: 12 channels do not divide into 32 groups; \
                    set norm_groups or norm_num_groups";
    assert!(error.to_string().contains(expected), "{error}");
    assert_eq!(error.exit(), Exit::Data);
}

/// dalle2-pytorch's own prior with its own noise schedule, one number of which is changed.
#[test]
fn a_prior_with_another_noise_schedule_is_refused_by_buffer_and_step() {
    let fixture = Fixture::new("tiny_prior", "model.safetensors");
    let path = fixture.folder.path().join("model.safetensors");
    assert!(open("prior", &path, &Choices::default()).is_ok());
    for buffer in ["betas", "alphas_cumprod_prev", "posterior_mean_coef2", "sqrt_recipm1_alphas_cumprod"] {
        let mut tensors = read_tensors(&path);
        let key = format!("noise_scheduler.{buffer}");
        let tensor = tensors.iter_mut().find(|t| t.name == key).unwrap();
        let number: &mut [u8; 4] = (&mut tensor.bytes[4 * 49..4 * 50]).try_into().unwrap();
        *number = (f32::from_le_bytes(*number) * 1.001).to_le_bytes();
        let changed = fixture.folder.path().join("changed.safetensors");
        write_tensors(&changed, &tensors);
        let error = open("prior", &changed, &Choices::default()).err().unwrap();
        assert!(error.to_string().contains(&format!("`{key}` at step 49 of 100 is ")), "{error}");
        assert_eq!(error.exit(), Exit::Data);
    }
}

#[test]
fn a_unets_latent_must_halve_evenly() {
    let folder = tempfile::tempdir().unwrap();
    let path = model_folder(&miniature_unet(), folder.path(), 1);
    let choices = Choices { latent_side: Some(7), ..Choices::default() };
    let error = open("unet", &path, &choices).err().unwrap();
    assert!(error.to_string().contains("--latent-size: must be a multiple of 2"), "{error}");
    assert_eq!(error.exit(), Exit::Usage);
    let config = folder.path().join("config.json");
    std::fs::write(
        &config,
        std::fs::read_to_string(&config).unwrap().replace("\"sample_size\": 6", "\"sample_size\": 7"),
    )
    .unwrap();
    let error = open("unet", &path, &Choices::default()).err().unwrap();
    assert!(error.to_string().contains("key `sample_size`: must be a multiple of 2"), "{error}");
    assert_eq!(error.exit(), Exit::Data);
}

#[test]
fn heads_that_do_not_divide_a_width_are_refused_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let path = model_folder(miniatures().pop().unwrap().as_ref(), folder.path(), 1);
    std::fs::write(folder.path().join("config.json"), r#"{"num_attention_heads": 5}"#).unwrap();
    let error = export_graph(&GraphRequest::new("clip-image", &path, &folder.path().join("o.onnx"))).unwrap_err();
    assert!(error.to_string().contains("a width of 12 does not divide into 5 heads"), "{error}");
}

#[test]
fn a_choice_that_means_nothing_to_a_network_is_refused() {
    let nowhere = Path::new("nowhere");
    let one = Some(1);
    let none = Choices::default();
    for (name, choices, part) in [
        ("prior", Choices { latent_side: one, ..none }, "--latent-size: `prior` takes no latent"),
        ("vae-encoder", Choices { tokens: one, ..none }, "--tokens: `vae-encoder` takes no tokens"),
        ("unet", Choices { subject: one, ..none }, "--subject: `unet` has no subjects' front-ends"),
    ] {
        let error = open(name, nowhere, &choices).err().unwrap();
        assert!(error.to_string().contains(part) && error.exit() == Exit::Usage, "{error}");
    }
}

#[test]
fn a_model_toml_that_is_no_configuration_is_refused_by_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = model_folder(&miniature_sizes().low_level, folder.path(), 1);
    let broken = toml::to_string(&miniature()).unwrap().replace("norm_groups = 2", "norm_groups = 0");
    std::fs::write(folder.path().join("model.toml"), broken).unwrap();
    let error = open("low-level", &path, &Choices::default()).err().unwrap();
    assert!(error.to_string().contains("model.toml: key `norm_groups`"), "{error}");
}

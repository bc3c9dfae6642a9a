//! CLIP's image tower with MindEye's normalisation of its tokens.

use super::array::Array;
use super::attention::attention;
use super::layers::{Layer, dot, gelu};
use crate::networks::{Activation, ClipImage};
use crate::weights::StateDict;

/// Pixels [B, 3, S, S] to image tokens [B, T, D] (spec: diffusion section 1.4).
pub(crate) fn clip_image(sizes: &ClipImage, state: &StateDict<'_>, pixels: &Array) -> Array {
    let tower = Layer::new(state, "vision_model");
    let epsilon = f64::from(sizes.norm_epsilon);
    let mut x = tower.at("pre_layrnorm").layer_norm_with(embedded(sizes, &tower.at("embeddings"), pixels), epsilon);
    for i in 0..sizes.layers {
        let layer = tower.at(&format!("encoder.layers.{i}"));
        let attend = layer.at("self_attn");
        let normed = layer.at("layer_norm1").layer_norm_with(x.clone(), epsilon);
        let [q, k, v] = ["q_proj", "k_proj", "v_proj"].map(|key| attend.at(key).linear(&normed));
        x = attend.at("out_proj").linear(&attention(&q, &k, &v, sizes.heads)).plus(&x);
        let wide = layer.at("mlp.fc1").linear(&layer.at("layer_norm2").layer_norm_with(x.clone(), epsilon));
        let active = wide.map(|v| match sizes.activation {
            Activation::Gelu => gelu(v),
            Activation::QuickGelu => v / (1.0 + (-1.702 * v).exp()),
        });
        x = layer.at("mlp.fc2").linear(&active).plus(&x);
    }
    let normed = tower.at("post_layernorm").layer_norm_with(x, epsilon);
    let mut tokens = Layer::new(state, "visual_projection").linear(&normed);
    for example in tokens.values.chunks_exact_mut(sizes.tokens * sizes.token_dim) {
        let cls = &example[..sizes.token_dim];
        let length = dot(cls, cls).sqrt();
        example.iter_mut().for_each(|v| *v /= length);
    }
    tokens
}

/// The class embedding, then each patch as a product with the kernels, positions added: [B, T, width].
fn embedded(sizes: &ClipImage, net: &Layer<'_>, pixels: &Array) -> Array {
    let &[batch, colours, side, _] = pixels.shape.as_slice() else { panic!("not a picture: {:?}", pixels.shape) };
    let (patch, grid) = (sizes.patch, side / sizes.patch);
    let kernels = net.at("patch_embedding").tensor("weight").values;
    let class = net.tensor("class_embedding").values;
    let positions = net.at("position_embedding").tensor("weight").values;
    let mut tokens = Vec::new();
    for picture in pixels.values.chunks_exact(colours * side * side) {
        tokens.extend_from_slice(&class);
        for (row, column) in (0..grid).flat_map(|row| (0..grid).map(move |column| (row, column))) {
            let lines = (0..colours).flat_map(|c| (0..patch).map(move |y| (c, row * patch + y)));
            let starts = lines.map(|(c, y)| c * side * side + y * side + column * patch);
            let pixels: Vec<f64> = starts.flat_map(|start| picture[start..start + patch].to_vec()).collect();
            tokens.extend(kernels.chunks_exact(pixels.len()).map(|kernel| dot(kernel, &pixels)));
        }
    }
    let one = positions.len();
    for example in tokens.chunks_exact_mut(one) {
        example.iter_mut().zip(&positions).for_each(|(token, position)| *token += position);
    }
    Array::new(&[batch, sizes.tokens, sizes.width], tokens)
}

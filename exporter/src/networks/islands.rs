//! Where a half-precision graph computes in 32 bits all the same: decided per network by measured parity.
//!
//! Always in float32, for range and not for taste: inputs and outputs; the sinusoid of a timestep (at t = 999 an angle
//! in float16 is off by a quarter of a radian); lengths and largest numbers that rows are divided by (squares overflow
//! at 256). Sums inside products and normalisations are the runtime's, and taken to be float32: ONNX Runtime's are; one
//! that sums a group normalisation of a picture in float16 overflows, misses the golden case and needs [`Islands::norms`].
//! Everything else is float16 unless [`Islands`] says otherwise; `tests/half.rs` measures what each island buys.

use mindeye_config::Precision;

/// Layers of a half-precision graph that stay in 32 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Islands {
    /// All of them: a graph of a handful of operations on latents, where half precision saves nothing.
    pub everything: bool,
    /// Group and layer normalisations with their gains and offsets.
    pub norms: bool,
    /// Softmax, and with it the logits that it takes.
    pub softmax: bool,
    /// The MLP behind the sinusoid of a timestep.
    pub time: bool,
}

impl Islands {
    /// The whole graph.
    pub const EVERYTHING: Self = Self { everything: true, norms: true, softmax: true, time: true };

    /// The precision of the graph's arithmetic when `asked` for.
    #[must_use]
    pub fn arithmetic(self, asked: Precision) -> Precision {
        if self.everything { Precision::Fp32 } else { asked }
    }

    /// What a reader of the file should know, for its metadata.
    #[must_use]
    pub fn policy(self, asked: Precision) -> String {
        if self.arithmetic(asked) == Precision::Fp32 {
            return "float32 throughout".into();
        }
        let chosen = [(self.norms, "normalisations"), (self.softmax, "softmax"), (self.time, "time MLP")];
        let always = ["inputs and outputs", "timestep sinusoid", "row lengths and maxima"];
        let islands = always.into_iter().chain(chosen.iter().filter(|(on, _)| *on).map(|(_, what)| *what));
        format!("float16, strongly typed; float32: {}", islands.collect::<Vec<_>>().join(", "))
    }
}

//! Pickles are refused: unpickling runs code of the file's author. One offline command turns them into safetensors.

use std::path::Path;

/// Extensions under which PyTorch saves pickles.
const EXTENSIONS: [&str; 5] = ["pth", "pt", "bin", "ckpt", "pkl"];
/// First bytes of a pickle: protocol 2 and later, and the zip archive that `torch.save` writes.
const MAGIC: [&[u8]; 2] = [&[0x80], b"PK\x03\x04"];

/// The way in for a pickle; `README.md` of this crate explains it.
pub const CONVERSION: &str = "python -c \"import sys, torch, safetensors.torch as s; \
d = torch.load(sys.argv[1], map_location='cpu', weights_only=True); \
d = d.get('model_state_dict', d.get('state_dict', d)); \
s.save_file({k: v.contiguous().clone() for k, v in d.items()}, sys.argv[2])\" IN.pth OUT.safetensors";

/// Whether the file at `path`, beginning with `start`, is a pickle by its name or by its first bytes.
pub(super) fn is_pickle(path: &Path, start: &[u8]) -> bool {
    // A safetensors file begins with its header's length and then `{`; 0x80 may be the low byte of that length.
    let looks_like_safetensors = start.get(8) == Some(&b'{');
    has_pickle_name(path) || (!looks_like_safetensors && MAGIC.iter().any(|magic| start.starts_with(magic)))
}

/// Whether the name alone says pickle.
pub(crate) fn has_pickle_name(path: &Path) -> bool {
    path.extension().is_some_and(|e| EXTENSIONS.iter().any(|known| e.eq_ignore_ascii_case(known)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pickles_are_known_by_name_or_by_first_bytes() {
        let cases: [(&str, &[u8], bool); 6] = [
            ("last.pth", b"", true),
            ("diffusion_pytorch_model.BIN", b"", true),
            ("renamed.safetensors", b"PK\x03\x04....", true),
            ("renamed.safetensors", b"\x80\x02}q\0(X\0\0", true),
            ("model.safetensors", b"\x80\x02\0\0\0\0\0\0{\"a\"", false),
            ("model.safetensors", b"", false),
        ];
        for (name, start, expected) in cases {
            assert_eq!(is_pickle(Path::new(name), start), expected, "{name} {start:?}");
        }
    }
}

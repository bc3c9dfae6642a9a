//! Tells the linker where libtorch lies, so that the program finds it without `LD_LIBRARY_PATH`.

use std::path::Path;

fn main() {
    println!("cargo::rerun-if-env-changed=LIBTORCH");
    // torch-sys names the folder; without the feature `libtorch` there is no torch-sys.
    let Ok(lib) = std::env::var("DEP_TCH_LIBTORCH_LIB") else { return };
    println!("cargo::rustc-link-arg=-Wl,-rpath,{lib}");
    // Nothing calls into the CUDA half by name, so a linker that drops unneeded libraries would drop it.
    if Path::new(&lib).join("libtorch_cuda.so").exists() {
        println!("cargo::rustc-link-arg=-Wl,--no-as-needed,-ltorch_cuda,--as-needed");
    }
}

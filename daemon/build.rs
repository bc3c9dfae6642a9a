//! Tells where libzmq lies, and says how to get it when it is missing, before the linker says something else.

use std::path::PathBuf;

fn main() {
    println!("cargo::rerun-if-env-changed=LIBZMQ_PREFIX");
    // Without the variable zmq-sys has asked pkg-config for the system's own libzmq.
    let Some(prefix) = std::env::var_os("LIBZMQ_PREFIX").map(PathBuf::from) else { return };
    let lib = prefix.join("lib");
    println!("cargo::rerun-if-changed={}", lib.display());
    if !lib.join("libzmq.so").exists() {
        println!("cargo::error=libzmq is not in {}; run `cargo xtask setup` first", lib.display());
        return;
    }
    println!("cargo::rustc-link-arg=-Wl,-rpath,{}", lib.display());
}

//! Gives the shared library the name by which programs find it when they start. The number goes up when a function
//! leaves or changes; one that is added changes nothing.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux") {
        println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libnvtopo.so.0");
    }
}

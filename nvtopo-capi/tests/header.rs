//! `include/nvtopo.h` is what the source says, and declares what the library exports. `NVTOPO_UPDATE=1` writes it.

use std::path::Path;

/// The order of the declarations.
const FILES: [&str; 20] = [
    "status",
    "cpuset",
    "topology",
    "gpu",
    "instance",
    "request",
    "placement",
    "explanation",
    "chooser",
    "best_set",
    "node",
    "rules",
    "visible",
    "plan",
    "environment",
    "ranks",
    "binding",
    "bound",
    "snapshot",
    "handle",
];

#[test]
fn the_header_is_up_to_date() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let header = here.join("../include/nvtopo.h");
    let generated = generate(here);
    if std::env::var_os("NVTOPO_UPDATE").is_some() {
        std::fs::create_dir_all(header.parent().unwrap()).unwrap();
        std::fs::write(&header, &generated).unwrap();
    }
    let committed = std::fs::read_to_string(&header).unwrap_or_default();
    assert!(
        generated == committed,
        "include/nvtopo.h is not what the source says; run this test with NVTOPO_UPDATE=1, and look at the difference"
    );
}

#[test]
fn every_file_is_in_the_header() {
    let source = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    let mut names: Vec<String> =
        source.map(|file| file.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned()).collect();
    names.retain(|name| name != "lib");
    names.sort();
    let mut files = FILES;
    files.sort_unstable();
    assert_eq!(names, files);
}

fn generate(here: &Path) -> String {
    let config = cbindgen::Config::from_file(here.join("cbindgen.toml")).unwrap();
    let files = FILES.iter().map(|file| here.join(format!("src/{file}.rs")));
    let builder = files.fold(cbindgen::Builder::new().with_config(config), cbindgen::Builder::with_src);
    let mut text = Vec::new();
    builder.generate().unwrap().write(&mut text);
    String::from_utf8(text).unwrap()
}

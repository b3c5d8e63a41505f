//! The C programs of `tests/capi` and `examples/c`, compiled without warnings as C and as C++ against the committed
//! header, linked with the shared and the static library, and run, the shared ones also under valgrind.
#![cfg(target_os = "linux")]

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

const WARNINGS: [&str; 4] = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"];
const VALGRIND: [&str; 4] = [
    "--quiet",
    "--error-exitcode=99",
    "--leak-check=full",
    "--errors-for-leak-kinds=definite,indirect,possible",
];

#[derive(Clone, Copy, PartialEq)]
enum Link {
    Shared,
    Static,
}

#[test]
fn every_function_of_the_header_is_tested() {
    let header = std::fs::read_to_string(root().join("include/nvtopo.h")).unwrap();
    // Declarations start a line; what the comments name does not.
    let declared =
        header.lines().filter(|line| !line.starts_with([' ', '#', '/', '}', 't'])).filter_map(|line| {
            let (before, _) = line.split_once('(')?;
            before.rsplit([' ', '*']).next()
        });
    let declared: Vec<&str> = declared.collect();
    assert!(declared.len() > 40, "{declared:?}");
    let tests: String = programs().iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    let untested: Vec<_> =
        declared.iter().filter(|function| !tests.contains(&format!("{function}("))).collect();
    assert!(untested.is_empty(), "no program in tests/capi calls {untested:?}");
}

#[test]
fn the_shared_library_passes_as_c() {
    for program in programs() {
        let binary = compile(&program, "gcc", Link::Shared);
        passes(&mut Command::new(&binary));
        // Under valgrind one thread runs at a time, so that a child finds nothing half done.
        if program.file_stem() != Some(OsStr::new("fork")) {
            passes(Command::new("valgrind").args(VALGRIND).arg(&binary));
        }
    }
}

#[test]
fn the_shared_library_passes_as_cpp() {
    for program in programs() {
        let binary = compile(&program, "g++", Link::Shared);
        passes(&mut Command::new(&binary));
        // Under valgrind one thread runs at a time, so that a child finds nothing half done.
        if program.file_stem() != Some(OsStr::new("fork")) {
            passes(Command::new("valgrind").args(VALGRIND).arg(&binary));
        }
    }
}

#[test]
fn the_static_library_passes() {
    for program in programs() {
        passes(&mut Command::new(compile(&program, "gcc", Link::Static)));
    }
}

#[test]
fn the_example_places_gpus() {
    let example = root().join("examples/c/place.c");
    let matrix = root().join("tests/data/topo-m/dgx1-v100-8gpu-4mlx5-tabs.txt");
    for compiler in ["gcc", "g++"] {
        let binary = compile(&example, compiler, Link::Shared);
        let text = passes(Command::new(&binary).args(["2", "preset:dgx-h100"]));
        assert!(text.starts_with("GPU0: CPUs 0-13,112-125, memory of node 0, NICs mlx5_0\n"), "{text}");
        let text = passes(Command::new("valgrind").args(VALGRIND).arg(&binary).arg("4").arg(&matrix));
        assert_eq!(text.lines().count(), 5, "{text}");
        let valgrind = || {
            let mut command = Command::new("valgrind");
            command.args(VALGRIND).arg(&binary);
            command
        };
        fails(valgrind().args(["9", "preset:dgx-h100"]), 1, "9 GPUs were asked for");
        fails(valgrind().args(["1", "/no/such/file"]), 2, "/no/such/file");
        fails(valgrind().arg("many"), 2, "usage");
    }
}

#[test]
fn the_example_in_the_header_compiles_and_runs() {
    let header = std::fs::read_to_string(root().join("include/nvtopo.h")).unwrap();
    let lines = header.lines().map_while(|line| (line != " */").then_some(line));
    let source: Vec<&str> = lines.filter_map(|line| line.strip_prefix(" *     ")).collect();
    let file = scratch().join("header_example.c");
    std::fs::write(&file, source.join("\n") + "\n").unwrap();
    for compiler in ["gcc", "g++"] {
        let text = passes(&mut Command::new(compile(&file, compiler, Link::Shared)));
        assert!(text.starts_with("GPU0 first."), "{text}");
    }
}

#[test]
fn an_installed_library_is_found_by_its_links_wherever_it_is_staged() {
    let stage = scratch().join("a stage");
    let _ = std::fs::remove_dir_all(&stage);
    passes(install().env("DESTDIR", &stage).arg("/opt/nv topo"));
    let folder = stage.join("opt/nv topo/lib");
    let leads_to = |name: &str| std::fs::read_link(folder.join(name)).unwrap();
    let soname = leads_to("libnvtopo.so");
    assert_eq!(
        leads_to(soname.to_str().unwrap()),
        Path::new(concat!("libnvtopo.so.", env!("CARGO_PKG_VERSION")))
    );
    // The name that is in the library is the one that the link has.
    let told = passes(Command::new("readelf").arg("-d").arg(folder.join("libnvtopo.so")));
    assert!(told.contains(&format!("soname: [{}]", soname.display())), "{told}");
    let pc = std::fs::read_to_string(folder.join("pkgconfig/nvtopo.pc")).unwrap();
    assert!(pc.contains("prefix=/opt/nv\\ topo\n") && !pc.contains("a stage"), "{pc}");
    assert!(pc.contains(concat!("Version: ", env!("CARGO_PKG_VERSION"))), "{pc}");
    // Again, over what is there.
    passes(install().env("DESTDIR", &stage).arg("/opt/nv topo"));
    fails(&mut install(), 2, "usage");
    fails(
        Command::new("sh").arg(root().join("scripts/install-c.sh")).args(["--built", "/nowhere", "/tmp/x"]),
        2,
        "no libnvtopo.so",
    );
}

/// The device plugin's example in Go, where there is a Go toolchain: `scripts/test.sh` brings one.
#[test]
fn the_example_in_go_passes() {
    if Command::new("go").arg("version").output().is_err() {
        eprintln!("skipped: there is no Go toolchain");
        return;
    }
    let (prefix, scratch) = (installed(), scratch());
    let mut go = Command::new("go");
    go.args(["test", "-count=1", "./..."]).current_dir(root().join("examples/go"));
    go.env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig")).env("LD_LIBRARY_PATH", prefix.join("lib"));
    go.env("GOCACHE", scratch.join("go-cache"))
        .env("GOPATH", scratch.join("go-path"))
        .env("CGO_ENABLED", "1");
    // Nothing is fetched: the example needs the standard library only.
    go.env("GOPROXY", "off").env("GOTOOLCHAIN", "local").env("GOFLAGS", "-mod=mod");
    passes(&mut go);
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The tests in C.
fn programs() -> Vec<PathBuf> {
    let files = std::fs::read_dir(root().join("tests/capi")).unwrap().map(|file| file.unwrap().path());
    let mut files: Vec<PathBuf> = files.filter(|file| file.extension() == Some(OsStr::new("c"))).collect();
    files.sort();
    assert!(files.len() >= 5, "{files:?}");
    files
}

fn scratch() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("capi");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// The folder with both libraries, freshly built. Cargo builds them for no test by itself: Rust cannot link them.
fn libraries() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "--package", "nvtopo-capi", "--target-dir"]).arg(target);
        // A build for another target by default would put the libraries elsewhere.
        let (code, _, err) = run(build.current_dir(root()).env_remove("CARGO_BUILD_TARGET"));
        assert!(code == Some(0), "the libraries cannot be built: {err}");
        target.join("debug")
    })
}

/// Where the libraries are installed, as the README says.
fn installed() -> &'static Path {
    static PREFIX: OnceLock<PathBuf> = OnceLock::new();
    PREFIX.get_or_init(|| {
        let prefix = std::path::absolute(scratch().join("prefix")).unwrap();
        passes(install().env_remove("DESTDIR").arg(&prefix));
        prefix
    })
}

fn install() -> Command {
    let mut install = Command::new("sh");
    install.arg(root().join("scripts/install-c.sh")).arg("--built").arg(libraries()).env_remove("LIBDIR");
    install
}

/// Flags of the installed library, as pkg-config tells them.
fn flags(prefix: &Path, which: &[&str]) -> Vec<String> {
    let mut pkg_config = Command::new("pkg-config");
    let pkg_config = pkg_config.env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig"));
    let told = passes(pkg_config.args(which).arg("nvtopo"));
    told.split_whitespace().map(str::to_owned).collect()
}

fn compile(program: &Path, compiler: &str, link: Link) -> PathBuf {
    let (language, standard) = if compiler == "g++" { ("c++", "-std=c++17") } else { ("c", "-std=c11") };
    let stem = program.file_stem().unwrap().to_str().unwrap();
    let kind = if link == Link::Static { "static" } else { "shared" };
    let binary = scratch().join(format!("{stem}-{language}-{kind}"));
    let mut command = Command::new(compiler);
    command.args([standard, "-g", "-pthread", "-x", language]).args(WARNINGS);
    let prefix = installed();
    command.args(flags(prefix, &["--cflags"])).arg(program).args(["-x", "none", "-o"]).arg(&binary);
    match link {
        Link::Shared => {
            command.args(flags(prefix, &["--libs"]));
            command.arg(format!("-Wl,-rpath,{}", prefix.join("lib").display()));
        }
        Link::Static => {
            let libs = flags(prefix, &["--static", "--libs"]).into_iter();
            command.args(libs.map(|flag| if flag == "-lnvtopo" { "-l:libnvtopo.a".into() } else { flag }));
        }
    }
    passes(&mut command);
    binary
}

/// Runs a command, which must succeed and say nothing on standard error; its standard output.
fn passes(command: &mut Command) -> String {
    let (code, out, err) = run(command);
    assert!(code == Some(0) && err.is_empty(), "{command:?} ended with {code:?}\n{out}\n{err}");
    out
}

/// Runs a command, which must end with `code` and say `words`.
fn fails(command: &mut Command, code: i32, words: &str) {
    let (actual, out, err) = run(command);
    assert!(actual == Some(code) && err.contains(words), "{command:?} ended with {actual:?}\n{out}\n{err}");
}

fn run(command: &mut Command) -> (Option<i32>, String, String) {
    let output = command.output().unwrap_or_else(|error| {
        let program = command.get_program().display();
        panic!("cannot run {program}, which the tests of the C interface need: {error}")
    });
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

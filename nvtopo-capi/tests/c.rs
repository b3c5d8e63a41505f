//! The C programs of `tests/capi` and `examples/c`, compiled without warnings as C and as C++ against the committed
//! header as `scripts/install-c.sh` installs it, linked with the shared and the static library as pkg-config and `CMake` say,
//! and run, the shared ones also under valgrind.
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
    let declared = declared(&header);
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
fn the_archive_defines_functions_of_nvtopo_only() {
    assert_defines_the_header("-g", "lib/libnvtopo.a");
}

#[test]
fn the_shared_library_exports_functions_of_nvtopo_only() {
    assert_defines_the_header("-D", "lib/libnvtopo.so");
}

/// Asserts that an installed library defines the functions of the header and no others, by the symbols that `nm` lists.
fn assert_defines_the_header(symbols: &str, library: &str) {
    let told = passes(Command::new("nm").args([symbols, "--defined-only"]).arg(installed().join(library)));
    let mut defined: Vec<&str> = told.lines().filter_map(|line| line.split_whitespace().nth(2)).collect();
    defined.sort_unstable();
    let header = std::fs::read_to_string(root().join("include/nvtopo.h")).unwrap();
    let mut declared = declared(&header);
    declared.sort_unstable();
    assert_eq!(defined, declared);
}

/// The package is used where it lies, which is another place than the one that it was installed for.
#[test]
fn a_project_finds_the_library_by_cmake() {
    let stage = scratch().join("a stage for cmake");
    let _ = std::fs::remove_dir_all(&stage);
    passes(install().env("DESTDIR", &stage).arg("/opt/nvtopo"));
    let (build, prefix) = (scratch().join("cmake"), std::path::absolute(stage.join("opt/nvtopo")).unwrap());
    let _ = std::fs::remove_dir_all(&build);
    let cmake = || Command::new("cmake");
    passes(
        cmake()
            .arg("-S")
            .arg(root().join("tests/capi"))
            .arg("-B")
            .arg(&build)
            .arg(format!("-DCMAKE_PREFIX_PATH={}", prefix.display())),
    );
    passes(cmake().arg("--build").arg(&build).args(["--parallel", "2"]));
    let told =
        passes(Command::new("ctest").current_dir(&build).args(["--output-on-failure", "--parallel", "2"]));
    assert!(told.contains("100% tests passed") && told.contains("status-static"), "{told}");
    // Another series is another interface.
    let other = scratch().join("cmake-other");
    std::fs::create_dir_all(&other).unwrap();
    let project = "cmake_minimum_required(VERSION 3.18)\nproject(other NONE)\nfind_package(nvtopo 1.0 REQUIRED CONFIG)\n";
    std::fs::write(other.join("CMakeLists.txt"), project).unwrap();
    fails(
        cmake()
            .arg("-S")
            .arg(&other)
            .arg("-B")
            .arg(other.join("build"))
            .arg(format!("-DCMAKE_PREFIX_PATH={}", prefix.display())),
        1,
        "version: 0.1.0",
    );
}

/// The page is read as one by the tool that shows it, where there is one.
#[test]
fn the_manual_page_is_shown() {
    let page = installed().join("share/man/man3/nvtopo.3");
    assert!(std::fs::read_to_string(&page).unwrap().contains(".B nvtopo_topology_place\n"));
    if Command::new("man").arg("--version").output().is_err() {
        eprintln!("skipped: there is no man");
        return;
    }
    let told = passes(Command::new("man").arg("--warnings").arg("-l").arg(&page).env("MANPAGER", "cat"));
    assert!(told.contains("nvtopo_topology_open(\"preset:dgx-h100\", &topology)"), "{told}");
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
    let file = header_example("nvtopo.h", "header_example.c");
    for compiler in ["gcc", "g++"] {
        let text = passes(&mut Command::new(compile(&file, compiler, Link::Shared)));
        assert!(text.starts_with("GPU0 first."), "{text}");
    }
}

#[test]
fn the_face_for_cpp_passes() {
    let face = compile(&root().join("tests/capi/face.cpp"), "g++", Link::Shared);
    passes(&mut Command::new(&face));
    passes(Command::new("valgrind").args(VALGRIND).arg(&face));
    let example = compile(&header_example("nvtopo.hpp", "header_example.cpp"), "g++", Link::Shared);
    let text = passes(&mut Command::new(example));
    assert!(text.starts_with("GPU0: CPUs 0-13,112-125\n"), "{text}");
}

/// A scheduler places and releases 10,000 jobs, half of them after it has started again.
#[test]
fn the_example_scheduler_schedules() {
    let scheduler = compile(&root().join("examples/c/scheduler.c"), "gcc", Link::Shared);
    let text = passes(&mut Command::new(&scheduler));
    assert!(text.starts_with("10000 jobs placed, 10000 of them proven best"), "{text}");
    assert!(text.contains("all GPUs are free again: 00000000000000ff"), "{text}");
    passes(Command::new("valgrind").args(VALGRIND).arg(&scheduler).args(["20", "preset:dgx-1-v100"]));
    fails(Command::new(&scheduler).args(["1", "preset:abacus"]), 1, "invalid-request: ");
}

#[test]
fn the_example_for_openmp_binds_its_threads() {
    let probe = scratch().join("probe.c");
    std::fs::write(&probe, "#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }\n")
        .unwrap();
    let compiled =
        run(Command::new("gcc").arg("-fopenmp").arg(&probe).arg("-o").arg(scratch().join("probe")));
    if compiled.0 != Some(0) {
        eprintln!("skipped: gcc has no OpenMP here");
        return;
    }
    let openmp = compile(&root().join("examples/c/openmp.c"), "gcc", Link::Shared);
    let mut command = Command::new(openmp);
    for name in ["OMP_PLACES", "OMP_PROC_BIND", "GOMP_CPU_AFFINITY", "LOCAL_RANK", "SLURM_LOCALID"] {
        command.env_remove(name);
    }
    let text = passes(&mut command);
    let bound = text.lines().filter_map(|line| {
        let (thread, cpus) = line.split_once(": on CPU ")?;
        let (on, to) = cpus.split_once(", bound to ")?;
        assert_eq!(on, to, "{thread}");
        Some(to)
    });
    let bound: Vec<&str> = bound.collect();
    let mut each = bound.clone();
    each.sort_unstable();
    each.dedup();
    assert!(!bound.is_empty() && each.len() == bound.len(), "{text}");
}

/// Each rank becomes its program with its own variables and CPUs; mpirun starts it where there is one.
#[test]
fn the_example_wrapper_becomes_its_program() {
    let wrapper = compile(&root().join("examples/c/mpi_wrapper.c"), "gcc", Link::Shared);
    let rank = |rank: &str| {
        let mut command = Command::new(&wrapper);
        command.env("OMPI_COMM_WORLD_LOCAL_RANK", rank).env("OMPI_COMM_WORLD_LOCAL_SIZE", "8");
        command.env_remove("OMP_NUM_THREADS").env_remove("LOCAL_RANK");
        command
    };
    let told = passes(rank("3").env("NVTOPO_SOURCE", "preset:dgx-h100").arg("env"));
    assert!(told.contains("CUDA_VISIBLE_DEVICES=0,1,2,3,4,5,6,7\n"), "{told}");
    assert!(told.contains("OMP_NUM_THREADS=14\n") && told.contains("UCX_NET_DEVICES=mlx5_"), "{told}");
    fails(rank("9").arg("true"), 2, "8 local ranks");
    fails(rank("0").env("NVTOPO_SOURCE", "preset:gh200").arg("/no/such/program"), 127, "/no/such/program");
    fails(&mut Command::new(&wrapper), 2, "usage");
    if Command::new("mpirun").arg("--version").output().is_err() {
        eprintln!("skipped: there is no mpirun");
        return;
    }
    let mut mpirun = Command::new("mpirun");
    mpirun.args(["-n", "2", "--oversubscribe"]).arg(&wrapper).args([
        "sh",
        "-c",
        "grep Cpus_allowed_list /proc/self/status",
    ]);
    mpirun.env("OMPI_ALLOW_RUN_AS_ROOT", "1").env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
    let (code, out, err) = run(&mut mpirun);
    if code != Some(0) && !err.contains("nvtopo") {
        eprintln!("skipped: this mpirun starts nothing here: {err}");
        return;
    }
    assert!(code == Some(0) && out.matches("Cpus_allowed_list").count() == 2, "{code:?} {out} {err}");
}

#[test]
fn the_example_finds_the_nic_for_a_gpu() {
    let nic = compile(&root().join("examples/c/nic.c"), "gcc", Link::Shared);
    let text = passes(Command::new(&nic).args(["GPU0", "preset:dgx-h100"]));
    assert_eq!(text, "mlx5_0 over PIX, to use\n");
    let matrix = root().join("tests/data/topo-m/dgx1-v100-8gpu-4mlx5-tabs.txt");
    let text = passes(Command::new(&nic).arg("7").arg(&matrix));
    assert!(text.contains("mlx5_3 over PIX, to use\n"), "{text}");
    let alone = scratch().join("alone.txt");
    std::fs::write(&alone, "\tGPU0\nGPU0\t X \n").unwrap();
    assert_eq!(passes(Command::new(&nic).arg("0").arg(&alone)), "no NIC is known to be near\n");
    fails(Command::new(&nic).args(["9", "preset:dgx-h100"]), 1, "GPU9");
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
    for file in [
        "lib/cmake/nvtopo/nvtopo-config.cmake",
        "share/man/man3/nvtopo.3",
        "include/nvtopo.h",
        "include/nvtopo.hpp",
    ] {
        assert!(stage.join("opt/nv topo").join(file).is_file(), "{file}");
    }
    // Again, over what is there.
    passes(install().env("DESTDIR", &stage).arg("/opt/nv topo"));
    fails(&mut install(), 2, "usage");
    fails(
        Command::new("sh").arg(root().join("scripts/install-c.sh")).args(["--built", "/nowhere", "/tmp/x"]),
        2,
        "no libnvtopo.so",
    );
}

/// Two libraries by hand: one that only gained a function, and one that lost one.
#[test]
fn a_change_that_breaks_programs_is_seen_by_abidiff() {
    if Command::new("abidiff").arg("--version").output().is_err() {
        eprintln!("skipped: there is no abidiff");
        return;
    }
    let library = |name: &str, text: &str| {
        let (source, library) = (scratch().join(format!("{name}.c")), scratch().join(format!("{name}.so")));
        std::fs::write(&source, text).unwrap();
        passes(Command::new("gcc").args(["-g", "-shared", "-fPIC", "-o"]).arg(&library).arg(&source));
        std::path::absolute(library).unwrap()
    };
    let old = library("old", "int nvtopo_one(int a) { return a; }\nint nvtopo_two(void) { return 2; }\n");
    let gained = "int nvtopo_one(int a) { return a; }\nint nvtopo_two(void) { return 2; }\nint nvtopo_three(void) { return 3; }\n";
    let (gained, lost) =
        (library("gained", gained), library("lost", "int nvtopo_one(int a) { return a; }\n"));
    let compare = |new: &Path| {
        let mut command = Command::new("sh");
        command
            .arg(root().join("scripts/abi.sh"))
            .arg("--built")
            .arg(&old)
            .arg(root().join("include"))
            .arg(new);
        command
    };
    assert!(passes(&mut compare(&gained)).contains("nvtopo_three"));
    fails(&mut compare(&lost), 1, "would break");
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

/// The example that a header begins with, as a file.
fn header_example(header: &str, name: &str) -> PathBuf {
    let header = std::fs::read_to_string(root().join("include").join(header)).unwrap();
    let lines = header.lines().map_while(|line| (line != " */").then_some(line));
    let source: Vec<&str> = lines.filter_map(|line| line.strip_prefix(" *     ")).collect();
    let file = scratch().join(name);
    std::fs::write(&file, source.join("\n") + "\n").unwrap();
    file
}

/// The functions that a header declares. Declarations start a line; what the comments name does not.
fn declared(header: &str) -> Vec<&str> {
    let lines = header.lines().filter(|line| !line.starts_with([' ', '#', '/', '}', 't']));
    let declared: Vec<&str> =
        lines.filter_map(|line| line.split_once('(')?.0.rsplit([' ', '*']).next()).collect();
    assert!(declared.len() > 40, "{declared:?}");
    declared
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
    if stem == "openmp" {
        command.arg("-fopenmp");
    }
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

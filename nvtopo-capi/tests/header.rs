//! `include/nvtopo.h` is what the source says, and declares what the library exports; the manual page says what the header
//! says. `NVTOPO_UPDATE=1` writes both.

use std::path::Path;

/// The order of the declarations.
const FILES: [&str; 25] = [
    "status",
    "cpuset",
    "topology",
    "gpu",
    "locality",
    "instance",
    "written",
    "diff",
    "request",
    "placement",
    "explanation",
    "chooser",
    "best_set",
    "allocator",
    "rules",
    "shares",
    "local_rank",
    "visible",
    "plan",
    "environment",
    "ranks",
    "binding",
    "snapshot",
    "lists",
    "handle",
];

#[test]
fn the_header_is_up_to_date() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let header = here.join("../include/nvtopo.h");
    holds(&header, &generate(here));
}

#[test]
fn the_manual_page_is_up_to_date() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manual = manual(&generate(here));
    holds(&here.join("../docs/man/nvtopo.3"), &manual);
}

/// The file is what was generated.
fn holds(file: &Path, generated: &str) {
    if std::env::var_os("NVTOPO_UPDATE").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, generated).unwrap();
    }
    let committed = std::fs::read_to_string(file).unwrap_or_default();
    assert!(
        generated == committed,
        "{} is not what the source says; run this test with NVTOPO_UPDATE=1, and look at the difference",
        file.display()
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
    let header = String::from_utf8(text).unwrap();
    let header = header
        .replace("@VERSION@", env!("CARGO_PKG_VERSION"))
        .replace("@MAJOR@", env!("CARGO_PKG_VERSION_MAJOR"))
        .replace("@MINOR@", env!("CARGO_PKG_VERSION_MINOR"))
        .replace("@PATCH@", env!("CARGO_PKG_VERSION_PATCH"));
    // Of the functions, all that can fail.
    header.replace("\nnvtopo_status nvtopo_", "\nNVTOPO_MUST_CHECK\nnvtopo_status nvtopo_")
}

/// The manual page of a header: what its first comment says, and the first sentence of each function.
fn manual(header: &str) -> String {
    let lines = header.lines().skip_while(|line| *line != "/*").skip(1).take_while(|line| *line != " */");
    let preface: Vec<&str> = lines.map(|line| line.trim_start_matches(" *")).collect();
    let (title, rest) = preface.split_first().unwrap();
    let about = title.trim().strip_prefix("nvtopo: ").unwrap().trim_end_matches('.');
    let mut page = format!(
        ".\\\" Generated from nvtopo.h. Do not edit.\n.TH NVTOPO 3 \"\" \"nvtopo {}\" \"C library\"\n.ad l\n.SH NAME\nnvtopo \\- {}\n\
         .SH SYNOPSIS\n.nf\n.B #include <nvtopo.h>\n.PP\ncc program.c $(pkg\\-config \\-\\-cflags \\-\\-libs nvtopo)\n.fi\n.SH DESCRIPTION\n",
        env!("CARGO_PKG_VERSION"),
        roff(about),
    );
    let mut code = false;
    for line in rest {
        let indented = line.strip_prefix("     ");
        if indented.is_some() != code && !line.is_empty() {
            page += if code { ".EE\n.PP\n" } else { ".PP\n.EX\n" };
            code = indented.is_some();
        }
        let line = match (indented, line.trim_start()) {
            (Some(text), _) => roff(text),
            (None, "") if code => String::new(),
            (None, "") => ".PP".to_owned(),
            (None, text) => match text.strip_prefix("- ") {
                Some(text) => format!(".IP \\(bu 2\n{}", roff(text)),
                None => roff(text),
            },
        };
        page += &line;
        page += "\n";
    }
    page += ".SH FUNCTIONS\n";
    for (name, about) in functions(header) {
        for part in [".TP\n.B ", &name, "\n", &roff(&about), "\n"] {
            page += part;
        }
    }
    page + ".SH SEE ALSO\n.BR nvtopo (1),\n.BR pkg\\-config (1)\n"
}

/// The functions of a header, each with the first sentence about it.
fn functions(header: &str) -> Vec<(String, String)> {
    let (mut found, mut comment) = (Vec::new(), String::new());
    for line in header.lines() {
        if line == "/**" {
            comment.clear();
        } else if let Some(text) = line.strip_prefix(" * ") {
            comment += text;
            comment += " ";
        } else if let Some((before, _)) =
            line.split_once('(').filter(|_| line.starts_with(|c: char| c.is_ascii_lowercase()))
        {
            let name = before.rsplit([' ', '*']).next().unwrap();
            let end = comment.find(". ").map_or(comment.len(), |end| end + 1);
            found.push((name.to_owned(), comment[..end].trim().to_owned()));
        }
    }
    assert!(found.len() > 100 && found.iter().all(|(_, about)| !about.is_empty()), "{found:?}");
    found
}

/// A line of text for roff.
fn roff(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-").replace('`', "");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

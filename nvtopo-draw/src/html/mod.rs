//! Pages that stand alone: their style, their template, and the page of one machine: the picture, the matrix of paths, and what
//! belongs to the GPUs that one clicks. No network, no framework; without scripts it is the picture.

mod answers;
mod data;

use crate::svg::{self, Theme};
use crate::words;
use nvtopo::{Placement, Topology, printable};

const PAGE: &str = include_str!("page.html");
const BASE: &str = include_str!("base.css");
const STYLE: &str = include_str!("page.css");
const DARK: &str = include_str!("dark.css");
const SCRIPT: &str = include_str!("page.js");

/// Writes the page.
pub(crate) fn page(topology: &Topology, placement: Option<&Placement>, theme: Theme) -> String {
    let theme = match theme {
        Theme::Auto => "",
        Theme::Light => " data-theme=\"light\"",
        Theme::Dark => " data-theme=\"dark\"",
    };
    fill(PAGE, |name| match name {
        "THEME" => theme.to_owned(),
        "NAME" => escape(&words::machine_name(topology)),
        "FACTS" => escape(&facts(topology)),
        "STYLE" => style(STYLE),
        // What is chosen changes with each click: the script highlights it.
        "PICTURE" => svg::picture(topology, None, Theme::Light, false),
        "DATA" => script_safe(&data::data(topology, placement).to_string()),
        "SCRIPT" => SCRIPT.to_owned(),
        _ => String::new(),
    })
}

fn facts(topology: &Topology) -> String {
    let facts = words::machine_facts(topology);
    words::allowed(topology).map_or_else(|| facts.clone(), |allowed| format!("{facts} · {allowed}"))
}

/// Fills the places of a template, which are names such as `{{NAME}}`. What is filled in is not looked at again.
///
/// ```
/// use nvtopo_draw::html::{escape, fill};
///
/// let page = fill("<h1>{{NAME}}</h1>", |_| escape("R&D {{NAME}}"));
/// assert_eq!(page, "<h1>R&amp;D {{NAME}}</h1>");
/// ```
pub fn fill(template: &str, with: impl Fn(&str) -> String) -> String {
    let mut parts = template.split("{{");
    let mut page = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once("}}").unwrap_or((part, ""));
        page += &with(name);
        page += rest;
    }
    page
}

/// Returns the style of a page with rules of its own: light, then dark on screens where the system prefers it, or where the
/// attribute `data-theme` of the page says so. Pictures within that are drawn for [`Theme::Light`] follow it.
pub fn style(own: &str) -> String {
    let dark = |below: &str| {
        let colours = fill(DARK.trim(), |_| below.to_owned());
        colours + &svg::palette::dark_rules(&format!("{below} "))
    };
    let (system, switch) = (dark(":root:not([data-theme=light])"), dark(":root[data-theme=dark]"));
    format!("{BASE}{own}@media screen and (prefers-color-scheme:dark){{{system}}}{switch}")
}

/// Escapes text for elements and attributes, and characters that a browser obeys or that reorder others.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in printable(text).chars() {
        match char {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            other => escaped.push(other),
        }
    }
    escaped
}

/// Escapes JSON for a script element: no `</script>`, no comment, and no line ends that scripts take for such.
fn script_safe(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for char in json.chars() {
        match char {
            '<' => safe += "\\u003c",
            '>' => safe += "\\u003e",
            '&' => safe += "\\u0026",
            '\u{2028}' => safe += "\\u2028",
            '\u{2029}' => safe += "\\u2029",
            other => safe.push(other),
        }
    }
    safe
}

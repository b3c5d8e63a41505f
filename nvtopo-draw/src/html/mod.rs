//! A page of one machine that stands alone: the picture, the matrix of paths, and what belongs to the GPUs that one clicks. No
//! network, no framework; without scripts it is the picture.

mod answers;
mod data;

use crate::svg::{self, Theme};
use crate::words;
use nvtopo::{Placement, Topology};

const PAGE: &str = include_str!("page.html");
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
        "STYLE" => style(),
        // What is chosen changes with each click: the script highlights it.
        "PICTURE" => svg::picture(topology, None, Theme::Light),
        "DATA" => script_safe(&data::data(topology, placement).to_string()),
        "SCRIPT" => SCRIPT.to_owned(),
        _ => String::new(),
    })
}

fn facts(topology: &Topology) -> String {
    let facts = words::machine_facts(topology);
    words::allowed(topology).map_or_else(|| facts.clone(), |allowed| format!("{facts} · {allowed}"))
}

/// Fills the places of a template. What is filled in is not looked at again.
fn fill(template: &str, with: impl Fn(&str) -> String) -> String {
    let mut parts = template.split("{{");
    let mut page = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once("}}").unwrap_or((part, ""));
        page += &with(name);
        page += rest;
    }
    page
}

/// Returns the style: light, then dark where the system or the switch says so.
fn style() -> String {
    let dark = |below: &str| {
        let own = fill(DARK.trim(), |_| below.to_owned());
        own + &svg::palette::dark_rules(&format!("{below} "))
    };
    let (system, switch) = (dark(":root:not([data-theme=light])"), dark(":root[data-theme=dark]"));
    format!("{}@media(prefers-color-scheme:dark){{{system}}}{switch}", STYLE.trim())
}

/// Escapes text for elements and attributes.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars().filter(|char| !char.is_control()) {
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

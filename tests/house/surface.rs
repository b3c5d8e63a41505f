//! The public surface of the core as a committed listing, so that each change of it is seen: `docs/public-api.txt`.
//!
//! Enumerations of the macro `words` are listed with their texts; names that another macro defines by the macro, with the public
//! functions of its body.

use super::uses::is_test;
use quote::ToTokens;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use syn::parse::ParseStream;
use syn::{
    Attribute, Fields, ImplItem, Item, ItemEnum, ItemImpl, Meta, TraitItem, Type, UseTree, Visibility,
};

/// The path of a module from the root of the crate.
type Module = Vec<String>;

/// A crate, parsed: the items of each module.
struct Crate(BTreeMap<Module, Vec<Item>>);

/// The `impl` blocks by the name of their type, each with its module.
type Impls<'a> = BTreeMap<String, Vec<(&'a Module, &'a ItemImpl)>>;

/// An item by its module and its place there.
type Found = (Module, usize);

impl Crate {
    fn read(folder: &Path) -> Self {
        let mut modules = BTreeMap::new();
        read(folder, &folder.join("lib.rs"), Vec::new(), &mut modules);
        Self(modules)
    }

    /// Finds what a name means in a module: an item, or a module.
    fn resolve(&self, module: &[String], name: &str, depth: usize) -> Option<Result<Found, Module>> {
        let items = self.0.get(module)?;
        if let Some(place) = items.iter().position(|item| name_of(item).as_deref() == Some(name)) {
            return Some(match &items[place] {
                Item::Mod(_) => Err([module, &[name.to_owned()]].concat()),
                _ => Ok((module.to_owned(), place)),
            });
        }
        let uses =
            items.iter().filter_map(|item| if let Item::Use(own) = item { Some(&own.tree) } else { None });
        let leaves: Vec<_> = uses.flat_map(|tree| leaves(tree, &mut Vec::new())).collect();
        if let Some((path, _)) = leaves.iter().find(|(_, own)| own == name) {
            return self.follow(module, path, depth);
        }
        let mut globs = leaves.iter().filter(|(_, own)| own == "*" && depth > 0);
        globs.find_map(|(path, _)| match self.follow(module, path, depth - 1)? {
            Err(inner) => self.resolve(&inner, name, depth - 1),
            Ok(_) => None,
        })
    }

    /// Finds the item or module at the end of a path.
    fn follow(&self, module: &[String], path: &[String], depth: usize) -> Option<Result<Found, Module>> {
        let mut at = module.to_owned();
        for (place, segment) in path.iter().enumerate() {
            match segment.as_str() {
                "crate" => at.clear(),
                "self" => {}
                "super" => drop(at.pop()),
                _ if depth == 0 => return None,
                name => match self.resolve(&at, name, depth - 1)? {
                    Err(inner) => at = inner,
                    found if place + 1 == path.len() => return Some(found),
                    Ok(_) => return None,
                },
            }
        }
        Some(Err(at))
    }

    /// Lists all that is public below a module.
    fn list(&self, module: &[String], path: &str, out: &mut BTreeMap<Found, BTreeSet<String>>) {
        for (place, item) in self.0.get(module).into_iter().flatten().enumerate() {
            match item {
                Item::Use(own) if is_public(&own.vis) => {
                    for (target, name) in leaves(&own.tree, &mut Vec::new()) {
                        let path = if name == "*" { path.to_owned() } else { format!("{path}::{name}") };
                        match self.follow(module, &target, 8) {
                            Some(Ok(found)) => drop(out.entry(found).or_default().insert(path)),
                            Some(Err(inner)) => self.list(&inner, &path, out),
                            None => {
                                // From a macro, or of another crate.
                                let key = (vec!["macro".to_owned(), target.join("::")], 0);
                                out.entry(key).or_default().insert(path);
                            }
                        }
                    }
                }
                Item::Mod(own) if is_public(&own.vis) => {
                    let inner = [module, &[own.ident.to_string()]].concat();
                    self.list(&inner, &format!("{path}::{}", own.ident), out);
                }
                Item::Impl(_) | Item::Use(_) | Item::Mod(_) => {}
                item if visibility(item).is_some_and(is_public) => {
                    let name = name_of(item).unwrap_or_default();
                    out.entry((module.to_owned(), place)).or_default().insert(format!("{path}::{name}"));
                }
                _ => {}
            }
        }
    }

    fn impls(&self) -> Impls<'_> {
        let mut impls = Impls::new();
        for (module, item) in self.0.iter().flat_map(|(own, items)| items.iter().map(move |item| (own, item)))
        {
            if let Item::Impl(block) = item
                && !is_test(&block.attrs)
                && let Some(name) = self_name(block)
            {
                impls.entry(name).or_default().push((module, block));
            }
        }
        impls
    }

    /// Writes the lines of one item.
    fn write(&self, impls: &Impls<'_>, (module, place): &Found, path: &str, lines: &mut Vec<String>) {
        let Some(item) = self.0.get(module).and_then(|items| items.get(*place)) else {
            lines.push(format!("macro-made {path}"));
            return;
        };
        let marks = marks(attributes(item));
        match item {
            Item::Struct(own) => {
                lines.push(format!("struct {path}{}{marks}", tidy(&own.generics)));
                write_fields(&own.fields, path, lines);
            }
            Item::Enum(own) => {
                lines.push(format!("enum {path}{}{marks}", tidy(&own.generics)));
                for variant in &own.variants {
                    let text = variant
                        .discriminant
                        .as_ref()
                        .map_or(String::new(), |(_, text)| format!(" = {}", tidy(text)));
                    let mut fields = variant.fields.clone();
                    fields.iter_mut().for_each(|field| field.attrs.clear());
                    lines.push(format!("variant {path}::{}{}{text}", variant.ident, tidy(&fields)));
                }
            }
            Item::Trait(own) => {
                lines.push(format!("trait {path}: {}{marks}", tidy(&own.supertraits)));
                for item in &own.items {
                    if let TraitItem::Fn(own) = item {
                        lines.push(format!("method {path}: {}", tidy(&own.sig)));
                    }
                }
            }
            Item::Fn(own) => lines.push(format!("function {path}: {}{marks}", tidy(&own.sig))),
            Item::Const(own) => lines.push(format!("constant {path}: {}{marks}", tidy(&own.ty))),
            Item::Static(own) => lines.push(format!("static {path}: {}{marks}", tidy(&own.ty))),
            Item::Type(own) => lines.push(format!("type {path}{} = {}", tidy(&own.generics), tidy(&own.ty))),
            _ => lines.push(format!("other {path}")),
        }
        let name = name_of(item).unwrap_or_default();
        for (own, block) in impls.get(&name).into_iter().flatten() {
            if self.resolve(own, &name, 8) == Some(Ok((module.clone(), *place))) {
                write_impl(block, path, lines);
            }
        }
    }

    /// Writes the public functions in the bodies of macros.
    fn write_macros(&self, lines: &mut Vec<String>) {
        for item in self.0.values().flatten() {
            let Item::Macro(own) = item else { continue };
            let Some(name) = &own.ident else { continue };
            let body = tidy(&own.mac.tokens);
            for (start, _) in body.match_indices("pub ") {
                let rest = &body[start + 4..];
                let is_function = ["fn ", "const fn "].iter().any(|word| rest.starts_with(word));
                if let (true, Some(end)) = (is_function, rest.find('{')) {
                    lines.push(format!("macro {name}: {}", rest[..end].trim()));
                }
            }
        }
    }
}

fn read(folder: &Path, path: &Path, module: Module, modules: &mut BTreeMap<Module, Vec<Item>>) {
    let text = fs::read_to_string(path).unwrap();
    let file = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    for item in &file.items {
        let Item::Mod(own) = item else { continue };
        if is_test(&own.attrs) {
            continue;
        }
        let name = own.ident.to_string();
        let inner: Module = [module.as_slice(), std::slice::from_ref(&name)].concat();
        if let Some((_, items)) = &own.content {
            modules.insert(inner, items.clone());
            continue;
        }
        let place = module.iter().fold(folder.to_owned(), |folder, name| folder.join(name));
        let files = [place.join(format!("{name}.rs")), place.join(&name).join("mod.rs")];
        if let Some(file) = files.iter().find(|file| file.is_file()) {
            read(folder, file, inner, modules);
        }
    }
    modules.insert(module, file.items.into_iter().map(enumeration).collect());
}

/// Returns the enumeration that the macro `words` defines, and every other item as it is.
fn enumeration(item: Item) -> Item {
    let body = |input: ParseStream<'_>| {
        let own: ItemEnum = input.parse()?;
        // The name of the texts, and how they are read.
        input.step(|cursor| {
            let mut rest = *cursor;
            while let Some((_, next)) = rest.token_tree() {
                rest = next;
            }
            Ok(((), rest))
        })?;
        Ok(own)
    };
    match item {
        Item::Macro(own) if own.mac.path.is_ident("words") => {
            own.mac.parse_body_with(body).map_or(Item::Macro(own), Item::Enum)
        }
        other => other,
    }
}

/// Returns the path and the name of each leaf of a `use`; `*` names all of a module.
fn leaves(tree: &UseTree, before: &mut Vec<String>) -> Vec<(Vec<String>, String)> {
    let with = |before: &[String], name: String| [before, &[name]].concat();
    match tree {
        UseTree::Path(own) => {
            before.push(own.ident.to_string());
            let found = leaves(&own.tree, before);
            before.pop();
            found
        }
        UseTree::Name(own) if own.ident == "self" => {
            vec![(before.clone(), before.last().cloned().unwrap_or_default())]
        }
        UseTree::Name(own) => vec![(with(before, own.ident.to_string()), own.ident.to_string())],
        UseTree::Rename(own) => vec![(with(before, own.ident.to_string()), own.rename.to_string())],
        UseTree::Group(own) => own.items.iter().flat_map(|tree| leaves(tree, before)).collect(),
        UseTree::Glob(_) => vec![(before.clone(), "*".to_owned())],
    }
}

fn write_fields(fields: &Fields, path: &str, lines: &mut Vec<String>) {
    for (place, field) in fields.iter().enumerate().filter(|(_, field)| is_public(&field.vis)) {
        let name = field.ident.as_ref().map_or_else(|| place.to_string(), ToString::to_string);
        lines.push(format!("field {path}::{name}: {}", tidy(&field.ty)));
    }
}

fn write_impl(block: &ItemImpl, path: &str, lines: &mut Vec<String>) {
    if let Some((_, name, _)) = &block.trait_ {
        lines.push(format!("impl {} for {path}", tidy(name)));
        return;
    }
    for item in &block.items {
        match item {
            ImplItem::Fn(own) if is_public(&own.vis) => {
                lines.push(format!("method {path}: {}{}", tidy(&own.sig), marks(&own.attrs)));
            }
            ImplItem::Const(own) if is_public(&own.vis) => {
                lines.push(format!("constant {path}::{}: {}", own.ident, tidy(&own.ty)));
            }
            _ => {}
        }
    }
}

fn self_name(block: &ItemImpl) -> Option<String> {
    let Type::Path(path) = &*block.self_ty else { return None };
    path.path.segments.last().map(|segment| segment.ident.to_string())
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

fn visibility(item: &Item) -> Option<&Visibility> {
    Some(match item {
        Item::Struct(own) => &own.vis,
        Item::Enum(own) => &own.vis,
        Item::Trait(own) => &own.vis,
        Item::Fn(own) => &own.vis,
        Item::Const(own) => &own.vis,
        Item::Static(own) => &own.vis,
        Item::Type(own) => &own.vis,
        _ => return None,
    })
}

fn name_of(item: &Item) -> Option<String> {
    Some(
        match item {
            Item::Struct(own) => &own.ident,
            Item::Enum(own) => &own.ident,
            Item::Trait(own) => &own.ident,
            Item::Fn(own) => &own.sig.ident,
            Item::Const(own) => &own.ident,
            Item::Static(own) => &own.ident,
            Item::Type(own) => &own.ident,
            Item::Mod(own) if !is_test(&own.attrs) => &own.ident,
            _ => return None,
        }
        .to_string(),
    )
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Struct(own) => &own.attrs,
        Item::Enum(own) => &own.attrs,
        Item::Trait(own) => &own.attrs,
        Item::Fn(own) => &own.attrs,
        Item::Const(own) => &own.attrs,
        Item::Static(own) => &own.attrs,
        _ => &[],
    }
}

/// The attributes that users meet: whether it may grow, its derived traits, its feature.
fn marks(attributes: &[Attribute]) -> String {
    let marks = attributes.iter().filter_map(|own| match &own.meta {
        Meta::Path(path) if path.is_ident("non_exhaustive") => Some("non_exhaustive".to_owned()),
        Meta::List(list) if list.path.is_ident("derive") || list.path.is_ident("cfg") => Some(tidy(list)),
        _ => None,
    });
    marks.fold(String::new(), |all, mark| all + " [" + &mark + "]")
}

/// The text of tokens, without the blanks that `quote` puts around each.
fn tidy(tokens: &impl ToTokens) -> String {
    let text = tokens.to_token_stream().to_string();
    let words = [
        (" :: ", "::"),
        (":: ", "::"),
        (" < ", "<"),
        (" >", ">"),
        ("< ", "<"),
        (" ,", ","),
        (" :", ":"),
        ("& ", "&"),
        (" (", "("),
        ("( ", "("),
        (" )", ")"),
        (" [", "["),
        ("[ ", "["),
        (" ]", "]"),
        (" ;", ";"),
        ("->(", "-> ("),
        (",)", ")"),
        (",>", ">"),
        (" !", "!"),
        ("# ", "#"),
    ];
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    words.iter().fold(text, |text, (from, to)| text.replace(from, to))
}

#[test]
fn the_public_surface_is_the_listed_one() {
    let own = Crate::read(&super::root().join("nvtopo-core/src"));
    let mut found = BTreeMap::new();
    own.list(&[], "nvtopo", &mut found);
    let impls = own.impls();
    let mut lines = Vec::new();
    for (item, paths) in &found {
        // The shortest path is the one to use.
        let mut paths: Vec<&String> = paths.iter().collect();
        paths.sort_by_key(|path| (path.matches("::").count(), *path));
        own.write(&impls, item, paths[0], &mut lines);
        lines.extend(paths[1..].iter().map(|path| format!("also {path} = {}", paths[0])));
    }
    own.write_macros(&mut lines);
    lines.sort();
    lines.dedup();
    let second = lines.iter().filter(|line| line.starts_with("also ")).count();
    let listing = lines.join("\n") + "\n";
    let file = super::root().join("docs/public-api.txt");
    if std::env::var_os("NVTOPO_UPDATE").is_some() {
        fs::write(&file, &listing).unwrap();
    }
    let known = fs::read_to_string(&file).unwrap_or_default();
    let (known, now): (BTreeSet<&str>, BTreeSet<&str>) = (known.lines().collect(), listing.lines().collect());
    let gone = known.difference(&now).map(|line| format!("- {line}"));
    let new = now.difference(&known).map(|line| format!("+ {line}"));
    let changes: Vec<String> = gone.chain(new).collect();
    assert!(
        changes.is_empty(),
        "the public surface has changed; if that is meant, run this test with NVTOPO_UPDATE=1 and commit docs/public-api.txt:\n{}",
        changes.join("\n")
    );
    assert!(lines.len() > 500, "{} lines are not the whole surface", lines.len());
    assert_eq!(second, 0, "each name has one public path; the second ones begin with 'also'");
}

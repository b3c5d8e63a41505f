//! Who uses whom: the files of a crate, and the files that each one's paths lead to, through re-exports.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use syn::visit::{self, Visit};
use syn::{Attribute, Item, UseTree, Visibility};

/// A module by its path from the crate's root.
pub(super) type Module = Vec<String>;

/// The modules that have a file, and what each uses outside of its tests.
pub(super) struct Uses(pub(super) BTreeMap<Module, BTreeSet<Module>>);

impl Uses {
    /// Of a crate by the folder that holds its root.
    pub(super) fn of(folder: &Path) -> Self {
        let mut files = BTreeMap::new();
        read(folder, &folder.join("lib.rs"), Vec::new(), &mut files);
        let uses = files.iter().map(|(module, file)| {
            let targets = file.paths.iter().filter_map(|path| target(&files, path, 0));
            (module.clone(), targets.filter(|other| other != module).collect())
        });
        Self(uses.collect())
    }

    /// Modules that use each other in a circle, if there are any: the first use is of the second one, and the last of the first.
    pub(super) fn circle(&self, inside: impl Fn(&Module) -> bool) -> Option<Vec<String>> {
        let mut done = BTreeSet::new();
        let mut path = Vec::new();
        self.0
            .keys()
            .filter(|module| inside(module))
            .find_map(|module| self.walk(module, &inside, &mut path, &mut done))
    }

    fn walk<'a>(
        &'a self,
        module: &'a Module,
        inside: &impl Fn(&Module) -> bool,
        path: &mut Vec<&'a Module>,
        done: &mut BTreeSet<&'a Module>,
    ) -> Option<Vec<String>> {
        if let Some(at) = path.iter().position(|own| *own == module) {
            return Some(path[at..].iter().map(|module| module.join("::")).collect());
        }
        if !done.insert(module) {
            return None;
        }
        path.push(module);
        let used = self.0.get(module).into_iter().flatten().filter(|used| inside(used));
        let found = used.into_iter().find_map(|used| self.walk(used, inside, path, done));
        path.pop();
        found
    }
}

/// The facts that are read of one file.
#[derive(Default)]
struct File {
    /// All paths, from the crate's root.
    paths: Vec<Module>,
    /// The re-exports of the file, by name.
    exports: BTreeMap<String, Module>,
    modules: BTreeSet<String>,
}

/// Reads a file and those of its modules.
fn read(folder: &Path, path: &Path, module: Module, files: &mut BTreeMap<Module, File>) {
    let syntax = syn::parse_file(&fs::read_to_string(path).unwrap()).unwrap();
    let modules = syntax.items.iter().filter_map(|item| match item {
        Item::Mod(own) if own.content.is_none() && !is_test(&own.attrs) => Some(own.ident.to_string()),
        _ => None,
    });
    let mut reader = Reader { module: &module, file: File { modules: modules.collect(), ..File::default() } };
    reader.visit_file(&syntax);
    let file = reader.file;
    for name in &file.modules {
        let inside = [module.as_slice(), std::slice::from_ref(name)].concat();
        let base = inside.iter().fold(folder.to_owned(), |path, part| path.join(part));
        let alone = base.with_extension("rs");
        let path = if alone.exists() { alone } else { base.join("mod.rs") };
        read(folder, &path, inside, files);
    }
    files.insert(module, file);
}

/// The file in which a path ends.
fn target(files: &BTreeMap<Module, File>, path: &[String], depth: usize) -> Option<Module> {
    assert!(depth < 16, "{path:?} is re-exported in a circle");
    let length = (0..=path.len()).rev().find(|length| files.contains_key(&path[..*length]))?;
    let (module, rest) = path.split_at(length);
    match rest.split_first() {
        Some((name, rest)) => match files[module].exports.get(name) {
            Some(export) => target(files, &[export.as_slice(), rest].concat(), depth + 1),
            None => Some(module.to_vec()),
        },
        None => Some(module.to_vec()),
    }
}

struct Reader<'a> {
    module: &'a Module,
    file: File,
}

impl Reader<'_> {
    /// A path from the crate's root; `None`: it leads into another crate, or to a name of this file.
    fn absolute(&self, path: &[String]) -> Option<Module> {
        let supers = path.iter().take_while(|part| *part == "super").count();
        match path.first()?.as_str() {
            "crate" => Some(path[1..].to_vec()),
            "self" => Some([self.module.as_slice(), &path[1..]].concat()),
            "super" => {
                let kept = self.module.len().checked_sub(supers)?;
                Some([&self.module[..kept], &path[supers..]].concat())
            }
            own if self.file.modules.contains(own) => Some([self.module.as_slice(), path].concat()),
            _ => None,
        }
    }

    fn import(&mut self, tree: &UseTree, before: &mut Vec<String>, public: bool) {
        match tree {
            UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.import(&path.tree, before, public);
                before.pop();
            }
            UseTree::Group(group) => {
                group.items.iter().for_each(|tree| self.import(tree, before, public));
            }
            UseTree::Name(name) => {
                self.leaf(before, &name.ident.to_string(), &name.ident.to_string(), public);
            }
            UseTree::Rename(name) => {
                self.leaf(before, &name.ident.to_string(), &name.rename.to_string(), public);
            }
            UseTree::Glob(_) => self.leaf(before, "self", "*", public),
        }
    }

    fn leaf(&mut self, before: &[String], name: &str, own: &str, public: bool) {
        let last = [name.to_owned()];
        let whole = if name == "self" { before.to_vec() } else { [before, &last].concat() };
        let Some(path) = self.absolute(&whole) else { return };
        if public {
            self.file.exports.insert(own.to_owned(), path);
        } else {
            self.file.paths.push(path);
        }
    }
}

pub(super) fn is_test(attributes: &[Attribute]) -> bool {
    let test = |attribute: &Attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"))
    };
    attributes.iter().any(test)
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        match item {
            Item::Mod(own) if is_test(&own.attrs) => {}
            Item::Use(own) if is_test(&own.attrs) => {}
            Item::Fn(own) if is_test(&own.attrs) => {}
            Item::Use(own) => {
                let public = !matches!(own.vis, Visibility::Inherited);
                self.import(&own.tree, &mut Vec::new(), public);
            }
            _ => visit::visit_item(self, item),
        }
    }

    /// A visibility is no use of a name.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.file.paths.extend(self.absolute(&parts).filter(|_| parts.len() > 1));
        visit::visit_path(self, path);
    }
}

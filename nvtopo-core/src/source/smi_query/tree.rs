//! Keys and values within sections: the content of `nvidia-smi -q`, as text and as XML.

/// A key with its value, or a section.
pub(super) struct Item {
    /// In small letters with `_` for blanks, as the elements of the XML.
    pub(super) key: String,
    /// Empty for a section.
    pub(super) value: String,
    /// The position after the last item inside.
    pub(super) end: usize,
}

/// The items of a text, each before those inside it.
#[derive(Default)]
pub(super) struct Items(pub(super) Vec<Item>);

/// A section, or the whole.
#[derive(Clone, Copy)]
pub(super) struct Section<'i> {
    items: &'i [Item],
    from: usize,
    to: usize,
}

impl Items {
    /// Returns the whole.
    pub(super) fn all(&self) -> Section<'_> {
        Section { items: &self.0, from: 0, to: self.0.len() }
    }
}

impl<'i> Section<'i> {
    /// Returns the items directly inside, each as a section.
    pub(super) fn items(self) -> impl Iterator<Item = (&'i Item, Section<'i>)> {
        let mut next = self.from;
        std::iter::from_fn(move || {
            let item = self.items.get(next).filter(|_| next < self.to)?;
            let own = Section { items: self.items, from: next + 1, to: item.end };
            next = item.end.max(next + 1);
            Some((item, own))
        })
    }

    /// Returns all items inside.
    pub(super) fn deep(self) -> &'i [Item] {
        self.items.get(self.from..self.to).unwrap_or_default()
    }

    /// Returns the first section directly inside with one of these names.
    pub(super) fn section(self, names: &[&str]) -> Section<'i> {
        let found = self.items().find(|(item, _)| names.contains(&&*item.key));
        found.map_or(Section { items: self.items, from: 0, to: 0 }, |(_, section)| section)
    }

    /// Returns the first value directly inside with one of these names, unless it says that there is none.
    pub(super) fn value(self, names: &[&str]) -> Option<&'i str> {
        super::known(self.raw(names)?)
    }

    /// Returns the same, whatever it says.
    pub(super) fn raw(self, names: &[&str]) -> Option<&'i str> {
        self.items().find(|(item, _)| names.contains(&&*item.key)).map(|(item, _)| &*item.value)
    }
}

/// Returns a key of the text as the XML spells it.
pub(super) fn key(text: &str) -> String {
    let joined = |c: char| if c.is_whitespace() || c == '-' { '_' } else { c.to_ascii_lowercase() };
    text.trim().chars().map(joined).collect()
}

//! Enumerations of which each value has one word, the same in every interface.

/// An enumeration with a word behind each value, and below them what the words are called. Behind that, `Display` makes the words
/// its text; so does the error for a text that is none of them, by which values are read from their words too.
macro_rules! words {
    (
        $(#[$meta:meta])*
        pub enum $name:ident { $($(#[$own:meta])* $variant:ident = $text:literal,)* }
        $(#[$doc:meta])*
        $word:ident $(, $($tail:tt)*)?
    ) => {
        $(#[$meta])*
        pub enum $name { $($(#[$own])* $variant,)* }

        impl $name {
            /// Every value, in order.
            pub const ALL: [Self; [$($text),*].len()] = [$(Self::$variant),*];

            #[allow(dead_code, reason = "for documents, in which not all of them stand")]
            pub(crate) const WORDS: &'static [&'static str] = &[$($text),*];

            $(#[$doc])*
            pub const fn $word(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }

        $(words! { @ $name $word $($tail)* })?
    };
    (@ $name:ident $word:ident Display) => {
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.$word())
            }
        }
    };
    (@ $name:ident $word:ident |$text:ident| $error:expr) => {
        words! { @ $name $word Display }

        impl std::str::FromStr for $name {
            type Err = $crate::Error;

            fn from_str($text: &str) -> $crate::Result<Self> {
                Self::ALL.into_iter().find(|own| own.$word() == $text.trim()).ok_or_else(|| $error)
            }
        }
    };
}

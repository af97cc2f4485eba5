//! One vocabulary for logs, headers and metrics: closed enums whose values each have one short text.

/// A closed enum that may label a metric: few values, all known, none from the network.
pub trait Label: Copy + 'static {
    /// Every value, in declaration order.
    const ALL: &'static [Self];

    /// The text in logs, headers and metrics.
    fn as_str(self) -> &'static str;

    /// The position in [`Label::ALL`].
    fn index(self) -> usize;
}

/// Declares an enum together with the text of each value, and implements [`Label`] for it.
macro_rules! label {
    ($(#[$about:meta])* $name:ident { $($values:tt)+ }) => {
        tidegate_headers::tokens! { $(#[$about])* $name { $($values)+ } }

        impl $crate::observe::label::Label for $name {
            const ALL: &'static [Self] = Self::ALL;

            fn as_str(self) -> &'static str {
                self.as_str()
            }

            fn index(self) -> usize {
                self as usize
            }
        }
    };
}

pub(crate) use label;

//! Identifiers. All are opaque text: a token id is a 256-bit number that no machine integer holds.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Wraps the text as it is.
            pub fn new(text: impl AsRef<str>) -> Self {
                Self(Arc::from(text.as_ref()))
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self::new(text)
            }
        }

        impl std::ops::Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(Arc::from(text))
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, text: &str) -> bool {
                *self.0 == *text
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, text: &&str) -> bool {
                *self.0 == **text
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

text_id! {
    /// Gamma's numeric market id as text, e.g. `559652`, or whatever a recording uses.
    MarketId
}
text_id! {
    /// Asset id of one outcome: a decimal uint256, up to 78 digits.
    TokenId
}
text_id! {
    /// Gamma's event id, or the key that groups markets in a recording.
    EventId
}
text_id! {
    /// Condition id, `0x` and 62 or 64 hex digits, lower case.
    ConditionId
}
text_id! {
    /// Name of an outcome: `Yes`, `No`, a team. Untrusted text.
    OutcomeName
}
impl Default for OutcomeName {
    /// No name: that of a token which nothing is known of.
    fn default() -> Self {
        Self::new("")
    }
}

text_id! {
    /// Name of a strategy, or who else asked: `mcp_manual`, `conditional`.
    StrategyName
}

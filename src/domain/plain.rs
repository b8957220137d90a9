//! Serde for money written as a plain number (`100`, `0.05`): configuration files and JSON at the
//! edges. Use as `#[serde(with = "plain")]`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::money::{MoneyError, Price, Shares, Usdc};

/// Money that can be read from and shown as a plain number.
pub trait Plain: Sized + Copy {
    /// Reads the number at its shortest decimal text. Errors: [`MoneyError`].
    fn read(value: f64) -> Result<Self, MoneyError>;
    /// The number, for people.
    fn show(self) -> f64;
}

impl Plain for Usdc {
    fn read(value: f64) -> Result<Self, MoneyError> {
        Usdc::from_f64(value)
    }
    fn show(self) -> f64 {
        self.to_f64()
    }
}

impl Plain for Price {
    fn read(value: f64) -> Result<Self, MoneyError> {
        Price::from_f64(value)
    }
    fn show(self) -> f64 {
        self.to_f64()
    }
}

impl Plain for Shares {
    fn read(value: f64) -> Result<Self, MoneyError> {
        Shares::from_f64(value)
    }
    fn show(self) -> f64 {
        self.to_f64()
    }
}

/// Writes the amount as a number.
pub fn serialize<T: Plain, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    value.show().serialize(serializer)
}

/// Reads the amount from a number.
pub fn deserialize<'de, T: Plain, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    T::read(f64::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

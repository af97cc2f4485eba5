//! Durations, sizes and shares as text: `"2s"`, `"8GiB"` and `"20%"`.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::ser::{Serialize, Serializer};

/// A duration: a number and `ms`, `s`, `m`, `h` or `d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Period(Duration);

/// A number of bytes: a number and `B`, `KiB`, `MiB` or `GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Size(u64);

/// A share of a whole: a number of hundredths and `%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Share(u32);

/// Text that is not a duration, a size or a share.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnitError {
    /// Not a duration.
    #[error("{0:?} is not {wanted}", wanted = Period::WANTED)]
    Period(String),
    /// Not a size.
    #[error("{0:?} is not {wanted}", wanted = Size::WANTED)]
    Size(String),
    /// Not a share.
    #[error("{0:?} is not {wanted}", wanted = Share::WANTED)]
    Share(String),
}

/// A value that is written as text in quotes.
trait Unit: FromStr<Err = UnitError> {
    /// The unit's name, and how to write it.
    const WANTED: &str;
}

impl Unit for Period {
    const WANTED: &str = "a duration; write \"2s\": a whole number and ms, s, m, h or d";
}

impl Unit for Size {
    const WANTED: &str = "a size; write \"256MiB\": a whole number and B, KiB, MiB or GiB";
}

impl Unit for Share {
    const WANTED: &str = "a share; write \"20%\": a whole number and %";
}

const PERIODS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
const SIZES: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl Period {
    /// A duration in seconds.
    pub const fn secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }

    /// A duration in milliseconds.
    pub const fn millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// The duration.
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl Size {
    /// A size in KiB.
    pub const fn kib(kib: u64) -> Self {
        Self(kib << 10)
    }

    /// A size in MiB.
    pub const fn mib(mib: u64) -> Self {
        Self(mib << 20)
    }

    /// The number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl Share {
    /// A share in hundredths.
    pub const fn percent(percent: u32) -> Self {
        Self(percent)
    }

    /// The share, 1 being the whole.
    pub fn get(self) -> f64 {
        f64::from(self.0) / 100.0
    }
}

/// The number times the factor of its unit.
fn value_of(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(digits)?;
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// Writes `value` in its largest whole unit.
fn write_value(f: &mut fmt::Formatter<'_>, value: u64, units: &[(&str, u64)]) -> fmt::Result {
    let smallest = units.last().copied().unwrap_or_default();
    let (unit, factor) = units
        .iter()
        .copied()
        .find(|(_, factor)| value > 0 && value.is_multiple_of(*factor))
        .unwrap_or(smallest);
    write!(f, "{}{unit}", value / factor.max(1))
}

impl FromStr for Period {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let millis = value_of(text, &PERIODS).ok_or_else(|| UnitError::Period(text.to_owned()))?;
        Ok(Self(Duration::from_millis(millis)))
    }
}

impl FromStr for Size {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        value_of(text, &SIZES).map(Self).ok_or_else(|| UnitError::Size(text.to_owned()))
    }
}

impl FromStr for Share {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let percent = value_of(text, &[("%", 1)]).and_then(|percent| u32::try_from(percent).ok());
        percent.map(Self).ok_or_else(|| UnitError::Share(text.to_owned()))
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX) {
            0 => f.write_str("0s"),
            millis => write_value(f, millis, &PERIODS),
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_value(f, self.0, &SIZES)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

impl Serialize for Share {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(UnitVisitor(PhantomData))
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(UnitVisitor(PhantomData))
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(UnitVisitor(PhantomData))
    }
}

/// Reads a unit from text. The error for a value that is not text names the unit, not "a string".
struct UnitVisitor<T>(PhantomData<T>);

impl<T: Unit> Visitor<'_> for UnitVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::WANTED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_and_written_back() {
        for text in ["0s", "250ms", "2s", "90s", "5m", "3h", "7d"] {
            assert_eq!(text.parse::<Period>().unwrap().to_string(), text);
        }
        for text in ["0B", "700B", "32KiB", "64MiB", "8GiB"] {
            assert_eq!(text.parse::<Size>().unwrap().to_string(), text);
        }
        for text in ["0%", "25%", "150%"] {
            assert_eq!(text.parse::<Share>().unwrap().to_string(), text);
        }
        assert_eq!("60s".parse::<Period>().unwrap(), Period::secs(60));
    }

    #[test]
    fn text_without_a_valid_unit_is_rejected() {
        for text in ["", "2", "s", "2 weeks", "-1s", "1.5s", "99999999999999999999s"] {
            assert!(text.parse::<Period>().is_err(), "{text:?}");
        }
        for text in ["", "2", "2MB", "MiB", "99999999999GiB"] {
            assert!(text.parse::<Size>().is_err(), "{text:?}");
        }
        for text in ["", "20", "0.2", "-1%", "99999999999%"] {
            assert!(text.parse::<Share>().is_err(), "{text:?}");
        }
    }
}

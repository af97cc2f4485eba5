//! How durations ("2s", "250ms") and sizes ("64MiB") are written in the file.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// A whole number within `MIN` and `MAX`.
pub(super) fn within<'de, const MIN: u64, const MAX: u64, D>(deserializer: D) -> Result<u64, D::Error>
where
    D: Deserializer<'de>,
{
    let number = u64::deserialize(deserializer)?;
    if (MIN..=MAX).contains(&number) {
        return Ok(number);
    }
    Err(D::Error::custom(format_args!("{number} is out of bounds: {MIN} to {MAX}")))
}

/// Durations of at most a day.
pub(super) mod duration {
    use std::time::Duration;

    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    const UNITS: [(&str, u64); 4] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(from)?;
        let millis = super::scaled(&text, &UNITS).filter(|&millis| millis <= 24 * 3_600_000);
        millis.map(Duration::from_millis).ok_or_else(|| {
            D::Error::custom(format_args!(
                "{text:?} is not a duration like \"2s\" or \"250ms\", at most \"24h\""
            ))
        })
    }

    pub(in super::super) fn serialize<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
        let millis = value.as_millis();
        if millis.is_multiple_of(1000) {
            return to.collect_str(&format_args!("{}s", millis / 1000));
        }
        to.collect_str(&format_args!("{millis}ms"))
    }
}

/// Durations of parts of segments, within bounds.
pub(super) mod part_target {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use serde::de::Error as _;
    use serde::ser::SerializeMap as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::duration;

    #[derive(Deserialize, Serialize)]
    #[serde(transparent)]
    struct Target(#[serde(serialize_with = "duration::serialize", deserialize_with = "one")] Duration);

    pub(in super::super) fn one<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let target = duration::deserialize(from)?;
        let bounds = Duration::from_millis(270)..=Duration::from_secs(1);
        let refused = || D::Error::custom(format_args!("{target:?} is out of bounds: 270ms to 1s"));
        bounds.contains(&target).then_some(target).ok_or_else(refused)
    }

    pub(in super::super) fn by_name<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<BTreeMap<String, Duration>, D::Error> {
        let targets = BTreeMap::<String, Target>::deserialize(from)?;
        Ok(targets.into_iter().map(|(name, Target(target))| (name, target)).collect())
    }

    pub(in super::super) fn serialize<S: Serializer>(
        targets: &BTreeMap<String, Duration>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(targets.len()))?;
        for (name, target) in targets {
            map.serialize_entry(name, &Target(*target))?;
        }
        map.end()
    }
}

/// Sizes of at most 1 TiB.
pub(super) mod size {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    const UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        let text = String::deserialize(from)?;
        let bytes = super::scaled(&text, &UNITS).filter(|&bytes| bytes <= 1 << 40);
        bytes.ok_or_else(|| {
            D::Error::custom(format_args!(
                "{text:?} is not a size like \"64MiB\" or \"512KiB\", at most \"1024GiB\""
            ))
        })
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a field by reference")]
    pub(in super::super) fn serialize<S: Serializer>(value: &u64, to: S) -> Result<S::Ok, S::Error> {
        let unit = UNITS.iter().find(|(_, scale)| *value > 0 && value.is_multiple_of(*scale));
        let (name, scale) = unit.copied().unwrap_or(("B", 1));
        to.collect_str(&format_args!("{}{name}", value / scale))
    }
}

fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let (_, scale) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*scale)
}

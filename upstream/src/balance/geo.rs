//! Where a node is, and a guess at the round-trip time to another one.
//!
//! The guess serves until there are measurements. It is a round-trip time, so that guessed and measured
//! regions can be compared.

use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error as _};

/// A place on earth, in degrees.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coordinates {
    /// North of the equator; the south is negative: -90 to 90.
    #[serde(deserialize_with = "latitude")]
    latitude: f64,
    /// East of Greenwich; the west is negative: -180 to 180.
    #[serde(deserialize_with = "longitude")]
    longitude: f64,
}

/// A number that is not a place on earth.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NoPlace {
    /// Beyond a pole.
    #[error("{0} is not a latitude; write degrees from -90 (south) to 90 (north)")]
    Latitude(f64),
    /// Beyond the date line.
    #[error("{0} is not a longitude; write degrees from -180 (west) to 180 (east)")]
    Longitude(f64),
}

impl Coordinates {
    /// The place at these degrees.
    ///
    /// # Errors
    /// If a number is out of its range or not a number.
    pub fn new(latitude: f64, longitude: f64) -> Result<Self, NoPlace> {
        Ok(Self { latitude: valid_latitude(latitude)?, longitude: valid_longitude(longitude)? })
    }

    /// Degrees north of the equator.
    pub const fn latitude(&self) -> f64 {
        self.latitude
    }

    /// Degrees east of Greenwich.
    pub const fn longitude(&self) -> f64 {
        self.longitude
    }

    /// Kilometres to `other` along the great circle (haversine formula; accurate to half a percent, because
    /// the earth is not a sphere).
    pub fn distance_km(&self, other: &Self) -> f64 {
        let (here, there) = (self.latitude.to_radians(), other.latitude.to_radians());
        let north = haversine(there - here);
        let east = haversine((other.longitude - self.longitude).to_radians());
        let part = here.cos().mul_add(there.cos() * east, north);
        // Rounding may exceed 1 at antipodes, where the arc sine is not a number.
        2.0 * EARTH_RADIUS_KM * part.sqrt().min(1.0).asin()
    }
}

/// A guess at the round-trip time over this distance.
///
/// Light in glass travels at two thirds of its speed in a vacuum, 200 km in a millisecond. Cables do not
/// follow the great circle, and routers take time: a factor of two covers most pairs of places. So 50 km cost
/// one millisecond, there and back.
pub fn round_trip(distance_km: f64) -> Duration {
    let seconds = 2.0 * distance_km * DETOUR / FIBRE_KM_PER_SECOND;
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

const EARTH_RADIUS_KM: f64 = 6371.0;
const FIBRE_KM_PER_SECOND: f64 = 200_000.0;
const DETOUR: f64 = 2.0;

fn haversine(angle: f64) -> f64 {
    (angle / 2.0).sin().powi(2)
}

fn valid_latitude(degrees: f64) -> Result<f64, NoPlace> {
    if (-90.0..=90.0).contains(&degrees) { Ok(degrees) } else { Err(NoPlace::Latitude(degrees)) }
}

fn valid_longitude(degrees: f64) -> Result<f64, NoPlace> {
    if (-180.0..=180.0).contains(&degrees) { Ok(degrees) } else { Err(NoPlace::Longitude(degrees)) }
}

/// Each field is checked as it is read, so that the error names its line and column.
fn latitude<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    valid_latitude(f64::deserialize(deserializer)?).map_err(D::Error::custom)
}

fn longitude<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    valid_longitude(f64::deserialize(deserializer)?).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(latitude: f64, longitude: f64) -> Coordinates {
        Coordinates::new(latitude, longitude).unwrap()
    }

    const FRANKFURT: (f64, f64) = (50.11, 8.68);
    const NEW_YORK: (f64, f64) = (40.71, -74.01);
    const SYDNEY: (f64, f64) = (-33.87, 151.21);
    const SANTIAGO: (f64, f64) = (-33.45, -70.67);

    #[test]
    fn distances_between_cities_are_those_of_the_atlas() {
        for (from, to, expected) in
            [(FRANKFURT, NEW_YORK, 6_200.0), (FRANKFURT, SYDNEY, 16_480.0), (SYDNEY, SANTIAGO, 11_350.0)]
        {
            let distance = at(from.0, from.1).distance_km(&at(to.0, to.1));
            assert!((distance / expected - 1.0_f64).abs() < 0.01, "{distance} km, not {expected}");
        }
    }

    #[test]
    fn the_date_line_is_no_distance() {
        let distance = at(0.0, 179.5).distance_km(&at(0.0, -179.5));
        assert!((distance - 111.19).abs() < 0.1, "{distance}");
    }

    #[test]
    fn the_poles_have_one_place_at_any_longitude() {
        assert!(at(90.0, 17.0).distance_km(&at(90.0, -120.0)) < 0.001);
        let half_way_round = at(90.0, 0.0).distance_km(&at(-90.0, 0.0));
        assert!((half_way_round - 20_015.0).abs() < 1.0, "{half_way_round}");
    }

    #[test]
    fn a_thousand_kilometres_are_guessed_at_twenty_milliseconds() {
        assert_eq!(round_trip(1000.0), Duration::from_millis(20));
        assert_eq!(round_trip(0.0), Duration::ZERO);
        assert_eq!(round_trip(f64::NAN), Duration::ZERO);
    }

    #[test]
    fn coordinates_are_read_from_a_configuration() {
        let read: Coordinates = toml::from_str("latitude = 50.11\nlongitude = 8.68").unwrap();
        assert_eq!(read, at(50.11, 8.68));
        assert_eq!(toml::from_str::<Coordinates>(&toml::to_string(&read).unwrap()), Ok(read));
        assert_eq!(toml::from_str("latitude = 50\nlongitude = -8"), Ok(at(50.0, -8.0)), "whole degrees");
    }

    #[test]
    fn what_is_no_place_is_refused_at_its_line_with_what_to_write() {
        for (text, line, words) in [
            ("latitude = 90.5\nlongitude = 8.68", 1, "90.5 is not a latitude; write degrees from -90"),
            ("latitude = nan\nlongitude = 8.68", 1, "NaN is not a latitude"),
            ("latitude = 50.11\nlongitude = 181.0", 2, "181 is not a longitude; write degrees from -180"),
            ("latitude = 50.11\nlongitude = -inf", 2, "-inf is not a longitude"),
            ("latitude = 50.11\nlongitude = 8.68\naltitude = 112", 3, "unknown field `altitude`"),
        ] {
            let error = toml::from_str::<Coordinates>(text).unwrap_err();
            assert!(error.message().contains(words), "{text:?}: {error}");
            let before = &text[..error.span().unwrap().start];
            assert_eq!(before.matches('\n').count() + 1, line, "{text:?}: {error}");
        }
    }

    prop_compose! {
        fn places()(latitude in -90.0..=90.0_f64, longitude in -180.0..=180.0_f64) -> Coordinates {
            at(latitude, longitude)
        }
    }

    proptest! {
        #[test]
        fn a_distance_is_the_same_both_ways_and_at_most_half_way_round(one in places(), other in places()) {
            let distance = one.distance_km(&other);
            prop_assert!((0.0..=20_016.0).contains(&distance), "{}", distance);
            prop_assert!((distance - other.distance_km(&one)).abs() < 1e-6);
            prop_assert!(one.distance_km(&one) < 1e-6);
        }
    }
}

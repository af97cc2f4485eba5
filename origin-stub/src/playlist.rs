//! The playlists' text (HLS section 4).

use std::fmt::Write as _;
use std::time::Duration;

use crate::clock::date_time;
use crate::media::{Packing, Rendition, SEGMENT, Track};
use crate::stream::{Kind, Window};

pub(crate) mod low_latency;

/// `index.m3u8` of a stream: its renditions.
pub(crate) fn multivariant(packing: Packing) -> String {
    let sound = packing.renditions().find(|rendition| rendition.track == Track::Sound);
    let mut text = String::from("#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-INDEPENDENT-SEGMENTS\n");
    if let Some(sound) = sound {
        push(
            &mut text,
            format_args!(
                "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"sound\",NAME=\"Sound\",DEFAULT=YES,AUTOSELECT=YES,CHANNELS=\"2\",\
                 URI=\"{}/index.m3u8\"",
                sound.name
            ),
        );
    }
    let (sound_peak, sound_average) = sound.map_or((0, 0), Rendition::bandwidth);
    let group = sound.map_or("", |_| ",AUDIO=\"sound\"");
    for rendition in packing.renditions() {
        let Track::Picture(width, height) = rendition.track else { continue };
        let (peak, average) = rendition.bandwidth();
        let (peak, average) = (peak + sound_peak, average + sound_average);
        push(
            &mut text,
            format_args!(
                "#EXT-X-STREAM-INF:BANDWIDTH={peak},AVERAGE-BANDWIDTH={average},CODECS=\"avc1.4d401e,mp4a.40.2\",\
                 RESOLUTION={width}x{height},FRAME-RATE=25.000{group}\n{}/index.m3u8",
                rendition.name
            ),
        );
    }
    text
}

/// `index.m3u8` of a rendition: its segments.
pub(crate) fn media(kind: Kind, rendition: &Rendition, window: &Window, skew_ms: i64) -> String {
    let mut text = String::from("#EXTM3U\n");
    let version = if rendition.packing == Packing::Cmaf { 6 } else { 3 };
    push(&mut text, format_args!("#EXT-X-VERSION:{version}"));
    push(&mut text, format_args!("#EXT-X-TARGETDURATION:{}", SEGMENT.as_secs()));
    push(&mut text, format_args!("#EXT-X-MEDIA-SEQUENCE:{}", window.first));
    match kind {
        Kind::Live => {}
        Kind::Event => text.push_str("#EXT-X-PLAYLIST-TYPE:EVENT\n"),
        Kind::Vod => text.push_str("#EXT-X-PLAYLIST-TYPE:VOD\n"),
    }
    text.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
    if rendition.packing == Packing::Cmaf {
        text.push_str("#EXT-X-MAP:URI=\"init.mp4\"\n");
    }
    for number in window.first..window.end {
        if let Some(began) = window.began(number) {
            push(&mut text, format_args!("#EXT-X-PROGRAM-DATE-TIME:{}", date_time(skewed(began, skew_ms))));
        }
        let seconds = rendition.duration(window.media(number)).as_secs_f64();
        push(&mut text, format_args!("#EXTINF:{seconds:.6},\n{number}.{}", rendition.packing.extension()));
    }
    if window.ended {
        text.push_str("#EXT-X-ENDLIST\n");
    }
    text
}

/// A moment as a clock with this skew shows it.
pub(crate) fn skewed(moment: Duration, skew_ms: i64) -> Duration {
    let off = Duration::from_millis(skew_ms.unsigned_abs());
    if skew_ms < 0 { moment.saturating_sub(off) } else { moment + off }
}

fn push(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let written = writeln!(text, "{line}");
    debug_assert!(written.is_ok(), "a String takes any text");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::stream::{Epoch, View};

    fn window(kind: Kind) -> Window {
        let moment = Duration::from_secs(1_700_000_001);
        let view = View { now: moment, started: moment, epoch: Epoch::default(), skew_ms: 0 };
        let mut config = Config::default();
        config.live.window_segments = 2;
        config.vod.loops = 1;
        Window::at(kind, &view, &config)
    }

    #[test]
    fn the_text_of_a_live_playlist() {
        let rendition = Packing::Ts.rendition("240p").unwrap();
        assert_eq!(
            media(Kind::Live, rendition, &window(Kind::Live), 0),
            "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:849999998\n\
             #EXT-X-INDEPENDENT-SEGMENTS\n\
             #EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:13:16.000Z\n#EXTINF:2.000000,\n849999998.ts\n\
             #EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:13:18.000Z\n#EXTINF:2.000000,\n849999999.ts\n"
        );
    }

    #[test]
    fn the_text_of_a_finished_audio_playlist() {
        let rendition = Packing::Cmaf.rendition("audio").unwrap();
        assert_eq!(
            media(Kind::Vod, rendition, &window(Kind::Vod), 0),
            "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:0\n\
             #EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-MAP:URI=\"init.mp4\"\n\
             #EXTINF:2.005333,\n0.m4s\n#EXTINF:2.005333,\n1.m4s\n#EXTINF:2.005333,\n2.m4s\n#EXTINF:1.984000,\n3.m4s\n\
             #EXT-X-ENDLIST\n"
        );
    }

    #[test]
    fn a_skewed_clock_moves_the_program_date_time() {
        let rendition = Packing::Ts.rendition("240p").unwrap();
        let text = media(Kind::Live, rendition, &window(Kind::Live), -16_500);
        assert!(text.contains("#EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:12:59.500Z\n"), "{text}");
    }

    #[test]
    fn a_multivariant_playlist_lists_every_rendition() {
        let ts = multivariant(Packing::Ts);
        assert_eq!(ts.matches("#EXT-X-STREAM-INF:").count(), 3, "{ts}");
        assert!(!ts.contains("#EXT-X-MEDIA:"), "{ts}");
        let cmaf = multivariant(Packing::Cmaf);
        assert_eq!(cmaf.matches("#EXT-X-STREAM-INF:").count(), 3, "{cmaf}");
        assert!(cmaf.contains("URI=\"audio/index.m3u8\"\n"), "{cmaf}");
    }
}

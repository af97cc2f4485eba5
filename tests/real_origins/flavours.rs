//! The HLS flavours that ffmpeg can write, served by nginx as files: each must reach a player unchanged.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tidegate_tests::chromium::{self, Watch};
use tokio::task::JoinSet;

use crate::nginx::Nginx;
use crate::process::{Process, until};
use crate::scenarios::{ONE_AT_A_TIME, on_air};
use crate::tiers::Tiers;
use crate::{encoder, ffmpeg, player};

/// A folder's name, and the ffmpeg options for its contents.
const FLAVOURS: [(&str, &str); 5] = [
    ("event", "-hls_playlist_type event"),
    ("live", "-hls_list_size 6 -hls_flags delete_segments"),
    ("fmp4", "-hls_list_size 6 -hls_segment_type fmp4 -hls_flags delete_segments"),
    ("shared", "-hls_list_size 6 -hls_key_info_file KEY_INFO"),
    ("guarded", "-hls_list_size 6 -hls_key_info_file KEY_INFO"),
];
/// The flavours that the browser plays as well; ffmpeg plays all of them.
const IN_CHROMIUM: [&str; 2] = ["fmp4", "guarded"];
const PERIOD: Duration = Duration::from_secs(12);

#[tokio::test(flavor = "multi_thread")]
async fn every_flavour_of_ffmpegs_hls_plays() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let mut origin = Nginx::serving_files();
    let mut encoders = FLAVOURS.map(|(name, options)| encode(&origin, name, options));
    for (name, _) in FLAVOURS {
        on_air(&origin.http, &format!("/{name}/live.m3u8")).await;
    }
    let mut tiers = Tiers::in_front_of(&[&origin.http]).await;

    let mut decoders = JoinSet::new();
    for (number, (name, _)) in FLAVOURS.into_iter().enumerate() {
        let url = tiers.urls(&format!("/{name}/live.m3u8")).swap_remove(number % 2);
        decoders.spawn(async move { ffmpeg::play(&url, PERIOD).await });
    }
    let [fmp4, guarded] = IN_CHROMIUM.map(|name| {
        chromium::play(tiers.urls(&format!("/{name}/live.m3u8")).swap_remove(0), Watch::lasting(PERIOD))
    });
    let (fmp4, guarded) = tokio::join!(fmp4, guarded);
    decoders.join_all().await.iter().for_each(ffmpeg::Seen::assert_smooth);
    fmp4.assert_smooth();
    guarded.assert_smooth();

    tiers.assert_alive();
    encoders.iter_mut().for_each(Process::assert_alive);
    origin.process.assert_alive();
    let reads = origin.reads();
    assert_segments_were_read_once(&reads);
    assert_keys_are_stored_as_the_origin_allows(&origin, &tiers).await;
}

fn encode(origin: &Nginx, name: &str, options: &str) -> Process {
    let folder = origin.media().join(name);
    std::fs::create_dir(&folder).expect("a folder for the flavour");
    let key_info = key_info(&folder, name);
    let options = options.replace("KEY_INFO", &key_info.display().to_string());
    encoder::writing_flavour(&folder, &options, &folder)
}

/// Writes a key, and the file that gives ffmpeg the key's URL and its path.
fn key_info(folder: &Path, name: &str) -> PathBuf {
    let (key, info) = (folder.join("secret.key"), folder.join("key_info"));
    std::fs::write(&key, format!("{name:0>16}")).expect("a key");
    std::fs::write(&info, format!("secret.key\n{}\n", key.display())).expect("a key's description");
    info
}

fn assert_segments_were_read_once(reads: &BTreeMap<String, u64>) {
    for (name, _) in FLAVOURS {
        let of_flavour: Vec<_> = reads
            .iter()
            .filter(|(path, _)| path.starts_with(&format!("/{name}/")))
            .filter(|(path, _)| [".ts", ".m4s", ".mp4"].iter().any(|end| path.ends_with(end)))
            .collect();
        let again: Vec<_> = of_flavour.iter().filter(|(_, count)| **count != 1).collect();
        assert!(again.is_empty(), "{name}: read more than once: {again:?}");
        // The segments that ffmpeg and the browser play in twelve seconds; the last may still be incomplete.
        assert!(of_flavour.len() >= 5, "{name}: {} segments only", of_flavour.len());
    }
}

/// A key that may be stored is read once by all players together; one that may not, once by each.
async fn assert_keys_are_stored_as_the_origin_allows(origin: &Nginx, tiers: &Tiers) {
    let reads = |name: &str| origin.reads()[&format!("/{name}/secret.key")];
    let (shared, guarded) = (reads("shared"), reads("guarded"));
    for name in ["shared", "guarded"] {
        for url in tiers.urls(&format!("/{name}/secret.key")) {
            assert_eq!(player::text(&url).await, Ok(format!("{name:0>16}")));
        }
    }
    assert_eq!((shared, reads("shared")), (1, 1));
    assert_eq!(reads("guarded"), guarded + 2);
}

/// All segments are ranges of one growing file: each is a separate object. The playlist lists the whole file:
/// ffmpeg 5.1 never advances the media sequence number of a sliding window over such a file.
#[tokio::test(flavor = "multi_thread")]
async fn ranges_of_a_growing_file_play() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let origin = Nginx::serving_files();
    let mut encoder = encode(&origin, "ranges", "-hls_list_size 0 -hls_flags single_file");
    on_air(&origin.http, "/ranges/live.m3u8").await;
    let mut tiers = Tiers::in_front_of(&[&origin.http]).await;

    let urls = tiers.urls("/ranges/live.m3u8");
    let (browser, decoder) =
        tokio::join!(chromium::play(urls[0].clone(), Watch::lasting(PERIOD)), ffmpeg::play(&urls[1], PERIOD));
    browser.assert_smooth();
    decoder.assert_smooth();
    encoder.assert_alive();
    tiers.assert_alive();
}

/// A stream whose encoder is restarted, and the tiers in front of it.
struct Show {
    origin: Nginx,
    folder: PathBuf,
    first: Process,
    tiers: Tiers,
}

impl Show {
    async fn on_air(options: &str) -> Self {
        let origin = Nginx::serving_files();
        let folder = origin.media().join("show");
        std::fs::create_dir(&folder).expect("a folder for the stream");
        let first = encoder::writing_flavour(&folder, options, &folder);
        on_air(&origin.http, "/show/live.m3u8").await;
        let tiers = Tiers::in_front_of(&[&origin.http]).await;
        Self { origin, folder, first, tiers }
    }
}

/// The most frequent case: the encoder dies and is started again, knows nothing of its previous run, and
/// writes different pictures under the same names.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_and_restarted_encoder_is_played_on() {
    const OPTIONS: &str = "-hls_list_size 6 -hls_flags delete_segments+temp_file";
    const ACROSS: Duration = Duration::from_secs(24);
    let _alone = ONE_AT_A_TIME.lock().await;
    let Show { origin, folder, first, mut tiers } = Show::on_air(OPTIONS).await;

    let urls = tiers.urls("/show/live.m3u8");
    let watch = Watch { stall_max: Duration::from_secs(4), once: true, ..Watch::lasting(ACROSS) };
    let restart = async {
        let is_read = async || origin.reads().contains_key("/show/live7.ts").then_some(());
        until("the tiers have read the eighth segment", ACROSS, is_read).await;
        // Dropping it kills it.
        drop(first);
        encoder::writing_flavour(&folder, OPTIONS, &folder)
    };
    let (browser, mut second) = tokio::join!(chromium::play(urls[0].clone(), watch), restart);
    browser.assert_smooth();

    second.assert_alive();
    tiers.assert_alive();
    assert_eq!(tiers.at_shield("tidegate_stream_restarts_total").await, 1);
    assert_eq!(tiers.at_edges("tidegate_stream_restarts_total").await, 0);
}

/// A restarted encoder continues the numbers of the previous run, marks the break, and starts its timestamps
/// again.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_that_the_encoder_marks_is_played_across_the_break() {
    const OPTIONS: &str = "-hls_list_size 6 -hls_flags append_list+discont_start+omit_endlist";
    const ACROSS: Duration = Duration::from_secs(20);
    let _alone = ONE_AT_A_TIME.lock().await;
    let Show { origin, folder, first, mut tiers } = Show::on_air(OPTIONS).await;

    let urls = tiers.urls("/show/live.m3u8");
    let watch = Watch { stall_max: Duration::from_secs(4), once: true, ..Watch::lasting(ACROSS) };
    let restart = async {
        let is_read = async || origin.reads().contains_key("/show/live5.ts").then_some(());
        until("the tiers have read the sixth segment", ACROSS, is_read).await;
        first.interrupt().await;
        let second = encoder::writing_flavour(&folder, OPTIONS, &folder);
        until("the break is marked in what viewers get", ACROSS, async || {
            let playlist = player::text(&urls[0]).await.expect("a playlist");
            playlist.contains("#EXT-X-DISCONTINUITY").then_some(())
        })
        .await;
        second
    };
    let (browser, decoder, mut second) =
        tokio::join!(chromium::play(urls[0].clone(), watch), ffmpeg::play(&urls[1], ACROSS), restart);
    browser.assert_smooth();
    decoder.assert_smooth();

    second.assert_alive();
    tiers.assert_alive();
    assert_eq!(tiers.at_shield("tidegate_stream_restarts_total").await, 0);
    let segments = origin
        .reads()
        .into_iter()
        .filter(|(path, _)| path.starts_with("/show/live") && !path.ends_with("m3u8"));
    let again: Vec<_> = segments.filter(|(_, reads)| *reads != 1).collect();
    assert!(again.is_empty(), "read more than once: {again:?}");
}

//! ffmpeg as the encoder: a test picture and a tone in H.264 and AAC, in real time.

use std::path::Path;

use tokio::process::Command;

use crate::process::Process;

/// Keyframes every two seconds, so that segments can be two seconds long.
const VIDEO: &str =
    "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -r 25 -g 50 -keyint_min 50 -sc_threshold 0";
const AUDIO: &str = "-c:a aac -b:a 64k -ar 48000";
const TWO_RENDITIONS: &str =
    "-map 0:v -map 1:a -map 0:v -map 1:a -filter:v:1 scale=160:90 -b:v:0 400k -b:v:1 150k";
const SEGMENTS: &str = "-f hls -hls_time 2 -hls_list_size 6 -master_pl_name main.m3u8";

/// Writes a multivariant playlist `main.m3u8` and two renditions into a folder.
pub(crate) fn writing_files(folder: &Path, logs: &Path) -> Process {
    let mut command = encoder();
    words(&mut command, TWO_RENDITIONS);
    words(&mut command, SEGMENTS);
    words(&mut command, "-hls_flags delete_segments+independent_segments+temp_file");
    command.args(["-var_stream_map", "v:0,a:0 v:1,a:1", "-hls_segment_filename"]);
    command.arg(folder.join("v%v/s%d.ts")).arg(folder.join("v%v/live.m3u8"));
    Process::start("encoder", &mut command, logs)
}

/// Writes one rendition, `live.m3u8` in a separate folder, with these HLS options of ffmpeg.
pub(crate) fn writing_flavour(folder: &Path, options: &str, logs: &Path) -> Process {
    let mut command = encoder();
    words(&mut command, "-map 0:v -map 1:a -b:v 300k -f hls -hls_time 2");
    words(&mut command, options);
    command.arg(folder.join("live.m3u8"));
    Process::start("encoder", &mut command, logs)
}

/// Publishes one rendition by RTMP.
pub(crate) fn publishing_rtmp(address: &str, logs: &Path) -> Process {
    let mut command = encoder();
    words(&mut command, "-map 0:v -map 1:a -b:v 400k -f flv");
    command.arg(address);
    Process::start("encoder", &mut command, logs)
}

/// Pushes a multivariant playlist and two renditions by HTTP PUT below the given address.
pub(crate) fn pushing_hls(address: &str, logs: &Path) -> Process {
    let mut command = encoder();
    words(&mut command, TWO_RENDITIONS);
    words(&mut command, SEGMENTS);
    words(&mut command, "-hls_flags independent_segments -method PUT -http_persistent 1");
    command.args(["-var_stream_map", "v:0,a:0 v:1,a:1", "-hls_segment_filename"]);
    command.arg(format!("{address}/v%v/s%d.ts")).arg(format!("{address}/v%v/live.m3u8"));
    Process::start("encoder", &mut command, logs)
}

fn encoder() -> Command {
    let mut command = Command::new("ffmpeg");
    words(&mut command, "-hide_banner -nostdin -loglevel warning");
    words(&mut command, "-re -f lavfi -i testsrc2=size=320x180:rate=25");
    words(&mut command, "-re -f lavfi -i sine=frequency=440:sample_rate=48000");
    words(&mut command, VIDEO);
    words(&mut command, AUDIO);
    command
}

fn words(command: &mut Command, line: &str) {
    command.args(line.split_whitespace());
}

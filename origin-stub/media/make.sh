#!/bin/sh
# Makes the media that the origin stub carries: an 8 s loop in 4 segments of 2 s, as MPEG-TS (picture and sound
# in one file) and as CMAF (three picture tracks and one sound track, each alone).
#
# Why 8 s: 48 kHz AAC has frames of 1024 samples, so 8 s are exactly 375 frames, and at 25 frames per second exactly
# 200 pictures. Sound and picture of a loop are equally long, and the loops join without a gap or an overlap.
# The sound is cut from the middle of a longer recording: no encoder priming at its start, and its last frame
# leads into its first one.
#
# Needs ffmpeg with libx264. Run it in this folder; it replaces ts/ and cmaf/.
set -eu
cd "$(dirname "$0")"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
ff() { ffmpeg -nostdin -hide_banner -loglevel error -y -fflags +bitexact "$@"; }

# 440 Hz with a beep at every second: periodic in 8 s.
ff -f lavfi -i "sine=frequency=440:beep_factor=4:sample_rate=48000:duration=24" \
    -ac 2 -c:a aac -b:a 48k -flags +bitexact -f adts "$tmp/long.aac"
ff -ss 8 -i "$tmp/long.aac" -c copy -frames:a 375 -f adts "$tmp/loop.aac"

# name size bitrate
picture() {
    ff -f lavfi -i "testsrc2=size=$2:rate=25:duration=8" \
        -c:v libx264 -preset slow -profile:v main -level:v 3.0 -pix_fmt yuv420p -bf 0 -threads 1 \
        -g 50 -keyint_min 50 -sc_threshold 0 -x264-params "stitchable=1" \
        -b:v "$3k" -maxrate "$3k" -bufsize "$3k" -flags +bitexact "$tmp/$1.mp4"
    mkdir -p "ts/$1" "cmaf/$1"
    ff -i "$tmp/$1.mp4" -i "$tmp/loop.aac" -map 0:v -map 1:a -c copy -flags +bitexact \
        -f hls -hls_time 2 -hls_list_size 0 -hls_segment_filename "ts/$1/%d.ts" "$tmp/$1.m3u8"
    track "$1" -i "$tmp/$1.mp4"
}

# name, then ffmpeg's input
track() {
    name=$1
    shift
    mkdir -p "cmaf/$name"
    ff "$@" -c copy -flags +bitexact -f hls -hls_time 2 -hls_list_size 0 -hls_segment_type fmp4 \
        -hls_fmp4_init_filename init.mp4 -hls_segment_filename "cmaf/$name/%d.m4s" "cmaf/$name/index.m3u8"
    rm "cmaf/$name/index.m3u8"
}

rm -rf ts cmaf
picture 360p 640x360 400
picture 240p 426x240 200
picture 144p 256x144 100
track audio -i "$tmp/loop.aac" -bsf:a aac_adtstoasc

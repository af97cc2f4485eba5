import assert from "node:assert/strict";
import { test } from "node:test";
import { parse, resolve } from "../lib/playlist.js";

const ADDRESS = "http://edge/ll/a/index.m3u8";

test("variants are sorted by bandwidth and have their sound", () => {
  const text = `#EXTM3U
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="s",NAME="A, B",DEFAULT=YES,URI="audio/index.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=900,CODECS="avc1,mp4a",AUDIO="s"
high/index.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=300
/low.m3u8
`;
  assert.deepEqual(parse(text, ADDRESS).variants, [
    { address: "http://edge/low.m3u8", bandwidth: 300, audio: undefined },
    { address: "http://edge/ll/a/high/index.m3u8", bandwidth: 900, audio: "http://edge/ll/a/audio/index.m3u8" },
  ]);
});

test("segments have numbers, dates, ranges, gaps and init sections", () => {
  const { media } = parse(`#EXTM3U
#EXT-X-TARGETDURATION:3
#EXT-X-MEDIA-SEQUENCE:7
#EXT-X-MAP:URI="init.mp4",BYTERANGE="100@0"
#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:10.000Z
#EXT-X-BYTERANGE:50@100
#EXTINF:2.5,
a.m4s
#EXT-X-BYTERANGE:60
#EXTINF:2,title
a.m4s
#EXT-X-GAP
#EXTINF:2,
gone.m4s
#EXT-X-ENDLIST
`.replaceAll("\n", "\r\n"), ADDRESS);
  assert.deepEqual(media.segments.map(({ sequence, date }) => [sequence, date]), [[7, 10000], [8, 12500], [9, 14500]]);
  assert.deepEqual(media.segments.map(({ range }) => range), [{ start: 100, length: 50 }, { start: 150, length: 60 }, undefined]);
  assert.deepEqual(media.segments.map(({ gap }) => gap), [false, false, true]);
  assert.deepEqual(media.segments[0].init, { uri: "http://edge/ll/a/init.mp4", range: { start: 0, length: 100 } });
  assert.equal(media.segments[0].uri, "http://edge/ll/a/a.m4s");
  assert.deepEqual([media.first, media.last, media.ended], [7, 9, true]);
});

/** A low-latency playlist of segments first..last, and this many parts of the next one. */
function live(first, last, parts, skip = 0) {
  const lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:2", "#EXT-X-PART-INF:PART-TARGET=1", `#EXT-X-MEDIA-SEQUENCE:${first}`];
  lines.push('#EXT-X-MAP:URI="init.mp4"');
  if (skip > 0) lines.push(`#EXT-X-SKIP:SKIPPED-SEGMENTS=${skip}`);
  for (let number = first + skip; number <= last + 1; number += 1) {
    const growing = number > last;
    if (!growing || parts > 0) lines.push(`#EXT-X-PROGRAM-DATE-TIME:${new Date(number * 2000).toISOString()}`);
    for (let part = 0; part < (growing ? parts : 2); part += 1) {
      lines.push(`#EXT-X-PART:DURATION=1.0,URI="${number}.${part}.m4s"${part === 0 ? ",INDEPENDENT=YES" : ""}`);
    }
    if (!growing) lines.push("#EXTINF:2,", `${number}.m4s`);
  }
  lines.push(`#EXT-X-PRELOAD-HINT:TYPE=PART,URI="${last + 1}.${parts}.m4s"`);
  return `${lines.join("\n")}\n`;
}

test("parts belong to their segment, and those of the next one follow", () => {
  const { media } = parse(live(5, 7, 1), ADDRESS);
  assert.deepEqual(media.segments.map(({ parts }) => parts.length), [2, 2, 2]);
  assert.deepEqual([media.growing.sequence, media.growing.parts.length], [8, 1]);
  assert.equal(media.hint, "http://edge/ll/a/8.1.m4s");
});

test("a playlist that is read incrementally equals one that is read whole", () => {
  let media = parse(live(5, 10, 0), ADDRESS).media;
  for (const [first, last, parts] of [[5, 10, 1], [6, 11, 0], [6, 11, 1], [8, 13, 1]]) {
    const whole = parse(live(first, last, parts), ADDRESS).media;
    assert.deepEqual(parse(live(first, last, parts), ADDRESS, media).media, whole);
    // A delta update leaves out known segments.
    const delta = parse(live(first, last, parts, 2), ADDRESS, media).media;
    assert.deepEqual(delta, whole);
    media = delta;
  }
});

test("a playlist that does not fit the previous one is read whole, so that a step back is noticed", () => {
  const before = parse(live(5, 10, 0), ADDRESS).media;
  assert.equal(parse(live(4, 9, 0), ADDRESS, before).media.last, 9);
  // The same names with other numbers.
  const renumbered = live(5, 10, 0).replace("MEDIA-SEQUENCE:5", "MEDIA-SEQUENCE:3");
  assert.deepEqual([parse(renumbered, ADDRESS, before).media.first, parse(renumbered, ADDRESS, before).media.last], [3, 8]);
});

test("references are resolved", () => {
  for (const [reference, address] of [
    ["1.ts", "http://edge/ll/a/1.ts"], ["../b/1.ts", "http://edge/ll/b/1.ts"], ["/1.ts?x=1", "http://edge/1.ts?x=1"],
    ["https://other/1.ts", "https://other/1.ts"], ["//other/1.ts", "http://other/1.ts"], ["./1.ts", "http://edge/ll/a/1.ts"],
  ]) assert.equal(resolve(ADDRESS, reference), address);
  assert.equal(resolve("http://edge/a/index.m3u8?t=b/c", "1.ts"), "http://edge/a/1.ts");
});

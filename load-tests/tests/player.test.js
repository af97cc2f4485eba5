import assert from "node:assert/strict";
import { test } from "node:test";
import { Buffer } from "../lib/buffer.js";
import { parse } from "../lib/playlist.js";
import { Throughput, choose } from "../lib/throughput.js";
import { at, beginning, behind, following, sameMoment, wentBack } from "../lib/timeline.js";

function live(first, count, extra = "") {
  const segments = Array.from({ length: count }, (_, index) => `#EXTINF:2,\n${first + index}.ts\n`).join("");
  const text = `#EXTM3U\n#EXT-X-TARGETDURATION:2\n${extra}#EXT-X-MEDIA-SEQUENCE:${first}\n${segments}`;
  return parse(text, "http://edge/a/index.m3u8").media;
}

test("a player begins three segments from the end, or where the playlist says", () => {
  assert.equal(beginning(live(10, 6)).sequence, 13);
  assert.equal(beginning(live(10, 6, "#EXT-X-SERVER-CONTROL:HOLD-BACK=8.0\n")).sequence, 12);
  assert.equal(beginning(live(10, 6, "#EXT-X-START:TIME-OFFSET=-4\n")).sequence, 14);
  assert.equal(beginning(live(10, 6, "#EXT-X-START:TIME-OFFSET=4\n")).sequence, 12);
  assert.equal(beginning(live(10, 2)).sequence, 10);
  assert.equal(beginning(live(0, 6, "#EXT-X-PLAYLIST-TYPE:VOD\n")).sequence, 0);
});

test("in low latency a player begins at an independent part", () => {
  const part = (name, more = "") => `#EXT-X-PART:DURATION=0.5,URI="${name}"${more}\n`;
  const text = `#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-SERVER-CONTROL:PART-HOLD-BACK=1.5\n#EXT-X-MEDIA-SEQUENCE:4\n`
    + `${part("4.0", ",INDEPENDENT=YES")}${part("4.1")}${part("4.2", ",INDEPENDENT=YES")}${part("4.3")}#EXTINF:2,\n4.ts\n`
    + part("5.0", ",INDEPENDENT=YES");
  const { media } = parse(text, "http://edge/a/index.m3u8");
  assert.deepEqual(beginning(media, true), { sequence: 4, part: 2 });
  const next = following(media, { sequence: 4, part: 4 }, true);
  assert.equal(next.piece.uri, "http://edge/a/5.0");
  assert.equal(following(media, behind(next), true), undefined);
});

test("positions advance, and a window that has moved past is reported", () => {
  const media = live(10, 3);
  assert.equal(following(media, { sequence: 12, part: 0 }).piece.uri, "http://edge/a/12.ts");
  assert.equal(following(media, { sequence: 13, part: 0 }), undefined);
  assert.deepEqual(following(media, { sequence: 8, part: 0 }).missed, { sequence: 10, part: 0 });
});

test("a playlist that ends earlier than before went back", () => {
  assert.ok(wentBack({ sequence: 9, parts: 3 }, { sequence: 10, parts: 0 }));
  assert.ok(wentBack({ sequence: 10, parts: 1 }, { sequence: 10, parts: 2 }));
  assert.ok(!wentBack({ sequence: 11, parts: 0 }, { sequence: 10, parts: 2 }));
});

test("another variant continues at the same date, whatever its numbers", () => {
  const dated = live(100, 5, "#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:00Z\n");
  assert.equal(sameMoment(dated, { sequence: 7, part: 0 }, 4000).sequence, 102);
  assert.equal(sameMoment(dated, { sequence: 7, part: 0 }, 10000).sequence, 105);
  assert.equal(sameMoment(live(100, 5), { sequence: 103, part: 0 }, undefined).sequence, 103);
  assert.equal(at(dated, 4.5).sequence, 102);
});

test("a buffer plays in real time and stalls when it is empty", () => {
  const buffer = new Buffer(1, 0);
  buffer.append(0, 2, 0.5);
  assert.equal(buffer.startup, 0.5);
  buffer.append(0, 2, 2);
  assert.equal(buffer.level(), 2.5);
  buffer.append(0, 2, 6);
  assert.deepEqual([buffer.rebuffers, buffer.rebufferSeconds], [1, 1.5]);
  buffer.advance(7);
  assert.deepEqual([buffer.played, buffer.level()], [5, 1]);
  assert.equal(buffer.rebufferRatio(), 1.5 / 6.5);
});

test("a picture without its sound does not play", () => {
  const buffer = new Buffer(2, 0);
  buffer.append(0, 2, 1);
  assert.equal(buffer.startup, undefined);
  buffer.append(1, 2, 3);
  assert.equal(buffer.startup, 3);
});

test("the end of a stream is not a stall, an empty buffer until the end of the watch is one", () => {
  const ended = new Buffer(1, 0);
  ended.append(0, 2, 0);
  ended.end(1);
  ended.advance(10);
  assert.deepEqual([ended.rebuffers, ended.played], [0, 2]);
  const stalled = new Buffer(1, 0);
  stalled.append(0, 2, 0);
  stalled.advance(4);
  stalled.advance(10);
  assert.deepEqual([stalled.rebuffers, stalled.rebufferSeconds], [1, 8]);
});

test("a near cache cannot outvote a slow object", () => {
  const throughput = new Throughput(1e6);
  assert.equal(throughput.estimate(), 1e6);
  for (let burst = 0; burst < 20; burst += 1) throughput.add(100_000, 0.0005);
  assert.ok(throughput.estimate() <= 16.1e6);
  throughput.add(100_000, 4);
  assert.ok(throughput.estimate() < 8e6, String(throughput.estimate()));
  for (let slow = 0; slow < 10; slow += 1) throughput.add(100_000, 4);
  assert.ok(throughput.estimate() < 0.3e6);
});

test("the variant is the best that the throughput and the screen allow", () => {
  const variants = [{ bandwidth: 200 }, { bandwidth: 300 }, { bandwidth: 500 }];
  assert.equal(choose(variants, undefined, 1000, Infinity), 2);
  assert.equal(choose(variants, undefined, 1000, 300), 1);
  assert.equal(choose(variants, 0, 600, Infinity), 1);
  assert.equal(choose(variants, 2, 600, Infinity), 2);
  assert.equal(choose(variants, 2, 10, Infinity), 0);
});

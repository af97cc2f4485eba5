// A viewer of a finished programme that jumps about in it: plays for a while, jumps, plays on.
//
// After each jump the segment is requested in two ranges, as players do that want to see its beginning soon,
// and now and then a few bytes of a whole segment are requested once more and compared. Uses the picture only
// where sound is separate.

import { check } from "k6";
import { Buffer } from "./buffer.js";
import { media as fetchMedia } from "./fetch.js";
import { now } from "./hls.js";
import * as metrics from "./metrics.js";
import { at, behind, following } from "./timeline.js";

/** The first bytes of a segment, from which a player learns its contents. */
const FIRST_BYTES = 16_384;
const COMPARED_BYTES = 4096;
/** Seconds loaded ahead: few, because the next jump discards them. */
const AHEAD = 6;

/** Watches for the player's time, and jumps at this interval in seconds. */
export async function wander(player, every) {
  player.end = now() + player.seconds;
  const arrival = player.tags();
  const [track] = await player.open(now());
  if (!track || !(await track.reload())) return;
  if (!check(track.media, { "the programme is finished": ({ ended, vod }) => ended || vod })) return;
  const length = track.media.segments.reduce((sum, { duration }) => sum + duration, 0);
  for (let jumps = 0; !player.over(); jumps += 1) {
    const asked = now();
    if (jumps > 0) player.buffer = new Buffer(1, asked);
    track.position = at(track.media, Math.random() * length);
    if (!(await arrive(player, track))) break;
    if (jumps > 0) metrics.seekSeconds.add(now() - asked);
    await playOn(player, track, Math.min(player.end, asked + every));
    if (jumps > 0) player.account();
    else player.report(arrival);
  }
}

/** Loads the segment at the target of a jump, its first bytes first. */
async function arrive(player, track) {
  await track.adapt();
  const { piece } = following(track.media, track.position);
  if (piece.range) return (await track.take({ piece, whole: true })) || !player.stopped;
  const range = (start, length) =>
    player.patiently(() => fetchMedia(piece.uri, { start, length }, "seek", player.tags()));
  const first = await range(0, FIRST_BYTES);
  if (!first) return false;
  const rest = first.total - first.body.byteLength;
  const second = rest > 0 ? await range(first.body.byteLength, rest) : undefined;
  if (rest > 0 && !second) return false;
  check(second ?? first, { "both ranges are of one object": ({ total }) => total === first.total });
  player.throughput.add(first.total, first.seconds + (second?.seconds ?? 0));
  track.position = behind({ piece, whole: true });
  player.appended(0, piece.duration);
  return true;
}

async function playOn(player, track, until) {
  while (now() < until && !player.over()) {
    const next = following(track.media, track.position);
    const ahead = player.buffer.ahead(0, now());
    if (!next) {
      player.buffer.end(now());
      return player.pause(Math.min(ahead, until - now()));
    }
    if (ahead > AHEAD) await player.pause(Math.min(ahead - AHEAD + 0.1, until - now()));
    else await load(player, track, next);
  }
}

async function load(player, track, next) {
  const { piece } = next;
  const whole = await player.patiently(() => fetchMedia(piece.uri, piece.range, "segment", player.tags()));
  if (!whole) return;
  metrics.bitrate.add((whole.body.byteLength * 8) / 1000 / piece.duration);
  track.position = behind(next);
  player.appended(0, piece.duration);
  if (!piece.range) await compare(player, piece, whole.body);
}

/** Compares a range with the same bytes of the whole object. */
async function compare(player, piece, whole) {
  const length = Math.min(COMPARED_BYTES, whole.byteLength);
  const start = Math.floor(Math.random() * (whole.byteLength - length + 1));
  const again = await fetchMedia(piece.uri, { start, length }, "seek", player.tags());
  if (!again) return;
  const [here, there] = [new Uint8Array(again.body), new Uint8Array(whole, start, length)];
  check(here, { "a range has the bytes of the whole": () => here.length === length && same(here, there) });
}

/** Every sixteenth byte and the last: enough to notice bytes of another position, at little cost. */
function same(one, other) {
  for (let index = 0; index < one.length; index += 16) if (one[index] !== other[index]) return false;
  return one[one.length - 1] === other[other.length - 1];
}

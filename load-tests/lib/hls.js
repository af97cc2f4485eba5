// An HLS player as a load: it sends the requests of a real one, at the same times, and decodes nothing.
//
// It reads the multivariant playlist, takes the variant that the measured throughput allows, begins as far
// from the end as the playlist says, polls or blocks for the next playlist, loads each segment (in low
// latency each part) once, and plays its buffer out in real time. Begin with `Player.watch`; then Track, one
// media playlist with its segments.

import { check } from "k6";
import { Buffer } from "./buffer.js";
import { media as fetchMedia, playlist as fetchPlaylist } from "./fetch.js";
import * as metrics from "./metrics.js";
import { parse } from "./playlist.js";
import { Throughput, choose } from "./throughput.js";
import { beginning, behind, following, reach, sameMoment, wentBack } from "./timeline.js";

/** Seconds that a player loads ahead. */
const BUFFER_MAX = 30;
/** How often a failed request is repeated, after a pause, before the player gives up. */
const TRIES = 4;
const TRY_PAUSE = 1;
const GUESS_BITS_PER_SECOND = 1_000_000;

export class Player {
  /** `{edge, stream, seconds, runSeconds, lowLatency, bandwidthMax}`; the run's length is for the tag `moment`. */
  constructor(options) {
    Object.assign(this, { lowLatency: false, bandwidthMax: Infinity }, options);
    this.throughput = new Throughput(GUESS_BITS_PER_SECOND);
    this.stopped = false;
  }

  /** Watches for the player's time, or until the stream ends. */
  async watch() {
    this.end = now() + this.seconds;
    const arrival = this.tags();
    const began = now();
    const tracks = await this.open(began);
    await Promise.all(tracks.map((track) => track.play()));
    if (tracks.length > 0) this.report(arrival);
  }

  /** Reads the playlists: a track for the picture, and one for the sound where it is separate. */
  async open(began) {
    const address = this.edge + this.stream;
    const text = await this.patiently(() => fetchPlaylist(address, "multivariant", this.tags()));
    if (!text) return [];
    const { variants, media } = parse(text, address);
    this.variants = variants ?? [{ address, bandwidth: 0 }];
    if (!check(this.variants, { "variants are listed": (listed) => media || listed.length > 0 })) return [];
    const variant = choose(this.variants, undefined, this.throughput.estimate(), this.bandwidthMax);
    const { audio } = this.variants[variant];
    const addresses = [this.variants[variant].address, ...(audio ? [audio] : [])];
    this.buffer = new Buffer(addresses.length, began);
    return addresses.map((found, index) => new Track(this, index, found, index === 0 ? variant : undefined));
  }

  over() {
    return this.stopped || now() >= this.end;
  }

  /** Tries again for a while, as players do; a player that gets nothing gives up watching. */
  async patiently(ask) {
    for (let tries = 0; tries < TRIES; tries += 1) {
      const got = await ask();
      if (got !== undefined) return got;
      if (this.over()) return undefined;
      await this.pause(TRY_PAUSE);
    }
    this.stopped = true;
    metrics.gaveUp.add(1);
    return undefined;
  }

  async pause(seconds) {
    const left = Math.max(0, Math.min(seconds, this.end - now()));
    await new Promise((wake) => setTimeout(wake, left * 1000));
  }

  tags() {
    return metrics.moment(this.runSeconds);
  }

  /** Media of a track was appended; `date` is the creation time of its end, in milliseconds. */
  appended(track, seconds, date) {
    const { buffer } = this;
    const before = buffer.rebuffers;
    const started = buffer.startup !== undefined;
    buffer.append(track, seconds, now());
    if (buffer.rebuffers > before) metrics.rebuffers.add(1, this.tags());
    if (started) metrics.bufferSeconds.add(buffer.level(), this.tags());
    if (track === 0 && buffer.playing && date !== undefined) {
      metrics.liveLatency.add(now() - date / 1000 + buffer.level());
    }
  }

  report(arrival) {
    if (this.buffer.startup !== undefined) {
      metrics.players.add(1);
      metrics.startup.add(this.buffer.startup, arrival);
    }
    this.account();
  }

  /** Adds up the time played from the buffer until now. */
  account() {
    const { buffer } = this;
    const before = buffer.rebuffers;
    buffer.advance(now());
    if (buffer.rebuffers > before) metrics.rebuffers.add(1, this.tags());
    metrics.playedSeconds.add(buffer.played);
    metrics.rebufferSeconds.add(buffer.rebufferSeconds);
    metrics.rebufferRatio.add(buffer.rebufferRatio());
  }
}

/** One media playlist and its segments: of the picture, which may change its variant, or of the sound. */
class Track {
  constructor(player, index, address, variant) {
    Object.assign(this, { player, index, address, variant });
    this.media = undefined;
    this.position = undefined;
    this.init = undefined;
    this.early = new Map();
    this.wake = () => {};
  }

  async play() {
    if (!(await this.reload())) return;
    this.position = beginning(this.media, this.player.lowLatency);
    await Promise.all([this.follow(), this.load()]);
  }

  /** Keeps the playlist up to date (HLS sections 6.2.5.2 and 6.3.4). */
  async follow() {
    while (!this.media.ended && !this.player.over()) {
      const { control, targetDuration, partTarget } = this.media;
      const blocks = control["CAN-BLOCK-RELOAD"] === "YES";
      if (!blocks || !this.moved) {
        const period = this.player.lowLatency && partTarget ? partTarget : targetDuration;
        await this.player.pause(period * (this.moved ? 1 : 0.5) - (now() - this.asked));
      }
      // Two responses under way could arrive in the wrong order.
      if (this.changing) await this.changing;
      else if (!this.player.over()) await this.reload(blocks);
    }
    this.wake();
  }

  async reload(blocks = false) {
    const { address } = this;
    const query = blocks ? this.directives() : "";
    this.asked = now();
    const type = blocks ? "blocking" : "playlist";
    const text = await this.player.patiently(() => fetchPlaylist(address + query, type, this.player.tags()));
    // The track may have switched to another variant meanwhile.
    if (address !== this.address) return true;
    if (text !== undefined) this.accept(readMedia(text, address), blocks);
    this.wake();
    return text !== undefined;
  }

  accept(media, blocks) {
    const known = this.media?.address === media.address ? this.media : undefined;
    const before = known && reach(known);
    const after = reach(media);
    check(media, {
      "segments are listed": (listed) => listed.segments.length > 0,
      "the playlist never goes back": () => !known || (media.first >= known.first && !wentBack(after, before)),
    });
    this.moved = !before || wentBack(before, after);
    if (blocks) check(this, { "a playlist that was held has moved": () => this.moved || media.ended });
    this.media = media;
  }

  /** The query of the request: the next part or segment (HLS section 6.2.5.2), and only the new segments. */
  directives() {
    const { last, growing, partTarget, control } = this.media;
    const part = this.player.lowLatency && partTarget ? `&_HLS_part=${growing?.parts.length ?? 0}` : "";
    const skip = control["CAN-SKIP-UNTIL"] ? "&_HLS_skip=YES" : "";
    const mark = this.address.includes("?") ? "&" : "?";
    return `${mark}_HLS_msn=${last + 1}${part}${skip}`;
  }

  /** Loads the next segment or part, as soon as it exists and there is room for it. */
  async load() {
    const { player } = this;
    while (!player.over()) {
      await this.adapt();
      const next = following(this.media, this.position, player.lowLatency);
      if (next?.missed) {
        metrics.missedSegments.add(next.missed.sequence - this.position.sequence);
        this.position = next.missed;
      } else if (next) {
        await this.room();
        if (!player.over()) await this.take(next);
      } else if (this.media.ended) {
        return this.player.buffer.end(now());
      } else {
        this.ahead();
        await new Promise((wake) => (this.wake = wake));
      }
    }
  }

  /** Switches to the variant that the throughput allows, where a segment begins. */
  async adapt() {
    const { player } = this;
    if (this.variant === undefined || this.position.part !== 0) return;
    const best = choose(player.variants, this.variant, player.throughput.estimate(), player.bandwidthMax);
    if (best === this.variant) return;
    metrics.switches.add(1);
    this.variant = best;
    this.address = player.variants[best].address;
    this.changing = this.reload();
    await this.changing;
    this.changing = undefined;
    if (this.media.address === this.address) this.position = sameMoment(this.media, this.position, this.date);
  }

  async room() {
    const { player, index } = this;
    const spare = () => player.buffer.ahead(index, now()) - BUFFER_MAX;
    for (let left = spare(); left > 0 && !player.over(); left = spare()) await player.pause(left + 0.01);
  }

  /** Requests the hinted part, so that it arrives when it is made. */
  ahead() {
    const { hint } = this.media;
    if (!this.player.lowLatency || !hint || this.early.has(hint)) return;
    // Of earlier hints, at most the last one is still useful.
    if (this.early.size > 1) this.early.delete(this.early.keys().next().value);
    this.early.set(hint, fetchMedia(hint, undefined, "hint", this.player.tags()));
  }

  async take({ piece, whole }) {
    const { player } = this;
    if (!piece.gap) {
      if (piece.init && piece.init.uri !== this.init) {
        if (!(await player.patiently(() => fetchMedia(piece.init.uri, piece.init.range, "init", player.tags())))) return;
        this.init = piece.init.uri;
      }
      if (!(await this.bring(piece, whole))) return;
    }
    this.position = behind({ piece, whole });
    this.date = this.endOf(piece, whole);
    player.appended(this.index, piece.duration, this.media.ended ? undefined : this.date);
  }

  async bring(piece, whole) {
    const { player } = this;
    const hinted = this.early.get(piece.uri);
    if (hinted && (await hinted)) return true;
    const type = whole ? "segment" : "part";
    const got = await player.patiently(() => fetchMedia(piece.uri, piece.range, type, player.tags()));
    if (!got) return false;
    // A part is too small to measure the throughput, and a hint takes until its part is made.
    if (whole) player.throughput.add(got.body.byteLength, got.seconds);
    if (whole && this.index === 0) metrics.bitrate.add((got.body.byteLength * 8) / 1000 / piece.duration);
    return true;
  }

  /** The creation time of the end of a segment or part, where the playlist has dates. */
  endOf(piece, whole) {
    if (whole) return piece.date === undefined ? undefined : piece.date + piece.duration * 1000;
    const listed = this.media.segments.find(({ sequence }) => sequence === piece.sequence) ?? this.media.growing;
    if (listed?.sequence !== piece.sequence || listed.date === undefined) return undefined;
    const parts = listed.parts.slice(0, piece.index + 1);
    return listed.date + parts.reduce((sum, { duration }) => sum + duration * 1000, 0);
  }
}

/** An immutable playlist, or one that another player of the same virtual user has read, is not read again. */
function readMedia(text, address) {
  const before = read.get(address);
  if (before?.text === text) return before.media;
  const { media } = parse(text, address, before?.media);
  read.set(address, { text, media });
  return media;
}

// By address: as many as there are renditions at the edges of a virtual user.
const read = new Map();

/** Seconds. */
export function now() {
  return Date.now() / 1000;
}

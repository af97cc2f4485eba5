// An HLS player as a load: it asks for what a real one asks for, when it would, and decodes nothing.
//
// Multivariant playlist once, then its media playlist every target duration, and each new segment once.

import { check, sleep } from "k6";
import http from "k6/http";
import { Counter, Trend } from "k6/metrics";

const segments = new Counter("hls_segments");
const playlistAge = new Trend("hls_playlist_age_seconds");

// A player that joins begins with the last three segments (RFC 8216bis 6.3.3).
const FIRST_SEGMENTS = 3;

/** Plays for `seconds`; `rendition` picks one of those that the multivariant playlist lists, counting round. */
export function play(base, stream, rendition, seconds) {
  const end = Date.now() + seconds * 1000;
  const top = fetchPlaylist(base + stream, "multivariant");
  if (!top) return;
  const renditions = addresses(top.text);
  let address = base + stream;
  let playlist = top;
  if (top.text.includes("#EXT-X-STREAM-INF")) {
    if (!check(renditions, { "renditions are listed": (found) => found.length > 0 })) return;
    address = resolve(address, renditions[rendition % renditions.length]);
    playlist = undefined;
  }

  const seen = { sequence: -1, init: undefined };
  while (Date.now() < end) {
    const started = Date.now();
    playlist ??= fetchPlaylist(address, "media");
    if (!playlist) return;
    const media = parseMedia(playlist.text);
    fetchNew(address, media, seen);
    if (media.ended) return;
    // A playlist that has not moved is asked for again after half the time (RFC 8216bis 6.3.4).
    const pause = media.targetDuration * (seen.moved ? 1 : 0.5) - (Date.now() - started) / 1000;
    sleep(Math.max(0, Math.min(pause, (end - Date.now()) / 1000)));
    playlist = undefined;
  }
}

function fetchNew(address, media, seen) {
  check(media, {
    "segments are listed": () => media.segments.length > 0,
    "the playlist never goes back": () => media.last >= seen.sequence,
  });
  if (media.init && media.init !== seen.init) {
    seen.init = media.init;
    fetchSegment(resolve(address, media.init));
  }
  const joined = seen.sequence >= 0;
  const fresh = media.segments.filter((segment) => segment.sequence > seen.sequence);
  for (const segment of joined ? fresh : fresh.slice(-FIRST_SEGMENTS)) {
    fetchSegment(resolve(address, segment.uri));
  }
  seen.moved = fresh.length > 0;
  seen.sequence = Math.max(seen.sequence, media.last);
}

function fetchPlaylist(url, type) {
  const answer = http.get(url, { responseType: "text", tags: { name: type, type: "playlist" } });
  const good = check(answer, {
    "the playlist is there": (r) => r.status === 200 && !r.error,
    "the playlist is one": (r) => typeof r.body === "string" && r.body.startsWith("#EXTM3U"),
  });
  if (good && type === "media") playlistAge.add(Number(answer.headers["Age"] ?? 0));
  return good ? { text: answer.body } : undefined;
}

function fetchSegment(url) {
  const answer = http.get(url, { responseType: "binary", tags: { name: "segment", type: "segment" } });
  check(answer, {
    "the segment is there": (r) => r.status === 200 && !r.error,
    "the segment is whole": (r) => {
      const length = r.headers["Content-Length"];
      const bytes = r.body ? r.body.byteLength : 0;
      return bytes > 0 && (length === undefined || Number(length) === bytes);
    },
  });
  segments.add(1);
}

/** What a player needs of a media playlist. */
export function parseMedia(text) {
  const number = (tag, otherwise) => Number(new RegExp(`^#${tag}:(\\d+)`, "m").exec(text)?.[1] ?? otherwise);
  const first = number("EXT-X-MEDIA-SEQUENCE", 0);
  const segments = addresses(text).map((uri, index) => ({ uri, sequence: first + index }));
  return {
    targetDuration: number("EXT-X-TARGETDURATION", 2),
    init: /^#EXT-X-MAP:.*URI="([^"]+)"/m.exec(text)?.[1],
    ended: /^#EXT-X-ENDLIST/m.test(text),
    segments,
    last: first + segments.length - 1,
  };
}

function addresses(text) {
  return text.split(/\r?\n/).filter((line) => line && !line.startsWith("#"));
}

/** A reference inside a playlist, as an absolute address. */
export function resolve(base, reference) {
  if (/^[a-z]+:\/\//i.test(reference)) return reference;
  const [, host, path] = /^([a-z]+:\/\/[^/]+)([^?#]*)/i.exec(base);
  return reference.startsWith("/") ? host + reference : host + path.slice(0, path.lastIndexOf("/") + 1) + reference;
}

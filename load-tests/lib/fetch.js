// Requests as players send them, with every response checked: status, length, range, completeness.
//
// Every request has the tag `type`: multivariant, playlist, blocking (a playlist request that blocks until it
// advances), segment, init, part, hint (a part that is requested before it exists), seek (a part of a
// segment).

import { check } from "k6";
import http from "k6/http";
import { bytes, objects, playlistAge } from "./metrics.js";

const TIMEOUT = "20s";

/** The text of a playlist, or undefined. Browsers request it compressed. */
export async function playlist(url, type, tags) {
  const answer = await get(url, { headers: { "Accept-Encoding": "gzip" }, responseType: "text" }, type, tags);
  const good = check(answer, {
    "the playlist is there": (r) => r.status === 200 && !r.error,
    "the playlist is one": (r) => typeof r.body === "string" && r.body.startsWith("#EXTM3U"),
  }, { type });
  if (good && type === "playlist") playlistAge.add(Number(answer.headers["Age"] ?? 0));
  return good ? answer.body : undefined;
}

/** A body or a range of one: `{body, seconds, total}`, or undefined. `total` is the length of the whole object. */
export async function media(url, range, type, tags) {
  const headers = range ? { Range: `bytes=${range.start}-${range.start + range.length - 1}` } : {};
  const answer = await get(url, { headers, responseType: "binary" }, type, tags);
  const length = answer.body ? answer.body.byteLength : 0;
  const announced = answer.headers["Content-Length"];
  const [, first, last, total] = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(answer.headers["Content-Range"] ?? "") ?? [];
  const good = check(answer, {
    "the media is there": (r) => r.status === (range ? 206 : 200) && !r.error,
    "the media is whole": () => length > 0 && (announced === undefined || Number(announced) === length),
    ...(range && {
      "the range is the one asked for": () => Number(first) === range.start
        && length === Number(last) - Number(first) + 1 && length <= range.length,
    }),
  }, { type });
  if (!good) return undefined;
  bytes.add(length, tags);
  return { body: answer.body, seconds: answer.timings.duration / 1000, total: range ? Number(total) : length };
}

async function get(url, parameters, type, tags) {
  objects.add(1, { type, ...tags });
  return http.asyncRequest("GET", url, null, { timeout: TIMEOUT, tags: { name: type, type }, ...parameters });
}

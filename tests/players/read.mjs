// Reads playlists as hls.js does, without a browser: what it finds in each, in one JSON object for each URL.
//
//     node read.mjs http://127.0.0.1:8080/a.m3u8 http://127.0.0.1:8080/b.m3u8
//
// An error of hls.js is an answer too. The exit status is 0 unless a playlist gives neither.

import { createRequire } from "node:module";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const VENDORED = join(import.meta.dirname, "../../web/vendor/hls.js");
const ANSWER_WITHIN_MS = 20_000;

// In node, the global object has another name and no address.
globalThis.self = globalThis;
globalThis.location = new URL("http://127.0.0.1/");
const Hls = createRequire(import.meta.url)(join(VENDORED, readdirSync(VENDORED)[0], "hls.min.js"));

/** What hls.js finds at a URL. */
export async function read(url) {
  const hls = new Hls({ enableWorker: false, autoStartLoad: false, loader: FetchLoader });
  const found = {};
  try {
    await new Promise((done) => {
      const limit = setTimeout(() => done((found.error = "no answer")), ANSWER_WITHIN_MS);
      const finish = () => (clearTimeout(limit), setImmediate(done));
      hls.on(Hls.Events.ERROR, (_, error) => {
        found.error ??= error.details;
        finish();
      });
      hls.on(Hls.Events.MANIFEST_PARSED, (_, { levels, audioTracks, subtitleTracks }) => {
        found.levels = levels.length;
        found.tracks = audioTracks.length + subtitleTracks.length;
        // A media playlist is read within the same turn.
        finish();
      });
      hls.on(Hls.Events.LEVEL_LOADED, (_, { details }) => Object.assign(found, summary(details)));
      hls.loadSource(url);
    });
  } finally {
    hls.destroy();
  }
  return found;
}

function summary(details) {
  const { fragments, partList, startSN, endSN, live, targetduration, totalduration } = details;
  return {
    fragments: fragments.length,
    parts: partList?.length ?? 0,
    sections: new Set(fragments.map(({ initSegment }) => initSegment?.relurl)).size,
    ranges: fragments.map(({ byteRange }) => byteRange.join("-")).join(" "),
    names: fragments.map(({ relurl }) => relurl).join(" "),
    numbers: [startSN, endSN].join("-"),
    live,
    targetduration,
    totalduration,
  };
}

/** A loader of hls.js that needs no browser. */
class FetchLoader {
  stats = {
    aborted: false,
    loaded: 0,
    retry: 0,
    total: 0,
    chunkCount: 0,
    bwEstimate: 0,
    loading: { start: 0, first: 0, end: 0 },
    parsing: { start: 0, end: 0 },
    buffering: { start: 0, first: 0, end: 0 },
  };

  load(context, _config, callbacks) {
    this.context = context;
    const fail = (code, text) => callbacks.onError({ code, text }, context, null, this.stats);
    fetch(context.url)
      .then(async (response) => {
        if (!response.ok) return fail(response.status, response.statusText);
        const data = await response.text();
        const now = performance.now();
        this.stats.loading = { start: now, first: now, end: now };
        this.stats.loaded = this.stats.total = data.length;
        callbacks.onSuccess({ url: response.url, data, code: response.status }, this.stats, context, response);
      })
      .catch((error) => fail(0, String(error)));
  }

  abort() {}

  destroy() {}
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  for (const url of process.argv.slice(2)) {
    const found = await read(url);
    if (Object.keys(found).length === 0) process.exitCode = 1;
    console.log(JSON.stringify(found));
  }
  process.exit();
}

// A page with only a player, served on loopback: hls.js from web/vendor, muted, started immediately.

import { createServer } from "node:http";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";

const VENDORED = join(import.meta.dirname, "../../web/vendor/hls.js");

// With a `cookie`, the page sets it for all ports of its host, and the player sends it to other web origins.
// Without a `port`, any free one is taken.
export async function servePlayerPage(playlist, config = {}, { cookie, port = 0 } = {}) {
  const files = {
    "/": { type: "text/html; charset=utf-8", body: html(playlist, config, Boolean(cookie)), cookie },
    "/hls.min.js": { type: "text/javascript", body: readFileSync(join(VENDORED, version(), "hls.min.js")) },
  };
  const server = createServer((request, response) => {
    const file = files[request.url];
    if (file?.cookie) response.setHeader("set-cookie", `${file.cookie}; Path=/; HttpOnly`);
    response.writeHead(file ? 200 : 404, { "content-type": file?.type ?? "text/plain" });
    response.end(file?.body);
  });
  await new Promise((listening) => server.listen(port, "127.0.0.1", listening));
  return { address: `http://127.0.0.1:${server.address().port}/`, close: () => server.close() };
}

function version() {
  const versions = readdirSync(VENDORED);
  if (versions.length !== 1) throw new Error(`one version of hls.js belongs in ${VENDORED}, found: ${versions}`);
  return versions[0];
}

// The player's own events are collected in `window.player`, where observe.mjs reads them; `measure` is called
// with each sample: how far the player estimates to be behind the playlist's end, and how far the picture is
// behind the encoder's clock.
function html(playlist, config, withCredentials) {
  return `<!doctype html>
<title>player</title>
<link rel="icon" href="data:,">
<video muted autoplay playsinline width="640"></video>
<script src="/hls.min.js"></script>
<script>
  const player = (window.player = { errors: [], levels: [], fragments: 0, playlists: 0, appended: {} });
  const config = ${JSON.stringify(config)};
  if (${withCredentials}) config.xhrSetup = (xhr) => (xhr.withCredentials = true);
  const hls = new Hls(config);
  window.measure = () => ({
    latency: hls.latency,
    behind: hls.playingDate ? (Date.now() - hls.playingDate.getTime()) / 1000 : undefined,
  });
  hls.on(Hls.Events.ERROR, (_, e) => player.errors.push({ fatal: e.fatal, type: e.type, details: e.details }));
  hls.on(Hls.Events.MANIFEST_PARSED, (_, e) => {
    player.levels = e.levels.map((level) => ({ width: level.width, height: level.height, bitrate: level.bitrate }));
  });
  hls.on(Hls.Events.LEVEL_LOADED, () => player.playlists++);
  hls.on(Hls.Events.FRAG_LOADED, () => player.fragments++);
  hls.on(Hls.Events.FRAG_BUFFERED, (_, { frag, part }) => {
    const { url, byteRange } = part ?? frag;
    const piece = [url, ...byteRange].join(" ");
    player.appended[piece] = (player.appended[piece] ?? 0) + 1;
  });
  hls.loadSource(${JSON.stringify(playlist)});
  hls.attachMedia(document.querySelector("video"));
</script>`;
}

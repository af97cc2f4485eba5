// Plays a stream in a real browser and reports the result in one JSON object.
//
//     node play.mjs --url http://127.0.0.1:8080/live/main.m3u8 --seconds 30
//     node play.mjs --url http://127.0.0.1:8080/ll/demo/cmaf/index.m3u8 --low-latency
//     node play.mjs --page http://127.0.0.1:8000/ --seconds 20      (a page with its own player)
//     node play.mjs --url http://127.0.0.1:8080/live/main.m3u8 --cookie token=abc --page-port 8000
//
// The exit status is 0 only where the stream started in time, ran at real-time pace, and neither failed nor
// stalled for longer than allowed: see verdict.mjs.

import { parseArgs } from "node:util";
import { launch } from "./browser.mjs";
import { observe } from "./observe.mjs";
import { servePlayerPage } from "./page.mjs";
import { START_WITHIN_SECONDS, judge } from "./verdict.mjs";

const { values } = parseArgs({
  options: {
    url: { type: "string" },
    page: { type: "string" },
    seconds: { type: "string", default: "30" },
    screenshot: { type: "string" },
    "low-latency": { type: "boolean", default: false },
    "stall-max": { type: "string", default: "0" },
    once: { type: "boolean", default: false },
    cookie: { type: "string" },
    "page-port": { type: "string", default: "0" },
  },
});
const seconds = Number(values.seconds);
const allowed = {
  stallMax: Number(values["stall-max"]),
  once: values.once,
  catchesUp: values["low-latency"],
  // hls.js 1.7 was seen to throw once within a minute of low latency on a busy machine, and to play on.
  pageErrorsMax: values["low-latency"] ? 1 : 0,
};
if (
  Boolean(values.url) === Boolean(values.page) ||
  !(seconds > 0) ||
  !(allowed.stallMax >= 0)
) {
  console.error(
    "usage: node play.mjs (--url PLAYLIST [--low-latency] [--once] [--cookie NAME=VALUE] [--page-port N] | --page PAGE)" +
      " [--seconds N] [--stall-max SECONDS] [--screenshot FILE]",
  );
  process.exit(2);
}

// Nothing here may hang a test run: the browser gets its time and a margin for its start, no more.
const limit = setTimeout(() => {
  console.error(`play.mjs: not done after ${START_WITHIN_SECONDS + seconds + 45} s`);
  process.exit(3);
}, (START_WITHIN_SECONDS + seconds + 45) * 1000);

// In low latency a player that has fallen behind plays a little faster until it has caught up, as such pages
// configure it: the delay of its first picture is then forgotten.
const config = values["low-latency"] ? { lowLatencyMode: true, maxLiveSyncPlaybackRate: 1.5 } : {};

const page = { cookie: values.cookie, port: Number(values["page-port"]) };
const server = values.url ? await servePlayerPage(values.url, config, page) : undefined;
const browser = await launch();
try {
  const observation = await observe(browser, server?.address ?? values.page, {
    seconds,
    startWithin: START_WITHIN_SECONDS,
    screenshot: values.screenshot,
    // A test that breaks something on purpose needs to know when playback starts.
    onStart: () => console.error("playing"),
  });
  const verdict = judge(observation, seconds, allowed);
  console.log(JSON.stringify({ source: values.url ?? values.page, ...verdict, ...observation }));
  process.exitCode = verdict.ok ? 0 : 1;
} finally {
  clearTimeout(limit);
  await browser.close();
  server?.close();
}

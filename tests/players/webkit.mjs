// Plays streams in WebKit's own player, beside each other in one page, and reports them in one JSON object.
//
//     node webkit.mjs --play http://127.0.0.1:8080/live/main.m3u8 --play ... --refused URL --seconds 10
//
// WebKit has HLS from GStreamer, whose requests no script of the page makes or sees. WebKitWebDriver (W3C
// WebDriver) drives MiniBrowser on a display in memory. The exit status is 0 only where each stream of --play
// started in time and ran as verdict.mjs demands, and none of --refused played. WEBKIT_LOG=1 shows the output
// of the browser.

import { spawn } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { watchVideo } from "./observe.mjs";
import { judge } from "./verdict.mjs";

// GStreamer looks at all of its plugins when it runs for the first time.
const START_WITHIN_SECONDS = 30;

const { values } = parseArgs({
  options: {
    play: { type: "string", multiple: true, default: [] },
    refused: { type: "string", multiple: true, default: [] },
    cookie: { type: "string" },
    seconds: { type: "string", default: "10" },
  },
});
const seconds = Number(values.seconds);
const urls = [...values.play, ...values.refused];
if (urls.length === 0 || !(seconds > 0)) {
  console.error("usage: node webkit.mjs [--play PLAYLIST]... [--refused PLAYLIST]... [--cookie NAME=VALUE] [--seconds N]");
  process.exit(2);
}

const children = [];
process.on("exit", () => children.forEach((child) => child.kill("SIGKILL")));

// Nothing here may hang a test run.
const limit = setTimeout(() => {
  console.error("webkit.mjs: not done in time");
  process.exit(3);
}, (START_WITHIN_SECONDS + seconds + 45) * 1000);

// A page with a frame for each video, so that each has a document of its own to be watched in.
async function servePage() {
  const frame = (url) => `<!doctype html><script>(${watchVideo})();</script>
<video muted autoplay playsinline width="160" src="${url.replaceAll("&", "&amp;").replaceAll('"', "&quot;")}"></video>`;
  const page = `<!doctype html><title>players</title>${urls.map((_, i) => `<iframe src="/${i}"></iframe>`).join("")}`;
  const server = createServer((request, response) => {
    const url = urls[request.url.slice(1)];
    const body = request.url === "/" ? page : url && frame(url);
    if (values.cookie) response.setHeader("set-cookie", `${values.cookie}; Path=/; HttpOnly`);
    response.writeHead(body ? 200 : 404, { "content-type": "text/html; charset=utf-8" });
    response.end(body);
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  return server;
}

// A display in memory; the server chooses its number and writes it to the third file descriptor.
async function startDisplay() {
  const display = spawn("Xvfb", ["-displayfd", "3", "-screen", "0", "800x600x24", "-nolisten", "tcp"], {
    stdio: ["ignore", "ignore", "ignore", "pipe"],
  });
  children.push(display);
  const number = await new Promise((resolve, reject) => {
    display.stdio[3].once("data", (data) => resolve(String(data).trim()));
    display.once("error", reject);
    display.once("exit", () => reject(new Error("Xvfb ended")));
  });
  return `:${number}`;
}

function miniBrowser() {
  const libraries = "/usr/lib";
  for (const architecture of readdirSync(libraries)) {
    const program = join(libraries, architecture, "webkit2gtk-4.1/MiniBrowser");
    if (existsSync(program)) return program;
  }
  throw new Error("MiniBrowser of webkit2gtk-4.1 is missing");
}

async function freePort() {
  const server = createServer();
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  const { port } = server.address();
  await new Promise((closed) => server.close(closed));
  return port;
}

async function startDriver(display) {
  const port = await freePort();
  const driver = spawn("WebKitWebDriver", [`--port=${port}`, "--host=127.0.0.1"], {
    env: {
      ...process.env,
      DISPLAY: display,
      GDK_BACKEND: "x11",
      LIBGL_ALWAYS_SOFTWARE: "1",
      WEBKIT_GST_ENABLE_HLS_SUPPORT: "1",
      // In a container, bubblewrap may not make the namespaces of the sandbox.
      WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS: "1",
    },
    stdio: ["ignore", process.env.WEBKIT_LOG ? 2 : "ignore", process.env.WEBKIT_LOG ? 2 : "ignore"],
  });
  children.push(driver);
  const call = async (method, path, body) => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, {
      method,
      body: body && JSON.stringify(body),
      headers: { "content-type": "application/json" },
    });
    const { value } = await response.json();
    if (!response.ok) throw new Error(`${method} ${path}: ${value.error}: ${value.message}`);
    return value;
  };
  for (let tries = 0; ; tries++) {
    const status = await call("GET", "/status").catch(() => undefined);
    if (status?.ready) return call;
    if (tries > 100) throw new Error("WebKitWebDriver does not answer");
    await sleep(100);
  }
}

// Runs inside the page: the observations of each frame so far.
function observations() {
  return [...document.querySelectorAll("iframe")].map((frame) => {
    const { watched, document } = frame.contentWindow;
    const video = document.querySelector("video");
    const error = video?.error && { fatal: true, type: "media", details: `${video.error.code} ${video.error.message}` };
    const { startedAfter } = watched ?? {};
    return {
      ...watched?.now(),
      started: startedAfter !== undefined,
      currentTime: video?.currentTime,
      readyState: video?.readyState,
      networkState: video?.networkState,
      errors: error ? [error] : [],
    };
  });
}

const server = await servePage();
const call = await startDriver(await startDisplay());
const { sessionId, capabilities } = await call("POST", "/session", {
  capabilities: {
    alwaysMatch: {
      "webkitgtk:browserOptions": { binary: miniBrowser(), args: ["--automation"] },
    },
  },
});
try {
  const session = `/session/${sessionId}`;
  const observe = () => call("POST", `${session}/execute/sync`, { script: `return (${observations})();`, args: [] });
  await call("POST", `${session}/url`, { url: `http://127.0.0.1:${server.address().port}/` });
  const isPlaying = async () => (await observe()).slice(0, values.play.length).every((one) => one.started);
  const end = performance.now() + START_WITHIN_SECONDS * 1000;
  while (!(await isPlaying()) && performance.now() < end) await sleep(200);
  await sleep(seconds * 1000);
  const observed = await observe();
  const played = observed.map((observation, i) => {
    if (i < values.play.length) {
      const verdict = judge(observation, seconds, { startWithin: START_WITHIN_SECONDS });
      return { url: urls[i], ...verdict, ...observation };
    }
    const ok = !observation.started && observation.currentTime === 0;
    return { url: urls[i], ok, reasons: ok ? [] : ["it plays"], ...observation };
  });
  const ok = played.every((one) => one.ok);
  console.log(JSON.stringify({ ok, browser: capabilities.browserName, version: capabilities.browserVersion, played }));
  process.exitCode = ok ? 0 : 1;
} finally {
  clearTimeout(limit);
  await call("DELETE", `/session/${sessionId}`).catch(() => undefined);
  children.forEach((child) => child.kill());
  server.close();
}

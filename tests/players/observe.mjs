// Watches a page's <video> from its first `playing` event on, and records what a viewer would have seen.

export async function observe(browser, address, { seconds, startWithin, screenshot, onStart }) {
  const page = await browser.newPage();
  const pageErrors = [];
  page.on("pageerror", (error) => pageErrors.push(String(error)));
  const requested = {};
  page.on("request", (request) => {
    const piece = [request.url(), request.headers().range].filter(Boolean).join(" ");
    if (MEDIA.test(request.url())) requested[piece] = (requested[piece] ?? 0) + 1;
  });
  await page.addInitScript(watchVideo);
  await page.goto(address, { timeout: startWithin * 1000 });
  const started = await page
    .waitForFunction(() => window.watched?.startedAfter !== undefined, undefined, { timeout: startWithin * 1000 })
    .then(() => true, () => false);
  if (started) {
    onStart?.();
    await page.waitForTimeout(seconds * 1000);
  }
  if (screenshot) await page.screenshot({ path: screenshot, fullPage: true });
  const seen = await page.evaluate(() => ({ ...window.watched.now(), ...window.player }));
  return { errors: [], ...seen, started, pageErrors, requested };
}

// Segments and their parts; initialisation sections may be requested with each rendition that is tried.
const MEDIA = /\.(ts|m4s|aac)(\?|$)/;

// Runs inside the page, before its own scripts: it can use only definitions inside it.
export function watchVideo() {
  const watched = { samples: [], rebuffers: 0, stalledFor: 0, seeks: 0, droppedFrames: 0, decodedFrames: 0 };
  const wall = () => performance.now() / 1000;
  let stalledSince;
  const resumed = () => {
    if (stalledSince !== undefined) watched.stalledFor += wall() - stalledSince;
    stalledSince = undefined;
  };
  // The observations so far; an ongoing stall counts until now.
  window.watched = {
    now() {
      if (stalledSince !== undefined) {
        resumed();
        stalledSince = wall();
      }
      return watched;
    },
  };

  const sample = (video) => {
    const { buffered, currentTime } = video;
    const ahead = buffered.length ? buffered.end(buffered.length - 1) - currentTime : 0;
    watched.samples.push({
      wall: wall(),
      currentTime,
      bufferedAhead: ahead,
      ...window.measure?.(),
    });
    const quality = video.getVideoPlaybackQuality();
    watched.droppedFrames = quality.droppedVideoFrames;
    watched.decodedFrames = quality.totalVideoFrames;
  };

  const started = (video) => {
    watched.startedAfter = window.watched.startedAfter = wall();
    sample(video);
    setInterval(sample, 1000, video);
    video.addEventListener("waiting", () => {
      watched.rebuffers++;
      stalledSince ??= wall();
    });
    video.addEventListener("playing", resumed);
    video.addEventListener("seeking", () => watched.seeks++);
  };

  addEventListener("DOMContentLoaded", () => {
    const find = setInterval(() => {
      const video = document.querySelector("video");
      if (!video) return;
      clearInterval(find);
      // A player in its own page may already be running when it is found.
      if (!video.paused && video.readyState > 2 && video.currentTime > 0) started(video);
      else video.addEventListener("playing", () => started(video), { once: true });
    }, 20);
  });
}

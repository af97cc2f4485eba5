// The player: hls.js where there are Media Source Extensions, the browser's own HLS elsewhere.

import { NONE, clock, seconds } from "./format.js";

const RECOVERY_MS = 2000;

export class Player {
  #video;
  #tell;
  #hls = null;
  #rebuffers = 0;
  #started = false;
  #waitingSince = null;

  /** `tell` is called with an error in words, or with `null` when it is over. */
  constructor(video, tell) {
    this.#video = video;
    this.#tell = tell;
    video.addEventListener("waiting", () => this.#wait());
    video.addEventListener("playing", () => this.#play());
    video.addEventListener("timeupdate", () => this.#play());
  }

  get playing() {
    return this.#started && !this.#video.paused;
  }

  load(url) {
    this.#hls?.destroy();
    this.#hls = null;
    this.#started = false;
    this.#waitingSince = null;
    this.#rebuffers = 0;
    if (window.Hls?.isSupported()) this.#loadWithHlsJs(url);
    else if (this.#video.canPlayType("application/vnd.apple.mpegurl")) this.#video.src = url;
    else return this.#tell("This browser can play HLS neither itself nor through hls.js.");
    // Muted playback may start by itself; where it may not, the user has the controls.
    this.#video.play().catch(() => {});
  }

  #loadWithHlsJs(url) {
    const hls = new window.Hls({ backBufferLength: 30, capLevelToPlayerSize: true });
    this.#hls = hls;
    hls.on(window.Hls.Events.ERROR, (_event, problem) => this.#trouble(hls, problem));
    hls.on(window.Hls.Events.FRAG_BUFFERED, () => this.#tell(null));
    hls.loadSource(url);
    hls.attachMedia(this.#video);
  }

  /** hls.js retries by itself; its fatal errors are recovered here, and shown. */
  #trouble(hls, problem) {
    if (!problem.fatal) return;
    const status = problem.response?.code ? ` (status ${problem.response.code})` : "";
    this.#tell(`The player lost the stream: ${problem.details}${status}. It tries again.`);
    setTimeout(() => {
      if (this.#hls !== hls) return;
      if (problem.type === window.Hls.ErrorTypes.MEDIA_ERROR) hls.recoverMediaError();
      else if (hls.levels.length > 0) hls.startLoad();
      else hls.loadSource(hls.url);
    }, RECOVERY_MS);
  }

  #wait() {
    if (this.#started && !this.#video.seeking) this.#waitingSince ??= performance.now();
  }

  #play() {
    this.#started = true;
    if (this.#waitingSince !== null && this.#video.readyState > 2) {
      this.#rebuffers += 1;
      this.#waitingSince = null;
    }
  }

  /** The player's state, ready to be shown. */
  facts() {
    const video = this.#video;
    const level = this.#hls?.levels?.[this.#hls.currentLevel];
    const quality = video.getVideoPlaybackQuality?.();
    return {
      position: this.#started ? clock(video.currentTime) : NONE,
      buffer: seconds(ahead(video)),
      latency: this.#started && this.#hls ? seconds(this.#hls.latency) : NONE,
      rebuffers: this.#started ? String(this.#rebuffers + (this.#waitingSince === null ? 0 : 1)) : NONE,
      picture: picture(video, level),
      dropped: quality && this.#started ? String(quality.droppedVideoFrames) : NONE,
    };
  }
}

/** Seconds that are loaded from here on without a gap. */
function ahead(video) {
  for (let index = 0; index < video.buffered.length; index += 1) {
    const [start, end] = [video.buffered.start(index), video.buffered.end(index)];
    if (start - 0.1 <= video.currentTime && video.currentTime <= end) return end - video.currentTime;
  }
  return video.readyState > 0 ? 0 : NaN;
}

function picture(video, level) {
  if (!video.videoHeight) return NONE;
  const rate = level?.bitrate ? ` · ${(level.bitrate / 1e6).toFixed(1)} Mb/s` : "";
  return `${video.videoHeight}p${rate}`;
}

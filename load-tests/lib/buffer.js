// A player's buffer, played out in real time. All times are in seconds; the caller passes the current time.

/** The buffer is as long as the shorter of picture and sound. */
export class Buffer {
  constructor(tracks, now) {
    this.began = now;
    this.at = now;
    this.appended = Array.from({ length: tracks }, () => 0);
    this.played = 0;
    this.playing = false;
    this.complete = false;
    this.startup = undefined;
    this.rebuffers = 0;
    this.rebufferSeconds = 0;
  }

  /** The media that can be played without another byte. */
  level() {
    return Math.min(...this.appended) - this.played;
  }

  /** The media of one track that can be played now. */
  ahead(track, now) {
    this.advance(now);
    return this.appended[track] - this.played;
  }

  /** Media of a track has arrived. */
  append(track, seconds, now) {
    this.advance(now);
    this.appended[track] += seconds;
    if (!this.playing && this.level() > 0) this.play(now);
  }

  /** No more media will arrive, so an empty buffer is the end and not a stall. */
  end(now) {
    this.advance(now);
    this.complete = true;
  }

  /** Plays until now; when the buffer runs dry on the way, the picture stalls from that moment. */
  advance(now) {
    const passed = now - this.at;
    if (this.playing) {
      const level = this.level();
      if (passed <= level) {
        this.played += passed;
      } else {
        this.played += level;
        this.playing = false;
        if (!this.complete) {
          this.rebuffers += 1;
          this.rebufferSeconds += passed - level;
        }
      }
    } else if (this.startup !== undefined && !this.complete) {
      this.rebufferSeconds += passed;
    }
    this.at = now;
  }

  play(now) {
    this.playing = true;
    this.startup ??= now - this.began;
  }

  /** The share of the time since the first picture in which the picture was stalled. */
  rebufferRatio() {
    const watched = this.played + this.rebufferSeconds;
    return watched > 0 ? this.rebufferSeconds / watched : 0;
  }
}

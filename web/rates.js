// Turns counters that only grow into rates, over the last few snapshots.

const WINDOW_SECONDS = 4;

export class Rates {
  #snapshots = [];

  /** Adds a snapshot; a clock that went back means that the demo was restarted. */
  push(snapshot) {
    const last = this.#snapshots.at(-1);
    if (last && snapshot.uptime_seconds < last.uptime_seconds) this.#snapshots = [];
    this.#snapshots.push(snapshot);
    const oldest = snapshot.uptime_seconds - WINDOW_SECONDS;
    while (this.#snapshots.length > 2 && this.#snapshots[1].uptime_seconds <= oldest) this.#snapshots.shift();
  }

  /** Growth per second of the value that `read` finds in a snapshot; `null` while unknown. */
  of(read) {
    const first = this.#snapshots[0];
    const last = this.#snapshots.at(-1);
    if (!first || first === last) return null;
    const [from, to] = [read(first), read(last)];
    const elapsed = last.uptime_seconds - first.uptime_seconds;
    if (from == null || to == null || elapsed <= 0) return null;
    return Math.max(0, to - from) / elapsed;
  }
}

// Numbers as people read them.

const count = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

export const NONE = "–";

export const whole = (value) => (value == null ? NONE : count.format(value));

/** As `whole`, but short from a hundred thousand on. */
export const short = (value) => (value == null ? NONE : value < 100_000 ? count.format(value) : compact.format(value));

export function perSecond(value) {
  if (value == null) return NONE;
  if (value >= 10) return `${count.format(value)}/s`;
  return `${value.toFixed(1)}/s`;
}

/** Cut, not rounded: 100 % is shown only when nothing was missed. */
export function percent(share) {
  return share == null ? NONE : `${(Math.floor(share * 1000) / 10).toFixed(1)} %`;
}

export function clock(seconds) {
  if (!Number.isFinite(seconds)) return NONE;
  const total = Math.floor(seconds);
  const two = (value) => String(value).padStart(2, "0");
  const hours = Math.floor(total / 3600);
  const tail = `${two(Math.floor(total / 60) % 60)}:${two(total % 60)}`;
  return hours > 0 ? `${hours}:${tail}` : tail;
}

export const seconds = (value) => (Number.isFinite(value) ? `${value.toFixed(1)} s` : NONE);

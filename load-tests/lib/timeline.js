// A player's position in a media playlist: where it begins, and what it loads next. Pure functions.
//
// A position is `{sequence, part}`: the segment, and the part of it, to load next.

/** Where a player begins (HLS sections 4.4.2.2, 4.4.3.8 and 6.3.3). */
export function beginning(media, lowLatency) {
  if (media.start === undefined && (media.ended || media.vod)) return { sequence: media.first, part: 0 };
  if (media.start !== undefined && media.start >= 0) return at(media, media.start);
  return fromEnd(media, holdBack(media, lowLatency), lowLatency);
}

/** A player's distance from the end in seconds: from the playlist, otherwise three target durations. */
export function holdBack(media, lowLatency) {
  if (media.start !== undefined && media.start < 0) return -media.start;
  const told = lowLatency ? media.control["PART-HOLD-BACK"] : undefined;
  return Number(told ?? media.control["HOLD-BACK"] ?? 3 * media.targetDuration);
}

/** The position of the segment that plays this many seconds after the beginning of the playlist. */
export function at(media, seconds) {
  let before = 0;
  for (const segment of media.segments) {
    before += segment.duration;
    if (before > seconds) return { sequence: segment.sequence, part: 0 };
  }
  return { sequence: Math.max(media.first, media.last), part: 0 };
}

function fromEnd(media, seconds, lowLatency) {
  // Playlist durations are sums of decimals: 2 s and 1.999 s are the same position.
  const enough = seconds - 0.05;
  let after = 0;
  if (lowLatency) {
    for (const part of pieces(media).reverse()) {
      after += part.duration;
      if (after >= enough && part.independent) return { sequence: part.sequence, part: part.index };
    }
  }
  after = lowLatency ? sum(media.growing?.parts ?? []) : 0;
  for (const segment of [...media.segments].reverse()) {
    after += segment.duration;
    if (after >= enough) return { sequence: segment.sequence, part: 0 };
  }
  return { sequence: media.segments[0]?.sequence ?? media.first, part: 0 };
}

function pieces(media) {
  const listed = media.segments.flatMap((segment) => segment.parts);
  return [...listed, ...(media.growing?.parts ?? [])];
}

function sum(parts) {
  return parts.reduce((seconds, part) => seconds + part.duration, 0);
}

/**
 * The segment or part to load at a position: `{piece, whole}`, with `whole` for a segment that is not loaded by
 * its parts; `{missed}` with the oldest existing position, when the window has moved past; undefined when it does
 * not exist yet.
 */
export function following(media, position, lowLatency) {
  const first = media.segments[0]?.sequence ?? media.growing?.sequence;
  if (position.sequence < first) return { missed: { sequence: first, part: 0 } };
  const segment = media.segments.find(({ sequence }) => sequence === position.sequence);
  if (segment && position.part === 0) return { piece: segment, whole: true };
  if (segment) {
    const piece = segment.parts[position.part];
    return piece ? { piece, whole: false } : following(media, { sequence: position.sequence + 1, part: 0 }, lowLatency);
  }
  const growing = media.growing;
  if (!lowLatency || growing?.sequence !== position.sequence) return undefined;
  const piece = growing.parts[position.part];
  return piece ? { piece, whole: false } : undefined;
}

/** The position after a loaded segment or part. */
export function behind({ piece, whole }) {
  return whole ? { sequence: piece.sequence + 1, part: 0 } : { sequence: piece.sequence, part: piece.index + 1 };
}

/** The position in another rendition at which the same moment plays, by date where both have dates. */
export function sameMoment(media, position, date) {
  const dated = media.segments.filter((segment) => segment.date !== undefined);
  if (date === undefined || dated.length === 0) return position;
  const next = dated.find((segment) => segment.date >= date - (segment.duration * 1000) / 2);
  return { sequence: next?.sequence ?? media.last + 1, part: 0 };
}

/** The end of a playlist, as a pair that can be compared. */
export function reach(media) {
  return { sequence: media.last, parts: media.growing?.parts.length ?? 0 };
}

/** Whether one playlist ends earlier than another. */
export function wentBack(now, before) {
  return now.sequence < before.sequence || (now.sequence === before.sequence && now.parts < before.parts);
}

// Playlists as a player reads them (HLS section 4). Pure functions; all resulting addresses are absolute.
//
// Hundreds of players read several playlists per second in one process that interprets its code, at a
// microsecond for each small step. So the code for each line uses plain loops and indexOf, and of a playlist
// that was read before only the head and the new lines are read again.

/** A multivariant playlist gives `{variants}`, a media playlist `{media}`, continued from the previous one if there is one. */
export function parse(text, address, before) {
  return text.includes("#EXT-X-STREAM-INF:")
    ? parseMultivariant(text.split("\n"), address)
    : { media: parseUpdate(text, address, before) ?? parseMedia(text, address) };
}

/** Variants by rising bandwidth, and the address of the audio rendition that belongs to each, if it has one. */
function parseMultivariant(lines, address) {
  const audio = new Map();
  const variants = [];
  let next;
  for (const line of lines) {
    const { tag, value } = split(line);
    if (tag === "EXT-X-MEDIA") {
      const { TYPE, "GROUP-ID": group, URI, DEFAULT } = attributes(value);
      if (TYPE === "AUDIO" && URI && (DEFAULT === "YES" || !audio.has(group))) audio.set(group, resolve(address, URI));
    } else if (tag === "EXT-X-STREAM-INF") {
      next = attributes(value);
    } else if (!tag && next && isUri(value)) {
      variants.push({ address: resolve(address, value), bandwidth: Number(next.BANDWIDTH), group: next.AUDIO });
      next = undefined;
    }
  }
  variants.sort((one, other) => one.bandwidth - other.bandwidth);
  return { variants: variants.map(({ group, ...variant }) => ({ ...variant, audio: audio.get(group) })) };
}

function parseMedia(text, address) {
  const reader = new MediaReader(address);
  reader.readAll(text);
  return reader.finish();
}

/**
 * The head, and the lines after the last known segment. A delta update (HLS section 4.4.5.2) leaves out only known
 * segments. Undefined where the two do not fit together, by number or by name.
 */
function parseUpdate(text, address, before) {
  const known = before?.segments[before.segments.length - 1];
  const seen = known ? `\n${known.reference}\n` : "";
  const cut = known ? text.lastIndexOf(seen) : -1;
  if (cut < 0) return undefined;
  const reader = new MediaReader(address);
  reader.readAll(text.slice(0, Math.max(0, text.indexOf("#EXTINF:"))));
  const kept = before.segments.slice(Math.max(0, reader.media.first - before.segments[0].sequence));
  const listed = kept.find(({ sequence }) => sequence === reader.sequence);
  if (listed?.reference !== /^[^#\s].*$/m.exec(text)?.[0].trimEnd()) return undefined;
  reader.goOn(kept, known);
  reader.readAll(text.slice(cut + seen.length));
  return reader.finish();
}

/** Reads a media playlist; the tags before a URI belong to its segment. */
class MediaReader {
  constructor(address) {
    this.address = address;
    this.media = {
      address, targetDuration: 0, partTarget: undefined, control: {}, start: undefined,
      ended: false, vod: false, first: 0, segments: [], growing: undefined, hint: undefined,
    };
    this.sequence = 0;
    this.next = { parts: [] };
    this.init = undefined;
    this.date = undefined;
    this.offset = 0;
  }

  readAll(text) {
    const lines = text.split("\n");
    for (let index = 0; index < lines.length; index += 1) this.read(lines[index]);
  }

  /** Continues after the last of these segments. */
  goOn(segments, last) {
    this.media.segments = segments;
    this.sequence = last.sequence + 1;
    this.next = { parts: [] };
    this.init = last.init;
    this.date = last.date === undefined ? undefined : last.date + last.duration * 1000;
    this.offset = last.range ? last.range.start + last.range.length : 0;
  }

  read(line) {
    const { tag, value } = split(line);
    const media = this.media;
    switch (tag) {
      case undefined: if (isUri(value)) this.segment(value); break;
      case "EXT-X-TARGETDURATION": media.targetDuration = Number(value); break;
      case "EXT-X-PART-INF": media.partTarget = Number(attributes(value)["PART-TARGET"]); break;
      case "EXT-X-SERVER-CONTROL": media.control = attributes(value); break;
      case "EXT-X-START": media.start = Number(attributes(value)["TIME-OFFSET"]); break;
      case "EXT-X-MEDIA-SEQUENCE": media.first = this.sequence = Number(value); break;
      // A delta update leaves out segments (HLS section 4.4.5.2); the following ones keep their numbers.
      case "EXT-X-SKIP": this.sequence += Number(attributes(value)["SKIPPED-SEGMENTS"]); break;
      case "EXT-X-PLAYLIST-TYPE": media.vod = value === "VOD"; break;
      case "EXT-X-ENDLIST": media.ended = true; break;
      case "EXT-X-MAP": this.init = this.map(attributes(value)); break;
      case "EXT-X-PROGRAM-DATE-TIME": this.date = Date.parse(value); break;
      case "EXT-X-BYTERANGE": this.next.range = range(value, this.offset); break;
      case "EXT-X-GAP": this.next.gap = true; break;
      case "EXTINF": this.next.duration = parseFloat(value); break;
      case "EXT-X-PART": this.part(attributes(value)); break;
      case "EXT-X-PRELOAD-HINT": this.hint(attributes(value)); break;
    }
  }

  segment(uri) {
    const { duration = 0, parts, range: bytes, gap = false } = this.next;
    this.media.segments.push({
      sequence: this.sequence, uri: resolve(this.address, uri), reference: uri, duration, range: bytes, gap,
      init: this.init, date: this.date, parts,
    });
    this.offset = bytes ? bytes.start + bytes.length : 0;
    if (this.date !== undefined) this.date += duration * 1000;
    this.sequence += 1;
    this.next = { parts: [] };
  }

  part({ URI, DURATION, BYTERANGE, INDEPENDENT, GAP }) {
    const { parts } = this.next;
    const uri = resolve(this.address, URI);
    const before = parts[parts.length - 1];
    const end = before?.range && before.uri === uri ? before.range.start + before.range.length : 0;
    parts.push({
      sequence: this.sequence, index: parts.length, uri, duration: Number(DURATION),
      range: BYTERANGE ? range(BYTERANGE, end) : undefined,
      independent: INDEPENDENT === "YES", gap: GAP === "YES", init: this.init,
    });
  }

  /** Only whole parts are requested ahead; a hint with a byte range is left to the next playlist. */
  hint({ TYPE, URI, "BYTERANGE-START": start }) {
    if (TYPE === "PART" && start === undefined) this.media.hint = resolve(this.address, URI);
  }

  map({ URI, BYTERANGE }) {
    return { uri: resolve(this.address, URI), range: BYTERANGE ? range(BYTERANGE, 0) : undefined };
  }

  finish() {
    const { media } = this;
    media.last = this.sequence - 1;
    if (this.next.parts.length > 0) {
      media.growing = { sequence: this.sequence, parts: this.next.parts, init: this.init, date: this.date };
    }
    return media;
  }
}

/** `#TAG:VALUE` gives both; any other line is a value alone. */
function split(line) {
  const end = line.endsWith("\r") ? line.length - 1 : line.length;
  if (!line.startsWith("#EXT")) return { tag: undefined, value: line.slice(0, end) };
  const colon = line.indexOf(":");
  return colon < 0 ? { tag: line.slice(1, end), value: "" } : { tag: line.slice(1, colon), value: line.slice(colon + 1, end) };
}

function isUri(line) {
  return line.length > 0 && line[0] !== "#";
}

/** An attribute list (HLS section 4.2), with the quotes of its strings removed. */
export function attributes(text) {
  const found = {};
  let from = 0;
  for (let equals = text.indexOf("="); equals > 0; equals = text.indexOf("=", from)) {
    const quoted = text[equals + 1] === '"';
    const end = quoted ? text.indexOf('"', equals + 2) : text.indexOf(",", equals);
    found[text.slice(from, equals).trim()] = text.slice(equals + (quoted ? 2 : 1), end < 0 ? text.length : end);
    const comma = quoted ? text.indexOf(",", end) : end;
    if (end < 0 || comma < 0) break;
    from = comma + 1;
  }
  return found;
}

/** `length[@start]`; without a start it follows the previous range (HLS section 4.4.4.2). */
function range(text, otherwise) {
  const [length, start] = text.split("@").map(Number);
  return { start: start ?? otherwise, length };
}

/** A reference inside a playlist, as an absolute address. */
export function resolve(base, reference) {
  if (!reference.includes("/") && !base.includes("?")) return base.slice(0, base.lastIndexOf("/") + 1) + reference;
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(reference)) return reference;
  const [, scheme, host, path] = /^([a-z]+:)(\/\/[^/?#]+)([^?#]*)/i.exec(base);
  if (reference.startsWith("//")) return scheme + reference;
  if (reference.startsWith("/")) return scheme + host + reference;
  const segments = [];
  for (const segment of (path.slice(0, path.lastIndexOf("/") + 1) + reference).split("/")) {
    if (segment === "..") segments.pop();
    else if (segment !== ".") segments.push(segment);
  }
  return `${scheme}${host}/${segments.filter((segment, at) => at > 0 || segment).join("/")}`;
}

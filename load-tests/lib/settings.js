// The settings of a scenario, all by `--env NAME=value`; README.md has the list.

/** The value of a setting, or the scenario's own. */
export function text(name, otherwise) {
  return __ENV[name] || otherwise;
}

export function number(name, otherwise) {
  const value = Number(__ENV[name] || otherwise);
  if (!(value >= 0)) throw new Error(`${name}=${__ENV[name]} is not a number`);
  return value;
}

/** `90`, `90s`, `5m`, `2h`, in seconds. */
export function seconds(name, otherwise) {
  const value = __ENV[name] || otherwise;
  const found = /^(\d+(?:\.\d+)?)([smh]?)$/.exec(value);
  if (!found) throw new Error(`${name}=${value} is not a duration: 90s, 5m, 2h`);
  return Number(found[1]) * { "": 1, s: 1, m: 60, h: 3600 }[found[2]];
}

/** A list of addresses, separated by commas. */
export function addresses(name) {
  return (__ENV[name] ?? "").split(",").filter(Boolean).map((address) => address.replace(/\/+$/, ""));
}

/** The address of the stream, which every scenario needs. */
export function stream(otherwise) {
  const edges = addresses("BASE_URL");
  if (edges.length === 0) throw new Error("set BASE_URL to the address for players, such as http://127.0.0.1:8080");
  return { edges, path: text("STREAM", otherwise) };
}

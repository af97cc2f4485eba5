// A short form for SVG elements.

const SPACE = "http://www.w3.org/2000/svg";

/** An SVG element with attributes, inside `parent`. A `text` attribute becomes its text. */
export function draw(parent, name, attributes = {}) {
  const element = document.createElementNS(SPACE, name);
  const { text, ...rest } = attributes;
  for (const [key, value] of Object.entries(rest)) element.setAttribute(key, value);
  if (text != null) element.textContent = text;
  parent.append(element);
  return element;
}

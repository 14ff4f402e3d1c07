// Small helpers: elements, SVG, announcements, problems.

const SVG = "http://www.w3.org/2000/svg";

/** How the page gets a run, for views that need one. */
export const NO_RUN = "Start the page with a run: selfplay serve RUN_DIR. selfplay train smoke makes one in two minutes.";

export const byId = (id) => document.getElementById(id);

/** An element with attributes (functions are listeners, null leaves one out) and children. */
export function el(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

/** The same for SVG. */
export function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== null && value !== undefined && value !== false)
      element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** Say something to people who listen. */
export function announce(text) {
  byId("live").textContent = text;
}

/** Show what went wrong, to everybody; an empty text takes it away. */
export function problem(text) {
  const place = byId("problem");
  place.textContent = text;
  place.hidden = !text;
}

/** Run something that may fail; its mistake is shown. */
export async function attempt(work) {
  try {
    const value = await work();
    problem("");
    return value;
  } catch (error) {
    problem(error.message);
    return undefined;
  }
}

export function percent(share) {
  return `${Math.round(share * 100)} %`;
}

export function signed(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value).toFixed(2);
  return Number(size) === 0 ? size : `${value < 0 ? "−" : "+"}${size}`;
}

export function options(select, entries, chosen) {
  select.replaceChildren(
    ...entries.map(([value, text]) => el("option", { value, selected: String(value) === String(chosen) }, text)),
  );
}

/**
 * What the page holds: names, and columns of whole numbers (report/explorer.py).
 *
 * @typedef {{name: string, configuration: string, algorithm: string, preset: string, strength: string,
 *   number: number | null, colour: string, mark: string}} Series
 * @typedef {{metric: string, encoder: string, resize: string, prompt_type: string,
 *   better: string, title: string}} View
 * @typedef {{score: number | null, error: number | null, value: number | null,
 *   spread: number | null}} Reading
 * @typedef {{key: string, series: number, epoch: number | null, seed: number | null,
 *   x: number, y: number, dx: number, dy: number, front?: boolean}} Point
 * @typedef {{verdict: string, low: number, high: number, of: number, told: boolean}} Verdict
 */

/** @type {any} */
const held = JSON.parse(/** @type {HTMLElement} */ (document.getElementById("explore-data")).textContent || "");

/** @param {string} id @returns {any} */
const at = (id) => document.getElementById(`explore-${id}`);

/** Blocks, what stands beside them and verdicts, by category and view. */
const blocks = new Map(held.blocks.map((/** @type {any} */ b) => [`${b.category} ${b.view}`, b]));
const outside = new Map(
  held.outside.map((/** @type {any} */ o) => [`${o.name} ${o.category} ${o.view}`, o]),
);
const verdicts = new Map(
  held.verdicts.map((/** @type {any} */ v) => [`${v.category} ${v.view}`, v]),
);
const last = held.epochs.length - 1;

/**
 * The numbers of a point in one view; null where it has none.
 * @param {number} category @param {number} view @param {number} point @returns {Reading | null}
 */
function reading(category, view, point) {
  const block = blocks.get(`${category} ${view}`);
  if (!block || block.value[point] === null) return null;
  const by = (/** @type {number | null} */ n, /** @type {number} */ unit) =>
    n === null ? null : n * unit;
  return {
    score: by(block.score[point], 0.001),
    error: by(block.error[point], 0.001),
    value: by(block.value[point], block.scale),
    spread: by(block.spread[point], block.scale),
  };
}

/**
 * What the tests say of a series against the first; null where nothing was tested.
 * @param {number} category @param {number} view @param {number} series @param {number | null} epoch
 * @returns {Verdict | null}
 */
function verdict(category, view, series, epoch) {
  const found = verdicts.get(`${category} ${view}`);
  if (!found || !found.verdict[series] || (epoch !== null && epoch !== last)) return null;
  const [low, high] = found.ranks[series];
  return { verdict: found.verdict[series], low, high, of: found.of, told: found.told };
}

/** Points by what they are of, so that an earlier epoch is found. */
const places = new Map();
held.points.series.forEach((/** @type {number} */ series, /** @type {number} */ point) => {
  places.set(`${series} ${held.points.epoch[point]}`, point);
});

/** The point of a series at an epoch; what was trained elsewhere has one point and no epoch.
 * @param {number} series @param {number} epoch @returns {number | undefined} */
const pointOf = (series, epoch) =>
  places.get(`${series} ${epoch}`) ?? places.get(`${series} null`);

/** A number as all of the page writes it: two decimals of a score, three digits of a value.
 * @param {number | null} n @param {boolean} isScore */
function shownNumber(n, isScore) {
  if (n === null) return "–";
  if (isScore) return n.toFixed(2);
  const size = Math.abs(n);
  if (size === 0) return "0";
  if (size < 1e-4 || size >= 1e15) return n.toExponential(2).replace(/e([+-])(\d)$/, "e$10$2");
  if (Number.isInteger(n)) return n.toLocaleString("en");
  const power = Number(n.toExponential(2).split("e")[1]);
  const decimals = Math.max(2 - power, 0);
  return n.toLocaleString("en", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
}

/** A name cut to fit; whole names stand in cards and in the table.
 * @param {string} name @param {number} longest */
function cut(name, longest) {
  const letters = [...name];
  return letters.length > longest ? `${letters.slice(0, longest - 1).join("")}…` : name;
}

/**
 * An element; children that are texts become text nodes, never markup.
 * @param {string} tag @param {Record<string, any>} [attributes] @param {...any} children
 * @returns {any}
 */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) element.setAttribute(name, String(value));
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

const signs = { o: "●", "^": "▲", s: "■", D: "◆", v: "▼", P: "✚", X: "✖" };
/** @param {string} mark */
const sign = (mark) => signs[/** @type {keyof typeof signs} */ (mark)] || "●";

/** The name of a series with its colour and shape. @param {number} series */
function nameOf(series) {
  const { name, colour, mark, number } = held.series[series];
  const key = make("span", { class: "sign", "aria-hidden": "true" }, sign(mark));
  key.style.color = colour;
  const dot = number === null ? null : make("small", {}, `${number} `);
  return make("span", {}, key, dot, make("bdi", {}, name));
}

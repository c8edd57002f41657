/**
 * The two chosen criteria by epoch, a line for each configuration.
 *
 * @typedef {{key: string, series: number, epoch: number, view: number, n: number}} Moment
 */

/** @param {Choice} choice @param {"x" | "y"} axis @returns {Moment[]} */
function momentsOf(choice, axis) {
  const view = choice[axis];
  const of = choice.scale === "score" ? "score" : "value";
  return held.series.flatMap((/** @type {any} */ _, /** @type {number} */ series) =>
    !isIn(choice, series) ? [] : held.epochs.flatMap((/** @type {number} */ _, /** @type {number} */ epoch) => {
      const point = places.get(`${series} ${epoch}`);
      const n = point === undefined ? null : reading(choice.category, view, point)?.[of] ?? null;
      return n === null ? [] : [{ key: `${axis} ${series} ${epoch}`, series, epoch, view, n }];
    }));
}

/** @param {Choice} choice @param {Moment} p */
function momentCard(choice, p) {
  const found = reading(choice.category, p.view, places.get(`${p.series} ${p.epoch}`));
  const tie = said(verdict(choice.category, p.view, p.series, p.epoch));
  return [
    make("b", {}, nameOf(p.series)),
    make("div", {}, `epoch ${held.epochs[p.epoch]}: ${found ? numbersOf(found) : ""}`),
    tie ? make("div", {}, tie) : null,
  ].filter(Boolean);
}

/** @param {Choice} choice @param {"x" | "y"} axis @param {number} width @param {[SVGElement, Moment][]} marks */
function drawMoments(choice, axis, width, marks) {
  const view = choice[axis];
  const moments = momentsOf(choice, axis);
  const ink = (/** @type {Moment} */ p) => held.series[p.series].colour;
  const isPinned = (/** @type {Moment} */ p) => choice.pins.includes(p.series);
  const strength = (/** @type {Moment} */ p) => (!choice.pins.length ? 0.75 : isPinned(p) ? 1 : 0.16);
  const epochs = held.epochs;
  const [base, real] = ["base", "real"].map((name) => standing(choice, name, view));
  const level = (/** @type {number | null} */ n, /** @type {string} */ dash) =>
    Plot.ruleY(n === null ? [] : [n], { strokeDasharray: dash, strokeOpacity: 0.6 });
  const named = (/** @type {number | null} */ n, /** @type {string} */ name) =>
    n === null ? null : Plot.text([n], { y: (/** @type {number} */ at) => at, text: () => name, frameAnchor: "middle", lineAnchor: "bottom", dy: -2, fillOpacity: 0.75 });
  const svg = Plot.plot({
    width, height: 300, marginLeft: 46, marginBottom: 40, marginTop: 26, marginRight: 14,
    r: { type: "identity" },
    style: { background: "none", fontSize: "12px", overflow: "visible" },
    ariaLabel: `${kindOf(held.views[view])} over epochs`,
    x: { domain: d3.extent(epochs), ticks: epochs.length <= 8 ? epochs : 6, tickFormat: String, inset: 12, label: "epoch →", labelArrow: "none" },
    y: { reverse: falls(choice, view), inset: 8, label: label(choice, view, true), labelArrow: "none", labelAnchor: "top", grid: true, ticks: 6, nice: true },
    marks: [
      level(base, "2 3"), level(real, "4 3"), named(base, "base"), named(real, "real images"),
      Plot.line(moments, { x: (/** @type {Moment} */ p) => epochs[p.epoch], y: "n", z: "series", stroke: ink, strokeOpacity: strength, strokeWidth: (/** @type {Moment} */ p) => (isPinned(p) ? 2.6 : 1.4) }),
      Plot.dot(moments, { x: (/** @type {Moment} */ p) => epochs[p.epoch], y: "n", r: 4.2, fill: ink, fillOpacity: strength, stroke: "var(--page)", strokeWidth: 0.8, symbol: (/** @type {Moment} */ p) => shapes[held.series[p.series].mark], ariaLabel: (/** @type {Moment} */ p) => momentWords(choice, p), render: collect(moments, marks) }),
    ],
  });
  quiet(svg);
  return svg;
}

/** What a screen reader says. @param {Choice} choice @param {Moment} p */
function momentWords(choice, p) {
  const { name } = held.series[p.series];
  return `${name}, epoch ${held.epochs[p.epoch]}, ${held.views[p.view].title} ${shownNumber(p.n, choice.scale === "score")}`;
}

const readTraining = pointing(at("over"), { say: (/** @type {Moment} */ p) => momentCard(choice, p), pin: (series) => pinIn(series, "training") });

/** @param {Choice} choice */
function showTraining(choice) {
  /** @type {[SVGElement, Moment][]} */
  const marks = [];
  const axes = /** @type {("x" | "y")[]} */ (choice.x === choice.y ? ["y"] : ["y", "x"]);
  const room = at("over").clientWidth;
  const width = room < 640 ? room : Math.floor((room - 26) / axes.length);
  const plots = axes.map((axis) => drawMoments(choice, axis, Math.min(width, 560), marks));
  readTraining([make("div", { class: "side-by-side" }, ...plots), choiceWords(choice, "A line is a configuration, its shape the preset. Point at a dot to read it, click it to pin its line.")], marks);
}

/** What a view is of, and where that is chosen. @param {Choice} choice @param {string} how */
const choiceWords = (choice, how) => make("p", { class: "soft" },
  `Of ${held.categories[choice.category]}, by ${choice.scale === "score" ? "score" : "the metric’s value"}. ${how} `,
  make("a", { href: "#explore" }, "Choose criteria and category under Explore"), ".");

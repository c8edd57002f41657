/** The trade-off plot. Up and to the right is better: axes of distances are turned round. */

const d3 = /** @type {any} */ (globalThis).d3;
const Plot = /** @type {any} */ (globalThis).Plot;

/** Shapes that the library has, and two that it lacks. */
const turned = { draw: (/** @type {any} */ to, /** @type {number} */ size) => {
  const r = Math.sqrt(size / Math.sqrt(27)) * 2;
  to.moveTo(0, r); to.lineTo(-r * 0.866, -r / 2); to.lineTo(r * 0.866, -r / 2); to.closePath();
} };
const saltire = { draw: (/** @type {any} */ to, /** @type {number} */ size) => {
  const r = Math.sqrt(size / 10);
  const path = [[0, 1], [1, 2], [2, 1], [1, 0], [2, -1], [1, -2], [0, -1], [-1, -2], [-2, -1], [-1, 0], [-2, 1], [-1, 2]];
  path.forEach(([x, y], k) => (k ? to.lineTo(x * r, y * r) : to.moveTo(x * r, y * r)));
  to.closePath();
} };
/** @type {Record<string, any>} */
const shapes = { o: "circle", "^": "triangle", s: "square", D: "diamond", v: turned, P: "cross", X: saltire };

/** @param {Choice} choice @param {number} view */
const falls = (choice, view) => choice.scale === "value" && held.views[view].better === "lower";

/** A point where both views have a number.
 * @param {Choice} choice @param {number} series @param {number} point @returns {Point | null} */
function located(choice, series, point) {
  const x = reading(choice.category, choice.x, point);
  const y = reading(choice.category, choice.y, point);
  if (!x || !y) return null;
  const [of, error] = choice.scale === "score" ? /** @type {const} */ (["score", "error"]) : /** @type {const} */ (["value", "spread"]);
  if (x[of] === null || y[of] === null) return null;
  const epoch = held.points.epoch[point];
  return {
    key: `${series} ${epoch}`, series, epoch, seed: null,
    x: /** @type {number} */ (x[of]), y: /** @type {number} */ (y[of]), dx: x[error] ?? 0, dy: y[error] ?? 0,
  };
}

/** Points at the chosen epoch, then all epochs of each series, for paths. @param {Choice} choice */
function pointsOf(choice) {
  const series = held.series.map((/** @type {any} */ _, /** @type {number} */ k) => k).filter((/** @type {number} */ k) => isIn(choice, k));
  const now = series.flatMap((/** @type {number} */ k) => {
    const point = pointOf(k, choice.epoch);
    const found = point === undefined ? null : located(choice, k, point);
    return found ? [found] : [];
  });
  return { series, now };
}

/** The ways to the points of pinned series, or of all: over epochs, and over strengths at the chosen
 * epoch. @param {Choice} choice @param {number[]} series @returns {Point[][]} */
function pathsOf(choice, series) {
  const asked = choice.pins.length ? series.filter((k) => choice.pins.includes(k)) : series;
  const at = (/** @type {number} */ k, /** @type {number | undefined} */ point) => {
    const found = point === undefined ? null : located(choice, k, point);
    return found ? [found] : [];
  };
  const paths = [];
  if (choice.paths) {
    for (const k of asked) paths.push(held.epochs.flatMap((/** @type {number} */ _, /** @type {number} */ epoch) => at(k, places.get(`${k} ${epoch}`))));
  }
  if (choice.strengths) {
    for (const name of new Set(asked.map((k) => held.series[k].configuration))) {
      const same = held.series.flatMap((/** @type {Series} */ s, /** @type {number} */ k) => (s.configuration === name ? [k] : []));
      same.sort((/** @type {number} */ a, /** @type {number} */ b) => Number(held.series[a].strength) - Number(held.series[b].strength));
      paths.push(same.flatMap((/** @type {number} */ k) => at(k, pointOf(k, choice.epoch))));
    }
  }
  return paths.filter((path) => path.length > 1);
}

/** Single trainings at the chosen epoch; of values there is one a configuration.
 * @param {Choice} choice @param {number[]} series @returns {Point[]} */
function seedsOf(choice, series) {
  const [x, y] = [choice.x, choice.y].map((view) => blocks.get(`${choice.category} ${view}`));
  if (!x || !y || choice.scale === "value") return [];
  return held.checkpoints.series.flatMap((/** @type {number} */ k, /** @type {number} */ run) => {
    const epoch = held.checkpoints.epoch[run];
    if (!series.includes(k) || (epoch !== choice.epoch && epoch !== null)) return [];
    if (x.each[run] === null || y.each[run] === null) return [];
    const seed = held.checkpoints.seed[run];
    return [{ key: `${k} ${epoch} ${seed}`, series: k, epoch, seed, x: x.each[run] / 1000, y: y.each[run] / 1000, dx: 0, dy: 0 }];
  });
}

/** The Pareto front, from left to right: no other is as good in both and better in one.
 * @param {Choice} choice @param {Point[]} points @returns {Point[]} */
function frontOf(choice, points) {
  const [sx, sy] = [falls(choice, choice.x) ? -1 : 1, falls(choice, choice.y) ? -1 : 1];
  return points
    .filter((p) => !points.some((q) =>
      sx * q.x >= sx * p.x && sy * q.y >= sy * p.y && (sx * q.x > sx * p.x || sy * q.y > sy * p.y)))
    .sort((p, q) => sx * (p.x - q.x));
}

/** Where base and real images stand. @param {Choice} choice @param {string} name @param {number} view
 * @returns {number | null} */
function standing(choice, name, view) {
  const found = outside.get(`${name} ${choice.category} ${view}`);
  return found ? (choice.scale === "score" ? found.position : found.value) : null;
}

/** What an axis shows; by which encoder, where both show the same metric.
 * @param {Choice} choice @param {number} view @param {boolean} up */
function label(choice, view, up) {
  const { title, prompt_type, better, encoder, resize } = held.views[view];
  const other = held.views[up ? choice.x : choice.y];
  const by = other.title === title && other.prompt_type === prompt_type ? ` by ${encoder}, ${resize}` : "";
  const what = choice.scale === "score" ? "score" : better === "lower" ? "value, small is good" : "value";
  return `${up ? "↑ " : ""}${title} (${prompt_type})${by}, ${what}${up ? "" : " →"}`;
}

/** Draws the plot; `marks` are those of points, each with its point.
 * @param {Choice} choice @param {number} width */
function drawChart(choice, width) {
  const { series, now } = pointsOf(choice);
  const front = frontOf(choice, now);
  for (const p of front) p.front = true;
  const paths = pathsOf(choice, series);
  const way = paths.flatMap((path, k) => path.map((p) => ({ ...p, way: k })));
  const there = new Set(now.map((/** @type {Point} */ p) => p.key));
  const waypoints = way.filter((p) => !there.has(p.key) && there.add(p.key));
  const seeds = choice.seeds ? seedsOf(choice, series) : [];
  const ink = (/** @type {Point} */ p) => held.series[p.series].colour;
  const pinned = (/** @type {Point} */ p) => choice.pins.includes(p.series);
  const many = now.some((/** @type {Point} */ p) => held.series[p.series].number !== null);
  const radius = many ? 8 : 6.5;
  /** @type {[SVGElement, Point][]} */
  const marks = [];
  const base = [standing(choice, "base", choice.x), standing(choice, "base", choice.y)];
  const real = [standing(choice, "real", choice.x), standing(choice, "real", choice.y)];
  const all = [...now, ...way, ...seeds];
  const domain = (/** @type {"x" | "y"} */ axis, /** @type {(number | null)[]} */ more) => {
    const spread = axis === "x" ? "dx" : "dy";
    const ends = all.flatMap((p) => [p[axis] - p[spread], p[axis] + p[spread]]);
    const [low, high] = d3.extent([...ends, ...more.filter((n) => n !== null)]);
    if (low === undefined) return [0, 1];
    if (choice.scale === "value") return [low, high > low ? high : low + 1];
    return [Math.max(0, Math.floor(low * 10) / 10), Math.min(1, Math.ceil(high * 10) / 10)];
  };
  const halo = { stroke: "var(--page)", strokeWidth: 3, strokeLinejoin: "round", fill: "currentColor" };
  const height = Math.round(Math.min(Math.max(width * 0.78, 320), 560));
  const svg = Plot.plot({
    width, height, marginLeft: 46, marginBottom: 42, marginTop: 26, marginRight: 18,
    r: { type: "identity" },
    style: { background: "none", fontSize: "12px", overflow: "visible" },
    ariaLabel: `Trade-off of ${kindOf(held.views[choice.y])} and ${kindOf(held.views[choice.x])}`,
    x: { domain: domain("x", [base[0], real[0]]), reverse: falls(choice, choice.x), inset: 14, label: label(choice, choice.x, false), labelArrow: "none", grid: true, ticks: width < 500 ? 5 : 8, nice: choice.scale === "value" },
    y: { domain: domain("y", [base[1], real[1]]), reverse: falls(choice, choice.y), inset: 14, label: label(choice, choice.y, true), labelArrow: "none", labelAnchor: "top", grid: true, ticks: 6, nice: choice.scale === "value" },
    marks: [
      Plot.ruleX(real[0] === null ? [] : [real[0]], { strokeDasharray: "4 3", strokeOpacity: 0.6 }),
      Plot.ruleY(real[1] === null ? [] : [real[1]], { strokeDasharray: "4 3", strokeOpacity: 0.6 }),
      real[1] === null ? null : Plot.text([real], { y: "1", text: () => "real images", frameAnchor: "right", textAnchor: "end", lineAnchor: "bottom", dy: -3, fillOpacity: 0.75 }),
      Plot.line(front, { x: "x", y: "y", curve: "step-before", stroke: "currentColor", strokeOpacity: 0.55, strokeWidth: 1.2 }),
      Plot.line(way, { x: "x", y: "y", z: "way", stroke: ink, strokeOpacity: 0.7, strokeWidth: 1.6 }),
      Plot.dot(waypoints, { x: "x", y: "y", r: (/** @type {Point} */ p) => 2 + (2 * (p.epoch ?? 0)) / Math.max(last, 1), fill: ink, ariaLabel: spoken(choice), render: collect(waypoints, marks) }),
      Plot.dot(seeds, { x: "x", y: "y", r: 3.4, fill: "var(--page)", stroke: ink, strokeWidth: 1.4, ariaLabel: spoken(choice), render: collect(seeds, marks) }),
      Plot.ruleY(now, { y: "y", x1: (/** @type {Point} */ p) => p.x - p.dx, x2: (/** @type {Point} */ p) => p.x + p.dx, stroke: ink, strokeOpacity: 0.5 }),
      Plot.ruleX(now, { x: "x", y1: (/** @type {Point} */ p) => p.y - p.dy, y2: (/** @type {Point} */ p) => p.y + p.dy, stroke: ink, strokeOpacity: 0.5 }),
      base[0] === null || base[1] === null ? null : Plot.dot([base], { x: "0", y: "1", symbol: "times", r: 6, strokeWidth: 2 }),
      base[0] === null || base[1] === null ? null : Plot.text([base], { x: "0", y: "1", text: () => "base", dy: -12, ...halo }),
      Plot.dot(front, { x: "x", y: "y", r: radius + 3, stroke: "currentColor", strokeWidth: 1.4, symbol: (/** @type {Point} */ p) => shapes[held.series[p.series].mark] }),
      Plot.dot(now, { x: "x", y: "y", r: radius, fill: ink, stroke: (/** @type {Point} */ p) => (pinned(p) ? "var(--ink)" : "var(--page)"), strokeWidth: (/** @type {Point} */ p) => (pinned(p) ? 2.5 : 1), symbol: (/** @type {Point} */ p) => shapes[held.series[p.series].mark], ariaLabel: spoken(choice), render: collect(now, marks) }),
      many ? Plot.text(now, { x: "x", y: "y", text: (/** @type {Point} */ p) => String(held.series[p.series].number ?? ""), fill: "#fff", fontSize: 8.5, fontWeight: 700, pointerEvents: "none" }) : null,
    ],
  });
  quiet(svg);
  return { svg, now, front, marks, many };
}

/** What a screen reader says of a point. @param {Choice} choice */
const spoken = (choice) => (/** @type {Point} */ p) =>
  linesOf(choice, p).map((line) => line.filter(Boolean).join(" ")).join(", ");

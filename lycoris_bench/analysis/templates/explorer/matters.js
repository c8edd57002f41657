/**
 * The effect of each factor on the score, a dot for each checkpoint.
 *
 * @typedef {{key: string, series: number, run: number, factor: number, effect: number, view: number}} Effect
 */

const SWARM = { height: 46, reach: 0.4, bins: 60 };

/** The effects on the score of a view's metric and prompts, which are those of its main encoder.
 * @param {Choice} choice @param {number} view */
function effectsOn(choice, view) {
  const { metric, prompt_type } = held.views[view];
  return held.effects.views.find((/** @type {any} */ one) => one.category === choice.category &&
    held.views[one.view].metric === metric && held.views[one.view].prompt_type === prompt_type);
}

/** How far over and under the line dots lie that share a place on it. @param {number[]} values */
function swarm(values) {
  const [low, high] = d3.extent(values);
  const counts = new Map();
  const steps = values.map((value) => {
    const bin = Math.round(((value - low) / (high - low || 1)) * SWARM.bins);
    const before = counts.get(bin) ?? 0;
    counts.set(bin, before + 1);
    return Math.ceil(before / 2) * (before % 2 ? 1 : -1);
  });
  const fullest = Math.max(8, ...counts.values());
  return steps.map((step) => (2 * step * SWARM.reach) / fullest);
}

/** @param {Choice} choice @param {any} found @param {number} width @param {string} side @param {[SVGElement, Effect][]} marks */
function drawEffects(choice, found, width, side, marks) {
  const rows = found.by
    .map((/** @type {[number, (number | null)[]]} */ [factor, shap]) => {
      const points = shap.flatMap((/** @type {number | null} */ effect, /** @type {number} */ run) => {
        const series = held.checkpoints.series[run];
        return effect === null || !isIn(choice, series) ? [] : [{ key: `${side} ${factor} ${run}`, series, run, factor, effect: effect / 1000, view: found.view }];
      });
      return { factor, points, reach: d3.mean(points, (/** @type {Effect} */ p) => Math.abs(p.effect)) ?? 0 };
    })
    .sort((/** @type {any} */ a, /** @type {any} */ b) => b.reach - a.reach);
  const domain = d3.extent(rows.flatMap((/** @type {any} */ row) => row.points.map((/** @type {Effect} */ p) => p.effect)));
  const names = width < 480 ? 130 : 190;
  const lines = rows.map((/** @type {any} */ { factor, points, reach }, /** @type {number} */ k) => {
    const { name, values, colours } = held.effects.factors[factor];
    const over = swarm(points.map((/** @type {Effect} */ p) => p.effect));
    const svg = Plot.plot({
      width: width - names, height: SWARM.height + (k === rows.length - 1 ? 30 : 0), marginLeft: 8, marginRight: 8, marginTop: 2, marginBottom: k === rows.length - 1 ? 32 : 2,
      r: { type: "identity" },
      style: { background: "none", fontSize: "12px", overflow: "visible" },
      ariaLabel: `Effects of ${name}`,
      x: { domain, inset: 6, ticks: width - names < 260 ? 3 : 5, grid: true, axis: k === rows.length - 1 ? "bottom" : null, label: "effect on the score →", labelArrow: "none" },
      y: { domain: [-0.5, 0.5], axis: null },
      marks: [
        Plot.ruleX([0], { strokeOpacity: 0.5 }),
        Plot.dot(points, { x: "effect", y: (/** @type {Effect} */ _, /** @type {number} */ i) => over[i], r: (/** @type {Effect} */ p) => (choice.pins.includes(p.series) ? 4.5 : 3), fill: (/** @type {Effect} */ p) => colours[held.effects.of[factor][p.run]], fillOpacity: found.foretells ? 0.85 : 0.3, stroke: (/** @type {Effect} */ p) => (choice.pins.includes(p.series) ? "var(--ink)" : "none"), ariaLabel: effectWords, render: collect(points, marks) }),
      ],
    });
    quiet(svg);
    const used = new Set(points.map((/** @type {Effect} */ p) => held.effects.of[factor][p.run]));
    const key = values.flatMap((/** @type {string} */ value, /** @type {number} */ v) => {
      if (!used.has(v)) return [];
      const dot = make("span", { class: "sign", "aria-hidden": "true" }, "●");
      dot.style.color = colours[v];
      return [make("span", {}, dot, make("bdi", {}, cut(value, 18)))];
    });
    return make("div", { class: "swarm" }, make("div", {}, make("b", {}, name), make("small", {}, ` mean ${reach.toFixed(2)}`), make("div", { class: "values" }, ...key)), svg);
  });
  const fits = `R² ${found.r2}, for configurations not seen ${found.unseen}${found.foretells ? "" : ". Faint: it foretells no configuration that it has not seen"}`;
  const all = make("div", { class: "effects" }, make("h3", {}, kindOf(held.views[found.view])), make("small", {}, `${fits}.`), ...lines);
  all.style.width = `${width}px`;
  return all;
}

/** @param {Effect} p */
const checkpointWords = (p) => {
  const [epoch, seed] = [held.checkpoints.epoch[p.run], held.checkpoints.seed[p.run]];
  return [epoch === null ? "" : `epoch ${held.epochs[epoch]}`, seed === null ? "" : `seed ${held.seeds[seed]}`].filter(Boolean).join(", ");
};

/** @param {Effect} p */
function effectWords(p) {
  const { name, values } = held.effects.factors[p.factor];
  return `${held.series[p.series].name}, ${checkpointWords(p)}, ${name} ${values[held.effects.of[p.factor][p.run]]}: ${signed(p.effect)}`;
}

/** @param {number} n */
const signed = (n) => `${n < 0 ? "−" : "+"}${Math.abs(n).toFixed(2)}`;

/** @param {Choice} choice @param {Effect} p */
function effectCard(choice, p) {
  const { name, values } = held.effects.factors[p.factor];
  const score = blocks.get(`${choice.category} ${p.view}`)?.each[p.run];
  return [
    make("b", {}, nameOf(p.series)), make("div", {}, checkpointWords(p)),
    make("div", {}, `${name} `, make("bdi", {}, values[held.effects.of[p.factor][p.run]]), `: ${signed(p.effect)} of score`),
    ...(score === undefined || score === null ? [] : [make("div", {}, `score ${shownNumber(score / 1000, true)}`)]),
  ];
}

const readEffects = pointing(at("effects"), { say: (/** @type {Effect} */ p) => effectCard(choice, p), pin: (series) => pinIn(series, "factors") });

/** @param {Choice} choice */
function showEffects(choice) {
  /** @type {[SVGElement, Effect][]} */
  const marks = [];
  const asked = [...new Set([effectsOn(choice, choice.y), effectsOn(choice, choice.x)])].filter(Boolean);
  const others = held.effects.views.filter((/** @type {any} */ one) => one.category === choice.category);
  const found = asked.length ? asked : others.slice(0, 1);
  const room = at("effects").clientWidth;
  const width = room < 760 || found.length < 2 ? Math.min(room, 720) : Math.floor((room - 30) / 2);
  const plots = found.map((/** @type {any} */ one, /** @type {number} */ k) => drawEffects(choice, one, width, String(k), marks));
  const none = "Of neither chosen criterion effects were computed, so another one is shown.";
  const how = `${asked.length ? "" : others.length ? `${none} ` : `Of ${held.categories[choice.category]} no effects were computed. `}A dot is a checkpoint; point at it to read it, click it to pin its configuration.`;
  readEffects([make("div", { class: "side-by-side" }, ...plots), choiceWords({ ...choice, scale: "score" }, how)], marks);
}

/** What is said of a point: under the pointer, at the focus, and where it is pinned. */

const words = {
  first: "first", different: "surely worse than the first",
  equivalent: "equivalent to the first", undecided: "not told apart from the first",
};

/** Ranks that a series may have, and what the tests say of it. @param {Verdict | null} found */
function said(found) {
  if (!found) return "";
  const ranks = found.low === found.high ? `${found.low}` : `${found.low}–${found.high}`;
  const alone = found.verdict === "first" && !found.told;
  const how = alone ? "first, told apart from nobody" : words[/** @type {keyof typeof words} */ (found.verdict)];
  return `${how}, rank ${ranks} of ${found.of}`;
}

/** Term and text, line by line. @param {Choice} choice @param {Point} p @returns {string[][]} */
function linesOf(choice, p) {
  const { name, algorithm, preset } = held.series[p.series];
  const lines = [["", name]];
  if (algorithm || preset) lines.push(["trained", [algorithm, preset].filter(Boolean).join(", ")]);
  const when = p.epoch === null ? "" : `epoch ${held.epochs[p.epoch]}`;
  const seed = p.seed === null ? "" : `seed ${held.seeds[p.seed]}`;
  if (when || seed) lines.push(["at", [when, seed].filter(Boolean).join(", ")]);
  for (const axis of /** @type {const} */ (["y", "x"])) {
    const view = choice[axis];
    if (axis === "x" && choice.x === choice.y) continue;
    if (p.seed !== null) {
      lines.push([kindOf(held.views[view]), `score ${shownNumber(p[axis], true)}`]);
      continue;
    }
    const point = places.get(`${p.series} ${p.epoch}`);
    const found = reading(choice.category, view, point);
    if (!found) continue;
    lines.push([kindOf(held.views[view]), numbersOf(found)]);
    const tie = said(verdict(choice.category, view, p.series, p.epoch));
    if (tie) lines.push(["", tie]);
  }
  if (p.front) lines.push(["", "on the Pareto front"]);
  return lines;
}

/** @param {Reading} found */
function numbersOf(found) {
  const error = found.error === null ? "" : ` ± ${shownNumber(found.error, true)}`;
  return `score ${shownNumber(found.score, true)}${error}, value ${shownNumber(found.value, false)}`;
}

/** @param {Choice} choice @param {Point} p */
function card(choice, p) {
  const [, ...lines] = linesOf(choice, p);
  const rows = lines.map(([term, text]) =>
    make("div", {}, term ? make("span", { class: "soft" }, `${term}: `) : null, make("bdi", {}, text)));
  return [make("b", {}, nameOf(p.series)), ...rows];
}

/** Cards of what is pinned, with what of it the choice leaves out.
 * @param {Choice} choice @param {Point[]} now @param {(series: number) => void} unpin */
function showPins(choice, now, unpin) {
  const cards = choice.pins.map((series) => {
    const point = now.find((p) => p.series === series);
    const name = held.series[series].name;
    const off = make("button", { type: "button", "aria-label": `Unpin ${name}`, onclick: () => unpin(series) }, "✕");
    const body = point ? card(choice, point) : [make("b", {}, nameOf(series)), make("div", { class: "soft" }, "not in what is shown")];
    return make("div", { class: "card" }, off, ...body);
  });
  if (!cards.length) cards.push(make("p", { class: "soft" }, "Nothing yet. Click a point or a name in the table, or press Enter on it."));
  at("pins").replaceChildren(...cards);
}

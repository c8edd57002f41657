/** Controls: filled from what the page holds, set from a choice, read into one. */

const kinds = [...new Set(held.views.map((/** @type {View} */ v) => kindOf(v)))];

/** @param {View} view */
function kindOf(view) {
  return `${view.title} · ${view.prompt_type || "no"} prompts`;
}

/** Encoder and resizing; tables have "none" where a metric needs neither. @param {View} view */
const seenThrough = (view) => [view.encoder, view.resize].filter((name) => name && name !== "none").join(", ") || "no encoder";

/** Views of a metric and prompt type. @param {string} kind @returns {number[]} */
const viewsOf = (kind) =>
  held.views.flatMap((/** @type {View} */ v, /** @type {number} */ place) =>
    kindOf(v) === kind ? [place] : [],
  );

/**
 * @typedef {[value: string | number, text: string, more?: {group?: string, disabled?: boolean}]} Option
 * @param {any} select @param {Option[]} options @param {string | number} chosen
 */
function fill(select, options, chosen) {
  const groups = new Map();
  const made = options.map(([value, text, more = {}]) => {
    const option = make("option", { value, disabled: more.disabled ?? false }, cut(text, 70));
    if (!more.group) return option;
    if (!groups.has(more.group)) groups.set(more.group, make("optgroup", { label: more.group }));
    groups.get(more.group).append(option);
    return groups.get(more.group);
  });
  select.replaceChildren(...new Set(made));
  select.value = String(chosen);
  select.closest("label").hidden = options.length < 2;
}

/** @param {Choice} choice */
function showControls(choice) {
  fill(at("category"), held.categories.map((/** @type {string} */ n, /** @type {number} */ k) => [k, n]), choice.category);
  for (const axis of /** @type {const} */ (["x", "y"])) {
    const kind = kindOf(held.views[choice[axis]]);
    fill(at(axis), axes, kind);
    const through = viewsOf(kind);
    fill(at(`${axis}-seen`), through.map((v) => [v, seenThrough(held.views[v])]), choice[axis]);
  }
  at("scale").value = choice.scale;
  fill(at("epoch"), held.epochs.map((/** @type {number} */ e, /** @type {number} */ k) => [k, k === last ? `${e}, the last` : String(e)]), choice.epoch);
  const strengths = [...new Set(held.series.map((/** @type {Series} */ s) => s.strength))];
  fill(at("strength"), [["", "all"], ...strengths.map((s) => /** @type {[string, string]} */ ([s, s]))], choice.strength);
  at("strength").closest("label").hidden = strengths.length < 2;
  at("paths").checked = choice.paths;
  at("strengths").checked = choice.strengths;
  at("strengths").closest("label").hidden = strengths.length < 2;
  at("seeds").checked = choice.seeds;
  at("paths").closest("label").hidden = held.epochs.length < 2;
  at("seeds").closest("label").hidden = held.seeds.length < 2;
  for (const box of at("columns").querySelectorAll("input")) box.checked = choice.columns.includes(Number(box.dataset.view));
  for (const box of document.querySelectorAll("#explore-controls input[data-group]")) {
    const input = /** @type {HTMLInputElement} */ (box);
    input.checked = !choice.without.includes(input.dataset.group || "");
  }
}

/** What an axis may be: first what the findings judge by, with its heading, then all else by name.
 * @type {Option[]} */
const axes = [
  ...held.criteria.map((/** @type {any} */ c) => {
    const kind = kindOf(held.views[c.view]);
    return [kind, `${c.heading}: ${kind}`, { group: "The findings judge by" }];
  }),
  ...kinds
    .filter((kind) => !held.criteria.some((/** @type {any} */ c) => kindOf(held.views[c.view]) === kind))
    .sort((a, b) => a.localeCompare(b, "en"))
    .map((kind) => [kind, kind, { group: "All else" }]),
];

/** The boxes of algorithms and presets, which are the key of colours and shapes too. */
function makeBoxes() {
  for (const kind of ["algorithm", "preset"]) {
    const field = at(`${kind}s`);
    const seen = new Map(held.series.map((/** @type {any} */ s) => [s[kind], s]));
    for (const [name, series] of seen) {
      const key = make("span", { class: "sign", "aria-hidden": "true" });
      key.textContent = kind === "algorithm" ? "⬤" : sign(series.mark);
      if (kind === "algorithm") key.style.color = series.colour;
      const box = make("input", { type: "checkbox", "data-group": `${kind} ${name}`, "aria-label": `${kind} ${name || "none"}` });
      field.append(make("label", { title: name }, box, key, make("bdi", {}, cut(name || "none", 32))));
    }
    field.hidden = seen.size < 2;
  }
}

/** A box for each column that the table may have: each metric and kind of prompts, through the
 * encoder that the findings judge by, or else the first. @param {(view: number, on: boolean) => void} turn */
function makeColumns(turn) {
  const judged = held.criteria.map((/** @type {any} */ c) => c.view);
  const rest = kinds.map((kind) => viewsOf(kind)).filter((views) => !views.some((view) => judged.includes(view))).map(([view]) => view);
  for (const view of [...judged, ...rest]) {
    const box = make("input", { type: "checkbox", "data-view": view, onchange: () => turn(view, box.checked) });
    at("columns").append(make("label", {}, box, kindOf(held.views[view]), make("small", {}, seenThrough(held.views[view]))));
  }
}

/** What the controls say now. @param {Choice} before @returns {Choice} */
function chosen(before) {
  const choice = { ...before };
  choice.category = Number(at("category").value);
  for (const axis of /** @type {const} */ (["x", "y"])) {
    const through = viewsOf(at(axis).value);
    const asked = Number(at(`${axis}-seen`).value);
    choice[axis] = through.includes(asked) ? asked : likeOf(through, held.views[before[axis]]);
  }
  choice.scale = at("scale").value;
  choice.epoch = Number(at("epoch").value);
  choice.strength = at("strength").value;
  choice.paths = at("paths").checked;
  choice.strengths = at("strengths").checked;
  choice.seeds = at("seeds").checked;
  choice.without = [...document.querySelectorAll("#explore-controls input[data-group]")]
    .map((box) => /** @type {HTMLInputElement} */ (box))
    .filter((box) => !box.checked)
    .map((box) => box.dataset.group || "");
  return choice;
}

/** Of these views the one through the same encoder and resizing, else the first.
 * @param {number[]} through @param {View} view */
const likeOf = (through, view) =>
  through.find((v) => seenThrough(held.views[v]) === seenThrough(view)) ?? through[0];

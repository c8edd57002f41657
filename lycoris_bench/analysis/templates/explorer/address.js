/**
 * What is chosen, and how the address says it: `#explore?x=...`, by names, so that it holds in a
 * page that was made anew. What an address does not say, or says wrongly, is as it was at first.
 *
 * @typedef {{category: number, x: number, y: number, scale: string, epoch: number,
 *   strength: string, without: string[], paths: boolean, strengths: boolean, seeds: boolean, pins: number[],
 *   columns: number[], sort: string, down: boolean, concept: string, kind: string, run: string, row: string,
 *   column: string, against: string}} Choice
 */

/** @param {View} view */
const viewName = (view) => [view.metric, view.prompt_type, view.encoder, view.resize].join("/");

/** The first choice: the criteria that conflict, at the last epoch. @returns {Choice} */
function atFirst() {
  const [first, second] = held.criteria.map((/** @type {any} */ c) => c.view);
  const y = first ?? 0;
  return {
    category: 0, x: second ?? (y + 1 < held.views.length ? y + 1 : 0), y, scale: "score",
    epoch: last, strength: "", without: [], paths: false, strengths: false, seeds: false, pins: [],
    columns: held.criteria.map((/** @type {any} */ c) => c.view),
    sort: "y", down: true, concept: "", kind: "", run: "", row: "", column: "", against: "",
  };
}

/** What pictures are chosen by, as they are. @type {("concept" | "kind" | "run" | "row" | "column" | "against")[]} */
const ofPictures = ["concept", "kind", "run", "row", "column", "against"];

/** @param {Choice} choice @param {string} section where the reader is @returns {string} */
function written(choice, section) {
  const first = atFirst();
  const said = new URLSearchParams();
  const views = held.views.map(viewName);
  /** @param {keyof Choice} key @param {string} text */
  const say = (key, text) => {
    if (choice[key] !== first[key]) said.set(key, text);
  };
  say("category", held.categories[choice.category]);
  said.set("x", views[choice.x]);
  said.set("y", views[choice.y]);
  say("scale", choice.scale);
  say("epoch", String(held.epochs[choice.epoch]));
  say("strength", choice.strength);
  say("paths", "1");
  say("strengths", "1");
  say("seeds", "1");
  say("sort", choice.sort);
  say("down", "0");
  if (String(choice.columns) !== String(first.columns)) {
    for (const view of choice.columns) said.append("show", views[view]);
    if (!choice.columns.length) said.set("show", "");
  }
  for (const name of choice.without) said.append("without", name);
  for (const series of choice.pins) said.append("pin", held.series[series].name);
  for (const key of ofPictures) say(key, choice[key]);
  return `#${section}?${said}`;
}

/** @param {string} hash @returns {Choice} */
function read(hash) {
  const choice = atFirst();
  const said = new URLSearchParams(hash.replace(/^#\w+\??/, ""));
  /** @param {string} key @param {string[]} names @param {number} otherwise */
  const find = (key, names, otherwise) => {
    const place = names.indexOf(said.get(key) ?? "");
    return place < 0 ? otherwise : place;
  };
  const views = held.views.map(viewName);
  choice.category = find("category", held.categories, choice.category);
  choice.x = find("x", views, choice.x);
  choice.y = find("y", views, choice.y);
  choice.epoch = find("epoch", held.epochs.map(String), choice.epoch);
  if (said.get("scale") === "value") choice.scale = "value";
  const strengths = held.series.map((/** @type {Series} */ s) => s.strength);
  if (strengths.includes(said.get("strength") ?? "")) choice.strength = said.get("strength") ?? "";
  if (said.has("show")) choice.columns = [...new Set(said.getAll("show").map((name) => views.indexOf(name)))].filter((n) => n >= 0);
  choice.without = said.getAll("without").filter((name) => groups().includes(name));
  choice.paths = said.get("paths") === "1";
  choice.strengths = said.get("strengths") === "1";
  choice.seeds = said.get("seeds") === "1";
  choice.sort = /^(name|x|y|[0-9]+)$/.test(said.get("sort") ?? "") ? said.get("sort") ?? "" : "y";
  choice.down = said.get("down") !== "0";
  const names = held.series.map((/** @type {Series} */ s) => s.name);
  const pins = said.getAll("pin").map((name) => names.indexOf(name)).filter((n) => n >= 0);
  choice.pins = [...new Set(pins)];
  for (const key of ofPictures) choice[key] = said.get(key) ?? "";
  return choice;
}

/** What an address names and the page lacks, as a sentence; "" for none.
 * @param {string} hash @returns {string} */
function lacking(hash) {
  const said = new URLSearchParams(hash.replace(/^#\w+\??/, ""));
  const views = held.views.map(viewName);
  const known = {
    category: held.categories, x: views, y: views, epoch: held.epochs.map(String),
    pin: held.series.map((/** @type {Series} */ s) => s.name), show: ["", ...views], without: groups(),
    strength: held.series.map((/** @type {Series} */ s) => s.strength),
    concept: (album?.concepts ?? []).map((/** @type {any} */ c) => c.name),
  };
  const lost = Object.entries(known).flatMap(([key, names]) =>
    said.getAll(key).filter((name) => !names.includes(name)).map((name) => `${key} “${cut(name, 40)}”`));
  return lost.length ? `The address asks for ${lost.join(", ")}, which this page does not have.` : "";
}

/** What can be filtered by, as an address names it. @returns {string[]} */
function groups() {
  return [...new Set(held.series.flatMap((/** @type {Series} */ s) => groupsOf(s)))];
}

/** @param {Series} series */
const groupsOf = (series) => [`algorithm ${series.algorithm}`, `preset ${series.preset}`];

/** Whether filters and strength leave a series in. @param {Choice} choice @param {number} place */
function isIn(choice, place) {
  const series = held.series[place];
  return (
    (!choice.strength || series.strength === choice.strength) &&
    !groupsOf(series).some((name) => choice.without.includes(name))
  );
}

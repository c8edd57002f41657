/**
 * The grid of pictures: a row for each configuration, a column for each prompt with its noise.
 * Images lie in the run folder; the page has thumbnails of some, which stand in where one is gone.
 *
 * @typedef {{name: string, series: number | null, seed: number | null, epoch: number | null,
 *   path: string, captions: string, there: number, label?: string, nearest?: number[]}} Row
 * @typedef {{set: number, k: number}} Column
 */

/** @type {any} */
const album = held.pictures;
const BASE = "base";

/** Thumbnails that the page has, by row, concept, kind of prompt and number. @type {Map<string, string>} */
const thumbnails = new Map();
/** Prompts of those, where no image says its own. @type {Map<string, string>} */
const captions = new Map();
for (const table of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("#images table[data-concept]"))) {
  const heads = [.../** @type {NodeListOf<HTMLElement>} */ (table.querySelectorAll("th[data-kind]"))];
  heads.forEach((head) => captions.set(nameOfSet(table.dataset.concept, head.dataset.kind), head.querySelector("small")?.textContent ?? ""));
  for (const row of /** @type {NodeListOf<HTMLElement>} */ (table.querySelectorAll("tr[data-row]"))) {
    [...row.querySelectorAll("td")].forEach((cell, column) =>
      cell.querySelectorAll("img").forEach((image, k) =>
        thumbnails.set(JSON.stringify([row.dataset.row, nameOfSet(table.dataset.concept, heads[column].dataset.kind), k]), image.src)));
  }
}

/** @param {string | undefined} concept @param {string | undefined} kind */
function nameOfSet(concept, kind) {
  return `${concept}\n${kind}`;
}

/** @param {number} set */
const setName = (set) => nameOfSet(album.concepts[album.sets[set].concept].name, album.sets[set].kind);
/** The thumbnail of an image; "" where the page has none. @param {Row} row @param {Column} c */
const thumbnail = (row, c) => (row.label === undefined ? "" : thumbnails.get(JSON.stringify([row.label, setName(c.set), c.k])) ?? "");
/** Numbers of the images of a set that lie in the run folder. @param {Row} row @param {number} set
 * @returns {number[]} */
const kept = (row, set) => album.patterns[album.shelves[row.there][set]];
/** @param {Row} row @param {Column} c */
const isThere = (row, c) => kept(row, c.set).includes(c.k) || thumbnail(row, c) !== "";

/** Where an image is: in the run folder, or its thumbnail. @param {Row} row @param {Column} c */
function addressOf(row, c) {
  if (!kept(row, c.set).includes(c.k)) return thumbnail(row, c);
  return `../images/${row.path}/${album.sets[c.set].path}/${String(c.k).padStart(5, "0")}.png`;
}

/** @param {string} name */
const keptThumbnail = (name) => `../gallery/${name}`;

/** By what image k of a set was drawn. @type {Map<string, {prompt: string, noise: number | null}>} */
const asked = new Map();
for (const [words, said] of Object.entries(album?.asked ?? {})) {
  for (const [set, k, prompt, noise] of said) asked.set(JSON.stringify([words, set, k]), { prompt: album.prompts[prompt], noise });
}

/** @param {Column} c @param {Row} [row] whose captions may be others */
const askedOf = (c, row) =>
  asked.get(JSON.stringify([row?.captions ?? "", c.set, c.k])) ?? asked.get(JSON.stringify(["", c.set, c.k])) ??
  { prompt: captions.get(setName(c.set)) ?? "", noise: null };

/** Sets that some of these have a picture of. @param {Row[]} rows @returns {number[]} */
const picturedBy = (rows) =>
  (album?.sets ?? []).flatMap((/** @type {any} */ _, /** @type {number} */ set) =>
    rows.some((row) => kept(row, set).length || thumbnail(row, { set, k: 0 })) ? [set] : []);
/** @type {Row[]} */
const allRows = album?.rows ?? [];
const ofTrained = picturedBy(allRows.filter((row) => row.name !== BASE));
/** Sets with a picture of what was trained; of the base model, where there are no others. @type {Set<number>} */
const pictured = new Set(ofTrained.length ? ofTrained : picturedBy(allRows));
const runs = new Set(allRows.flatMap((row) => (row.seed === null ? [] : [row.seed])));
/** Seeds of trainings, smallest first. @type {number[]} */
const trainings = [...runs].sort((a, b) => a - b);

/** Concepts with pictures, of the chosen category. @param {Choice} choice @returns {number[]} */
function conceptsOf(choice) {
  const category = held.categories[choice.category];
  const all = [...new Set([...pictured].map((set) => album.sets[set].concept))].sort((a, b) => a - b);
  const own = all.filter((k) => album.concepts[k].category === category);
  return own.length || held.categories.length > 1 && choice.category > 0 ? own : all;
}

/** The concept whose pictures are shown. @param {Choice} choice @returns {number | undefined} */
const conceptOf = (choice) =>
  conceptsOf(choice).find((k) => album.concepts[k].name === choice.concept) ?? conceptsOf(choice)[0];

/** Sets of the shown concept. @param {Choice} choice @returns {number[]} */
const setsOf = (choice) => [...pictured].filter((set) => album.sets[set].concept === conceptOf(choice)).sort((a, b) => a - b);

/** Epochs, by their places, of which the shown concept has pictures. @param {Choice} choice @returns {number[]} */
function epochsOf(choice) {
  const sets = setsOf(choice);
  const there = new Set();
  for (const rows of checkpointsOf.values()) {
    for (const row of rows) {
      if (row.series === null || !isIn(choice, row.series) || there.has(row.epoch)) continue;
      if (sets.some((set) => kept(row, set).length || thumbnail(row, { set, k: 0 }))) there.add(row.epoch);
    }
  }
  return held.epochs.flatMap((/** @type {number} */ epoch, /** @type {number} */ k) => (there.has(epoch) || there.has(null) ? [k] : []));
}

/** Epochs, by their places, of which a row of the grid has the picture of a column.
 * @param {Choice} choice @param {Row} row @param {Column} c @returns {number[]} */
function epochsWith(choice, row, c) {
  if (row.name === BASE) return epochsOf(choice);
  const of = checkpointsOf.get(row.name) ?? [];
  return held.epochs.flatMap((/** @type {number} */ epoch, /** @type {number} */ k) => {
    const then = rowAt(of, choice, epoch);
    return then && (then.epoch === null || then.epoch === epoch) && isThere(then, c) ? [k] : [];
  });
}

/** The row of a series at the chosen epoch and training. @param {Row[]} rows @param {Choice} choice */
const rowAt = (rows, choice, epoch = held.epochs[choice.epoch]) => {
  const now = rows.filter((row) => row.epoch === null || row.epoch === epoch);
  const seed = choice.run === "" ? trainings[0] : Number(choice.run);
  return now.find((row) => row.seed === seed) ?? now.find((row) => row.seed === null) ?? (choice.run === "" ? now[0] : undefined);
};

/** All checkpoints of each series, in order. @type {Map<string, Row[]>} */
const checkpointsOf = new Map();
for (const row of /** @type {Row[]} */ (album?.rows ?? [])) {
  checkpointsOf.set(row.name, [...(checkpointsOf.get(row.name) ?? []), row]);
}

/** Rows of the grid: the base model, what is pinned, then the others that filters leave in.
 * @param {Choice} choice @returns {Row[]} */
function albumRows(choice) {
  const rows = [...checkpointsOf.values()].flatMap((of) => rowAt(of, choice) ?? []);
  const place = (/** @type {Row} */ row) =>
    row.name === BASE ? 0 : row.series !== null && choice.pins.includes(row.series) ? 1 : 2;
  return rows
    .filter((row) => row.series === null || isIn(choice, row.series))
    .sort((a, b) => place(a) - place(b));
}

/** Columns of the grid: the first image of each kind of prompt, or the images of one.
 * @param {Choice} choice @param {Row[]} rows @returns {Column[]} */
function albumColumns(choice, rows) {
  return setsOf(choice).flatMap((set) => {
    if (choice.kind && album.sets[set].kind !== choice.kind) return [];
    const numbers = new Set(rows.flatMap((row) => kept(row, set)));
    for (let k = 0; rows.some((row) => thumbnail(row, { set, k })); k++) numbers.add(k);
    const columns = [...numbers].sort((a, b) => a - b).map((k) => ({ set, k }));
    return choice.kind ? columns : columns.slice(0, 1);
  });
}

/** @param {Column} c */
const columnName = (c) => `${album.sets[c.set].kind} ${c.k}`;
/** @param {Row} row */
const rowLabel = (row) => (row.name === BASE ? "base model" : row.name);
/** @param {Row} row */
const whenOf = (row) =>
  [row.epoch === null ? "" : `epoch ${row.epoch}`, row.seed === null ? "" : `seed ${row.seed}`].filter(Boolean).join(", ");

/** An image that gives way to its thumbnail, or to a word, where it is gone.
 * @param {string} source @param {string} alt @param {string} [otherwise] */
function picture(source, alt, otherwise = "") {
  const image = make("img", { alt, loading: "lazy", decoding: "async" });
  image.addEventListener("load", () => image.classList.toggle("small", image.naturalWidth < 200));
  image.addEventListener("error", () => {
    if (otherwise && image.getAttribute("src") !== otherwise) image.src = otherwise;
    else {
      image.replaceWith(make("small", { class: `soft ${image.className}` }, "not beside this page"));
      at("pictures-status").textContent = "Pictures are missing: they lie in the run folder. Open report/index.html there, or run lycoris-bench view with --serve.";
    }
  });
  image.src = source;
  return image;
}

/** What the grid was last drawn of, so that another axis draws it not again. */
let drawnGrid = "";

/** @param {Choice} choice @param {{pin: (series: number) => void, look: (row: Row, c: Column) => void,
 *   press: (event: KeyboardEvent) => void}} act */
function showGrid(choice, act) {
  const rows = albumRows(choice);
  const columns = albumColumns(choice, rows);
  const key = JSON.stringify([rows.map((row) => [row.name, row.seed, row.epoch]), columns, choice.pins]);
  if (key === drawnGrid) return { rows, columns };
  drawnGrid = key;
  const head = make("tr", {}, make("td"), ...columns.map((c) => {
    const { prompt, noise } = askedOf(c);
    return make("th", { scope: "col", title: prompt }, album.sets[c.set].kind, make("small", {}, make("bdi", {}, prompt)),
      noise === null ? null : make("small", {}, `noise ${noise}`));
  }));
  const concept = conceptOf(choice);
  const real = concept === undefined ? [] : album.concepts[concept].real;
  const reals = real.length ? make("caption", {}, "Real images", make("div", { class: "reals" },
    ...real.map((/** @type {string} */ name) => picture(keptThumbnail(name), "real image")))) : null;
  const body = rows.map((row) => {
    const pinned = row.series !== null && choice.pins.includes(row.series);
    const name = row.series === null ? rowLabel(row) : make("button", { type: "button", class: "pin", "aria-pressed": String(pinned), "data-pin": row.series, title: `${pinned ? "Unpin" : "Pin"} ${row.name}`, onclick: () => act.pin(/** @type {number} */ (row.series)) }, nameOf(row.series));
    return make("tr", { class: pinned ? "pinned" : null }, make("th", { scope: "row" }, name),
      ...columns.map((c) => make("td", {}, isThere(row, c)
        ? make("button", { type: "button", class: "cell", tabindex: -1, "data-cell": JSON.stringify([row.name, columnName(c)]), "aria-label": `${[rowLabel(row), whenOf(row), `${album.sets[c.set].kind} prompt`].filter(Boolean).join(", ")}: ${askedOf(c, row).prompt}`, onclick: () => { act.look(row, c); at("frame").scrollIntoView({ block: "nearest" }); }, onkeydown: act.press }, picture(addressOf(row, c), "", thumbnail(row, c)))
        : make("small", { class: "soft" }, "–"))));
  });
  at("grid").replaceChildren(...[reals, make("thead", {}, head), make("tbody", {}, ...body)].filter(Boolean));
  return { rows, columns };
}

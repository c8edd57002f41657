/** One picture, close: beside it another checkpoint's of the same prompt and noise, which may blink
 * in its place, the training image that is nearest to it, and what is known of it. */

const BLINK = 700; // milliseconds of each side: under two changes a second
let blinking = 0;

/** What the chosen picture may be held against, as the address names it.
 * @param {Row[]} rows @param {Row} row @param {Column} c @returns {[string, string][]} */
function sidesOf(rows, row, c) {
  const others = rows.filter((one) => one.name !== row.name && one.name !== BASE);
  const epochs = (checkpointsOf.get(row.name) ?? []).flatMap((one) => (one.epoch === null || one.epoch === row.epoch || one.seed !== row.seed || !isThere(one, c) ? [] : [one.epoch]));
  return [
    ...(row.name === BASE ? [] : [/** @type {[string, string]} */ ([BASE, "the base model"])]),
    ...epochs.map((epoch) => /** @type {[string, string]} */ ([`at ${epoch}`, `the same at epoch ${epoch}`])),
    ...others.map((one) => /** @type {[string, string]} */ ([`as ${one.name}`, one.name])),
  ];
}

/** The checkpoint on the other side. @param {Choice} choice @param {Row[]} rows @param {Row} row
 * @param {Column} c @returns {Row | undefined} */
function sideOf(choice, rows, row, c) {
  const there = sidesOf(rows, row, c).map(([key]) => key);
  const key = there.includes(choice.against) ? choice.against : there[0];
  if (key === undefined) return undefined;
  if (key === BASE) return rows.find((one) => one.name === BASE);
  if (key.startsWith("as ")) return rows.find((one) => one.name === key.slice(3));
  return checkpointsOf.get(row.name)?.find((one) => one.seed === row.seed && `at ${one.epoch}` === key);
}

/** @param {boolean} [other] the other side, or else the one that is not shown */
function flip(other = !at("frame").classList.contains("other")) {
  if (!at("frame").querySelector(".back")) other = false;
  at("frame").classList.toggle("other", other);
  at("shown").classList.toggle("other", other);
  for (const [k, part] of [...at("shown").children].entries()) part.hidden = k !== Number(other);
}

/** @param {boolean} on */
function blink(on) {
  clearInterval(blinking);
  blinking = on ? setInterval(flip, BLINK) : 0;
  at("blink").setAttribute("aria-pressed", String(on));
  if (!on) flip(false);
}

/** The nearest training image, if it was computed. @param {Row} row @param {Column} c */
function nearestOf(row, c) {
  const pairs = row.nearest ?? [];
  for (let k = 0; k < pairs.length; k += 5) {
    if (pairs[k] === c.set && pairs[k + 1] === c.k) {
      return { name: album.training[pairs[k + 2]], similarity: pairs[k + 3] / 1000, copied: pairs[k + 4] === 1 };
    }
  }
  return null;
}

/** The chosen picture; the first that is there, of the first configuration, where none is chosen.
 * @param {Choice} choice @param {Row[]} rows @param {Column[]} columns @returns {{row: Row, c: Column} | null} */
function chosenPicture(choice, rows, columns) {
  const trained = rows.filter((row) => row.name !== BASE);
  const named = rows.filter((row) => row.name === choice.row);
  for (const row of [...named, ...trained, ...rows]) {
    const c = columns.find((one) => columnName(one) === choice.column && isThere(row, one)) ?? columns.find((one) => isThere(row, one));
    if (c) return { row, c };
  }
  return null;
}

/** What is drawn in the frame, so that it is not drawn anew. */
let drawnCloser = "";

/** @param {Choice} choice @param {Row[]} rows @param {Column[]} columns */
function showCloser(choice, rows, columns) {
  const found = chosenPicture(choice, rows, columns);
  at("closer").hidden = !found;
  const cells = at("grid").querySelectorAll(".cell");
  const key = found && JSON.stringify([found.row.name, columnName(found.c)]);
  for (const cell of cells) {
    const here = cell.getAttribute("data-cell") === key;
    cell.setAttribute("tabindex", here ? "0" : "-1");
    if (here) cell.setAttribute("aria-current", "true");
    else cell.removeAttribute("aria-current");
  }
  if (!found) return;
  const { row, c } = found;
  const sides = sidesOf(rows, row, c);
  const other = sideOf(choice, rows, row, c);
  const both = other && isThere(other, c) ? other : undefined;
  fill(at("against"), sides, sides.some(([one]) => one === choice.against) ? choice.against : sides[0]?.[0] ?? "");
  at("flip").disabled = at("blink").disabled = !both;
  const now = JSON.stringify([row.name, row.seed, row.epoch, c, other?.name, other?.epoch]);
  if (now === drawnCloser) return;
  drawnCloser = now;
  const full = (/** @type {Row} */ one, /** @type {string} */ side) => {
    const image = picture(addressOf(one, c), `${rowLabel(one)}, ${whenOf(one)}`, thumbnail(one, c));
    image.loading = "eager";
    image.classList.add(side);
    return image;
  };
  const words = (/** @type {Row} */ one) => make("div", {}, make("b", {}, make("bdi", {}, rowLabel(one))), ` ${whenOf(one)}`);
  at("frame").replaceChildren(full(row, "front"), ...(both ? [full(both, "back")] : []));
  at("shown").replaceChildren(words(row), ...(other ? [words(other)] : []));
  flip(false);
  const beside = [];
  if (both) beside.push(make("figure", {}, picture(addressOf(both, c), "", thumbnail(both, c)), make("figcaption", {}, make("bdi", {}, cut(rowLabel(both), 60)), ` ${whenOf(both)}`)));
  else if (other) beside.push(make("p", { class: "soft" }, `Of ${[rowLabel(other), whenOf(other)].filter(Boolean).join(", ")} this picture was not kept.`));
  const nearest = nearestOf(row, c);
  if (nearest) {
    const how = nearest.copied ? ", nearer than training images are to each other: counted as a copy" : "";
    beside.push(make("figure", {}, picture(keptThumbnail(nearest.name), "the training image nearest to it"), make("figcaption", {}, `nearest training image, cosine ${nearest.similarity.toFixed(2)}${how}`)));
  }
  at("beside").replaceChildren(...beside);
  const { prompt, noise } = askedOf(c, row);
  at("about").replaceChildren(
    make("div", {}, make("span", { class: "soft" }, `${album.sets[c.set].kind} prompt: `), make("bdi", {}, prompt)),
    noise === null ? "" : make("div", { class: "soft" }, `noise ${noise}, image ${c.k} of its set`),
  );
  if (blinking && !both) blink(false);
}

/** The cell that an arrow goes to: the next in that direction that has a picture.
 * @param {{rows: Row[], columns: Column[]}} shown @param {Row} row @param {Column} c @param {string} key
 * @returns {{row: Row, c: Column} | null} */
function nextPicture(shown, row, c, key) {
  const { rows, columns } = shown;
  let [y, x] = [rows.indexOf(row), columns.findIndex((one) => columnName(one) === columnName(c))];
  const [down, right] = /** @type {Record<string, number[]>} */ ({ ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] })[key];
  for (;;) {
    [y, x] = [y + down, x + right];
    if (!rows[y] || !columns[x]) return null;
    if (isThere(rows[y], columns[x])) return { row: rows[y], c: columns[x] };
  }
}

/** The table: the chosen criteria first, then other columns: at first what the findings judge by. */

/** Views that have a column. @param {Choice} choice @returns {number[]} */
const columnsOf = (choice) => [...new Set([choice.y, choice.x, ...choice.columns])];

/** @param {Choice} choice */
function rowsOf(choice) {
  const columns = columnsOf(choice);
  const rows = held.series.flatMap((/** @type {any} */ _, /** @type {number} */ series) => {
    const point = isIn(choice, series) ? pointOf(series, choice.epoch) : undefined;
    if (point === undefined) return [];
    const cells = columns.map((view) => reading(choice.category, view, point));
    return cells.some((cell) => cell) ? [{ series, epoch: held.points.epoch[point], cells }] : [];
  });
  return sorted(choice, columns, rows);
}

/** Best first, or last; what has no number stands at the end either way.
 * @param {Choice} choice @param {number[]} columns @param {any[]} rows */
function sorted(choice, columns, rows) {
  const way = choice.down ? -1 : 1;
  if (choice.sort === "name") {
    return rows.sort((a, b) => way * held.series[a.series].name.localeCompare(held.series[b.series].name, "en"));
  }
  const place = columns.indexOf(sortView(choice));
  const isFirst = (/** @type {any} */ row) =>
    verdict(choice.category, columns[place], row.series, row.epoch)?.verdict === "first";
  const key = (/** @type {any} */ row) => {
    const cell = row.cells[place];
    if (!cell) return null;
    if (choice.scale === "score") return cell.score;
    return held.views[columns[place]].better === "lower" ? -cell.value : cell.value;
  };
  return rows.sort((a, b) => {
    const [first, second] = [key(a), key(b)];
    if (first === null || second === null) return Number(first === null) - Number(second === null);
    return way * (first - second) || Number(isFirst(b)) - Number(isFirst(a));
  });
}

/** @param {Choice} choice */
function sortView(choice) {
  const columns = columnsOf(choice);
  if (choice.sort === "x") return choice.x;
  const asked = Number(choice.sort);
  return choice.sort !== "y" && columns.includes(asked) ? asked : choice.y;
}

/** What a column is called in the choice. @param {Choice} choice @param {number} view */
const sortName = (choice, view) =>
  view === choice.y ? "y" : view === choice.x ? "x" : String(view);

const marksOf = { first: "1st", different: "", equivalent: "=", undecided: "?" };

/** @param {Choice} choice @param {{sort: (key: string) => void, pin: (series: number) => void}} act */
function showTable(choice, act) {
  const columns = columnsOf(choice);
  const rows = rowsOf(choice);
  const heading = (/** @type {string} */ key, /** @type {boolean} */ here, /** @type {string} */ text, /** @type {string} */ more) =>
    make("th", { scope: "col", "aria-sort": here ? (choice.down ? "descending" : "ascending") : null, onclick: () => act.sort(key) },
      make("button", { type: "button", "data-sort": key }, text, here ? (choice.down ? " ↓" : " ↑") : ""),
      more ? make("small", {}, more) : null);
  const head = make("tr", {}, heading("name", choice.sort === "name", "configuration", ""),
    ...columns.map((view) => {
      const found = held.criteria.find((/** @type {any} */ c) => c.view === view);
      const what = kindOf(held.views[view]);
      return heading(sortName(choice, view), choice.sort !== "name" && sortView(choice) === view,
        found ? found.heading : what, found ? `${what}; ${seenThrough(held.views[view])}` : seenThrough(held.views[view]));
    }));
  const tested = columns.filter((view) => choice.epoch === last && verdicts.has(`${choice.category} ${view}`));
  const pinnedAbove = ["base", "real"].map((name) => outsideRow(choice, columns, name));
  const body = rows.map((/** @type {any} */ row) => {
    const { name } = held.series[row.series];
    const on = choice.pins.includes(row.series);
    const button = make("button", { type: "button", class: "pin", "aria-pressed": String(on), "data-pin": row.series, onclick: () => act.pin(row.series) }, nameOf(row.series));
    button.title = on ? `Unpin ${name}` : `Pin ${name}`;
    return make("tr", { class: on ? "pinned" : null }, make("th", { scope: "row" }, button),
      ...row.cells.map((/** @type {Reading | null} */ cell, /** @type {number} */ k) =>
        scoreCell(cell, verdict(choice.category, columns[k], row.series, row.epoch), tested.includes(columns[k]))));
  });
  at("table").replaceChildren(make("thead", {}, head), make("tbody", {}, ...pinnedAbove, ...body));
  at("note").textContent = `Score ± standard error over seeds and classes; below it the value. ${
    tested.length ? "Marked against the first of a column: = equivalent (within " + held.margin + " of score, which only errors well below that can show), ? undecided; without a mark surely worse. Where the first is not blue, it is told apart from nobody. " : ""
  }${tested.length < columns.length ? "Tested is what the findings judge by, and what the paper explains besides, through the main encoder at the last epoch; elsewhere nothing says who is surely better." : ""}`;
  return rows.length;
}

/** @param {Choice} choice @param {number[]} columns @param {string} name */
function outsideRow(choice, columns, name) {
  const found = columns.map((view) => outside.get(`${name} ${choice.category} ${view}`));
  if (!found.some((one) => one)) return null;
  const label = name === "base" ? "base model" : held.ceiling || "real images";
  return make("tr", { class: "outside" }, make("th", { scope: "row" }, label),
    ...found.map((one) => make("td", {}, one ? shownNumber(one.value, false) : "–")));
}

/** @param {Reading | null} cell @param {Verdict | null} found @param {boolean} tested */
function scoreCell(cell, found, tested) {
  if (!cell) return make("td", {}, "–");
  const mark = found ? marksOf[/** @type {keyof typeof marksOf} */ (found.verdict)] : "";
  const ranks = found ? ` · ${found.low === found.high ? found.low : `${found.low}–${found.high}`} of ${found.of}` : tested ? " · lacks cells, not ranked" : "";
  const shown = make("td", { class: "score", title: said(found) || null },
    make("span", { class: found && found.verdict === "first" && found.told ? "best" : null }, shownNumber(cell.score, true)),
    cell.error === null ? null : make("small", {}, `± ${shownNumber(cell.error, true)}`),
    mark ? make("b", { class: "soft verdict" }, ` ${mark}`) : null,
    make("br"), make("small", { class: "under" }, `${shownNumber(cell.value, false)}${ranks}`));
  shown.style.setProperty("--at", String(cell.score ?? 0));
  return shown;
}

/** What is shown as CSV; no name in it is a formula. @param {Choice} choice @returns {string} */
function csv(choice) {
  const columns = columnsOf(choice);
  const quoted = (/** @type {any} */ text) => {
    const plain = /^[=+\-@\t\r]./.test(String(text)) && typeof text === "string" ? `'${text}` : String(text ?? "");
    return /[",\n\r]/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain;
  };
  const heads = columns.flatMap((view) =>
    ["score", "stderr", "value", "verdict"].map((what) => `${viewName(held.views[view])} ${what}`));
  const short = (/** @type {number | null} */ n) => (n === null ? "" : Number(n.toPrecision(4)));
  const outer = ["base", "real"].flatMap((name) => {
    const found = columns.map((view) => outside.get(`${name} ${choice.category} ${view}`));
    return found.some((one) => one) ? [[name, "", "", ...found.flatMap((one) => ["", "", one ? one.value : "", ""])]] : [];
  });
  const inner = rowsOf(choice).map((/** @type {any} */ row) => [
    held.series[row.series].name, held.categories[choice.category], row.epoch === null ? "" : held.epochs[row.epoch],
    ...row.cells.flatMap((/** @type {Reading | null} */ cell, /** @type {number} */ k) => cell
      ? [short(cell.score), short(cell.error), short(cell.value), verdict(choice.category, columns[k], row.series, row.epoch)?.verdict ?? ""]
      : ["", "", "", ""]),
  ]);
  return [["configuration", "category", "epoch", ...heads], ...outer, ...inner]
    .map((row) => `${row.map(quoted).join(",")}\r\n`).join("");
}

/** Puts it together: a choice is drawn, kept in the address, and changed by what the reader does. */

/** The sections whose choice the address keeps. */
const sections = /^#(explore|pictures)\b/;
/** @type {Choice} */
let choice = read(sections.test(location.hash) ? location.hash : "");
/** The one that the reader changed last. */
let section = sections.exec(location.hash)?.[1] ?? "explore";
/** Marks in the plot, and the point that arrows go on from. @type {[SVGElement, Point][]} */
let marks = [];
let current = "";

const chart = at("chart");
const tip = make("div", { class: "tip", hidden: "", "aria-hidden": "true" });

/** @param {Partial<Choice>} change @param {string} [where] the section it was made in */
function change(change, where = "explore") {
  choice = { ...choice, ...change };
  section = where;
  keep();
  show();
}

/** Into the address, without a step in the history for each. */
function keep() {
  try {
    history.replaceState(null, "", written(choice, section));
  } catch {
    // a browser that lets no file change its address still shows everything
  }
}

function show() {
  const focus = focused();
  showControls(choice);
  const drawn = drawChart(choice, Math.max(chart.clientWidth, 280), decorate);
  chart.replaceChildren(drawn.svg, tip);
  tip.hidden = true;
  writeNames(drawn.svg, choice, drawn.now, drawn.front, drawn.many);
  showPins(choice, drawn.now, pin);
  const rows = showTable(choice, { sort: sortBy, pin });
  const where = held.categories[choice.category];
  at("title").textContent = held.epochs.length ? `${where}, epoch ${held.epochs[choice.epoch]}` : where;
  at("legend").textContent = legend(drawn);
  at("status").textContent = `${drawn.now.length} points, ${rows} rows`;
  showPictures(choice);
  refocus(focus);
}

/** @param {{now: Point[], front: Point[]}} drawn */
function legend(drawn) {
  if (!drawn.now.length) return "No configuration has both numbers here. Choose another category, metric or epoch, or take a filter off.";
  const said = ["Bars are standard errors over seeds and classes.", "Outlined and joined by a line: the Pareto front, which no other point beats in both."];
  if (choice.paths) said.push("Along a path dots grow with the epoch.");
  if (drawn.now.some((/** @type {Point} */ p) => held.series[p.series].number !== null)) said.push("Numbers are those of the table of configurations.");
  if (standing(choice, "base", choice.x) !== null) said.push("✕ is the base model.");
  if (choice.seeds && choice.scale === "value") said.push("Single seeds are drawn by score only.");
  return said.join(" ");
}

/** Gives each point what a pointer and a keyboard need; one of them is in the order of tabs.
 * @param {[SVGElement, Point][]} made */
function decorate(made) {
  marks = made;
  if (!marks.some(([, p]) => p.key === current)) current = marks[marks.length - 1]?.[1].key ?? "";
  for (const [mark, p] of marks) {
    mark.setAttribute("role", "button");
    mark.setAttribute("tabindex", p.key === current ? "0" : "-1");
    mark.setAttribute("aria-pressed", String(choice.pins.includes(p.series)));
    mark.setAttribute("data-key", p.key);
    mark.setAttribute("class", "point");
    mark.addEventListener("pointerenter", () => point(p, mark));
    mark.addEventListener("pointerleave", () => (tip.hidden = true));
    mark.addEventListener("focus", () => point(p, mark));
    mark.addEventListener("blur", () => (tip.hidden = true));
    mark.addEventListener("click", () => pin(p.series, p.key));
    mark.addEventListener("keydown", (event) => press(/** @type {KeyboardEvent} */ (event), p));
  }
}

/** @param {Point} p @param {SVGElement} mark */
function point(p, mark) {
  tip.replaceChildren(...card(choice, p));
  tip.hidden = false;
  const [box, frame] = [mark.getBoundingClientRect(), chart.getBoundingClientRect()];
  const x = box.left + box.width / 2 - frame.left;
  const left = x > frame.width / 2 ? x - tip.offsetWidth - 16 : x + 16;
  tip.style.left = `${Math.max(0, Math.min(left, frame.width - tip.offsetWidth))}px`;
  const below = box.bottom - frame.top + 10;
  const fits = below + tip.offsetHeight < frame.height;
  tip.style.top = `${fits ? below : Math.max(0, box.top - frame.top - tip.offsetHeight - 10)}px`;
}

/** Arrows go to the next point to the left, right, above or below; Enter and space pin it.
 * @param {KeyboardEvent} event @param {Point} p */
function press(event, p) {
  if (event.key === "Enter" || event.key === " ") {
    event.preventDefault();
    pin(p.series, p.key);
  } else if (event.key === "Escape") {
    tip.hidden = true;
  } else if (event.key.startsWith("Arrow")) {
    event.preventDefault();
    const middle = (/** @type {SVGElement} */ mark) => {
      const box = mark.getBoundingClientRect();
      return [box.left + box.width / 2, box.top + box.height / 2];
    };
    const axis = event.key === "ArrowLeft" || event.key === "ArrowRight" ? 0 : 1;
    const way = event.key === "ArrowLeft" || event.key === "ArrowUp" ? -1 : 1;
    const order = [...marks].sort(([a], [b]) => middle(a)[axis] - middle(b)[axis]);
    const here = order.findIndex(([, q]) => q.key === p.key);
    const next = order[here + way];
    if (next) focusOn(next[1].key);
  }
}

/** @param {string} key */
function focusOn(key) {
  current = key;
  for (const [mark, p] of marks) mark.setAttribute("tabindex", p.key === key ? "0" : "-1");
  marks.find(([, p]) => p.key === key)?.[0].focus();
}

/** @param {number} series @param {string} [key] */
function pin(series, key) {
  if (key) current = key;
  const there = choice.pins.includes(series);
  change({ pins: there ? choice.pins.filter((k) => k !== series) : [...choice.pins, series] });
}

/** @param {string} key */
function sortBy(key) {
  const again = choice.sort === key;
  change({ sort: key, down: again ? !choice.down : key !== "name" });
}

/** What has the focus, in words that outlive a drawing. */
function focused() {
  const there = /** @type {HTMLElement | null} */ (document.activeElement);
  for (const name of ["key", "pin", "sort", "cell"]) {
    const value = there?.getAttribute(`data-${name}`);
    if (value) return `#${there?.closest("section")?.id} [data-${name}="${CSS.escape(value)}"]`;
  }
  return there && at("pins").contains(there) ? "#explore-table [data-pin]" : "";
}

/** @param {string} where */
function refocus(where) {
  const there = /** @type {any} */ (where && document.querySelector(where));
  if (there && there !== document.activeElement) there.focus({ preventScroll: true });
}

async function copy() {
  const text = csv(choice);
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = make("textarea", {}, text);
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  at("status").textContent = "Copied the table as CSV.";
}

function begin() {
  for (const hidden of document.querySelectorAll(".explorer, .to-explorer")) hidden.removeAttribute("hidden");
  makeBoxes();
  at("controls").addEventListener("change", () => change(chosen(choice)));
  at("controls").addEventListener("submit", (/** @type {Event} */ event) => event.preventDefault());
  at("reset").addEventListener("click", () => change(atFirst()));
  at("copy").addEventListener("click", copy);
  beginPictures();
  globalThis.addEventListener("hashchange", () => {
    if (!sections.test(location.hash)) return;
    section = sections.exec(location.hash)?.[1] ?? section;
    if (location.hash.includes("?")) choice = read(location.hash);
    else keep(); // a link to the section: what was chosen stays
    show();
  });
  let width = chart.clientWidth;
  globalThis.addEventListener("resize", () => {
    if (chart.clientWidth !== width) show();
    width = chart.clientWidth;
  });
  show();
  if (sections.test(location.hash)) document.getElementById(section)?.scrollIntoView();
}

begin();

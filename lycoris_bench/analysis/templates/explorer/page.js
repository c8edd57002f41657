/** Puts it together: a choice is drawn, kept in the address, and changed by what the reader does. */

/** The section that the address names; null where it names none. @returns {HTMLElement | null} */
function addressed() {
  const id = /^#([\w-]+)/.exec(location.hash)?.[1];
  return document.querySelector(`section[id="${CSS.escape(id ?? "")}"]`);
}

/** @type {Choice} */
let choice = read(addressed() ? location.hash : "");
/** What of the address could not be done, until the reader chooses. */
let lost = lacking(addressed() ? location.hash : "");
/** The one that the reader is in, as far as it is known. */
let section = addressed()?.id ?? "explore";

const chart = at("chart");
const readChart = pointing(chart, { say: (/** @type {Point} */ p) => card(choice, p), pin });

/** What is drawn once it comes into sight, and again when the choice changes. */
const views = [
  { at: at("over"), draw: showTraining, is: held.epochs.length > 1 },
  { at: at("effects"), draw: showEffects, is: held.effects.views.length > 0 },
  { at: at("agreement"), draw: showAgreement, is: held.agreement.length > 1 },
].filter((view) => view.at && view.is);
/** Frames in sight, and those that show an earlier choice. @type {Set<any>} */
const inSight = new Set();
/** @type {Set<any>} */
const stale = new Set();

function drawViews() {
  const focus = focused();
  for (const view of views) {
    if (inSight.has(view.at) && view.at.clientWidth && stale.delete(view.at)) view.draw(choice);
  }
  refocus(focus);
}

/** @param {Partial<Choice>} change @param {string} [where] the section it was made in */
function change(change, where = "explore") {
  choice = { ...choice, ...change };
  lost = "";
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
  const drawn = drawChart(choice, Math.max(chart.clientWidth, 280));
  readChart([drawn.svg], drawn.marks);
  writeNames(drawn.svg, choice, drawn.now, drawn.front, drawn.many);
  showPins(choice, drawn.now, pin);
  const rows = showTable(choice, { sort: sortBy, pin });
  showMade(choice);
  const where = held.categories[choice.category];
  at("title").textContent = held.epochs.length ? `${where}, epoch ${held.epochs[choice.epoch]}` : where;
  at("legend").textContent = [lost, legend(drawn)].filter(Boolean).join(" ");
  at("status").textContent = `${drawn.now.length} points, ${rows} rows`;
  showPictures(choice);
  for (const view of views) stale.add(view.at);
  drawViews();
  refocus(focus);
}

/** @param {{now: Point[], front: Point[]}} drawn */
function legend(drawn) {
  if (!drawn.now.length) return "No configuration has both numbers here. Choose another category, metric or epoch, or take a filter off.";
  const said = ["Bars are standard errors over seeds and classes.", "Outlined and joined by a line: the Pareto front, which no other point beats in both."];
  if (choice.paths) said.push("Along a path over epochs dots grow.");
  if (drawn.now.some((/** @type {Point} */ p) => held.series[p.series].number !== null)) said.push("Numbers are those of the table of configurations.");
  if (standing(choice, "base", choice.x) !== null) said.push("✕ is the base model.");
  if (choice.seeds && choice.scale === "value") said.push("Single seeds are drawn by score only.");
  return said.join(" ");
}

/** @param {number} series @param {string} where */
function pinIn(series, where) {
  const there = choice.pins.includes(series);
  change({ pins: there ? choice.pins.filter((k) => k !== series) : [...choice.pins, series] }, where);
}

/** @param {number} series */
function pin(series) {
  pinIn(series, "explore");
}

/** @param {string} key */
function sortBy(key) {
  const again = choice.sort === key;
  change({ sort: key, down: again ? !choice.down : key !== "name" });
}

/** What has the focus, in words that outlive a drawing. */
function focused() {
  const there = /** @type {HTMLElement | null} */ (document.activeElement);
  for (const name of ["key", "pin", "sort", "cell", "axis"]) {
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
  makeColumns((view, on) => change({ columns: on ? [...choice.columns, view] : choice.columns.filter((one) => one !== view) }));
  for (const heading of document.querySelectorAll("section > h2")) {
    heading.after(make("p", { class: "up" }, make("a", { href: "#contents" }, "contents")));
  }
  at("controls").addEventListener("change", () => change(chosen(choice)));
  at("controls").addEventListener("submit", (/** @type {Event} */ event) => event.preventDefault());
  at("reset").addEventListener("click", () => change(atFirst()));
  at("copy").addEventListener("click", copy);
  beginPictures();
  beginClaims();
  const watch = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) inSight[isIntersecting ? "add" : "delete"](target);
    drawViews();
  }, { rootMargin: "300px" });
  for (const view of views) {
    view.at.hidden = false;
    watch.observe(view.at);
    // what it shows with the choice of the reader is folded, not gone
    for (const figures of view.at.closest("section").querySelectorAll("details[open]")) figures.open = false;
  }
  globalThis.addEventListener("hashchange", () => {
    const there = addressed();
    section = there?.id ?? section;
    const says = there && location.hash.includes("?");
    if (says) [choice, lost] = [read(location.hash), lacking(location.hash)];
    else keep(); // a link to the section: what was chosen stays
    if (says || there) show();
    if (there) arrive();
  });
  let width = chart.clientWidth;
  globalThis.addEventListener("resize", () => {
    if (chart.clientWidth !== width) show();
    width = chart.clientWidth;
  });
  show();
  if (addressed()) arrive();
  globalThis.addEventListener("load", () => addressed() && arrive()); // figures have their heights now
}

/** Goes to the section of the address, and stays with it while what is above it grows, until the
 * reader does something. */
function arrive() {
  const there = addressed();
  there?.scrollIntoView({ behavior: "instant" });
  leave();
  const grown = new ResizeObserver(() => there?.scrollIntoView({ behavior: "instant" }));
  grown.observe(document.body);
  staying = grown;
}

/** @type {ResizeObserver | null} */
let staying = null;

function leave() {
  staying?.disconnect();
}

for (const act of ["wheel", "touchstart", "pointerdown", "keydown"]) globalThis.addEventListener(act, leave, { capture: true, passive: true });

begin();

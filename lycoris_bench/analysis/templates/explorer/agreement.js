/** Agreement: how like the chosen criterion each other view orders the checkpoints. */

/** Pearson's r of two views; null where there is none. @param {number} a @param {number} b @returns {number | null} */
function correlation(a, b) {
  const [low, high] = a < b ? [a, b] : [b, a];
  const n = held.agreement[low]?.[high - low - 1] ?? null;
  return n === null ? null : n / 100;
}

/** @param {Choice} choice */
function showAgreement(choice) {
  const rows = held.views
    .flatMap((/** @type {View} */ view, /** @type {number} */ place) => {
      const r = place === choice.y ? null : correlation(choice.y, place);
      return r === null ? [] : [{ place, view, r }];
    })
    .sort((/** @type {any} */ a, /** @type {any} */ b) => b.r - a.r);
  const { title, prompt_type } = held.views[choice.y];
  const body = rows.map((/** @type {any} */ { place, view, r }) => {
    const bar = make("td", { class: "r" }, make("span", {}, r.toFixed(2).replace("-", "−")));
    bar.style.setProperty("--r", String(Math.abs(r)));
    bar.style.setProperty("--from", String(r < 0 ? 0.5 - Math.abs(r) / 2 : 0.5));
    bar.classList.toggle("conflict", r < 0);
    const button = make("button", { type: "button", class: "pin", "aria-pressed": String(place === choice.x), "data-axis": place, title: "Draw it to the right under Explore", onclick: () => change({ x: place }, "agreement") }, kindOf(view));
    return make("tr", { class: place === choice.x ? "pinned" : null }, make("th", { scope: "row" }, button, make("small", {}, ` ${seenThrough(view)}`)), bar);
  });
  const table = make("table", {},
    make("thead", {}, make("tr", {}, make("th", { scope: "col" }, `against ${title}, ${prompt_type} prompts`, make("small", {}, seenThrough(held.views[choice.y]))), make("th", { scope: "col" }, "r, from −1 to 1"))),
    make("tbody", {}, ...body));
  const how = rows.length ? ["Click one, and ", make("a", { href: "#explore" }, "Explore"), " draws the two against each other."] : ["Nothing else was scored on the same checkpoints and concepts."];
  at("agreement").replaceChildren(
    make("div", { class: "scroll agreeing", tabindex: 0, role: "region", "aria-label": "Agreement with the chosen criterion" }, table),
    make("p", { class: "soft" }, "Of the criterion that Explore draws upwards, over all categories, the most alike first. ", ...how));
}

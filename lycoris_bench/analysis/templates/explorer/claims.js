/** The pairs of checkpoints that a claim is judged by, opened under its row. */

const MOST_PAIRS = 60;

/** (from, to, seed, epoch, change) of each pair that a claim has a change of. @param {string} id */
function changesOf(id) {
  const { contrast, change } = held.claims[id];
  return held.contrasts[contrast].flatMap((/** @type {any[]} */ row, /** @type {number} */ k) => (change[k] === null ? [] : [[...row, change[k]]]));
}

/** @param {string} id */
function pairsOf(id) {
  const rows = changesOf(id);
  const total = rows.length;
  const sorted = [...rows].sort((a, b) => b[4] - a[4]);
  const shown = total <= MOST_PAIRS ? sorted : [...sorted.slice(0, MOST_PAIRS / 2), ...sorted.slice(-MOST_PAIRS / 2)];
  const lines = shown.map(([low, high, seed, epoch, change]) => make("tr", {},
    make("td", {}, nameOf(low), ...atEpoch(low === high ? epoch - 1 : epoch)),
    make("td", {}, nameOf(high), ...atEpoch(epoch)),
    make("td", {}, seed === null ? "" : String(held.seeds[seed])),
    make("td", { class: "number" }, signed(change / 1000))));
  const up = rows.filter((/** @type {number[]} */ row) => row[4] > 0).length;
  const cutOff = total > MOST_PAIRS ? ` The ${MOST_PAIRS / 2} largest and ${MOST_PAIRS / 2} smallest of ${total}.` : "";
  return make("div", { class: "scroll pairs-of", tabindex: 0, role: "region", "aria-label": "Pairs of the claim" },
    make("p", { class: "soft" }, `Each pair of configurations is compared at each seed and epoch that both have: the score rises in ${up} of ${total} pairs of checkpoints.${held.claims[id].some ? " Changes are means over the classes that the paper says it of." : ""}${cutOff}`),
    make("table", { class: "compact" },
      make("thead", {}, make("tr", {}, ...["from", "to", "seed", "change of the score"].map((text) => make("th", { scope: "col" }, text)))),
      make("tbody", {}, ...lines)));
}

/** @param {number | null} epoch */
const atEpoch = (epoch) => (epoch === null ? [] : [make("small", {}, ` epoch ${held.epochs[epoch]}`)]);

/** Gives each claim that has pairs a button that opens them. */
function beginClaims() {
  for (const row of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("#claims tr[data-claim]"))) {
    const id = row.dataset.claim ?? "";
    if (!held.claims[id]) continue;
    const button = make("button", { type: "button", class: "open-pairs", "aria-expanded": "false" }, "show pairs");
    button.addEventListener("click", () => {
      const open = button.getAttribute("aria-expanded") === "true";
      button.setAttribute("aria-expanded", String(!open));
      button.textContent = open ? "show pairs" : "hide pairs";
      if (open) row.nextElementSibling?.remove();
      else row.after(make("tr", { class: "opened" }, make("td", { colspan: row.children.length }, pairsOf(id))));
    });
    row.children[3].append(make("br"), button); // under how many pairs there are
  }
}

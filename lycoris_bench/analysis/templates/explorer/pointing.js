/**
 * What a pointer and a keyboard do on the marks of plots: read one, go on to the next, pin it.
 *
 * @typedef {{key: string, series: number}} Marked what a mark stands for
 */

/** A `render` of a plot's marks that keeps each with what it stands for.
 * @template {Marked} P
 * @param {P[]} points of the mark @param {[SVGElement, P][]} kept */
const collect = (points, kept) => (/** @type {any[]} */ ...given) => {
  const group = given[5](...given.slice(0, 5));
  for (const mark of group.children) kept.push([mark, points[mark.__data__]]);
  return group;
};

/** Leaves a plot's axes and texts as they are, and takes the names off its other parts that the
 * library gives them ("x-grid", "rule"). @param {any} svg */
function quiet(svg) {
  svg.setAttribute("role", "group");
  for (const part of svg.querySelectorAll("g[aria-label]")) {
    part.removeAttribute("aria-label");
    if (!part.querySelector(".point, [aria-label]")) part.setAttribute("aria-hidden", "true");
  }
  return svg;
}

/**
 * Plots in one frame. One of their marks is in the order of tabs; arrows go on from it.
 * @template {Marked} P
 * @param {any} frame @param {{say: (p: P) => any[], pin: (series: number) => void}} act
 */
function pointing(frame, act) {
  const tip = make("div", { class: "tip", hidden: "", "aria-hidden": "true" });
  /** @type {[SVGElement, P][]} */
  let marks = [];
  let current = "";

  const watch = new IntersectionObserver(([seen]) => {
    if (!seen.isIntersecting) tip.hidden = true;
  });
  if (frame) watch.observe(frame); // a page may lack its section

  /** @param {P} p @param {SVGElement} mark */
  function read(p, mark) {
    tip.replaceChildren(...act.say(p));
    tip.hidden = false;
    const [box, around] = [mark.getBoundingClientRect(), frame.getBoundingClientRect()];
    const x = box.left + box.width / 2 - around.left;
    const left = x > around.width / 2 ? x - tip.offsetWidth - 16 : x + 16;
    tip.style.left = `${Math.max(0, Math.min(left, around.width - tip.offsetWidth))}px`;
    const below = box.bottom - around.top + 10;
    const fits = below + tip.offsetHeight < around.height;
    tip.style.top = `${fits ? below : Math.max(0, box.top - around.top - tip.offsetHeight - 10)}px`;
  }

  /** @param {P} p */
  function pin(p) {
    current = p.key;
    act.pin(p.series);
  }

  /** Arrows go to the next mark to the left, right, above or below; Enter and space pin it.
   * @param {KeyboardEvent} event @param {P} p */
  function press(event, p) {
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      pin(p);
    } else if (event.key === "Escape") {
      tip.hidden = true;
    } else if (event.key.startsWith("Arrow")) {
      event.preventDefault();
      const across = event.key === "ArrowLeft" || event.key === "ArrowRight";
      const way = event.key === "ArrowLeft" || event.key === "ArrowUp" ? -1 : 1;
      const order = marks
        .map(([mark, q]) => {
          const box = mark.getBoundingClientRect();
          return { q, at: across ? box.left + box.width / 2 : box.top + box.height / 2 };
        })
        .sort((a, b) => a.at - b.at);
      const next = order[order.findIndex(({ q }) => q.key === p.key) + way];
      if (next) focusOn(next.q.key);
    }
  }

  /** @param {string} key */
  function focusOn(key) {
    current = key;
    for (const [mark, p] of marks) mark.setAttribute("tabindex", p.key === key ? "0" : "-1");
    marks.find(([, p]) => p.key === key)?.[0].focus();
  }

  /** Puts plots into the frame, whose marks are these.
   * @param {any[]} plots @param {[SVGElement, P][]} made */
  return function show(plots, made) {
    frame.replaceChildren(...plots, tip);
    tip.hidden = true;
    marks = made;
    if (!marks.some(([, p]) => p.key === current)) current = marks[marks.length - 1]?.[1].key ?? "";
    for (const [mark, p] of marks) {
      mark.setAttribute("role", "button");
      mark.setAttribute("tabindex", p.key === current ? "0" : "-1");
      mark.setAttribute("aria-pressed", String(choice.pins.includes(p.series)));
      mark.setAttribute("data-key", p.key);
      mark.setAttribute("class", "point");
      mark.addEventListener("pointerenter", () => read(p, mark));
      mark.addEventListener("pointerleave", () => (tip.hidden = true));
      mark.addEventListener("focus", () => read(p, mark));
      mark.addEventListener("blur", () => (tip.hidden = true));
      mark.addEventListener("click", () => pin(p));
      mark.addEventListener("keydown", (event) => press(/** @type {KeyboardEvent} */ (event), p));
    }
  };
}

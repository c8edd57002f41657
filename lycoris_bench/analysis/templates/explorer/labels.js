/** Names beside points, as many as have room: pinned ones first, then the front, then the rest. */

/**
 * @param {any} svg the plot @param {Choice} choice @param {Point[]} now @param {Point[]} front
 * @param {boolean} many whether points have numbers, so that not all need a name
 */
function writeNames(svg, choice, now, front, many) {
  const [sx, sy] = ["x", "y"].map((axis) => svg.scale(axis).apply);
  const pinned = now.filter((p) => choice.pins.includes(p.series));
  const wanted = [...new Set([...pinned, ...front, ...(many ? [] : now)])];
  const width = Number(svg.getAttribute("width"));
  /** @type {number[][]} */
  const taken = now.map((p) => [sx(p.x) - 9, sy(p.y) - 9, sx(p.x) + 9, sy(p.y) + 9]);
  const group = document.createElementNS("http://www.w3.org/2000/svg", "g");
  group.setAttribute("aria-hidden", "true");
  group.setAttribute("class", "names");
  svg.append(group);
  for (const p of wanted) {
    const text = document.createElementNS("http://www.w3.org/2000/svg", "text");
    text.textContent = cut(held.series[p.series].name, width < 500 ? 16 : 26);
    group.append(text);
    const long = text.getComputedTextLength();
    const [x, y] = [sx(p.x), sy(p.y)];
    const spots = [[x + 13, y - 8], [x - 13 - long, y - 8], [x - long / 2, y - 29], [x - long / 2, y + 13]];
    const free = spots
      .map(([left, top]) => [left, top, left + long, top + 15])
      .find((box) => box[0] > 30 && box[2] < width - 4 && box[1] > 14 && !taken.some((other) => meet(box, other)));
    if (!free) {
      text.remove();
      continue;
    }
    taken.push(free);
    text.setAttribute("x", String(free[0]));
    text.setAttribute("y", String(free[1] + 12));
  }
}

/** Whether two boxes overlap. @param {number[]} a @param {number[]} b */
const meet = (a, b) => a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3];

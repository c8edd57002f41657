/** Puts the pictures together: the choice of the page, what is chosen of pictures, and the keys. */

/** @type {{rows: Row[], columns: Column[]}} */
let shownPictures = { rows: [], columns: [] };
let keepLater = 0;

/** @param {Choice} choice */
function showPictures(choice) {
  if (!pictured.size) return;
  const concepts = conceptsOf(choice);
  const sets = setsOf(choice);
  const kinds = sets.map((set) => album.sets[set].kind);
  const kind = kinds.includes(choice.kind) ? choice.kind : "";
  const run = trainings.includes(Number(choice.run)) ? choice.run : "";
  const now = { ...choice, kind, run };
  fill(at("concept"), concepts.map((k) => [album.concepts[k].name, album.concepts[k].name]), album.concepts[conceptOf(now) ?? 0]?.name ?? "");
  fill(at("kind"), [["", "one of each type"], ...kinds.map((one) => /** @type {[string, string]} */ ([one, one]))], kind);
  const epochs = epochsOf(now);
  fill(at("when"), held.epochs.map((/** @type {number} */ e, /** @type {number} */ k) => [k, k === last ? `${e}, the last` : String(e), { disabled: !epochs.includes(k) }]), now.epoch);
  fill(at("run"), trainings.map((one, k) => [k ? one : "", String(one)]), run === String(trainings[0]) ? "" : run);
  shownPictures = showGrid(now, { pin: (series) => pinIn(series, "pictures"), look, press: pressPicture });
  showCloser(now, shownPictures.rows, shownPictures.columns);
  const there = shownPictures.rows.some((row) => shownPictures.columns.some((c) => isThere(row, c)));
  const none = there ? "" : `Of ${held.categories[choice.category]}, with these filters, no pictures were kept. `;
  at("pictures-status").textContent = !none && epochs.includes(now.epoch) ? bareRows() : none || noneAt(epochs, now.epoch);
}

/** What a row without pictures means, where there are some. */
function bareRows() {
  const bare = shownPictures.rows.filter((row) => !shownPictures.columns.some((c) => isThere(row, c)));
  if (!bare.length) return "";
  return `${bare.length} of the ${shownPictures.rows.length} rows ${bare.length > 1 ? "have" : "has"} no picture (–): of this concept and epoch none was kept.`;
}

/** @param {number[]} epochs that have pictures @param {number} asked */
const noneAt = (epochs, asked) =>
  `No pictures of epoch ${held.epochs[asked]} were kept: ${epochs.length ? `there are some of epoch ${epochs.map((k) => held.epochs[k]).join(", ")}.` : "there are none of any epoch."}`;

/** Chooses a picture; the one that is chosen turns to its other side. The address follows when the
 * reader rests, as browsers count its changes. @param {Row} row @param {Column} c */
function look(row, c) {
  const found = chosenPicture(choice, shownPictures.rows, shownPictures.columns);
  if (found && found.row === row && columnName(found.c) === columnName(c)) {
    flip();
    return;
  }
  choice = { ...choice, row: row.name, column: columnName(c) };
  section = "pictures";
  clearTimeout(keepLater);
  keepLater = setTimeout(keep, 300);
  showCloser(choice, shownPictures.rows, shownPictures.columns);
}

/** @param {KeyboardEvent} event */
function pressPicture(event) {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const found = chosenPicture(choice, shownPictures.rows, shownPictures.columns);
  if (!found) return;
  const { key } = event;
  if (key.startsWith("Arrow")) {
    const next = nextPicture(shownPictures, found.row, found.c, key);
    if (next) look(next.row, next.c);
    focusOnPicture();
  } else if (key === "PageUp" || key === "PageDown") {
    const way = key === "PageUp" ? -1 : 1;
    const there = epochsWith(choice, found.row, found.c).filter((k) => way * (k - choice.epoch) > 0);
    if (there.length) {
      change({ epoch: way > 0 ? there[0] : there[there.length - 1], row: found.row.name, column: columnName(found.c) }, "pictures");
    } else {
      at("pictures-status").textContent = `This picture was kept of no ${way > 0 ? "later" : "earlier"} epoch.`;
    }
    focusOnPicture();
  } else if (key === "b" || key === "B") {
    if (!at("blink").disabled) blink(!blinking);
  } else if (key === "c" || key === "C") {
    change({ against: found.row.name === BASE ? BASE : `as ${found.row.name}` }, "pictures");
    at("pictures-status").textContent = `Others are held against ${cut(rowLabel(found.row), 60)} now.`;
  } else if (key === "Escape") {
    blink(false);
  } else return;
  event.preventDefault();
}

function focusOnPicture() {
  const cell = at("grid").querySelector('.cell[tabindex="0"]');
  cell?.focus({ preventScroll: true });
  cell?.scrollIntoView({ block: "nearest", inline: "nearest" });
}

/** Fills the section, or says in one sentence why there is nothing in it. */
function beginPictures() {
  at("pictures").hidden = !pictured.size;
  at("pictures-none").hidden = pictured.size > 0;
  if (!pictured.size) {
    at("pictures-none").textContent = "No pictures came with this page: its run folder keeps none (run with --keep-images sample keeps some of each checkpoint).";
    return;
  }
  at("pictures-controls").addEventListener("change", () => change({
    concept: at("concept").value, kind: at("kind").value, run: at("run").value, epoch: Number(at("when").value),
  }, "pictures"));
  at("pictures-controls").addEventListener("submit", (/** @type {Event} */ event) => event.preventDefault());
  at("against").addEventListener("change", () => change({ against: at("against").value }, "pictures"));
  at("flip").addEventListener("click", () => flip());
  at("blink").addEventListener("click", () => blink(!blinking));
  at("pictures").addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    if (event.key === "Escape") blink(false);
  });
}

/** How the numbers of the table were made, view by view. */

/** @param {Choice} choice */
function showMade(choice) {
  const { weights, drawn, scored, views: of } = held.made;
  const rows = columnsOf(choice).map((place) => {
    const view = held.views[place];
    const { images, mark, of: many } = of[place];
    const through = view.encoder ? `through ${view.encoder}${weights[view.encoder] ? ` (${weights[view.encoder]})` : ""}, images resized by ${view.resize}` : "without an encoder";
    const others = many > 1 ? `, one of ${many}, as each concept has its own` : "";
    return [make("dt", {}, kindOf(view)), make("dd", {}, `${through}; over ${images}; fingerprint `, make("code", {}, mark), others)];
  });
  const common = [["images drawn with", drawn.join("; ")], ["scored on", scored]]
    .filter(([, text]) => text)
    .map(([term, text]) => [make("dt", {}, term), make("dd", {}, text)]);
  at("made").replaceChildren(...rows.flat(), ...common.flat());
}

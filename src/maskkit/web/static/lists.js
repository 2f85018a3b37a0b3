// Lists of counts and faces: the content of the canvas as text, also for screen readers.

import { percent, words } from "./threshold.js";

const FIRST_FACES = 8; // more make the page long
const REASONS = { too_small: "face too small", low_probability: "low probability", not_a_face: "unlike a face" };

function make(tag, className, text = "") {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

function swatch(color, uncertain) {
  const element = make("span", uncertain ? "swatch open" : "swatch");
  element.style.setProperty("--of", color);
  element.setAttribute("aria-hidden", "true");
  return element;
}

export function showCounts(list, photo, colorOf) {
  const items = Object.entries(photo.summary).map(([decision, count]) => {
    const item = document.createElement("li");
    item.append(swatch(colorOf(decision), decision === "uncertain"), make("b", "", count), words(decision));
    return item;
  });
  if (items.length === 0) items.push(make("li", "", "No face found"));
  list.replaceChildren(...items);
}

// The button below the list, which shows that the list is cut.
export function showMore(button, n_faces, expanded) {
  button.hidden = n_faces <= FIRST_FACES;
  button.textContent = expanded ? `Show the ${FIRST_FACES} largest faces only` : `Show all ${n_faces} faces`;
  button.setAttribute("aria-expanded", String(expanded));
}

// Rows are reused, so that the focus stays where it is while the camera runs.
export function showFaces(list, photo, { colorOf, chosen, choose, expanded }) {
  while (list.children.length > photo.faces.length) list.lastChild.remove();
  while (list.children.length < photo.faces.length) {
    const index = list.children.length;
    const item = document.createElement("li");
    const button = make("button", "");
    button.type = "button";
    button.addEventListener("click", () => choose(index));
    item.append(button);
    list.append(item);
  }
  photo.faces.forEach((face, index) => {
    list.children[index].hidden = !expanded && index >= FIRST_FACES;
    const button = list.children[index].firstChild;
    const reasons = face.reasons.map((reason) => REASONS[reason] ?? words(reason)).join(", ");
    const label = face.reasons.length ? `most likely ${words(face.label)}, ${reasons}; ` : "";
    button.setAttribute("aria-pressed", String(index === chosen));
    button.replaceChildren(
      make("span", "number", index + 1),
      swatch(colorOf(face.decision), face.reasons.length > 0),
      make("span", "decision", words(face.decision)),
      make("span", "percent", percent(face.probability)),
      make("span", "why", `${label}${face.size_px} px`),
    );
  });
}

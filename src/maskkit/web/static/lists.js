// Counts and faces in words: what the canvas shows, for those who do not see it.

import { percent, words } from "./decide.js";

const WHY = { too_small: "too small to tell", low_probability: "not sure enough" };

function make(tag, className, text = "") {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

function swatch(colour, uncertain) {
  const element = make("span", uncertain ? "swatch open" : "swatch");
  element.style.setProperty("--of", colour);
  element.setAttribute("aria-hidden", "true");
  return element;
}

export function showCounts(list, photo, colourOf) {
  const items = Object.entries(photo.summary).map(([decision, count]) => {
    const item = document.createElement("li");
    item.append(swatch(colourOf(decision), decision === "uncertain"), make("b", "", count), words(decision));
    return item;
  });
  if (items.length === 0) items.push(make("li", "", "No face was found"));
  list.replaceChildren(...items);
}

// Rows are kept and filled anew, so that the focus stays where it is while the camera runs.
export function showFaces(list, photo, { colourOf, chosen, choose }) {
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
    const button = list.children[index].firstChild;
    const why = face.reasons.map((reason) => WHY[reason] ?? words(reason)).join(", ");
    const likeliest = face.reasons.length ? `rather ${words(face.label)}, ${why}` : "";
    button.setAttribute("aria-pressed", String(index === chosen));
    button.replaceChildren(
      make("span", "number", index + 1),
      swatch(colourOf(face.decision), face.reasons.length > 0),
      make("span", "decision", words(face.decision)),
      make("span", "percent", percent(face.probability)),
      make("span", "why", `${likeliest}${likeliest ? "; " : ""}${face.size_px} px`),
    );
  });
}

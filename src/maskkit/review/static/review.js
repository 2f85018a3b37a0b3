// The page of a review: filters, the grid, the single view, answers and undo.

const PAGE = 60; // faces in the document at once
const LONG_PRESS_MS = 450;
const REASONS = { all: "All", suspect: "Suspect labels", mistake: "Mistakes", uncertain: "Uncertain", other: "Others" };
const $ = (id) => document.getElementById(id);

let faces = [];
let choices = [];
let answers = new Map(); // index of the face -> answer
let saved = new Map(); // those that are in the file
let list = []; // indices of the faces that the filters show, as they were when a filter was chosen
let cursor = 0; // place in the list
let anchor = 0; // place where a range began
let reason = "all";
let status = "open";
let selected = new Set();
let selecting = false; // whether a tap selects
let single = false;
const undos = []; // each a list of [index, earlier answer or null]
let pictures = new AbortController(); // of the pictures that are being loaded
let shownPage = -1;
let sending = Promise.resolve();
let waiting = null; // answers that the next request sends, by index of the face

// ---- requests

const KEY = "maskkit-review-token";
if (location.hash.length > 1) {
  sessionStorage.setItem(KEY, location.hash.slice(1));
  history.replaceState(null, "", location.pathname); // the token stays out of sight
}

export async function request(path, body, signal) {
  const headers = { Authorization: `Bearer ${sessionStorage.getItem(KEY)}` };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const options = { headers, signal, method: body === undefined ? "GET" : "POST", body: body && JSON.stringify(body) };
  let response;
  try {
    response = await fetch(path, options);
  } catch (failure) {
    if (failure.name === "AbortError") throw failure;
    throw new Error("The server cannot be reached. Check that maskkit review is running.");
  }
  if (response.status === 401) throw new Error("Open the whole address that maskkit review printed in the terminal; it is new at each start.");
  if (response.ok) return response;
  const told = await response.json().catch(() => null);
  throw new Error(told?.error?.message ?? `The server returned an error (status ${response.status}).`);
}

export function showError(error) {
  if (error?.name === "AbortError") return;
  $("error").textContent = error ? error.message : "";
  $("error").hidden = !error;
}

async function showPicture(image, path, signal) {
  try {
    const file = await (await request(path, undefined, signal)).blob();
    if (signal.aborted) return;
    image.src = URL.createObjectURL(file);
    image.addEventListener("load", () => URL.revokeObjectURL(image.src), { once: true });
  } catch (error) {
    if (error.name !== "AbortError") image.alt = error.message;
  }
}

async function synchronize() {
  reset(parse(await (await request("v1/answers")).json()));
}

const parse = (known) => new Map(Object.entries(known).map(([index, answer]) => [Number(index), answer]));

// ---- display

function make(tag, className, text = "") {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

const words = (label) => label.replaceAll("_", " ");
const colorOf = (answer) => choices.find((choice) => choice.answer === answer)?.color ?? "#5F6368";
const isShown = (index, of) => of === "all" || faces[index].reason === of;

function filter() {
  const fits = (index) => status === "all" || answers.has(index) === (status === "answered");
  list = faces.map((_, index) => index).filter((index) => isShown(index, reason) && fits(index));
  cursor = anchor = 0;
  selected.clear();
  shownPage = -1;
  render();
}

function render() {
  const total = faces.length;
  $("progress").max = Math.max(1, total);
  $("progress").value = answers.size;
  $("progress-text").textContent = `${answers.size.toLocaleString("en")} of ${total.toLocaleString("en")} faces answered`;
  for (const chip of $("reasons").children) {
    const of = chip.dataset.reason;
    const left = faces.filter((_, index) => isShown(index, of) && !answers.has(index)).length;
    chip.textContent = `${REASONS[of]} ${left.toLocaleString("en")}`;
    chip.setAttribute("aria-pressed", String(of === reason));
  }
  $("grid-view").hidden = single;
  $("single-view").hidden = !single;
  $("filters").hidden = single;
  $("select").hidden = $("select-all").hidden = single;
  $("select").setAttribute("aria-pressed", String(selecting));
  $("undo").disabled = undos.length === 0;
  for (const button of $("choices").children) button.disabled = list.length === 0;
  $("target").textContent = selected.size && !single ? `${selected.size} selected` : list.length ? `Face ${cursor + 1} of ${list.length}` : "";
  $("nothing").hidden = list.length > 0;
  $("nothing").textContent = status === "open" ? "No face is left here. Choose another filter." : "No face is shown by these filters.";
  if (single) renderSingle();
  else renderGrid();
}

function renderGrid() {
  const page = Math.floor(cursor / PAGE);
  const shown = list.slice(page * PAGE, (page + 1) * PAGE);
  if (page !== shownPage) {
    pictures.abort();
    pictures = new AbortController();
    $("grid").replaceChildren(...shown.map((index, place) => makeTile(index, page * PAGE + place)));
    shownPage = page;
  }
  const pages = Math.ceil(list.length / PAGE);
  $("page-text").textContent = pages ? `Page ${page + 1} of ${pages}` : "";
  $("previous").disabled = page === 0;
  $("next").disabled = page + 1 >= pages;
  [...$("grid").children].forEach((item, place) => {
    const tile = item.firstChild;
    const answer = answers.get(shown[place]);
    const isCursor = page * PAGE + place === cursor;
    tile.classList.toggle("cursor", isCursor);
    tile.classList.toggle("answered", answer !== undefined);
    tile.tabIndex = isCursor ? 0 : -1;
    tile.setAttribute("aria-pressed", String(selected.has(shown[place])));
    const given = tile.querySelector(".given");
    given.hidden = answer === undefined;
    given.textContent = words(answer ?? "");
    given.style.setProperty("--of", colorOf(answer));
  });
}

function makeTile(index, place) {
  const item = document.createElement("li");
  const tile = make("button", "tile");
  tile.type = "button";
  tile.dataset.index = index;
  const image = document.createElement("img");
  image.alt = "";
  tile.append(image, make("span", "given"), make("span", "why", words(faces[index].text)));
  showPicture(image, `v1/faces/${index}/thumbnail`, pictures.signal);
  listen(tile, index, place);
  item.append(tile);
  return item;
}

function renderSingle() {
  const index = list[cursor];
  if (index === undefined) return;
  const face = faces[index];
  if ($("picture").dataset.index !== String(index)) {
    pictures.abort();
    pictures = new AbortController();
    shownPage = -1;
    $("picture").dataset.index = index;
    $("picture").alt = `Face ${cursor + 1}`;
    showPicture($("picture"), `v1/faces/${index}/picture`, pictures.signal);
  }
  $("single-text").textContent = words(face.text);
  $("single-name").textContent = face.name;
  $("single-answer").textContent = answers.has(index) ? `Answered: ${words(answers.get(index))}` : "Not answered";
}

// ---- moving and selecting

function move(to, { range = false } = {}) {
  if (to < 0 || to >= list.length) return render();
  cursor = to;
  if (range) {
    selected = new Set(list.slice(Math.min(anchor, to), Math.max(anchor, to) + 1));
  } else {
    anchor = to;
    if (!selecting) selected.clear();
  }
  render();
  const tile = $("grid").children[cursor % PAGE]?.firstChild;
  if (!single) tile?.focus();
}

function toggle(place) {
  const index = list[place];
  if (!selected.delete(index)) selected.add(index);
  cursor = anchor = place;
  render();
}

function setSelecting(on) {
  selecting = on;
  if (!on) selected.clear();
  render();
}

function openSingle(place) {
  cursor = anchor = place;
  selected.clear();
  single = true;
  $("picture").dataset.index = "";
  render();
}

function closeSingle() {
  single = false;
  shownPage = -1;
  render();
  $("grid").children[cursor % PAGE]?.firstChild.focus();
}

function listen(tile, index, place) {
  let timer = 0;
  let pressed = false;
  const cancel = () => clearTimeout(timer);
  tile.addEventListener("pointerdown", (event) => {
    pressed = false;
    if (event.pointerType !== "touch") return;
    timer = setTimeout(() => {
      pressed = true;
      selecting = true;
      toggle(place);
    }, LONG_PRESS_MS);
  });
  for (const kind of ["pointerup", "pointercancel", "pointerleave"]) tile.addEventListener(kind, cancel);
  tile.addEventListener("contextmenu", (event) => event.preventDefault());
  tile.addEventListener("click", (event) => {
    if (pressed) return; // the end of a long press
    if (selecting || event.ctrlKey || event.metaKey) toggle(place);
    else if (event.pointerType === "touch") openSingle(place);
    else move(place, { range: event.shiftKey });
  });
  tile.addEventListener("dblclick", () => !selecting && openSingle(place));
}

// ---- answers

function give(answer) {
  const targets = selected.size && !single ? list.filter((index) => selected.has(index)) : list.slice(cursor, cursor + 1);
  if (!targets.length) return;
  undos.push(targets.map((index) => [index, answers.get(index) ?? null]));
  save(targets.map((index) => [index, answer]));
  const last = list.indexOf(targets.at(-1));
  $("status-text").textContent = `${targets.length} answered ${words(answer)}.`;
  selected.clear();
  selecting = false;
  move(Math.min(last + 1, list.length - 1));
}

function undo() {
  const earlier = undos.pop();
  if (!earlier) return;
  save(earlier);
  $("status-text").textContent = "Undone.";
  const place = list.indexOf(earlier[0][0]);
  if (place >= 0) move(place);
  else render();
}

// Requests are sent one after the other, so that an answer and its undo arrive in order. What is answered meanwhile is
// sent together.
function save(given) {
  apply(given, answers);
  if (waiting === null) {
    waiting = new Map();
    sending = sending.then(send);
  }
  given.forEach(([index, answer]) => waiting.set(index, answer));
}

async function send() {
  const given = [...waiting];
  waiting = null;
  try {
    await request("v1/answers", { answers: Object.fromEntries(given) });
    apply(given, saved);
    showError(null);
  } catch (error) {
    reset(saved);
    showError(error);
  }
}

function apply(given, known) {
  for (const [index, answer] of given) {
    if (answer === null) known.delete(index);
    else known.set(index, answer);
  }
}

// Shows the answers that are saved, and those that will be sent.
function reset(known) {
  saved = known;
  answers = new Map(saved);
  apply(waiting ?? [], answers);
  render();
}

// ---- controls

const columns = () => Math.max(1, [...$("grid").children].findIndex((item) => item.offsetTop > $("grid").firstChild.offsetTop));

function onKey(event) {
  if (event.target.matches("select, input, textarea, summary") || document.querySelector("dialog[open]")) return;
  const key = event.key.toLowerCase();
  const command = event.ctrlKey || event.metaKey;
  const steps = { arrowleft: -1, arrowright: 1, arrowup: single ? -1 : -columns(), arrowdown: single ? 1 : columns() };
  const onTile = event.target.matches("body, .tile");
  const choice = choices.find((one) => key && (one.digit === key || one.letter === key));
  if (command && key === "z") undo();
  else if (command && key === "a" && !single) $("select-all").click();
  else if (command || event.altKey) return;
  else if (key in steps) move(cursor + steps[key], { range: event.shiftKey && !single });
  else if (choice) give(choice.answer);
  else if (key === "u") undo();
  else if (key === " " && onTile && !single && list.length) toggle(cursor);
  else if (key === "enter" && onTile) single ? closeSingle() : list.length && openSingle(cursor);
  else if (key === "escape") single ? closeSingle() : setSelecting(false);
  else if (key === "pagedown") $("next").click();
  else if (key === "pageup") $("previous").click();
  else return;
  event.preventDefault();
}

function turn(by) {
  move(Math.max(0, (Math.floor(cursor / PAGE) + by) * PAGE));
  scrollTo({ top: 0 });
}

function build() {
  for (const of of Object.keys(REASONS)) {
    if (of !== "all" && !faces.some((face) => face.reason === of)) continue;
    const chip = make("button", "");
    chip.type = "button";
    chip.dataset.reason = of;
    chip.addEventListener("click", () => {
      reason = of;
      filter();
    });
    $("reasons").append(chip);
  }
  for (const choice of choices) {
    const button = make("button", "", choice.answer === "skipped" ? "skip" : words(choice.answer));
    button.type = "button";
    button.style.setProperty("--of", choice.color);
    const keys = [choice.digit, choice.letter].filter(Boolean);
    if (keys.length) button.append(make("kbd", "", keys.join(" ")));
    button.addEventListener("click", () => give(choice.answer));
    $("choices").append(button);
  }
  const keys = [
    ...choices.map((choice) => [[choice.digit, choice.letter].filter(Boolean).join(" or "), words(choice.answer)]),
    ["← → ↑ ↓", "go to another face"],
    ["Shift + arrows", "select several faces"],
    ["Space", "select this face, or not"],
    ["Ctrl + A", "select all faces of the page"],
    ["Enter", "show one face, or all again"],
    ["Esc", "end a selection, or show all faces"],
    ["u, Ctrl + Z", "undo"],
    ["Page up, Page down", "other page"],
  ];
  $("keys").append(...keys.flatMap(([key, text]) => {
    const term = document.createElement("dt");
    term.append(make("kbd", "", key));
    return [term, make("dd", "", text)];
  }));
}

$("status").addEventListener("change", () => {
  status = $("status").value;
  filter();
});
$("previous").addEventListener("click", () => turn(-1));
$("next").addEventListener("click", () => turn(1));
$("before").addEventListener("click", () => move(cursor - 1));
$("after").addEventListener("click", () => move(cursor + 1));
$("close").addEventListener("click", closeSingle);
$("select").addEventListener("click", () => setSelecting(!selecting));
$("select-all").addEventListener("click", () => {
  const page = Math.floor(cursor / PAGE);
  selected = new Set(list.slice(page * PAGE, (page + 1) * PAGE));
  render();
});
$("undo").addEventListener("click", undo);
document.addEventListener("keydown", onKey);
document.addEventListener("keyup", (event) => {
  if (event.key === " " && event.target.matches(".tile")) event.preventDefault(); // Firefox would click the tile
});
// Another window may have given answers meanwhile.
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && faces.length) sending = sending.then(synchronize).catch(showError);
});

// ---- teaching

let polling = 0;

async function showTeaching(body) {
  clearTimeout(polling);
  const told = await (await request("v1/teaching", body)).json();
  const running = told.state === "running";
  $("teach-counts").textContent = `${count(told.trained)} to train on. ${count(told.held_out)} held out.`;
  $("teach-missing").hidden = told.missing.length === 0 || running;
  $("teach-missing").replaceChildren(...told.missing.map((text) => make("li", "", words(text))));
  $("teach-error").hidden = told.state !== "failed";
  $("teach-error").textContent = told.error ?? "";
  $("teach-running").hidden = !running;
  $("teach-start").hidden = running;
  $("teach-start").disabled = told.missing.length > 0;
  $("teach-stop").hidden = !running;
  $("teach-result").hidden = told.state !== "done";
  if (running) {
    $("teach-step").textContent = told.epochs ? `${told.step}: epoch ${told.epoch} of ${told.epochs}` : told.step;
    if (told.epochs) [$("teach-progress").max, $("teach-progress").value] = [told.epochs, told.epoch];
    else $("teach-progress").removeAttribute("value");
    polling = setTimeout(() => showTeaching().catch(showTeachError), 700);
  }
  if (told.state === "done") showFigures(told);
}

function showTeachError(error) {
  $("teach-error").textContent = error.message;
  $("teach-error").hidden = false;
}

function count(labels) {
  const total = Object.values(labels).reduce((sum, n) => sum + n, 0);
  const parts = Object.entries(labels).map(([label, n]) => `${n} ${words(label)}`);
  return `${total} ${total === 1 ? "face" : "faces"}${parts.length ? ` (${parts.join(", ")})` : ""}`;
}

function showFigures(told) {
  const cell = (figure) => {
    const element = make("td", "", figure ? figure.value.toFixed(3) : "–");
    if (figure) element.append(make("small", "", `[${figure.low.toFixed(3)}, ${figure.high.toFixed(3)}]`));
    return element;
  };
  $("teach-figures").replaceChildren(...told.figures.map(({ name, before, after }) => {
    const row = document.createElement("tr");
    const head = make("th", "", words(name));
    head.scope = "row";
    row.append(head, make("td", "", after?.n ?? before?.n ?? 0), cell(before), cell(after));
    return row;
  }));
  const photos = told.n_photos === null ? ", with 95 % intervals" : ` of ${told.n_photos} photos, with 95 % intervals over photos`;
  const notes = [
    `${told.n_faces} held-out faces${photos}.`,
    "Difficult faces are answered first, so these figures are no estimate for all faces.",
    told.note && `Before: ${told.note}`,
  ];
  $("teach-notes").textContent = notes.filter(Boolean).join(" ");
  $("teach-folder").textContent = `Saved: ${told.folder}`;
}

const teach = (body) => showTeaching(body).catch(showTeachError);
$("teach-open").addEventListener("click", () => {
  $("teach").showModal();
  sending.then(() => teach());
});
$("teach-start").addEventListener("click", () => teach({ run: true }));
$("teach-stop").addEventListener("click", () => teach({ run: false }));
$("teach-close").addEventListener("click", () => $("teach").close());
$("teach").addEventListener("close", () => clearTimeout(polling));

async function start() {
  const told = await (await request("v1/faces")).json();
  ({ faces, choices } = told);
  saved = parse(told.answers);
  answers = new Map(saved);
  build();
  document.querySelector("main").hidden = $("bar").hidden = $("teach-open").hidden = false;
  document.title = `${told.labels} – maskkit review`;
  filter();
  document.body.dataset.state = "ready";
}

start().catch((error) => {
  $("progress-text").textContent = "";
  document.body.dataset.state = "error";
  showError(error);
});

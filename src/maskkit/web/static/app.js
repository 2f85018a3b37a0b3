// The page: its state, its requests, and its controls.

import { requestFaces, requestModel, useToken } from "./api.js";
import { Camera } from "./camera.js";
import { applyThreshold, countFaces, describe, percent } from "./threshold.js";
import { draw } from "./draw.js";
import { showCounts, showFaces, showMore } from "./lists.js";

const TRIES = 6;
const CAMERA = "camera"; // name of its images
const ANNOUNCE_EVERY_MS = 4000; // a screen reader cannot keep up with a camera
const $ = (id) => document.getElementById(id);

const camera = new Camera();
let model = null;
let shown = null; // { picture, photo }: the bitmap and the server's result
let chosen = null;
let threshold = 0; // not that of the slider, which rounds
let expanded = false; // whether the list shows all faces
let pending = null; // AbortController of the image that is being analyzed
let lastAnnounced = 0;

// ---- display

function setState(state, text = "") {
  document.body.dataset.state = state;
  $("veil").hidden = !["loading", "busy"].includes(state);
  $("veil-text").textContent = text;
  $("error").hidden = state !== "error";
  $("error").textContent = state === "error" ? text : "";
  $("invitation").hidden = shown !== null || !$("veil").hidden;
  $("canvas").hidden = shown === null;
  $("save").hidden = !shown?.picture || camera.running;
  $("camera").textContent = camera.running ? "Stop camera" : "Use camera";
  $("camera").setAttribute("aria-pressed", String(camera.running));
  if (["loading", "busy"].includes(state)) announce(text);
  if (["error", "empty", "token"].includes(state)) $("status").textContent = "";
}

function announce(text) {
  if ($("status").textContent !== text) $("status").textContent = text;
}

function colorOf(decision) {
  const known = [...(model?.classes ?? []), model?.uncertain].find((one) => one?.label === decision);
  return known?.color ?? "#5F6368";
}

function setThreshold(value) {
  threshold = value;
  $("threshold").value = value;
}

function render() {
  const value = model ? percent(threshold) : "–";
  $("threshold-value").textContent = value;
  $("threshold").setAttribute("aria-valuetext", value);
  $("nothing").hidden = shown !== null;
  if (shown === null) return clear();
  const photo = applyThreshold(shown.photo, threshold);
  fit(photo);
  $("canvas").setAttribute("aria-label", `Image ${photo.source}. ${describe(photo)}`);
  $("result-title").textContent = photo.faces.length ? countFaces(photo) : "Faces";
  showCounts($("counts"), photo, colorOf);
  showFaces($("faces"), photo, { colorOf, chosen, choose, expanded });
  showMore($("more"), photo.faces.length, expanded);
  $("json-request").textContent = model && threshold === model.threshold ? "POST /v1/faces" : `POST /v1/faces?threshold=${threshold}`;
  // Boxes and landmarks stay on one line each.
  $("json").textContent = JSON.stringify({ photos: [photo] }, null, 2).replace(/\[\s+([-\d.,\s]+?)\s+\]/g, (_, numbers) => `[${numbers.replace(/\s+/g, " ")}]`);
  $("copy").disabled = false;
  if (!camera.running || Date.now() - lastAnnounced > ANNOUNCE_EVERY_MS) {
    lastAnnounced = Date.now();
    announce(shown.picture ? describe(photo) : `${describe(photo)} This browser cannot show the image, so the boxes are on gray.`);
  }
}

function clear() {
  $("counts").replaceChildren();
  $("faces").replaceChildren();
  $("json").textContent = "null";
  $("copy").disabled = true;
}

function fit(photo) {
  const [width, height] = photo.size;
  const available = { width: $("frame").clientWidth, height: Math.max(260, window.innerHeight * 0.72) };
  const scale = Math.min(available.width / width, available.height / height, 4);
  const canvas = $("canvas");
  canvas.style.width = `${width * scale}px`;
  canvas.style.height = `${height * scale}px`;
  const density = scale * window.devicePixelRatio;
  drawOn(canvas, photo, { width: width * density, height: height * density, unit: 13 * window.devicePixelRatio, chosen });
}

function drawOn(canvas, photo, size) {
  draw(canvas, shown.picture, photo, { blur: $("blur").checked, colorOf, ...size });
}

function choose(index) {
  chosen = chosen === index ? null : index;
  render();
}

// ---- requests

async function loadModel() {
  try {
    model = await requestModel();
  } catch (error) {
    if (error.status === 401) return requestToken();
    return setState("error", error.message);
  }
  setThreshold(model.threshold);
  $("model").textContent = `Model: ${model.model}, detector: ${model.detector}.`;
  if (!$("token-form").hidden) {
    $("token-form").hidden = true;
    setState("empty");
    $("file").focus();
  }
  render();
}

function requestToken() {
  const again = !$("token-form").hidden;
  $("token-form").hidden = false;
  setState(again ? "error" : "token", again ? "This token is wrong." : "");
  $("token").focus();
}

async function requestWithRetries(file, name, signal) {
  for (let tries = 1; ; tries += 1) {
    try {
      return await requestFaces(file, name, signal);
    } catch (error) {
      if (error.status !== 503 || tries === TRIES) throw error;
      for (let left = error.retryAfter; left > 0; left -= 1) {
        setState("busy", `The server is busy. Retrying in ${left} s …`);
        await pause(1000, signal);
      }
      setState("loading", "Retrying …");
    }
  }
}

function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    }, { once: true });
  });
}

async function analyze(file, name) {
  stopCamera();
  pending?.abort();
  const current = (pending = new AbortController());
  const problem = await findProblem(file, name);
  if (current.signal.aborted) return;
  if (problem) return showError(new Error(problem));
  if (model && file.size > model.limits.image_bytes) {
    return showError(new Error(`${name} has ${megabytes(file.size)} MB; the limit is ${megabytes(model.limits.image_bytes)} MB.`));
  }
  setState("loading", "Detecting faces …");
  $("frame").scrollIntoView({ block: "nearest" });
  try {
    const photo = await requestWithRetries(file, name, current.signal);
    const picture = await decode(file, photo);
    if (current.signal.aborted) return;
    show(picture, photo);
  } catch (error) {
    if (!current.signal.aborted) showError(error);
  }
}

// Returns what is wrong with a file that the browser cannot send, or "".
async function findProblem(file, name) {
  if (file.size === 0) return `${name} is empty. Choose another file.`;
  const readable = await file.slice(0, 1).arrayBuffer().then(() => true, () => false);
  return readable ? "" : `${name} cannot be read. If it is a folder, choose a file in it.`;
}

// Returns the picture as the browser shows it, or null if it cannot, or turns it otherwise than the server.
async function decode(file, photo) {
  const picture = await createImageBitmap(file).catch(() => null);
  const fits = picture && picture.width === photo.size[0] && picture.height === photo.size[1];
  if (picture && !fits) picture.close();
  return fits ? picture : null;
}

function megabytes(n_bytes) {
  return (n_bytes / 1e6).toLocaleString("en", { maximumFractionDigits: 1 });
}

function show(picture, photo) {
  shown?.picture?.close();
  shown = { picture, photo };
  if (!camera.running) [chosen, expanded] = [null, false];
  setState(photo.faces.length ? "ready" : "none");
  render();
}

function showError(error) {
  stopCamera();
  if (error.status === 401) return requestToken();
  // The last result stays. Its name keeps it from being taken for the new one.
  const source = shown?.photo.source === CAMERA ? "the last one of the camera" : shown?.photo.source;
  setState("error", shown ? `${error.message} The image shown is still ${source}.` : error.message);
}

// ---- camera

async function runCamera() {
  pending?.abort();
  const current = (pending = new AbortController());
  lastAnnounced = 0;
  setState("loading", "Starting the camera …");
  try {
    await camera.start();
    setState("loading", "Detecting faces …");
    while (camera.running && !current.signal.aborted) {
      if (document.hidden) {
        await pause(300, current.signal);
        continue;
      }
      const { picture, file } = await camera.still();
      const photo = await requestWithRetries(file, CAMERA, current.signal);
      if (current.signal.aborted) return;
      show(picture, photo);
      await new Promise(requestAnimationFrame);
    }
  } catch (error) {
    if (!current.signal.aborted) showError(error);
  }
}

function stopCamera() {
  if (!camera.running) return;
  camera.stop();
  pending?.abort();
  setState(shown === null ? "empty" : "ready");
  render();
}

// ---- controls

function open(files) {
  const file = [...files].find((one) => one.type.startsWith("image/")) ?? files[0];
  if (file) analyze(file, file.name || "pasted image");
}

$("file").addEventListener("change", () => {
  open($("file").files);
  $("file").value = ""; // so that the same file can be selected again
});
$("camera").addEventListener("click", () => (camera.running ? stopCamera() : runCamera()));
document.addEventListener("paste", (event) => {
  if (event.clipboardData.files.length) open(event.clipboardData.files);
});
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    document.body.classList.toggle("dropping", kind === "dragover");
    if (kind === "drop") open(event.dataTransfer.files);
  });
}
$("threshold").addEventListener("input", () => {
  setThreshold(Math.round($("threshold").value * 100) / 100);
  render();
});
$("more").addEventListener("click", () => {
  expanded = !expanded;
  render();
});
$("threshold-reset").addEventListener("click", () => {
  setThreshold(model?.threshold ?? 0);
  render();
});
$("blur").addEventListener("change", render);
$("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  useToken($("token").value.trim());
  loadModel();
});
$("copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText($("json").textContent);
    announce("JSON copied.");
  } catch {
    getSelection().selectAllChildren($("json"));
    announce("The browser blocked copying. The JSON is selected: press Ctrl+C.");
  }
});
$("save").addEventListener("click", async () => {
  const photo = applyThreshold(shown.photo, threshold);
  const [width, height] = photo.size;
  const canvas = new OffscreenCanvas(width, height);
  drawOn(canvas, photo, { width, height, unit: Math.max(10, Math.max(width, height) / 50), chosen: null });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await canvas.convertToBlob({ type: "image/png" }));
  link.download = `${photo.source.replace(/\.\w+$/, "")}-maskkit.png`;
  link.click();
  URL.revokeObjectURL(link.href);
  announce("Image saved.");
});
window.addEventListener("resize", () => shown && fit(applyThreshold(shown.photo, threshold)));

setState("empty");
render();
loadModel();

// The page: what the user does, what the server says, and what is seen.

import { askFaces, askModel, useToken } from "./api.js";
import { Camera } from "./camera.js";
import { decide, inWords, percent } from "./decide.js";
import { draw } from "./draw.js";
import { showCounts, showFaces } from "./lists.js";

const TRIES = 6;
const SPEAK_EVERY_MS = 4000; // a screen reader cannot follow a camera
const $ = (id) => document.getElementById(id);

const camera = new Camera();
let model = null;
let shown = null; // { picture, photo }: the bitmap and the server's answer
let chosen = null;
let pending = null; // AbortController of the picture that is being looked at
let lastSpoken = 0;

// ---- what is seen

function setState(state, text = "") {
  document.body.dataset.state = state;
  $("veil").hidden = !["loading", "busy"].includes(state);
  $("veil-text").textContent = text;
  $("error").hidden = state !== "error";
  $("error").textContent = state === "error" ? text : "";
  $("invitation").hidden = shown !== null || !$("veil").hidden;
  $("canvas").hidden = shown === null;
  $("save").hidden = shown === null || camera.running;
  $("camera").textContent = camera.running ? "Stop the camera" : "Use the camera";
  $("camera").setAttribute("aria-pressed", String(camera.running));
  if (["loading", "busy"].includes(state)) speak(text);
  if (["error", "empty", "token"].includes(state)) $("status").textContent = "";
}

function speak(text) {
  if ($("status").textContent !== text) $("status").textContent = text;
}

function colourOf(decision) {
  const known = [...(model?.classes ?? []), model?.uncertain].find((one) => one?.label === decision);
  return known?.colour ?? "#5F6368";
}

function threshold() {
  return Number($("threshold").value);
}

function render() {
  const value = model ? percent(threshold()) : "–";
  $("threshold-value").textContent = value;
  $("threshold").setAttribute("aria-valuetext", value);
  $("nothing").hidden = shown !== null;
  if (shown === null) return clear();
  const photo = decide(shown.photo, threshold());
  fit(photo);
  $("canvas").setAttribute("aria-label", `Picture ${photo.source}. ${inWords(photo)}`);
  showCounts($("counts"), photo, colourOf);
  showFaces($("faces"), photo, { colourOf, chosen, choose });
  // Boxes and points stay on their lines.
  $("json").textContent = JSON.stringify(photo, null, 2).replace(/\[\s+([-\d.,\s]+?)\s+\]/g, (_, numbers) => `[${numbers.replace(/\s+/g, " ")}]`);
  $("copy").disabled = false;
  if (!camera.running || Date.now() - lastSpoken > SPEAK_EVERY_MS) {
    lastSpoken = Date.now();
    speak(inWords(photo));
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
  const room = { width: $("frame").clientWidth, height: Math.max(260, window.innerHeight * 0.72) };
  const scale = Math.min(room.width / width, room.height / height, 4);
  const canvas = $("canvas");
  canvas.style.width = `${width * scale}px`;
  canvas.style.height = `${height * scale}px`;
  const dense = scale * window.devicePixelRatio;
  drawOn(canvas, photo, { width: width * dense, height: height * dense, unit: 13 * window.devicePixelRatio, chosen });
}

function drawOn(canvas, photo, size) {
  draw(canvas, shown.picture, photo, { blur: $("blur").checked, colourOf, ...size });
}

function choose(index) {
  chosen = chosen === index ? null : index;
  render();
}

// ---- what the server is asked

async function meetModel() {
  try {
    model = await askModel();
  } catch (refusal) {
    if (refusal.status === 401) return askForToken();
    return setState("error", refusal.message);
  }
  $("threshold").value = model.threshold;
  $("model").textContent = `Model: ${model.model}, detector: ${model.detector}.`;
  if (!$("token-form").hidden) {
    $("token-form").hidden = true;
    setState("empty");
    $("file").focus();
  }
  render();
}

function askForToken() {
  const again = !$("token-form").hidden;
  $("token-form").hidden = false;
  setState(again ? "error" : "token", again ? "That is not the token." : "");
  $("token").focus();
}

async function askPatiently(file, name, signal) {
  for (let tries = 1; ; tries += 1) {
    try {
      return await askFaces(file, name, signal);
    } catch (refusal) {
      if (refusal.status !== 503 || tries === TRIES) throw refusal;
      for (let left = refusal.retryAfter; left > 0; left -= 1) {
        setState("busy", `The server is busy. Trying again in ${left} s …`);
        await pause(1000, signal);
      }
      setState("loading", "Looking again …");
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

async function look(file, name) {
  stopCamera();
  pending?.abort();
  const mine = (pending = new AbortController());
  if (model && file.size > model.limits.image_bytes) {
    return fail(new Error(`${name} has ${mega(file.size)} MB; the server takes ${mega(model.limits.image_bytes)} MB.`));
  }
  setState("loading", "Looking …");
  $("frame").scrollIntoView({ block: "nearest" });
  try {
    const photo = await askPatiently(file, name, mine.signal);
    const picture = await createImageBitmap(file).catch(() => null); // the browser may not know the format
    if (mine.signal.aborted) return;
    show(picture, photo);
  } catch (failure) {
    if (!mine.signal.aborted) fail(failure);
  }
}

function mega(n_bytes) {
  return (n_bytes / 1e6).toLocaleString("en", { maximumFractionDigits: 1 });
}

function show(picture, photo) {
  shown?.picture?.close();
  shown = { picture, photo };
  if (!camera.running) chosen = null;
  setState(photo.faces.length ? "ready" : "none");
  render();
}

function fail(failure) {
  stopCamera();
  shown = null; // or the old picture would be taken for the new one
  render();
  if (failure.status === 401) return askForToken();
  setState("error", failure.message);
}

// ---- the camera

async function runCamera() {
  pending?.abort();
  const mine = (pending = new AbortController());
  lastSpoken = 0;
  setState("loading", "Starting the camera …");
  try {
    await camera.start();
    setState("loading", "Looking …");
    while (camera.running && !mine.signal.aborted) {
      if (document.hidden) {
        await pause(300, mine.signal);
        continue;
      }
      const { picture, file } = await camera.still();
      const photo = await askPatiently(file, "camera", mine.signal);
      if (mine.signal.aborted) return;
      show(picture, photo);
      await new Promise(requestAnimationFrame);
    }
  } catch (failure) {
    if (!mine.signal.aborted) fail(failure);
  }
}

function stopCamera() {
  if (!camera.running) return;
  camera.stop();
  pending?.abort();
  setState(shown === null ? "empty" : "ready");
  render();
}

// ---- what the user does

function take(files) {
  const file = [...files].find((one) => one.type.startsWith("image/")) ?? files[0];
  if (file) look(file, file.name || "pasted picture");
}

$("file").addEventListener("change", () => {
  take($("file").files);
  $("file").value = ""; // so that the same file can be chosen again
});
$("camera").addEventListener("click", () => (camera.running ? stopCamera() : runCamera()));
document.addEventListener("paste", (event) => {
  if (event.clipboardData.files.length) take(event.clipboardData.files);
});
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    document.body.classList.toggle("dropping", kind === "dragover");
    if (kind === "drop") take(event.dataTransfer.files);
  });
}
$("threshold").addEventListener("input", render);
$("threshold-reset").addEventListener("click", () => {
  $("threshold").value = model?.threshold ?? 0;
  render();
});
$("blur").addEventListener("change", render);
$("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  useToken($("token").value.trim());
  meetModel();
});
$("copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText($("json").textContent);
    speak("JSON copied.");
  } catch {
    getSelection().selectAllChildren($("json"));
    speak("The browser does not let the page copy; the JSON is selected, press Ctrl+C.");
  }
});
$("save").addEventListener("click", async () => {
  const photo = decide(shown.photo, threshold());
  const [width, height] = photo.size;
  const canvas = new OffscreenCanvas(width, height);
  drawOn(canvas, photo, { width, height, unit: Math.max(10, Math.max(width, height) / 50), chosen: null });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await canvas.convertToBlob({ type: "image/png" }));
  link.download = `${photo.source.replace(/\.\w+$/, "")}-maskkit.png`;
  link.click();
  URL.revokeObjectURL(link.href);
  speak("Picture saved.");
});
window.addEventListener("resize", () => shown && fit(decide(shown.photo, threshold())));

setState("empty");
render();
meetModel();

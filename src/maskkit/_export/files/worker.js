// Reads pictures and runs the bundle, so that the page stays responsive.

import { Bundle, fromRgba } from "./bundle.js";

const FOLDER = new URL(".", import.meta.url);
const ORT_FILES = ["ort/ort.wasm.bundle.min.mjs", "ort/ort-wasm-simd-threaded.wasm"];

let loading = null; // promise of the bundle

async function load() {
  const answers = await Promise.all(ORT_FILES.map((file) => fetch(new URL(file, FOLDER), { method: "HEAD" })));
  const missing = ORT_FILES.filter((_, index) => !answers[index].ok);
  if (missing.length) throw new Error(`This folder lacks ${missing.join(" and ")}. README.md shows the two commands that put onnxruntime-web there.`);
  const ort = await import(new URL(ORT_FILES[0], FOLDER).href);
  ort.env.wasm.numThreads = 1; // more need a server that isolates the page
  return Bundle.load(FOLDER, ort);
}

// Returns the picture upright, on white, and with the stored colors, as Pillow reads it.
async function read(file, name) {
  const picture = await createImageBitmap(file, { colorSpaceConversion: "none" }).catch(() => null);
  if (!picture) throw new Error(`${name} cannot be read as an image. Choose a JPEG, PNG or WebP file.`);
  const { width, height } = picture;
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.fillStyle = "#ffffff";
  context.fillRect(0, 0, width, height);
  context.drawImage(picture, 0, 0);
  picture.close();
  return fromRgba(context.getImageData(0, 0, width, height));
}

async function predict(bundle, file, name) {
  const image = await read(file, name);
  const faces = (await bundle.predictFaces(image)).map((face, index) => ({ face: index + 1, ...face }));
  const status = faces.length ? "ok" : "no_face";
  return { source: name, size: [image.width, image.height], status, faces, model: bundle.spec.model };
}

self.onmessage = async ({ data: { id, file, name } }) => {
  try {
    loading ??= load();
    const bundle = await loading;
    postMessage({ id, result: file ? await predict(bundle, file, name) : bundle.spec });
  } catch (error) {
    postMessage({ id, error: error.message });
  }
};

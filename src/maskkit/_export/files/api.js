// What the page asks a server, answered by a worker on this machine.

// A worker from a blob has the Content-Security-Policy of the page; one from a file would have none.
const source = `import ${JSON.stringify(new URL("worker.js", import.meta.url).href)};`;
const worker = new Worker(URL.createObjectURL(new Blob([source], { type: "text/javascript" })), { type: "module" });
const waiting = new Map();

worker.onmessage = ({ data: { id, result, error } }) => {
  const { resolve, reject } = waiting.get(id);
  waiting.delete(id);
  if (error === undefined) resolve(result);
  else reject(new Error(error));
};
worker.onerror = (event) => {
  event.preventDefault();
  for (const { reject } of waiting.values()) reject(new Error(`The worker failed: ${event.message ?? "it cannot be loaded"}`));
  waiting.clear();
};

let lastId = 0;

function ask(question) {
  return new Promise((resolve, reject) => {
    lastId += 1;
    waiting.set(lastId, { resolve, reject });
    worker.postMessage({ id: lastId, ...question });
  });
}

export async function requestModel() {
  const spec = await ask({});
  return {
    model: spec.model,
    detector: spec.detector.name,
    classes: spec.classes.map((label, index) => ({ label, color: spec.colors[index] })),
    threshold: spec.uncertain_below,
    limits: { image_bytes: Infinity },
  };
}

export function requestFaces(file, name) {
  return ask({ file, name });
}

export function useToken() {}

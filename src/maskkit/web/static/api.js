// What the page asks its server.

export class Refused extends Error {
  constructor(status, message, retryAfter = 0) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

let token = "";

export function useToken(given) {
  token = given; // kept in this page's memory alone
}

async function ask(path, options = {}) {
  const headers = { ...options.headers };
  if (token) headers.Authorization = `Bearer ${token}`;
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (failure) {
    if (failure.name === "AbortError") throw failure;
    throw new Refused(0, "The server cannot be reached. Is it still running?");
  }
  const body = await response.json().catch(() => null);
  if (response.ok && body) return body;
  const message = body?.error?.message ?? `The server answers with an error (${response.status}).`;
  throw new Refused(response.status, message, Number(response.headers.get("Retry-After")) || 1);
}

export function askModel() {
  return ask("v1/model");
}

export async function askFaces(picture, name, signal) {
  const type = picture.type.startsWith("image/") ? picture.type : "application/octet-stream";
  const query = new URLSearchParams({ name: name.slice(0, 200) });
  const answer = await ask(`v1/faces?${query}`, {
    method: "POST",
    body: picture,
    headers: { "Content-Type": type },
    signal,
  });
  return answer.photos[0];
}

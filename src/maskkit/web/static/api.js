// Requests to the server.

export class ApiError extends Error {
  constructor(status, message, retryAfter = 0) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

let token = "";

export function useToken(given) {
  token = given; // kept in the memory of this page only
}

async function request(path, options = {}) {
  const headers = { ...options.headers };
  if (token) headers.Authorization = `Bearer ${token}`;
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (failure) {
    if (failure.name === "AbortError") throw failure;
    throw new ApiError(0, "The server cannot be reached. Check that it is running.");
  }
  const body = await response.json().catch(() => null);
  if (response.ok && body) return body;
  const message = body?.error?.message ?? `The server returned an error (status ${response.status}).`;
  throw new ApiError(response.status, message, Number(response.headers.get("Retry-After")) || 1);
}

export function requestModel() {
  return request("v1/model");
}

export async function requestFaces(picture, name, signal) {
  const type = picture.type.startsWith("image/") ? picture.type : "application/octet-stream";
  const query = new URLSearchParams({ name: name.slice(0, 200) });
  const result = await request(`v1/faces?${query}`, {
    method: "POST",
    body: picture,
    headers: { "Content-Type": type },
    signal,
  });
  return result.photos[0];
}

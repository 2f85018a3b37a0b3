// Decisions of another threshold, computed as the server does, so that the slider needs no request.

export function applyThreshold(photo, threshold) {
  const faces = photo.faces.map((face) => {
    const reasons = face.reasons.filter((reason) => reason !== "low_probability");
    const place = reasons[0] === "too_small" ? 1 : 0; // reasons keep the order of the server
    if (face.probability < threshold) reasons.splice(place, 0, "low_probability");
    return { ...face, decision: reasons.length ? "uncertain" : face.label, reasons };
  });
  const counts = new Map();
  for (const face of faces) counts.set(face.decision, (counts.get(face.decision) ?? 0) + 1);
  const summary = Object.fromEntries([...counts].sort((one, other) => other[1] - one[1]));
  return { ...photo, summary, faces };
}

export function percent(probability) {
  // A probability below 1 is not rounded up to 100 %.
  return probability >= 0.995 && probability < 1 ? ">99%" : `${Math.round(probability * 100)}%`;
}

export function words(label) {
  return String(label).replaceAll("_", " ");
}

export function describe(photo) {
  if (photo.faces.length === 0) return "No face found.";
  const counts = Object.entries(photo.summary).map(([decision, n]) => `${n} ${words(decision)}`);
  return `${countFaces(photo)}: ${counts.join(", ")}.`;
}

export function countFaces(photo) {
  return photo.faces.length === 1 ? "1 face" : `${photo.faces.length} faces`;
}

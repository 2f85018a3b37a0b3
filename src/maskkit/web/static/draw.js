// Draws boxes and labels over the image, as PhotoResult.draw does.

import { percent, words } from "./threshold.js";

const BLOCKS = 5; // a face of 5 x 5 blocks cannot be recognized
const MARGIN = 0.1;

// Draws at the given width and height. `unit` is the font size in pixels, so that labels are readable on a phone
// and in a saved image alike.
export function draw(canvas, picture, photo, { width, height, unit, blur, colorOf, chosen }) {
  canvas.width = Math.round(width);
  canvas.height = Math.round(height);
  const context = canvas.getContext("2d");
  const scale = canvas.width / photo.size[0];
  if (picture) {
    context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  } else {
    context.fillStyle = "#9aa0a6";
    context.fillRect(0, 0, canvas.width, canvas.height);
  }
  const boxes = photo.faces.map((face) => face.box.map((edge) => edge * scale));
  if (blur && picture) boxes.forEach((box) => blurBox(context, picture, box, scale));
  photo.faces.forEach((face, index) => {
    drawBox(context, boxes[index], colorOf(face.decision), unit, face.reasons.length > 0, index === chosen);
  });
  drawTags(context, photo.faces, boxes, { unit, colorOf, chosen });
}

function blurBox(context, picture, [left, top, right, bottom], scale) {
  const margin = MARGIN * Math.max(right - left, bottom - top);
  const x = Math.max(0, left - margin);
  const y = Math.max(0, top - margin);
  const width = Math.min(context.canvas.width, right + margin) - x;
  const height = Math.min(context.canvas.height, bottom + margin) - y;
  const blocks = new OffscreenCanvas(BLOCKS, BLOCKS);
  const small = blocks.getContext("2d");
  const ratio = picture.width / context.canvas.width;
  small.imageSmoothingQuality = "high";
  small.drawImage(picture, x * ratio, y * ratio, width * ratio, height * ratio, 0, 0, BLOCKS, BLOCKS);
  context.drawImage(blocks, x, y, width, height);
}

function drawBox(context, [left, top, right, bottom], color, unit, uncertain, chosen) {
  const line = Math.max(1.5, unit / 6) * (chosen ? 2 : 1);
  context.setLineDash(uncertain ? [unit / 2, unit / 3] : []);
  for (const [style, width] of [["#ffffff", line + 2], [color, line]]) {
    context.strokeStyle = style;
    context.lineWidth = width;
    context.strokeRect(left, top, right - left, bottom - top);
  }
  context.setLineDash([]);
}

function drawTags(context, faces, boxes, { unit, colorOf, chosen }) {
  context.font = `600 ${unit}px system-ui, sans-serif`;
  context.textBaseline = "middle";
  const taken = [];
  // The chosen face is labeled first, whatever its label covers; then come the others, from the largest.
  const order = faces.map((_, index) => index);
  if (chosen !== null && chosen < faces.length) order.sort((one, other) => (other === chosen) - (one === chosen));
  for (const index of order) {
    const face = faces[index];
    const others = [...boxes.filter((_, other) => other !== index), ...taken];
    const free = (tag) => !others.some((other) => overlap(tag, other));
    let text = `${index + 1} ${words(face.decision)} ${percent(face.probability)}`;
    let tag = corners(context, boxes[index], text, unit)[0];
    if (index !== chosen && !free(tag)) {
      // Where the label would cover another face, the number leads to the list.
      text = String(index + 1);
      const places = corners(context, boxes[index], text, unit);
      tag = places.find(free) ?? places.find((place) => !taken.some((other) => overlap(place, other))) ?? places[0];
    }
    context.fillStyle = colorOf(face.decision);
    context.fillRect(tag[0], tag[1], tag[2] - tag[0], tag[3] - tag[1]);
    context.fillStyle = "#ffffff";
    context.fillText(text, tag[0] + unit / 3, (tag[1] + tag[3]) / 2);
    taken.push(tag);
  }
}

// Returns the places of a label at a box, the best first: above its left corner, then inside its corners.
function corners(context, [boxLeft, boxTop, boxRight, boxBottom], text, unit) {
  const width = context.measureText(text).width + (2 * unit) / 3;
  const height = unit * 1.5;
  const at = (x, y) => {
    const left = Math.min(Math.max(0, x), Math.max(0, context.canvas.width - width));
    const top = Math.min(Math.max(0, y), Math.max(0, context.canvas.height - height));
    return [left, top, left + width, top + height];
  };
  return [
    at(boxLeft, boxTop >= height ? boxTop - height : Math.min(boxTop, boxBottom)),
    at(boxLeft, boxTop),
    at(boxRight - width, boxTop),
    at(boxLeft, boxBottom - height),
    at(boxRight - width, boxBottom - height),
  ];
}

function overlap(one, other) {
  return one[0] < other[2] && other[0] < one[2] && one[1] < other[3] && other[1] < one[3];
}

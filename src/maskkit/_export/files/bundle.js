// Detects and classifies faces with the files of a bundle, as maskkit_bundle.py does. Needs onnxruntime-web.
//
//   const bundle = await Bundle.load(new URL(".", location.href), ort);
//   const faces = await bundle.predictFaces(imageData);
//
// An image is { data, width, height } with three bytes per pixel, RGB; `fromRgba` makes one of ImageData.

const BUNDLE_VERSION = 1;
const BATCH_SIZE = 16; // crops that are classified together

export class Bundle {
  constructor(spec, ort, detector, classifier) {
    Object.assign(this, { spec, ort, detector, classifier });
  }

  static async load(folder, ort) {
    const response = await fetch(new URL("spec.json", folder));
    if (!response.ok) throw new Error("spec.json is missing. Copy the whole folder that 'maskkit export --bundle' wrote.");
    const spec = await response.json();
    if (spec.bundle !== BUNDLE_VERSION) throw new Error(`spec.json is of bundle version ${spec.bundle}; this page reads version ${BUNDLE_VERSION}.`);
    const open = (file) => ort.InferenceSession.create(new URL(file, folder).href, { executionProviders: ["wasm"] });
    return new Bundle(spec, ort, await open(spec.detector.file), await open(spec.file));
  }

  async predictFaces(image) {
    const found = fitToImage(await this.detect(image), image);
    const size = this.spec.input.shape[1];
    const faces = [];
    for (let start = 0; start < found.length; start += BATCH_SIZE) {
      const batch = found.slice(start, start + BATCH_SIZE);
      const pixels = new Uint8Array(batch.length * size * size * 3);
      batch.forEach(({ box }, index) => {
        const crop = resize(cropSquare(image, box, this.spec.input.crop_margin), size, size);
        pixels.set(crop.data, index * crop.data.length);
      });
      const { probabilities, distances } = await this.run(this.classifier, pixels, [batch.length, size, size, 3]);
      const n = this.spec.classes.length;
      batch.forEach((face, index) => {
        const row = [...probabilities.data.slice(index * n, (index + 1) * n)];
        faces.push(this.describe(face, row, distances?.data[index] ?? 0));
      });
    }
    return faces;
  }

  describe({ box, score, landmarks }, row, distance) {
    const spec = this.spec;
    const best = row.indexOf(Math.max(...row));
    const sizePx = Math.max(box[2] - box[0], box[3] - box[1]);
    const passed = {
      too_small: sizePx >= spec.min_size_px,
      low_probability: row[best] >= spec.uncertain_below,
      not_a_face: distance <= (spec.not_a_face?.limit ?? Infinity),
    };
    const reasons = Object.keys(passed).filter((reason) => !passed[reason]);
    return {
      box,
      detection_score: score,
      label: spec.classes[best],
      probability: row[best],
      probabilities: Object.fromEntries(spec.classes.map((label, index) => [label, row[index]])),
      decision: reasons.length ? "uncertain" : spec.classes[best],
      reasons,
      nose_and_mouth_covered: reasons.length ? null : spec.nose_and_mouth_covered?.[best] ?? null,
      size_px: sizePx,
      landmarks: landmarks.map((point) => point.map((value) => roundEven(value * 10) / 10)),
    };
  }

  async run(session, pixels, shape) {
    return session.run({ [session.inputNames[0]]: new this.ort.Tensor("uint8", pixels, shape) });
  }

  // Returns faces { box, score, landmarks, scale } in order of decreasing score.
  async detect(image) {
    const { scales, faces, tiles, merging } = this.spec.detector;
    const largePx = faces.large_face * largestFacePx(image, scales);
    const found = [];
    for (const [index, longSide] of chooseLongSides(image, scales).entries()) {
      for (const tile of cutTiles(image, longSide, tiles)) {
        found.push(...(await this.search(tile, index === 0 ? largePx : Infinity)));
      }
    }
    return mergeFaces(found, merging);
  }

  // Faces longer than `largePx` need a lower score than others.
  async search({ pixels, scale, offset }, largePx) {
    const { faces, padding, cell_px: cell, outputs } = this.spec.detector;
    const padded = pad(pixels, padding);
    const maps = await this.run(this.detector, padded.data, [1, padded.height, padded.width, 3]);
    const [heat, sizes, offsets, points] = outputs.map((name) => maps[name].data);
    const threshold = Math.fround(faces.threshold);
    const lowest = largePx < Infinity ? Math.fround(faces.threshold * faces.large_face_factor) : threshold;
    const columns = padded.width / cell;
    const found = [];
    heat.forEach((score, index) => {
      if (!(score > lowest)) return;
      const at = (map, channel) => map[channel * heat.length + index];
      // Axis 0 is y, axis 1 is x, as in the maps; results have x first.
      const axes = [Math.floor(index / columns), index % columns].map((position, axis) => {
        const size = Math.fround(Math.fround(Math.exp(at(sizes, axis))) * cell);
        return { size, start: (position + at(offsets, axis) + 0.5) * cell - size / 2 };
      });
      const place = (axis, value) => Math.fround(value / scale[1 - axis] + offset[1 - axis]);
      const corner = (axis, share) => place(axis, axes[axis].start + share * axes[axis].size);
      const box = [corner(1, 0), corner(0, 0), corner(1, 1), corner(0, 1)];
      if (score <= threshold && !(Math.max(box[2] - box[0], box[3] - box[1]) > largePx)) return;
      const landmarks = [0, 1, 2, 3, 4].map((point) => [corner(1, at(points, 2 * point + 1)), corner(0, at(points, 2 * point))]);
      found.push({ box, score, landmarks, scale: Math.max(...scale) });
    });
    return found;
  }
}

export function fromRgba({ data, width, height }) {
  const rgb = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; to < rgb.length; from += 4, to += 3) {
    rgb[to] = data[from];
    rgb[to + 1] = data[from + 1];
    rgb[to + 2] = data[from + 2];
  }
  return { data: rgb, width, height };
}

// Rounds halves to the even number, as Python does.
function roundEven(value) {
  const below = Math.floor(value);
  const rest = value - below;
  return rest < 0.5 || (rest === 0.5 && below % 2 === 0) ? below : below + 1;
}

// ---- search

function largestFacePx({ width, height }, scales) {
  return Math.min(Math.max(width, height), scales.max_face_aspect * Math.min(width, height));
}

function chooseLongSides({ width, height }, scales) {
  if (scales.long_sides_px !== "auto") return scales.long_sides_px;
  const largest = largestFacePx({ width, height }, scales);
  const limit = (scales.max_pixels / (height * width)) ** 0.5;
  const chosen = [Math.min(scales.small_px / largest, limit)];
  chosen.push(Math.min(scales.usual_px / largest, scales.max_enlargement, limit));
  const step = scales.usual_px / scales.small_px;
  while (Math.min(1, limit) > chosen.at(-1) * scales.more_detail) {
    chosen.push(Math.min(1, limit, chosen.at(-1) * step));
  }
  const sides = chosen.map((scale) => Math.max(1, roundEven(scale * Math.max(width, height))));
  return [...new Set(sides)].sort((one, other) => one - other);
}

function* cutTiles(image, longSide, tiles) {
  const { width, height } = image;
  const factor = longSide / Math.max(width, height);
  const [newWidth, newHeight] = [width, height].map((side) => Math.max(1, roundEven(side * factor)));
  const scale = [Math.fround(newWidth / width), Math.fround(newHeight / height)];
  for (const [top, bottom] of split(newHeight, tiles)) {
    for (const [left, right] of split(newWidth, tiles)) {
      const edges = [left, top, right, bottom].map((edge, index) => Math.fround(edge / scale[index % 2]));
      const box = edges.map((edge, index) => Math.min(edge, index % 2 ? height : width));
      const pixels = resize(image, right - left, bottom - top, box, tiles.reducing_gap);
      yield { pixels, scale, offset: edges.slice(0, 2) };
    }
  }
}

function split(length, { tile_px: tile, overlap_px: overlap }) {
  if (length <= tile) return [[0, length]];
  const n = Math.ceil((length - overlap) / (tile - overlap));
  return Array.from({ length: n }, (_, index) => {
    const start = roundEven((index * (length - tile)) / (n - 1));
    return [start, start + tile];
  });
}

function pad({ data, width, height }, padding) {
  const longer = Math.max(width, height);
  const isSquare = longer <= padding.square_up_to_px;
  const step = isSquare || longer > padding.double_step_up_to_px ? padding.step_px : 2 * padding.step_px;
  const [columns, rows] = (isSquare ? [longer, longer] : [width, height]).map((side) => Math.ceil(side / step) * step);
  const padded = new Uint8Array(rows * columns * 3);
  for (let row = 0; row < height; row += 1) {
    padded.set(data.subarray(row * width * 3, (row + 1) * width * 3), row * columns * 3);
  }
  return { data: padded, width: columns, height: rows };
}

function mergeFaces(found, { nms_iou: maxIou, contained: maxContained, best_px: [smallest, largest] }) {
  const area = ([left, top, right, bottom]) => (right - left) * (bottom - top);
  const trusted = found.map((face) => {
    const longer = Math.max(Math.max(face.box[2] - face.box[0], face.box[3] - face.box[1]) * face.scale, 1e-6);
    return { face, order: face.score * Math.min(1, longer / smallest, largest / longer) };
  });
  trusted.sort((one, other) => other.order - one.order);
  const kept = [];
  for (const { face } of trusted) {
    const isNew = kept.every(({ box }) => {
      const width = Math.min(box[2], face.box[2]) - Math.max(box[0], face.box[0]);
      const height = Math.min(box[3], face.box[3]) - Math.max(box[1], face.box[1]);
      const overlap = Math.max(0, width) * Math.max(0, height);
      const [first, second] = [area(box), area(face.box)];
      const iou = overlap / Math.max(first + second - overlap, 1e-6);
      return iou <= maxIou && overlap / Math.max(Math.min(first, second), 1e-6) <= maxContained;
    });
    if (isNew) kept.push(face);
  }
  return kept.sort((one, other) => other.score - one.score);
}

function fitToImage(found, { width, height }) {
  const area = ({ box }) => (box[2] - box[0]) * (box[3] - box[1]);
  const limit = (edge, index) => Math.min(Math.max(roundEven(edge), 0), index % 2 ? height : width);
  return found
    .map((face) => ({ ...face, box: face.box.map(limit) }))
    .filter(({ box }) => box[2] > box[0] && box[3] > box[1])
    .sort((one, other) => area(other) - area(one));
}

// ---- pixels

// Cuts a square around a face; outside the image, its edge is repeated.
function cropSquare(image, [left, top, right, bottom], margin) {
  const side = Math.max(1, roundEven(margin * Math.max(right - left, bottom - top)));
  const [firstColumn, firstRow] = [left + right, top + bottom].map((sum) => roundEven(sum / 2 - side / 2));
  const clip = (value, length) => Math.min(Math.max(value, 0), length - 1);
  const data = new Uint8Array(side * side * 3);
  for (let row = 0, to = 0; row < side; row += 1) {
    const start = clip(firstRow + row, image.height) * image.width;
    for (let column = 0; column < side; column += 1, to += 3) {
      const from = (start + clip(firstColumn + column, image.width)) * 3;
      data[to] = image.data[from];
      data[to + 1] = image.data[from + 1];
      data[to + 2] = image.data[from + 2];
    }
  }
  return { data, width: side, height: side };
}

// Resizes to the same bytes as Image.resize of Pillow 13 with BILINEAR: a triangle filter as wide as a new pixel, in
// fixed point, first along x, then along y, or the reverse if much more height than width is lost. `box` is the part of
// the image, in fractions of pixels. With a `reducingGap`, an image that is shrunk by more than twice that is first
// reduced by averaging.
export function resize(image, width, height, box = [0, 0, image.width, image.height], reducingGap = 0) {
  if (reducingGap) {
    const [factorX, factorY] = [(box[2] - box[0]) / width, (box[3] - box[1]) / height].map((scale) => Math.trunc(scale / reducingGap) || 1);
    if (factorX > 1 || factorY > 1) {
      const [reachX, reachY] = [(0.5 * (box[2] - box[0])) / width, (0.5 * (box[3] - box[1])) / height];
      const [left, top] = [Math.max(0, Math.trunc(box[0] - reachX)), Math.max(0, Math.trunc(box[1] - reachY))];
      const right = Math.min(image.width, Math.ceil(box[2] + reachX));
      const bottom = Math.min(image.height, Math.ceil(box[3] + reachY));
      image = reduce(image, factorX, factorY, [left, top, right, bottom]);
      box = [(box[0] - left) / factorX, (box[1] - top) / factorY, (box[2] - left) / factorX, (box[3] - top) / factorY];
    }
  }
  const [x0, y0, x1, y1] = box.map(Math.fround); // Pillow has the box in single precision
  const columns = weigh(image.width, x0, x1, width);
  const rows = weigh(image.height, y0, y1, height);
  const [lostWidth, lostHeight] = [image.width - width, image.height - height];
  if (lostHeight > Math.max(0, 2 * lostWidth)) return blendColumns(blendRows(image, rows), columns);
  // Only the rows that the box needs.
  const [first, last] = [rows[0].start, rows[height - 1].start + rows[height - 1].weights.length];
  const part = image.data.subarray(first * image.width * 3, last * image.width * 3);
  rows.forEach((row) => { row.start -= first; });
  return blendRows(blendColumns({ data: part, width: image.width, height: last - first }, columns), rows);
}

function blendColumns(image, columns) {
  const data = new Uint8Array(image.height * columns.length * 3);
  for (let row = 0, to = 0; row < image.height; row += 1) {
    for (const { start, weights } of columns) {
      const from = (row * image.width + start) * 3;
      for (let channel = 0; channel < 3; channel += 1, to += 1) data[to] = blend(image.data, from + channel, 3, weights);
    }
  }
  return { data, width: columns.length, height: image.height };
}

function blendRows(image, rows) {
  const length = image.width * 3;
  const data = new Uint8Array(rows.length * length);
  let to = 0;
  for (const { start, weights } of rows) {
    for (let x = 0; x < length; x += 1, to += 1) data[to] = blend(image.data, start * length + x, length, weights);
  }
  return { data, width: image.width, height: rows.length };
}

const BITS = 22; // of the fraction of a weight

function blend(data, from, step, weights) {
  let sum = 1 << (BITS - 1);
  for (let k = 0; k < weights.length; k += 1, from += step) sum += data[from] * weights[k];
  return sum >> BITS;
}

// Returns, for each new pixel of a side, the first old pixel that it covers and the weights of all of them.
function weigh(oldLength, from, to, newLength) {
  const scale = Math.fround(to - from) / newLength;
  const support = Math.max(scale, 1);
  return Array.from({ length: newLength }, (_, index) => {
    const center = from + (index + 0.5) * scale;
    const start = Math.max(0, Math.trunc(center - support + 0.5));
    const end = Math.min(oldLength, Math.trunc(center + support + 0.5));
    const shares = [];
    for (let pixel = start; pixel < end; pixel += 1) {
      shares.push(Math.max(0, 1 - Math.abs((pixel - center + 0.5) * (1 / support))));
    }
    const total = shares.reduce((sum, share) => sum + share, 0);
    return { start, weights: Int32Array.from(shares, (share) => Math.trunc(0.5 + (share / total) * 2 ** BITS)) };
  });
}

// Averages blocks of pixels to the same bytes as Pillow's Image.reduce; the last ones may be smaller.
function reduce(image, factorX, factorY, [left, top, right, bottom]) {
  const [width, height] = [Math.ceil((right - left) / factorX), Math.ceil((bottom - top) / factorY)];
  const data = new Uint8Array(width * height * 3);
  let to = 0;
  for (let y = top; y < bottom; y += factorY) {
    const endY = Math.min(y + factorY, bottom);
    for (let x = left; x < right; x += factorX) {
      const endX = Math.min(x + factorX, right);
      const n = (endX - x) * (endY - y);
      for (let channel = 0; channel < 3; channel += 1, to += 1) {
        let sum = n >> 1;
        for (let row = y; row < endY; row += 1) {
          const end = (row * image.width + endX) * 3;
          for (let at = (row * image.width + x) * 3 + channel; at < end; at += 3) sum += image.data[at];
        }
        data[to] = Math.floor((sum * Math.floor(2 ** 24 / n)) / 2 ** 24);
      }
    }
  }
  return { data, width, height };
}

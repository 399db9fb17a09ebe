// The forward pass of a llama2.c file, written from the description of its format and of the architecture in the plainest
// way, in double precision: what a converted file and the engine must agree with.
import { readFileSync } from 'node:fs';

export function readLlama2c(file) {
  const bytes = readFileSync(file), data = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
  const [width, ff, nLayers, nHeads, nKvHeads, nVocab] = new Int32Array(data, 0, 7);
  const floats = new Float32Array(data, 28), kvWidth = width / nHeads * nKvHeads;
  let at = 0;
  const take = (n) => Float64Array.from(floats.subarray(at, at += n));
  const layers = (n) => Array.from({ length: nLayers }, () => take(n));
  return { width, ff, nLayers, nHeads, nKvHeads, nVocab, embeddings: take(nVocab * width), attentionNorm: layers(width),
    q: layers(width * width), k: layers(kvWidth * width), v: layers(kvWidth * width), o: layers(width * width),
    ffNorm: layers(width), gate: layers(ff * width), down: layers(width * ff), up: layers(ff * width), norm: take(width) };
}

function multiply(matrix, x) {
  const n = x.length, out = new Float64Array(matrix.length / n);
  for (let i = 0, at = 0; i < out.length; i++) for (let j = 0; j < n; j++) out[i] += matrix[at++] * x[j];
  return out;
}

function normalize(x, weight) {
  const factor = 1 / Math.sqrt(x.reduce((sum, a) => sum + a * a, 0) / x.length + 1e-5);
  return x.map((a, i) => a * factor * weight[i]);
}

function turn(x, size, position) {
  for (let i = 0; i < x.length; i += 2) {
    const angle = position * 10000 ** (-(i % size) / size), [a, b] = [x[i], x[i + 1]];
    x[i] = a * Math.cos(angle) - b * Math.sin(angle);
    x[i + 1] = a * Math.sin(angle) + b * Math.cos(angle);
  }
  return x;
}

function attend(m, q, keys, values) {
  const size = m.width / m.nHeads, out = new Float64Array(m.width);
  for (let head = 0; head < m.nHeads; head++) {
    const mine = head * size, theirs = Math.floor(head / (m.nHeads / m.nKvHeads)) * size;
    const scores = keys.map((k) => {
      let sum = 0;
      for (let i = 0; i < size; i++) sum += q[mine + i] * k[theirs + i];
      return sum / Math.sqrt(size);
    });
    const top = scores.reduce((a, b) => Math.max(a, b)), shares = scores.map((s) => Math.exp(s - top));
    const total = shares.reduce((a, b) => a + b);
    for (const [j, v] of values.entries()) for (let i = 0; i < size; i++) out[mine + i] += shares[j] / total * v[theirs + i];
  }
  return out;
}

// The logits after each token.
export function* read(m, tokens) {
  const keys = Array.from({ length: m.nLayers }, () => []), values = Array.from({ length: m.nLayers }, () => []);
  for (const [position, token] of tokens.entries()) {
    let x = m.embeddings.slice(token * m.width, (token + 1) * m.width);
    const add = (y) => (x = x.map((a, i) => a + y[i]));
    for (let l = 0; l < m.nLayers; l++) {
      const size = m.width / m.nHeads, y = normalize(x, m.attentionNorm[l]);
      keys[l].push(turn(multiply(m.k[l], y), size, position));
      values[l].push(multiply(m.v[l], y));
      add(multiply(m.o[l], attend(m, turn(multiply(m.q[l], y), size, position), keys[l], values[l])));
      const z = normalize(x, m.ffNorm[l]), up = multiply(m.up[l], z);
      add(multiply(m.down[l], multiply(m.gate[l], z).map((g, i) => g / (1 + Math.exp(-g)) * up[i])));
    }
    yield multiply(m.embeddings, normalize(x, m.norm));
  }
}

export function logprob(logits, token) {
  const top = logits.reduce((a, b) => Math.max(a, b));
  return logits[token] - top - Math.log(logits.reduce((sum, l) => sum + Math.exp(l - top), 0));
}

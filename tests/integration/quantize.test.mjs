// Weight files in every format, with llama.cpp as the oracle: what `tandem quantize` writes loads there and says nearly what
// the original says; and `tandem perplexity` is the figure that llama.cpp's probabilities give by the definition.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import test, { after, before } from 'node:test';
import { getLlama, LlamaLogLevel } from 'node-llama-cpp';
import { writeModel } from './gguf.mjs';
import { random, tandem, tempDir } from './lib.mjs';

const dir = tempDir();
const sampling = { temperature: 1, topK: 0, topP: 1, minP: 0 };
let llama;
before(async () => {
  llama = await getLlama({ build: 'never', gpu: false, logLevel: LlamaLogLevel.error, maxThreads: 1 });
});
after(() => llama.dispose());

// Maps of token to probability, one after each token of each list.
async function probabilities(file, lists, cache = 'F32') {
  const model = await llama.loadModel({ modelPath: file });
  const context = await model.createContext({ contextSize: Math.max(...lists.map((l) => l.length)) + 8, batchSize: 512, threads: 1,
    flashAttention: false, experimentalKvCacheKeyType: cache, experimentalKvCacheValueType: cache });
  const sequence = context.getSequence(), out = [];
  for (const list of lists) {
    await sequence.clearHistory();
    const rows = await sequence.controlledEvaluate(list.map((token) =>
      [token, { generateNext: { probabilities: true, options: sampling } }]));
    out.push(rows.map((row) => new Map(row.next.probabilities)));
  }
  await context.dispose();
  await model.dispose();
  return out.flat();
}

// Mean over places of the sum of p log(p / q): how far q is from p.
function divergence(p, q) {
  let sum = 0;
  for (const [i, row] of p.entries()) for (const [token, x] of row) if (x > 0) sum += x * Math.log(x / q[i].get(token));
  return sum / p.length;
}

// --- quantize

// format: divergence from the original that it may have, on this model of random weights (which is harder on coarse
// formats than a trained one)
const FORMATS = { f32: 1e-5, f16: 1e-5, bf16: 2e-4, q8_0: 2e-3, q4_0: 0.15, q4_1: 0.12, q5_0: 0.04, q5_1: 0.03, q4_k_s: 0.1,
  q4_k_m: 0.1, q5_k_s: 0.03, q5_k_m: 0.03, q6_k: 0.01 };

for (const [what, options] of [
  ['rows of 256', { width: 256, layers: 2, heads: 4, kvHeads: 2, ff: 512, type: 'F32', seed: 11 }],
  ['rows of 96 and 160, tied', { width: 96, layers: 2, heads: 3, kvHeads: 1, ff: 160, type: 'F16', tied: true, vocabulary: 'spm',
    seed: 12 }]]) {
  test(`quantised files say nearly the same in llama.cpp: ${what}`, async (t) => {
    const original = path.join(dir, 'original.gguf'), file = path.join(dir, 'quantised.gguf');
    const { nVocab } = writeModel(original, options), below = random(5);
    const lists = Array.from({ length: 2 }, () => Array.from({ length: 32 }, () => 3 + below(nVocab - 6)));
    const expected = await probabilities(original, lists);
    for (const [type, most] of Object.entries(FORMATS)) {
      const done = tandem(['quantize', original, file, '--type', type, '--threads', '2']);
      assert.equal(done.status, 0, done.stderr);
      const far = divergence(expected, await probabilities(file, lists));
      t.diagnostic(`${type}: ${done.stdout.split(': ')[1].split('\n')[0]}, divergence ${far.toExponential(2)}`);
      assert.ok(far < most, `${type}: ${far}`);
    }
  });
}

test('quantize refuses in one sentence', () => {
  const file = path.join(dir, 'refused.gguf'), bad = path.join(dir, 'bad.gguf');
  writeModel(file, {});
  writeFileSync(bad, 'GGUF');
  for (const [args, sentence] of [[[file], /two operands/], [[file, bad, '--type', 'q4_k_x'], /"q4_k_x" is unknown; near: q4_k_/],
    [[bad, file], /bad\.gguf/], [[path.join(dir, 'none.gguf'), file], /none\.gguf/], [[file, dir], /is a folder/]]) {
    const done = tandem(['quantize', ...args]);
    assert.notEqual(done.status, 0);
    assert.match(done.stderr, sentence);
    assert.equal(done.stderr.trim().split('\n').length, 1, done.stderr);
  }
});

// --- perplexity

const WORDS = 'the of and a to in is you that it he was for on are as with his they I at be this have from or one had by word'.split(' ');

async function byDefinition(file, text, context, cache) {
  const model = await llama.loadModel({ modelPath: file });
  const begin = model.tokens.shouldPrependBosToken ? model.tokens.bos : null;
  const tokens = [...(begin === null ? [] : [begin]), ...model.tokenize(text, false)], chunks = [];
  await model.dispose();
  for (let i = 0; i + context <= tokens.length; i += context) {
    chunks.push(tokens.slice(i, i + context));
    if (begin !== null) chunks.at(-1)[0] = begin;
  }
  const rows = await probabilities(file, chunks, cache), losses = [];
  for (const [c, chunk] of chunks.entries())
    for (let i = context >> 1; i + 1 < context; i++) losses.push(-Math.log(rows[c * context + i].get(chunk[i + 1])));
  const mean = losses.reduce((a, b) => a + b) / losses.length;
  const variance = losses.reduce((a, b) => a + (b - mean) ** 2, 0) / losses.length;
  const value = Math.exp(mean);
  return { value, error: value * Math.sqrt(variance / (losses.length - 1)), counted: losses.length, chunks: chunks.length };
}

async function comparePerplexity(t, file, context, tolerance) {
  const textFile = path.join(dir, 'text'), below = random(8);
  const text = Array.from({ length: 400 }, () => WORDS[below(WORDS.length)]).join(' ');
  writeFileSync(textFile, `${text}\n`);
  const done = tandem(['perplexity', file, textFile, '--context', String(context), '--cache-type', 'f32']);
  assert.equal(done.status, 0, done.stderr);
  assert.match(done.stderr, /chunks, \d+\.\d+ so far/);
  const [, value, error, counted, chunks] = /^perplexity (\S+) \+\/- (\S+) \((\d+) tokens counted, (\d+) chunks of/
    .exec(done.stdout).map(Number);
  const expected = await byDefinition(file, text, context, 'F32');
  t.diagnostic(`${value} +/- ${error}; llama.cpp ${expected.value.toFixed(4)} +/- ${expected.error.toFixed(5)}`);
  assert.deepEqual([counted, chunks], [expected.counted, expected.chunks]);
  assert.ok(Math.abs(value / expected.value - 1) < tolerance);
  assert.ok(Math.abs(error / expected.error - 1) < 10 * tolerance);
}

for (const [what, options, context, tolerance] of [
  ['F32, no begin token', { type: 'F32', seed: 21 }, 32, 1e-4],
  ['F32, begin token', { type: 'F32', vocabulary: 'spm', seed: 22 }, 33, 1e-4],
  ['F16', { type: 'F16', vocabulary: 'spm', seed: 23 }, 64, 2e-3],
  ['Q8_0', { type: 'Q8_0', seed: 24 }, 64, 5e-3]])
  test(`perplexity agrees with llama.cpp's probabilities: ${what}`, async (t) => {
    const file = path.join(dir, 'perplexity.gguf');
    writeModel(file, options);
    await comparePerplexity(t, file, context, tolerance);
  });

for (const type of Object.keys(FORMATS))
  test(`perplexity agrees with llama.cpp's probabilities: quantised to ${type}`, async (t) => {
    const original = path.join(dir, 'wide.gguf'), file = path.join(dir, 'perplexity.gguf');
    writeModel(original, { width: 256, layers: 2, heads: 4, kvHeads: 2, ff: 512, type: 'F32', vocabulary: 'spm', seed: 25 });
    assert.equal(tandem(['quantize', original, file, '--type', type]).status, 0);
    await comparePerplexity(t, file, 64, 1e-2);
  });

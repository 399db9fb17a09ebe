// Every family of models that the engine runs, with random weights (tests/tools/random_model.c), against llama.cpp on the
// same files: the probabilities of all tokens after every position of a text, in single precision on both sides.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { realpathSync } from 'node:fs';
import path from 'node:path';
import test, { after, before } from 'node:test';
import { getLlama, LlamaLogLevel } from 'node-llama-cpp';
import { program, random, sanitized, tandem, tempDir } from './lib.mjs';

const POSITIONS = 300; // beyond one block of 256 keys, and many windows
const OURS_ALONE = ['llama-window']; // llama.cpp reads no window from Llama's files
// llama.cpp computes GELU from a table of 16-bit numbers. Where the gate is steep, few numbers fall into the table.
const usesTable = (recipe) => recipe.startsWith('gemma') && !recipe.endsWith('steep');
const hasTable = new Set(['bert', 'bert-last', 'bert-classes']); // the same of encoders
const stepOf = (recipe) => (recipe.endsWith('27b') ? 8 : 2); // between the prefixes that are compared

const skip = sanitized ? 'llama.cpp cannot be loaded beside a sanitizer' : false;
const dir = tempDir('families-');
const made = spawnSync(path.join(path.dirname(realpathSync(program)), 'random_model'), [dir], { encoding: 'utf8' });
assert.equal(made.status, 0, made.stderr);
const recipes = made.stdout.trim().split('\n').filter((name) => !OURS_ALONE.includes(name));

let llama;
before(async () => {
  if (!skip) llama = await getLlama({ build: 'never', gpu: false, logLevel: LlamaLogLevel.error, maxThreads: 1 });
});
after(() => llama?.dispose());

const below = random(11);
const text = Array.from({ length: POSITIONS }, () => below(317)); // no control token

function ours(file, step) {
  const prefixes = [];
  for (let n = 1; n <= POSITIONS; n += step) prefixes.push(JSON.stringify(text.slice(0, n)));
  const done = tandem(['tokens', '--model', file, '--continue', '1', '--top', '1000', '--cache-type', 'f32'],
    { input: `${prefixes.join('\n')}\n` });
  assert.equal(done.status, 0, done.stderr);
  return done.stdout.trimEnd().split('\n').map((line) => new Map(JSON.parse(line).top));
}

async function theirs(file, step) {
  const model = await llama.loadModel({ modelPath: file });
  const context = await model.createContext({ contextSize: 512, batchSize: 512, threads: 1, flashAttention: false,
    experimentalKvCacheKeyType: 'F32', experimentalKvCacheValueType: 'F32' });
  const generateNext = { probabilities: true, options: { temperature: 1, topK: 0, topP: 1, minP: 0 } };
  const wanted = (i) => i % step === 0;
  const out = await context.getSequence().controlledEvaluate(text.map((token, i) => (wanted(i) ? [token, { generateNext }] : token)));
  await context.dispose();
  await model.dispose();
  return out.filter((o, i) => wanted(i)).map((o) => o.next.probabilities);
}

const encoders = recipes.filter((name) => name.includes('bert'));
for (const recipe of encoders.filter((name) => name !== 'bert-words' && name !== 'bert-rank'))
  test(`${recipe}: vectors of texts`, { skip }, async (t) => {
    const file = path.join(dir, `${recipe}.gguf`);
    const model = await llama.loadModel({ modelPath: file, defaultContextFlashAttention: false });
    const context = await model.createEmbeddingContext({ contextSize: 512, batchSize: 512, threads: 1 });
    const lengths = [3, 4, 16, 17, 40, 64, 65, 100, 128, 129, 200, 257, 300];
    const done = tandem(['tokens', '--model', file, '--embed', '--cache-type', 'f32'],
      { input: lengths.map((n) => `${JSON.stringify(text.slice(0, n))}\n`).join('') });
    assert.equal(done.status, 0, done.stderr);
    const mine = done.stdout.trimEnd().split('\n').map((line) => JSON.parse(line));
    let difference = 0;
    for (const [i, n] of lengths.entries()) {
      const { vector } = await context.getEmbeddingFor(text.slice(0, n));
      assert.equal(vector.length, mine[i].length);
      const length = Math.hypot(...vector) / Math.hypot(...mine[i]);
      vector.forEach((x, j) => (difference = Math.max(difference, Math.abs(x - mine[i][j] * length))));
    }
    t.diagnostic(`${recipe}: largest difference of an element ${difference.toExponential(2)}`);
    assert.ok(difference < (hasTable.has(recipe) ? 2e-3 : 1e-5), `${difference}`);
    await context.dispose();
    await model.dispose();
  });

const STRINGS = ['the sea', 'The SEA.', 'unknown words', 'naïve café', 'NAÏVE', '日本語 日', 'a,b;c', '2024-05-06', '  x\t\ny  ', '',
  '[CLS] a [SEP]', 'don\'t', '🙂 face', 'e\u0301', 'ÀÉÎ', '$5 €7', 'x+y=z', '\u200bzero', '“q”', 'мир', '한국어', 'a\u00a0b', '…', '`~^'];
test('WordPiece: tokens of strings', { skip }, async (t) => {
  const file = path.join(dir, 'bert-words.gguf'), model = await llama.loadModel({ modelPath: file });
  const done = tandem(['tokens', '--model', file], { input: STRINGS.map((s) => `${JSON.stringify(s)}\n`).join('') });
  assert.equal(done.status, 0, done.stderr);
  const mine = done.stdout.trimEnd().split('\n');
  STRINGS.forEach((s, i) => assert.equal(mine[i], JSON.stringify([...model.tokenize(s, false)]), JSON.stringify(s)));
  await model.dispose();
});

for (const recipe of recipes.filter((name) => !encoders.includes(name)))
  test(`${recipe}: probabilities after ${Math.ceil(POSITIONS / stepOf(recipe))} positions`, { skip }, async (t) => {
    const file = path.join(dir, `${recipe}.gguf`);
    const mine = ours(file, stepOf(recipe)), oracle = await theirs(file, stepOf(recipe));
    assert.equal(mine.length, oracle.length);
    let probability = 0, logarithm = 0, first = 0, tie = 0;
    for (const [i, expected] of oracle.entries()) {
      assert.equal(expected.size, mine[i].size);
      for (const [token, p] of expected) {
        const q = mine[i].get(token);
        probability = Math.max(probability, Math.abs(p - q));
        logarithm = Math.max(logarithm, Math.abs(Math.log(p) - Math.log(q)));
      }
      const best = [...expected.keys()][0], ourBest = [...mine[i].keys()][0];
      first += best === ourBest;
      tie = Math.max(tie, Math.log(expected.get(best)) - Math.log(expected.get(ourBest))); // no more than rounding decides
    }
    t.diagnostic(`${recipe}: largest difference of a probability ${probability.toExponential(2)}, of a logarithm `
      + `${logarithm.toExponential(2)}; the same first token ${first} of ${oracle.length} times, else a tie within ${tie.toExponential(1)}`);
    assert.ok(probability < (usesTable(recipe) ? 2e-3 : 2e-5), `${probability}`);
    assert.ok(logarithm < (usesTable(recipe) ? 3e-2 : 1e-3), `${logarithm}`);
    assert.ok(tie <= 2 * logarithm, `the first token differs where llama.cpp's is ahead by ${tie}`);
    assert.ok(first >= 0.95 * oracle.length, `${first} of ${oracle.length}`);
  });

// Data that are not in this repository: real vocabularies with the tokens that llama.cpp's own tests expect, and a small
// model that was really trained, with its continuations. TANDEM_DATA names their folder; without it they are left out.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test, { after, before } from 'node:test';
import { getLlama, LlamaLogLevel } from 'node-llama-cpp';
import { program, sanitized, tandem, tempDir } from './lib.mjs';
import { logprob, read, readLlama2c } from './llama2c.mjs';
import { makeStrings, NEW_IN_15 } from './strings.mjs';

const data = process.env.TANDEM_DATA ?? '';
const skip = !data ? 'the data are not in the repository: set TANDEM_DATA to the folder that has models/ and text/'
  : !existsSync(path.join(data, 'models')) ? `TANDEM_DATA is ${data}, where there is no folder models`
    : sanitized && 'llama.cpp cannot be loaded beside a sanitizer';
const dir = tempDir('shared-');

function unpacked(file) {
  const done = spawnSync('zstd', ['-dc', '--long=27', path.join(data, file)], { maxBuffer: 1 << 28 });
  assert.equal(done.status, 0, `zstd cannot unpack ${file}: ${done.error ?? done.stderr}`);
  return done.stdout;
}

function lines(file, input, ...words) {
  const done = tandem(['tokens', '--model', file, ...words], { input: input.map((x) => `${JSON.stringify(x)}\n`).join('') });
  assert.equal(done.status, 0, done.stderr);
  return done.stdout.trimEnd().split('\n').map((line) => JSON.parse(line));
}

// --- vocabularies

// In BERT's vocabularies the published tokenizer takes a syllable of Hangul apart into its letters and knows no mark of
// beginnings; llama.cpp keeps the first letter alone, and takes U+2581 in a text for its own mark.
const excused = (name, s) => NEW_IN_15.test(s) || (name.startsWith('bert') && /[\uac00-\ud7a3\u2581]/.test(s));

let llama;
before(async () => {
  if (!skip) llama = await getLlama({ build: 'never', gpu: false, logLevel: LlamaLogLevel.error, maxThreads: 1 });
});
after(() => llama?.dispose());

for (const name of ['bert-bge', 'gpt-2', 'gpt-neox'])
  test(`${name}: expected tokens, and 2,000 strings beside llama.cpp`, { skip }, async (t) => {
    const packed = `models/gguf-vocab/ggml-vocab-${name}.gguf`, file = path.join(dir, `${name}.gguf`);
    writeFileSync(file, unpacked(`${packed}.zst`));
    if (existsSync(path.join(data, `${packed}.inp`))) {
      const strings = readFileSync(path.join(data, `${packed}.inp`), 'utf8').split('\n__ggml_vocab_test__\n');
      const expected = readFileSync(path.join(data, `${packed}.out`), 'utf8').split('\n').slice(0, strings.length)
        .map((line) => line.split(' ').filter(Boolean).map(Number));
      assert.ok(strings.length > 40);
      lines(file, strings).forEach((tokens, i) => assert.deepEqual(tokens, expected[i], JSON.stringify(strings[i])));
      t.diagnostic(`${name}: the expected tokens of ${strings.length} strings`);
    }
    const model = await llama.loadModel({ modelPath: file, vocabOnly: true });
    const strings = makeStrings(2000), ours = lines(file, strings);
    const theirs = strings.map((s) => [...model.tokenize(s, false)]);
    const differ = strings.map((s, i) => i).filter((i) => JSON.stringify(theirs[i]) !== JSON.stringify(ours[i]));
    const wrong = differ.filter((i) => !excused(name, strings[i]));
    for (const i of wrong.slice(0, 10)) t.diagnostic(`${JSON.stringify(strings[i])}: llama.cpp ${theirs[i]}, tandem ${ours[i]}`);
    t.diagnostic(`${name}: ${strings.length} strings, ${differ.length} differ from llama.cpp for a known reason`);
    assert.equal(wrong.length, 0, `${wrong.length} strings differ`);
    await model.dispose();
  });

// --- the trained model

const source = path.join(data, 'models/stories260K');
const story = path.join(dir, 'stories.gguf');

function convert(...words) {
  const done = spawnSync(path.join(path.dirname(realpathSync(program)), 'llama2c'),
    [path.join(source, 'stories260K.bin'), path.join(source, 'tok512.bin'), story, ...words], { encoding: 'utf8' });
  assert.equal(done.status, 0, done.stderr);
}

test('stories260K: the golden continuations, token for token', { skip }, (t) => {
  convert();
  const golden = JSON.parse(readFileSync(path.join(source, 'golden_greedy.json'), 'utf8'));
  const prompts = lines(story, golden.map((g) => g.prompt)).map((tokens) => [1, ...tokens]); // begins with the begin token
  golden.forEach((g, i) => assert.deepEqual(g.token_ids.slice(0, prompts[i].length), prompts[i], 'the prompt itself'));
  for (const kernels of ['portable', 'avx2', 'avx512']) {
    const runs = tandem(['tokens', '--model', story, '--continue', '1', '--kernels', kernels], { input: '[1]\n' });
    if (runs.status) continue; // this machine has not these instructions
    golden.forEach((g, i) => {
      const n = g.token_ids.length - prompts[i].length;
      const [{ tokens }] = lines(story, [prompts[i]], '--continue', String(n), '--kernels', kernels);
      assert.deepEqual([...prompts[i], ...tokens], g.token_ids, g.prompt);
    });
    t.diagnostic(`${golden.length} continuations of ${golden[0].token_ids.length} tokens, ${kernels}`);
  }
});

test('stories260K: perplexity as by a pass of our own over the original file', { skip }, (t) => {
  convert();
  const model = readLlama2c(path.join(source, 'stories260K.bin'));
  const stories = unpacked('text/tinystories-sample/tinystories_2MiB_cased.txt.zst').toString().split('<|endoftext|>')
    .map((s) => s.trim()).filter(Boolean);
  const texts = stories.slice(0, 24), lists = lines(story, texts).map((tokens) => [1, ...tokens].slice(0, 512));
  const ours = lines(story, lists, '--logprobs');
  let total = 0, n = 0, largest = 0;
  for (const [i, list] of lists.slice(0, 4).entries()) {
    let at = 0;
    for (const logits of read(model, list.slice(0, -1))) largest = Math.max(largest, Math.abs(logprob(logits, list[at + 1]) - ours[i][at++]));
    assert.equal(at, ours[i].length);
  }
  for (const list of ours) for (const p of list) [total, n] = [total + p, n + 1];
  const bytes = texts.reduce((sum, s) => sum + Buffer.byteLength(s), 0);
  t.diagnostic(`24 stories, ${n} tokens: perplexity ${Math.exp(-total / n).toFixed(4)} per token, `
    + `${(-total / bytes / Math.log(2)).toFixed(4)} bits per byte; largest difference of a log-probability ${largest.toExponential(2)}`);
  assert.ok(largest < 1e-4, `${largest}`);
  assert.ok(Math.exp(-total / n) < 5);
});

// build/llama2c: a random model in the file format of llama2.c becomes a weight file that says the same as a pass of our
// own over the original; files that are none are refused.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { realpathSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { program, random, tandem, tempDir } from './lib.mjs';
import { logprob, read, readLlama2c } from './llama2c.mjs';

const dir = tempDir('llama2c-'), file = (name) => path.join(dir, name);
const [width, ff, nLayers, nHeads, nKvHeads, nVocab, context] = [32, 48, 2, 4, 2, 280, 64];

function model() {
  const below = random(5), kv = width / nHeads * nKvHeads, head = width / nHeads;
  const sizes = [nVocab * width, nLayers * width, nLayers * width * width, nLayers * kv * width, nLayers * kv * width,
    nLayers * width * width, nLayers * width, nLayers * ff * width, nLayers * width * ff, nLayers * ff * width, width, context * head];
  const floats = sizes.flatMap((n) => Array.from({ length: n }, () => (below(2001) - 1000) / 2000));
  return Buffer.concat([Buffer.from(Int32Array.of(width, ff, nLayers, nHeads, nKvHeads, nVocab, context).buffer),
    Buffer.from(Float32Array.from(floats).buffer)]);
}

function tokenizer() {
  const words = ['<unk>', '\n<s>\n', '\n</s>\n'];
  for (let b = 0; b < 256; b++) words.push(`<0x${b.toString(16).toUpperCase().padStart(2, '0')}>`);
  words.push(' ', 'a', 'b', ' a', ' ab', 'é');
  while (words.length < nVocab) words.push(`w${words.length}`);
  return Buffer.concat([Buffer.from(Int32Array.of(7).buffer), ...words.flatMap((word, i) =>
    [Buffer.from(Float32Array.of(i < 259 ? 0 : i - 300).buffer), Buffer.from(Int32Array.of(Buffer.byteLength(word)).buffer), Buffer.from(word)])]);
}

function convert(from, words) {
  writeFileSync(file('m.bin'), from);
  writeFileSync(file('t.bin'), words);
  return spawnSync(path.join(path.dirname(realpathSync(program)), 'llama2c'), [file('m.bin'), file('t.bin'), file('m.gguf')],
    { encoding: 'utf8' });
}

test('a converted model says what the original says', () => {
  const done = convert(model(), tokenizer());
  assert.equal(done.status, 0, done.stderr);
  const tokens = tandem(['tokens', '--model', file('m.gguf')], { input: '"ab a\u00e9z"\n' });
  assert.equal(tokens.stdout.trim(), JSON.stringify([263, 262, 264, 3 + 'z'.charCodeAt(0)]));
  const below = random(6), text = Array.from({ length: context }, () => below(nVocab));
  const { status, stdout, stderr } = tandem(['tokens', '--model', file('m.gguf'), '--logprobs'], { input: `${JSON.stringify(text)}\n` });
  assert.equal(status, 0, stderr);
  const ours = JSON.parse(stdout);
  assert.equal(ours.length, context - 1);
  let at = 0;
  for (const logits of read(readLlama2c(file('m.bin')), text.slice(0, -1)))
    assert.ok(Math.abs(logprob(logits, text[at + 1]) - ours[at++]) < 1e-4, `token ${at}`);
});

test('what is no such model is refused', () => {
  const good = model(), words = tokenizer();
  const bad = [[good.subarray(0, -4), words, /more or fewer numbers/], [Buffer.concat([good, good.subarray(0, 4)]), words, /more or fewer/],
    [good.subarray(0, 20), words, /no header/], [Buffer.concat([Buffer.from('GGUF'), good]), words, /none of llama2.c's/],
    [good, words.subarray(0, -1), /not one of 280 tokens/]];
  for (const [from, tokens, why] of bad) {
    const done = convert(from, tokens);
    assert.equal(done.status, 1);
    assert.match(done.stderr, why);
  }
});

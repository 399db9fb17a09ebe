// Bad files on the command line: whatever is wrong, the program ends with status 1 or 2 and exactly one sentence on
// standard error that names the file and what was expected. It never crashes and never prints half an answer.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { makeModel } from './gguf.mjs';
import { random, sanitized, tandem, tempDir, writeTemp } from './lib.mjs';

const dir = tempDir();
const good = makeModel({ width: 32, layers: 1, heads: 2, kvHeads: 1, ff: 32, context: 128 });
const file = path.join(dir, 'model.gguf');
const settings = path.join(dir, 'settings.yaml');
writeFileSync(settings, 'models:\n  m: {kind: local, path: model.gguf, max_tokens: 4}\n');

function refused(done, status, sentence) {
  assert.equal(done.stdout, '', 'something was printed on standard output');
  assert.match(done.stderr, /^tandem: [^\n]{10,400}\n$/, 'expected exactly one sentence');
  assert.match(done.stderr, sentence);
  assert.equal(done.status, status, done.stderr);
}

const ask = (bytes) => {
  writeFileSync(file, bytes);
  return tandem(['ask', '--config', settings, 'hi']);
};
const changed = (at, change) => {
  const copy = Buffer.from(good.bytes);
  change(copy, at);
  return copy;
};
const u32 = (value) => (b, at) => b.writeUInt32LE(value, at);
const u64 = (value) => (b, at) => b.writeBigUInt64LE(BigInt(value), at);
const after = (key, skip = 0) => good.bytes.indexOf(key) + key.length + skip;
const big = 2n ** 62n;

test('the file as it is answers', () => {
  const done = ask(good.bytes);
  assert.deepEqual([done.status, done.stderr], [0, '']);
});

test('S58 a weight file that is missing, a folder, empty, or something else', () => {
  refused(tandem(['ask', '--config', writeTemp('s.yaml', 'models:\n  m: {kind: local, path: nowhere.gguf}\n'), 'hi']), 1,
    /s\.yaml line 2: model m: .*nowhere\.gguf: .*(No such file|cannot open)/);
  refused(tandem(['ask', '--config', writeTemp('s.yaml', 'models:\n  m: {kind: local, path: "."}\n'), 'hi']), 1, /model m: /);
  refused(ask(Buffer.alloc(0)), 1, /model\.gguf: /);
  refused(ask(Buffer.from('this is not a weight file at all, only some text')), 1, /model\.gguf: .*GGUF/);
});

const corruptions = {
  'magic': [0, u32(0x46554748), /GGUF/],
  'version': [4, u32(99), /version/],
  'version of the other byte order': [4, u32(0x03000000), /big-endian/],
  'S53 tensor count': [8, u64(big), /tensor/],
  'S53 key count': [16, u64(big), /key/],
  'S53 length of a key': [24, u64(big), /key|end/],
  'type of a value': [after('general.architecture'), u32(77), /general\.architecture|type/],
  'S53 length of a string': [after('general.architecture', 4), u64(big), /general\.architecture|end|beyond/],
  'architecture': [after('general.architecture', 12), (b, at) => b.write('mamba', at), /mamba/],
  'S56 alignment of 0': [after('general.alignment', 4), u32(0), /alignment/],
  'alignment of 3': [after('general.alignment', 4), u32(3), /alignment/],
  'S56 no heads': [after('llama.attention.head_count', 4), u32(0), /head_count/],
  'S56 heads that do not divide the width': [after('llama.attention.head_count', 4), u32(3), /head/],
  'more heads for keys than for queries': [after('llama.attention.head_count_kv', 4), u32(7), /head_count_kv/],
  'S56 no layers': [after('llama.block_count', 4), u32(0), /block_count/],
  'layers that are not there': [after('llama.block_count', 4), u32(9), /blk\.1/],
  'a width that no tensor has': [after('llama.embedding_length', 4), u32(4096), /.+/],
  'S56 no context': [after('llama.context_length', 4), u32(0), /context_length/],
  'a context beyond any memory': [after('llama.context_length', 4), u32(0xffffffff), /context_length/],
  'epsilon that is not a number': [after('llama.attention.layer_norm_rms_epsilon', 4), (b, at) => b.writeFloatLE(NaN, at), /epsilon/],
  'S53 count of tokens': [after('tokenizer.ggml.tokens', 8), u64(big), /array/],
  'S55 type of an array': [after('tokenizer.ggml.tokens', 4), u32(9), /tokens/],
  'S55 tokenizer': [after('tokenizer.ggml.model', 12), (b, at) => b.write('gptx', at), /gptx/],
  'S55 pre-split': [after('tokenizer.ggml.pre', 12), (b, at) => b.write('smollx', at), /smollx/],
  'S55 end token beyond the vocabulary': [after('tokenizer.ggml.eos_token_id', 4), u32(0x7fffffff), /eos_token_id/],
  'S53 dimensions of a tensor': [after('token_embd.weight'), u32(9), /token_embd\.weight/],
  'S53 size of a tensor': [after('token_embd.weight', 4), u64(big), /token_embd\.weight/],
  'S54 type of a tensor': [after('token_embd.weight', 20), u32(31), /token_embd\.weight/],
  'S54 offset beyond the end': [after('token_embd.weight', 24), u64(big), /token_embd\.weight/],
  'S54 offset that is not aligned': [after('output_norm.weight', 16), u64(3), /output_norm\.weight/],
  'S56 name of a tensor': [after('output_norm.weight', -3), (b, at) => b.write('xyz', at), /output_norm\.weight/],
};
for (const [what, [at, change, sentence]] of Object.entries(corruptions))
  test(what.replace(/^(S\d\d )?/, '$1corrupt: '), () => refused(ask(changed(at, change)), 1, sentence));

test('S54 truncated anywhere', () => {
  const below = random(6);
  for (let i = 0; i < (sanitized ? 15 : 60); i++) {
    const n = i % 2 ? below(good.header) : below(good.bytes.length - 1);
    refused(ask(good.bytes.subarray(0, n)), 1, /model\.gguf: /);
  }
});

test('single bytes changed anywhere in the header: refused in one sentence, or harmless', () => {
  const below = random(7);
  let accepted = 0;
  for (let i = 0; i < (sanitized ? 30 : 200); i++) {
    const done = ask(changed(below(good.header), (b, at) => (b[at] ^= 1 << below(8))));
    if (done.status === 0) accepted++;
    else refused(done, done.status === 2 ? 2 : 1, /model m: /);
  }
  assert.ok(accepted > 0);
});

const trees = {
  'no file': [null, 1, /no-such-settings\.yaml: .*(No such file|cannot open)/],
  'an empty file': ['', 2, /models/],
  'not YAML': ['models: [a\n', 2, /line \d/],
  'a tab': ['models:\n\tm: 1\n', 2, /line 2/],
  'no models': ['serve: {workers: 1}\n', 2, /models/],
  'a cycle of two': ['models:\n  a: {kind: mask, inner: b}\n  b: {kind: mask, inner: a}\n', 2, /line 2: model a: .*itself.*b/],
  'a cycle of one': ['models:\n  a: {kind: mask, inner: a}\n', 2, /line 2: model a: .*itself/],
  'demand_39 an unknown kind': ['models:\n  a: {kind: locl, path: x}\n', 2, /line 2: model a: .*"locl".*nearest: "local"/],
  'no kind': ['models:\n  a: {path: x}\n', 2, /line 2: model a: .*kind/],
  'demand_39 an unknown option': ['models:\n  a: {kind: script, answrs: [x]}\n', 2, /line 2: model a: .*"answrs" \(nearest: "answers"\)/],
  'a number out of range': ['models:\n  a: {kind: script, answers: [x], chunk: 0}\n', 2, /line 2: model a: .*chunk/],
  'a value of a wrong type': ['models:\n  a: {kind: script, answers: [x], chunk: many}\n', 2, /line 2: model a: .*chunk/],
  'a role that is missing': ['models:\n  a: {kind: mask}\n', 2, /line 2: model a: .*inner/],
  'a role that names nothing': ['models:\n  good: {kind: script, answers: [x]}\n  a: {kind: mask, inner: god}\n', 2,
    /line 3: model a: .*god.*nearest: "good"/],
  'a role without the capability': ['models:\n  a: {kind: script, answers: [x]}\n  s: {kind: speculate, draft: a, target: a}\n', 2,
    /line 3: model s: role target needs .* a \(kind script\)/],
  'a judge that cannot score': ['models:\n  a: {kind: script, answers: [x]}\n  g: {kind: guard, inner: a, judge: a}\n', 2,
    /line 3: model g: role judge .*SCORE/],
  'a name with a space': ['models:\n  "a b": {kind: script, answers: [x]}\n', 2, /line 2.*a b/],
  'a name twice': ['models:\n  a: {kind: script, answers: [x]}\n  a: {kind: script, answers: [y]}\n', 2, /line 3/],
  'demand_39 an unknown section': ['models:\n  a: {kind: script, answers: [x]}\nserver: {workers: 1}\n', 2, /line 3: .*"server".*nearest: "serve"/],
  'an unknown option of the server': ['models:\n  a: {kind: script, answers: [x]}\nserve: {lisen: "127.0.0.1:0"}\n', 2,
    /line 3: serve: .*"lisen" \(nearest: "listen"\)/],
  'a default that is not there': ['models:\n  good: {kind: script, answers: [x]}\nserve: {default: god}\n', 2, /default.*god/],
  'an address that is none': ['models:\n  a: {kind: script, answers: [x]}\nserve: {listen: "nowhere"}\n', 2, /listen.*nowhere/],
  'a key that is not there': ['models:\n  a: {kind: script, answers: [x]}\nserve: {keys: ["env:TANDEM_NO_SUCH_KEY"]}\n', 2,
    /keys.*TANDEM_NO_SUCH_KEY/],
  'a key in the settings': ['models:\n  a: {kind: script, answers: [x]}\nserve: {keys: ["sk-in-clear-text"]}\n', 2, /keys.*env:NAME/],
  'an address without http': ['models:\n  a: {kind: remote, url: "ftp://x/v1", model: m}\n', 2, /line 2: model a: .*url/],
  'weights of a tagger that are none': ['models:\n  s: {kind: script, answers: [x]}\n' +
    '  a: {kind: mask, inner: s, detect: [rules, tagger], weights: settings.yaml}\n', 2, /line 3: model a: weights: .*weights of a tagger/],
  'a way to detect that is none': ['models:\n  s: {kind: script, answers: [x]}\n  a: {kind: mask, inner: s, detect: [magic]}\n', 2,
    /line 3: model a: detect: expected rules and tagger, not magic/],
  'a file of answers that is broken': ['models:\n  a: {kind: script, file: settings.yaml}\n', 2, /line 2: model a: /],
};
for (const [what, [text, status, sentence]] of Object.entries(trees))
  test(what.replace(/^(demand_39 )?/, '$1settings: '), () => {
    const at = text === null ? path.join(dir, 'no-such-settings.yaml') : writeTemp('settings.yaml', text);
    const done = tandem(['serve', '--config', at, '--ledger', ':memory:', ...(text?.includes('listen') ? [] : ['--listen', '127.0.0.1:0'])],
      { timeout: 20000 });
    refused(done, status, sentence);
    assert.ok(!done.stderr.includes('sk-in-clear-text'), 'a key is in the sentence');
  });

test('the ledger cannot be opened', () => {
  const at = writeTemp('settings.yaml', 'models:\n  a: {kind: script, answers: [x]}\n');
  refused(tandem(['serve', '--config', at, '--listen', '127.0.0.1:0', '--ledger', '/nowhere/at/all.db']), 1, /\/nowhere\/at\/all\.db/);
  refused(tandem(['serve', '--config', at, '--listen', '127.0.0.1:0', '--ledger', at]), 1, /settings\.yaml/);
});

test('words on the command line', () => {
  refused(tandem(['frobnicate']), 2, /"frobnicate"/);
  refused(tandem(['ask', '--modl', 'x', 'hi']), 2, /--modl.*nearest: --model/);
  refused(tandem(['ask']), 2, /one question/);
  refused(tandem(['ask', '--model']), 2, /--model.*value/);
  refused(tandem(['ask', '--config', settings, '--temperature', 'warm', 'hi']), 2, /temperature/);
  refused(tandem(['ask', '--config', writeTemp('s.yaml', 'models:\n  good: {kind: script, answers: [x]}\n'), '--model', 'god', 'hi']), 1,
    /"god" \(nearest: "good"\)/);
});

// Noise through the server: the upstream gets words of the table and slots, never a value or a word of its own; epsilon is
// summed over a conversation and bounded; who answers when the upstream is out.
import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import { startTandem, tandem, user, withoutPair, writeTemp } from './lib.mjs';
import { jsonAnswer, startUpstream, wholeStream } from './upstream.mjs';

const words = ['the', 'sea', 'lake', 'is', 'deep', 'blue'];
const files = { 'words.txt': words.map((w, i) => `${w} ${i} ${(i * i) % 5}`).join('\n') };
let upstream, server;
before(async () => {
  upstream = await startUpstream((rq) => (rq.json.model === 'down' ? jsonAnswer('503 Busy', {}) : wholeStream(['Dear ', '[EMAIL_1].'])));
  const remote = (model) => `{kind: mask, inner: {kind: remote, url: "${upstream.url}", model: ${model}, breaker: no}}`;
  const noisy = (more, model = 'big') => `{kind: perturb, inner: ${remote(model)}, small: near, vectors: words.txt, ${more}}`;
  server = await startTandem(`
models:
  near: {kind: script, answers: ["Written at home."], record: near.jsonl}
  santext: ${noisy('epsilon: 1')}
  custext: ${noisy('epsilon: 1, mechanism: custext, k: 3')}
  rantext: ${noisy('epsilon: 1, mechanism: rantext, k: 3')}
  raw: ${noisy('epsilon: 1, extract: no')}
  bounded: ${noisy('epsilon: 2, limit: 20, then: block')}
  ends: ${noisy('epsilon: 2, limit: 20')}
  lost: ${noisy('epsilon: 1', 'down')}
${withoutPair ? '' : `  pair: {kind: perturb, inner: ${remote('big')}, small: near, vectors: "embedded:small", epsilon: 4}`}
`, { files });
});
after(async () => {
  await server.stop();
  await upstream.close();
});
const text = 'The sea of ann.roe@example.org is deep. <private>Zacharias</private> paid with 4111 1111 1111 1111';
const ask = async (model, content = text, more = {}, headers = {}) => {
  const from = upstream.received.length, n = upstream.requests.length;
  const { status, json } = await server.chat({ model, messages: [{ role: 'system', content: 'Mind Zacharias.' }, ...user(content)], ...more }, headers);
  return { status, json, text: json.choices?.[0].message.content, sent: upstream.received.slice(from),
    asked: upstream.requests[n]?.json.messages[1].content, n: upstream.requests.length - n,
    detail: json.tandem?.decisions?.find((d) => d.kind === 'perturb')?.detail, left: json.tandem?.left };
};

for (const model of ['santext', 'custext', 'rantext'])
  test(`${model}: only words of the table and slots leave`, async () => {
    for (let i = 0; i < 5; i++) {
      const a = await ask(model);
      assert.deepEqual([a.status, a.text, a.left.method], [200, 'Written at home.', 'perturb']);
      assert.doesNotMatch(a.sent, /ann\.roe|4111|zacharias|\bpaid\b|\bwith\b/i);
      const shape = a.asked.replace(/\[[A-Z]+_1\]/g, 'slot').replace(/[a-z]+/g, (w) => (w === 'slot' || words.includes(w) ? w : 'LOST'));
      assert.match(shape, /^\w+ \w+ \w+ slot \w+ \w+\.  \w+ \w+ slot$/);
      assert.doesNotMatch(shape, /LOST/);
      assert.match(a.detail, /^epsilon_per_token 1, tokens 7, epsilon_request 7, epsilon_conversation \d+, metric (distance|set|pure), document_level (yes|no); 3 unknown, 2 hidden$/);
      assert.deepEqual(a.left.entities, { CARD: 1, EMAIL: 1 });
    }
  });

test('without extraction the reply is the answer, with values in the place of slots', async () => {
  assert.equal((await ask('raw')).text, 'Dear ann.roe@example.org.');
});

test('epsilon adds up over a conversation, of each tenant session its own, and a limit ends it', async () => {
  const session = (s) => ({ tandem: { session: s } });
  const spent = (a) => Number(/epsilon_conversation ([\d.]+)/.exec(a.detail)[1]);
  assert.deepEqual([spent(await ask('ends', 'the sea', session('a'))), spent(await ask('ends', 'the lake is', session('a')))], [4, 10]);
  assert.equal(spent(await ask('ends', 'the sea', session('b'))), 4);
  const over = await ask('ends', 'the sea is the sea is', session('a'));
  assert.deepEqual([over.status, over.text, over.n, spent(over)], [200, 'Written at home.', 0, 10]);
  assert.match(over.detail, /^epsilon is spent: /);
  const blocked = await ask('bounded', 'the sea is the sea is deep deep deep deep deep', session('c'));
  assert.deepEqual([blocked.status, blocked.json.error.code, blocked.n], [403, 'privacy_refused', 0]);
});

test('F the model elsewhere down: the small one answers alone, with a warning', async () => {
  const a = await ask('lost');
  assert.deepEqual([a.status, a.text, a.json.tandem.warnings[0].code], [200, 'Written at home.', 'model_out']);
  assert.match(a.detail, /^inner failed: /);
});

test('levels: privacy local is refused', async () => {
  assert.equal((await ask('santext', text, { tandem: { privacy: 4 } })).json.error.code, 'privacy_refused');
});

test('the embedding of a weight file is a table of words', { skip: withoutPair }, async () => {
  const a = await ask('pair', 'What is the capital of France?');
  assert.equal(a.status, 200);
  assert.match(a.asked, /^[a-z]+ [a-z]+ [a-z]+ [a-z]+ [a-z]+ [a-z]+\?$/);
});

test('a table or a tree that will not do is refused when the file is read', () => {
  const check = (more, role = 'near') => tandem(['check', writeTemp('bad.yaml', `models:\n  near: {kind: script, answers: [x]}\n`
    + `  far: {kind: remote, url: "http://127.0.0.1:9/v1", model: m}\n  it: {kind: perturb, inner: ${role}, small: near, ${more}}\nserve: {default: it}\n`)]);
  assert.match(check('epsilon: 1').stderr, /vectors: expected a file of words with their numbers/);
  assert.match(check(`vectors: "${writeTemp('w.txt', 'one 1 2\ntwo 1')}"`).stderr, /w\.txt line 2: expected a word and as many numbers/);
  assert.match(check(`vectors: "${writeTemp('w.txt', 'one 1 2\ntwo 1 4')}"`, 'far').stderr, /role inner: far sends text off this machine without a mask/);
});

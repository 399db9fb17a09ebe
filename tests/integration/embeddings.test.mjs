// POST /v1/embeddings, /v1/rerank and /v1/moderations with the official client and with plain requests: local encoders
// of random weights, a remote upstream, masks and guards in the path, and wrong types in every field.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { realpathSync } from 'node:fs';
import path from 'node:path';
import test, { after, before } from 'node:test';
import OpenAI from 'openai';
import { post, program, startTandem, tempDir, weights } from './lib.mjs';
import { jsonAnswer, startUpstream } from './upstream.mjs';

const dir = tempDir('encoders-');
const made = spawnSync(path.join(path.dirname(realpathSync(program)), 'random_model'), [dir], { encoding: 'utf8' });
assert.equal(made.status, 0, made.stderr);
let server, upstream, broken, client, vector = [3, 4];
const inputsOf = (rq) => [rq.json.input].flat();
const vectorOf = (text) => (/^\d+$/.test(text) ? [1, Number(text)] : vector); // a number is the tangent of its angle

before(async () => {
  upstream = await startUpstream((rq) => jsonAnswer(200, { object: 'list', model: 'up', usage: { prompt_tokens: 5, total_tokens: 5 },
    data: inputsOf(rq).map((text, index) => ({ object: 'embedding', index, embedding: vectorOf(text) })).reverse() }));
  broken = await startUpstream();
  server = await startTandem(`
models:
  small: {kind: local, path: ${weights('small')}}
  words: {kind: local, path: ${dir}/bert-words.gguf, cuts_vectors: yes}
  ranker: {kind: local, path: ${dir}/bert-rank.gguf}
  far: {kind: remote, url: "${upstream.url}", model: up, embed: yes}
  masked: {kind: mask, inner: far, level: 2}
  few: {kind: remote, url: "${upstream.url}", model: up, embed: yes, embed_batch: 3}
  down: {kind: remote, url: "${broken.url}", model: up, embed: yes, breaker: no}
  patient: {kind: retry, inner: down, base_ms: 5}
  safe: {kind: fallback, models: [down, few]}
  either: {kind: pool, members: [down, few], by: weights, weights: [1000000, 0.000001]}
  deep: {kind: mask, inner: safe, level: 2}
  guarded: {kind: guard, inner: words, judge_on: off}
  both: {kind: guard, inner: masked, judge_on: off}
  chatty: {kind: guard, inner: small, judge: small}
serve: {default: words}
`);
  client = new OpenAI({ baseURL: server.base, apiKey: 'k', maxRetries: 0 });
});
after(async () => {
  await server?.stop();
  await upstream?.close();
  await broken?.close();
});

const embed = (body) => post(`${server.base}/embeddings`, body);
const length = (x) => Math.hypot(...x);
const lastSent = () => JSON.parse(upstream.requests.at(-1).body);

test('the official client: base64 by default, floats when asked, equal to 1e-7', async () => {
  const input = ['the sea', 'a stone', 'naïve 🙂'];
  const packed = await client.embeddings.create({ model: 'words', input });
  const plain = await client.embeddings.create({ model: 'words', input, encoding_format: 'float' });
  assert.deepEqual(packed.data.map((d) => d.index), [0, 1, 2]);
  packed.data.forEach((d, i) => {
    assert.equal(d.object, 'embedding');
    assert.equal(d.embedding.length, plain.data[i].embedding.length);
    d.embedding.forEach((x, k) => assert.ok(Math.abs(x - plain.data[i].embedding[k]) < 1e-7));
    assert.ok(Math.abs(length(d.embedding) - 1) < 1e-6);
  });
  assert.equal(packed.usage.prompt_tokens, packed.usage.total_tokens);
  assert.ok(packed.usage.prompt_tokens > 6);
  assert.equal(packed.tandem.calls.length, 3);
  assert.equal(packed.tandem.calls[0].purpose, 'embed');
});

test('what was asked for is what comes: a string of base64 with padding, or numbers', async () => {
  const raw = async (encoding_format) => (await embed({ input: 'x', encoding_format })).json.data[0].embedding;
  const text = await raw('base64'), numbers = await raw('float');
  assert.match(text, /^[A-Za-z0-9+/]+={0,2}$/);
  assert.equal(text.length % 4, 0);
  const bytes = Buffer.from(text, 'base64');
  assert.equal(bytes.length, numbers.length * 4);
  numbers.forEach((x, i) => assert.equal(Math.fround(x), bytes.readFloatLE(4 * i)));
  assert.deepEqual(await raw(undefined), numbers);
});

test('a text, a list, token ids, lists of them; the same text is the same vector', async () => {
  const of = async (input) => (await embed({ input })).json.data.map((d) => d.embedding);
  const [alone] = await of('the sea'), listed = await of(['the sea', 'the sea']);
  assert.deepEqual(listed, [alone, alone]);
  const { tokens } = (await post(`${server.base}/tokenize`, { prompt: 'the sea', add_special_tokens: false })).json;
  assert.deepEqual(await of(tokens), [alone]);
  assert.deepEqual(await of([tokens, tokens]), [alone, alone]);
});

test('S39 S40 S49 bad inputs are refused, each with its field', async () => {
  const cases = [[{ input: '' }, 'input'], [{ input: ['a', ''] }, 'input'], [{ input: [] }, 'input'], [{}, 'input'], [{ input: null }, 'input'],
    [{ input: 5 }, 'input'], [{ input: { a: 1 } }, 'input'], [{ input: ['a', 5] }, 'input[1]'], [{ input: [[]] }, 'input'],
    [{ input: [1e9] }, 'input'], [{ input: [-1] }, 'input'], [{ input: Array(2049).fill('x') }, 'input'],
    [{ input: 'x', encoding_format: 'int8' }, 'encoding_format'], [{ input: 'x', encoding_format: 1 }, 'encoding_format'],
    [{ input: 'x', dimensions: 0 }, 'dimensions'], [{ input: 'x', dimensions: '4' }, 'dimensions'], [{ input: 'x', dimensions: -1 }, 'dimensions'],
    [{ input: 'x', dimensions: 1e9 }, 'dimensions'], [{ input: 'x', dimensions: 2 ** 63 }, 'dimensions'], [{ input: 'x', model: 7 }, 'model'],
    [{ input: 'x', tandem: { privacyy: 4 } }, 'tandem.privacyy'], [[], null], ['"x"', null]];
  for (const [body, param] of cases) {
    const { status, json } = await embed(body);
    assert.equal(status, 400, JSON.stringify(body).slice(0, 80));
    assert.deepEqual(Object.keys(json.error).sort(), ['code', 'message', 'param', 'type']);
    if (param) assert.ok(json.error.param?.startsWith(param), `${json.error.param} for ${param}`);
  }
  assert.equal((await embed({ input: 'x', model: 'none' })).json.error.code, 'model_not_found');
  assert.equal((await embed({ input: 'x', model: 'chatty' })).status, 200, 'through a guard of a model that writes');
  assert.equal((await embed({ input: [5], model: 'masked' })).status, 400, 'token ids cannot be masked');
  assert.equal((await embed({ input: [5], model: 'far' })).json.error.code, 'capability_missing');
});

test('dimensions: cut and brought to length 1 where the model allows it', async () => {
  const whole = (await embed({ input: 'the sea' })).json.data[0].embedding;
  const { json } = await embed({ input: 'the sea', dimensions: 8 });
  const cut = json.data[0].embedding, part = length(whole.slice(0, 8));
  assert.equal(cut.length, 8);
  cut.forEach((x, i) => assert.ok(Math.abs(x - whole[i] / part) < 1e-6));
  assert.equal((await embed({ input: 'the sea', dimensions: whole.length })).status, 200);
  assert.equal((await embed({ input: 'the sea', dimensions: whole.length + 1 })).json.error.param, 'dimensions');
  assert.equal((await embed({ input: 'x', model: 'small', dimensions: 8 })).json.error.param, 'dimensions');
});

test('a remote upstream: its vector at length 1, its count; numbers and base64; what is none is a failure', async () => {
  const { json } = await embed({ input: 'the sea', model: 'far' });
  assert.deepEqual(json.data[0].embedding.map(Math.fround), [0.6, 0.8].map(Math.fround));
  assert.equal(json.usage.prompt_tokens, 5);
  assert.match(upstream.requests.at(-1).head, /^POST \/v1\/embeddings HTTP/);
  assert.deepEqual(lastSent(), { model: 'up', encoding_format: 'float', input: 'the sea' });
  assert.equal(json.tandem.left.requests, 1);
  const good = vector;
  vector = Buffer.from(new Float32Array(good).buffer).toString('base64');
  assert.deepEqual((await embed({ input: 'x', model: 'far' })).json.data[0].embedding.map(Math.fround), [0.6, 0.8].map(Math.fround));
  for (vector of [[], [0, 0], ['a'], 'AAA', '!!!!', null, {}]) {
    const { status, json: bad } = await embed({ input: 'x', model: 'far' });
    assert.equal(status, 502, JSON.stringify(vector));
    assert.equal(bad.error.code, 'bad_upstream_body');
  }
  vector = good;
});

const tangents = ({ json }) => json.data.map((d) => Math.round(d.embedding[1] / d.embedding[0]));

test('several texts are as few requests as the upstream takes, in their own order, and each has its row', async () => {
  const input = ['1', '2', '3', '4', '5', '6', '7'], before = upstream.requests.length;
  const whole = await embed({ input, model: 'far' });
  assert.deepEqual(tangents(whole), [1, 2, 3, 4, 5, 6, 7]);
  assert.equal(upstream.requests.length, before + 1);
  assert.deepEqual(lastSent().input, input);
  assert.equal(whole.json.usage.prompt_tokens, 5);
  assert.equal(whole.json.tandem.left.requests, 1);
  const cut = await embed({ input, model: 'few' });
  assert.deepEqual(tangents(cut), [1, 2, 3, 4, 5, 6, 7]);
  assert.deepEqual(upstream.requests.slice(before + 1).map((rq) => rq.json.input), [['1', '2', '3'], ['4', '5', '6'], '7']);
  assert.deepEqual(cut.json.tandem.calls.map((c) => [c.purpose, c.status, c.prompt_tokens]), Array(3).fill(['embed', 'ok', 5]));
  await embed({ input: ['write to joe@example.com', 'or to ann@example.com', 'joe@example.com'], model: 'masked' });
  const [first, , third] = lastSent().input;
  assert.equal(first, `write to ${third}`, 'the same value is the same token in all of them');
  assert.ok(!upstream.received.includes('@example.com'));
});

test('F07 what is not one vector for each text is no answer: too few, the same place twice, two widths', async () => {
  const good = { object: 'embedding', index: 0, embedding: [1, 0] };
  for (const data of [[good], [good, good], [good, { ...good, index: 2 }], [good, { ...good, index: -1 }], [good, { ...good, index: 1, embedding: [1] }]]) {
    broken.behaviour = () => jsonAnswer(200, { data });
    const { status, json } = await embed({ input: ['a', 'b'], model: 'down' });
    assert.deepEqual([status, json.error.code], [502, 'bad_upstream_body'], JSON.stringify(data));
  }
  broken.behaviour = () => jsonAnswer(200, { data: [{ embedding: [1, 1] }, { embedding: [1, 2] }] });
  assert.deepEqual(tangents(await embed({ input: ['a', 'b'], model: 'down' })), [1, 2], 'without indices the order counts');
});

test('F03 retry, fallback and pool treat vectors as they treat words', async () => {
  const error = (status, extra) => () => jsonAnswer(`${status} X`, { error: { message: 'm', type: 't' } }, extra);
  const well = () => jsonAnswer(200, { data: [{ index: 0, embedding: [1, 9] }] });
  let answers = [error(503), well];
  broken.behaviour = (rq) => (answers.length > 1 ? answers.shift() : answers[0])(rq);
  const again = await embed({ input: 'x', model: 'patient' });
  assert.deepEqual(tangents(again), [9]);
  assert.deepEqual(again.json.tandem.calls.map((c) => [c.model, c.purpose, c.status]), [['down', 'embed', 'failed'], ['down', 'embed', 'ok']]);
  answers = [error(429, 'retry-after-ms: 20\r\n'), well];
  assert.deepEqual(tangents(await embed({ input: 'x', model: 'patient' })), [9]);
  for (const model of ['safe', 'either', 'deep']) {
    answers = [error(500)];
    const other = await embed({ input: ['4', '5'], model });
    assert.deepEqual(tangents(other), [4, 5], model);
    assert.equal(other.json.tandem.decisions.at(-1).choice, 'few');
  }
  for (const model of ['patient', 'either']) {
    answers = [error(400)];
    const before = broken.requests.length;
    assert.equal((await embed({ input: 'x', model })).json.error.code, 'upstream_rejected', model);
    assert.equal(broken.requests.length, before + 1, 'what is wrong stays wrong');
  }
  const { json } = await post(`${server.base}/chat/completions`, { model: 'safe', messages: [{ role: 'user', content: 'hi' }] });
  assert.equal(json.error.code, 'capability_missing');
});

test('no endpoint passes by a mask, a guard or a wish', async () => {
  const { json } = await embed({ input: 'write to joe@example.com', model: 'both' });
  assert.match(lastSent().input, /^write to EMAIL_[A-Z0-9]{8}$/);
  assert.equal(json.tandem.left.entities.EMAIL, 1);
  assert.ok(!upstream.received.includes('joe@example.com'));
  const before = upstream.requests.length;
  for (const model of ['guarded', 'both']) {
    const bad = await embed({ input: ['fine', 'how to build a pipe bomb'], model });
    assert.equal(bad.json.error.code, 'content_filter', model);
    assert.equal(bad.json.tandem.state, 'refused');
  }
  assert.equal(upstream.requests.length, before, 'what is refused takes its neighbours with it');
  assert.equal((await embed({ input: 'x', model: 'far', tandem: { privacy: 4 } })).json.error.code, 'privacy_refused');
  assert.equal((await embed({ input: 'x', model: 'far', tandem: { privacy: 1 } })).json.error.code, 'privacy_refused');
  assert.equal((await embed({ input: 'x', tandem: { trust: 1 } })).json.error.code, 'objective_infeasible');
  const answer = await embed({ input: 'x' });
  assert.equal((await server.receipt(answer.headers['x-tandem-receipt'])).state, 'complete');
});

test('rerank: best first, ties by index, documents when asked; by a ranker and by vectors', async () => {
  const documents = ['a red house', { text: 'the sea at night' }, 'the sea', 'the sea'];
  for (const model of ['words', 'ranker', 'small']) {
    const ask = (more) => post(`${server.base}/rerank`, { model, query: 'the sea', documents, ...more });
    const { json, status } = await ask({ return_documents: true });
    assert.equal(status, 200, JSON.stringify(json));
    const scores = json.results.map((r) => r.relevance_score);
    assert.deepEqual(scores, [...scores].sort((a, b) => b - a));
    assert.deepEqual(json.results.map((r) => r.index).sort(), [0, 1, 2, 3]);
    const twins = json.results.filter((r) => r.index >= 2);
    assert.deepEqual(twins.map((r) => r.index), [2, 3]);
    assert.equal(twins[0].relevance_score, twins[1].relevance_score);
    assert.equal(json.results.find((r) => r.index === 1).document.text, 'the sea at night');
    if (model !== 'ranker') assert.ok(Math.abs(twins[0].relevance_score - 1) < 1e-5, 'the query itself');
    else assert.ok(scores.every((s) => s > 0 && s < 1));
    const top = await ask({ top_n: 1 });
    assert.deepEqual(top.json.results, [{ index: json.results[0].index, relevance_score: scores[0] }]);
    assert.ok(json.usage.total_tokens > 0 && json.tandem.receipt);
  }
  for (const body of [{ documents: ['a'] }, { query: 'a' }, { query: '', documents: ['a'] }, { query: 'a', documents: [] }, { query: 'a', documents: 'b' },
    { query: 'a', documents: [1] }, { query: 'a', documents: [{}] }, { query: 'a', documents: ['b'], top_n: 0 }, { query: 'a', documents: ['b'], top_n: '1' },
    { query: 'a', documents: ['b'], return_documents: 'yes' }, { query: 5, documents: ['b'] }, { query: 'a', documents: ['b\0c'] }])
    assert.equal((await post(`${server.base}/rerank`, body)).status, 400, JSON.stringify(body));
});

test('moderations: the guards of the tree, with the official client', async () => {
  const result = await client.moderations.create({ input: ['a calm sea', 'how to build a pipe bomb'] });
  assert.match(result.id, /^modr-/);
  assert.deepEqual(result.results.map((r) => r.flagged), [false, true]);
  const [calm, bad] = result.results;
  assert.deepEqual(Object.keys(calm.categories), Object.keys(calm.category_scores));
  assert.equal(bad.categories.weapons, true);
  assert.equal(bad.category_scores.weapons, 1);
  assert.ok(Object.values(calm.categories).every((c) => c === false));
  const judged = await client.moderations.create({ model: 'chatty', input: 'What is 2 + 2?' });
  assert.ok(judged.results[0].category_scores.judge > 0 && judged.results[0].category_scores.judge < 1);
  assert.equal(judged.model, 'chatty');
  const hosted = await post(`${server.base}/moderations`, { model: 'omni-moderation-latest', input: 'x' });
  assert.equal(hosted.status, 200);
  assert.match(hosted.headers['x-tandem-warnings'], /model_substituted=model/);
  const parts = await post(`${server.base}/moderations`, { input: [{ type: 'text', text: 'fine' }, { type: 'text', text: 'how to build a pipe bomb' }] });
  assert.deepEqual(parts.json.results.map((r) => r.flagged), [true]);
  assert.equal((await post(`${server.base}/moderations`, { model: 'small', input: 'x' })).json.error.code, 'capability_missing');
  assert.equal((await post(`${server.base}/moderations`, { model: 'nobody', input: 'x' })).json.error.code, 'model_not_found');
  for (const input of [undefined, 5, {}, [], [5], ['a', 5], [[1]], [{ type: 'text' }], [{}]])
    assert.equal((await post(`${server.base}/moderations`, { input })).status, 400, JSON.stringify(input));
});

test('S30 an image to moderate is refused, and nothing is fetched', async () => {
  const { status, json } = await post(`${server.base}/moderations`, { input: [{ type: 'image_url', image_url: { url: `${upstream.url}/x.png` } }] });
  assert.equal(status, 400);
  assert.equal(json.error.code, 'unsupported_content');
  assert.ok(!upstream.requests.some((rq) => rq.head.includes('x.png')));
});

// The embedded default pair, as a newcomer meets it: no settings, no options. Skipped only where the large weights have
// not been made.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import test, { after, before } from 'node:test';
import OpenAI from 'openai';
import { eventually, request, root, sanitized, startTandem, streamedText, chatStream,
  tandem, tempDir, user, withoutPair } from './lib.mjs';

const skip = withoutPair;
const long = skip || (sanitized && 'takes minutes under a sanitizer'); // or is not about this program
const question = 'What is the capital of France?';
const empty = tempDir(); // no tandem.yaml here: the embedded settings are used
const names = ['assistant', 'cascade', 'defer', 'fused', 'guarded', 'guided', 'large', 'large_masked', 'masked', 'route', 'shepherd', 'small', 'speculate', 'thrifty', 'written'];
const command = (...words) => tandem(words, { cwd: empty });
let server, client;

before(async () => {
  if (skip) return;
  server = await startTandem(null, { cwd: empty });
  client = new OpenAI({ baseURL: server.base, apiKey: 'any', maxRetries: 0 });
});
after(() => server?.stop());

test('the default answers, whole and streamed', { skip }, async () => {
  const { json } = await server.chat({ messages: user(question) });
  assert.match(json.choices[0].message.content, /^Paris/);
  assert.equal(json.tandem.requested, 'assistant');
  assert.equal(json.tandem.left.requests, 0);
  assert.ok(json.tandem.guards.length > 0, 'the default is guarded');
  const { events: list } = await chatStream(server, { messages: user(question) });
  assert.equal(streamedText(list), json.choices[0].message.content);
});

test('every model of the default settings is listed and answers', { skip }, async (t) => {
  const list = (await request(`${server.base}/models`)).json.data;
  assert.deepEqual(list.map((m) => m.id).sort(), names);
  assert.equal(list[0].id, 'assistant');
  for (const model of names) {
    const { status, json } = await server.chat({ model, messages: user(question) });
    assert.equal(status, 200, `${model}: ${JSON.stringify(json)}`);
    assert.ok(json.choices[0].message.content.length > 0, model);
    t.diagnostic(`${model}: ${JSON.stringify(json.choices[0].message.content)} by ${json.model}`);
  }
});

test('every model keeps an answer to a schema; what it cannot keep is refused', { skip }, async () => {
  const schema = { type: 'object', required: ['city', 'sure'],
    properties: { city: { enum: ['Paris', 'Rome'] }, sure: { type: 'boolean' } } };
  const wanted = (s) => ({ type: 'json_schema', json_schema: { name: 'answer', strict: true, schema: s } });
  const said = {};
  for (const model of names) {
    const { status, json } = await server.chat({ model, messages: user(question), temperature: 0, response_format: wanted(schema) });
    assert.equal(status, 200, `${model}: ${JSON.stringify(json)}`);
    said[model] = json.choices[0].message.content;
    const answer = JSON.parse(said[model]);
    assert.deepEqual(Object.keys(answer), ['city', 'sure'], model);
    assert.ok(['Paris', 'Rome'].includes(answer.city) && typeof answer.sure === 'boolean', said[model]);
  }
  assert.equal(said.speculate, said.large);
  const { status, json } = await server.chat({ messages: user(question), response_format: wanted({ not: schema }) });
  assert.equal(status, 400);
  assert.equal(json.error.param, 'response_format');
  assert.match(json.error.message, /unsupported keyword not/);
});

test('demand_47 speculation under a schema says what the large model says under it, byte for byte', { skip }, async (t) => {
  const text = (more) => ({ type: 'string', ...more });
  const object = (properties) => ({ type: 'object', properties, required: Object.keys(properties) });
  const schemas = [object({ answer: text({ maxLength: 30 }), sure: { type: 'boolean' } }),
    object({ steps: { type: 'array', items: text({ minLength: 1, maxLength: 12 }), minItems: 1, maxItems: 4 } }),
    object({ n: { type: 'integer', minimum: -50, maximum: 5000 }, unit: text({ pattern: '^[a-z]{1,8}$' }) }),
    object({ day: text({ format: 'date' }), note: text({ minLength: 3, maxLength: 40 }) })];
  let drafted = 0, accepted = 0;
  for (const schema of schemas) {
    for (const content of [question, 'Sort these numbers: 5, 3, 9, 1.', 'Reverse the word "stone".']) {
      const body = { messages: user(content), temperature: 0, max_tokens: 120,
        response_format: { type: 'json_schema', json_schema: { name: 'answer', strict: true, schema } } };
      const [exact, fast] = [await server.chat({ ...body, model: 'large' }), await server.chat({ ...body, model: 'speculate' })];
      assert.equal(fast.status, 200, JSON.stringify(fast.json));
      const [want, got] = [exact, fast].map((r) => r.json.choices[0]);
      assert.equal(got.message.content, want.message.content, `${JSON.stringify(schema)} ${content}`);
      assert.equal(got.finish_reason, want.finish_reason);
      if (got.finish_reason === 'stop') assert.deepEqual(Object.keys(JSON.parse(got.message.content)), schema.required);
      for (const call of fast.json.tandem.calls) {
        drafted += call.drafted;
        accepted += call.accepted;
      }
    }
  }
  assert.ok(accepted <= drafted);
  t.diagnostic(`${accepted} of ${drafted} drafted tokens accepted`);
});

test('demand_47 speculation says what the large model says, byte for byte, however much of it is drafted', { skip }, async (t) => {
  let drafted = 0, accepted = 0;
  for (const text of [question, 'Sort these numbers: 5, 3, 9, 1.', 'How many letters are in "banana"?', 'Hello!',
    'Convert 3 km to m.', 'Reverse the word "stone".']) {
    const [exact, fast] = await Promise.all(['large', 'speculate'].map((model) => server.chat({ model, messages: user(text) })));
    assert.equal(fast.json.choices[0].message.content, exact.json.choices[0].message.content, text);
    for (const call of fast.json.tandem.calls) {
      drafted += call.drafted;
      accepted += call.accepted;
    }
  }
  t.diagnostic(`${accepted} of ${drafted} drafted tokens accepted`);
  assert.ok(accepted <= drafted); // none, where drafts have been found not to pay
});

test('log-probabilities of local weights: joined bytes are the content, alternatives are sorted', { skip }, async () => {
  const whole = await client.chat.completions.create({ model: 'large', messages: user(question), logprobs: true, top_logprobs: 3 });
  const list = whole.choices[0].logprobs.content;
  assert.equal(Buffer.from(list.flatMap((e) => e.bytes)).toString(), whole.choices[0].message.content);
  for (const entry of list) {
    assert.ok(entry.logprob <= 0);
    assert.equal(entry.top_logprobs.length, 3);
    assert.equal(entry.top_logprobs[0].logprob, entry.logprob, 'greedy takes the most likely token');
    assert.ok(entry.top_logprobs[0].logprob >= entry.top_logprobs[1].logprob);
  }
});

test('equal seeds give equal answers, also for the second choice; temperature changes them', { skip }, async () => {
  const ask = (seed) => client.chat.completions.create({ model: 'small', messages: user('Write a sentence about the sea.'),
    temperature: 1.5, n: 2, seed, max_tokens: 40 }).then((r) => r.choices.map((c) => c.message.content));
  const [a, b] = [await ask(7), await ask(7)];
  assert.deepEqual(a, b);
  assert.notEqual(a[0], a[1]);
  assert.notDeepEqual(a, await ask(8));
});

test('n answers, decoded together: those of fewer choices and of a stream, and every call is in the receipt', { skip }, async () => {
  const body = (model, n) => ({ model, messages: user('Write a sentence about the sea.'), temperature: 1, n, seed: 11, max_tokens: 30 });
  const words = ({ json }) => json.choices.map((c) => c.message.content);
  for (const model of names) {
    const eight = await server.chat(body(model, 8));
    assert.equal(eight.status, 200, `${model}: ${JSON.stringify(eight.json)}`);
    const texts = words(eight);
    if (!['route', 'cascade', 'assistant', 'guarded', 'masked'].includes(model))
      assert.ok(new Set(texts).size > 3, `${model}: ${texts}`);
    assert.deepEqual(words(await server.chat(body(model, 3))), texts.slice(0, 3), model);
    assert.deepEqual(words(await server.chat(body(model, 1))), texts.slice(0, 1), model);
    const { events: list } = await chatStream(server, body(model, 8));
    assert.deepEqual(texts.map((_, i) => streamedText(list, i)), texts, model);
    const { calls } = await server.receipt(eight.json.tandem.receipt);
    assert.ok(calls.length >= 8, model);
    const answers = calls.filter((c) => c.purpose === 'answer' && c.status === 'ok');
    if (['small', 'large'].includes(model)) {
      assert.equal(answers.length, 8);
      assert.equal(answers.reduce((sum, c) => sum + c.completion_tokens, 0), eight.json.usage.completion_tokens);
    }
  }
});

test('concurrent requests give what they give alone', { skip }, async () => {
  const texts = Array.from({ length: 12 }, (_, i) => `What is ${i * 7 + 3} + ${i * 5 + 8}?`);
  const alone = [];
  for (const text of texts) alone.push((await server.chat({ model: 'large', messages: user(text) })).json.choices[0].message.content);
  const together = await Promise.all(texts.map((text) => server.chat({ model: 'large', messages: user(text) })));
  assert.deepEqual(together.map((r) => r.json.choices[0].message.content), alone);
});

test('what an earlier request has read of a prompt is told as cached, in the usage and in the receipt', { skip }, async () => {
  const text = `Remember: ${Array.from({ length: 40 }, (_, i) => i * 37).join(', ')}. What comes first?`;
  const cached = (json) => json.usage.prompt_tokens_details.cached_tokens;
  for (const model of ['large', 'speculate']) {
    const messages = user(`${model}: ${text}`);
    const [fresh, again] = [await server.chat({ model, messages }), await server.chat({ model, messages })].map((r) => r.json);
    assert.ok(cached(fresh) < 16 * 3, 'the beginning of the conversation format at most');
    assert.ok(cached(again) >= again.usage.prompt_tokens - 16 && cached(again) < again.usage.prompt_tokens);
    assert.equal(again.tandem.calls[0].cached_tokens, cached(again));
    assert.equal(again.choices[0].message.content, fresh.choices[0].message.content);
  }
});

test('a context that is too long is refused with its lengths', { skip }, async () => {
  const { status, json } = await server.chat({ model: 'large', messages: user('word '.repeat(20000)) });
  assert.deepEqual([status, json.error.code], [400, 'context_length_exceeded']);
  assert.match(json.error.message, /\d+ tokens/);
});

test('mask around local weights: the receipt counts what was hidden', { skip }, async () => {
  const { json } = await server.chat({ model: 'masked', messages: user('Please write to jane.doe@example.com.') });
  assert.deepEqual(json.tandem.left.entities, { EMAIL: 1 });
  assert.equal(json.tandem.left.requests, 0);
});

test('tandem ask', { skip }, () => {
  const done = command('ask', question);
  assert.deepEqual([done.status, done.stderr], [0, '']);
  assert.match(done.stdout, /^Paris.*\n$/);
  const receipt = command('ask', '--model', 'cascade', '--receipt', question);
  const json = JSON.parse(receipt.stderr.split('\n').find((line) => line.startsWith('{')));
  assert.equal(json.decisions[0].kind, 'cascade');
  assert.equal(json.decisions[0].signal, 'scorer');
  assert.ok(json.decisions[0].score > 0 && json.decisions[0].score < 1);
  assert.equal(json.state, 'complete');
});

test('tandem chat: a conversation on standard input', { skip }, () => {
  const done = tandem(['chat'], { cwd: empty, input: `${question}\n/new\n\n${question}\n/quit\nnot read\n` });
  assert.deepEqual([done.status, done.stderr], [0, '']);
  const lines = done.stdout.trim().split('\n');
  assert.equal(lines.length, 2);
  assert.equal(lines[0], lines[1]);
  assert.match(lines[0], /^Paris/);
});

test('tandem models and config', { skip }, () => {
  const models = command('models');
  for (const name of names) assert.match(models.stdout, new RegExp(`^${name} \\(`, 'm'));
  assert.match(models.stdout, /^large \(local\) llama, \d+\.\d+M parameters, \d+ tokens of context, \w+ kernels can: text/m);
  assert.match(models.stdout, /^assistant \(guard\)[^\n]*\n {2}(inner|judge): /m);
  const kinds = command('models', '--kinds').stdout;
  for (const kind of ['local', 'remote', 'script', 'cascade', 'route', 'speculate', 'fuse', 'guide', 'mask', 'guard'])
    assert.match(kinds, new RegExp(`^${kind}: `, 'm'));
  const config = command('config').stdout;
  assert.match(config, /^settings: embedded tandem\.yaml \(sha256:[0-9a-f]{64}\)$/m);
  assert.match(config, /^ {2}threshold: .*# embedded tandem\.yaml line \d+$/m);
  assert.match(config, /^ {2}workers: 16 {2}# default$/m);
});

// Whatever of an answer depended on memory that nobody has set ends that program with a report, and with status 99.
const unset = process.env.TANDEM_SANITIZER === 'memory' ? skip : 'looked for by tests/integration/sanitized memory';
test('S70 memory that nobody has set is in no answer: words, choices, probabilities, drafts, forms, masks, streams', { skip: unset }, async () => {
  const own = await startTandem(null, { cwd: empty });
  for (const model of names)
    for (const stream of [false, true]) {
      const logprobs = !['masked', 'guided', 'assistant', 'guarded'].includes(model);
      const { status, text } = await own.chat({ model, stream, messages: user(`${question} I am eve@example.org.`), temperature: stream ? 1 : 0,
        max_tokens: 12, n: stream ? 1 : 2, ...(logprobs && model !== 'route' && model !== 'cascade' && { logprobs: true, top_logprobs: 5 }) });
      assert.equal(status, 200, `${model}: ${text}`);
    }
  const formed = await own.chat({ model: 'speculate', messages: user(question), max_tokens: 40,
    response_format: { type: 'json_schema', json_schema: { name: 'x', schema: { enum: ['Paris', 'Rome'] } } } });
  assert.equal(formed.status, 200, formed.text);
  const { json } = await request(`${own.base}/models`);
  assert.ok(json.data.length >= names.length);
  await own.stop(); // which expects status 0
});

test('./run: prints an address and a command that works', { skip: long }, async () => {
  const one = await startTandem(null, { command: path.join(root, 'run') });
  await eventually('the words of welcome', () => /Stop with Ctrl-C/.test(one.stdout));
  const line = /^ {2}(curl .*)$/m.exec(one.stdout)[1];
  const answer = JSON.parse(execFileSync('bash', ['-c', line], { encoding: 'utf8' }));
  assert.match(answer.choices[0].message.content, /^Paris/);
  await one.stop();
});

test('demand_47 sampled speculation keeps the distribution of the large model; a mixture does not', { skip: long, timeout: 110000 }, () => {
  const kept = command('exact', '--prompts', '12', '--draws', '1200');
  assert.equal(kept.status, 0, kept.stdout + kept.stderr);
  assert.match(kept.stdout, /speculate keeps the distribution of large/);
  const mixed = command('exact', '--prompts', '12', '--draws', '1200', '--model', 'fused');
  assert.equal(mixed.status, 1, mixed.stdout);
  assert.match(mixed.stderr, /fused does not keep the distribution of large/);
});

test('demand_47 speculation gives the greedy answer of the large model, byte for byte', { skip: long, timeout: 110000 }, () => {
  const done = command('eval', 'gym', '--models', 'large,speculate', '--seed', '31', '--n', '240');
  assert.equal(done.status, 0, done.stderr);
  assert.match(done.stdout, /^equal to large +240\/240 +240\/240$/m);
});

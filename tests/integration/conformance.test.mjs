// The clients that people use, against every endpoint of three formats: the same question gives the same words, reason,
// calls and counts in all of them; what fails is raised by all of them, and asked again as often as we say.
import assert from 'node:assert/strict';
import net from 'node:net';
import test, { after, before } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { createOpenAI } from '@ai-sdk/openai';
import { ChatOpenAI, OpenAIEmbeddings } from '@langchain/openai';
import { embed, generateText } from 'ai';
import { clientsOf } from './clients.mjs';
import { eventually, hasPair, post, raw, rawPost, startTandem, user, withoutPair } from './lib.mjs';
import { chunk, delta, event, jsonAnswer, startUpstream, usage } from './upstream.mjs';

globalThis.AI_SDK_LOG_WARNINGS = false;
let server, upstream, clients;
before(async () => {
  upstream = await startUpstream();
  server = await startTandem(`
models:
  cloud: {kind: remote, url: "${upstream.url}", model: big-1, breaker: no}
  stubborn: {kind: retry, inner: cloud, base_ms: 1}
  private: {kind: mask, inner: cloud, level: 2}
  careful: {kind: guard, inner: cloud, scan: [input, output]}
  spent: {kind: budget, inner: team/cloud, calls: 1, window: total}
  slow: {kind: script, answers: ["late"], delay_ms: 300}
  team/cloud: {kind: script, answers: ["ok"]}
  pair: {kind: ${hasPair ? 'local, path: "embedded:small"' : 'script, answers: [x]'}}
serve: {workers: 32, max_body_bytes: 1048576}
`);
  clients = clientsOf(server);
});
after(async () => {
  await server.stop();
  await upstream.close();
});

const head = 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n';
const stream = (deltas, finish = 'stop') => [head, ...[delta({ role: 'assistant', content: '' }), ...deltas.map((d) => delta(d)), delta({}, finish), usage(9, 8), event('[DONE]')].map(chunk), '0\r\n\r\n'];
const call = (index, id, name, args) => ({ tool_calls: [{ index, id, type: 'function', function: { name, arguments: args } }] });
const more = (index, args) => ({ tool_calls: [{ index, function: { arguments: args } }] });
const q = { model: 'cloud', messages: user('hi'), max: 500 };
const failed = (promise) => Promise.resolve(promise).then((x) => assert.fail(`it should fail: ${JSON.stringify(x)}`), (e) => e);
const streaming = () => clients.filter((c) => c.way === 'stream');
const last = () => upstream.requests.at(-1).json;
// LangChain takes the count of an Anthropic stream's prompt from its first event, where it can only be estimated.
const countsPrompt = (c) => c.name !== 'LangChain anthropic stream';

async function all(expectation, question = q, list = clients) {
  for (const c of list) {
    const got = await c.ask(question).catch((e) => assert.fail(`${c.name}: ${e.stack}`));
    expectation(got, c);
  }
}

test('text, the reason why it ended, and what was counted', async () => {
  for (const finish of ['stop', 'length', 'content_filter']) {
    upstream.behaviour = () => stream([{ content: 'Hel' }, { content: 'lo "é😀"\n' }], finish);
    await all((got, c) => {
      assert.deepEqual([got.text, got.finish, got.calls], ['Hello "é😀"\n', finish, []], c.name);
      if (got.usage) assert.deepEqual([countsPrompt(c) ? got.usage.prompt : 9, got.usage.completion], [9, 8], c.name);
    });
  }
});

test('the sentence of a guard is seen by all clients', async () => {
  upstream.behaviour = () => stream([{ content: 'make a bomb' }, { content: ' like so' }]);
  await all((got, c) => {
    assert.equal(got.finish, 'content_filter', c.name);
    assert.ok(got.text.length > 10 && !got.text.includes('bomb'), `${c.name}: ${got.text}`);
  }, { ...q, model: 'careful' });
});

test('two calls of tools, and their results sent back', async () => {
  upstream.behaviour = (rq) => (rq.json.messages.at(-1).role === 'tool' ? stream([{ content: 'It rains at noon.' }])
    : stream([{ content: 'Look: ' }, call(0, 'call_a', 'weather', '{"ci'), more(0, 'ty":"Os'), more(0, 'lo"}'), call(1, 'call_b', 'now', '{}')], 'tool_calls'));
  const tools = { weather: { type: 'object', properties: { city: { type: 'string' } } }, now: { type: 'object', properties: {} } };
  const calls = [{ id: 'call_a', name: 'weather', input: { city: 'Oslo' } }, { id: 'call_b', name: 'now', input: {} }];
  await all((got, c) => assert.deepEqual([got.text, got.finish, got.calls], ['Look: ', 'tool_calls', calls], c.name), { ...q, tools });
  await all((got, c) => {
    assert.deepEqual([got.text, got.finish], ['It rains at noon.', 'stop'], c.name);
    assert.deepEqual(last().messages.slice(-2).map((m) => [m.role, m.tool_call_id, m.content]), [['tool', 'call_a', 'rain'], ['tool', 'call_b', 'noon']], c.name);
    assert.deepEqual(last().messages.at(-3).tool_calls.map((t) => [t.id, t.function.name, JSON.parse(t.function.arguments)]),
      [['call_a', 'weather', { city: 'Oslo' }], ['call_b', 'now', {}]], c.name);
    assert.equal(last().tools.length, 2);
  }, { ...q, tools, rounds: [{ calls, results: ['rain', 'noon'] }] });
});

test('thoughts are shown by every client that shows any, and are never words', async () => {
  upstream.behaviour = () => stream([{ reasoning_content: 'Let me ' }, { reasoning_content: 'think.' }, { content: 'Done.' }]);
  await all((got, c) => assert.deepEqual([got.text, got.thought, got.signed ?? true], 
    ['Done.', !c.thoughts ? '' : c.name === 'openai chat .stream()' ? 'think.' : 'Let me think.', true], c.name)); // that one keeps the last piece of a field it does not know
});

test('a masked answer is whole for all of them, streamed or not', async () => {
  upstream.behaviour = (rq) => stream([...`Dear ${/EMAIL_[A-Z0-9]+/.exec(rq.body)?.[0]}!`].map((content) => ({ content })));
  await all((got, c) => assert.equal(got.text, 'Dear bob@example.org!', c.name), { ...q, model: 'private', messages: user('write to bob@example.org') });
  assert.ok(!upstream.received.includes('bob@example.org'));
});

test('F13 an upstream that is cut: no client takes it for a whole answer', async () => {
  const recordings = [[delta({ content: 'Hel' }), delta({ content: 'lo' })], [delta(call(0, 'call_a', 'now', '{"a"')), delta(more(0, ':1}'))],
    [delta({ reasoning_content: 'Hm' }), delta({ content: 'Hello' })]];
  for (const events of recordings) for (const at of [1, events.length])
    for (const c of streaming()) {
      upstream.behaviour = () => ({ pieces: [head, ...events.slice(0, at).map(chunk)], cut: true });
      await failed(c.ask({ ...q, tools: { now: { type: 'object' } } }));
    }
  for (const c of clients.filter((x) => x.way === 'whole')) {
    upstream.behaviour = () => ({ pieces: [head, ...recordings[0].map(chunk)], cut: true });
    await failed(c.ask(q));
  }
});

test('an error in mid-stream is raised by all, with our words', async () => {
  upstream.behaviour = () => ({ pieces: [head, chunk(delta({ content: 'Hel' })), chunk(event({ error: { message: 'the engine is on fire', type: 'server_error' } }))], cut: true });
  for (const c of streaming()) {
    const e = await failed(c.ask(q));
    const told = [e.message, e.error?.message, e.cause?.message, JSON.stringify(e)].join(' ');
    assert.match(told, c.name === 'LangChain responses stream' ? /terminated/ : /fire|upstream/, `${c.name}: ${told}`); // that one has no eyes for error events
  }
});

// --- statuses

const error = (status, extra = '') => () => jsonAnswer(`${status} X`, { error: { message: 'm', type: 't' } }, extra);
// How each is caused: what the upstream says, or the question. Then what is seen: status, code, type of Messages.
const statuses = [
  ['a field out of range', {}, { ...q, headers: { 'x-tandem-trust': '9' } }, 400, 'invalid_value', 'invalid_request_error'],
  ['the input guard', {}, { ...q, model: 'careful', messages: user('Tell me how to make a bomb.') }, 400, 'content_filter', 'invalid_request_error'],
  ['a request the upstream refuses', error(422), q, 400, 'upstream_rejected', 'invalid_request_error'],
  ['nothing may leave', {}, { ...q, headers: { 'x-tandem-privacy': 'local' } }, 403, 'privacy_refused', 'permission_error'],
  ['no such model', {}, { ...q, model: 'clod' }, 404, 'model_not_found', 'not_found_error'],
  ['a body that is too large', {}, { ...q, messages: user('x'.repeat(1100000)) }, 413, 'request_too_large', 'request_too_large'],
  ['the upstream is busy', error(429, 'retry-after: 1\r\n'), q, 429, 'rate_limit_exceeded', 'rate_limit_error'],
  ['the key of the upstream is dead', error(401), q, 502, 'upstream_auth', 'api_error'],
  ['the upstream is broken', error(500), q, 502, 'upstream_error', 'api_error'],
  ['the budget is spent', {}, { ...q, model: 'spent' }, 402, 'insufficient_quota', 'billing_error'],
  ['the upstream is gone', error(503), q, 502, 'upstream_error', 'api_error'],
  ['a deadline that is strict', {}, { ...q, model: 'slow', headers: { 'x-tandem-max-latency-ms': '20', 'x-tandem-strict': 'true' } }, 504, 'deadline_exceeded', 'timeout_error'],
  ['a body that is no stream', () => jsonAnswer('200 OK', '<html>'), q, 502, 'bad_upstream_body', 'api_error'],
];
const statusOf = (e) => e.status ?? e.statusCode ?? e.lc_error_code ?? e.response?.status ?? e.cause?.status;

test('every status, as each client sees it', async () => {
  await server.chat({ model: 'spent', messages: user('x') });
  for (const [why, behaviour, question, status, code, type] of statuses) {
    upstream.behaviour = typeof behaviour === 'function' ? behaviour : () => stream([{ content: 'x' }]);
    for (const c of clients) {
      if (question.headers && c.family === 'LangChain') continue; // its models take headers when they are made
      const e = await failed(c.ask(question));
      assert.equal(statusOf(e), status, `${why}, ${c.name}: ${e.constructor.name} ${e.message}`);
      if (c.family === 'openai') assert.deepEqual([e.code, Boolean(e.requestID)], [code, true], `${why}, ${c.name}`);
      if (c.family === 'anthropic') assert.deepEqual([e.error.error.type, Boolean(e.requestID)], [type, true], `${why}, ${c.name}`);
      if (c.family === 'AI') assert.match(e.responseBody, c.format === 'messages' ? new RegExp(type) : new RegExp(code), `${why}, ${c.name}`);
      if (c.family === 'AI') assert.notEqual(e.message, 'Bad Request', 'the sentence arrives');
    }
  }
});

test('the classes of errors of the official clients', async () => {
  const oa = new OpenAI({ baseURL: server.base, apiKey: 'k', maxRetries: 0 }), an = new Anthropic({ baseURL: server.origin, apiKey: 'k', maxRetries: 0 });
  const body = { model: 'cloud', messages: user('x') };
  const cases = [[error(422), {}, 'BadRequestError'], [error(200), { tandem: { privacy: 4 } }, 'PermissionDeniedError'], [error(200), { model: 'no' }, 'NotFoundError'],
    [error(429, 'retry-after: 1\r\n'), {}, 'RateLimitError'], [error(500), {}, 'InternalServerError']];
  for (const [behaviour, extra, name] of cases) {
    upstream.behaviour = behaviour;
    assert.equal((await failed(oa.chat.completions.create({ ...body, ...extra }))).constructor.name, name);
    assert.equal((await failed(oa.responses.create({ model: 'cloud', input: 'x', ...extra }))).constructor.name, name);
    assert.equal((await failed(an.messages.create({ ...body, max_tokens: 9, ...extra }))).constructor.name, name);
  }
});

test('a key that is wrong, as each client sees it', async () => {
  const locked = await startTandem('models: {hello: {kind: script, answers: [hi]}}\nserve: {keys: ["env:A_KEY"]}\n', { env: { A_KEY: 'another' } });
  for (const c of clientsOf(locked)) {
    const e = await failed(c.ask({ ...q, model: 'hello' }));
    assert.equal(statusOf(e), 401, `${c.name}: ${e.message}`);
    if (c.family === 'openai') assert.deepEqual([e.constructor.name, e.code, e.headers.get('www-authenticate')], ['AuthenticationError', 'invalid_api_key', 'Bearer'], c.name);
    if (c.family === 'anthropic') assert.deepEqual([e.constructor.name, e.error.error.type], ['AuthenticationError', 'authentication_error'], c.name);
  }
  await locked.stop();
});

// --- how often a client asks again

const oneOf = (name) => clients.find((c) => c.name === name);
async function tries(name, behaviour, model = 'cloud') {
  upstream.behaviour = behaviour;
  const before = upstream.requests.length, started = performance.now();
  await failed(oneOf(name).ask({ ...q, model, retries: 2 }));
  return [upstream.requests.length - before, performance.now() - started];
}

test('clients ask again as often as they are told, as soon as they are told', async () => {
  for (const name of ['openai chat create', 'openai responses create', 'anthropic create', 'AI SDK compatible generateText', 'AI SDK anthropic generateText']) {
    const official = !name.startsWith('AI');
    const [soon, ms] = await tries(name, error(429, 'retry-after-ms: 20\r\n'));
    assert.equal(soon, 3, name);
    assert.ok(ms < 1500, `${name}: ${ms}`);
    if (official) assert.equal((await tries(name, error(401)))[0], 1, `${name}: x-should-retry is false`);
    if (official) assert.equal((await tries(name, error(429, 'retry-after: 90\r\n')))[0], 1, `${name}: a wait of 90 seconds`);
    assert.equal((await tries(name, error(422)))[0], 1, name);
  }
  assert.equal((await tries('LangChain chat invoke', error(422)))[0], 1);
  assert.equal((await tries('LangChain anthropic invoke', error(422)))[0], 1);
});

test('after the server has asked again itself, clients are told not to', async () => {
  for (const name of ['openai chat create', 'openai responses create', 'anthropic create']) {
    const [n] = await tries(name, error(429, 'retry-after-ms: 1\r\n'), 'stubborn');
    assert.ok(n >= 2 && n <= 3, `${name}: ${n}`);
  }
  upstream.behaviour = error(500);
  const e = await failed(new OpenAI({ baseURL: server.base, apiKey: 'k', maxRetries: 0 }).chat.completions.create({ model: 'stubborn', messages: user('x') }));
  assert.deepEqual([e.status, e.headers.get('x-should-retry')], [502, 'false']);
  const once = await failed(new OpenAI({ baseURL: server.base, apiKey: 'k', maxRetries: 0 }).chat.completions.create({ model: 'cloud', messages: user('x') }));
  assert.deepEqual([once.status, once.headers.get('x-should-retry')], [502, 'true']);
  const before = upstream.requests.length; // and for a client's own second try the upstream is asked once
  const second = await server.chat({ model: 'stubborn', messages: user('x') }, { 'x-stainless-retry-count': '1' });
  assert.deepEqual([second.status, upstream.requests.length - before], [502, 1]);
});

// --- wishes and receipts

test('wishes arrive from every client, and receipts come back', async () => {
  upstream.behaviour = () => stream([{ content: 'ok' }]);
  const oa = new OpenAI({ baseURL: server.base, apiKey: 'k', maxRetries: 0 }), an = new Anthropic({ baseURL: server.origin, apiKey: 'k', maxRetries: 0 });
  const body = { model: 'private', messages: user('x') }, wish = { tandem: { privacy: 'secrets' } };
  const privacyOf = async (id) => (await server.receipt(id)).objective.privacy;
  const chat = await oa.chat.completions.create({ ...body, ...wish });
  const streamed = await oa.chat.completions.stream({ ...body, ...wish, stream_options: { include_usage: true } }).finalChatCompletion();
  const responses = await oa.responses.create({ model: 'private', input: 'x', ...wish });
  const messages = await an.messages.create({ ...body, max_tokens: 9, ...wish });
  const early = await an.messages.stream({ ...body, max_tokens: 9, ...wish }).finalMessage();
  for (const a of [chat, streamed, responses, messages]) assert.deepEqual([a.tandem.objective.privacy, await privacyOf(a.tandem.receipt)], [1, 1]);
  assert.equal(await privacyOf(early.tandem.receipt), 1);
  const header = await oa.chat.completions.create({ ...body, tandem: { quality: 0.2, privacy: 1 } }, { headers: { 'x-tandem-quality': '0.5', 'x-tandem-privacy': '0' } });
  assert.deepEqual([header.tandem.objective.quality, header.tandem.objective.privacy], [0.5, 1], 'the tightest counts');
  const named = await oa.chat.completions.create({ ...body, model: 'private@privacy=1,quality=0.5' });
  assert.deepEqual([named.tandem.objective.privacy, named.tandem.objective.quality, named.model], [1, 0.5, 'cloud']);
  assert.equal((await failed(oa.chat.completions.create({ ...body, model: 'private@privcy=1' }))).status, 400);
  const lc = await new ChatOpenAI({ model: 'private', apiKey: 'k', maxRetries: 0, configuration: { baseURL: server.base }, modelKwargs: wish, __includeRawResponse: true }).invoke('x');
  assert.equal(lc.additional_kwargs.__raw_response.tandem.objective.privacy, 1);
  const extractor = { extractMetadata: async ({ parsedBody }) => ({ tandem: parsedBody.tandem }), createStreamExtractor: () => ({ processChunk() {}, buildMetadata: () => undefined }) };
  const ai = createOpenAICompatible({ name: 'tandem', baseURL: server.base, apiKey: 'k', metadataExtractor: extractor });
  const r = await generateText({ model: ai('private'), prompt: 'x', maxRetries: 0, providerOptions: { tandem: wish } });
  assert.equal(r.providerMetadata.tandem.objective.privacy, 1);
  const far = await oneOf('AI SDK anthropic generateText').ask({ ...q, model: 'private', headers: { 'x-tandem-privacy': '1' } });
  assert.equal(await privacyOf(far.result.response.headers['x-tandem-receipt']), 1);
  for (const create of [() => oa.chat.completions.create({ ...body, tandem: { privcy: 1 } }), () => oa.responses.create({ model: 'cloud', input: 'x', tandem: { privcy: 1 } }),
    () => an.messages.create({ ...body, max_tokens: 9, tandem: { privcy: 1 } })]) {
    const e = await failed(create());
    assert.ok(e.status === 400 && /nearest: .{0,2}privacy/.test(e.message), e.message);
  }
});

test('models: both official clients list them, and a name with a slash is found', async () => {
  const oa = new OpenAI({ baseURL: server.base, apiKey: 'k', maxRetries: 0 }), an = new Anthropic({ baseURL: server.origin, apiKey: 'k', maxRetries: 0 });
  const names = async (list) => { const all = []; for await (const m of list) all.push(m.id); return all; };
  const ours = await names(oa.models.list());
  assert.deepEqual(await names(an.models.list()), ours);
  assert.ok(ours.includes('team/cloud'));
  assert.equal((await oa.models.retrieve('team/cloud')).id, 'team/cloud');
  assert.equal((await an.models.retrieve('team/cloud')).display_name, 'team/cloud');
});

test('demand_51_tokens_that_were_counted_are_tokens_that_are_used', { skip: withoutPair }, async () => {
  const an = new Anthropic({ baseURL: server.origin, apiKey: 'k', maxRetries: 0 }), oa = new OpenAI({ baseURL: server.base, apiKey: 'k', maxRetries: 0 });
  const n = (await an.messages.countTokens({ model: 'pair', messages: user('What is 2 + 2?') })).input_tokens;
  assert.equal((await oa.responses.inputTokens.count({ model: 'pair', input: 'What is 2 + 2?' })).input_tokens, n);
  await all((got, c) => { if (got.usage && countsPrompt(c)) assert.equal(got.usage.prompt, n, c.name); }, { model: 'pair', messages: user('What is 2 + 2?'), max: 2 });
});

test('logprobs: the bytes joined are the words', { skip: withoutPair }, async () => {
  const oa = new OpenAI({ baseURL: server.base, apiKey: 'k', maxRetries: 0 });
  const bytes = (list) => Buffer.from(list.flatMap((t) => t.bytes)).toString();
  const ask = { model: 'pair', temperature: 0 };
  const chat = await oa.chat.completions.create({ ...ask, messages: user('What is 2 + 2?'), logprobs: true, top_logprobs: 3, max_tokens: 8 });
  const responses = await oa.responses.create({ ...ask, input: 'What is 2 + 2?', top_logprobs: 3, max_output_tokens: 8 });
  const [part] = responses.output[0].content;
  assert.equal(bytes(chat.choices[0].logprobs.content), chat.choices[0].message.content);
  assert.equal(part.text, chat.choices[0].message.content);
  assert.deepEqual(part.logprobs, chat.choices[0].logprobs.content);
});

test('embeddings: base64 and numbers, every client, the same vector', { skip: withoutPair }, async () => {
  const oa = new OpenAI({ baseURL: server.base, apiKey: 'k', maxRetries: 0 }), input = 'a small red house';
  const wish = async (encoding_format) => (await post(`${server.base}/embeddings`, { model: 'pair', input, ...(encoding_format ? { encoding_format } : {}) })).json.data[0].embedding;
  const floats = await wish('float'), coded = await wish('base64');
  assert.ok(Array.isArray(floats) && typeof coded === 'string' && Array.isArray(await wish()), 'as asked, numbers when nothing is said');
  const bytes = Buffer.from(coded, 'base64');
  const vectors = { base64: Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(4 * i)),
    openai: (await oa.embeddings.create({ model: 'pair', input })).data[0].embedding,
    'openai, floats': (await oa.embeddings.create({ model: 'pair', input, encoding_format: 'float' })).data[0].embedding,
    LangChain: await new OpenAIEmbeddings({ model: 'pair', apiKey: 'k', maxRetries: 0, configuration: { baseURL: server.base } }).embedQuery(input),
    'AI SDK compatible': (await embed({ model: createOpenAICompatible({ name: 'tandem', baseURL: server.base, apiKey: 'k' }).textEmbeddingModel('pair'), value: input, maxRetries: 0 })).embedding,
    'AI SDK openai': (await embed({ model: createOpenAI({ baseURL: server.base, apiKey: 'k' }).embedding('pair'), value: input, maxRetries: 0 })).embedding };
  for (const [name, vector] of Object.entries(vectors)) {
    assert.equal(vector.length, floats.length, name);
    assert.ok(vector.every((x, i) => Math.abs(x - floats[i]) < 1e-7), name);
  }
});

test('completions: the echo of a prompt has arrays of equal length; streams say what whole answers say', { skip: withoutPair }, async () => {
  const oa = new OpenAI({ baseURL: server.base, apiKey: 'k', maxRetries: 0 });
  const body = { model: 'pair', prompt: 'The sum of 2 and 2', max_tokens: 4, temperature: 0, logprobs: 2 };
  const { choices: [choice], usage: used } = await oa.completions.create({ ...body, echo: true });
  const { tokens, token_logprobs: logprobs, top_logprobs: tops, text_offset: offsets } = choice.logprobs;
  assert.deepEqual([logprobs.length, tops.length, offsets.length], [tokens.length, tokens.length, tokens.length]);
  assert.equal(tokens.length, used.total_tokens);
  assert.ok(choice.text.startsWith(body.prompt));
  const whole = (await oa.completions.create(body)).choices[0];
  let text = '', finish;
  for await (const part of await oa.completions.create({ ...body, stream: true })) {
    text += part.choices[0].text; // without include_usage there always is one
    finish = part.choices[0].finish_reason ?? finish;
  }
  assert.deepEqual([text, finish], [whole.text, whole.finish_reason]);
});

// --- leaving, and bytes

test('F29 a client that stops listening: the upstream is closed', async () => {
  upstream.behaviour = () => ({ pieces: [head, ...Array(1000).fill(chunk(delta({ content: 'word ' })))], delay: 5 });
  for (const c of streaming()) {
    const controller = new AbortController();
    let n = 0, left;
    const asked = upstream.requests.length;
    await c.ask({ ...q, signal: controller.signal, seen: () => { if (++n === 3) { left = performance.now(); controller.abort(); } } }).catch(() => {});
    assert.ok(left, `${c.name} has seen three pieces`);
    const closed = await eventually(`${c.name}: the upstream is closed`, () => upstream.requests[asked].closedAt, 2000);
    assert.ok(closed - left < 500, `${c.name}: ${closed - left} ms`);
  }
});

function arrivals(bytes) {
  const parts = [];
  return new Promise((resolve) => {
    const socket = net.connect(server.port, '127.0.0.1', () => socket.write(bytes));
    socket.on('data', (d) => parts.push({ ms: performance.now(), text: d.toString() }));
    socket.on('close', () => resolve(parts));
  });
}

test('F29 the receipt of an answer that its client has left says cancelled', async () => {
  upstream.behaviour = () => ({ pieces: [head, ...Array(1000).fill(chunk(delta({ content: 'word ' })))], delay: 5 });
  const oa = new OpenAI({ baseURL: server.base, apiKey: 'k', maxRetries: 0 }), an = new Anthropic({ baseURL: server.origin, apiKey: 'k', maxRetries: 0 });
  const body = { model: 'cloud', messages: user('x'), stream: true };
  for (const create of [() => oa.chat.completions.create(body), () => oa.responses.create({ model: 'cloud', input: 'x', stream: true }), () => an.messages.create({ ...body, max_tokens: 9000 })]) {
    const { data, response } = await create().withResponse();
    let n = 0;
    for await (const part of data) if (part && ++n === 8) break;
    data.controller.abort();
    const id = response.headers.get('x-tandem-receipt');
    await eventually('the receipt', async () => (await server.receipt(id)).state === 'cancelled', 2000);
  }
});

test('bytes of every format: the first event comes with the head, nothing is held back, HTTP/1.0, one after the other', async () => {
  for (const target of ['/v1/chat/completions', '/v1/responses', '/v1/messages']) {
    upstream.behaviour = () => ({ pieces: [head, chunk(delta({ content: 'a' })), chunk(delta({ content: 'b' })), chunk(delta({}, 'stop')), chunk(event('[DONE]')), '0\r\n\r\n'], delay: 15 });
    const body = { model: 'cloud', stream: true, max_tokens: 9, ...(target.endsWith('responses') ? { input: 'x' } : { messages: user('x') }) };
    const parts = await arrivals(rawPost(server.port, body, { path: target, headers: ['Connection: close'] }));
    const first = parts.find((x) => x.text.includes('data: '));
    assert.ok(first.ms - parts[0].ms < 20, `${target}: the first event comes with the head`);
    assert.ok(parts.length > 2, `${target}: words are not held back`);
    const old = await raw(server.port, rawPost(server.port, body, { path: target, version: '1.0' }));
    assert.ok(!/transfer-encoding/i.test(old.bytes) && old.ended === 'end', `${target}: HTTP/1.0 ends with the connection`);
    const two = rawPost(server.port, { ...body, stream: false }, { path: target }) + rawPost(server.port, body, { path: target, headers: ['Connection: close'] });
    const both = await raw(server.port, two);
    assert.equal(both.bytes.match(/HTTP\/1\.1 200/g).length, 2, `${target}: one after the other on one connection`);
    assert.ok(both.bytes.endsWith('0\r\n\r\n'));
  }
});

test('tandem.trace: who wrote each piece, in the streams of four formats, and the clients read on', async () => {
  upstream.behaviour = () => stream([{ content: 'Hel' }, { content: 'lo' }]);
  const oa = new OpenAI({ baseURL: server.base, apiKey: 'k', maxRetries: 0 }), an = new Anthropic({ baseURL: server.origin, apiKey: 'k', maxRetries: 0 });
  const trace = { tandem: { trace: true } }, messages = user('hi'), model = 'cloud';
  const read = async (promise, words) => {
    const found = [];
    for await (const e of await promise) if (words(e)) found.push([words(e), e.tandem?.author]);
    return found;
  };
  const ways = (more) => [
    read(oa.chat.completions.create({ model, messages, stream: true, ...more }), (e) => e.choices[0].delta.content),
    read(oa.responses.create({ model, input: 'hi', stream: true, ...more }), (e) => e.type === 'response.output_text.delta' && e.delta),
    read(an.messages.create({ model, messages, max_tokens: 9, stream: true, ...more }), (e) => e.type === 'content_block_delta' && e.delta.text)];
  for (const found of await Promise.all(ways(trace))) assert.deepEqual(found, [['Hel', 'cloud'], ['lo', 'cloud']]);
  for (const found of await Promise.all(ways({}))) assert.deepEqual(found, [['Hel', undefined], ['lo', undefined]]);
  const raw = (more) => read(oa.completions.create({ model: 'slow', prompt: 'hi', stream: true, ...more }), (e) => e.choices[0].text);
  const traced = await raw(trace);
  assert.deepEqual([traced.map(([text]) => text).join(''), ...new Set(traced.map(([, author]) => author))], ['late', 'slow']);
  assert.ok((await raw({})).every(([, author]) => author === undefined));
  assert.equal((await oa.responses.stream({ model, input: 'hi', ...trace }).finalResponse()).output_text, 'Hello');
  assert.equal(await an.messages.stream({ model, messages, max_tokens: 9, ...trace }).finalText(), 'Hello');
});

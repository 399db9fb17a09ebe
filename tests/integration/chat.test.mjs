// Chat completions as clients see them: text, order of a stream, receipts, errors, keys, and HTTP itself. Models are
// scripts, so that every byte of an answer is known.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, readFileSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import test, { after, before } from 'node:test';
import OpenAI from 'openai';
import {
  chatStream, events, post, raw, rawPost, request, sanitized, sleep, startTandem, streamedText, tandem,
  user,
} from './lib.mjs';

const settings = `
models:
  hello: {kind: script, answers: ["Hello world"], chunk: 6}
  draws: {kind: script, answers: ["first answer", "second answer"], turn: draw}
  sure: {kind: script, answers: ["Hello world"], chunk: 6, logprob: -0.5}
  wide: {kind: script, answers: ["a😀é漢字z"], chunk: 1}
  empty: {kind: script, answers: [""]}
  rules: {kind: script, file: rules.json, record: requests.jsonl}
  slow: {kind: script, answers: ["0123456789"], chunk: 1, delay_ms: 30}
  team/one: {kind: script, answers: ["from a name with a slash"]}
  secret: {kind: script, answers: ["hidden"], hidden: yes}
serve: {default: hello, max_body_bytes: 33554432}
`;
const rules = JSON.stringify([
  { match: 'fail at once', answer: '', error: 'upstream_error' },
  { match: 'fail late', answer: 'half an ans', error: 'upstream_truncated', chunk: 4 },
  { match: 'limited', answer: '', error: 'rate_limit_exceeded' },
  { match: 'no access', answer: '', error: 'upstream_auth' },
  { answer: 'matched nothing' },
]);
let server, client;
before(async () => {
  server = await startTandem(settings, { files: { 'rules.json': rules } });
  client = new OpenAI({ baseURL: server.base, apiKey: 'any', maxRetries: 0 });
});
after(() => server.stop());

// --- answers

test('whole: text, usage, receipt in body, header and by its id', async () => {
  const { status, headers, json } = await server.chat({ model: 'hello', messages: user('hi') });
  assert.equal(status, 200);
  assert.match(json.id, /^chatcmpl-[0-9A-Za-z]{24}$/);
  assert.equal(json.object, 'chat.completion');
  assert.equal(json.model, 'hello');
  assert.match(json.system_fingerprint, /^tdm_[0-9a-f]+$/);
  assert.ok(Math.abs(json.created - Date.now() / 1000) < 60);
  assert.deepEqual(json.choices, [{
    index: 0, message: { role: 'assistant', content: 'Hello world', refusal: null }, logprobs: null, finish_reason: 'stop',
  }]);
  assert.equal(json.usage.completion_tokens, 2);
  assert.equal(json.usage.total_tokens, json.usage.prompt_tokens + 2);
  assert.match(json.tandem.receipt, /^rcp_[0-9A-Za-z]{24}$/);
  assert.equal(headers['x-tandem-receipt'], json.tandem.receipt);
  assert.equal(headers['x-tandem-served'], 'hello');
  assert.equal(headers['x-tandem-requested'], 'hello');
  assert.equal(headers['content-type'], 'application/json');
  assert.match(headers['openai-processing-ms'], /^\d+$/);
  const stored = await request(`${server.base}/receipts/${json.tandem.receipt}`);
  assert.equal(stored.headers['cache-control'], 'private');
  assert.deepEqual(stored.json, json.tandem);
  assert.equal(stored.json.state, 'complete');
  assert.deepEqual(stored.json.calls.map((c) => [c.model, c.purpose, c.status]), [['hello', 'answer', 'ok']]);
  assert.deepEqual(stored.json.left, {
    requests: 0, bytes: 0, to: [], level: 0, method: 'none', entities: {}, restored: 0, missed_restores: 0, damaged: 0,
  });
});

test('receipts hold no text of the prompt or the answer', async () => {
  const { json } = await server.chat({ model: 'hello', messages: user('a question with the word albatross') });
  const stored = await request(`${server.base}/receipts/${json.tandem.receipt}`);
  assert.doesNotMatch(stored.text, /albatross|Hello|world/);
  for (const hash of ['request', 'answer']) assert.match(stored.json.hashes[hash], /^hmac-sha256:[0-9a-f]{64}$/);
  assert.doesNotMatch(server.stderr, /albatross|Hello world/);
});

test('stream: role, content, finish with the receipt, [DONE]; never empty choices', async () => {
  const { headers, text, events: list } = await chatStream(server, { model: 'hello', messages: user('hi') });
  assert.equal(headers['content-type'], 'text/event-stream; charset=utf-8');
  assert.equal(headers['cache-control'], 'no-cache');
  assert.equal(headers['x-accel-buffering'], 'no');
  assert.equal(list.at(-1), '[DONE]');
  assert.ok(text.endsWith('data: [DONE]\n\n'));
  const chunks = list.slice(0, -1);
  assert.deepEqual(chunks.map((c) => c.choices.map((x) => [x.index, x.delta, x.finish_reason])), [
    [[0, { role: 'assistant', content: '' }, null]],
    [[0, { content: 'Hello ' }, null]],
    [[0, { content: 'world' }, null]],
    [[0, {}, 'stop']],
  ]);
  for (const c of chunks) {
    assert.equal(c.object, 'chat.completion.chunk');
    assert.equal('usage' in c, false);
    assert.deepEqual([c.id, c.created, c.model, c.system_fingerprint],
      [chunks[0].id, chunks[0].created, 'hello', chunks[0].system_fingerprint]);
  }
  assert.deepEqual(chunks.map((c) => 'tandem' in c), [false, false, false, true]);
  assert.equal(chunks.at(-1).tandem.receipt, headers['x-tandem-receipt']);
  assert.deepEqual(await server.receipt(headers['x-tandem-receipt']), chunks.at(-1).tandem);
});

test('stream: the usage chunk only with include_usage, last, with the receipt', async () => {
  const { events: list } = await chatStream(server, {
    model: 'hello', messages: user('hi'), stream_options: { include_usage: true },
  });
  const chunks = list.slice(0, -1);
  assert.deepEqual(chunks.slice(0, -1).map((c) => c.usage), [null, null, null, null]);
  assert.deepEqual(chunks.at(-1).choices, []);
  assert.equal(chunks.at(-1).usage.completion_tokens, 2);
  assert.deepEqual(chunks.at(-1).tandem, chunks.at(-2).tandem);
  assert.equal(list.at(-1), '[DONE]');
});

test('stream: whole characters only, whatever the pieces', async () => {
  const { events: list } = await chatStream(server, { model: 'wide', messages: user('hi') });
  assert.equal(streamedText(list), 'a😀é漢字z');
  const pieces = list.slice(1, -2).map((c) => c.choices[0].delta.content);
  assert.deepEqual(pieces, ['a', '😀', 'é', '漢', '字', 'z']);
});

test('an empty answer is complete, streamed and not', async () => {
  const whole = await server.chat({ model: 'empty', messages: user('hi') });
  assert.equal(whole.json.choices[0].message.content, '');
  const { events: list } = await chatStream(server, { model: 'empty', messages: user('hi') });
  assert.deepEqual(list.slice(0, -1).map((c) => c.choices[0].delta), [{ role: 'assistant', content: '' }, {}]);
  assert.equal(list.at(-1), '[DONE]');
});

test('n = 2: one choice per index, each its own draw; the receipt on the last finish', async () => {
  const whole = await server.chat({ model: 'draws', messages: user('hi'), n: 2 });
  assert.deepEqual(whole.json.choices.map((c) => [c.index, c.message.content]),
    [[0, 'first answer'], [1, 'second answer']]);
  const { events: list } = await chatStream(server, { model: 'draws', messages: user('hi'), n: 2 });
  assert.equal(streamedText(list, 0), 'first answer');
  assert.equal(streamedText(list, 1), 'second answer');
  const finished = list.filter((c) => c.choices?.[0]?.finish_reason);
  assert.deepEqual(finished.map((c) => c.choices[0].index).sort(), [0, 1]);
  assert.deepEqual(finished.map((c) => 'tandem' in c), [false, true]);
  const roles = list.filter((c) => c.choices?.[0]?.delta.role);
  assert.deepEqual(roles.map((c) => c.choices[0].index), [0, 1]);
});

test('n answers come side by side: their pieces are mixed, each is whole, the receipt has every call', async () => {
  const body = { model: 'slow', messages: user('hi'), n: 4, stream_options: { include_usage: true } };
  const started = performance.now();
  const { events: list } = await chatStream(server, body);
  const ms = performance.now() - started;
  const alone = 10 * 30;
  if (!sanitized) assert.ok(ms < 3 * alone, `${ms} ms for 4 answers of ${alone} ms each`);
  const pieces = list.filter((c) => c.choices?.[0]?.delta.content).map((c) => c.choices[0].index);
  assert.ok(pieces.filter((index, i) => i && index !== pieces[i - 1]).length > 8, `${pieces}`);
  for (let i = 0; i < 4; i++) assert.equal(streamedText(list, i), '0123456789');
  const count = (pick) => list.filter((c) => c.choices?.[0] && pick(c.choices[0])).length;
  assert.equal(count((c) => c.delta.role), 4);
  assert.equal(count((c) => c.finish_reason), 4);
  const last = list.filter((c) => c.choices?.[0]?.finish_reason).at(-1);
  const { usage } = list.at(-2);
  assert.equal(last.tandem.calls.length, 4);
  assert.equal(usage.completion_tokens, last.tandem.calls.reduce((sum, c) => sum + c.completion_tokens, 0));
  const whole = await server.chat({ ...body, stream_options: undefined });
  assert.deepEqual(whole.json.choices.map((c) => [c.index, c.message.content, c.finish_reason]),
    [0, 1, 2, 3].map((i) => [i, '0123456789', 'stop']));
  assert.equal(whole.json.usage.completion_tokens, usage.completion_tokens);
});

test('stop strings and max_tokens', async () => {
  const stopped = await server.chat({ model: 'hello', messages: user('hi'), stop: ['xyz', 'wor'] });
  assert.deepEqual([stopped.json.choices[0].message.content, stopped.json.choices[0].finish_reason], ['Hello ', 'stop']);
  const { events: list } = await chatStream(server, { model: 'hello', messages: user('hi'), stop: 'lo w' });
  assert.equal(streamedText(list), 'Hel');
  const cut = await server.chat({ model: 'hello', messages: user('hi'), max_tokens: 1.0 });
  assert.deepEqual([cut.json.choices[0].message.content, cut.json.choices[0].finish_reason], ['Hello ', 'length']);
  assert.equal(cut.json.tandem.state, 'incomplete');
  const smaller = await server.chat({ model: 'hello', messages: user('hi'), max_tokens: 9, max_completion_tokens: 1 });
  assert.equal(smaller.json.choices[0].finish_reason, 'length');
});

test('logprobs: the joined bytes are the content; a model without them says so', async () => {
  const whole = await server.chat({ model: 'sure', messages: user('hi'), logprobs: true });
  const list = whole.json.choices[0].logprobs.content;
  assert.equal(Buffer.from(list.flatMap((e) => e.bytes)).toString(), 'Hello world');
  assert.deepEqual(list.map((e) => [e.token, e.logprob]), [['Hello ', -0.5], ['world', -0.5]]);
  const streamed = await chatStream(server, { model: 'sure', messages: user('hi'), logprobs: true });
  const bytes = streamed.events.filter((e) => e !== '[DONE]').flatMap((e) => e.choices[0].logprobs?.content ?? [])
    .flatMap((e) => e.bytes);
  assert.equal(Buffer.from(bytes).toString(), 'Hello world');
  const without = await server.chat({ model: 'hello', messages: user('hi'), logprobs: true });
  assert.equal(without.json.choices[0].logprobs, null);
  assert.equal(without.headers['x-tandem-warnings'], 'parameter_ignored=logprobs');
  assert.equal(without.json.tandem.warnings[0].code, 'parameter_ignored');
});

test('null equals absent; unknown fields are ignored; unused parameters are told', async () => {
  const { status, headers, json } = await server.chat({
    model: null, messages: user('hi'), max_tokens: null, temperature: null, stop: null, n: null, stream: null, tools: null,
    tandem: null, frequency_penalty: 0.5, user: 'u1', something_new: { a: [1] }, metadata: { k: 'v' },
  });
  assert.equal(status, 200);
  assert.equal(json.model, 'hello');
  assert.equal(headers['x-tandem-warnings'], 'parameter_ignored=frequency_penalty');
});

test('roles and text parts reach the model as they were sent', async () => {
  await server.chat({
    model: 'rules', messages: [
      { role: 'developer', content: 'rule' }, { role: 'user', content: [{ type: 'text', text: 'part one, ' },
        { type: 'input_text', text: 'part two' }] }, { role: 'assistant', content: null }, { role: 'tool', content: '42' },
      { role: 'user', content: 'nul \u0000 and "quotes"\n' }],
  });
  const last = JSON.parse(readFileSync(path.join(server.dir, 'requests.jsonl'), 'utf8').trim().split('\n').at(-1));
  assert.deepEqual(last.messages, [
    { role: 'system', content: 'rule' }, { role: 'user', content: 'part one, part two' },
    { role: 'assistant', content: '' }, { role: 'tool', content: '42' },
    { role: 'user', content: 'nul \u0000 and "quotes"\n' },
  ]);
});

// --- the official client

test('openai: create, raw stream, finalChatCompletion, models, receipt', async () => {
  const whole = await client.chat.completions.create({ model: 'hello', messages: user('hi') });
  assert.equal(whole.choices[0].message.content, 'Hello world');
  assert.match(whole._request_id, /^req_/);
  let text = '';
  for await (const chunk of await client.chat.completions.create({ model: 'hello', messages: user('hi'), stream: true }))
    text += chunk.choices[0].delta.content ?? '';
  assert.equal(text, 'Hello world');
  const final = await client.chat.completions.stream({
    model: 'hello', messages: user('hi'), n: 1, stream_options: { include_usage: true }, tandem: { privacy: 'local' },
  }).finalChatCompletion();
  assert.equal(final.choices[0].message.content, 'Hello world');
  assert.equal(final.choices[0].finish_reason, 'stop');
  assert.equal(final.usage.completion_tokens, 2);
  assert.equal(final.tandem.objective.privacy, 4);
  assert.equal((await client.get(`/receipts/${final.tandem.receipt}`)).state, 'complete');
  const names = [];
  for await (const m of client.models.list()) names.push(m.id);
  assert.deepEqual(names, ['hello', 'draws', 'empty', 'rules', 'slow', 'sure', 'team/one', 'wide']);
  assert.equal((await client.models.retrieve('team/one')).tandem.kind, 'script');
});

test('openai: n, stop, logprobs', async () => {
  const two = await client.chat.completions.create({ model: 'draws', messages: user('hi'), n: 2 });
  assert.deepEqual(two.choices.map((c) => c.message.content), ['first answer', 'second answer']);
  const stop = await client.chat.completions.stream({ model: 'hello', messages: user('hi'), stop: ['wor'] })
    .finalChatCompletion();
  assert.equal(stop.choices[0].message.content, 'Hello ');
  const sure = await client.chat.completions.stream({ model: 'sure', messages: user('hi'), logprobs: true })
    .finalChatCompletion();
  assert.deepEqual(sure.choices[0].logprobs.content.map((e) => e.logprob), [-0.5, -0.5]);
});

const refusals = [
  ['no messages', { model: 'hello' }, 400, 'missing_field', 'messages', /at least one message/],
  ['empty messages', { model: 'hello', messages: [] }, 400, 'invalid_value', 'messages', /at least one message/],
  ['messages of a wrong type', { model: 'hello', messages: 'hi' }, 400, 'invalid_value', 'messages', /expected a list/],
  ['a role that is unknown', { model: 'hello', messages: [{ role: 'boss', content: 'x' }] }, 400, 'invalid_value',
    'messages[0].role', /expected system, developer/],
  ['content of a wrong type', { model: 'hello', messages: [{ role: 'user', content: 7 }] }, 400, 'invalid_value',
    'messages[0].content', /expected a string/],
  ['an image', { model: 'hello', messages: [{ role: 'user', content: [{ type: 'text', text: 'a' },
    { type: 'image_url', image_url: { url: 'data:' } }] }] }, 400, 'unsupported_content', 'messages[0].content[1]', /text/],
  ['an unknown model', { model: 'helo', messages: user('hi') }, 404, 'model_not_found', 'model', /nearest: "hello"/],
  ['a hidden model', { model: 'secret', messages: user('hi') }, 404, 'model_not_found', 'model', /no model "secret"/],
  ['model of a wrong type', { model: 7, messages: user('hi') }, 400, 'invalid_value', 'model', /expected a string/],
  ['max_tokens as text', { model: 'hello', messages: user('hi'), max_tokens: '100' }, 400, 'invalid_value', 'max_tokens',
    /expected an integer, got a? ?(string|text)/],
  ['max_tokens with a fraction', { model: 'hello', messages: user('hi'), max_tokens: 1.5 }, 400, 'invalid_value',
    'max_tokens', /integer/],
  ['temperature out of range', { model: 'hello', messages: user('hi'), temperature: 2.5 }, 400, 'invalid_value',
    'temperature', /0 to 2/],
  ['n out of range', { model: 'hello', messages: user('hi'), n: 9 }, 400, 'invalid_value', 'n', /1 to 8/],
  ['stream as text', { model: 'hello', messages: user('hi'), stream: 'yes' }, 400, 'invalid_value', 'stream', /true or false/],
  ['a misspelt wish', { model: 'hello', messages: user('hi'), tandem: { privcy: 2 } }, 400, 'invalid_value', 'tandem.privcy',
    /nearest: "privacy"/],
  ['a wish of a wrong type', { model: 'hello', messages: user('hi'), tandem: { privacy: 'lots' } }, 400, 'invalid_value',
    'tandem.privacy', /secrets, personal/],
  ['tools', { model: 'hello', messages: user('hi'), tools: [{ type: 'function', function: { name: 'f' } }] }, 400,
    'capability_missing', 'tools', /tools/],
  ['a JSON answer', { model: 'hello', messages: user('hi'), response_format: { type: 'json_object' } }, 400,
    'capability_missing', 'response_format', /json_object/],
  ['a guard where there is none', { model: 'hello', messages: user('hi'), tandem: { trust: 1 } }, 400,
    'objective_infeasible', 'tandem.trust', /guard/],
];

for (const [what, body, status, code, param, sentence] of refusals) {
  test(`refused, whole and as a stream: ${what}`, async () => {
    const classes = { 400: OpenAI.BadRequestError, 404: OpenAI.NotFoundError };
    for (const stream of body.stream ? [body.stream] : [false, true]) {
      const error = await client.chat.completions.create({ ...body, stream }).then(() => assert.fail(), (e) => e);
      assert.ok(error instanceof classes[status], `${error.constructor.name}: ${error.message}`);
      assert.deepEqual([error.status, error.code, error.param], [status, code, param]);
      assert.equal(error.type, status === 404 ? 'not_found_error' : 'invalid_request_error');
      assert.match(error.message, sentence);
      assert.equal(error.headers.get('x-should-retry'), 'false');
      assert.match(error.requestID, /^req_/);
    }
  });
}

test('refused: broken JSON, with line and column; the body never comes back', async () => {
  const { status, json, headers } = await server.chat('{"model": "hello",\n "messages": [{"role": "private words"');
  assert.deepEqual([status, json.error.code, json.error.type, json.error.param], [400, 'invalid_json',
    'invalid_request_error', null]);
  assert.match(json.error.message, /line 2 column \d+/);
  assert.doesNotMatch(json.error.message, /private/);
  assert.match(headers['x-tandem-receipt'], /^rcp_/);
  assert.equal((await server.receipt(headers['x-tandem-receipt'])).state, 'refused');
  for (const body of ['', '[1]', '"x"', 'null', '{"a":1} x', '{"messages":"\\ud800"}', `${'['.repeat(100)}`]) {
    const answer = await server.chat(body);
    assert.equal(answer.status, 400, body);
    assert.ok(['invalid_json', 'invalid_value', 'missing_field'].includes(answer.json.error.code), body);
  }
  const invalid = await server.chat(Buffer.from('{"messages":[{"role":"user","content":"\xff\xfe"}]}', 'latin1'));
  assert.deepEqual([invalid.status, invalid.json.error.code], [400, 'invalid_json']);
  const deep = await server.chat(`{"messages":${'['.repeat(70)}${']'.repeat(70)}}`);
  assert.match(deep.json.error.message, /deeper than 64/);
});

test('an error from the model before the first word is an HTTP error', async () => {
  const error = await client.chat.completions.create({ model: 'rules', messages: user('fail at once'), stream: true })
    .then(() => assert.fail(), (e) => e);
  assert.ok(error instanceof OpenAI.InternalServerError);
  assert.deepEqual([error.status, error.code, error.type], [502, 'upstream_error', 'api_error']);
  assert.equal((await server.receipt(error.headers.get('x-tandem-receipt'))).state, 'failed');
});

test('an error after the first word is an event, no [DONE], and an abnormal end', async () => {
  const ask = { model: 'rules', messages: user('fail late'), stream: true };
  let text = '';
  const error = await (async () => {
    for await (const chunk of await client.chat.completions.create(ask)) text += chunk.choices[0].delta.content ?? '';
  })().then(() => assert.fail('the stream ended well'), (e) => e);
  assert.equal(text, 'half an ans');
  assert.ok(error instanceof OpenAI.APIError, error.constructor.name);
  assert.match(error.message, /told to fail/);
  const { bytes, ended } = await raw(server.port, rawPost(server.port, ask));
  const list = events(bytes.slice(bytes.indexOf('data:')).replace(/\r\n[0-9a-f]+\r\n/g, ''));
  assert.deepEqual(Object.keys(list.at(-1)).sort(), ['error', 'tandem']);
  assert.equal(list.at(-1).error.code, 'upstream_truncated');
  assert.equal(list.at(-1).tandem.state, 'failed');
  assert.doesNotMatch(bytes, /\[DONE\]|finish_reason":"/);
  assert.ok(!bytes.endsWith('\r\n0\r\n\r\n'), 'the final chunk must be missing');
  assert.notEqual(ended, 'enough');
});

test('openai retries what may help, as often as it is told', async () => {
  const record = path.join(server.dir, 'requests.jsonl');
  const count = (what) => readFileSync(record, 'utf8').split('\n').filter((line) => line.includes(what)).length;
  const patient = new OpenAI({ baseURL: server.base, apiKey: 'any', maxRetries: 1 });
  const started = performance.now();
  const limited = await patient.chat.completions.create({ model: 'rules', messages: user('limited') })
    .then(() => assert.fail(), (e) => e);
  assert.ok(limited instanceof OpenAI.RateLimitError);
  assert.ok(performance.now() - started >= 900, 'retry-after-ms was not obeyed');
  assert.equal(count('"limited"'), 2);
  const denied = await patient.chat.completions.create({ model: 'rules', messages: user('no access') })
    .then(() => assert.fail(), (e) => e);
  assert.deepEqual([denied.status, denied.code], [502, 'upstream_auth']);
  assert.equal(count('"no access"'), 1);
});

test('wishes: the tightest of body and headers; receipt full, id or none', async () => {
  const ask = { model: 'hello', messages: user('hi') };
  const tight = await server.chat({ ...ask, tandem: { privacy: 1, quality: 0.5, max_cost: 2, session: 's' } },
    { 'x-tandem-privacy': '3', 'x-tandem-quality': '0.2', 'x-tandem-max-cost': '1', 'x-tandem-strict': 'true' });
  assert.equal(tight.status, 200, tight.text);
  const { privacy, quality, max_cost: cost, strict } = tight.json.tandem.objective;
  assert.deepEqual([privacy, quality, cost, strict], [3, 0.5, 1, true]);
  const id = await server.chat({ ...ask, tandem: { receipt: 'id' } });
  assert.deepEqual(Object.keys(id.json.tandem).sort(), ['receipt', 'state']);
  const none = await server.chat(ask, { 'x-tandem-receipt': 'none' });
  assert.equal('tandem' in none.json, false);
  assert.equal((await server.receipt(none.headers['x-tandem-receipt'])).state, 'complete');
  const wrong = await server.chat(ask, { 'x-tandem-privacy': 'most' });
  assert.deepEqual([wrong.status, wrong.json.error.param], [400, 'tandem.privacy']);
});

test('a deadline that is strict is kept: 504 before the first word', async () => {
  const { status, json } = await server.chat({ model: 'slow', messages: user('hi'),
    tandem: { strict: true, max_latency_ms: 100 } });
  assert.deepEqual([status, json.error.code, json.error.type], [504, 'deadline_exceeded', 'timeout_error']);
});

// --- paths, methods, headers

test('models: names, aliases of the default, retrieve, unknown', async () => {
  const list = (await request(`${server.base}/models`)).json;
  assert.deepEqual([list.object, list.has_more, list.first_id, list.last_id], ['list', false, 'hello', 'wide']);
  assert.deepEqual(list.data[0].tandem, { kind: 'script', can: ['text'], default: true });
  for (const model of ['auto', 'default', '', 'tandem/hello', 'tandem/auto', undefined])
    assert.equal((await server.chat({ model, messages: user('hi') })).json.model, 'hello', model);
  assert.equal((await request(`${server.base}/models/team%2Fone`)).json.id, 'team/one');
  assert.equal((await request(`${server.base}/models/team/one`)).json.id, 'team/one');
  const unknown = await request(`${server.base}/models/nobody`);
  assert.deepEqual([unknown.status, unknown.json.error.code], [404, 'model_not_found']);
});

test('paths: without /v1, trailing slash, query, HEAD; anything else is a JSON 404', async () => {
  const body = { model: 'hello', messages: user('hi') };
  for (const where of ['/chat/completions', '/v1/chat/completions/', '/v1/chat/completions?api-version=1'])
    assert.equal((await post(server.origin + where, body)).status, 200, where);
  for (const where of ['/models', '/v1/models/', '/health', '/v1/health', '/health/live'])
    assert.equal((await request(server.origin + where)).status, 200, where);
  const head = await request(`${server.base}/models`, { method: 'HEAD' });
  assert.deepEqual([head.status, head.text], [200, '']);
  assert.ok(Number(head.headers['content-length']) > 0);
  for (const where of ['/nowhere', '/web/', '/v1/admin', '/v1', '/v1/', '/v1/receipts/', '/v1/chat/completions/x']) {
    const { status, headers, json } = await request(server.origin + where);
    assert.deepEqual([status, json.error.code, headers['content-type']], [404, 'path_not_found', 'application/json'], where);
  }
  assert.match((await post(`${server.base}/v1/chat/completions`, body)).json.error.message, /already ends in \/v1/);
  const receipt = await request(`${server.base}/receipts/rcp_000000000000000000000000`);
  assert.deepEqual([receipt.status, receipt.json.error.code], [404, 'receipt_not_found']);
});

test('a wrong method is 405 and says which is right', async () => {
  for (const [method, where, allow] of [['GET', '/v1/chat/completions', 'POST'], ['POST', '/v1/models', 'GET'],
    ['DELETE', '/v1/chat/completions', 'POST'], ['PUT', '/health', 'GET'], ['POST', '/v1/receipts/x', 'GET']]) {
    const { status, headers, json } = await request(server.origin + where, { method });
    assert.deepEqual([status, json.error.code], [405, 'method_not_allowed'], where);
    assert.ok(headers.allow.split(/, */).includes(allow), headers.allow);
  }
});

test('x-request-id: kept when it is good, replaced when not, always there', async () => {
  const body = { model: 'hello', messages: user('hi') };
  const kept = await server.chat(body, { 'x-request-id': 'My-id_1.2' });
  assert.deepEqual([kept.headers['x-request-id'], kept.headers['request-id']], ['My-id_1.2', 'My-id_1.2']);
  for (const id of ['with space', 'x'.repeat(65), 'é'])
    assert.match((await server.chat(body, { 'x-request-id': id })).headers['x-request-id'], /^req_[0-9A-Za-z]{24}$/);
  assert.match((await request(`${server.origin}/nowhere`)).headers['x-request-id'], /^req_/);
});

test('a body of 100 MB is 413; the server lives and keeps its memory', async () => {
  const { status, json } = await server.chat(Buffer.alloc(100 << 20, 'a'));
  assert.deepEqual([status, json.error.code], [413, 'request_too_large']);
  assert.match(json.error.message, /33554432 bytes/);
  assert.equal((await server.chat({ model: 'hello', messages: user('hi') })).status, 200);
  if (sanitized) return;
  const peak = Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${server.child.pid}/status`, 'utf8'))[1]);
  assert.ok(peak < 200 << 10, `${peak} KiB at the highest`);
});

test('bodies: chunked, with Expect: 100-continue; not compressed', async () => {
  const body = JSON.stringify({ model: 'hello', messages: user('hi') });
  const chunked = await new Promise((resolve, reject) => {
    const rq = http.request(`${server.base}/chat/completions`, { method: 'POST', agent: false }, (a) => {
      a.resume();
      a.on('end', () => resolve(a.statusCode));
    }).on('error', reject);
    rq.write(body.slice(0, 20));
    setTimeout(() => rq.end(body.slice(20)), 20);
  });
  assert.equal(chunked, 200);
  const { bytes } = await raw(server.port, rawPost(server.port, { model: 'hello', messages: user('hi') },
    { headers: ['Expect: 100-continue', 'Connection: close'] }));
  assert.match(bytes, /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200/);
  const gzip = await server.chat(body, { 'content-encoding': 'gzip' });
  assert.deepEqual([gzip.status, gzip.json.error.code], [400, 'unsupported_media_type']);
  assert.equal((await server.chat(body, { 'content-encoding': 'identity', 'content-type': 'text/plain' })).status, 200);
});

test('HTTP/1.0: whole, and a stream that ends with the connection', async () => {
  const ask = { model: 'hello', messages: user('hi') };
  const whole = await raw(server.port, rawPost(server.port, ask, { version: '1.0' }));
  assert.match(whole.bytes, /^HTTP\/1\.[01] 200/);
  assert.equal(whole.ended, 'end');
  const stream = await raw(server.port, rawPost(server.port, { ...ask, stream: true }, { version: '1.0' }));
  assert.equal(stream.ended, 'end');
  assert.doesNotMatch(stream.bytes.toLowerCase(), /transfer-encoding/);
  assert.ok(stream.bytes.endsWith('data: [DONE]\n\n'));
  // Without chunks only a reset shows that an answer was cut. libuv takes a reset that comes with data for an end, curl
  // does not: its exit status 56 is "failure in receiving".
  const curl = (ask10) => spawnSync('curl', ['-s', '--http1.0', '--max-time', '20', '-d', JSON.stringify(ask10),
    `${server.base}/chat/completions`], { encoding: 'utf8' });
  const cut = curl({ model: 'rules', messages: user('fail late'), stream: true });
  assert.equal(cut.status, 56);
  assert.match(cut.stdout, /"code":"upstream_truncated"/);
  assert.equal(curl({ ...ask, stream: true }).status, 0);
});

test('pipelined requests on one connection are answered in order', async () => {
  const one = (model) => rawPost(server.port, { model, messages: user('hi') });
  const { bytes, ended } = await raw(server.port, one('slow') + one('hello') + one('wide'), {
    done: (text) => text.includes('"model":"wide"') && text.endsWith('}'),
  });
  assert.equal(ended, 'enough');
  assert.deepEqual([...bytes.matchAll(/"model":"(slow|hello|wide)","system/g)].map((m) => m[1]), ['slow', 'hello', 'wide']);
  assert.equal(bytes.match(/HTTP\/1\.1 200 OK/g).length, 3);
});

test('a stream is not held back: words arrive while later ones are computed', async () => {
  const times = [];
  await new Promise((resolve, reject) => {
    const body = JSON.stringify({ model: 'slow', messages: user('hi'), stream: true });
    http.request(`${server.base}/chat/completions`, { method: 'POST', agent: false }, (a) => {
      a.on('data', (d) => times.push([performance.now(), d.toString()]));
      a.on('end', resolve);
    }).on('error', reject).end(body);
  });
  assert.ok(times[0][1].includes('"role":"assistant"') && times[0][1].includes('"content":"0"'), 'role and text in one write');
  assert.ok(times.length >= 8, `${times.length} reads for 10 words`);
  assert.ok(times.at(-1)[0] - times[0][0] > 150);
});

test('garbage instead of HTTP does not harm the server', async () => {
  for (const bytes of ['\x16\x03\x01\x02\x00garbage\r\n\r\n', 'GET / HTTP/9.9\r\n\r\n', `GET /${'a'.repeat(40000)} HTTP/1.1\r\n\r\n`,
    'POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n',
    `GET /health HTTP/1.1\r\nHost: localhost\r\nX: ${'b'.repeat(60000)}\r\n\r\n`])
    await raw(server.port, bytes, { half: true });
  assert.equal((await request(`${server.origin}/health`)).json.status, 'ok');
});

// --- keys and the queue

test('queue full: 429 at once, with a wait; those that wait are answered', async () => {
  const one = await startTandem(`
models: {slow: {kind: script, answers: ["0123456789"], chunk: 1, delay_ms: 60}}
serve: {workers: 1, queue: 1}
`);
  const ask = () => one.chat({ messages: user('hi') });
  const first = ask();
  await sleep(150);
  const second = ask();
  await sleep(150);
  const started = performance.now();
  const third = await new OpenAI({ baseURL: one.base, apiKey: 'any', maxRetries: 0 }).chat.completions
    .create({ model: 'slow', messages: user('hi') }).then(() => assert.fail(), (e) => e);
  assert.ok(third instanceof OpenAI.RateLimitError, third.message);
  assert.deepEqual([third.status, third.code, third.type], [429, 'queue_full', 'rate_limit_error']);
  assert.ok(performance.now() - started < 250, 'the refusal must not wait');
  assert.ok(Number(third.headers.get('retry-after')) >= 1 && Number(third.headers.get('retry-after-ms')) >= 1);
  assert.equal(third.headers.get('x-should-retry'), 'true');
  assert.match(third.requestID, /^req_/);
  assert.deepEqual([(await first).status, (await second).status], [200, 200]);
  await one.stop();
});

test('keys: in either header, missing, wrong; health needs none', async () => {
  chmodSync(path.join(server.dir, 'rules.json'), 0o600);
  const locked = await startTandem(`
models: {hello: {kind: script, answers: ["Hello world"]}}
serve: {keys: ["env:TANDEM_TEST_KEY", "file:${path.join(server.dir, 'rules.json')}"]}
`, { env: { TANDEM_TEST_KEY: 'right-key' } });
  const ask = (headers) => locked.chat({ messages: user('hi') }, headers);
  for (const headers of [{ authorization: 'Bearer right-key' }, { authorization: 'bearer right-key' }, { 'x-api-key': 'right-key' },
    { 'x-api-key': rules }])
    assert.equal((await ask(headers)).status, 200, JSON.stringify(headers));
  for (const headers of [{}, { authorization: 'Bearer wrong' }, { authorization: 'right-key' }, { 'x-api-key': 'right-ke' },
    { 'x-api-key': '' }]) {
    const { status, json, headers: got } = await ask(headers);
    assert.deepEqual([status, json.error.code, json.error.type], [401, 'invalid_api_key', 'authentication_error']);
    assert.equal(got['www-authenticate'], 'Bearer');
    assert.equal(got['x-tandem-receipt'], undefined);
  }
  const wrong = new OpenAI({ baseURL: locked.base, apiKey: 'nope', maxRetries: 0 });
  await assert.rejects(() => wrong.models.list(), OpenAI.AuthenticationError);
  assert.equal((await request(`${locked.origin}/health`)).status, 200);
  assert.equal((await request(`${locked.base}/receipts/x`)).status, 401);
  assert.doesNotMatch(locked.stderr, /right-key/);
  await locked.stop();
});

test('keyless on an address that others can reach is refused at the start', () => {
  const { status, stdout, stderr } = tandem(['serve', '--listen', '0.0.0.0:0', '--ledger', ':memory:', '--config',
    path.join(server.dir, 'settings.yaml')]);
  assert.deepEqual([status, stdout], [2, '']);
  assert.match(stderr, /^tandem: [^\n]*0\.0\.0\.0 is not loopback; set serve\.keys, or serve\.open: yes\n$/);
});

test('SIGTERM lets the running answer end', async () => {
  const one = await startTandem('models: {slow: {kind: script, answers: ["0123456789"], chunk: 1, delay_ms: 40}}\n');
  const running = one.chat({ messages: user('hi') });
  await sleep(100);
  const stopping = one.stop();
  assert.equal((await running).json.choices[0].message.content, '0123456789');
  await stopping;
});

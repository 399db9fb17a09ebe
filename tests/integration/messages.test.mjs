// Anthropic's client against the server: text, tools, thoughts, streams and errors, and the same answers as in the
// other format.
import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import { eventually, hasPair, post, raw, rawPost, startTandem, user, withoutPair } from './lib.mjs';
import { chunk, delta, event, jsonAnswer, startUpstream, usage, wholeStream } from './upstream.mjs';

let server, upstream, client;
before(async () => {
  upstream = await startUpstream();
  server = await startTandem(`
models:
  hello: {kind: script, answers: ["Hello world. And more."], chunk: 3}
  slow: {kind: script, answers: ["abc"], chunk: 1, delay_ms: 700}
  cloud: {kind: remote, url: "${upstream.url}", model: big-1, breaker: no}
  private: {kind: mask, inner: cloud, level: 2}
  careful: {kind: guard, inner: hello}
  pair: {kind: ${hasPair ? 'local, path: "embedded:small"' : 'script, answers: [x]'}}
  kept: {kind: guard, inner: pair}
serve: {ping: 1}
`);
  client = new Anthropic({ baseURL: server.origin, apiKey: 'k', maxRetries: 0 });
});
after(async () => {
  await server.stop();
  await upstream.close();
});

const [head] = wholeStream([]);
const tail = [chunk(event('[DONE]')), '0\r\n\r\n'];
const ask = { model: 'hello', max_tokens: 100, messages: user('hi') };
const last = () => upstream.requests.at(-1).json;

// The events of a stream as they are on the wire: [name, data].
async function stream(body) {
  const answer = await post(`${server.base}/messages`, { stream: true, ...body });
  return { ...answer, events: answer.text.split('\n\n').filter(Boolean).map((block) => {
    const [, name, data] = /^event: (\S+)\ndata: (.*)$/.exec(block) ?? assert.fail(`no event: ${block}`);
    const value = JSON.parse(data);
    assert.equal(value.type, name);
    return value;
  }) };
}

test('an answer, whole', async () => {
  const message = await client.messages.create({ ...ask, system: [{ type: 'text', text: 'be brief' }] });
  assert.match(message.id, /^msg_[A-Za-z0-9]{24}$/);
  assert.deepEqual([message.type, message.role, message.model, message.stop_reason, message.stop_sequence],
    ['message', 'assistant', 'hello', 'end_turn', null]);
  assert.deepEqual(message.content, [{ type: 'text', text: 'Hello world. And more.' }]);
  assert.ok(message.usage.input_tokens > 0 && message.usage.output_tokens > 0);
  assert.equal(message.tandem.state, 'complete');
  assert.equal((await server.receipt(message.tandem.receipt)).state, 'complete');
});

test('why it ended: its length, a stop sequence, the end', async () => {
  const reasons = async (more) => { const m = await client.messages.create({ ...ask, ...more }); return [m.stop_reason, m.stop_sequence, m.content[0]?.text]; };
  assert.deepEqual(await reasons({ max_tokens: 2 }), ['max_tokens', null, 'Hello ']);
  assert.deepEqual(await reasons({ stop_sequences: ['nothing', ' And'] }), ['stop_sequence', ' And', 'Hello world.']);
  assert.deepEqual(await reasons({ stop_sequences: ['absent'] }), ['end_turn', null, 'Hello world. And more.']);
  const { events } = await stream({ ...ask, stop_sequences: [' And'] });
  assert.deepEqual(events.at(-2).delta, { stop_reason: 'stop_sequence', stop_sequence: ' And' });
});

test('an answer, streamed: order, indices, usage and receipt', async () => {
  const { events, headers } = await stream(ask);
  const kinds = events.map((e) => e.type);
  assert.deepEqual([kinds[0], kinds[1], ...kinds.slice(-3)],
    ['message_start', 'content_block_start', 'content_block_stop', 'message_delta', 'message_stop']);
  assert.ok(kinds.slice(2, -3).every((k) => k === 'content_block_delta'));
  const [start] = events;
  assert.deepEqual([start.message.content, start.message.stop_reason, start.message.usage.output_tokens], [[], null, 0]);
  assert.ok(Number.isInteger(start.message.usage.input_tokens));
  assert.equal(events.at(-2).usage.output_tokens > 0, true);
  assert.equal(start.message.tandem.receipt, headers['x-tandem-receipt']);
  assert.equal(events.at(-2).tandem.receipt, headers['x-tandem-receipt']);
  const final = await client.messages.stream(ask).finalMessage();
  assert.deepEqual(final.content, [{ type: 'text', text: 'Hello world. And more.' }]);
  assert.equal(final.stop_reason, 'end_turn');
  const words = [];
  for await (const e of await client.messages.create({ ...ask, stream: true })) if (e.type === 'content_block_delta') words.push(e.delta.text);
  assert.equal(words.join(''), 'Hello world. And more.');
});

const calling = (...pieces) => [head, ...pieces.map((d) => chunk(delta(d))), chunk(delta({}, 'tool_calls')), chunk(usage(9, 8)), ...tail];
const call = (index, id, name, args) => ({ tool_calls: [{ index, id, type: 'function', function: { name, arguments: args } }] });
const more = (index, args) => ({ tool_calls: [{ index, function: { arguments: args } }] });
const tools = [{ name: 'weather', description: 'of a city', input_schema: { type: 'object', properties: { city: { type: 'string' } } } },
  { name: 'now', input_schema: { type: 'object' } }];

test('thoughts, words and two calls, and their results sent back', async () => {
  upstream.behaviour = (rq) => (rq.json.messages.at(-1).role === 'tool' ? wholeStream(['It rains.'])
    : calling({ reasoning_content: 'Hm, ' }, { reasoning_content: 'so.' }, { content: 'Let me look.' }, call(0, 'call_a', 'weather', '{"ci'),
      more(0, 'ty":"Oslo"}'), call(1, 'call_b', 'now', '')));
  const body = { ...ask, model: 'cloud', tools, tool_choice: { type: 'any', disable_parallel_tool_use: true } };
  const want = [['thinking', 'Hm, so.'], ['text', 'Let me look.'], ['tool_use', 'call_a', 'weather', { city: 'Oslo' }], ['tool_use', 'call_b', 'now', {}]];
  const shape = (m) => m.content.map((b) => (b.type === 'tool_use' ? [b.type, b.id, b.name, b.input] : [b.type, b.thinking ?? b.text]));
  const whole = await client.messages.create(body);
  assert.deepEqual(shape(whole), want);
  assert.equal(whole.stop_reason, 'tool_use');
  assert.ok(whole.content[0].signature);
  const streamed = await client.messages.stream(body).finalMessage();
  assert.deepEqual(shape(streamed), want);
  assert.ok(streamed.content[0].signature);
  assert.deepEqual([last().tool_choice, last().parallel_tool_calls, last().tools[0].function.parameters], ['required', false, tools[0].input_schema]);
  const { events } = await stream(body);
  let open = -1, next = 0;
  for (const e of events.filter((x) => x.type.startsWith('content_block'))) {
    if (e.type === 'content_block_start') [open, next] = [e.index, next + 1];
    assert.equal(e.index, next - 1);
    assert.equal(open, e.index);
    if (e.type === 'content_block_stop') open = -1;
  }
  assert.equal(next, 4);
  const second = await client.messages.create({ ...body, messages: [...body.messages, { role: 'assistant', content: whole.content },
    { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'call_a', content: 'rain' },
      { type: 'tool_result', tool_use_id: 'call_b', content: [{ type: 'text', text: 'noon' }] }] }] });
  assert.deepEqual(second.content, [{ type: 'text', text: 'It rains.' }]);
  assert.deepEqual(last().messages.slice(1), [{ role: 'assistant', content: 'Let me look.', tool_calls: [
    { id: 'call_a', type: 'function', function: { name: 'weather', arguments: '{"city":"Oslo"}' } },
    { id: 'call_b', type: 'function', function: { name: 'now', arguments: '{}' } }] },
  { role: 'tool', content: 'rain', tool_call_id: 'call_a' }, { role: 'tool', content: 'noon', tool_call_id: 'call_b' }]);
});

test('a mask works here as it does there', async () => {
  upstream.behaviour = (rq) => wholeStream([`Dear ${/EMAIL_[A-Z0-9]+/.exec(rq.body)?.[0]}!`]);
  const address = 'bob@example.org';
  const message = await client.messages.create({ ...ask, model: 'private', system: `you write to ${address}`, messages: user(`write to ${address}`) });
  assert.equal(message.content[0].text, `Dear ${address}!`);
  const final = await client.messages.stream({ ...ask, model: 'private', messages: user(`write to ${address}`) }).finalMessage();
  assert.equal(final.content[0].text, `Dear ${address}!`);
  assert.ok(!upstream.received.includes(address));
});

test('tokens of a prompt are counted without an answer', { skip: withoutPair }, async () => {
  const long = { model: 'pair', system: 'be brief', messages: [...user('What is 12 + 7?'), { role: 'assistant', content: '19' }, ...user('And 3 more?')] };
  const { input_tokens: n } = await client.messages.countTokens(long);
  for (const model of ['pair', 'kept']) {
    const { usage: used } = await client.messages.create({ ...long, model, max_tokens: 4 });
    assert.equal((await client.messages.countTokens({ ...long, model })).input_tokens, n);
    assert.equal(used.input_tokens + used.cache_read_input_tokens, n);
  }
  const far = await post(`${server.base}/messages/count_tokens`, { ...long, model: 'cloud' });
  assert.deepEqual([far.status, far.headers['x-tandem-warnings']], [200, 'usage_estimated']);
  assert.ok(far.json.input_tokens > 5);
  const wrong = await post(`${server.base}/messages/count_tokens`, { ...long, model: 'pear' });
  assert.deepEqual([wrong.status, wrong.json.error.type], [404, 'not_found_error']);
});

test('a prefill is continued; a system turn in the middle is one', async () => {
  upstream.behaviour = () => wholeStream(['x']);
  await client.messages.create({ ...ask, model: 'cloud', system: 'a', messages: [...user('q'), { role: 'system', content: 'b' }, { role: 'assistant', content: 'The' }] });
  assert.deepEqual(last().messages.map((m) => m.role), ['system', 'user', 'system', 'assistant']);
});

test('errors have this format, whatever path they take', async () => {
  const error = (body) => client.messages.create(body).then(() => assert.fail(), (e) => e);
  const cases = [
    [{ ...ask, messages: [] }, Anthropic.BadRequestError, 'invalid_request_error', /messages/],
    [{ ...ask, messages: [{ role: 'king', content: 'x' }] }, Anthropic.BadRequestError, 'invalid_request_error', /messages\[0\]\.role/],
    [{ ...ask, messages: [{ role: 'user', content: [{ type: 'image', source: {} }] }] }, Anthropic.BadRequestError, 'invalid_request_error', /content\[0\]/],
    [{ ...ask, max_tokens: 0 }, Anthropic.BadRequestError, 'invalid_request_error', /max_tokens/],
    [{ ...ask, model: 'helo' }, Anthropic.NotFoundError, 'not_found_error', /nearest: "hello"/],
    [{ ...ask, tools }, Anthropic.BadRequestError, 'invalid_request_error', /hello cannot call tools/],
    [{ ...ask, tools, tool_choice: { type: 'tool', name: 'f' } }, Anthropic.BadRequestError, 'invalid_request_error', /tool_choice/],
    [{ ...ask, tandem: { privcy: 1 } }, Anthropic.BadRequestError, 'invalid_request_error', /nearest: "privacy"/],
  ];
  for (const [body, kind, type, sentence] of cases) {
    const e = await error(body);
    assert.ok(e instanceof kind, `${e.constructor.name}: ${e.message}`);
    assert.equal(e.error.type, 'error');
    assert.equal(e.error.error.type, type);
    assert.match(e.error.error.message, sentence);
    assert.equal(e.requestID, e.error.request_id);
  }
  upstream.behaviour = () => jsonAnswer('429 X', { error: { message: 'm' } }, 'retry-after: 7\r\n');
  const busy = await error({ ...ask, model: 'cloud' });
  assert.deepEqual([busy.status, busy.error.error.type, busy.headers.get('retry-after')], [429, 'rate_limit_error', '7']);
  const broken = await post(`${server.base}/messages`, '{"model":');
  assert.deepEqual([broken.status, broken.json.type, broken.json.error.type], [400, 'error', 'invalid_request_error']);
});

test('a stream that breaks ends with an error event and is no clean end', async () => {
  upstream.behaviour = () => ({ pieces: [head, chunk(delta({ content: 'half ' }))], cut: true });
  const { bytes } = await raw(server.port, rawPost(server.port, { ...ask, model: 'cloud', stream: true }, { path: '/v1/messages' }));
  assert.match(bytes, /half /);
  assert.match(bytes, /event: error\ndata: \{"type":"error","error":\{"type":"api_error"/);
  assert.ok(!bytes.includes('message_stop') && !bytes.endsWith('0\r\n\r\n'));
  await assert.rejects(client.messages.stream({ ...ask, model: 'cloud' }).finalMessage());
});

test('a silent stream gets pings of this format, and the client goes on', async () => {
  const text = [];
  const { events } = await stream({ ...ask, model: 'slow' });
  assert.equal(events.filter((e) => e.type === 'content_block_delta').map((e) => e.delta.text).join(''), 'abc');
  upstream.behaviour = () => ({ pieces: [head, chunk(delta({ content: 'a' })), '', '', chunk(delta({ content: 'b' })), chunk(delta({}, 'stop')), ...tail], delay: 900 });
  const silent = await stream({ ...ask, model: 'cloud' });
  assert.ok(silent.events.some((e) => e.type === 'ping'), JSON.stringify(silent.events.map((e) => e.type)));
  for await (const e of await client.messages.create({ ...ask, model: 'cloud', stream: true })) if (e.type === 'content_block_delta') text.push(e.delta.text);
  assert.equal(text.join(''), 'ab');
});

test('a client that leaves is noticed', async () => {
  upstream.behaviour = undefined;
  upstream.behaviour = () => ({ pieces: [head, ...Array(500).fill(chunk(delta({ content: 'word ' })))], delay: 10 });
  const controller = new AbortController();
  const answer = await client.messages.create({ ...ask, model: 'cloud', stream: true }, { signal: controller.signal });
  let seen = 0;
  await assert.rejects(async () => {
    for await (const e of answer) if (e.type === 'content_block_delta' && ++seen === 3) controller.abort();
    if (controller.signal.aborted) throw new Error('aborted');
  });
  await eventually('the upstream is closed', () => upstream.requests.at(-1).closedAt, 2000);
});

test('a guard that stops the input refuses in this format too', async () => {
  const e = await client.messages.create({ ...ask, model: 'careful', messages: user('Tell me how to make a bomb.') }).then(() => assert.fail(), (x) => x);
  assert.deepEqual([e.status, e.error.error.type], [400, 'invalid_request_error']);
});

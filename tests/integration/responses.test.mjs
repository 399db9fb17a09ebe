// Responses: OpenAI's second format with its own client: shapes of input, items, tools, forms, what is stored, and that
// masks, guards and receipts hold here as everywhere.
import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import OpenAI from 'openai';
import { eventually, hasPair, post, request, startTandem, user, withoutPair } from './lib.mjs';
import { ask, checkResponse, exchange, formats, readResponses } from './strict.mjs';
import { chunk, delta, event, jsonAnswer, startUpstream, usage, wholeStream } from './upstream.mjs';

let server, storing, upstream, client, keeper;
const settings = (url) => `
models:
  hello: {kind: script, answers: ["Hello world. And more."], chunk: 3, logprob: -0.5}
  cloud: {kind: remote, url: "${url}", model: big-1, breaker: no}
  private: {kind: mask, inner: cloud, level: 2}
  careful: {kind: guard, inner: cloud, scan: [input, output]}
  pair: {kind: ${hasPair ? 'local, path: "embedded:small"' : 'script, answers: [x]'}}
`;
before(async () => {
  upstream = await startUpstream();
  server = await startTandem(`${settings(upstream.url)}serve: {ping: 1}\n`);
  storing = await startTandem(`${settings(upstream.url)}serve: {responses: yes, responses_bytes: 65536, keys: ["env:A_KEY", "env:B_KEY"]}\n`,
    { env: { A_KEY: 'a', B_KEY: 'b' } });
  client = new OpenAI({ baseURL: server.base, apiKey: 'k', maxRetries: 0 });
  keeper = new OpenAI({ baseURL: storing.base, apiKey: 'a', maxRetries: 0 });
});
after(async () => {
  await server.stop();
  await storing.stop();
  await upstream.close();
});

const [head] = wholeStream([]);
const tail = [chunk(event('[DONE]')), '0\r\n\r\n'];
const last = () => upstream.requests.at(-1).json;
const calling = (...pieces) => [head, ...pieces.map((d) => chunk(delta(d))), chunk(delta({}, 'tool_calls')), chunk(usage(9, 8)), ...tail];
const call = (index, id, name, args) => ({ tool_calls: [{ index, id, type: 'function', function: { name, arguments: args } }] });
const more = (index, args) => ({ tool_calls: [{ index, function: { arguments: args } }] });
const tools = [{ type: 'function', name: 'weather', description: 'of a city', strict: true,
  parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'], additionalProperties: false } },
{ type: 'function', name: 'now', parameters: { type: 'object' } }];
const failed = (promise) => promise.then(() => assert.fail('it should fail'), (e) => e);

test('an answer, whole: its shape, what it repeats, its receipt', async () => {
  const r = await client.responses.create({ model: 'hello', input: 'hi', instructions: 'be brief', temperature: 0.5, metadata: { a: 'b' }, user: 'u' });
  checkResponse(r);
  assert.equal(r.output_text, 'Hello world. And more.');
  assert.deepEqual([r.status, r.model, r.instructions, r.temperature, r.top_p, r.store, r.user, r.truncation], ['completed', 'hello', 'be brief', 0.5, null, false, 'u', 'disabled']);
  assert.deepEqual([r.metadata, r.text, r.reasoning, r.tools, r.tool_choice, r.parallel_tool_calls],
    [{ a: 'b' }, { format: { type: 'text' } }, { effort: null, summary: null }, [], 'auto', true]);
  assert.deepEqual(r.output.map(({ id, ...item }) => item), [{ type: 'message', status: 'completed', role: 'assistant',
    content: [{ type: 'output_text', text: 'Hello world. And more.', annotations: [], logprobs: [] }] }]);
  assert.ok(r.usage.output_tokens > 0 && r.completed_at >= r.created_at);
  assert.equal((await client.get(`/receipts/${r.tandem.receipt}`)).state, 'complete');
});

test('an answer, streamed: every event in its order, and the accumulating client agrees', async () => {
  const names = [];
  const stream = client.responses.stream({ model: 'hello', input: 'hi' });
  stream.on('event', (e) => names.push(e.type));
  const final = await stream.finalResponse();
  assert.equal(final.output_text, 'Hello world. And more.');
  assert.equal(final.tandem.state, 'complete');
  assert.deepEqual([...names.slice(0, 4), ...names.slice(-4)], ['response.created', 'response.in_progress', 'response.output_item.added', 'response.content_part.added',
    'response.output_text.done', 'response.content_part.done', 'response.output_item.done', 'response.completed']);
  const numbers = [];
  for await (const e of await client.responses.create({ model: 'hello', input: 'hi', stream: true })) numbers.push(e.sequence_number);
  assert.deepEqual(numbers, numbers.map((_, i) => i));
  assert.equal((await ask(server.port, 'responses', { model: 'hello', messages: user('hi') })).text, 'Hello world. And more.');
});

test('items of every shape become the same conversation', async () => {
  upstream.behaviour = () => wholeStream(['ok']);
  await client.responses.create({ model: 'cloud', instructions: 'S', tools, input: [
    { role: 'developer', content: 'D' },
    { role: 'user', content: [{ type: 'input_text', text: 'a' }, { type: 'input_text', text: 'b' }] },
    { type: 'reasoning', id: 'rs_1', summary: [{ type: 'summary_text', text: 'hidden' }] },
    { type: 'message', id: 'msg_1', role: 'assistant', status: 'completed', content: [{ type: 'output_text', text: 'c', annotations: [] }, { type: 'refusal', refusal: 'd' }] },
    { type: 'function_call', id: 'fc_1', call_id: 'call_1', name: 'weather', arguments: '{"city":"Oslo"}' },
    { type: 'function_call', call_id: 'call_2', name: 'now', arguments: '{}' },
    { type: 'function_call_output', call_id: 'call_1', output: 'rain' },
    { type: 'function_call_output', call_id: 'call_2', output: [{ type: 'input_text', text: 'noon' }] },
    { type: 'function_call', call_id: 'call_3', name: 'now', arguments: '{}' },
    { type: 'function_call_output', call_id: 'call_3', output: '' },
    { type: 'message', role: 'user', content: 'e' }] });
  const made = (id, name, args) => ({ id, type: 'function', function: { name, arguments: args } });
  assert.deepEqual(last().messages, [{ role: 'system', content: 'S' }, { role: 'system', content: 'D' }, { role: 'user', content: 'ab' },
    { role: 'assistant', content: 'cd', tool_calls: [made('call_1', 'weather', '{"city":"Oslo"}'), made('call_2', 'now', '{}')] },
    { role: 'tool', content: 'rain', tool_call_id: 'call_1' }, { role: 'tool', content: 'noon', tool_call_id: 'call_2' },
    { role: 'assistant', content: null, tool_calls: [made('call_3', 'now', '{}')] }, { role: 'tool', content: '', tool_call_id: 'call_3' },
    { role: 'user', content: 'e' }]);
  assert.deepEqual(last().tools[0].function, { name: 'weather', description: 'of a city', parameters: tools[0].parameters, strict: true });
});

test('thoughts, words and two calls; their results sent back', async () => {
  upstream.behaviour = (rq) => (rq.json.messages.at(-1).role === 'tool' ? wholeStream(['It rains.'])
    : calling({ reasoning_content: 'Hm, ' }, { reasoning_content: 'so.' }, { content: 'Let me look.' }, call(0, 'call_a', 'weather', '{"ci'),
      more(0, 'ty":"Oslo"}'), call(1, 'call_b', 'now', '')));
  const body = { model: 'cloud', input: 'Weather?', tools, tool_choice: 'required', parallel_tool_calls: false };
  const want = [['reasoning', 'Hm, so.'], ['message', 'Let me look.'], ['function_call', 'call_a', 'weather', '{"city":"Oslo"}'], ['function_call', 'call_b', 'now', '{}']];
  const shape = (r) => r.output.map((i) => (i.type === 'function_call' ? [i.type, i.call_id, i.name, i.arguments] : [i.type, (i.summary ?? i.content)[0].text]));
  const whole = await client.responses.create(body);
  assert.deepEqual(shape(whole), want);
  assert.deepEqual([last().tool_choice, last().parallel_tool_calls], ['required', false]);
  assert.deepEqual([whole.tool_choice, whole.parallel_tool_calls, whole.tools], ['required', false, tools]);
  assert.deepEqual(shape(await client.responses.stream(body).finalResponse()), want);
  const strict = await exchange(server.port, '/v1/responses', { ...body, stream: true });
  assert.deepEqual(readResponses(strict.body, strict.clean).calls.map((c) => c.id), ['call_a', 'call_b']);
  const second = await client.responses.create({ model: 'cloud', tools, input: [...user('Weather?'), ...whole.output,
    { type: 'function_call_output', call_id: 'call_a', output: 'rain' }, { type: 'function_call_output', call_id: 'call_b', output: 'noon' }] });
  assert.equal(second.output_text, 'It rains.');
  assert.deepEqual(last().messages.map((m) => [m.role, m.tool_call_id ?? m.tool_calls?.map((c) => c.id)]),
    [['user', undefined], ['assistant', ['call_a', 'call_b']], ['tool', 'call_a'], ['tool', 'call_b']]);
  await client.responses.create({ ...body, tool_choice: { type: 'function', name: 'now' } });
  assert.deepEqual(last().tool_choice, { type: 'function', function: { name: 'now' } });
  await client.responses.create({ ...body, tool_choice: { type: 'allowed_tools', mode: 'auto', tools: [{ type: 'function', name: 'now' }] } });
  assert.deepEqual(last().tools.map((t) => t.function.name), ['now']);
  const dropped = await post(`${server.base}/responses`, { ...body, tool_choice: 'auto', tools: [...tools, { type: 'web_search' }] });
  assert.match(dropped.headers['x-tandem-warnings'], /tool_dropped=tools/);
});

test('why an answer is not whole: its length, a filter', async () => {
  const short = await client.responses.create({ model: 'hello', input: 'hi', max_output_tokens: 2 });
  assert.deepEqual([short.status, short.incomplete_details, short.output_text, short.output[0].status], ['incomplete', { reason: 'max_output_tokens' }, 'Hello ', 'incomplete']);
  const streamed = await client.responses.stream({ model: 'hello', input: 'hi', max_output_tokens: 2 }).finalResponse();
  assert.deepEqual([streamed.status, streamed.output_text, streamed.tandem.state], ['incomplete', 'Hello ', 'incomplete']);
  upstream.behaviour = () => [head, chunk(delta({ content: 'No.' })), chunk(delta({}, 'content_filter')), chunk(usage(2, 1)), ...tail];
  const stopped = await ask(server.port, 'responses', { model: 'cloud', messages: user('x') });
  assert.deepEqual([stopped.finish, stopped.text, stopped.state], ['content_filter', 'No.', 'incomplete']);
});

test('logprobs, when they are asked for', async () => {
  for (const wish of [{ top_logprobs: 2 }, { include: ['message.output_text.logprobs'] }]) {
    const r = await client.responses.create({ model: 'hello', input: 'hi', ...wish });
    const { logprobs, text } = r.output[0].content[0];
    assert.equal(Buffer.from(logprobs.flatMap((l) => l.bytes)).toString(), text);
    assert.ok(logprobs.every((l) => l.logprob === -0.5));
    const s = await client.responses.stream({ model: 'hello', input: 'hi', ...wish }).finalResponse();
    assert.deepEqual(s.output[0].content[0].logprobs, logprobs);
  }
});

test('a form of the answer', { skip: withoutPair }, async () => {
  const schema = { type: 'object', properties: { ok: { type: 'boolean' } }, required: ['ok'], additionalProperties: false };
  const r = await client.responses.create({ model: 'pair', input: 'yes or no?', max_output_tokens: 60, text: { format: { type: 'json_schema', name: 'n', schema, strict: true } } });
  assert.equal(typeof JSON.parse(r.output_text).ok, 'boolean');
  assert.equal(r.text.format.name, 'n');
  const e = await failed(client.responses.create({ model: 'pair', input: 'x', text: { format: { type: 'json_schema', name: 'n', schema: 3 } } }));
  assert.deepEqual([e.status, e.param], [400, 'text.format.schema']);
  upstream.behaviour = () => wholeStream(['{}']);
  await client.responses.create({ model: 'cloud', input: 'x', text: { format: { type: 'json_schema', name: 'n', schema, strict: true } } });
  assert.deepEqual(last().response_format, { type: 'json_schema', json_schema: { name: 'n', strict: true, schema } });
});

test('what is wrong is named', async () => {
  const cases = [
    [{}, 'missing_field', 'input'], [{ input: 3 }, 'invalid_value', 'input'], [{ input: [] }, 'invalid_value', 'input'],
    [{ input: ['x'] }, 'invalid_value', 'input[0]'], [{ input: [{ role: 'king', content: 'x' }] }, 'invalid_value', 'input[0].role'],
    [{ input: [{ role: 'user', content: [{ type: 'input_image', image_url: 'x' }] }] }, 'unsupported_content', 'input[0].content[0]'],
    [{ input: [{ type: 'computer_call' }] }, 'unsupported_content', 'input[0]'],
    [{ input: [{ type: 'function_call', name: 'f', arguments: '{}' }] }, 'invalid_value', 'input[0]'],
    [{ input: [{ type: 'item_reference', id: 'msg_1' }] }, 'previous_response_not_found', 'input[0]'],
    [{ input: 'x', previous_response_id: 'resp_1' }, 'previous_response_not_found', 'previous_response_id'],
    [{ input: 'x', conversation: 'conv_1' }, 'previous_response_not_found', 'conversation'],
    [{ input: 'x', background: true }, 'capability_missing', 'background'], [{ input: 'x', truncation: 'some' }, 'invalid_value', 'truncation'],
    [{ input: 'x', instructions: 5 }, 'invalid_value', 'instructions'], [{ input: 'x', max_output_tokens: 0 }, 'invalid_value', 'max_output_tokens'],
    [{ input: 'x', top_logprobs: 21 }, 'invalid_value', 'top_logprobs'], [{ input: 'x', include: 'all' }, 'invalid_value', 'include'],
    [{ input: 'x', text: { format: { type: 'xml' } } }, 'invalid_value', 'text.format.type'], [{ input: 'x', stream: 'yes' }, 'invalid_value', 'stream'],
    [{ input: 'x', tools: [{ type: 'function', name: 'a b' }] }, 'invalid_value', 'tools[0].name'],
    [{ input: 'x', tools, tool_choice: { type: 'web_search' } }, 'unsupported_tool', 'tool_choice'],
    [{ input: 'x', model: 'helo' }, 'model_not_found', 'model'], [{ input: 'x', tandem: { privcy: 1 } }, 'invalid_value', 'tandem.privcy'],
  ];
  for (const [body, code, param] of cases) {
    const e = await failed(client.responses.create({ model: 'hello', ...body }));
    assert.deepEqual([e.code, e.param], [code, param], JSON.stringify(body));
    assert.ok(e.requestID && e.headers.get('x-tandem-receipt'));
  }
  const warned = await post(`${server.base}/responses`, { model: 'hello', input: 'x', store: true, reasoning: { effort: 'low' }, include: ['reasoning.encrypted_content'], unknown: 1 });
  assert.equal(warned.headers['x-tandem-warnings'], 'parameter_ignored=store,parameter_ignored=include,parameter_ignored=reasoning');
});

test('nothing is stored by default', async () => {
  const r = await client.responses.create({ model: 'hello', input: 'hi' });
  for (const [method, path] of [['GET', ''], ['DELETE', ''], ['GET', '/input_items'], ['POST', '/cancel']]) {
    const { status, json } = await request(`${server.base}/responses/${r.id}${path}`, { method });
    assert.deepEqual([status, json.error.code], [404, 'response_not_found'], method + path);
  }
  assert.equal((await request(`${server.base}/responses/${r.id}`, { method: 'PUT' })).headers.allow, 'POST, GET, DELETE');
  assert.equal((await request(`${server.base}/responses/x/y`, { method: 'POST' })).json.error.code, 'path_not_found');
});

test('stored responses: asked for again, gone on from, referred to, deleted; each belongs to its key', async () => {
  upstream.behaviour = (rq) => wholeStream([`${rq.json.messages.filter((m) => m.role !== 'system').length} turns`]);
  const first = await keeper.responses.create({ model: 'cloud', input: 'one', instructions: 'only here' });
  assert.equal(first.store, true);
  const stream = keeper.responses.stream({ model: 'cloud', input: [{ role: 'user', content: 'two' }], previous_response_id: first.id });
  const second = await stream.finalResponse();
  assert.deepEqual([second.output_text, second.previous_response_id], ['3 turns', first.id]);
  assert.deepEqual(last().messages.map((m) => m.content), ['one', '1 turns', 'two']);
  const again = await keeper.responses.retrieve(second.id);
  assert.deepEqual([again.output_text, again.status, again.output[0].id], ['3 turns', 'completed', second.output[0].id]);
  const items = [];
  for await (const item of keeper.responses.inputItems.list(second.id)) items.push([item.role, item.content[0].text, item.content[0].type]);
  assert.deepEqual(items, [['user', 'two', 'input_text'], ['assistant', '1 turns', 'output_text'], ['user', 'one', 'input_text']]);
  assert.deepEqual((await keeper.responses.inputItems.list(second.id, { order: 'asc' })).data.map((i) => i.content[0].text), ['one', '1 turns', 'two']);
  const third = await keeper.responses.create({ model: 'cloud', input: [{ role: 'user', content: 'x' }, { type: 'item_reference', id: second.output[0].id }, { role: 'user', content: 'y' }] });
  assert.deepEqual(last().messages.map((m) => m.content), ['x', '3 turns', 'y']);
  const stranger = new OpenAI({ baseURL: storing.base, apiKey: 'b', maxRetries: 0 });
  assert.equal((await failed(stranger.responses.retrieve(first.id))).status, 404);
  assert.equal((await failed(stranger.responses.create({ model: 'cloud', input: 'x', previous_response_id: first.id }))).code, 'previous_response_not_found');
  assert.equal((await failed(stranger.responses.create({ model: 'cloud', input: [{ type: 'item_reference', id: second.output[0].id }] }))).code, 'previous_response_not_found');
  assert.equal((await failed(keeper.responses.cancel(first.id))).code, 'capability_missing');
  await keeper.responses.delete(first.id);
  assert.equal((await failed(keeper.responses.retrieve(first.id))).code, 'response_not_found');
  const not = await keeper.responses.create({ model: 'cloud', input: 'x', store: false });
  assert.equal(not.store, false);
  assert.equal((await failed(keeper.responses.retrieve(not.id))).status, 404);
  for (let i = 0; i < 30; i++) await keeper.responses.create({ model: 'cloud', input: 'x'.repeat(8000) });
  assert.equal((await failed(keeper.responses.retrieve(third.id))).status, 404, 'the oldest make room');
});

test('a failure is no answer: before the first byte an error, after it response.failed and error', async () => {
  upstream.behaviour = () => jsonAnswer('429 X', { error: { message: 'm' } }, 'retry-after: 7\r\n');
  const busy = await failed(client.responses.create({ model: 'cloud', input: 'x', stream: true }));
  assert.deepEqual([busy.status, busy.headers.get('retry-after')], [429, '7']);
  upstream.behaviour = () => ({ pieces: [head, chunk(delta({ content: 'half ' }))], cut: true });
  const got = await ask(server.port, 'responses', { model: 'cloud', messages: user('x') });
  assert.deepEqual([got.state, got.error.code, got.response.output[0].content[0].text], ['failed', 'upstream_truncated', 'half ']);
  assert.deepEqual([got.response.error.code, got.response.output[0].status], ['upstream_truncated', 'incomplete']);
  assert.equal((await server.receipt(got.receipt.receipt)).state, 'failed');
  assert.ok(await failed(client.responses.stream({ model: 'cloud', input: 'x' }).finalResponse()));
  upstream.behaviour = () => ({ pieces: [head, '', '', '', '', ''], delay: 400, cut: true });
  const pinged = await ask(server.port, 'responses', { model: 'cloud', messages: user('x') });
  assert.deepEqual([pinged.state, pinged.error.code], ['failed', 'upstream_truncated']);
  assert.ok(pinged.body.toString().startsWith(': ping\n\n'));
});

test('demand_23_a_mask_a_guard_and_the_ledger_hold_in_every_format_alike', async () => {
  const address = 'bob@example.org';
  upstream.behaviour = (rq) => wholeStream(['Dear ', `${/EMAIL_[A-Z0-9]+/.exec(rq.body)?.[0]}`.slice(0, 7), `${/EMAIL_[A-Z0-9]+/.exec(rq.body)?.[0]}`.slice(7), '!']);
  const seen = [];
  for (const name of Object.keys(formats)) for (const stream of [true, false]) {
    const got = await ask(server.port, name, { model: 'private', system: `for ${address}`, messages: user(`write to ${address}`) }, { stream });
    const row = await server.receipt(got.receipt.receipt);
    seen.push([got.text, row.state, row.left.method, row.left.entities, row.left.requests, row.calls.map((c) => [c.model, c.purpose, c.status])]);
  }
  for (const row of seen) assert.deepEqual(row, [`Dear ${address}!`, 'complete', 'mask', { EMAIL: 2 }, 1, [['cloud', 'answer', 'ok']]]);
  assert.ok(!upstream.received.includes(address));
  const before = upstream.requests.length;
  for (const name of Object.keys(formats)) for (const stream of [true, false]) {
    const got = await ask(server.port, name, { model: 'careful', messages: user('Tell me how to make a bomb.') }, { stream });
    assert.deepEqual([got.status, got.state], [400, 'refused'], name);
    assert.equal((await server.receipt(got.headers['x-tandem-receipt'])).guards[0].verdict, 'block');
  }
  assert.equal(upstream.requests.length, before, 'a guard let nothing through');
});

test('demand_18_a_call_for_a_tool_is_masked_on_the_way_out_and_whole_on_the_way_back', async () => {
  upstream.behaviour = (rq) => { const mark = /EMAIL_[A-Z0-9]+/.exec(rq.body)?.[0]; return calling(call(0, 'call_a', 'weather', `{"city":"${mark.slice(0, 5)}`), more(0, `${mark.slice(5)}"}`)); };
  for (const name of Object.keys(formats)) {
    const got = await ask(server.port, name, { model: 'private', messages: user('mail "bob@example.org"'), tools: [{ name: 'weather', parameters: { type: 'object' } }] });
    assert.deepEqual(got.calls, [{ id: 'call_a', name: 'weather', arguments: '{"city":"bob@example.org"}' }], name);
  }
});

test('demand_51_tokens_of_an_input_are_counted_without_an_answer', { skip: withoutPair }, async () => {
  const body = { model: 'pair', instructions: 'be brief', input: [...user('What is 12 + 7?'), { role: 'assistant', content: '19' }, ...user('And 3 more?')] };
  const counted = await client.post('/responses/input_tokens', { body });
  assert.equal(counted.object, 'response.input_tokens');
  const { usage: used } = await client.responses.create({ ...body, max_output_tokens: 4 });
  assert.equal(used.input_tokens, counted.input_tokens);
  assert.equal((await client.responses.inputTokens.count(body)).input_tokens, counted.input_tokens);
});

test('demand_39 a conversation that does not fit loses its oldest turns, if the client wants that', { skip: withoutPair }, async () => {
  const turns = Array.from({ length: 400 }, (_, i) => ({ role: i % 2 ? 'assistant' : 'user', content: `turn ${i} ${'word '.repeat(20)}` }));
  const body = { model: 'pair', instructions: 'be brief', input: [...turns, ...user('What is 2 + 2?')], max_output_tokens: 4 };
  const e = await failed(client.responses.create(body));
  assert.deepEqual([e.status, e.code], [400, 'context_length_exceeded']);
  const { status, headers, json } = await post(`${server.base}/responses`, { ...body, truncation: 'auto' });
  assert.deepEqual([status, json.truncation], [200, 'auto']);
  assert.match(headers['x-tandem-warnings'], /history_truncated=input/);
});

test('a client that leaves is noticed', async () => {
  upstream.behaviour = () => ({ pieces: [head, ...Array(500).fill(chunk(delta({ content: 'word ' })))], delay: 10 });
  const stream = await client.responses.create({ model: 'cloud', input: 'x', stream: true });
  let seen = 0;
  for await (const e of stream) if (e.type === 'response.output_text.delta' && ++seen === 3) break;
  stream.controller.abort();
  await eventually('the upstream is closed', () => upstream.requests.at(-1).closedAt, 2000);
});

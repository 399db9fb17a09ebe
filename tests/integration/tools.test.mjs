// Tools: the official client calls functions through the server, whole and streamed, over an upstream that sends its
// calls well and badly; behind a mask the upstream sees tokens and the client's functions get the values.
import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import OpenAI from 'openai';
import { chatStream, startTandem, user, weights, withoutPair } from './lib.mjs';
import { chunk, delta, event, startUpstream, usage, wholeStream } from './upstream.mjs';

let server, upstream, client;
before(async () => {
  upstream = await startUpstream();
  server = await startTandem(`
models:
  cloud: {kind: remote, url: "${upstream.url}", model: big-1, breaker: no}
  home: {kind: script, answers: ["at home"]}
  private: {kind: mask, inner: cloud, level: 2}
  guarded: {kind: guard, inner: private}
  either: {kind: route, small: home, large: guarded, scorer: always_small}
`);
  client = new OpenAI({ baseURL: server.base, apiKey: 'k', maxRetries: 0 });
});
after(async () => {
  await server.stop();
  await upstream.close();
});

const [head] = wholeStream([]);
const tail = [chunk(event('[DONE]')), '0\r\n\r\n'];
const call = (index, id, name, args) => ({ index, id, type: 'function', function: { name, arguments: args } });
const calls = (...list) => [head, chunk(delta({ role: 'assistant', content: null })),
  ...list.map((c) => chunk(delta({ tool_calls: [c] }))), chunk(delta({}, 'tool_calls')), chunk(usage(9, 8)), ...tail];
const tools = [{ type: 'function', function: { name: 'weather', description: 'of a city',
  parameters: { type: 'object', properties: { city: { type: 'string' } } } } },
{ type: 'function', function: { name: 'now', parameters: { type: 'object', properties: {} } } }];
const ask = { model: 'cloud', messages: user('what is it like in Oslo?'), tools };
const last = () => upstream.requests.at(-1).json;

test('two calls in one answer, and their results sent back', async () => {
  upstream.behaviour = (rq) => (rq.json.messages.at(-1).role === 'tool' ? wholeStream(['It rains.'])
    : calls(call(0, 'call_a', 'weather', ''), { index: 0, function: { arguments: '{"city":' } },
      { index: 0, function: { arguments: '"Oslo"}' } }, call(1, 'call_b', 'now', '{}')));
  const first = await client.chat.completions.create(ask);
  const { message, finish_reason } = first.choices[0];
  assert.equal(finish_reason, 'tool_calls');
  assert.equal(message.content, null);
  assert.deepEqual(message.tool_calls, [
    { id: 'call_a', type: 'function', function: { name: 'weather', arguments: '{"city":"Oslo"}' } },
    { id: 'call_b', type: 'function', function: { name: 'now', arguments: '{}' } }]);
  assert.equal(first.tandem.state, 'complete');
  assert.deepEqual(last().tools, tools);
  const second = await client.chat.completions.create({ ...ask, messages: [...ask.messages, message,
    { role: 'tool', tool_call_id: 'call_a', content: 'rain' }, { role: 'tool', tool_call_id: 'call_b', content: 'noon' }] });
  assert.equal(second.choices[0].message.content, 'It rains.');
  assert.deepEqual(last().messages.slice(1), [{ role: 'assistant', content: null, tool_calls: message.tool_calls },
    { role: 'tool', content: 'rain', tool_call_id: 'call_a' }, { role: 'tool', content: 'noon', tool_call_id: 'call_b' }]);
});

test('the client runs its functions by itself, streamed', async () => {
  upstream.behaviour = (rq) => (rq.json.messages.at(-1).role === 'tool'
    ? wholeStream([`It is ${JSON.parse(rq.json.messages.at(-1).content).sky}.`])
    : calls(call(0, 'call_a', 'weather', '{"ci'), { index: 0, function: { arguments: 'ty":"Oslo"}' } }));
  const asked = [];
  const runner = client.chat.completions.runTools({ model: 'cloud', messages: ask.messages, stream: true, tools: [
    { type: 'function', function: { name: 'weather', parse: JSON.parse, parameters: tools[0].function.parameters,
      function: ({ city }) => { asked.push(city); return { sky: 'grey' }; } } }] });
  assert.equal(await runner.finalContent(), 'It is grey.');
  assert.deepEqual(asked, ['Oslo']);
});

test('chunks of calls have the shape that clients rely on, whatever the upstream sends', async () => {
  const ways = {
    'well': [call(0, 'a', 'weather', ''), { index: 0, function: { arguments: '{"city":"Oslo"}' } }, call(1, 'b', 'now', '{}')],
    'id and name in every piece': [call(0, 'a', 'weather', '{"city"'), call(0, 'a', 'weather', ':"Oslo"}'), call(1, 'b', 'now', '{}')],
    'no index': [{ id: 'a', function: { name: 'weather', arguments: '{"city"' } }, { function: { arguments: ':"Oslo"}' } },
      { id: 'b', function: { name: 'now', arguments: '{}' } }],
    'every index 0': [call(0, 'a', 'weather', '{"city":"Oslo"}'), call(0, 'b', 'now', '{}')],
    'arguments as an object': [call(0, 'a', 'weather', { city: 'Oslo' }), call(1, 'b', 'now', {})],
    'at once': [call(0, 'a', 'weather', '{"city"'), call(1, 'b', 'now', '{'), { index: 0, function: { arguments: ':"Oslo"}' } },
      { index: 1, function: { arguments: '}' } }],
    'no arguments': [call(0, 'a', 'weather', '{"city":"Oslo"}'), { index: 1, id: 'b', function: { name: 'now' } }],
  };
  for (const [what, list] of Object.entries(ways)) {
    for (const finish of ['tool_calls', 'stop']) {
      upstream.behaviour = () => [head, ...list.map((c) => chunk(delta({ tool_calls: [c] }))), chunk(delta({}, finish)), ...tail];
      const { events } = await chatStream(server, ask);
      const deltas = events.filter((e) => e !== '[DONE]').flatMap((e) => e.choices[0].delta.tool_calls ?? []);
      const began = deltas.filter((d) => 'id' in d);
      assert.deepEqual(began.map((d) => [d.index, d.id, d.type, d.function.name, d.function.arguments]),
        [[0, 'a', 'function', 'weather', ''], [1, 'b', 'function', 'now', '']], what);
      for (const d of deltas.filter((x) => !('id' in x))) assert.deepEqual([Object.keys(d), Object.keys(d.function)],
        [['index', 'function'], ['arguments']], what);
      assert.ok(deltas.every((d, i) => i === 0 || d.index >= deltas[i - 1].index), `${what}: one call ends before the next begins`);
      assert.equal(deltas.filter((d) => d.index === 0).map((d) => d.function.arguments).join(''), '{"city":"Oslo"}', what);
      assert.equal(deltas.filter((d) => d.index === 1).map((d) => d.function.arguments).join(''), '{}', what);
      assert.equal(events.at(-2).choices[0].finish_reason, 'tool_calls', what);
      const final = await client.chat.completions.stream(ask).finalChatCompletion();
      assert.deepEqual(final.choices[0].message.tool_calls.map((c) => c.function.name), ['weather', 'now'], what);
    }
  }
});

test('the older shape, functions and function_call, is answered in its own', async () => {
  upstream.behaviour = (rq) => (rq.json.messages.at(-1).role === 'tool' ? wholeStream(['rain'])
    : calls(call(0, 'call_a', 'weather', '{"city":"Oslo"}')));
  const older = { model: 'cloud', messages: ask.messages, functions: [tools[0].function] };
  const { json } = await server.chat(older);
  assert.deepEqual(json.choices[0].message.function_call, { name: 'weather', arguments: '{"city":"Oslo"}' });
  assert.equal(json.choices[0].finish_reason, 'function_call');
  assert.deepEqual([last().tools, last().parallel_tool_calls, last().functions], [[tools[0]], false, undefined]);
  const { events } = await chatStream(server, older);
  const pieces = events.filter((e) => e !== '[DONE]').flatMap((e) => e.choices[0].delta.function_call ?? []);
  assert.deepEqual([pieces[0].name, pieces.map((p) => p.arguments).join('')], ['weather', '{"city":"Oslo"}']);
  await server.chat({ ...older, messages: [...ask.messages, json.choices[0].message, { role: 'function', name: 'weather', content: 'rain' }] });
  const [, assistant, result] = last().messages;
  assert.equal(assistant.tool_calls[0].id, result.tool_call_id);
  assert.equal(result.role, 'tool');
});

test('thoughts of an upstream, by any name, reach the client by one', async () => {
  for (const name of ['reasoning_content', 'reasoning', 'thinking']) {
    upstream.behaviour = () => [head, chunk(delta({ [name]: 'Well, ' })), chunk(delta({ [name]: 'so.' })),
      chunk(delta({ content: 'Yes' })), chunk(delta({}, 'stop')), ...tail];
    const { json } = await server.chat({ model: 'cloud', messages: ask.messages });
    assert.deepEqual([json.choices[0].message.reasoning_content, json.choices[0].message.content], ['Well, so.', 'Yes']);
    const { events } = await chatStream(server, { model: 'cloud', messages: ask.messages });
    assert.equal(events.filter((e) => e !== '[DONE]').map((e) => e.choices[0].delta.reasoning_content ?? '').join(''), 'Well, so.');
  }
});

test('calls that cannot be put right fail, before the commit and after it', async () => {
  const bad = {
    'arguments that are no JSON': [call(0, 'a', 'weather', '{"city":')],
    'a call without a name': [{ index: 0, id: 'a', function: { arguments: '{}' } }],
    'no list': 7,
    'more than 64 calls': Array.from({ length: 65 }, (_, i) => call(i, `c${i}`, 'weather', '{}')),
  };
  for (const [what, list] of Object.entries(bad)) {
    upstream.behaviour = () => [head, ...(Array.isArray(list) ? list.map((c) => chunk(delta({ tool_calls: [c] })))
      : [chunk(delta({ tool_calls: list }))]), chunk(delta({}, 'tool_calls')), ...tail];
    const { status, json } = await server.chat(ask);
    assert.deepEqual([status, json.error.code], [502, 'bad_upstream_body'], what);
    await assert.rejects(client.chat.completions.stream(ask).finalChatCompletion(), undefined, what);
  }
  for (const cut of [{}, { reset: true }]) {
    upstream.behaviour = () => ({ pieces: [head, chunk(delta({ tool_calls: [call(0, 'a', 'weather', '{"ci')] }))], cut: true, ...cut });
    assert.equal((await server.chat(ask)).json.error.code, 'upstream_truncated');
    await assert.rejects(client.chat.completions.stream(ask).finalChatCompletion());
  }
});

test('cut for its length, a call goes out as far as it came, and says so', async () => {
  upstream.behaviour = () => [head, chunk(delta({ tool_calls: [call(0, 'a', 'weather', '{"ci')] })), chunk(delta({}, 'length')), ...tail];
  const { json } = await server.chat(ask);
  assert.deepEqual([json.choices[0].finish_reason, json.choices[0].message.tool_calls[0].function.arguments], ['length', '{"ci']);
  assert.equal(json.tandem.state, 'incomplete');
});

test('behind mask, guard and route: tokens go out, values come back, in calls and their results', async () => {
  const card = '4111 1111 1111 1111';
  upstream.behaviour = (rq) => {
    const token = /CARD_[A-Z0-9]+/.exec(rq.body)?.[0] ?? 'none';
    return rq.json.messages.at(-1).role === 'tool' ? wholeStream([`Paid with ${token.slice(0, 7)}`, `${token.slice(7)}.`])
      : calls(call(0, 'call_a', 'pay', ''), ...[...`{"card":"${token}"}`].map((c) => ({ index: 0, function: { arguments: c } })));
  };
  const body = { model: 'either', messages: user(`pay with ${card}`), tools: [{ type: 'function', function: { name: 'pay',
    description: `as with ${card}`, parameters: { type: 'object', properties: { card: { enum: [card, 'none'] } } } } }] };
  const first = await client.chat.completions.create(body);
  assert.deepEqual(JSON.parse(first.choices[0].message.tool_calls[0].function.arguments), { card });
  assert.equal(first.tandem.decisions[0].signal, 'tools');
  const messages = [...body.messages, first.choices[0].message, { role: 'tool', tool_call_id: 'call_a', content: `took ${card}` }];
  for (const stream of [false, true]) {
    const second = stream ? await client.chat.completions.stream({ ...body, messages }).finalChatCompletion()
      : await client.chat.completions.create({ ...body, messages });
    assert.equal(second.choices[0].message.content, `Paid with ${card}.`);
  }
  assert.ok(!upstream.received.includes('4111'), 'the card left the machine');
});

test('a model that cannot call tools says so; tool_choice none asks it all the same', async () => {
  const refused = await client.chat.completions.create({ ...ask, model: 'home' }).then(() => assert.fail(), (e) => e);
  assert.deepEqual([refused.status, refused.code, refused.param], [400, 'capability_missing', 'tools']);
  assert.match(refused.message, /home cannot call tools/);
  const { choices } = await client.chat.completions.create({ ...ask, model: 'home', tool_choice: 'none' });
  assert.equal(choices[0].message.content, 'at home');
});

// --- models that know text alone

const city = { type: 'function', function: { name: 'weather', parameters: { type: 'object', additionalProperties: false,
  properties: { city: { enum: ['Oslo', 'Lima'] }, days: { type: 'integer', minimum: 1, maximum: 9 } }, required: ['city', 'days'] } } };

test('a model that knows text alone calls tools in words, whole and streamed, and is told what they say', async () => {
  const words = 'I look it up.\n<tool_call>\n{"name": "weather", "arguments": {"city": "Oslo", "days": 2}}\n</tool_call>';
  const own = await startTandem(`
models:
  words: {kind: script, file: "words.json", record: "asked.jsonl"}
  caller: {kind: tools, inner: words}
serve: {default: caller}
`, { files: { 'words.json': JSON.stringify([{ match: 'rain', answer: 'It rains in Oslo.' }, { match: '', answer: words, chunk: 5 }]) } });
  const there = new OpenAI({ baseURL: own.base, apiKey: 'k', maxRetries: 0 });
  const asked = { model: 'caller', messages: user('what is it like in Oslo?'), tools: [city] };
  const whole = await there.chat.completions.create(asked);
  assert.equal(whole.choices[0].finish_reason, 'tool_calls');
  assert.equal(whole.choices[0].message.content.trim(), 'I look it up.');
  assert.deepEqual(whole.choices[0].message.tool_calls.map((c) => c.function), [{ name: 'weather', arguments: '{"city":"Oslo","days":2}' }]);
  const streamed = await there.chat.completions.stream(asked).finalChatCompletion();
  assert.deepEqual(streamed.choices[0].message.tool_calls.map((c) => [c.function.name, c.function.arguments]), [['weather', '{"city":"Oslo","days":2}']]);
  const second = await there.chat.completions.create({ ...asked, messages: [...asked.messages, whole.choices[0].message,
    { role: 'tool', tool_call_id: whole.choices[0].message.tool_calls[0].id, content: 'rain' }] });
  assert.equal(second.choices[0].message.content, 'It rains in Oslo.');
  const refused = await own.chat({ ...asked, response_format: { type: 'json_object' } });
  assert.equal(refused.status, 400);
  assert.equal(refused.json.error.code, 'capability_missing');
  await own.stop();
});

test('a call that is demanded of local weights is a call that its schema allows', { skip: withoutPair }, async () => {
  const own = await startTandem(`
models:
  small: {kind: local, path: "${weights('small')}"}
  caller: {kind: tools, inner: small}
serve: {default: caller}
`);
  const there = new OpenAI({ baseURL: own.base, apiKey: 'k', maxRetries: 0 });
  for (const tool_choice of ['required', { type: 'function', function: { name: 'weather' } }])
    for (let seed = 1; seed <= 3; seed++) {
      const answer = await there.chat.completions.create({ model: 'caller', messages: user('Lima, four days'), tools: [city], tool_choice,
        temperature: 1, seed, max_tokens: 400 });
      assert.equal(answer.choices[0].finish_reason, 'tool_calls');
      const [call] = answer.choices[0].message.tool_calls;
      assert.equal(call.function.name, 'weather');
      const given = JSON.parse(call.function.arguments);
      assert.ok(['Oslo', 'Lima'].includes(given.city) && given.days >= 1 && given.days <= 9, call.function.arguments);
    }
  await own.stop();
});

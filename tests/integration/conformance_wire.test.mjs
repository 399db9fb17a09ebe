// What goes out is read by strict readers, in all three formats: whatever an upstream sends, wherever it is cut, the
// stream is right or ends with a clear error, and no client could take it for something else. Each fault that some
// client takes badly is sent by an upstream, and is also planted into our own output to see that the readers find it.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test, { after, before } from 'node:test';
import { hasPair, random, root, startTandem, user, withoutPair } from './lib.mjs';
import { ask, exchange, formats, readChat, readMessages, readResponses } from './strict.mjs';
import { chunk, jsonAnswer, startUpstream } from './upstream.mjs';

let server, upstream;
before(async () => {
  upstream = await startUpstream();
  server = await startTandem(`
models:
  cloud: {kind: remote, url: "${upstream.url}", model: big-1, breaker: no}
  far-chat: {kind: remote, url: "${upstream.url}", model: big-1, breaker: no}
  far-responses: {kind: remote, url: "${upstream.url}", model: big-1, breaker: no, format: responses}
  far-messages: {kind: remote, url: "${upstream.url}", model: big-1, breaker: no, format: anthropic}
  private: {kind: mask, inner: cloud, level: 2}
  careful: {kind: guard, inner: cloud, scan: [output]}
  again: {kind: retry, inner: cloud}
  kept: {kind: cache, inner: cloud}
  either: {kind: fallback, models: [cloud, private]}
  pair: {kind: ${hasPair ? 'local, path: "embedded:small"' : 'script, answers: [x]'}}
serve: {workers: 32, queue: 256}
`);
});
after(async () => {
  await server.stop();
  await upstream.close();
});

const names = Object.keys(formats);
const tools = [{ name: 'get', parameters: { type: 'object' } }, { name: 'put', parameters: { type: 'object' } }];
const head = (type = 'text/event-stream') => `HTTP/1.1 200 OK\r\nContent-Type: ${type}\r\nTransfer-Encoding: chunked\r\n\r\n`;
const data = (value) => `data: ${typeof value === 'string' ? value : JSON.stringify(value)}\n\n`;
const d = (delta, finish = null, more = {}) => data({ choices: [{ index: 0, delta, finish_reason: finish }], ...more });
const usage = { prompt_tokens: 5, completion_tokens: 4, total_tokens: 9 };
const end = (finish) => [d({}, finish), data({ choices: [], usage }), data('[DONE]')];
const sse = (...parts) => [head(), ...parts.map((p) => chunk(p)), '0\r\n\r\n'];
const first = (index, id, name, args = '', more = {}) => d({ tool_calls: [{ index, id, type: 'function', function: { name, arguments: args }, ...more }] });
const later = (index, args, more = {}, fn = {}) => d({ tool_calls: [{ index, function: { arguments: args, ...fn }, ...more }] });

// What the upstream sends, in every format, streamed and whole, is the same answer or the same refusal.
async function everywhere(pieces, check, q = {}) {
  for (const name of names) for (const stream of [true, false]) {
    upstream.behaviour = () => pieces;
    const got = await ask(server.port, name, { model: 'cloud', messages: user('x'), tools, ...q }, { stream });
    check(got, `${name} ${stream ? 'streamed' : 'whole'}`);
  }
}
const isText = (text, finish = 'stop') => (got, where) => assert.deepEqual([got.status, got.text, got.finish, got.calls], [200, text, finish, []], where);
const areCalls = (...want) => (got, where) => {
  assert.deepEqual(got.calls.map((c) => [c.name, JSON.parse(c.arguments || '{}')]), want, where);
  assert.equal(got.finish, 'tool_calls', where);
};
// After the first byte the stream says it and ends abnormally; before it, and not streamed, the status says it.
const isFailure = (code, text) => (got, where) => {
  assert.ok(got.state === 'failed' || got.status >= 400, `${where}: ${got.state}`);
  assert.equal(got.receipt.state, 'failed', where);
  if (got.state === 'failed') assert.equal(got.text, text, where);
  if (code && got.error.code) assert.equal(got.error.code, code, where);
};

// --- an upstream does what some client takes badly

const hello = [d({ role: 'assistant', content: '' }), d({ content: 'Hel' }), d({ content: 'lo' })];
const wonder = [d({ reasoning: 'Hm' }), ...hello, first(0, 'call_1', 'get', '{"a'), later(0, '":1}'), first(1, 'call_2', 'put', '{"b":'), later(1, '2}'), ...end('tool_calls')];
const rows = {
  'F14 no [DONE]': [sse(...hello, d({}, 'stop')), isText('Hello')],
  'F13 no finish_reason, with [DONE]': [sse(...hello, data('[DONE]')), isFailure('upstream_truncated', 'Hello')],
  'F13 no finish_reason, clean end': [sse(...hello), isFailure('upstream_truncated', 'Hello')],
  'F24 a socket that closes within a stream': [{ pieces: [head(), ...hello.map(chunk)], cut: true }, isFailure('upstream_truncated', 'Hello')],
  'a socket that is reset within a stream': [{ pieces: [head(), ...hello.map(chunk)], reset: true, delay: 5 }, isFailure('upstream_truncated', 'Hello')],
  'no last chunk, after finish_reason and [DONE]': [{ pieces: [head(), ...[...hello, ...end('stop')].map(chunk)], cut: true }, isText('Hello')],
  'no role': [sse(d({ content: 'Hello' }), ...end('stop')), isText('Hello')],
  'F17 malformed JSON': [sse(...hello, 'data: {"choices":[\n\n', ...end('stop')), isFailure('bad_upstream_body', 'Hello')],
  'an error in mid-stream': [sse(...hello, data({ error: { message: 'overloaded', code: 'server_error' } })), isFailure(null, 'Hello')],
  'an error as text in mid-stream': [sse(...hello, data({ error: 'it broke' }), data('[DONE]')), isFailure(null, 'Hello')],
  'an event of the name error': [sse(...hello, 'event: error\ndata: {"error":{"message":"it broke"}}\n\n'), isFailure(null, 'Hello')],
  'tool deltas without index': [sse(d({ tool_calls: [{ id: 'call_1', type: 'function', function: { name: 'get', arguments: '{"a"' } }] }),
    d({ tool_calls: [{ function: { arguments: ':1}' } }] }), d({ tool_calls: [{ id: 'call_2', type: 'function', function: { name: 'put', arguments: '{}' } }] }), ...end('tool_calls')),
  areCalls(['get', { a: 1 }], ['put', {}])],
  'demand_10_tool_deltas: id and name in every one': [sse(first(0, 'call_1', 'get', '{'), first(0, 'call_1', 'get', '"a":'), first(0, 'call_1', 'get', '1}'), ...end('tool_calls')),
    areCalls(['get', { a: 1 }])],
  'arguments as an object': [sse(first(0, 'call_1', 'get', { a: { b: [1, 'x'] } }), ...end('tool_calls')), areCalls(['get', { a: { b: [1, 'x'] } }])],
  'a tool delta without type': [sse(d({ tool_calls: [{ index: 0, id: 'call_1', function: { name: 'get', arguments: '{"a":1}' } }] }), ...end('tool_calls')), areCalls(['get', { a: 1 }])],
  'a tool delta without id': [sse(d({ tool_calls: [{ index: 0, type: 'function', function: { name: 'get', arguments: '{"a":1}' } }] }), ...end('tool_calls')), areCalls(['get', { a: 1 }])],
  'an id that no client may see': [sse(first(0, 'call 1/é', 'get', '{}'), ...end('tool_calls')), areCalls(['get', {}])],
  'later tool deltas with empty id and name': [sse(first(0, 'call_1', 'get', '{"a"'), later(0, ':1}', { id: '' }, { name: '' }), ...end('tool_calls')), areCalls(['get', { a: 1 }])],
  'the same id in two calls': [sse(first(0, 'call_1', 'get', '{}'), first(1, 'call_1', 'put', '{}'), ...end('tool_calls')),
    (got, where) => (got.status === 200 && got.state !== 'failed' ? assert.equal(new Set(got.calls.map((c) => c.id)).size, got.calls.length, where) : isFailure(null, '')(got, where))],
  'demand_09_tools_called_finish_reason_stop': [sse(first(0, 'call_1', 'get', '{}'), ...end('stop')), areCalls(['get', {}])],
  'choices: [] first and in between': [sse(data({ choices: [] }), ...hello, data({ choices: [], usage: null }), ...end('stop')), isText('Hello')],
  'a chunk without choices': [sse(...hello, data({ id: 'x', note: 'hi' }), ...end('stop')), isText('Hello')],
  'F15 data after [DONE]': [sse(...hello, ...end('stop'), d({ content: ' and more' })), isText('Hello')],
  'F16 text after finish_reason': [sse(...hello, d({}, 'stop'), d({ content: ' and more' }), data('[DONE]')), isText('Hello')],
  'content null, missing head, unknown finish_reason, usage on the finish chunk': [sse(d({ role: 'assistant', content: null }), ...hello, d({ content: null }, 'eos', { usage }), data('[DONE]')),
    isText('Hello')],
  'demand_30 a 200 with an error as its body': [jsonAnswer('200 OK', { error: { message: 'no' } }), isFailure(null, '')],
  'F07 a 200 with HTML': [[`HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 27\r\n\r\n`, '<html><body>hi</body></html>'.slice(0, 27)], (got, where) => { isFailure('bad_upstream_body', '')(got, where); assert.ok(!/html|body>/.test(got.error.message), where); }],
  'an error body {"error":"text"}': [jsonAnswer('500 X', { error: 'text' }), isFailure(null, '')],
  'an error body {"detail":…}': [jsonAnswer('500 X', { detail: [{ loc: ['body'], msg: 'm' }] }), isFailure(null, '')],
  'an error body of HTML': [jsonAnswer('502 X', '<h1>Bad gateway</h1>'), isFailure(null, '')],
  'an empty error body': [jsonAnswer('500 X', ''), isFailure(null, '')],
  'F17 comments, CRLF, no space after the colon, unknown fields, one event over two lines': [sse(': hello\r\n\r\n', ...hello.map((e) => e.replace('data: ', 'data:').replaceAll('\n', '\r\n')),
    'id: 3\nretry: 5\n\n', 'data: {"choices":[{"index":0,\ndata: "delta":{"content":"!"}}]}\n\n', ...end('stop')), isText('Hello!')],
  'F19 UTF-8 cut anywhere': [[head(), ...[...Buffer.from(d({ content: 'né😀' }) + end('stop').join(''))].map((byte) => Buffer.concat([Buffer.from('1\r\n'), Buffer.from([byte]), Buffer.from('\r\n')])), '0\r\n\r\n'],
    isText('né😀')],
  'a last event without its empty line': [sse(...hello, d({}, 'stop').trimEnd()), isText('Hello')],
};
for (const [name, [pieces, check]] of Object.entries(rows)) test(/^(F\d\d|demand_)/.test(name) ? name : `upstream quirk: ${name}`, () => everywhere(pieces, check));

test('upstream quirk: an empty data line', () => everywhere(sse(...hello, 'data:\n\n', 'data: \n\n', ...end('stop')), (got, where) =>
  (got.status === 200 && got.state !== 'failed' ? isText('Hello') : isFailure('bad_upstream_body', 'Hello'))(got, where)));

test('demand_11_reasoning_under_any_of_its_names_in_three_formats', async () => {
  for (const field of ['reasoning_content', 'reasoning'])
    await everywhere(sse(d({ [field]: 'Hm' }), ...hello, ...end('stop')), (got, where) => assert.deepEqual([got.thought, got.text], ['Hm', 'Hello'], `${field} ${where}`));
});

test('upstream quirk: an answer only in delta.refusal is words', () =>
  everywhere(sse(d({ role: 'assistant' }), d({ refusal: 'I cannot.' }), ...end('stop')), (got, where) => assert.equal(got.text, 'I cannot.', where)));

// --- cut anywhere

const compact = (delta, finish) => `data: ${JSON.stringify({ choices: [{ index: 0, delta, ...(finish ? { finish_reason: finish } : {}) }] })}\n\n`;
const recordings = {
  text: [compact({ content: 'Hi' }), compact({ content: ' you' }), compact({}, 'stop')],
  calls: [compact({ tool_calls: [{ index: 0, id: 'c1', function: { name: 'get', arguments: '{"a"' } }] }),
    compact({ tool_calls: [{ index: 0, function: { arguments: ':1}' } }] }), compact({}, 'tool_calls')],
  thought: [compact({ reasoning: 'né' }), compact({ content: '😀' }), compact({}, 'stop')],
};

for (const [what, events] of Object.entries(recordings))
  test(`F13 F21 demand_01_a_cut_at_every_byte_never_looks_whole: ${what}`, async () => {
    const all = Buffer.concat([head(), ...events.map(chunk), chunk(data('[DONE]')), '0\r\n\r\n'].map((p) => Buffer.from(p)));
    const finished = all.indexOf(Buffer.from('"finish_reason"')); // before it nothing may look whole
    upstream.behaviour = (rq) => ({ pieces: [all.subarray(0, Number(/cut at (\d+)/.exec(rq.body)[1]))], cut: true });
    const seen = { failed: 0, refused: 0, complete: 0 };
    const one = async (at, name) => {
      const got = await ask(server.port, name, { model: 'cloud', messages: user(`cut at ${at}`), tools });
      seen[got.state]++;
      if (at <= finished) assert.notEqual(got.state, 'complete', `${name}, byte ${at}`);
      assert.equal(got.receipt.state, got.state === 'complete' ? 'complete' : 'failed', `${name}, byte ${at}`);
      if (got.state === 'refused') assert.ok(got.status >= 500, `${got.status}`);
    };
    const jobs = Array.from({ length: all.length }, (_, at) => names.map((name) => [at, name])).flat();
    const worker = async () => { for (let job; (job = jobs.pop()); ) await one(...job); };
    await Promise.all(Array.from({ length: 8 }, worker));
    assert.ok(seen.failed > 50 && seen.refused > 50 && seen.complete > 0, JSON.stringify(seen));
    const left = await exchange(server.port, '/v1/chat/completions', { model: 'pair', messages: user('x'), max_tokens: 1 });
    assert.equal(left.status, 200);
  });

// --- random answers, random faults of the way they are sent

const words = ['a', ' b', '"', '\\', '\n', '\n\n', 'data: x', '[DONE]', '\u0000', '\u001f', 'é', '😀', '漢字', '\u2028', '{"a":1}', '</s>', 'event: error\n', ': ping', '\t', '\u{1F468}\u200D\u{1F469}'];
const some = (rand, most, make) => Array.from({ length: rand(most + 1) }, make);

function randomAnswer(rand) {
  const word = () => words[rand(words.length)] + (rand(3) ? '' : 'x'.repeat(rand(40)));
  const value = () => Object.fromEntries(some(rand, 3, (_, i) => [`k${i}`, [word(), rand(1000), null, [word()]][rand(4)]]));
  const thoughts = rand(3) ? [] : some(rand, 4, word), texts = some(rand, 6, word), calls = rand(2) ? [] : some(rand, 3, () => [tools[rand(2)].name, value()]);
  const finish = calls.length ? ['tool_calls', 'stop'][rand(2)] : ['stop', 'stop', 'length', 'content_filter'][rand(4)];
  return { thoughts, texts, calls, finish };
}

function pieceCall(rand, [name, value], index) {
  const text = JSON.stringify(value), cut = rand(text.length + 1), id = `call_${index}`;
  const style = rand(4); // how this upstream writes its calls
  if (style === 1) return [first(index, id, name, text.slice(0, cut)), first(index, id, name, text.slice(cut))];
  if (style === 2) return [first(index, id, name, text.slice(0, cut)), later(index, text.slice(cut), { id: '' }, { name: '' })];
  if (style === 3) return [first(index, id, name, value)];
  return [first(index, id, name), ...[...text].map((c) => later(index, c))];
}

function onTheWire(rand, a) {
  const events = [...(rand(2) ? [d({ role: 'assistant', content: rand(2) ? '' : null })] : []),
    ...a.thoughts.map((t) => d({ [['reasoning', 'reasoning_content'][rand(2)]]: t })), ...a.texts.map((t) => d({ content: t })),
    ...a.calls.flatMap((c, i) => pieceCall(rand, c, i)), ...(rand(2) ? end(a.finish) : [d({}, a.finish, rand(2) ? { usage } : {})])];
  const bytes = Buffer.from(events.map((e) => (rand(4) ? e : `: c\n\n${e.replaceAll('\n', '\r\n')}`)).join(''));
  const cuts = [0, ...some(rand, 6, () => rand(bytes.length)), bytes.length].sort((x, y) => x - y);
  const parts = cuts.slice(1).map((to, i) => bytes.subarray(cuts[i], to)).filter((p) => p.length);
  return [head(), ...parts.map((p) => Buffer.concat([Buffer.from(`${p.length.toString(16)}\r\n`), p, Buffer.from('\r\n')])), '0\r\n\r\n'];
}

test('random answers, sent in random ways, are the same in three formats, streamed and whole', async () => {
  const rand = random(20240607);
  for (let round = 0; round < 120; round++) {
    const a = randomAnswer(rand), wire = onTheWire(rand, a);
    const finish = a.calls.length ? 'tool_calls' : a.finish;
    upstream.behaviour = () => wire;
    const model = ['cloud', 'private', 'careful'][round % 3];
    for (const name of names) for (const stream of [true, false]) {
      const got = await ask(server.port, name, { model, messages: user('x'), tools }, { stream });
      const where = `round ${round} ${name} ${stream} ${model}: ${JSON.stringify(a)}`;
      assert.equal(got.status, 200, where);
      assert.deepEqual([got.thought, got.text, got.finish], [a.thoughts.join(''), a.texts.join(''), finish], where);
      assert.deepEqual(got.calls.map((c) => [c.name, JSON.parse(c.arguments)]), a.calls, where);
    }
  }
});

test('the same conversation through the three formats: the same words, calls, usage and ledger rows', { skip: withoutPair }, async () => {
  const q = { model: 'pair', system: 'be brief', messages: [...user('What is 12 + 7?'), { role: 'assistant', content: '19' }, ...user('And 3 more?')], max: 12 };
  const seen = [];
  for (const name of names) for (const stream of [true, false]) {
    const got = await ask(server.port, name, q, { stream, extra: { temperature: 0 } });
    const row = await server.receipt(got.receipt.receipt);
    seen.push({ text: got.text, finish: got.finish, calls: got.calls, prompt: got.usage.prompt, completion: got.usage.completion, state: row.state, served: row.served,
      rows: row.calls.map((c) => [c.model, c.purpose, c.status, c.prompt_tokens, c.completion_tokens]), decisions: row.decisions, left: row.left, guards: row.guards });
  }
  for (const one of seen) assert.deepEqual(one, seen[0]);
  assert.ok(seen[0].prompt > 10 && seen[0].completion > 0);
});

// --- golden files: the bytes of an answer of every format, with identifiers and times replaced

const brief = ['x-tandem-receipt: id'];
const plain = (text) => text.replace(/\b(chatcmpl-|resp_|msg_|rs_|fc_|req_|rcp_)[A-Za-z0-9]{24}/g, '$1ID').replace(/"(created|created_at|completed_at)":\d+/g, '"$1":0')
  .replace(/"system_fingerprint":"[^"]*"/g, '"system_fingerprint":"tdm_0"');

for (const name of names)
  test(`golden: ${name}`, async () => {
    let seen = '';
    for (const stream of [true, false]) {
      upstream.behaviour = () => sse(...wonder);
      const got = await exchange(server.port, formats[name].path, { ...formats[name].body({ model: 'cloud', messages: user('x'), tools }), stream, ...(stream && name === 'chat' ? { stream_options: { include_usage: true } } : {}) }, brief);
      seen += `${plain(got.body.toString()).trimEnd()}\n\n`;
    }
    upstream.behaviour = () => ({ pieces: [head(), ...hello.map(chunk)], cut: true });
    seen += plain((await exchange(server.port, formats[name].path, { ...formats[name].body({ model: 'cloud', messages: user('x') }), stream: true }, brief)).body.toString());
    const file = path.join(root, 'tests/golden', `${name}.txt`);
    if (process.env.GOLDEN === 'write') writeFileSync(file, seen);
    assert.equal(seen, readFileSync(file, 'utf8'), `GOLDEN=write writes ${file} anew`);
  });

// --- the readers find what is planted

// Our own streams of an answer with thoughts, words and two calls, as lists of events that can be tampered with.
async function genuine(name, events) {
  upstream.behaviour = () => sse(...events);
  const got = await ask(server.port, name, { model: 'cloud', messages: user('x'), tools });
  return got.body.toString().split('\n\n').slice(0, -1).map((block) => {
    const at = block.indexOf('data: '), text = block.slice(at + 6);
    return { name: at ? block.slice(7, at - 1) : undefined, data: text === '[DONE]' ? text : JSON.parse(text) };
  });
}
const written = (list) => Buffer.from(list.map((e) => (typeof e === 'string' ? e : `${e.name ? `event: ${e.name}\n` : ''}data: ${typeof e.data === 'string' ? e.data : JSON.stringify(e.data)}\n\n`)).join(''));
const without = (list, which) => list.filter((e) => !which(e));
const changed = (list, which, change) => list.map((e, i) => { if (!which(e, i)) return e; const copy = structuredClone(e); change(copy.data, copy); return copy; });
const choice = (e) => e.data.choices?.[0];
const piece = (e) => choice(e)?.delta.tool_calls?.[0];
const finishes = (e) => choice(e)?.finish_reason;
const at = (type) => (e) => e.data.type === type;
const once = (which) => { let done = false; return (e) => !done && which(e) && (done = true); };

const planted = {
  chat: {
    'no [DONE]': (l) => l.slice(0, -1),
    'no finish_reason': (l) => without(l, finishes),
    'no role': (l) => l.slice(1),
    'an empty data line': (l) => [...l.slice(0, 2), 'data: \n\n', ...l.slice(2)],
    'malformed JSON': (l) => [...l.slice(0, 2), 'data: {"a\n\n', ...l.slice(2)],
    'an error, and then a clean end': (l) => [...l.slice(0, 4), { data: { error: { message: 'm', type: 't', code: 'c', param: null } } }, l.at(-1)],
    'an error as text': (l) => [...l.slice(0, 4), { data: { error: 'text' } }],
    'a tool delta without index': (l) => changed(l, piece, (x) => delete x.choices[0].delta.tool_calls[0].index),
    'id and name in every tool delta': (l) => changed(l, (e) => piece(e) && !piece(e).id, (x) => Object.assign(x.choices[0].delta.tool_calls[0], { id: 'call_1', type: 'function', function: { name: 'get', arguments: '1' } })),
    'arguments as an object': (l) => changed(l, (e) => piece(e) && !piece(e).id, (x) => (x.choices[0].delta.tool_calls[0].function.arguments = { a: 1 })),
    'a tool delta without type': (l) => changed(l, (e) => piece(e)?.id, (x) => delete x.choices[0].delta.tool_calls[0].type),
    'a tool delta without id': (l) => changed(l, (e) => piece(e)?.id, (x) => delete x.choices[0].delta.tool_calls[0].id),
    'later deltas with empty id and name': (l) => changed(l, (e) => piece(e) && !piece(e).id, (x) => Object.assign(x.choices[0].delta.tool_calls[0], { id: '' })),
    'tools called, finish_reason stop': (l) => changed(l, finishes, (x) => (x.choices[0].finish_reason = 'stop')),
    'choices: [] too early': (l) => [l[0], { data: { ...l[0].data, choices: [] } }, ...l.slice(1)],
    'a chunk without choices': (l) => [l[0], { data: { ...l[0].data, choices: undefined } }, ...l.slice(1)],
    'an event of another name': (l) => [l[0], { name: 'tandem', data: { a: 1 } }, ...l.slice(1)],
    'data after [DONE]': (l) => [...l, l[1]],
    'an answer in delta.refusal': (l) => changed(l, (e) => choice(e)?.delta.content, (x) => (x.choices[0].delta = { refusal: 'no' })),
    'reasoning under another name': (l) => changed(l, (e) => choice(e)?.delta.reasoning_content, (x) => (x.choices[0].delta = { reasoning: 'no' })),
    'a comment of another kind within an event': (l) => [...l.slice(0, 1), 'data: {}\n: x\n\n', ...l.slice(1)],
    'CRLF': (l) => [l[0], `data: ${JSON.stringify(l[1].data)}\r\n\r\n`, ...l.slice(2)],
    'another id in the middle': (l) => changed(l, (e, i) => i === 3, (x) => (x.id = 'chatcmpl-2')),
    'usage missing though asked for': (l) => without(l, (e) => e.data.choices?.length === 0),
    'an unterminated last event': (l) => [...l.slice(0, -1), 'data: [DONE]'],
    'arguments that are no JSON': (l) => without(l, once((e) => piece(e) && !piece(e).id)),
    'calls that overlap': (l) => { const i = l.findIndex((e) => piece(e)?.index === 1); return [...l.slice(0, i + 1), l.find((e) => piece(e) && !piece(e).id), ...l.slice(i + 1)]; },
  },
  responses: {
    'output_item.added is missing': (l) => without(l, once(at('response.output_item.added'))),
    'content_part.added is missing': (l) => without(l, at('response.content_part.added')),
    'content_part.done is missing': (l) => without(l, at('response.content_part.done')),
    'output_item.done is missing': (l) => without(l, once(at('response.output_item.done'))),
    'no terminal event': (l) => l.slice(0, -1),
    'response.failed, clean end': (l) => changed(l, at('response.completed'), (x, e) => { x.type = e.name = 'response.failed'; x.response.status = 'failed'; x.response.error = { code: 'c', message: 'm' }; }),
    'an error event, clean end': (l) => [...l.slice(0, -1), { name: 'error', data: { type: 'error', sequence_number: l.length - 1, code: 'c', message: 'm', param: null } }],
    'a chat-style error': (l) => [...l.slice(0, -1), { data: { error: { message: 'm' } } }],
    'an unknown event': (l) => [...l.slice(0, 3), { name: 'response.tandem', data: { type: 'response.tandem', sequence_number: 3 } }, ...l.slice(3)],
    'reasoning_text without its parts': (l) => changed(l, at('response.reasoning_summary_text.delta'), (x, e) => { x.type = e.name = 'response.reasoning_text.delta'; }),
    'a gap in the numbers': (l) => changed(l, (e, i) => i > 4, (x) => x.sequence_number++),
    'no event line': (l) => changed(l, (e, i) => i === 4, (x, e) => { e.name = undefined; }),
    'data after the end': (l) => [...l, l[1]],
    '[DONE]': (l) => [...l, { data: '[DONE]' }],
    'another item id': (l) => changed(l, once(at('response.output_text.delta')), (x) => (x.item_id = 'msg_other')),
    'another output_index': (l) => changed(l, once(at('response.function_call_arguments.delta')), (x) => x.output_index++),
    'a delta is lost': (l) => without(l, once(at('response.output_text.delta'))).map((e, i) => ({ ...e, data: { ...e.data, sequence_number: i } })),
    'the whole answer has less': (l) => changed(l, at('response.completed'), (x) => x.response.output.pop()),
    'an error field is missing': (l) => changed(l, at('response.completed'), (x) => delete x.response.error),
  },
  messages: {
    'no event lines': (l) => l.map(({ data }) => ({ data })),
    'no message_stop': (l) => l.slice(0, -1),
    'no content_block_start': (l) => without(l, once(at('content_block_start'))),
    'no content_block_stop': (l) => without(l, once(at('content_block_stop'))),
    'no usage in message_delta': (l) => changed(l, at('message_delta'), (x) => delete x.usage),
    'output_tokens in message_start': (l) => changed(l, at('message_start'), (x) => (x.message.usage.output_tokens = 3)),
    'input_tokens is no number': (l) => changed(l, at('message_start'), (x) => (x.message.usage.input_tokens = null)),
    'an unknown event': (l) => [...l.slice(0, 2), { name: 'tandem', data: { type: 'tandem' } }, ...l.slice(2)],
    'an error event, clean end': (l) => [...l.slice(0, -1), { name: 'error', data: { type: 'error', error: { type: 'api_error', message: 'm' } } }],
    'tools called, end_turn and arguments cut': (l) => without(l, once((e) => e.data.delta?.type === 'input_json_delta')),
    'an unknown stop_reason': (l) => changed(l, at('message_delta'), (x) => (x.delta.stop_reason = 'stop')),
    'input as a string': (l) => changed(l, (e) => e.data.content_block?.type === 'tool_use', (x) => (x.content_block.input = '{}')),
    'a block number twice': (l) => changed(l, (e) => e.data.index === 1, (x) => (x.index = 0)),
    'thoughts without signature': (l) => without(l, (e) => e.data.delta?.type === 'signature_delta'),
    'data after message_stop': (l) => [...l, l[1]],
  },
};
const readers = { chat: (b) => readChat(b, true, { includeUsage: true }), responses: (b) => readResponses(b, true), messages: (b) => readMessages(b, true) };

for (const name of names)
  test(`planted faults are found: ${name}`, async () => {
    const list = await genuine(name, wonder);
    const good = readers[name](written(list));
    assert.deepEqual([good.thought, good.text, good.finish, good.calls.length], ['Hm', 'Hello', 'tool_calls', 2]);
    for (const [what, plant] of Object.entries(planted[name])) assert.throws(() => readers[name](written(plant(list))), (e) => e instanceof assert.AssertionError || e instanceof SyntaxError, what);
    // A clean stream that ended without its last chunk, and a cut one that ended with it.
    assert.throws(() => ({ chat: readChat, responses: readResponses, messages: readMessages })[name](written(list), false, { includeUsage: true }));
    assert.throws(() => readers[name](written(list.slice(0, -2))));
  });

// The same faults from an upstream of that format: repaired, or told; never less that looks whole.
const told = ['no finish_reason', 'malformed JSON', 'an error, and then a clean end', 'an error as text', 'id and name in every tool delta', 'arguments that are no JSON',
  'calls that overlap', 'no terminal event', 'response.failed, clean end', 'an error event, clean end', 'a chat-style error', 'another output_index',
  'tools called, end_turn and arguments cut'];
const others = { 'arguments as an object': { calls: [['get', { a: 1 }], ['put', { a: 1 }]] }, 'an answer in delta.refusal': { text: 'nono' }, // what it says is something else
  'reasoning under another name': { thought: 'no' }, 'a delta is lost': { text: 'lo' } };
for (const name of names)
  test(`an upstream of each format with a fault planted: ${name}`, async () => {
    const list = await genuine(name, wonder);
    const good = { thought: 'Hm', text: 'Hello', finish: 'tool_calls', calls: [['get', { a: 1 }], ['put', { b: 2 }]] };
    for (const [what, plant] of [['nothing', (l) => l], ...Object.entries(planted[name])]) for (const client of names) {
      const bytes = written(plant(list)).toString(), where = `${what}, ${client}`;
      upstream.behaviour = () => sse(bytes);
      const got = await ask(server.port, client, { model: `far-${name}`, messages: user('x'), tools });
      if (told.includes(what)) {
        assert.ok(['failed', 'refused'].includes(got.state), where);
        assert.ok((got.error.message ?? '').length > 10 && got.receipt.state === 'failed', where);
        continue;
      }
      assert.equal(got.state, 'complete', `${where}: ${got.error?.message}`);
      assert.deepEqual({ thought: got.thought, text: got.text, finish: got.finish, calls: got.calls.map((c) => [c.name, JSON.parse(c.arguments)]) }, { ...good, ...others[what] }, where);
    }
  });

test('demand_05_usage_in_streams: one last chunk when it is asked for, none when not, whatever is in between', async () => {
  for (const model of ['cloud', 'private', 'careful', 'again', 'either', 'kept', 'kept']) for (const includeUsage of [true, false]) {
    upstream.behaviour = () => sse(...hello, ...end('stop'));
    const got = await exchange(server.port, '/v1/chat/completions', { model, messages: user('x'), stream: true, ...(includeUsage ? { stream_options: { include_usage: true } } : {}) });
    const read = readChat(got.body, got.clean, { includeUsage });
    assert.deepEqual([read.text, read.usage], ['Hello', includeUsage ? { prompt: 5, completion: 4 } : undefined], model);
  }
  for (const name of names) for (const includeUsage of [true, false]) { // translated
    const list = await genuine(name, [...hello, ...end('stop')]);
    upstream.behaviour = () => sse(written(list).toString());
    const got = await exchange(server.port, '/v1/chat/completions', { model: `far-${name}`, messages: user('x'), stream: true, ...(includeUsage ? { stream_options: { include_usage: true } } : {}) });
    assert.equal(readChat(got.body, got.clean, { includeUsage }).usage?.completion, includeUsage ? 4 : undefined, name);
  }
});

// What is right when an upstream goes wrong, row by row of the table of faults: what the client sees, what the upstream saw,
// and the state of the receipt, whole and streamed.
import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import test, { after, before } from 'node:test';
import OpenAI from 'openai';
import { chatStream, eventually, events, post, raw, rawPost, root, sanitized, sleep, startTandem, streamedText, tandem, user, writeTemp } from './lib.mjs';
import { end, formats, makeCertificates, openHead, startRaw, startTls, stream, streamHead } from './faults.mjs';
import { chunk, delta, event, jsonAnswer, startUpstream, usage, wholeStream } from './upstream.mjs';

const slack = sanitized ? 6 : 1;
let server, up, other, tls, certificates;
before(async () => {
  up = await startUpstream();
  other = await startUpstream();
  certificates = makeCertificates();
  tls = await startTls(certificates.of('localhost'));
  const at = (u, more = '') => `{kind: remote, url: "${u.url}", model: m${more}}`;
  const times = ', timeout_ms: 450, idle_ms: 250';
  const perFormat = Object.keys(formats).map((f) => `  f-${f}: ${at(up, `, format: ${f}, breaker: no, key: "env:UPSTREAM_KEY"`)}`).join('\n');
  server = await startTandem(`
models:
  cloud: ${at(up, `, breaker: no, key: "env:UPSTREAM_KEY"${times}`)}
  other: ${at(other, ', breaker: no')}
  lone: ${at(up)}
  fragile: ${at(up)}
  weak: ${at(up)}
  drip: ${at(up, ', breaker: no, min_rate: 200, rate_window_ms: 300')}
  wordless: ${at(up, ', breaker: no, first_token_ms: 300, token_ms: 300')}
  ring: ${at(up, ', breaker: no, keys: ["env:K1", "env:K2", "env:K3"]')}
  ring2: ${at(up, ', breaker: no, keys: ["env:K1", "env:K2"]')}
  nowhere: {kind: remote, url: "http://127.0.0.1:9/v1", model: m}
  unknown: {kind: remote, url: "http://no-such-host.invalid/v1", model: m, breaker: no, connect_timeout_ms: 3000}
  home: {kind: script, answers: ["at home"]}
  patient: {kind: retry, inner: cloud, base_ms: 5}
  picky: {kind: retry, inner: cloud, base_ms: 5, on: [503, upstream_timeout]}
  either: {kind: fallback, models: [cloud, other]}
  only429: {kind: fallback, models: [cloud, other], on: [429]}
  held: {kind: fallback, models: [cloud, other], hold_bytes: 40, hold_ms: 150}
  detour: {kind: fallback, models: [nowhere, other]}
  safe: {kind: fallback, models: [cloud, home]}
  homefirst: {kind: fallback, models: [broken, cloud]}
  broken: {kind: script, answers: ["x"], hidden: yes}
  hedged: {kind: pool, members: [cloud, other], by: weights, weights: [1000000, 0.000001], hedge_ms: 120}
  hurried: {kind: deadline, inner: cloud, ms: 250}
  prompt: {kind: deadline, inner: cloud, first_ms: 150}
  private: {kind: mask, inner: cloud, level: 2}
  scorer: ${at(up, ', format: completions, score: yes, breaker: no')}
  tls: {kind: remote, url: "https://localhost:${tls.port}/v1", model: m, ca: "${certificates.ca}", breaker: no}
  untrusted: {kind: remote, url: "https://localhost:${tls.port}/v1", model: m, breaker: no}
  misnamed: {kind: remote, url: "https://127.0.0.1:${tls.port}/v1", model: m, ca: "${certificates.ca}", breaker: no}
${perFormat}
serve: {ping: 5, workers: 32}
`, { env: { UPSTREAM_KEY: 'sk-canary-0123456789', K1: 'key-one', K2: 'key-two', K3: 'key-three' } });
  for (let i = 0; i < 500; i += 25) // so that a tenth of the calls is no limit here
    await Promise.all(Array.from({ length: 20 }, () => say('other')));
});
after(async () => {
  await server.stop();
  for (const u of [up, other, tls]) await u.close();
});

// --- one request and what came of it

const say = (model, more = {}) => server.chat({ model, messages: user('hi'), ...more });
const words = (a) => a.json?.choices?.[0].message.content ?? a.json?.error?.code ?? a.text;
const unchunk = (text) => {
  let out = Buffer.alloc(0), rest = Buffer.from(text, 'latin1');
  for (;;) {
    const line = rest.indexOf('\r\n');
    const n = line < 0 ? 0 : parseInt(rest.subarray(0, line).toString(), 16);
    if (!n) return { body: out.toString(), clean: line >= 0 && rest.toString() === '0\r\n\r\n' };
    out = Buffer.concat([out, rest.subarray(line + 2, line + 2 + n)]);
    rest = rest.subarray(line + 4 + n);
  }
};
// {status, code, state, text, finish, clean}, of a whole answer or of a stream.
async function outcome(model, streamed, more = {}) {
  if (!streamed) {
    const a = await say(model, more);
    const choice = a.json?.choices?.[0];
    return { status: a.status, headers: a.headers, code: a.json?.error?.code, state: a.json?.tandem?.state, receipt: a.json?.tandem,
      text: choice?.message.content ?? '', finish: choice?.finish_reason, clean: true, message: choice?.message, all: a.text };
  }
  const { bytes } = await raw(server.port, rawPost(server.port, { model, messages: user('hi'), stream: true, ...more }, { headers: ['Connection: close'] }));
  const status = Number(bytes.slice(9, 12)), at = bytes.indexOf('\r\n\r\n') + 4;
  if (status !== 200) {
    const json = JSON.parse(bytes.slice(at));
    return { status, code: json.error.code, state: json.tandem?.state, receipt: json.tandem, text: '', clean: true, all: bytes };
  }
  const { body, clean } = unchunk(bytes.slice(at));
  const list = events(body), last = list.at(-1);
  const done = last === '[DONE]', choices = list.flatMap((e) => e.choices ?? []);
  const receipt = list.findLast((e) => e.tandem)?.tandem;
  return { status, code: last?.error?.code, state: receipt?.state, receipt, text: streamedText(list), done, clean,
    finish: choices.findLast((c) => c.finish_reason)?.finish_reason, list, all: bytes };
}
const both = async (model, check, more) => {
  for (const streamed of [false, true]) await check(await outcome(model, streamed, more), streamed);
};
function failed(o, codes, status) {
  assert.ok([].concat(codes).includes(o.code), `${o.status} ${o.code}: ${o.all}`);
  assert.equal(o.state, o.status >= 400 && o.status < 500 ? 'refused' : 'failed'); // a 429 is no fault of ours
  assert.equal(o.finish, undefined);
  if (o.status === 200) {
    assert.equal(o.done, false);
    assert.equal(o.clean, false, 'a clean end');
  } else if (status) {
    assert.equal(o.status, status);
  }
}
function complete(o, text, finish = 'stop', state = 'complete') {
  assert.deepEqual([o.status, o.text, o.finish, o.state], [200, text, finish, state], o.all);
  assert.ok(o.clean && o.done !== false);
}
const answering = (pieces, options = {}) => { up.behaviour = () => (Array.isArray(pieces) ? { pieces, ...options } : pieces); };
const error = (status, extra = '', message = 'm') => () => jsonAnswer(`${status} X`, { error: { message, type: 't' } }, extra);
const asked = () => up.requests.length;
const good = (text) => () => wholeStream([text]);
const half = [streamHead, chunk(delta({ content: 'half ' }))];

// --- refusals and errors before the first byte

test('F01 a wait that the upstream asks for is kept, told and slows the rest; a local model answers meanwhile', async () => {
  up.behaviour = error(429, 'Retry-After: 2\r\n');
  const first = await say('lone'), before = asked();
  assert.deepEqual([first.status, first.json.error.code, first.headers['retry-after'], first.headers['x-should-retry']], [429, 'rate_limit_exceeded', '2', 'true']);
  for (let i = 0; i < 5; i++) {
    const next = await say('lone');
    assert.equal(next.status, 429);
    assert.ok(Number(next.headers['retry-after']) <= 2);
    assert.equal(next.json.tandem.left.requests, 0);
  }
  assert.equal(asked(), before, 'it was asked while it wanted a pause');
  complete(await outcome('safe', true), 'at home');
  up.behaviour = error(429, 'Retry-After: 90\r\n'); // longer than anybody waits: told, not waited for
  const long = await outcome('patient', false);
  failed(long, 'rate_limit_exceeded', 429);
  assert.deepEqual([long.receipt.calls.length, long.headers['x-should-retry']], [1, 'false']);
});

test('F02 a 429 without a wait: two repetitions with growing waits, no more', async () => {
  up.behaviour = error(429);
  await both('patient', (o) => {
    failed(o, 'rate_limit_exceeded', 429);
    assert.deepEqual(o.receipt.calls.map((c) => c.status), ['failed', 'failed', 'failed']);
    if (o.headers) assert.equal(o.headers['x-should-retry'], 'false');
  });
});

test('F03 F04 demand_30_status_in_a_body 5xx, 529, overload inside a 200: once elsewhere, then at home, else 502', async () => {
  const faults = [...[500, 502, 503, 504, 529].map((s) => error(s)), () => jsonAnswer('200 OK', { error: { message: 'm', type: 'overloaded_error' } }),
    () => stream(event({ error: { message: 'Overloaded', type: 'overloaded_error' } }))];
  for (const fault of faults) {
    up.behaviour = fault;
    other.behaviour = good('from the other');
    const [before, beside] = [asked(), other.requests.length];
    await both('either', (o) => complete(o, 'from the other'));
    assert.deepEqual([asked() - before, other.requests.length - beside], [2, 2]);
    await both('safe', (o) => complete(o, 'at home'));
    other.behaviour = fault;
    await both('either', (o) => failed(o, ['upstream_error', 'upstream_timeout']));
  }
  up.behaviour = error(503);
  other.behaviour = good('from the other');
  failed(await outcome('only429', false), 'upstream_error', 502); // on: [429]
  up.behaviour = error(429);
  complete(await outcome('only429', false), 'from the other');
  failed(await outcome('picky', false), 'rate_limit_exceeded', 429);
});

test('F05 a context that is too long is our error and not repeated; a model with a longer one may answer', async () => {
  up.behaviour = () => jsonAnswer('400 Bad Request', { error: { message: 'maximum context length is 10', code: 'context_length_exceeded' } });
  const before = asked();
  const o = await outcome('patient', false);
  assert.deepEqual([o.status, o.code, asked() - before], [400, 'context_length_exceeded', 1]);
  other.behaviour = good('longer');
  complete(await outcome('either', false), 'longer');
});

test('S24 F06 a refused key: 502, not repeated, an alarm, and nothing of the body', async () => {
  for (const status of [401, 402, 403]) {
    up.behaviour = error(status, 'WWW-Authenticate: Bearer realm="https://evil.example"\r\n', 'your key sk-canary-0123456789 is bad');
    const before = asked();
    await both('patient', (o) => {
      failed(o, 'upstream_auth', 502);
      assert.doesNotMatch(o.all, /canary|is bad|evil/);
    });
    assert.equal(asked() - before, 2);
  }
  up.behaviour = () => jsonAnswer('400 Bad Request', { error: { message: 'field x is bad' } });
  assert.equal((await say('cloud')).json.error.code, 'upstream_rejected');
  assert.match(server.stderr, /upstream\.key.* model=cloud key=1 state=dead/);
  assert.doesNotMatch(server.stderr, /canary/);
});

test('F07 a page where a stream was expected: 502, and the page is not shown', async () => {
  answering(['HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 31\r\n\r\n<html><h1>Gateway page</h1></html>'.slice(0, -3)]);
  await both('cloud', (o) => {
    failed(o, 'bad_upstream_body', 502);
    assert.doesNotMatch(o.all, /Gateway page/);
  });
});

test('F08 nobody listens, or the connection is reset: the next upstream within 100 ms; five failures open the circuit, one probe closes it', async () => {
  other.behaviour = good('detour');
  const started = performance.now();
  complete(await outcome('detour', false), 'detour');
  assert.ok(performance.now() - started < 100 * slack);
  await both('nowhere', (o) => failed(o, ['upstream_error', 'upstreams_exhausted']));
  answering([], { reset: true });
  await both('cloud', (o) => failed(o, 'upstream_error', 502));
  up.behaviour = error(500);
  for (let i = 0; i < 5; i++) assert.equal((await say('fragile')).status, 502);
  const before = asked();
  const open = await say('fragile');
  assert.deepEqual([open.status, open.json.error.code, asked() - before], [503, 'upstreams_exhausted', 0]);
  up.behaviour = good('back');
  await sleep(1050);
  assert.equal(words(await say('fragile')), 'back');
  assert.equal(words(await say('fragile')), 'back');
});

test('demand_28_no_stampede after a failure calls come back a few at a time', async () => {
  up.behaviour = error(500);
  for (let i = 0; i < 5; i++) await say('weak');
  await sleep(1050);
  let now = 0, most = 0;
  up.behaviour = (rq) => {
    most = Math.max(most, ++now);
    setTimeout(() => now--, 40);
    return { pieces: wholeStream(['back']), delay: 10 };
  };
  const answers = await Promise.all(Array.from({ length: 24 }, () => say('weak')));
  assert.ok(most <= 3, `${most} at once after the failure`);
  assert.ok(answers.some((a) => a.status === 200));
  for (const a of answers) assert.ok(a.status === 200 || a.json.error.code === 'upstreams_exhausted');
});

test('F09 a name that nobody knows: an error soon', async () => {
  const started = performance.now();
  failed(await outcome('unknown', false), 'upstream_error', 502);
  assert.ok(performance.now() - started < 4500 * slack);
});

const fault = path.join(root, 'build/gcc/fault.so');
test('F09 a name that cannot be looked up for a moment: its last good address is used', { skip: sanitized || !existsSync(fault) }, async () => {
  const control = writeTemp('fault', '');
  const port = new URL(up.url).port;
  const start = () => startTandem(`models:\n  far: {kind: remote, url: "http://upstream.test:${port}/v1", model: m, breaker: no}\n`,
    { env: { LD_PRELOAD: fault, TANDEM_FAULT: control } });
  const [own, late] = [await start(), await start()];
  answering(wholeStream(['found']), { delay: 30 });
  const ask = (of) => of.chat({ model: 'far', messages: user('hi') });
  assert.equal(words(await ask(own)), 'found');
  writeFileSync(control, 'names');
  const had = asked();
  for (const a of await Promise.all(Array.from({ length: 8 }, () => ask(own)))) // more than the one connection there is
    assert.equal(words(a), 'found');
  assert.equal(asked(), had + 8);
  assert.equal((await ask(late)).json.error.code, 'upstream_error', 'who has never known it cannot');
  writeFileSync(control, '');
  assert.equal(words(await ask(late)), 'found');
  await own.stop();
  await late.stop();
});

// --- time

test('F10 no byte for too long in the middle: an error event', async () => {
  answering(half);
  await both('cloud', (o, streamed) => {
    failed(o, 'upstream_timeout', 504);
    if (streamed) assert.equal(o.text, 'half ');
  });
});

test('F11 no first byte: 504; a hedge asks another one meanwhile', async () => {
  answering([]);
  const started = performance.now();
  failed(await outcome('cloud', true), 'upstream_timeout', 504);
  assert.ok(performance.now() - started < 1500 * slack);
  other.behaviour = good('from the other');
  await both('hedged', (o) => {
    complete(o, 'from the other');
    assert.deepEqual(o.receipt.calls.map((c) => c.status).sort(), ['cancelled', 'ok']);
    assert.match(JSON.stringify(o.receipt.decisions), /hedge.*answered/);
  });
  const silent = up.requests.at(-1);
  await eventually('the slow one is closed', () => silent.closedAt, 500 * slack);
  up.behaviour = good('in time');
  const beside = other.requests.length;
  await both('hedged', (o) => complete(o, 'in time'));
  assert.equal(other.requests.length, beside, 'nobody was slow');
  answering(half); // it has begun: the other one is not asked any more
  failed(await outcome('hedged', true), 'upstream_timeout');
});

test('deadlines: before the first words another failure, after them the answer ends', async () => {
  answering([]);
  failed(await outcome('hurried', false), 'upstream_timeout', 504);
  failed(await outcome('prompt', true), 'upstream_timeout', 504);
  answering(half);
  await both('hurried', (o) => complete(o, 'half ', 'length', 'incomplete'));
  const strict = await outcome('hurried', true, { tandem: { strict: true } });
  failed(strict, 'upstream_timeout');
  answering([...wholeStream(['a', 'b']).slice(0, 3), ...Array(8).fill(chunk(': still here\n\n')), ...wholeStream(['c']).slice(2)], { delay: 40 });
  complete(await outcome('prompt', true), 'ac');
});

test('F12 demand_12_crawling_stream a drip is given up; comments without words too', async () => {
  answering([streamHead, ...Array(100).fill('3\r\n: \n\r\n')], { delay: 50 });
  failed(await outcome('drip', true), 'upstream_timeout');
  answering([streamHead, ...Array(100).fill(chunk(': processing, please be patient\n\n'))], { delay: 50 });
  failed(await outcome('wordless', true), 'upstream_timeout', 504);
  answering([...half, ...Array(100).fill(chunk(': processing, please be patient\n\n'))], { delay: 50 });
  failed(await outcome('wordless', true), 'upstream_timeout');
});

// --- streams that end wrongly

test('F13 demand_01_truncated_upstream a clean end without a reason is an error, never a stop', async () => {
  for (const pieces of [[...half, end], [...half, chunk(event('[DONE]')), end], [openHead, delta({ content: 'half ' })]]) {
    answering(pieces, { cut: true });
    await both('cloud', (o) => {
      failed(o, 'upstream_truncated', 502);
      assert.equal(o.receipt.calls[0].status, 'failed');
    });
  }
});

test('demand_02_no_splice after the first word nobody takes over', async () => {
  other.behaviour = good('from the other');
  answering(half, { cut: true });
  const o = await outcome('either', true);
  failed(o, 'upstream_truncated');
  assert.equal(o.text, 'half ');
  const beside = other.requests.length;
  failed(await outcome('patient', true), 'upstream_truncated');
  failed(await outcome('hedged', true), 'upstream_truncated');
  assert.equal(other.requests.length, beside);
});

test('demand_03_window an answer that dies within the window is replaced whole; beyond it, or late, it is not held', async () => {
  other.behaviour = good('from the other');
  answering(half, { cut: true });
  await both('held', (o) => complete(o, 'from the other'));
  answering([streamHead, chunk(delta({ content: 'more than forty bytes of words, which is enough ' }))], { cut: true });
  const beyond = await outcome('held', true);
  failed(beyond, 'upstream_truncated');
  assert.match(beyond.text, /^more than forty/);
  answering(half); // silence after the first word: the clock opens the window
  const socket = net.connect(server.port, '127.0.0.1');
  const begun = performance.now();
  socket.write(rawPost(server.port, { model: 'held', messages: user('hi'), stream: true }));
  let got = '';
  socket.on('data', (d) => (got += d));
  await eventually('the held word', () => got.includes('half '), 2000);
  const ms = performance.now() - begun;
  assert.ok(ms >= 140 && ms < 380 * slack, `${ms}`);
  socket.destroy();
  up.behaviour = good('all is well');
  await both('held', (o) => complete(o, 'all is well'));
});

test('demand_04_one_place_for_fallback the same in all three formats, whole and streamed', async () => {
  other.behaviour = good('from the other');
  up.behaviour = error(500);
  const client = new OpenAI({ baseURL: server.base, apiKey: 'k', maxRetries: 0 });
  for (const streamed of [false, true]) {
    complete(await outcome('either', streamed), 'from the other');
    const m = await post(`${server.base}/messages`, { model: 'either', max_tokens: 9, messages: user('hi'), stream: streamed });
    assert.match(m.text, /from the other/);
    const r = streamed ? await client.responses.stream({ model: 'either', input: 'hi' }).finalResponse()
      : await client.responses.create({ model: 'either', input: 'hi' });
    assert.equal(r.output_text, 'from the other');
  }
  for (const model of ['cloud', 'only429']) { // nobody else is named, or not for this
    const m = await post(`${server.base}/messages`, { model, max_tokens: 9, messages: user('hi') });
    assert.equal(m.status, 502);
    await assert.rejects(() => client.responses.create({ model, input: 'hi' }));
  }
});

test('F14 F15 F16 a reason without [DONE]; data after [DONE]; data after the reason', async () => {
  const told = wholeStream(['Hello']).slice(0, 4);
  for (const pieces of [[streamHead, chunk(delta({ content: 'Hello' })), chunk(delta({}, 'stop'))],
    [...told, chunk(event('[DONE]')), chunk(delta({ content: 'more' })), chunk('data: {oops\n\n')],
    [streamHead, chunk(delta({ content: 'Hello' }, 'stop')), chunk(delta({ content: 'more' })), chunk(event('[DONE]'))]]) {
    answering(pieces);
    await both('cloud', (o) => complete(o, 'Hello'));
    const rq = up.requests.at(-1);
    await eventually('the upstream is closed', () => rq.closedAt, 2500);
  }
});

test('F17 odd events are read by the rules; what is not JSON is an error', async () => {
  const one = (text) => delta({ content: text });
  for (const body of [`garbage\n${one('Hello')}${delta({}, 'stop')}`, `: c\nid: 7\nretry: 10\nevent: x\n${one('Hello')}${delta({}, 'stop')}`,
    (one('Hello') + delta({}, 'stop')).replaceAll('\n', '\r'), (one('Hello') + delta({}, 'stop')).replaceAll('\n', '\r\n'),
    (one('Hello') + delta({}, 'stop')).replaceAll('data: ', 'data:'), `\ufeff${one('Hello')}${delta({}, 'stop')}`,
    one('Hello').replace('"choices"', '\ndata: "choices"') + delta({}, 'stop').trimEnd()]) {
    answering([openHead, body], { cut: true });
    await both('cloud', (o) => complete(o, 'Hello'));
  }
  answering([openHead, one('Hello'), 'data: {oops\n\n', delta({}, 'stop')], { cut: true });
  await both('cloud', (o) => failed(o, 'bad_upstream_body', 502));
});

test('F18 a line without an end is given up at its limit', async () => {
  answering([openHead, 'data: {"choices":[{"delta":{"content":"', ...Array(40).fill('x'.repeat(1 << 16))]);
  await both('cloud', (o) => failed(o, 'bad_upstream_body', 502));
});

test('F19 bytes that are no UTF-8 become U+FFFD and are counted; split characters are whole', async () => {
  const bytes = Buffer.concat([Buffer.from(`${openHead}data: {"choices":[{"delta":{"content":"a`), Buffer.from([0xff]), Buffer.from(`ö"}}]}\n\n${delta({}, 'stop')}`)]);
  answering([...bytes].map((b) => Buffer.from([b])), { cut: true });
  await both('cloud', (o) => complete(o, 'a\ufffdö'));
  assert.match(server.stderr, /upstream\.repaired.* invalid_lines=1/);
});

test('F20 halves of a character over two pieces are joined; one alone becomes U+FFFD', async () => {
  const piece = (text) => `data: {"choices":[{"index":0,"delta":{"content":"${text}"}}]}\n\n`;
  answering([openHead, piece('x\\ud83d'), piece('\\ude00y\\ud83d'), piece('z'), delta({}, 'stop')], { cut: true });
  await both('cloud', (o) => complete(o, 'x😀y\ufffdz'));
});

test('F21 demand_10_tool_deltas a call that is cut inside its arguments is an error, also where the half would parse', async () => {
  const call = (text) => delta({ tool_calls: [{ index: 0, id: 'call_a', type: 'function', function: { name: 'weather', arguments: text } }] });
  const tools = [{ type: 'function', function: { name: 'weather', parameters: { type: 'object' } } }];
  for (const text of ['{"city":"K', '{}']) {
    answering([streamHead, chunk(call(text)), end]);
    await both('cloud', (o) => failed(o, 'upstream_truncated', 502), { tools });
  }
  answering([streamHead, chunk(call('{"city":')), chunk(delta({}, 'tool_calls')), end]);
  await both('cloud', (o) => failed(o, 'bad_upstream_body', 502), { tools });
});

test('F22 numbers of choices and calls beyond all measure', async () => {
  const many = Array.from({ length: 65 }, (_, index) => ({ index, id: `c${index}`, function: { name: 'f', arguments: '{}' } }));
  for (const bad of [event({ choices: [{ index: 1e9, delta: { content: 'x' } }] }), delta({ tool_calls: many }),
    event({ choices: Array.from({ length: 200 }, (_, index) => ({ index, delta: {} })) })]) {
    answering([streamHead, chunk(bad), chunk(delta({}, 'stop')), end]);
    await both('cloud', (o) => failed(o, 'bad_upstream_body', 502), { tools: [{ type: 'function', function: { name: 'f' } }] });
  }
});

test('F23 compressed although nobody asked: 502', async () => {
  up.behaviour = () => wholeStream(['x']).map((p, i) => (i ? p : p.replace('\r\n\r\n', '\r\nContent-Encoding: gzip\r\n\r\n')));
  await both('cloud', (o) => failed(o, 'bad_upstream_body', 502));
  assert.match(up.requests.at(-1).head, /^accept-encoding: identity$/im);
  answering(['HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n', Buffer.from('1f8b0800000000000003', 'hex')], { cut: true });
  await both('cloud', (o) => failed(o, 'bad_upstream_body', 502));
});

test('F24 a wrong length, a broken chunk: as a cut', async () => {
  answering([`HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 9999\r\n\r\n${delta({ content: 'half ' })}`], { cut: true });
  await both('cloud', (o) => failed(o, 'upstream_truncated', 502));
  answering([...half, 'zz\r\nnonsense\r\n']);
  await both('cloud', (o) => failed(o, ['upstream_truncated', 'upstream_error'], 502));
});

test('F25 1xx answers, an offer to upgrade and trailers change nothing', async () => {
  const [head, ...rest] = wholeStream(['Hello']);
  answering(['HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n', 'HTTP/1.1 102 Processing\r\n\r\n', head.replace('\r\n\r\n', '\r\nUpgrade: h2c\r\n\r\n'),
    ...rest.slice(0, -1), '0\r\nRetry-After: 9\r\nSet-Cookie: a=b\r\n\r\n']);
  await both('cloud', (o) => complete(o, 'Hello'));
});

test('F26 an answer before the request is read: it is read, and nothing waits for ever', async () => {
  const early = await startRaw((socket) => {
    socket.pause();
    socket.end(`HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 40\r\n\r\n{"error":{"message":"far too long here"}}`);
  });
  const near = await startTandem(`
models:
  early: {kind: remote, url: "${early.url}", model: m, breaker: no, timeout_ms: 3000}
`);
  const started = performance.now();
  const answer = await near.chat({ messages: user('x'.repeat(4 << 20)) });
  assert.ok([400, 502].includes(answer.status), answer.text.slice(0, 300));
  assert.ok(performance.now() - started < 2500 * slack);
  await near.stop();
  early.close();
});

test('F27 another name, no counts or negative ones: our name, counts of our own, and told', async () => {
  answering([streamHead, chunk(delta({ content: 'Hello' }, 'stop')), chunk(usage(-5, 3)), end]);
  await both('cloud', (o, streamed) => {
    complete(o, 'Hello');
    const [call] = o.receipt.calls;
    assert.deepEqual([call.upstream_model, call.estimated, call.model], ['big-upstream-1', true, 'cloud']);
    assert.ok(call.prompt_tokens > 0);
    assert.match(JSON.stringify(o.receipt.warnings), /usage_estimated/);
    if (streamed) assert.ok(o.list.filter((e) => e.model).every((e) => e.model === 'cloud'));
  });
});

test('F28 a masked token that comes back altered is left as it is and counted', async () => {
  up.behaviour = (rq) => wholeStream([`Mail ${/(\S*EMAIL\S*)/.exec(rq.json.messages.at(-1).content)[1].replace(/[0-9A-Za-z](?=[^0-9A-Za-z]*$)/, (c) => (c === '0' ? '1' : '0'))}`]);
  const a = await say('private', { messages: user('write to jane.doe@example.org now') });
  assert.doesNotMatch(words(a), /jane\.doe/);
  assert.match(words(a), /EMAIL/);
  assert.ok(a.json.tandem.left.damaged + a.json.tandem.left.missed_restores >= 1, JSON.stringify(a.json.tandem.left));
});

// --- clients

test('F29 demand_06_client_gone the upstream is closed soon, before and after the first byte; the receipt says cancelled', async () => {
  for (const pieces of [[], wholeStream(Array(400).fill('word '))]) {
    answering(pieces, { delay: pieces.length ? 10 : 0 });
    const before = asked(), socket = net.connect(server.port, '127.0.0.1');
    let text = '';
    socket.on('data', (d) => (text += d));
    socket.write(rawPost(server.port, { model: 'cloud', messages: user('hi'), stream: true }));
    await eventually('the upstream is asked', () => asked() > before);
    if (pieces.length) await eventually('words', () => text.includes('word'));
    const left = performance.now(), rq = up.requests.at(-1);
    socket.destroy();
    await eventually('the upstream is closed', () => rq.closedAt, 2000);
    assert.ok(rq.closedAt - left < 150 * slack, `${rq.closedAt - left} ms`);
    const id = /x-tandem-receipt: (\S+)/.exec(text)?.[1];
    if (id) {
      const receipt = await eventually('the receipt', async () => (await server.receipt(id))?.state !== 'running' && server.receipt(id));
      assert.equal(receipt.state, 'cancelled');
      assert.equal(receipt.calls[0].status, 'cancelled');
    }
  }
});

test('F30 a client that closes its sending side has left, unless the settings say otherwise', async () => {
  answering(wholeStream(Array(300).fill('word ')), { delay: 10 });
  const before = asked();
  const gone = raw(server.port, rawPost(server.port, { model: 'cloud', messages: user('hi'), stream: true }), { half: true });
  await eventually('the upstream is asked, or nobody is', async () => asked() > before || (await Promise.race([gone, sleep(50)])));
  if (asked() > before) await eventually('the upstream is closed', () => up.requests.at(-1).closedAt, 2000);
  assert.doesNotMatch((await gone).bytes, /\[DONE\]/);
  const kind = await startTandem(`
models:
  cloud: {kind: remote, url: "${up.url}", model: m}
serve: {half_close: yes}
`);
  up.behaviour = good('still here');
  const { bytes } = await raw(kind.port, rawPost(kind.port, { messages: user('hi') }, { headers: ['Connection: close'] }), { half: true });
  assert.match(bytes, /still here/);
  await kind.stop();
});

test('F31 a client that stops reading stops the upstream too, and gets all of it later', async () => {
  const n = 500, piece = 'w'.repeat(32 << 10);
  up.behaviour = () => ({ pieces: wholeStream(Array(n).fill(piece)) });
  const before = asked();
  const paused = net.connect(server.port, '127.0.0.1');
  paused.pause();
  paused.write(rawPost(server.port, { model: 'drip', messages: user('hi'), stream: true }, { headers: ['Connection: close'] }));
  await eventually('the upstream is asked', () => asked() > before);
  const rq = up.requests.at(-1);
  await sleep(600); // longer than the upstream may be slow: it is not to blame
  const waiting = rq.socket.writableLength;
  assert.ok(waiting > 4 << 20, `${waiting} bytes were not taken`);
  let got = 0, tail = '';
  paused.on('data', (d) => {
    got += d.length;
    tail = (tail + d.toString('latin1')).slice(-4000);
  });
  paused.resume();
  await eventually('the rest', () => tail.includes('[DONE]'), 20000);
  assert.ok(got > n * piece.length);
});

// --- keys

test('demand_29_classes_of_keys a refused key is left, a limited one rests, all spent has a code of its own', async () => {
  const key = (rq) => /authorization: Bearer (\S+)/i.exec(rq.head)[1];
  up.behaviour = (rq) => (key(rq) === 'key-two' ? error(401)() : wholeStream([key(rq)]));
  const seen = [];
  for (let i = 0; i < 6; i++) seen.push(words(await say('ring')));
  assert.deepEqual([...new Set(seen)].sort(), ['key-one', 'key-three']);
  assert.equal(up.requests.filter((rq) => /key-two/.test(rq.head)).length, 1, 'a dead key is not asked again');
  assert.match(server.stderr, /model=ring key=2 state=dead/);
  up.behaviour = (rq) => (key(rq) === 'key-one' ? error(429, 'Retry-After: 30\r\n')() : wholeStream([key(rq)]));
  for (let i = 0; i < 4; i++) assert.equal(words(await say('ring')), 'key-three');
  up.behaviour = error(429, 'Retry-After: 40\r\n');
  const spent = await say('ring');
  assert.deepEqual([spent.status, spent.json.error.code], [503, 'upstreams_exhausted']);
  assert.ok(Number(spent.headers['retry-after']) > 20 && Number(spent.headers['retry-after']) <= 30);
  const before = asked();
  assert.equal((await say('ring')).json.error.code, 'upstreams_exhausted');
  assert.equal(asked(), before);
  up.behaviour = error(500); // transient: the key is not to blame
  failed(await outcome('ring2', false), 'upstream_error', 502);
  up.behaviour = (rq) => wholeStream([key(rq)]);
  assert.deepEqual(new Set([words(await say('ring2')), words(await say('ring2'))]), new Set(['key-one', 'key-two']));
});

// --- the table of upstreams' oddities, where no fault has shown it already

test('demand_09_calls_end_as_calls demand_11_reasoning_kept stop although there are calls, names of thoughts, odd calls', async () => {
  const tools = [{ type: 'function', function: { name: 'f', parameters: { type: 'object' } } }];
  const shapes = [[{ id: 'a', function: { name: 'f', arguments: { x: 1 } } }], // no index, arguments an object
    [{ index: 0, id: 'a', function: { name: 'f', arguments: '{"x":' } }, { index: 0, id: 'a', function: { name: 'f', arguments: '1}' } }],
    [{ index: 0, id: 'a', function: { name: 'f', arguments: '{"x":' } }, { index: 0, id: '', function: { name: '', arguments: '1}' } }]];
  for (const shape of shapes) {
    answering([streamHead, ...shape.map((c) => chunk(delta({ content: null, tool_calls: [c] }))), chunk(delta({}, 'stop')), end]);
    const whole = await outcome('cloud', false, { tools });
    assert.equal(whole.finish, 'tool_calls');
    assert.deepEqual(whole.message.tool_calls.map((c) => [c.id, c.function.name, c.function.arguments]), [['a', 'f', '{"x":1}']]);
    const streamed = await outcome('cloud', true, { tools });
    assert.equal(streamed.finish, 'tool_calls');
    const pieces = streamed.list.flatMap((e) => e.choices?.[0]?.delta.tool_calls ?? []);
    assert.ok(pieces.every((p, i) => p.index === 0 && (i === 0) === ('id' in p) && (i === 0) === (p.function.name !== undefined)));
    assert.equal(pieces.map((p) => p.function.arguments).join(''), '{"x":1}');
  }
  for (const name of ['reasoning', 'reasoning_content', 'thinking']) {
    answering([streamHead, chunk(delta({ [name]: 'hm' })), chunk(delta({ content: 'Hello' })), chunk(delta({}, 'because')), end]);
    const chat = await outcome('cloud', false);
    complete(chat, 'Hello');
    assert.equal(chat.message.reasoning_content, 'hm');
    assert.match(JSON.stringify(chat.receipt.warnings), /finish_reason/);
    const m = await post(`${server.base}/messages`, { model: 'cloud', max_tokens: 9, messages: user('hi') });
    assert.deepEqual(m.json.content.map((b) => b.thinking ?? b.text), ['hm', 'Hello']);
    const r = await post(`${server.base}/responses`, { model: 'cloud', input: 'hi' });
    assert.equal(r.json.output.find((i) => i.type === 'reasoning').summary[0].text, 'hm');
  }
});

test('a connection that was cut between requests: once more on a new one', async () => {
  up.behaviour = good('first');
  assert.equal(words(await say('cloud')), 'first');
  const before = asked();
  let n = 0;
  up.behaviour = () => (n++ ? wholeStream(['second']) : { pieces: [], reset: true });
  const o = await outcome('cloud', false);
  complete(o, 'second');
  assert.deepEqual([asked() - before, o.receipt.calls.map((c) => c.attempt).join()], [2, o.receipt.calls.length > 1 ? '1,2' : '1']);
});

// --- where requests go

test('S29 an address in a body is nobody\'s address', async () => {
  let reached = 0;
  const evil = await startRaw((socket) => { reached++; socket.destroy(); });
  up.behaviour = good('ours');
  for (const more of [{ api_base: evil.url }, { base_url: evil.url }, { url: evil.url, provider: { url: evil.url } }, { tandem: undefined, headers: { host: 'evil' } }])
    assert.equal(words(await say('cloud', more)), 'ours');
  assert.equal((await say(`openai/${evil.url}`)).status, 404);
  assert.doesNotMatch(up.requests.at(-1).body, /api_base|base_url|evil/);
  assert.equal(reached, 0);
  evil.close();
});

test('S31 S34 S35 redirects are not followed, cookies not kept, realms not visited', async () => {
  let reached = 0;
  const inner = await startRaw((socket) => { reached++; socket.destroy(); });
  for (const status of ['301 Moved', '302 Found', '307 Temporary', '308 Permanent']) {
    answering([`HTTP/1.1 ${status}\r\nLocation: ${inner.url}/chat/completions\r\nContent-Length: 0\r\n\r\n`]);
    await both('cloud', (o) => {
      failed(o, 'upstream_error', 502);
      assert.doesNotMatch(o.all, /^location:/im);
    });
  }
  answering([`HTTP/1.1 401 No\r\nWWW-Authenticate: Bearer realm="${inner.url}"\r\nContent-Length: 0\r\n\r\n`]);
  failed(await outcome('cloud', false), 'upstream_auth', 502);
  up.behaviour = () => wholeStream(['x']).map((p, i) => (i ? p : p.replace('\r\n\r\n', `\r\nSet-Cookie: a=b\r\nRefresh: 0; url=${inner.url}\r\nLocation: ${inner.url}\r\n\r\n`)));
  for (let i = 0; i < 3; i++) {
    const a = await say('cloud');
    assert.equal(words(a), 'x');
    for (const h of ['set-cookie', 'refresh', 'location', 'www-authenticate']) assert.equal(a.headers[h], undefined);
  }
  assert.doesNotMatch(up.requests.at(-1).head, /^cookie:/im);
  assert.equal(reached, 0);
  inner.close();
});

test('S32 addresses that two parsers read differently are refused when the settings are read', () => {
  for (const url of ['http://good@evil.example/v1', 'http://good:pw@evil.example', 'http://good\\\\@evil.example', 'http://good#@evil.example', 'http://good?@evil.example',
    'http:///v1', 'http://', 'file:///etc/passwd', 'gopher://h/', 'http://good evil/', 'http://0x7f.1/v1', 'http://h:99999999/']) {
    const file = writeTemp('s.yaml', `models:\n  a: {kind: remote, url: "${url}", model: m}\n`);
    const done = tandem(['models', '--config', file]);
    assert.notEqual(done.status, 0, url);
    assert.match(done.stderr + done.stdout, /url/, url);
  }
});

test('S33 TLS is always verified, HTTP/2 is used where it is offered', async () => {
  const o = await outcome('tls', false);
  complete(o, 'Hällo world');
  assert.deepEqual([...new Set(tls.versions)], ['2.0']);
  complete(await outcome('tls', true), 'Hällo world');
  assert.equal(tls.sessions, 1, 'the connection was kept');
  const before = tls.versions.length;
  for (const model of ['untrusted', 'misnamed']) {
    const bad = await outcome(model, false);
    failed(bad, 'upstream_error', 502);
    assert.match(bad.all, /no trustworthy TLS connection/);
    assert.equal(bad.receipt.left.requests, 0);
  }
  const expired = await startTls(makeExpired());
  const near = await startTandem(`
models:
  old: {kind: remote, url: "https://localhost:${expired.port}/v1", model: m, ca: "${certificates.ca}"}
`);
  const late = await near.chat({ messages: user('hi') });
  assert.deepEqual([late.status, /no trustworthy TLS/.test(late.text)], [502, true]);
  await near.stop();
  expired.close();
  assert.equal(tls.versions.length, before);
  const switches = tandem(['models', '--kinds']).stdout;
  assert.doesNotMatch(switches, /insecure|verify:|skip_verify/i);
});
const makeExpired = () => certificates.of('localhost', -1);

// --- formats

const tools = ['weather', 'now'].map((name) => ({ type: 'function', function: { name, parameters: { type: 'object' } } }));
for (const [name, f] of Object.entries(formats)) {
  const model = `f-${name}`;
  const behave = (list, options = {}) => {
    up.behaviour = (rq) => (rq.head.includes('/apply-template') ? jsonAnswer('200 OK', { prompt: `<${rq.json.messages.at(-1).content}>` })
      : { pieces: stream(...list), ...options });
  };
  test(`format ${name}: whole, streamed, calls, errors`, async () => {
    behave(f.words());
    await both(model, (o, streamed) => {
      complete(o, 'Hällo world');
      const [call] = o.receipt.calls;
      assert.deepEqual([call.prompt_tokens, call.completion_tokens, call.cached_tokens, call.estimated], [9, 4, 5, false]);
      const thought = streamed ? o.list.map((e) => e.choices?.[0]?.delta.reasoning_content ?? '').join('') : o.message.reasoning_content ?? '';
      assert.equal(thought, f.words().join('').includes('hm ') ? 'hm ' : '');
    });
    const rq = up.requests.at(-1);
    assert.ok(rq.head.startsWith(`POST ${f.path} HTTP/1.1`), rq.head);
    assert.match(rq.head, name === 'anthropic' ? /^x-api-key: sk-canary-0123456789$/im : /^authorization: Bearer sk-canary-0123456789$/im);
    if (name === 'anthropic') assert.match(rq.head, /^anthropic-version: \S+$/im);
    assert.equal(f.prompt(rq.json), name === 'llama' ? '<hi>' : 'hi');
    if (f.calls) {
      behave(f.calls());
      await both(model, (o, streamed) => {
        assert.deepEqual([o.finish, o.state], ['tool_calls', 'complete'], o.all);
        const calls = streamed ? o.list.flatMap((e) => e.choices?.[0]?.delta.tool_calls ?? []).reduce((all, p) => {
          const call = (all[p.index] ??= { id: p.id, function: { name: p.function.name, arguments: '' } });
          call.function.arguments += p.function.arguments;
          return all;
        }, []) : o.message.tool_calls;
        assert.deepEqual(calls.map((c) => [c.id, c.function.name, JSON.parse(c.function.arguments)]),
          [['call_a', 'weather', { city: 'Köln' }], ['call_b', 'now', {}]]);
      }, { tools });
      await outcome(model, false, { tools, messages: [...user('hi'), { role: 'assistant', content: null, tool_calls: [
        { id: 'call_a', type: 'function', function: { name: 'weather', arguments: '{"city":"Köln"}' } }] }, { role: 'tool', tool_call_id: 'call_a', content: 'rain' }] });
      assert.match(up.requests.at(-1).body, /call_a.*rain|rain.*call_a/s);
    } else {
      assert.equal((await say(model, { tools })).json.error.code, 'capability_missing');
    }
    behave(f.error());
    await both(model, (o, streamed) => {
      failed(o, 'upstream_error', 502);
      if (streamed) assert.equal(o.text, 'half ');
    });
    for (const [status, code, wire] of [[400, 'upstream_rejected', 400], [401, 'upstream_auth', 502], [429, 'rate_limit_exceeded', 429], [529, 'upstream_error', 502]]) {
      up.behaviour = error(status);
      const o = await outcome(model, true);
      assert.deepEqual([o.status, o.code], [wire, code]);
    }
  });

  test(`demand_01_truncated_upstream F13 format ${name}: cut at any byte, never a clean success`, async () => {
    const body = Buffer.from(openHead + f.words().join('')), told = body.indexOf(f.told);
    const step = sanitized ? 97 : 29;
    for (let at = 1; at < told; at += step) {
      up.behaviour = (rq) => (rq.head.includes('/apply-template') ? jsonAnswer('200 OK', { prompt: 'p' })
        : { pieces: [body.subarray(0, at)], ...(at % 2 ? { cut: true } : { reset: true }) });
      failed(await outcome(model, at % 3 > 0), ['upstream_truncated', 'upstream_error', 'bad_upstream_body']);
    }
  });
}

test('an endpoint of completions judges texts and gives the tokens of a prompt', async () => {
  up.behaviour = (rq) => (rq.json.echo ? jsonAnswer('200 OK', { usage: { prompt_tokens: 4, completion_tokens: 1 },
    choices: [].concat(rq.json.prompt).map((p, index) => ({ index, text: `${p}!`, logprobs: { tokens: ['on', 'ce ', 'up', '!'],
      token_logprobs: [null, -1, -2, -9], text_offset: [0, 2, 5, 7], top_logprobs: [null, { 'ce ': -1 }, { up: -2 }, { '!': -9 }] } })) })
    : stream(...formats.completions.words()));
  const { status, json, text } = await post(`${server.base}/completions`, { model: 'scorer', prompt: 'once up', max_tokens: 0, echo: true, logprobs: 1 });
  if (status === 404 && json.error.code === 'path_not_found') return;
  assert.equal(status, 200, text);
  assert.deepEqual(json.choices[0].logprobs.token_logprobs.slice(0, 3), [null, -1, -2]);
});

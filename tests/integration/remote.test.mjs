// A remote model behind the server: good streams, streams that are cut at every kind of place, errors, slowness. The rule
// under test: a cut answer never looks whole, whatever the upstream did.
import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import OpenAI from 'openai';
import { chatStream, events, raw, rawPost, sanitized, sleep, startTandem, streamedText, user } from './lib.mjs';
import { chunk, delta, event, jsonAnswer, startUpstream, usage, wholeStream } from './upstream.mjs';

let server, upstream, client;
before(async () => {
  upstream = await startUpstream();
  server = await startTandem(`
models:
  cloud: {kind: remote, url: "${upstream.url}", model: big-1, key: "env:UPSTREAM_KEY", price: {in: 2.5, out: 10}, timeout_ms: 1500, breaker: no}
  keyless: {kind: remote, url: "${upstream.url}", model: echo}
  nowhere: {kind: remote, url: "http://127.0.0.1:9/v1", model: x, connect_timeout_ms: 500}
serve: {ping: 1}
`, { env: { UPSTREAM_KEY: 'sk-upstream-secret' } });
  client = new OpenAI({ baseURL: server.base, apiKey: 'client-key', maxRetries: 0 });
});
after(async () => {
  await server.stop();
  await upstream.close();
});

const ask = { model: 'cloud', messages: user('hi') };
function answering(pieces, options = {}) {
  upstream.behaviour = () => (Array.isArray(pieces) ? { pieces, ...options } : pieces);
}
const last = () => upstream.requests.at(-1);
const unchunk = (bytes) => bytes.slice(bytes.indexOf('\r\n\r\n') + 4).replace(/(^|\r\n)[0-9a-f]+\r\n/g, '');

test('a good stream: text, usage, price, names; what goes out is written anew', async () => {
  answering(wholeStream(['Hello ', 'wörld ', '😀']));
  const { json, headers } = await server.chat({ ...ask, temperature: 0.5, max_tokens: 50, user: 'u-7', metadata: { a: 'b' },
    secret_field: 'do not forward', tandem: { session: 'private-session' } });
  assert.equal(json.choices[0].message.content, 'Hello wörld 😀');
  assert.equal(json.model, 'cloud');
  assert.deepEqual([json.usage.prompt_tokens, json.usage.completion_tokens], [7, 3]);
  assert.ok(Math.abs(json.tandem.cost.total - (7 * 2.5 + 3 * 10) / 1e6) < 1e-12);
  assert.equal(Number(headers['x-tandem-cost']), json.tandem.cost.total);
  const [call] = json.tandem.calls;
  assert.deepEqual([call.model, call.status, call.upstream_model, call.estimated], ['cloud', 'ok', 'big-upstream-1', false]);
  assert.equal(json.tandem.left.requests, 1);
  assert.ok(json.tandem.left.bytes >= last().body.length);
  assert.equal(json.tandem.left.to.length, 1);
  assert.deepEqual([last().json.model, last().json.stream, last().json.temperature], ['big-1', true, 0.5]);
  assert.deepEqual(last().json.messages, user('hi'));
  assert.match(last().head, /^authorization: Bearer sk-upstream-secret$/im);
  for (const kept of ['do not forward', 'u-7', 'private-session', 'client-key', 'x-stainless'])
    assert.ok(!(last().head + last().body).includes(kept), `${kept} was forwarded`);
  assert.doesNotMatch(server.stderr, /sk-upstream-secret/);
});

test('a good stream, streamed, through the official client', async () => {
  answering(wholeStream(['Hello ', 'world']));
  const final = await client.chat.completions.stream({ ...ask, stream_options: { include_usage: true } }).finalChatCompletion();
  assert.equal(final.choices[0].message.content, 'Hello world');
  assert.deepEqual([final.usage.prompt_tokens, final.usage.completion_tokens, final.model], [7, 2, 'cloud']);
  assert.equal((await client.get(`/receipts/${final.tandem.receipt}`)).state, 'complete');
});

test('bytes of the stream in any pieces give the same words', async () => {
  const bytes = Buffer.from(wholeStream(['Grüße ', '漢字 ', '😀!']).join(''));
  for (const size of [1, 2, 3, 7, 64]) {
    const pieces = [];
    for (let i = 0; i < bytes.length; i += size) pieces.push(bytes.subarray(i, i + size));
    answering(pieces);
    const { events: list } = await chatStream(server, ask);
    assert.equal(streamedText(list), 'Grüße 漢字 😀!', `pieces of ${size}`);
    assert.equal(list.at(-1), '[DONE]');
  }
});

test('what upstreams do wrong is repaired', async () => {
  const head = wholeStream([])[0];
  const cases = {
    'no role, CRLF, comments, no space after data:': [head, chunk(': hello\r\n\r\n'),
      chunk(delta({ content: 'Hello ' }).replace('data: ', 'data:').replace(/\n/g, '\r\n')), chunk(delta({ content: 'world' })),
      chunk(delta({}, 'stop')), chunk(event('[DONE]')), '0\r\n\r\n'],
    'no [DONE]': [head, chunk(delta({ content: 'Hello world' })), chunk(delta({}, 'stop')), '0\r\n\r\n'],
    'usage on the finish chunk, then data after [DONE]': [head, chunk(delta({ content: 'Hello world' }, 'stop')), chunk(usage(3, 2)),
      chunk(event('[DONE]')), chunk(delta({ content: 'more' })), '0\r\n\r\n'],
  };
  for (const [what, pieces] of Object.entries(cases)) {
    answering(pieces);
    const { status, json, text } = await server.chat(ask);
    assert.equal(status, 200, `${what}: ${text}`);
    assert.equal(json.choices[0].message.content, 'Hello world', what);
    assert.equal(json.choices[0].finish_reason, 'stop', what);
  }
  answering([head, chunk(delta({ content: 'Hello world' })), chunk(delta({}, 'length')), '0\r\n\r\n']);
  const cut = await server.chat(ask);
  assert.deepEqual([cut.json.choices[0].finish_reason, cut.json.tandem.state], ['length', 'incomplete']);
  assert.equal(cut.headers['x-tandem-warnings'], 'usage_estimated');
});

test('cut at any byte: never a clean success, in any form', async (t) => {
  const bytes = Buffer.from(wholeStream(['Hello ', 'wörld']).join(''));
  const complete = bytes.indexOf('"finish_reason":"stop"');
  const step = sanitized ? 41 : 13; // odd steps, so that cuts fall on every kind of place
  let cuts = 0, errors = 0;
  for (let at = 0; at < bytes.length; at += step) {
    const pieces = [bytes.subarray(0, at)];
    answering(pieces, at % 2 ? { cut: true } : { reset: true });
    const whole = await server.chat(ask);
    const { bytes: stream, ended } = await raw(server.port, rawPost(server.port, { ...ask, stream: true }, { headers: ['Connection: close'] }));
    cuts++;
    const finished = at > complete + 30; // from here on the upstream has said how it ended
    if (finished) continue;
    assert.ok(whole.status >= 500, `cut at ${at}: ${whole.status} ${whole.text}`);
    assert.ok(['upstream_truncated', 'upstream_error', 'bad_upstream_body'].includes(whole.json.error.code), whole.text);
    assert.notEqual(whole.json.tandem.state, 'complete');
    assert.doesNotMatch(stream, /\[DONE\]/, `cut at ${at}`);
    assert.doesNotMatch(stream, /"finish_reason":"/, `cut at ${at}`);
    if (stream.startsWith('HTTP/1.1 200')) {
      errors++;
      assert.ok(!stream.endsWith('0\r\n\r\n'), `cut at ${at}: the final chunk was sent`);
      const list = events(unchunk(stream));
      assert.ok(['upstream_truncated', 'upstream_error'].includes(list.at(-1).error?.code), `cut at ${at}: ${JSON.stringify(list.at(-1))}`);
      assert.equal(list.at(-1).tandem.state, 'failed');
      assert.notEqual(ended, 'enough');
    } else {
      assert.match(stream, /^HTTP\/1\.1 50[24]/, `cut at ${at}`);
    }
  }
  t.diagnostic(`${cuts} cuts, ${errors} of them after the first word`);
  assert.ok(errors > 5);
});

test('cut after the first word: the official client raises and keeps the text', async () => {
  const pieces = wholeStream(['Hello ', 'world']);
  answering(pieces.slice(0, 3), { cut: true });
  let text = '';
  const error = await (async () => {
    for await (const c of await client.chat.completions.create({ ...ask, stream: true })) text += c.choices[0].delta.content ?? '';
  })().then(() => assert.fail('a clean end'), (e) => e);
  assert.equal(text, 'Hello ');
  assert.ok(error instanceof OpenAI.APIError, error.constructor.name);
  assert.match(error.message, /cloud|upstream/);
  await assert.rejects(() => client.chat.completions.stream(ask).finalChatCompletion());
});

test('an error event in the middle of the stream is an error here too', async () => {
  const [head, role, hello] = wholeStream(['Hello ']);
  for (const error of [{ error: { message: 'overloaded', type: 'x', code: 'y' } }, { error: 'overloaded' }]) {
    answering([head, role, hello, chunk(event(error)), '0\r\n\r\n']);
    const { text } = await raw(server.port, rawPost(server.port, { ...ask, stream: true }, { headers: ['Connection: close'] }))
      .then((r) => ({ text: r.bytes }));
    assert.doesNotMatch(text, /\[DONE\]|"finish_reason":"/);
    assert.match(text, /"code":"upstream_error"/);
  }
});

const failures = [
  ['401', jsonAnswer('401 Unauthorized', { error: { message: 'bad key sk-upstream-secret' } }), 502, 'upstream_auth', 'false'],
  ['403', jsonAnswer('403 Forbidden', { error: { message: 'no' } }), 502, 'upstream_auth', 'false'],
  ['429', jsonAnswer('429 Too Many Requests', { error: { message: 'slow down' } }, 'Retry-After: 3\r\n'), 429, 'rate_limit_exceeded', 'true'],
  ['400 about length', jsonAnswer('400 Bad Request', { error: { message: 'maximum context length is 10 tokens',
    code: 'context_length_exceeded' } }), 400, 'context_length_exceeded', 'false'],
  ['400', jsonAnswer('400 Bad Request', { error: { message: 'bad field zzz' } }), 400, 'upstream_rejected', 'false'],
  ['500', jsonAnswer('500 Internal Server Error', { error: { message: 'oops' } }), 502, 'upstream_error', 'true'],
  ['503', jsonAnswer('503 Service Unavailable', 'busy'), 502, 'upstream_error', 'true'],
  ['HTML', ['HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 20\r\n\r\n<html>hello</html>..'], 502, 'bad_upstream_body', 'true'],
  ['an error in a 200', jsonAnswer('200 OK', { error: { message: 'failed inside' } }), 502, 'upstream_error', 'true'],
  ['whole where a stream was asked', jsonAnswer('200 OK', { choices: [{ index: 0, finish_reason: 'stop',
    message: { role: 'assistant', content: 'Hello' } }] }), 502, 'bad_upstream_body', 'true'],
  ['JSON that is broken', jsonAnswer('200 OK', '{"choices": [{"mess'), 502, 'bad_upstream_body', 'true'],
];
for (const [what, pieces, status, code, retry] of failures)
  test(`upstream answers ${what}: ${status} ${code}`, async () => {
    answering(pieces);
    for (const stream of [false, true]) {
      const answer = await server.chat({ ...ask, stream });
      assert.deepEqual([answer.status, answer.json?.error.code], [status, code], answer.text);
      assert.equal(answer.headers['x-should-retry'], retry);
      assert.ok(!answer.text.includes('sk-upstream-secret'), 'the key is in the sentence');
      assert.match(answer.json.tandem.state, status < 500 ? /refused|failed/ : /failed/);
    }
  });

test('nobody listens: 502', async () => {
  const { status, json } = await server.chat({ ...ask, model: 'nowhere' });
  assert.deepEqual([status, json.error.code], [502, 'upstream_error']);
});

test('no byte in time: 504 upstream_timeout; a stream that pinged ends with an error event', async () => {
  answering([]);
  const started = performance.now();
  const whole = await server.chat(ask);
  assert.deepEqual([whole.status, whole.json.error.code], [504, 'upstream_timeout']);
  const ms = performance.now() - started;
  assert.ok(ms > 1400 && ms < 4000, `${ms}`);
  const { bytes } = await raw(server.port, rawPost(server.port, { ...ask, stream: true }, { headers: ['Connection: close'] }));
  assert.match(bytes, /^HTTP\/1\.1 200/);
  assert.match(bytes, /: ping\n\n/);
  assert.match(bytes, /"code":"upstream_timeout"/);
  assert.doesNotMatch(bytes, /\[DONE\]/);
});

test('a slow upstream is not a failure: pings in the silence, then the words', async () => {
  answering(wholeStream(['Hello ', 'world']), { delay: 700 });
  const { text, events: list } = await chatStream(server, ask);
  assert.equal(streamedText(list), 'Hello world');
  assert.equal(list.at(-1), '[DONE]');
  assert.ok(text.length > 0);
});

test('sixteen at once over kept connections', async () => {
  upstream.behaviour = () => undefined;
  const answers = await Promise.all(Array.from({ length: 16 }, (_, i) =>
    server.chat({ model: 'keyless', messages: user(`number ${i}`), stream: false })));
  answers.forEach(({ json }, i) => assert.equal(json.choices[0].message.content, `You said: number ${i}`));
  assert.doesNotMatch(last().head, /authorization/i);
  await sleep(20);
});

test('one of n answers fails: the others are closed, and its error is the error of the request', async () => {
  for (const stream of [false, true]) {
    const before = upstream.requests.length;
    upstream.behaviour = () => (upstream.requests.length - before === 2
      ? { pieces: wholeStream([...'half']).slice(0, 3), delay: 20, cut: true }
      : { pieces: wholeStream(Array(500).fill('word ')), delay: 20 });
    const started = performance.now();
    const body = { ...ask, n: 3 };
    const streamed = () => raw(server.port, rawPost(server.port, { ...body, stream }, { headers: ['Connection: close'] }));
    const json = stream ? events(unchunk((await streamed()).bytes)).at(-1)
      : (await server.chat(body)).json;
    assert.equal(json.error.code, 'upstream_truncated');
    assert.deepEqual(json.tandem.calls.map((c) => c.status).sort(), ['cancelled', 'cancelled', 'failed']);
    assert.ok(performance.now() - started < 5000, 'each of the others would take 10 s');
    assert.equal(json.tandem.state, 'failed');
    assert.equal(json.tandem.left.requests, 3);
  }
});

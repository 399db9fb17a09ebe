// Upstreams in trouble: what is asked again, what is asked elsewhere, what is left alone, and what the client is told.
import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import OpenAI from 'openai';
import { chatStream, eventually, raw, rawPost, sleep, startTandem, streamedText, user } from './lib.mjs';
import { startRedis, withoutRedis } from './redis.mjs';
import { chunk, delta, jsonAnswer, startUpstream, wholeStream } from './upstream.mjs';

let server, east, west, client;
before(async () => {
  east = await startUpstream();
  west = await startUpstream();
  server = await startTandem(`
models:
  east: {kind: remote, url: "${east.url}", model: m}
  west: {kind: remote, url: "${west.url}", model: m}
  lone: {kind: remote, url: "${east.url}", model: m, breaker: no}
  home: {kind: script, answers: ["at home"]}
  patient: {kind: retry, inner: lone, base_ms: 5}
  either: {kind: fallback, models: [east, west]}
  safe: {kind: fallback, models: [east, home]}
  both: {kind: pool, members: [east, west]}
  loyal: {kind: pool, members: [east, west], sticky: yes}
`);
  client = new OpenAI({ baseURL: server.base, apiKey: 'k', maxRetries: 0 });
  for (let i = 0; i < 200; i++) await say('west'); // so that a tenth of the calls is no limit here
});
after(async () => {
  await server.stop();
  await east.close();
  await west.close();
});

const good = (text) => () => wholeStream([text]);
const error = (status, extra = '') => () => jsonAnswer(`${status} X`, { error: { message: 'm', type: 't' } }, extra);
const inTurn = (...list) => {
  let i = 0;
  return (rq) => list[Math.min(i++, list.length - 1)](rq);
};
const cut = () => ({ pieces: [wholeStream([])[0], chunk(delta({ content: 'half ' }))], cut: true });
const say = async (model, more = {}) => (await server.chat({ model, messages: user('hi'), ...more }));
const words = (answer) => answer.json.choices?.[0].message.content ?? answer.json.error.code;

test('the next model answers when one fails before it has said anything, whole and streamed', async () => {
  west.behaviour = good('from west');
  for (const fault of [error(500), error(503), error(429), () => jsonAnswer('200 OK', '<html>'), () => ({ pieces: [], cut: true }),
    () => ({ pieces: [], reset: true })]) {
    east.behaviour = fault;
    const whole = await say('either');
    assert.equal(words(whole), 'from west');
    assert.equal(whole.json.tandem.decisions[0].choice, 'west');
    assert.deepEqual(whole.json.tandem.calls.map((c) => c.status).at(-1), 'ok');
    east.behaviour = good('from east'); // so that the breaker stays closed
    assert.equal(words(await say('either')), 'from east');
    await say('east');
  }
  east.behaviour = error(500);
  const { events } = await chatStream(server, { model: 'either', messages: user('hi') });
  assert.equal(streamedText(events), 'from west');
});

test('after the first word nobody takes over: an error, never a splice', async () => {
  east.behaviour = good('x');
  await say('east');
  east.behaviour = cut;
  west.behaviour = good('from west');
  const { bytes } = await raw(server.port, rawPost(server.port, { model: 'either', messages: user('hi'), stream: true }));
  assert.match(bytes, /half /);
  assert.match(bytes, /"code":"upstream_truncated"/);
  assert.ok(!bytes.includes('from west') && !bytes.includes('[DONE]'));
});

test('what a request got wrong is not asked elsewhere by a pool', async () => {
  for (const upstream of [east, west]) upstream.behaviour = error(400);
  const before = east.requests.length + west.requests.length;
  assert.equal(words(await say('both')), 'upstream_rejected');
  assert.equal(east.requests.length + west.requests.length, before + 1);
});

test('a busy upstream is asked again, and its wait is kept or told', async () => {
  east.behaviour = inTurn(error(429, 'retry-after-ms: 30\r\n'), good('now'));
  const started = performance.now();
  const answer = await say('patient');
  assert.equal(words(answer), 'now');
  assert.ok(performance.now() - started >= 30);
  assert.deepEqual(answer.json.tandem.calls.map((c) => c.status), ['failed', 'ok']);
  for (const [header, wait, retry] of [['retry-after: 20\r\n', '20', 'true'], ['retry-after: 90\r\n', '90', 'false'],
    ['retry-after-ms: 1500\r\nretry-after: 9\r\n', '2', 'true'],
    [`retry-after: ${new Date(Date.now() + 30500).toUTCString()}\r\n`, /^(29|30|31)$/, 'true'], ['', '1', 'true']]) {
    east.behaviour = error(429, header);
    const refused = await say('lone');
    assert.deepEqual([refused.status, refused.json.error.code, refused.headers['x-should-retry']], [429, 'rate_limit_exceeded', retry]);
    assert.match(refused.headers['retry-after'], wait instanceof RegExp ? wait : new RegExp(`^${wait}$`));
  }
});

test('an upstream that keeps failing is left alone, then probed; a fallback answers at once meanwhile', async () => {
  east.behaviour = good('x');
  await say('east');
  east.behaviour = error(500);
  for (let i = 0; i < 5; i++) assert.equal((await say('east')).status, 502);
  const asked = east.requests.length;
  for (let i = 0; i < 20; i++) {
    const refused = await say('east');
    assert.deepEqual([refused.status, refused.json.error.code], [503, 'upstreams_exhausted']);
    assert.ok(Number(refused.headers['retry-after']) >= 1);
    assert.equal(words(await say('safe')), 'at home');
  }
  assert.equal(east.requests.length, asked, 'it was asked while the breaker was open');
  east.behaviour = good('back');
  await new Promise((r) => setTimeout(r, 1100));
  assert.equal(words(await say('east')), 'back');
  assert.equal(words(await say('safe')), 'back');
});

test('demand_42 a conversation stays with its upstream; many spread', async () => {
  east.behaviour = good('east');
  west.behaviour = good('west');
  const seen = {};
  for (let i = 0; i < 24; i++) {
    const ask = { model: 'loyal', messages: user('hi'), tandem: { session: `s${i}` } };
    const first = (await client.chat.completions.create(ask)).choices[0].message.content;
    const second = (await client.chat.completions.create({ ...ask, messages: [...ask.messages,
      { role: 'assistant', content: first }, ...user('and?')] })).choices[0].message.content;
    assert.equal(second, first);
    seen[first] = (seen[first] ?? 0) + 1;
  }
  assert.ok(seen.east > 2 && seen.west > 2, JSON.stringify(seen));
});

test('F08 two replicas and a real store: failures count together, an open breaker is open for both, one probe closes it for both; without the store each has its own',
  { skip: withoutRedis }, async () => {
    const redis = await startRedis(), upstream = await startUpstream();
    const yaml = `
models: {far: {kind: remote, url: "${upstream.url}", model: m}}
state: {url: "redis://127.0.0.1:${redis.port}/3", password: "env:STORE_PASSWORD", timeout_ms: 300}
`;
    const two = await Promise.all([0, 1].map(() => startTandem(yaml, { env: { STORE_PASSWORD: redis.password } })));
    const ask = async (i) => words(await two[i].chat({ model: 'far', messages: user('hi') }));
    const failures = async (list) => {
      for (const i of list) assert.equal(await ask(i), 'upstream_error');
    };
    upstream.behaviour = error(503);
    await failures([0, 0, 0, 1, 1]);
    assert.equal(upstream.requests.length, 5);
    await sleep(150); // how long the other one may not know
    assert.deepEqual([await ask(0), await ask(1)], ['upstreams_exhausted', 'upstreams_exhausted']);
    assert.equal(upstream.requests.length, 5, 'left alone by both');
    upstream.behaviour = good('back');
    await eventually('the probe of one', async () => (await ask(0)) === 'back', 3000);
    assert.equal(upstream.requests.length, 6);
    await sleep(150);
    assert.equal(await ask(1), 'back', 'closed for the other one too');
    await redis.kill();
    upstream.behaviour = error(503);
    await failures([0, 0, 0, 0, 1, 1, 1, 1]);
    assert.deepEqual([await ask(0), await ask(0)], ['upstream_error', 'upstreams_exhausted']);
    assert.equal(await ask(1), 'upstream_error', 'four of its own are not five');
    assert.equal(await ask(1), 'upstreams_exhausted');
    await Promise.all(two.map((s) => s.stop()));
    await upstream.close();
  });

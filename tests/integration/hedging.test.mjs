// Calls beside each other and calls that are given up: many at once, so that the builds that watch threads and memory see
// every way in which such a race can end: the first one wins, the second one wins, both fail, the client leaves, time is up.
import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import { chatStream, eventually, sanitized, startTandem, streamedText, user } from './lib.mjs';
import { chunk, delta, jsonAnswer, startUpstream, wholeStream } from './upstream.mjs';

let server, east, west;
before(async () => {
  east = await startUpstream();
  west = await startUpstream();
  const at = (u) => `{kind: remote, url: "${u.url}", model: m, breaker: no, timeout_ms: 3000}`;
  server = await startTandem(`
models:
  east: ${at(east)}
  west: ${at(west)}
  pair: {kind: pool, members: [east, west], by: weights, weights: [1000000, 0.000001], hedge_ms: 30}
  masked: {kind: mask, inner: pair, level: 2}
  hurried: {kind: deadline, inner: pair, first_ms: 150, ms: 400}
serve: {workers: 8}
`);
  for (const u of [east, west]) u.behaviour = well('warm'); // so that a tenth of the calls is no limit here
  await Promise.all(Array.from({ length: 8 }, async () => {
    for (let i = 0; i < 40; i++) await ask('west');
  }));
});
after(async () => {
  await server.stop();
  await east.close();
  await west.close();
});

const well = (text) => () => wholeStream([text, ' more']);
const mute = () => ({ pieces: [] });
const error = () => jsonAnswer('503 X', { error: { message: 'm', type: 't' } });
const later = (ms, text) => (rq) => {
  setTimeout(() => rq.socket.destroyed || rq.socket.write(wholeStream([text]).join('')), ms);
  return { pieces: [] };
};
const half = () => ({ pieces: [wholeStream([])[0], chunk(delta({ content: 'half' }))] });
const ask = async (model, more = {}) => server.chat({ model, messages: user('call ann@example.com'), ...more });
const said = (a) => a.json.choices?.[0].message.content ?? a.json.error.code;
const four = (one) => Promise.all(Array.from({ length: 4 }, (_, i) => one(i)));
const model = (i) => (i % 2 ? 'pair' : 'masked');

test('the second one answers while the first is silent; its words alone go out, and the first is closed', async () => {
  east.behaviour = mute;
  west.behaviour = well('west');
  const before = west.requests.length;
  for (const a of await four((i) => ask(model(i)))) {
    assert.equal(said(a), 'west more');
    assert.deepEqual(a.json.tandem.calls.map((c) => c.status).sort(), ['cancelled', 'ok']);
    assert.equal(a.json.tandem.left.requests, 2);
  }
  await four(async (i) => assert.equal(streamedText((await chatStream(server, { model: model(i), messages: user('hi') })).events), 'west more'));
  await eventually('the silent ones are closed', () => east.requests.slice(-8).every((rq) => rq.closedAt), 2000);
  const bodies = [...west.requests.slice(before, before + 4), ...east.requests.slice(-8, -4)].map((rq) => rq.body);
  assert.equal(bodies.filter((b) => /call EMAIL_/.test(b)).length, 4, 'both calls of a masked one are masked');
});

test('both answer at nearly the same moment: one of them, whole', async () => {
  west.behaviour = well('west');
  for (const ms of [29, 32]) {
    east.behaviour = later(ms, 'east');
    for (const a of await four((i) => ask(model(i)))) assert.match(said(a), /^(east|west more)$/);
  }
});

test('both fail, or the one that is left fails: a failure, once', async () => {
  east.behaviour = mute;
  west.behaviour = error;
  for (const a of await four(() => ask('hurried'))) {
    assert.equal(a.status, 504);
    assert.deepEqual(a.json.tandem.calls.map((c) => c.status).sort(), ['cancelled', 'failed']);
  }
  east.behaviour = later(60, 'east');
  for (const a of await four((i) => ask(model(i)))) assert.equal(said(a), 'east');
});

test('a deadline ends both, and an answer in its middle', async () => {
  for (const u of [east, west]) u.behaviour = mute;
  for (const a of await four(() => ask('hurried'))) assert.deepEqual([a.status, said(a)], [504, 'upstream_timeout']);
  west.behaviour = half;
  for (const a of await four(() => ask('hurried'))) {
    if (sanitized && a.status === 504) continue; // a build that is slow may not have begun in time
    assert.deepEqual([a.status, said(a), a.json.choices[0].finish_reason], [200, 'half', 'length']);
  }
});

test('clients that leave while two are asked: both are closed', async () => {
  for (const u of [east, west]) u.behaviour = mute;
  const before = [east.requests.length, west.requests.length];
  await four(async (i) => {
    const gone = new AbortController();
    setTimeout(() => gone.abort(), 60 + 5 * i);
    await fetch(`${server.base}/chat/completions`, { method: 'POST', signal: gone.signal, headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: model(i), messages: user('hi'), stream: i > 2 }) }).catch(() => {});
  });
  await eventually('both are closed', () => [east, west].every((u, k) => u.requests.slice(before[k]).every((rq) => rq.closedAt)), 3000);
});

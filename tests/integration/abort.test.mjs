// Clients that leave in the middle of an answer: decoding stops at the next token, the upstream is closed, the record
// says cancelled. The figures are printed; the limits leave room for a loaded machine.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import test, { after, before } from 'node:test';
import OpenAI from 'openai';
import { writeModel } from './gguf.mjs';
import { eventually, rawPost, sanitized, startTandem, tempDir, user } from './lib.mjs';
import { startUpstream } from './upstream.mjs';

const slack = sanitized ? 5 : 1;
let server, upstream;
before(async () => {
  upstream = await startUpstream();
  const dir = tempDir();
  // These random weights go round in a circle: the answer is as long as it may be.
  writeModel(`${dir}/long.gguf`, { type: 'F16', width: 128, layers: 4, heads: 4, kvHeads: 2, ff: 384, context: 16384, seed: 6 });
  server = await startTandem(`
models:
  slow: {kind: script, answers: ["${'word '.repeat(400)}"], chunk: 5, delay_ms: 10}
  silent: {kind: script, answers: ["never seen"], delay_ms: 60000}
  long: {kind: local, path: "${dir}/long.gguf", chat: chatml, max_tokens: 16000}
  cloud: {kind: remote, url: "${upstream.url}", model: endless}
  mute: {kind: remote, url: "${upstream.url}", model: mute}
  masked: {kind: mask, inner: cloud}
  cascade: {kind: cascade, small: slow, large: long, gate: agreement, samples: 2}
`);
});
after(async () => {
  await server.stop();
  await upstream.close();
});

// Asks over a plain socket, leaves once `enough` says so; {receipt or null, left: time of leaving}.
function leave(body, enough, how = 'destroy') {
  return new Promise((resolve, reject) => {
    const socket = net.connect(server.port, '127.0.0.1', () => socket.write(rawPost(server.port, body)));
    let text = '';
    const check = () => {
      if (!enough(text)) return;
      const receipt = /x-tandem-receipt: (\S+)/.exec(text)?.[1] ?? null;
      clearInterval(timer);
      socket.removeAllListeners('data');
      const left = performance.now();
      if (how === 'destroy') socket.destroy();
      else if (how === 'reset') socket.resetAndDestroy();
      else socket.end();
      socket.on('close', () => {});
      resolve({ receipt, left });
    };
    const timer = setInterval(check, 5);
    socket.on('data', (d) => {
      text += d;
      check();
    });
    socket.on('error', reject);
  });
}

const content = (n) => (text) => (text.match(/"delta":\{"content":"[^"]/g) ?? []).length >= n;
const cancelledAt = (from) => eventually('a request that is cancelled', () =>
  /request run=(rcp_\S+) [^\n]*state=cancelled[^\n]* completion=(\d+)/.exec(server.stderr.slice(from)));

// The line of the log may come a moment before the record is on disk.
const kept = (from, id) => eventually('the receipt', async () => {
  const json = await from.receipt(id);
  return json.state && json;
});

async function assertCancelled(t, left, from, limit = 200) {
  const [, receipt] = await cancelledAt(from);
  const ms = performance.now() - left;
  const stored = await kept(server, receipt);
  assert.equal(stored.state, 'cancelled');
  assert.equal(stored.error, 'client_gone');
  t.diagnostic(`cancelled ${ms.toFixed(0)} ms after the client left`);
  assert.ok(ms < limit * slack, `${ms} ms`);
  return stored;
}

for (const how of ['destroy', 'reset', 'end'])
  test(`script, streamed, the client's connection ends by ${how}`, async (t) => {
    const from = server.stderr.length;
    const { receipt, left } = await leave({ model: 'slow', messages: user('hi'), stream: true }, content(3), how);
    const stored = await assertCancelled(t, left, from);
    assert.equal(stored.receipt, receipt);
    assert.ok(stored.calls[0].completion_tokens < 400, 'decoding went on to the end');
    assert.equal(stored.calls[0].status, 'cancelled');
  });

test('script, not streamed', async (t) => {
  const from = server.stderr.length;
  const asked = performance.now();
  const { left } = await leave({ model: 'slow', messages: user('hi') }, () => performance.now() - asked > 200);
  await assertCancelled(t, left, from);
});

test('a client that leaves before the first word', async (t) => {
  const from = server.stderr.length;
  const asked = performance.now();
  const { left } = await leave({ model: 'silent', messages: user('hi'), stream: true }, () => performance.now() - asked > 100);
  await assertCancelled(t, left, from);
});

test('local weights, streamed: decoding stops', async (t) => {
  const from = server.stderr.length;
  const { left } = await leave({ model: 'long', messages: user('hi'), stream: true }, content(5));
  const stored = await assertCancelled(t, left, from);
  t.diagnostic(`${stored.calls[0].completion_tokens} of 16000 tokens`);
  assert.ok(stored.calls[0].completion_tokens < 8000);
});

test('local weights, five answers at once: all of them stop', async (t) => {
  const from = server.stderr.length;
  const body = { model: 'long', messages: user('hi'), stream: true, n: 5, temperature: 1, seed: 1 };
  const allSpoke = (text) => [0, 1, 2, 3, 4].every((i) => new RegExp(`"index":${i},"delta":\\{"content":"[^"]`).test(text));
  const stored = await assertCancelled(t, (await leave(body, allSpoke)).left, from);
  t.diagnostic(`${stored.calls.map((c) => c.completion_tokens)} of 16000 tokens each`);
  assert.equal(stored.calls.length, 5);
  const ended = stored.calls.filter((c) => c.status === 'ok'); // by itself, as an answer of random weights may
  assert.ok(ended.length < 5 && ended.every((c) => c.completion_tokens < 1000));
  for (const call of stored.calls) assert.ok(['cancelled', 'ok'].includes(call.status) && call.completion_tokens < 8000);
});

test('local weights, not streamed: decoding stops', async (t) => {
  const from = server.stderr.length;
  const asked = performance.now();
  const { left } = await leave({ model: 'long', messages: user('hi') }, () => performance.now() - asked > 100);
  const stored = await assertCancelled(t, left, from);
  assert.ok(stored.calls[0].completion_tokens < 15900);
});

test('a strategy: nothing more is asked after the client left', async (t) => {
  const from = server.stderr.length;
  const asked = performance.now();
  const { left } = await leave({ model: 'cascade', messages: user('hi') }, () => performance.now() - asked > 200);
  const stored = await assertCancelled(t, left, from);
  assert.equal(stored.calls.some((c) => c.model === 'long'), false);
});

for (const [model, stream] of [['cloud', true], ['cloud', false], ['mute', true], ['masked', true]])
  test(`upstream is closed: ${model}, ${stream ? 'streamed' : 'not streamed'}`, async (t) => {
    const from = server.stderr.length, before = upstream.requests.length;
    const asked = performance.now();
    const enough = model === 'cloud' && stream ? content(3) : () => upstream.requests.length > before
      && performance.now() - asked > 200;
    const { left } = await leave({ model, messages: user('hi'), stream }, enough);
    const seen = upstream.requests[before];
    await eventually('the upstream sees its connection closed', () => seen.closedAt);
    const ms = seen.closedAt - left;
    t.diagnostic(`upstream closed ${ms.toFixed(1)} ms after the client left (aim: 50)`);
    assert.ok(ms < 250 * slack, `${ms} ms`);
    await assertCancelled(t, left, from, 300);
  });

test('openai: abort after three chunks', async (t) => {
  const client = new OpenAI({ baseURL: server.base, apiKey: 'any', maxRetries: 0 });
  const from = server.stderr.length, before = upstream.requests.length;
  const stream = await client.chat.completions.create({ model: 'cloud', messages: user('hi'), stream: true });
  let chunks = 0, left = 0;
  await (async () => {
    for await (const _ of stream) {
      if (++chunks < 3) continue;
      left = performance.now();
      stream.controller.abort();
    }
  })().catch((e) => assert.ok(e instanceof OpenAI.APIUserAbortError, e));
  const seen = upstream.requests[before];
  await eventually('the upstream sees its connection closed', () => seen.closedAt);
  t.diagnostic(`upstream closed ${(seen.closedAt - left).toFixed(1)} ms after abort()`);
  assert.ok(seen.closedAt - left < 250 * slack);
  await assertCancelled(t, left, from, 300);
});

test('clients that leave while they wait in the queue are never computed', async () => {
  const one = await startTandem(`
models: {slow: {kind: script, answers: ["0123456789"], chunk: 1, delay_ms: 40, record: requests.jsonl}}
serve: {workers: 1, queue: 4}
`);
  const first = one.chat({ messages: user('hi') });
  await eventually('the first is under way', () => existsSync(path.join(one.dir, 'requests.jsonl')));
  const waiting = http.request(`${one.base}/chat/completions`, { method: 'POST', agent: false });
  waiting.on('error', () => {});
  waiting.end(JSON.stringify({ messages: user('second') }));
  await new Promise((r) => setTimeout(r, 150));
  waiting.destroy();
  assert.equal((await first).status, 200);
  const [, receipt] = await eventually('the second is cancelled', () => /run=(rcp_\S+) [^\n]*state=cancelled/.exec(one.stderr));
  assert.deepEqual((await kept(one, receipt)).calls, []);
  await one.stop();
});

// Memory that cannot be had: the program runs with a library before the C library that lets one allocation of some fail,
// whoever asks for it, its libraries too. What a request cannot have costs that request, and never what a mask promises.
import assert from 'node:assert/strict';
import { closeSync, existsSync, openSync, writeSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { eventually, events, root, sanitized, sleep, startTandem, streamedText, user, writeTemp } from './lib.mjs';
import { startUpstream, wholeStream } from './upstream.mjs';

const fault = path.join(root, 'build/gcc/fault.so');

test('F40 one allocation of 2000, 300 or 60 fails: errors and closed connections, no wrong answer, no end, nothing private leaves', { skip: sanitized || !existsSync(fault), timeout: 60000 }, async (t) => {
  const upstream = await startUpstream((rq) => wholeStream(['You said: ', rq.json.messages.at(-1).content]));
  t.after(() => upstream.close());
  const control = writeTemp('memory', ' '.repeat(64));
  const say = (text) => {
    const fd = openSync(control, 'r+');
    writeSync(fd, text.padEnd(64));
    closeSync(fd);
  };
  const server = await startTandem(`
models:
  cloud: {kind: remote, url: "${upstream.url}", model: m, breaker: no}
  private: {kind: mask, inner: cloud, level: 2}
serve: {default: private, workers: 8}
`, { env: { LD_PRELOAD: fault, TANDEM_FAULT_MEMORY: control } });
  const seen = {};
  async function one(i, stream) {
    const text = `I am canary${i}@example.org, my card is 4111 1111 1111 1111`;
    const a = await Promise.race([server.chat({ messages: user(text), stream }).catch((e) => ({ ended: e.code })),
      sleep(8000).then(() => ({ ended: 'never' }))]);
    assert.notEqual(a.ended, 'never', 'a request was neither answered nor ended');
    const what = a.ended ?? (a.status === 200 ? '200' : `${a.status} ${a.json?.error?.code}`);
    assert.match(what, /^(200|ECONNRESET|EPIPE|[45]\d\d [a-z_]+)$/, a.text); // a parser's complaint would be half an answer
    if (a.status === 200) {
      assert.ok(stream || a.json, `half a body: ${a.text}`);
      const list = stream ? events(a.text) : [];
      assert.ok(!stream || list.at(-1) === '[DONE]', `a clean end of half an answer: ${a.text}`);
      assert.equal(stream ? streamedText(list) : a.json.choices[0].message.content, `You said: ${text}`);
    }
    seen[what] = (seen[what] ?? 0) + 1;
  }
  const crowd = (n) => Promise.all(Array.from({ length: 8 }, async (_, k) => { for (let i = 0; i < n; i++) await one(`${k}x${i}`, i % 2 === 1); }));
  await eventually('the models', async () => (await server.chat({ messages: user('hi') })).status === 200);
  for (const rate of [2000, 300, 60]) {
    say(`memory ${rate} `);
    await crowd(30);
    assert.equal(server.child.exitCode ?? server.child.signalCode, null, server.stderr.slice(-500));
  }
  say('');
  const before = seen['200'];
  await crowd(5);
  assert.equal(seen['200'], before + 40, `with memory again: ${JSON.stringify(seen)}`);
  t.diagnostic(JSON.stringify(seen));
  assert.ok(before > 100 && Object.keys(seen).length > 1, 'something failed, something did not');
  for (const secret of [/canary\w+@/, /4111[ -]?1111/]) assert.ok(!secret.test(upstream.received), 'something private left');
  await server.stop();
});

// kill -9 at random moments under load: every answer that a client has read to its end has a receipt after the restart,
// the chain of the records is whole, and the restart takes less than a second. usage: [CRASH_ROUNDS=300] node
// tests/crash/run.mjs; CRASH_SEED makes other moments.
import assert from 'node:assert/strict';
import http from 'node:http';
import path from 'node:path';
import { eventually, random, request, sleep, startTandem, tandem, tempDir } from '../integration/lib.mjs';

const rounds = Number(process.env.CRASH_ROUNDS ?? 300), seed = Number(process.env.CRASH_SEED ?? 7);
const clients = 8, draw = random(seed), ledger = path.join(tempDir(), 'crash.db');
const settings = (round) => `models:
  words: {kind: script, answers: ["one two three four five six seven eight"], chunk: 4}
serve: {ledger_sync: ${round % 2 ? 'yes' : 'no'}}
`;

// Asks until the server is gone; the receipts of answers that were read to their end.
async function load(server, seen) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  for (let i = 0; ; i++) {
    const body = JSON.stringify({ messages: [{ role: 'user', content: `question ${i}` }], stream: i % 3 === 0 });
    try {
      const answer = await request(`${server.base}/chat/completions`, { method: 'POST', body, agent,
        headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) } });
      const whole = i % 3 ? answer.json?.choices[0].finish_reason === 'stop' : answer.text.endsWith('data: [DONE]\n\n');
      if (answer.status === 200 && whole) seen.push(answer.headers['x-tandem-receipt']);
    } catch {
      agent.destroy();
      return;
    }
  }
}

async function start(round) {
  const began = performance.now();
  const server = await startTandem(settings(round), { args: ['--ledger', ledger] });
  await eventually('ready', async () => (await request(`${server.origin}/health`)).status === 200, 5000);
  return { server, ms: performance.now() - began };
}

let acknowledged = 0, slowest = 0, server;
for (let round = 0, before = []; round <= rounds; round++) {
  const started = await start(round);
  server = started.server;
  slowest = Math.max(slowest, started.ms);
  assert.ok(started.ms < 1000, `round ${round}: the restart took ${started.ms.toFixed(0)} ms`);
  for (const id of before) {
    const answer = await request(`${server.base}/receipts/${id}`);
    assert.equal(answer.status, 200, `round ${round}: receipt ${id} of ${before.length} is lost`);
    assert.equal(answer.json.state, 'complete');
  }
  if (round === rounds) break;
  const seen = [], running = Array.from({ length: clients }, () => load(server, seen));
  await sleep(5 + draw(120));
  server.child.ref();
  server.child.kill('SIGKILL');
  await server.exit;
  await Promise.all(running);
  acknowledged += seen.length;
  before = seen;
}
await server.stop();
const checked = tandem(['ledger', '--ledger', ledger]);
assert.equal(checked.status, 0, checked.stderr);
assert.ok(acknowledged > rounds, `only ${acknowledged} answers`);
console.log(`${rounds} kills, ${acknowledged} acknowledged records, 0 lost, the chain is whole, slowest restart ${slowest.toFixed(0)} ms`);

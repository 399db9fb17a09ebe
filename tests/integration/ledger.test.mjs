// The ledger of the real program: disks that fail, a second instance, PostgreSQL that dies and comes back.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { chatStream, eventually, program, request, root, sanitized, startTandem, tandem, tempDir, user } from './lib.mjs';
import { startPostgres, withoutPostgres } from './postgres.mjs';
import { startUpstream } from './upstream.mjs';

const fault = path.join(root, 'build/gcc/fault.so');
const withoutFaults = sanitized || !existsSync(fault) ? 'sanitizers and a library loaded before them do not go together' : false;
let upstream;
before(async () => (upstream = await startUpstream()));
after(() => upstream.close());

const settings = (serve = '') => `models:
  here: {kind: script, answers: ["made here"]}
  cloud: {kind: remote, url: "${upstream.url}", model: big}
serve: {${serve}}
`;

// A server whose disk fails as disk() says.
async function startFaulty(serve = '') {
  const control = path.join(tempDir(), 'fault');
  const disk = (words) => writeFileSync(control, words);
  disk('');
  const server = await startTandem(settings(serve), { env: { LD_PRELOAD: fault, TANDEM_FAULT: control } });
  return { server, disk, ledger: path.join(server.dir, 'ledger.db') };
}

const ask = (server, model = 'here', headers) => server.chat({ model, messages: user('hello') }, headers);
const kill = (server) => {
  server.child.ref();
  server.child.kill('SIGKILL');
  return server.exit;
};
const isWhole = (ledger, ...args) => tandem(['ledger', '--ledger', ledger, ...args]);

test('F47 a second instance on one ledger refuses to start, in one sentence', async () => {
  const server = await startTandem(settings());
  const ledger = path.join(server.dir, 'ledger.db');
  const second = spawnSync(program, ['serve', '--listen', '127.0.0.1:0', '--ledger', ledger], { encoding: 'utf8', timeout: 20000 });
  assert.equal(second.status, 1);
  assert.equal(second.stderr.trim().split('\n').at(-1), `tandem: ledger: another process uses ${ledger}; each needs a ledger of its own`);
  assert.equal((await ask(server)).status, 200);
  await server.stop();
  assert.deepEqual(readdirSync(server.dir).filter((f) => f.includes('.log.')), [], 'nothing waits after a clean end');
});

test('F35 no space: nothing new leaves, what is local is answered with a warning, and it recovers by itself', { skip: withoutFaults }, async () => {
  const { server, disk, ledger } = await startFaulty();
  assert.equal((await ask(server, 'cloud')).status, 200);
  const sent = upstream.requests.length;
  disk('full');
  const local = await ask(server);
  assert.equal(local.status, 200);
  assert.match(local.headers['x-tandem-warnings'] ?? JSON.stringify(local.json.tandem.warnings), /ledger_unavailable/);
  for (let i = 0; i < 3; i++) {
    const refused = await ask(server, 'cloud');
    assert.equal(refused.status, 503);
    assert.equal(refused.json.error.code, 'ledger_unavailable');
  }
  assert.equal(upstream.requests.length, sent, 'nothing was sent');
  disk('');
  const again = await ask(server, 'cloud');
  assert.equal(again.status, 200);
  assert.equal((await request(`${server.base}/receipts/${again.headers['x-tandem-receipt']}`)).status, 200);
  await server.stop();
  assert.equal(isWhole(ledger).status, 0);
});

test('F35 with ledger_required: no the cloud is asked, and a warning says what is missing', { skip: withoutFaults }, async () => {
  const { server, disk } = await startFaulty('ledger_required: no');
  disk('full');
  const answer = await ask(server, 'cloud');
  assert.equal(answer.status, 200);
  assert.equal(answer.json.tandem.warnings[0].code, 'ledger_unavailable');
  const streamed = await chatStream(server, { model: 'cloud', messages: user('hello') });
  assert.equal(streamed.events.at(-1), '[DONE]');
  await server.stop();
});

test('F36 short and interrupted writes lose nothing', { skip: withoutFaults }, async () => {
  const { server, disk, ledger } = await startFaulty();
  const ids = [];
  for (const words of ['short', 'interrupt', 'short interrupt']) {
    disk(words);
    for (let i = 0; i < 5; i++) ids.push((await ask(server)).headers['x-tandem-receipt']);
  }
  await kill(server);
  const next = await startTandem(settings(), { args: ['--ledger', ledger] });
  for (const id of ids) assert.equal((await request(`${next.base}/receipts/${id}`)).status, 200);
  await next.stop();
  assert.equal(isWhole(ledger).status, 0);
});

test('F36 a database that cannot be written costs no answer: the journal keeps what it does not take', { skip: withoutFaults }, async () => {
  const { server, disk, ledger } = await startFaulty();
  disk('database');
  const ids = [];
  for (let i = 0; i < 5; i++) ids.push((await ask(server)).headers['x-tandem-receipt']);
  await eventually('said so', () => server.stderr.includes('ledger.away'));
  for (const id of ids) assert.equal((await request(`${server.base}/receipts/${id}`)).status, 200);
  disk('');
  await eventually('back', () => server.stderr.includes('ledger.back'));
  for (const id of ids) assert.equal((await request(`${server.base}/receipts/${id}`)).status, 200);
  await server.stop();
  assert.equal(isWhole(ledger).status, 0);
});

test('F37 fdatasync fails: the request is told, the data counts as lost, and the next file begins with a row that says so', { skip: withoutFaults }, async () => {
  const { server, disk, ledger } = await startFaulty('ledger_sync: yes');
  const first = await ask(server);
  disk('lost');
  const lost = await ask(server, 'cloud');
  assert.equal(lost.status, 503);
  assert.equal(lost.json.error.code, 'ledger_unavailable');
  disk('');
  const last = await ask(server, 'cloud');
  assert.equal(last.status, 200);
  for (const [answer, status] of [[first, 200], [lost, 404], [last, 200]])
    assert.equal((await request(`${server.base}/receipts/${answer.headers['x-tandem-receipt']}`)).status, status);
  await server.stop();
  assert.equal(isWhole(ledger).status, 0);
  const rows = spawnSync('strings', ['-n', '8', ledger], { encoding: 'utf8' }).stdout;
  assert.match(rows, /"state":"gap"/);
});

test('F38 killed while it writes: the restart takes less than a second and has every acknowledged record', async () => {
  const server = await startTandem(settings());
  const ledger = path.join(server.dir, 'ledger.db');
  const ids = (await Promise.all(Array.from({ length: 20 }, () => ask(server)))).map((a) => a.headers['x-tandem-receipt']);
  await kill(server);
  const began = performance.now();
  const next = await startTandem(settings(), { args: ['--ledger', ledger] });
  const ms = performance.now() - began;
  for (const id of ids) assert.equal((await request(`${next.base}/receipts/${id}`)).status, 200);
  assert.ok(sanitized || ms < 1000, `${ms} ms`);
  await next.stop();
  assert.equal(isWhole(ledger).status, 0);
});

test('PostgreSQL is the ledger of two replicas: one chain; while it is dead the journal keeps records, and brings them', { skip: withoutPostgres }, async () => {
  const pg = await startPostgres();
  const replica = async () => {
    const journal = path.join(tempDir(), 'replica');
    return { journal, ...(await startTandem(settings(`ledger_journal: "${journal}"`), { args: ['--ledger', pg.url] })) };
  };
  const a = await replica(), b = await replica();
  const ids = [];
  const both = async (n) => {
    for (const answers of await Promise.all(Array.from({ length: n }, () => Promise.all([ask(a), ask(b)]))))
      for (const answer of answers) {
        assert.equal(answer.status, 200);
        ids.push(answer.headers['x-tandem-receipt']);
      }
  };
  const stored = () => Number(pg.query('SELECT count(*) FROM requests'));
  await both(20);
  await eventually('all are there', () => stored() === ids.length);
  assert.equal(pg.query('SELECT count(*) FROM calls'), String(ids.length));
  assert.equal((await request(`${b.base}/receipts/${ids[0]}`)).status, 200, 'one replica shows what the other wrote');
  pg.kill();
  await both(5); // answers go on
  const kept = ids.at(-2); // of a
  assert.equal((await request(`${a.base}/receipts/${kept}`)).status, 200, 'from the journal');
  const away = await request(`${a.base}/receipts/${ids[0]}`);
  assert.equal(away.status, 503, 'not 404: it may exist');
  assert.equal(away.json.error.code, 'ledger_unavailable');
  await kill(a); // with records in its journal
  pg.start();
  const next = await startTandem(settings(`ledger_journal: "${a.journal}"`), { args: ['--ledger', pg.url] });
  await eventually('all are there again', () => stored() === ids.length);
  await next.stop();
  await b.stop();
  const checked = isWhole(pg.url, '--journal', path.join(tempDir(), 'checks'));
  assert.equal(checked.status, 0, checked.stderr);
  pg.query("UPDATE requests SET receipt = '{}' WHERE number = 3");
  const changed = isWhole(pg.url, '--journal', path.join(tempDir(), 'checks'));
  assert.notEqual(changed.status, 0);
  assert.match(changed.stderr, /row 3 does not fit/);
  pg.remove();
});

// The ledger of leaks: what a receipt says about values that the far side was shown, limits that stop a conversation, and
// tandem leaks, which adds up a ledger. Values themselves are in none of them.
import assert from 'node:assert/strict';
import path from 'node:path';
import test, { after, before } from 'node:test';
import { eventually, startTandem, tandem, user } from './lib.mjs';
import { startUpstream, wholeStream } from './upstream.mjs';

const CARD = '4111 1111 1111 1111', MAILS = Array.from({ length: 9 }, (_, i) => `user${i}@example.org`);
let server, upstream;
before(async () => {
  upstream = await startUpstream(() => wholeStream(['Hello']));
  server = await startTandem(`
models:
  cloud: {kind: remote, url: "${upstream.url}", model: big-1}
  home: {kind: script, answers: ["said at home"]}
  first: {kind: mask, inner: cloud, level: 1}
  second: {kind: mask, inner: cloud, level: 2}
  blind: {kind: mask, inner: cloud, level: 1, watch: no}
  few: {kind: mask, inner: cloud, level: 2, limit: 3}
  stays: {kind: mask, inner: cloud, local: home, level: 1, limit_clear: 1}
  never: {kind: mask, inner: cloud, level: 1, limit_clear: 0}
`);
});
after(async () => {
  await server.stop();
  await upstream.close();
});

const ask = (model, text, session) => server.chat({ model, messages: user(text), tandem: session ? { session } : {} });
const leaks = (...args) => tandem(['leaks', '--ledger', path.join(server.dir, 'ledger.db'), ...args]);

test('the receipt names every value that was shown by type, form and hash, and holds none', async () => {
  const text = `card ${CARD}, mail ${MAILS[0]}, again ${MAILS[0]}, key ghp_${'a1B2c3D4e5F6'.repeat(3)}`;
  const { json } = await ask('first', text, 'one');
  const { conversation, values } = json.tandem.left;
  assert.match(conversation, /^[0-9a-f]{16}$/);
  assert.deepEqual(values.map((v) => [v.type, v.as, v.n]).sort(), [['CARD', 'token', 1], ['EMAIL', 'clear', 2], ['SECRET', 'mark', 1]]);
  for (const v of values) assert.match(v.hash, /^[0-9a-f]{16}$/);
  for (const value of [CARD, MAILS[0], 'ghp_']) assert.ok(!JSON.stringify(json.tandem).includes(value));
  const again = (await ask('first', `once more ${MAILS[0].toUpperCase()}`, 'one')).json.tandem.left;
  assert.equal(again.conversation, conversation);
  assert.equal(again.values[0].hash, values.find((v) => v.type === 'EMAIL').hash, 'the same value, the same hash');
  const other = (await ask('first', text, 'two')).json.tandem.left;
  const seen = new Set(values.map((v) => v.hash));
  assert.ok(other.conversation !== conversation && other.values.every((v) => !seen.has(v.hash)), 'hashes cannot be linked');
  const plain = (await server.chat({ model: 'cloud', messages: user(text) })).json.tandem.left;
  assert.ok(!('values' in plain), 'without a mask nobody looked');
  assert.deepEqual((await ask('blind', text)).json.tandem.left.values.map((v) => v.as).sort(), ['mark', 'token']);
});

test('a limit stops the conversation before one value more leaves, and only that conversation', async () => {
  for (let i = 0; i < 3; i++) assert.equal((await ask('few', `${MAILS[i]} and ${MAILS[0]}`, 'long')).status, 200);
  const from = upstream.requests.length;
  const { status, json, headers } = await ask('few', `now ${MAILS[3]}`, 'long');
  assert.deepEqual([status, json.error.code], [403, 'privacy_refused']);
  assert.match(json.error.message, /4 different private values, 3 are allowed \(limit\)/);
  assert.equal(upstream.requests.length, from, 'nothing was sent');
  const receipt = await server.receipt(headers['x-tandem-receipt']);
  assert.deepEqual([receipt.left.requests, receipt.decisions.map((d) => [d.by, d.kind, d.choice, d.signal, d.score, d.threshold])],
    [0, [['few', 'mask', 'refuse', 'values', 4, 3]]]);
  assert.equal((await ask('few', `known ones ${MAILS[1]} ${MAILS[2]}`, 'long')).status, 200, 'what was shown before may be shown again');
  assert.equal((await ask('few', `now ${MAILS[3]}`, 'another')).status, 200);
  assert.equal((await ask('few', MAILS.slice(0, 4).join(' '), 'at once')).status, 403);
});

test('a model at home takes over when too much would leave in clear', async () => {
  assert.equal((await ask('stays', `card ${CARD}, mail ${MAILS[0]}`, 's')).json.choices[0].message.content, 'Hello');
  const from = upstream.requests.length;
  const { json } = await ask('stays', `mail ${MAILS[1]}`, 's');
  assert.equal(json.choices[0].message.content, 'said at home');
  assert.deepEqual(json.tandem.decisions.map((d) => [d.choice, d.signal, d.score, d.threshold]), [['local', 'clear_values', 2, 1]]);
  assert.deepEqual([json.tandem.left.requests, upstream.requests.length], [0, from]);
  assert.equal((await ask('never', `card ${CARD}`)).status, 200);
  assert.equal((await ask('never', `mail ${MAILS[0]}`)).status, 403);
});

test('tandem leaks: by conversation, what left and in which form; nothing that stayed', async () => {
  const list = await eventually('the ledger has them', () => {
    const { status, stdout } = leaks('--json'); // its tables are made with the first rows
    const all = status ? [] : JSON.parse(stdout).conversations;
    return all.length >= 7 && all;
  });
  const { conversation } = (await ask('first', 'hello', 'one')).json.tandem.left;
  const one = list.find((c) => c.conversation === conversation);
  assert.deepEqual([one.requests, one.level, one.values.map((v) => [v.type, v.as, v.distinct, v.times])],
    [2, 1, [['CARD', 'token', 1, 1], ['EMAIL', 'clear', 1, 3], ['SECRET', 'mark', 1, 1]]]);
  const long = list.find((c) => c.values.some((v) => v.type === 'EMAIL' && v.as === 'token' && v.distinct === 3));
  assert.equal(long.requests, 4, 'the refused one is not among them');
  const { unmasked } = JSON.parse(leaks('--json').stdout);
  assert.equal(unmasked.requests, 1);
  const text = leaks().stdout;
  assert.match(text, new RegExp(`^conversation ${conversation}: \\d requests, \\d+ bytes to 127\\.0\\.0\\.1.*level 1, 20.*Z to 20.*Z$`, 'm'));
  assert.match(text, /^ {2}EMAIL +clear 1 different, 3 times$/m);
  assert.match(text, /left without a mask: nobody looked at them/);
  for (const value of [...MAILS, CARD, '4111']) assert.ok(!text.includes(value));
  assert.match(leaks('--hashes').stdout, /^ {2}CARD +token [0-9a-f]{16}, 1 times$/m);
  assert.equal(JSON.parse(leaks('--json', '--since', '1h').stdout).conversations.length >= 7, true);
  assert.deepEqual(JSON.parse(leaks('--json', '--key', 'nobody').stdout), { unmasked: { requests: 0, bytes: 0 }, conversations: [] });
  for (const args of [['--since', 'x'], ['--ledger', '/nowhere/x.db']]) assert.notEqual(leaks(...args).status, 0);
});

test('limits hold across restarts, reloads and kills: what a conversation has shown is read back from the ledger', async () => {
  const settings = (key) => `
models:
  cloud: {kind: remote, url: "${upstream.url}", model: big-1}
  few: {kind: mask, inner: cloud, level: 2, limit: 3${key}}
  clear: {kind: mask, inner: cloud, level: 1, limit_clear: 1${key}}
`;
  const key = ', key: "env:MASK_KEY"', env = { MASK_KEY: 'a key of this test alone' };
  const start = (ledger, text) => startTandem(text, { env, args: ledger ? ['--ledger', ledger] : [] });
  const say = async (s, model, text) => (await s.chat({ model, messages: user(text), tandem: { session: 'kept' } })).status;
  let s = await start(null, settings(key));
  const ledger = path.join(s.dir, 'ledger.db');
  assert.deepEqual([await say(s, 'few', MAILS.slice(0, 3).join(' ')), await say(s, 'few', MAILS[3]), await say(s, 'clear', MAILS[4])], [200, 403, 200]);
  s.child.kill('SIGHUP');
  await eventually('the settings are read again', () => s.stderr.includes('settings.reload'));
  assert.deepEqual([await say(s, 'few', MAILS[3]), await say(s, 'few', MAILS[0])], [403, 200], 'after a reload');
  for (const end of [() => s.stop(), async () => { s.child.kill('SIGKILL'); await s.exit; }]) {
    await end();
    s = await start(ledger, settings(key));
    assert.deepEqual([await say(s, 'few', MAILS[3]), await say(s, 'few', MAILS[0]), await say(s, 'clear', MAILS[5])], [403, 200, 403]);
    assert.equal((await s.chat({ model: 'few', messages: user(MAILS[3]), tandem: { session: 'another' } })).status, 200);
  }
  await s.stop();
  s = await start(ledger, settings('')); // names of conversations and hashes are of each process
  assert.equal(await say(s, 'few', MAILS[3]), 200, 'without a key there is nothing to know them by');
  await s.stop();
});

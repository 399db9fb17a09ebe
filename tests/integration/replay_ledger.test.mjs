// `tandem replay --ledger` beside the same figures worked out here from what was asked: decisions, costs and audits that a
// running server has recorded, other thresholds than the one in force, and labels that meet the requests by their ids.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { eventually, startTandem, tandem, user } from './lib.mjs';
import { startPostgres, withoutPostgres } from './postgres.mjs';
import { chunk, event, startUpstream, usage, wholeStream } from './upstream.mjs';

const THRESHOLD = 20, ASKED = 60;
const close = (have, expected, what) => assert.ok(Math.abs(have - expected) < 1e-9 * Math.max(1, Math.abs(expected)), `${what}: ${have} is not ${expected}`);
const sum = (list) => list.reduce((a, b) => a + b, 0), mean = (list) => sum(list) / list.length;
const sure = (text, p) => ({ answer: text, logprobs: [...text].map(() => p), chunk: 1 });

let upstream, server, routed, climbed;

// The large model says the same as the small one where the question has an "a" in its third place.
async function ask(model, text, more = {}) {
  const { status, json } = await server.chat({ model, messages: user(text), ...more });
  assert.equal(status, 200);
  const receipt = await server.receipt(json.tandem.receipt);
  return { id: receipt.receipt, text, receipt, cost: receipt.cost.total, calls: receipt.calls };
}

before(async () => {
  upstream = await startUpstream((rq) => {
    const text = rq.json.messages.at(-1).content, big = rq.json.model === 'big';
    const said = big && text[2] !== 'a' ? 'other' : 'same';
    return [...wholeStream([said]).slice(0, -3), chunk(usage(text.length, 2)), chunk(event('[DONE]')), '0\r\n\r\n'];
  });
  const remote = (model, price) => `{kind: remote, url: "${upstream.url}", model: ${model}, price: {in: ${price}, out: ${price}}}`;
  server = await startTandem(`
models:
  mini: ${remote('mini', 1000)}
  big: ${remote('big', 20000)}
  doubtful: {kind: script, file: doubtful.json}
  half: {kind: route, small: mini, large: big, scorer: length, threshold: -${THRESHOLD}, audit: 1}
  steps: {kind: cascade, small: doubtful, large: big, gate: logprob, threshold: -1}
`, { files: { 'doubtful.json': JSON.stringify(Array.from({ length: 10 }, (_, i) => ({ match: `n${i}`, ...sure('same', -i / 4 - 0.01) }))) } });
  routed = [];
  for (let i = 0; i < ASKED; i++) routed.push(await ask('half', `${'xy'}${i % 3 ? 'b' : 'a'}${'z'.repeat((i * 7) % 37)}`));
  climbed = [];
  climbed.push(await ask('steps', 'n0 with tools', { tools: [{ type: 'function', function: { name: 'f', parameters: { type: 'object' } } }] }));
  for (let i = 0; i < 40; i++) climbed.push(await ask('steps', `n${(i * 3) % 10} and so on`));
  await eventually('the last decision in the database', () => {
    const out = path.join(server.dir, 'seen.json');
    const { status } = tandem(['replay', '--ledger', ledger(), '--by', 'steps', '--out', out]); // 1: none of its rows is there yet
    return !status && JSON.parse(readFileSync(out, 'utf8')).ledger.requests === climbed.length;
  });
});
after(async () => {
  await server?.stop();
  await upstream.close();
});

function replay(ledger, ...args) {
  const out = path.join(server.dir, 'out.json');
  const done = tandem(['replay', '--ledger', ledger, ...args, '--out', out]);
  assert.equal(done.status, 0, done.stderr);
  return { text: done.stdout, json: JSON.parse(readFileSync(out, 'utf8')) };
}
const ledger = () => path.join(server.dir, 'ledger.db');
const kept = (r, t) => -Buffer.byteLength(r.text) >= t;
const price = (call) => call.cost;

test('demand_35_what_a_threshold_does: any threshold over one\'s own log, while the server runs: share, cost and what audits saw, with intervals', () => {
  const { json: { ledger: found }, text } = replay(ledger(), '--by', 'half', '--thresholds=-10,-15,-30');
  assert.equal(found.requests, routed.length);
  assert.equal(found.without, climbed.length, 'decisions of others are not taken for its own');
  assert.equal(found.signal, 'length');
  const keptOnes = routed.filter((r) => kept(r, -THRESHOLD)), sentOnes = routed.filter((r) => !kept(r, -THRESHOLD));
  assert.equal(found.kept, keptOnes.length);
  assert.equal(found.audited, keptOnes.length);
  const small = (r) => price(r.calls[0]), large = (r) => price(r.calls.at(-1));
  const meanSmall = mean(keptOnes.map(small));
  for (const row of found.policies.filter((p) => p.policy === 'threshold')) {
    const now = routed.filter((r) => kept(r, row.threshold));
    close(row.kept, now.length / routed.length, 'share');
    // what was kept was audited, so both prices are known; what was sent on was never asked of the small model
    const costs = routed.map((r) => !kept(r, row.threshold) ? large(r) : kept(r, -THRESHOLD) ? small(r) : meanSmall);
    close(row.cost, mean(costs), 'cost');
    close(row.estimated, sum(now.filter((r) => !kept(r, -THRESHOLD)).map(() => meanSmall)) / routed.length, 'estimated part');
    const audited = now.filter((r) => kept(r, -THRESHOLD)), differ = audited.filter((r) => r.text[2] !== 'a').length;
    assert.deepEqual([row.audited, row.differ], [audited.length, differ]);
    if (row.threshold < -THRESHOLD) assert.equal(row.low, null, 'what was not kept was not audited');
    else assert.ok(row.low < differ / audited.length && differ / audited.length < row.high);
  }
  assert.match(text, /Whether an answer was right is not in a ledger: labels/);
  assert.equal(sentOnes.length + keptOnes.length, routed.length);
});

test('demand_44_honest_baselines: labels by request id put small only, large only, random at equal cost and the oracle beside the thresholds', () => {
  const labels = path.join(server.dir, 'labels.csv');
  const good = (r) => [r.text.length % 2, r.text[2] === 'a' || r.text.length % 4 ? 1 : 0];
  const labelled = routed.filter((_, i) => i % 5);
  writeFileSync(labels, `item,correct:mini,correct:big\n${labelled.map((r) => [r.id, ...good(r)].join()).join('\n')}\nnobody,1,1\n`);
  const { json, text } = replay(ledger(), '--by', 'half', labels, '--small', 'mini', '--large', 'big', '--thresholds=-15', '--resamples', '100');
  const { labelled: found } = json;
  assert.match(text, new RegExp(`${labelled.length} of ${labelled.length + 1} labelled items are requests`));
  assert.equal(found.items, labelled.length);
  const meanSmall = mean(routed.filter((r) => kept(r, -THRESHOLD)).map((r) => price(r.calls[0])));
  const small = (r) => (kept(r, -THRESHOLD) ? price(r.calls[0]) : meanSmall), large = (r) => price(r.calls.at(-1));
  const policies = Object.fromEntries(found.policies.map((p) => [p.policy, p]));
  const weak = mean(labelled.map((r) => good(r)[0])), strong = mean(labelled.map((r) => good(r)[1]));
  close(policies['always small'].accuracy[0], weak, 'small only');
  close(policies['always large'].accuracy[0], strong, 'large only');
  close(policies.oracle.accuracy[0], mean(labelled.map((r) => Math.max(...good(r)))), 'oracle');
  const ours = policies['score keeps from -15'];
  close(ours.accuracy[0], mean(labelled.map((r) => good(r)[kept(r, -15) ? 0 : 1])), 'right');
  close(ours.cost[0], mean(labelled.map((r) => (kept(r, -15) ? small(r) : large(r)))), 'cost');
  const [low, high] = [mean(labelled.map(small)), mean(labelled.map(large))];
  close(ours.random_at_equal_cost, weak + (ours.cost[0] - low) / (high - low) * (strong - weak), 'random at equal cost');
  assert.ok(ours.accuracy[1] <= ours.accuracy[0] && ours.accuracy[0] <= ours.accuracy[2]);
  assert.deepEqual(found.scores.map((s) => s.score), ['score']);
});

test('replay of a ledger: a cascade pays the small answer in any case; its kept answers cost what they cost', () => {
  const { json: { ledger: found } } = replay(ledger(), '--by', 'steps', '--thresholds=-0.5,-2');
  const logprob = (r) => r.receipt.decisions.find((d) => d.by === 'steps').score ?? -Infinity;
  const more = mean(climbed.filter((r) => logprob(r) < -1 && r.calls.length > 1).map((r) => price(r.calls.at(-1))));
  assert.equal(found.requests, climbed.length);
  assert.equal(found.undecided, 1, 'the one with tools, which the script cannot use, goes to the large model at any threshold');
  for (const row of found.policies.filter((p) => p.policy === 'threshold')) {
    close(row.kept, mean(climbed.map((r) => Number(logprob(r) >= row.threshold))), 'share');
    // the script costs nothing; escalated when recorded: its own price, else the mean of those
    close(row.cost, mean(climbed.map((r) => (logprob(r) >= row.threshold ? 0 : logprob(r) < -1 ? r.cost : more))), 'cost');
    assert.equal(row.audited, 0);
    assert.equal(row.low, null);
  }
  const force = found.policies.find((p) => p.policy === 'the last in force');
  close(force.cost, mean(climbed.map((r) => r.cost)), 'what was paid');
  assert.equal(force.estimated, 0);
});

test('replay of a ledger: what is asked wrongly is said in one sentence', () => {
  const fails = (args, words) => {
    const done = tandem(['replay', ...args]);
    assert.notEqual(done.status, 0);
    assert.match(done.stderr, words);
  };
  fails(['--ledger', ledger()], /--ledger needs --by/);
  fails(['--ledger', path.join(server.dir, 'none.db'), '--by', 'half'], /there is no file .*none\.db/);
  fails(['--ledger', ledger(), '--by', 'mini'], /none of them was decided by a score of mini/);
  fails(['--ledger', ledger(), '--by', 'half', '--signal', 'linear'], /signal linear/);
  fails(['--by', 'half'], /are of a --ledger/);
  const labels = path.join(server.dir, 'strangers.csv');
  writeFileSync(labels, 'item,correct:mini,correct:big\nnobody,1,1\n');
  fails(['--ledger', ledger(), '--by', 'half', labels, '--small', 'mini', '--large', 'big'], /no item of the labels is the id of a request/);
});

test('replay of a ledger in PostgreSQL', { skip: withoutPostgres }, async () => {
  const postgres = await startPostgres();
  const other = await startTandem(`
models:
  s: {kind: script, answers: ["same"]}
  l: {kind: script, answers: ["same"]}
  r: {kind: route, small: s, large: l, scorer: length, threshold: -10}
serve: {ledger_journal: "${path.join(server.dir, 'journal')}"}
`, { args: ['--ledger', postgres.url] });
  try {
    for (let i = 1; i <= 20; i++) assert.equal((await other.chat({ model: 'r', messages: user('x'.repeat(i)) })).status, 200);
  } finally {
    await other.stop(); // brings the last ones from the journal to the database
  }
  const { json: { ledger: found } } = replay(postgres.url, '--by', 'r', '--thresholds=-5');
  assert.deepEqual([found.requests, found.kept], [20, 10]);
  close(found.policies.find((p) => p.policy === 'threshold').kept, 0.25, 'share');
  postgres.remove();
});

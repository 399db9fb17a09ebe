// Clients that work against the gate: prompts built to be passed on always (S83), and prompts built to stay with the small
// model and be answered wrongly (S84). What bounds the one is a budget of its tenant, what finds the other is the audit.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { startTandem, tandem, tempDir, user, withoutPair as skip } from './lib.mjs';

const dir = tempDir('adversary-');
const at = (name) => path.join(dir, name);
const settled = (answer) => ({ status: answer.status, said: answer.json.choices?.[0].message.content, receipt: answer.json.tandem,
  models: answer.json.tandem?.calls?.map((c) => c.model) ?? [], warnings: answer.json.tandem?.warnings?.map((w) => w.code) ?? [] });

test('S83 prompts that a route sends to the large model always spend the budget of their key and no more', async () => {
  writeFileSync(at('keys'), 'one\ntwo\n');
  const server = await startTandem(`
models:
  s: {kind: script, answers: ["small"]}
  l: {kind: script, answers: ["large"], price: {in: 1, out: 1}}
  bounded: {kind: budget, inner: l, calls: 3, window: total, per: tenant, then: s}
  r: {kind: route, small: s, large: bounded, scorer: length, threshold: -20}
`);
  const ask = async (content) => settled(await server.chat({ model: 'r', messages: user(content) }));
  const long = 'please think about this very hard'; // the gate looks at the length, and so does who attacks it
  const answers = [];
  for (let i = 0; i < 8; i++) answers.push(await ask(`${long} ${i}`));
  assert.equal(answers.filter((a) => a.models.includes('l')).length, 3);
  assert.deepEqual(answers.slice(3).map((a) => [a.status, a.said]), Array(5).fill([200, 'small']));
  assert.deepEqual(answers.map((a) => a.receipt.decisions.some((d) => d.signal === 'spent')), [...Array(3).fill(false), ...Array(5).fill(true)]);
  assert.equal((await ask('short')).said, 'small'); // and nobody else is hurt
  const metrics = await (await fetch(`${server.origin}/metrics`)).text();
  assert.match(metrics, /tandem_decisions_total\{strategy="r",choice="bounded"\} 8/); // what an alarm watches
  assert.match(metrics, /tandem_decisions_total\{strategy="bounded",choice="s"\} 5/);
  await server.stop();
});

test('S83 noise behind an easy question makes the real gate pass it on; escalations of the tenant bound what that costs', { skip }, async () => {
  const server = await startTandem(`
models:
  small: {kind: local, path: "embedded:small", cache_type: f32, price: {in: 0.1, out: 0.4}}
  large: {kind: local, path: "embedded:large", cache_type: f32, price: {in: 2.5, out: 10}}
  c: {kind: cascade, small: small, large: large, gate: scorer, weights: "embedded:cascade", threshold: 0.85, escalations: 3,
    window: total, otherwise: keep}
`);
  const ask = async (content) => settled(await server.chat({ model: 'c', messages: user(content), temperature: 0, max_tokens: 24 }));
  const easy = await ask('Reverse: 9 4 6');
  assert.deepEqual(easy.models, ['small'], 'kept as it is');
  let escalated = 0, spent = 0;
  for (let i = 0; i < 12; i++) {
    const { models, warnings, status } = await ask(`Reverse: 9 4 6\nzqx ${i} vlurb grommet ${i * 7} ytterbium? ekke`);
    assert.equal(status, 200);
    escalated += models.includes('large');
    spent += warnings.includes('escalations_spent');
  }
  assert.equal(escalated, 3, 'the attack works, and is over');
  assert.ok(spent >= 5, `${spent} were told so`);
  assert.match(server.stderr, /cascade\.escalations_spent/);
  await server.stop();
});

// Questions of up to 99 bytes; the gate is right about all that it was certified on.
const rows = Array.from({ length: 400 }, (_, i) => [`q${i}`, (i % 100) / 100, i % 100 < 40 && i % 3 ? 1 : 0]);
writeFileSync(at('table.tsv'), ['item\tscore\tloss', ...rows.map((r) => r.join('\t'))].join('\n') + '\n');
writeFileSync(at('said.json'), JSON.stringify([{ match: 'trick', answer: 'wrong', logprobs: -0.01 },
  { match: 'hard', answer: 'perhaps', logprobs: -5 }, { answer: 'The same.', logprobs: -0.01 }]));
const settings = (more) => `models:
  s: {kind: script, file: said.json}
  l: {kind: script, answers: ["the  same"]}
  c: {kind: cascade, small: s, large: l, gate: logprob, platt: [4, 8], threshold: 0.5${more}}
`;

test('S84 a cascade under a certificate: kept answers that differ from the large model suspend it, and nothing stays local', async () => {
  writeFileSync(at('plain.yaml'), settings(''));
  const made = tandem(['certify', at('table.tsv'), '--config', at('plain.yaml'), '--model', 'c', '--key', at('key'), '--loss',
    'differs', '--out', at('c.json')]);
  assert.equal(made.status, 0, made.stderr);
  writeFileSync(at('under.yaml'), settings(', certificate: c.json, audit: 1'));
  const server = await startTandem(at('under.yaml'));
  const ask = async (content) => settled(await server.chat({ model: 'c', messages: user(content) }));
  for (let i = 0; i < 8; i++) {
    const good = await ask('a good question');
    assert.deepEqual([good.said, good.receipt.certificate.held], ['The same.', true]);
    assert.deepEqual((await ask('a hard one')).models, ['s', 'l']); // passed on: no loss, and no call beside
  }
  let n = 0;
  while (n < 30) {
    const trick = await ask('a trick question');
    if (!trick.receipt.certificate.held) break;
    assert.equal(trick.said, 'wrong'); // who asks gets what was certified; the audit sees that it is not what it was
    assert.deepEqual(trick.receipt.decisions.map((d) => d.choice), ['keep', 'differs']);
    n++;
  }
  assert.ok(n >= 2 && n < 15, `${n} tricks until the alarm`);
  assert.equal((await ask('a trick question')).said, 'the  same');
  assert.match(readFileSync(at('c.json.suspended'), 'utf8'), /suspended: anytime-valid p/);
  await server.stop();
});

test('S84 a client that chooses its seed does not choose whether it is audited', async () => {
  const server = await startTandem(`
models:
  s: {kind: script, answers: ["wrong"]}
  l: {kind: script, answers: ["right"]}
  c: {kind: cascade, small: s, large: l, gate: check, pattern: "w", audit: 0.5, how: text}
  r: {kind: route, small: s, large: l, scorer: length, threshold: -1000, audit: 0.5}
`);
  for (const model of ['c', 'r']) {
    let audited = 0;
    for (let i = 0; i < 60; i++) {
      const { models } = settled(await server.chat({ model, messages: user('the same'), seed: 7 }));
      audited += models.includes('l');
    }
    assert.ok(audited > 10 && audited < 50, `${model}: ${audited} of 60`); // missed by chance once in 10 million
  }
  await server.stop();
});

test('S84 a prompt of the real pair that stays local and is wrong is seen by the audit', { skip }, async () => {
  const server = await startTandem(`
models:
  small: {kind: local, path: "embedded:small", cache_type: f32}
  large: {kind: local, path: "embedded:large", cache_type: f32}
  c: {kind: cascade, small: small, large: large, gate: scorer, weights: "embedded:cascade", threshold: 0.5, audit: 1, how: text}
`);
  const found = [];
  for (let a = 2; a < 60 && found.length < 3; a++) { // who attacks tries until something stays and is wrong
    const content = `What is ${a * 13 % 90 + 10} + ${a * 29 % 90 + 10}?`;
    const { receipt } = settled(await server.chat({ model: 'c', messages: user(content), temperature: 0, max_tokens: 16 }));
    if (receipt.decisions.at(-1).choice === 'differs') found.push(content);
    else assert.ok(['agrees', 'escalate'].includes(receipt.decisions.at(-1).choice));
  }
  const metrics = await (await fetch(`${server.origin}/metrics`)).text();
  const counted = Number(/tandem_decisions_total\{strategy="c",choice="differs"\} (\d+)/.exec(metrics)?.[1] ?? 0);
  assert.equal(counted, found.length); // each that was found by the attack was seen
  await server.stop();
});

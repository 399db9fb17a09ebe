// Certificates: made by the command, run under by route and cascade, refused when anything behind them has changed.
import assert from 'node:assert/strict';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { startTandem, tandem, tempDir } from './lib.mjs';
import { startPostgres, withoutPostgres } from './postgres.mjs';

const dir = tempDir('certificates-');
const at = (name) => path.join(dir, name);
// Questions of up to 99 bytes; the small model is wrong on the long ones.
const rows = Array.from({ length: 400 }, (_, i) => [`q${i}`, -(i % 100), i % 100 >= 60 && i % 3 ? 1 : 0]);
writeFileSync(at('table.tsv'), ['item\tscore\tloss', ...rows.map((r) => r.join('\t'))].join('\n') + '\n');

const models = (more = '', answer = 'small') => `models:
  s: {kind: script, answers: ["${answer}"]}
  l: {kind: script, answers: ["large"]}
  r: {kind: route, small: s, large: l, scorer: length, threshold: -50${more}}
`;
const certify = (...more) => tandem(['certify', at('table.tsv'), '--config', at('plain.yaml'), '--model', 'r', '--from',
  '0', '--to', '-99', '--steps', '99', '--key', at('key'), ...more]);
writeFileSync(at('plain.yaml'), models());
const check = (text) => {
  writeFileSync(at('under.yaml'), text);
  return tandem(['check', at('under.yaml')]);
};
const ask = async (server, content) => {
  const { json } = await server.chat({ model: 'r', messages: [{ role: 'user', content }] });
  return { said: json.choices[0].message.content, receipt: await server.receipt(json.tandem.receipt) };
};

test('a certificate is the same each time, is found again from its table, and any change is seen', () => {
  const made = certify('--out', at('c.json'), '--issued', '1790000000', '--days', '36500');
  assert.equal(made.status, 0, made.stderr);
  const text = readFileSync(at('c.json'), 'utf8');
  const c = JSON.parse(text);
  assert.equal(c.risk, 'joint');
  assert.equal(c.n, 400);
  assert.ok(Number(c.lambda) <= -59 && Number(c.lambda) > -75, c.lambda);
  assert.ok(Number(c.p_value) <= 0.05 && c.subject === 'r' && c.models.small.startsWith('sha256:'));
  assert.equal(certify('--issued', '1790000000', '--days', '36500').stdout, text);
  const again = tandem(['certify', at('table.tsv'), '--verify', at('c.json')]);
  assert.equal(again.status, 0, again.stderr);
  assert.match(again.stdout, /found again/);
  writeFileSync(at('other.tsv'), readFileSync(at('table.tsv'), 'utf8').replace('q1\t-1\t0', 'q1\t-1\t1'));
  assert.match(tandem(['certify', at('other.tsv'), '--verify', at('c.json')]).stderr, /data_hash/);
  writeFileSync(at('forged.json'), text.replace('"epsilon":"0.05"', '"epsilon":"0.01"'));
  assert.match(tandem(['certify', '--verify', at('forged.json')]).stderr, /not as it was signed/);
});

test('demand_38_a_promise_on_the_small_model F51 route runs under it, and refuses when models or settings changed', async () => {
  const under = ', certificate: c.json';
  const key = JSON.parse(readFileSync(at('c.json'), 'utf8')).key;
  assert.equal(check(models(under)).status, 0);
  assert.equal(check(models(`${under}, signer: "${key}"`)).status, 0);
  assert.match(check(models(`${under}, signer: "${'0'.repeat(64)}"`)).stderr, /not signed by the signer/);
  assert.match(check(models(under, 'changed')).stderr, /the models changed since the certificate c\.json was made/);
  assert.match(check(models(under).replaceAll(' r:', ' q:')).stderr, /name of the model/);
  assert.match(check(models(`${under}, rate: 0.5`).replace('length', 'random')).stderr, /a threshold alone/);
  assert.match(check(models(', certificate: forged.json')).stderr, /not as it was signed/);
  const over = certify('--out', at('over.json'), '--issued', '1000000000', '--days', '1');
  assert.equal(over.status, 0);
  assert.match(check(models(', certificate: over.json')).stderr, /in force until 2001-09-10/);
  check(models(under));
  const server = await startTandem(at('under.yaml'));
  const c = JSON.parse(readFileSync(at('c.json'), 'utf8'));
  const short = await ask(server, 'x'.repeat(59)), long = await ask(server, 'x'.repeat(90));
  assert.equal(short.said, 'small'); // -59 is above its threshold, and below the one of the settings
  assert.equal(long.said, 'large');
  assert.deepEqual(short.receipt.certificate, { id: c.id, epsilon: 0.05, delta: 0.05, held: true });
  assert.equal(short.receipt.decisions[0].threshold, Number(c.lambda));
  // whoever has the receipt finds the promise, as it was signed, and whether it is in force
  const shown = await fetch(`${server.base}/certificates/${c.id}`);
  assert.equal(shown.status, 200);
  assert.equal(await shown.text(), readFileSync(at('c.json'), 'utf8').trimEnd().replace(/}$/, ',"state":"valid"}'));
  const all = await (await fetch(`${server.base}/certificates`)).json();
  assert.deepEqual(all.data.map((d) => [d.id, d.subject, d.state]), [[c.id, 'r', 'valid']]);
  const none = await fetch(`${server.base}/certificates/crt_0`);
  assert.equal(none.status, 404);
  assert.equal((await none.json()).error.code, 'certificate_not_found');
  // audited answers show that the promise is broken: it is suspended, at once and for good
  writeFileSync(at('audit.tsv'), 'loss\n' + '0\n0\n1\n'.repeat(40));
  const broken = tandem(['certify', at('audit.tsv'), '--monitor', at('c.json')]);
  assert.notEqual(broken.status, 0);
  assert.match(broken.stderr, /the promise is broken: crt_\w+ suspended: anytime-valid p/);
  const after = await ask(server, 'x'.repeat(10));
  assert.equal(after.said, 'large');
  assert.equal(after.receipt.certificate.held, false);
  assert.equal(after.receipt.warnings[0].code, 'certificate_suspended');
  assert.equal((await (await fetch(`${server.base}/certificates/${c.id}`)).json()).state, 'suspended');
  await server.stop();
  assert.match(check(models(under)).stderr, /is suspended: its promise was broken/);
});

test('the monitor is calm while the promise is kept', () => {
  certify('--out', at('calm.json'));
  writeFileSync(at('calm.tsv'), 'loss\n' + ('0\n'.repeat(39) + '1\n').repeat(50));
  const calm = tandem(['certify', at('calm.tsv'), '--monitor', at('calm.json')]);
  assert.equal(calm.status, 0, calm.stderr);
  assert.match(calm.stdout, /2000 audited items: no sign/);
});

// Replicas that share a ledger offer it the same certificate: it is in the chain once.
async function keptByReplicas(settings) {
  const pg = await startPostgres();
  for (const journal of ['one', 'two'])
    writeFileSync(at(`${journal}.yaml`), `${settings}serve: {ledger_journal: "${at(journal)}"}\n`);
  const replicas = await Promise.all(['one', 'two'].map((name) => startTandem(at(`${name}.yaml`), { args: ['--ledger', pg.url] })));
  for (const replica of replicas) await ask(replica, 'hello');
  for (const replica of replicas) await replica.stop();
  assert.equal(pg.query("SELECT count(*) FROM requests WHERE state = 'document'"), '1');
  const whole = tandem(['ledger', '--ledger', pg.url, '--journal', at('checks')]);
  assert.equal(whole.status, 0, whole.stderr);
  pg.remove();
}

test('a cascade of two models runs under a certificate', async () => {
  const settings = (more) => `models:
  s: {kind: script, answers: ["small"]}
  l: {kind: script, answers: ["large"]}
  r: {kind: cascade, small: s, large: l, gate: agreement, samples: 4${more}}
`;
  writeFileSync(at('cascade.yaml'), settings(''));
  const votes = Array.from({ length: 300 }, (_, i) => [`q${i}`, (i % 5) / 4, i % 5 < 2 ? i % 2 : 0]);
  writeFileSync(at('votes.tsv'), ['item\tscore\tloss', ...votes.map((r) => r.join('\t'))].join('\n'));
  const made = tandem(['certify', at('votes.tsv'), '--config', at('cascade.yaml'), '--model', 'r', '--key', at('key'),
    '--steps', '4', '--out', at('votes.json')]);
  assert.equal(made.status, 0, made.stderr);
  assert.equal(JSON.parse(readFileSync(at('votes.json'), 'utf8')).lambda, '0.5');
  writeFileSync(at('cascade-under.yaml'), settings(', certificate: votes.json'));
  const server = await startTandem(at('cascade-under.yaml'));
  const { said, receipt } = await ask(server, 'hello');
  assert.equal(said, 'small');
  assert.equal(receipt.certificate.held, true);
  assert.equal(receipt.decisions[0].threshold, 0.5);
  await server.stop();
  // the certificate that an old receipt names is found when no model runs under it any more
  const ledger = path.join(server.dir, 'ledger.db');
  for (const name of ['cascade-under.yaml', 'cascade.yaml']) { // a second start keeps nothing twice
    const later = await startTandem(at(name), { args: ['--ledger', ledger] });
    const kept = await (await fetch(`${later.base}/certificates/${receipt.certificate.id}`)).text();
    const state = name === 'cascade.yaml' ? 'replaced' : 'valid';
    assert.equal(kept, readFileSync(at('votes.json'), 'utf8').trimEnd().replace(/}$/, `,"state":"${state}"}`));
    const stats = await (await fetch(`${later.base}/admin/stats/day`)).json();
    assert.equal(stats.totals[0].requests, 1); // it is no request
    await later.stop();
  }
  const whole = tandem(['ledger', '--ledger', ledger]);
  assert.equal(whole.status, 0, whole.stderr);
  if (!withoutPostgres) await keptByReplicas(readFileSync(at('cascade-under.yaml'), 'utf8'));
  copyFileSync(at('votes.json'), at('kept.json'));
  writeFileSync(at('cascade-under.yaml'), settings(', certificate: kept.json').replace('samples: 4', 'samples: 3'));
  assert.match(tandem(['check', at('cascade-under.yaml')]).stderr, /settings of the gate changed/);
});

test('S84 an audit asks the large model now and then: answers that stay at home and differ suspend the certificate', async () => {
  const settings = (more) => `models:
  s: {kind: script, file: said.json}
  l: {kind: script, answers: ["the  same"]}
  r: {kind: route, small: s, large: l, scorer: length${more}}
`;
  writeFileSync(at('said.json'), JSON.stringify([{ match: 'bad', answer: 'wrong' }, { answer: 'The same.' }]));
  writeFileSync(at('audited-plain.yaml'), settings(''));
  const made = tandem(['certify', at('table.tsv'), '--config', at('audited-plain.yaml'), '--model', 'r', '--from', '0',
    '--to', '-99', '--steps', '99', '--key', at('key'), '--loss', 'differs', '--out', at('audited.json')]);
  assert.equal(made.status, 0, made.stderr);
  assert.equal(check(settings(', audit: 1')).status, 0); // no promise: its receipts say what it saw
  assert.match(check(models(', certificate: calm.json, audit: 1')).stderr, /whose loss is differs/);
  writeFileSync(at('audited.yaml'), settings(', certificate: audited.json, audit: 1'));
  const server = await startTandem(at('audited.yaml'));
  for (let i = 0; i < 10; i++) {
    const { said, receipt } = await ask(server, 'a good question');
    assert.equal(said, 'The same.');
    assert.equal(receipt.certificate.held, true);
    assert.deepEqual(receipt.calls.map((c) => [c.model, c.purpose]), [['s', 'answer'], ['l', 'judge']]);
  }
  let n = 0;
  for (; n < 20; n++) {
    const { said, receipt } = await ask(server, 'a bad one');
    if (!receipt.certificate.held) break;
    assert.equal(said, 'wrong');
  }
  assert.ok(n >= 2 && n < 10, `${n} differing answers`);
  const after = await ask(server, 'a bad one');
  assert.equal(after.said, 'the  same');
  assert.deepEqual(after.receipt.calls.map((c) => c.model), ['l']);
  await server.stop();
  assert.match(readFileSync(at('audited.json.suspended'), 'utf8'), /suspended: anytime-valid p/);
});

// Every kind that takes a certificate, and whatever of it may change: it is refused with the name of what changed. Scores
// of a fitted router are thresholds like any others.
const fitted = Array.from({ length: 400 }, (_, i) => i % 2
  ? [`how many of ${i} and ${i * 7} are left`, i % 20 === 1 ? 0 : 1, 1] : [`prove that ${i} is beside ${i * 3}`, i % 10 ? 0 : 1, 1]);
writeFileSync(at('outcomes.tsv'), ['prompt\tcorrect:s\tcorrect:l', ...fitted.map((r) => r.join('\t'))].join('\n') + '\n');
const kinds = {
  'route, a fitted router': { options: 'kind: route, small: s, large: l, scorer: quality, weights: router.json',
    gate: ['scorer: quality', 'scorer: quality, undecided: 0.01'], weights: 'router.json', from: '1', to: '-1' },
  'route, linear': { options: 'kind: route, small: s, large: l, scorer: linear, weights: "embedded:route"',
    gate: ['scorer: linear, weights: "embedded:route"', 'scorer: length'], from: '1', to: '0' },
  'cascade, agreement': { options: 'kind: cascade, small: s, large: l, gate: agreement, samples: 3, prompts: ["Think."]',
    gate: ['"Think."', '"Think twice."'], from: '1', to: '0' },
  'cascade, vote, with a fallback behind it': {
    options: 'kind: cascade, small: s, large: {kind: fallback, models: [l, s], hold_ms: 100}, gate: vote, platt: [1, 0]',
    gate: ['platt: [1, 0]', 'platt: [2, 0]'], inner: ['hold_ms: 100', 'hold_ms: 200'], from: '1', to: '0' },
};
for (const [name, { options, gate, weights, inner, from, to }] of Object.entries(kinds))
  test(`F51 ${name}: runs under its certificate, and not when the gate, a model, a part of it or the name has changed`, () => {
    const fit = tandem(['fit-router', at('outcomes.tsv'), '--resamples', '0', '--out', at('router.json')]);
    assert.equal(fit.status, 0, fit.stderr);
    const tree = (text = options, more = '', answer = 'small') => `models:
  s: {kind: script, answers: ["${answer}"]}
  l: {kind: script, answers: ["large"]}
  m: {${text}${more}}
`;
    writeFileSync(at('kind.yaml'), tree());
    const spread = Array.from({ length: 400 }, (_, i) => [`q${i}`, Number(to) + (i % 100) / 100 * (from - to), i % 100 < 30 && i % 2 ? 1 : 0]);
    writeFileSync(at('kind.tsv'), ['item\tscore\tloss', ...spread.map((r) => r.join('\t'))].join('\n'));
    const made = tandem(['certify', at('kind.tsv'), '--config', at('kind.yaml'), '--model', 'm', '--from', from, '--to', to,
      '--key', at('key'), '--out', at('kind.json')]);
    assert.equal(made.status, 0, made.stderr);
    const under = ', certificate: kind.json', says = (text, sentence) => assert.match(check(text).stderr, sentence);
    assert.equal(check(tree(options, under)).status, 0, check(tree(options, under)).stderr);
    says(tree(options.replace(...gate), under), /the (settings of the gate|models) changed since the certificate/);
    says(tree(options, under, 'other'), /the models changed/);
    says(tree(options, under).replace('  m:', '  n:'), /the name of the model changed/);
    if (inner) says(tree(options.replace(...inner), under), /the settings changed/);
    if (!weights) return;
    writeFileSync(at(weights), readFileSync(at(weights), 'utf8').replace(/(\d)(\d)\b/, (_, a, b) => `${a}${(Number(b) + 1) % 10}`));
    says(tree(options, under), /changed since the certificate/);
  });

// `tandem fit-router` on what the embedded pair answered to the gym, and routes by every scorer and everything that a
// router can read: what is served, what the receipt says of the decision, and what happens to a question unlike those of
// the fit.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { startTandem, tandem, tempDir, user, weights, withoutPair } from './lib.mjs';

const SCORERS = ['quality', 'gap', 'knn', 'similarity', 'mf'];
const fits = [...SCORERS.map((scorer) => [scorer, 'text']), ['quality', 'vector'], ['knn', 'vector'],
  ['quality', 'hidden'], ['mf', 'hidden'], ['quality', 'logits'], ['gap', 'logits']];
const name = ([scorer, reads]) => `${scorer}-${reads}`;
const flag = { text: [], vector: ['--embedder', 'small'], hidden: ['--hidden', 'small'], logits: ['--logits', 'small'] };
const dir = tempDir(), at = (file) => path.join(dir, file);
const models = `models:
  small: {kind: local, path: "${weights('small')}", price: {in: 0.1, out: 0.2}}
  large: {kind: local, path: "${weights('large')}", price: {in: 2.5, out: 5}}
`;
const lines = (file) => readFileSync(file, 'utf8').trim().split('\n').map((l) => JSON.parse(l));
const gym = (seed, n, file) => {
  const done = tandem(['eval', 'gym', '--config', at('pair.yaml'), '--models', 'small,large', '--n', String(n), '--seed', String(seed), '--table', at(file)]);
  assert.equal(done.status, 0, done.stderr);
  return lines(at(file));
};

let server, asked;
const reports = {};
before(async () => {
  if (withoutPair) return;
  writeFileSync(at('pair.yaml'), models);
  gym(41, 400, 'fit.jsonl');
  asked = gym(42, 12, 'asked.jsonl');
  let settings = models;
  for (const fit of fits) {
    const [scorer, reads] = fit;
    const done = tandem(['fit-router', at('fit.jsonl'), '--config', at('pair.yaml'), '--scorer', scorer, ...flag[reads],
      '--folds', '3', '--epochs', '5', '--resamples', '50', '--out', at(`${name(fit)}.json`)]);
    assert.equal(done.status, 0, done.stderr);
    reports[name(fit)] = done.stdout;
    settings += `  ${name(fit)}: {kind: route, small: small, large: large, scorer: ${scorer}, weights: "${at(`${name(fit)}.json`)}", ` +
      `rate: 0.5, undecided: 0.02${reads === 'vector' ? ', embedder: small' : ''}}\n`;
  }
  server = await startTandem(settings);
});
after(() => server?.stop());

async function ask(model, text) {
  const { status, json } = await server.chat({ model, messages: user(text) });
  assert.equal(status, 200, JSON.stringify(json));
  return { json, receipt: await server.receipt(json.tandem.receipt) };
}

test('fit-router tells what a router is worth on items it has not seen, beside the controls, and its file holds it', { skip: withoutPair }, () => {
  for (const fit of fits) {
    const report = reports[name(fit)], [scorer, reads] = fit;
    assert.match(report, /400 items, 3 parts/);
    for (const row of [scorer, 'length', 'group']) assert.match(report, new RegExp(`^${row} +[01]\\.\\d{4}  `, 'm'));
    const file = JSON.parse(readFileSync(at(`${name(fit)}.json`), 'utf8'));
    assert.deepEqual([file.scorer, file.reads, file.models.join()], [scorer, reads, 'small,large']);
    assert.ok(file.scores.length === 101 && file.familiar.length === 101);
    assert.ok(reads === 'text' ? file.width === 0 : reads === 'logits' ? file.width === 6 : file.width >= 64, `width ${file.width}`);
    assert.ok(!readFileSync(at(`${name(fit)}.json`), 'utf8').includes('?'), 'no text of a question is in it');
  }
  // the small model's own state tells more about its answers than a guess does
  const area = Number(/^quality +(\S+)/m.exec(reports['quality-hidden'])[1]);
  assert.ok(area > 0.55, `APGR ${area}`);
});

test('routes by every scorer and everything that is read: the choice is that of the score, and the receipt says so', { skip: withoutPair }, async () => {
  for (const fit of fits) {
    const [scorer, reads] = fit, file = JSON.parse(readFileSync(at(`${name(fit)}.json`), 'utf8'));
    let kept = 0;
    for (const { prompt } of asked) {
      const { receipt } = await ask(name(fit), prompt);
      const [decision] = receipt.decisions, answer = receipt.calls.find((c) => c.purpose === 'answer');
      assert.deepEqual([decision.by, decision.kind, decision.signal], [name(fit), 'route', scorer]);
      assert.ok(Math.abs(decision.threshold - file.scores[50]) < 1e-9, 'the middle of the scores of the fit');
      const undecided = decision.detail.startsWith('undecided');
      assert.equal(decision.choice, !undecided && decision.score >= decision.threshold ? 'small' : 'large');
      assert.equal(answer.model, decision.choice);
      // what was read beside the text is a call of its own, which is paid
      const others = receipt.calls.filter((c) => c.purpose !== 'answer').map((c) => [c.model, c.purpose, c.completion_tokens]);
      assert.deepEqual(others, reads === 'text' ? [] : [['small', reads === 'vector' ? 'embed' : 'judge', 0]]);
      kept += decision.choice === 'small';
    }
    assert.ok(kept >= 1 && kept <= 11, `${name(fit)} keeps ${kept} of 12 at rate 0.5`);
  }
});

test('a question unlike all of the fit is undecided for every scorer: the large model answers, and the receipt says why', { skip: withoutPair }, async () => {
  for (const fit of fits) {
    const { receipt } = await ask(name(fit), 'Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich');
    const [decision] = receipt.decisions;
    assert.equal(decision.choice, 'large', name(fit));
    assert.match(decision.detail, /^undecided: familiar 0\.\d+ of at least /);
  }
});

test('replay asks the route itself: the same scores as it served, any threshold, and nothing undecided is kept', { skip: withoutPair }, async () => {
  const wanted = ['quality-hidden', 'knn-text'];
  const table = lines(at('asked.jsonl'));
  table.push({ ...table[0], item: 'strange', prompt: 'Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich' });
  writeFileSync(at('strange.jsonl'), table.map((row) => JSON.stringify(row)).join('\n'));
  const done = tandem(['replay', at('strange.jsonl'), '--config', path.join(server.dir, 'settings.yaml'), '--routes', wanted.join(),
    '--thresholds=-1', '--resamples', '0', '--out', at('replay.json'), '--labels', at('labels.tsv')]);
  assert.equal(done.status, 0, done.stderr);
  const policies = Object.fromEntries(JSON.parse(readFileSync(at('replay.json'), 'utf8')).policies.map((p) => [p.policy, p]));
  const served = [];
  for (const { prompt } of table) served.push((await ask(wanted[0], prompt)).receipt.decisions[0]);
  const sent = served.filter((d) => d.choice === 'large').length;
  assert.ok(Math.abs(policies[`${wanted[0]} as it is set`].large_share[0] - sent / table.length) < 1e-9);
  const labels = readFileSync(at('labels.tsv'), 'utf8').trim().split('\n').slice(1).map((l) => Number(l.split('\t')[1]));
  served.slice(0, -1).forEach((d, i) => d.detail.startsWith('undecided') || assert.ok(Math.abs(labels[i] - d.score) < 1e-6, `${labels[i]} ${d.score}`));
  for (const name of wanted) assert.ok(policies[`${name} keeps from -1`].large_share[0] >= 1 / table.length - 1e-9, 'the strange one is sent on at any threshold');
  assert.match(tandem(['replay', at('asked.jsonl'), '--config', at('pair.yaml'), '--routes', 'small']).stderr, /small is no route/);
});

test('equal tables make equal files; a file that does not fit a route is refused in one sentence', { skip: withoutPair }, () => {
  const again = tandem(['fit-router', at('fit.jsonl'), '--config', at('pair.yaml'), '--hidden', 'small', '--folds', '3', '--resamples', '50', '--out', at('again.json')]);
  assert.equal(again.status, 0, again.stderr);
  assert.equal(readFileSync(at('again.json'), 'utf8'), readFileSync(at('quality-hidden.json'), 'utf8'));
  const check = (small, more) => {
    writeFileSync(at('wrong.yaml'), `models:\n  s: ${small}\n  l: {kind: script, answers: ["a"]}\n  r: {kind: route, small: s, large: l, ${more}}\n`);
    return tandem(['check', at('wrong.yaml')]).stderr;
  };
  const script = '{kind: script, answers: ["a"]}';
  assert.match(check(script, 'scorer: quality, weights: quality-hidden.json'), /reads what s computes, which that model does not show/);
  assert.match(check(script, 'scorer: quality, weights: quality-vector.json'), /expects a model in role "embedder"/);
  assert.match(check(script, 'scorer: gap, weights: quality-text.json'), /holds scorer quality, not gap/);
  const two = tandem(['fit-router', at('fit.jsonl'), '--hidden', 'small', '--logits', 'small']);
  assert.match(two.stderr, /expected one of --embedder, --hidden and --logits/);
  writeFileSync(at('scripts.yaml'), `models:\n  s: ${script}\n`);
  const cannot = tandem(['fit-router', at('fit.jsonl'), '--config', at('scripts.yaml'), '--hidden', 's']);
  assert.match(cannot.stderr, /s does not show what it computes; expected a local model/);
});

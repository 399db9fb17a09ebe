// tandem certify leak: counts and bounds against a calculation of its own, the order of testing, offsets in characters.
import assert from 'node:assert/strict';
import test from 'node:test';
import { tandem, writeTemp } from './lib.mjs';

const run = (text, ...args) => tandem(['certify', 'leak', writeTemp('labelled.jsonl', text), ...args]);
const lines = (list) => list.map((d) => JSON.stringify(d)).join('\n');
const doc = (text, ...values) => ({ text, spans: values.map(([value, type]) => {
  const start = [...text.slice(0, text.indexOf(value))].length;
  return { start, end: start + [...value].length, type };
}) });
// The largest q with P(Bin(n, q) <= k) >= delta, by halving.
function upper(k, n, delta) {
  const choose = (j) => Array.from({ length: j }, (_, i) => Math.log((n - i) / (i + 1))).reduce((a, b) => a + b, 0);
  const below = (q) => Array.from({ length: k + 1 }, (_, j) => Math.exp(choose(j) + j * Math.log(q) + (n - j) * Math.log1p(-q))).reduce((a, b) => a + b, 0);
  let low = 0, high = 1;
  for (let i = 0; i < 60; i++) [low, high] = below((low + high) / 2) >= delta ? [(low + high) / 2, high] : [low, (low + high) / 2];
  return low;
}

const many = (n, leaky) => Array.from({ length: n }, (_, i) => (i < leaky
  ? doc(`ünïcödé 😀: the colour of case ${i} is mauve`, ['mauve', 'COLOUR'])
  : doc(`ünïcödé 😀: mail user${i}@example.org about the card 4111 1111 1111 1111`, [`user${i}@example.org`, 'EMAIL'], ['4111 1111 1111 1111', 'CARD'])));

test('the bound of Clopper and Pearson, the counts behind it, and levels tested until one fails', () => {
  const { stdout, status } = run(lines([...many(300, 2), { text: 'nothing in it', spans: [] }]), '--json');
  const { settings, level, left_out: bare } = JSON.parse(stdout);
  assert.deepEqual([status, level, bare, settings.map((s) => [s.level, s.documents, s.leaks, s.spans, s.lost, s.shown])],
    [0, '2', 1, [['3', 300, 2, 598, 2, true], ['2', 300, 2, 598, 2, true], ['1', 300, 300, 598, 300, false]]]);
  for (const s of settings) if (s.leaks < s.documents) assert.ok(Math.abs(s.upper - upper(s.leaks, s.documents, 0.05)) < 1e-9, `${s.upper}`);
  assert.equal(settings[2].upper, 1);
  assert.deepEqual(settings.map((s) => s.over), [0, 0, 0]);
});

test('299 clean documents buy 1 %, 298 do not; then the status is 1 and nothing else is tested', () => {
  assert.equal(run(lines(many(299, 0)), '--epsilon', '0.01', '--levels', '2').status, 0);
  const { status, stdout } = run(lines(many(298, 0)), '--epsilon', '0.01', '--levels', '2,1');
  assert.equal(status, 1);
  assert.match(stdout, /no level is shown to leak at most 0\.01/);
  assert.equal(stdout.split('\n').filter((l) => /^[123] +/.test(l)).length, 1);
});

test('types choose what is private; a list as one document; what is hidden beside it is counted', () => {
  const only = JSON.parse(run(lines(many(50, 10)), '--types', 'CARD', '--levels', '1', '--epsilon', '0.2', '--json').stdout);
  assert.deepEqual([only.left_out, only.settings[0].documents, only.settings[0].leaks], [10, 40, 0]);
  const list = JSON.stringify(many(40, 0).map(({ text, spans: [, s] }) => ({ full_text: text, spans: [{ start_position: s.start, end_position: s.end, entity_type: 'CARD' }] })));
  const { settings: [s] } = JSON.parse(run(list, '--levels', '2', '--epsilon', '0.2', '--json').stdout);
  assert.deepEqual([s.documents, s.leaks, s.over > 0], [40, 0, true]);
});

test('biases of the tagger are settings too, in the order given', () => {
  const list = Array.from({ length: 30 }, (_, i) => doc(`Please greet Maria Keller${i % 2 ? ' from us' : ''}.`, ['Maria Keller', 'PERSON']));
  const { settings } = JSON.parse(run(lines(list), '--detect', 'rules,tagger', '--levels', '2:-4,2:500', '--epsilon', '0.2', '--json').stdout);
  assert.deepEqual(settings.map((s) => [s.level, s.leaks, s.shown]), [['2:-4', 0, true], ['2:500', 30, false]]);
});

test('what is too likely to leak is not sent, and does not leak', () => {
  const list = Array.from({ length: 60 }, (_, i) => doc(i % 3 ? `mail user${i}@example.org` : 'pay DE89 3704 0044 0532 0130 01 today', i % 3 ? [`user${i}@example.org`, 'EMAIL'] : ['DE89 3704 0044 0532 0130 01', 'IBAN']));
  const { settings } = JSON.parse(run(lines(list), '--levels', '2@0.1,2', '--epsilon', '0.1', '--json').stdout);
  assert.deepEqual(settings.map((s) => [s.level, s.documents, s.kept, s.leaks, s.shown]), [['2@0.1', 60, 20, 0, true], ['2', 60, 0, 20, false]]);
});

test('what cannot be read is named', () => {
  for (const [text, args, wanted] of [['{"text":1}', [], /expected text/], ['{', [], /line 1: no JSON/], ['', [], /no document has/],
    ['{"text":"a","spans":[{"start":3}]}', [], /span 1: expected start and end/], [lines(many(2, 0)), ['--levels', '7'], /expected 1, 2 or 3/], [lines(many(2, 0)), ['--levels', '2:x'], /expected 1, 2 or 3/], [lines(many(2, 0)), ['--levels', '2@'], /expected 1, 2 or 3/]]) {
    const { status, stderr } = run(text, ...args);
    assert.ok(status !== 0 && wanted.test(stderr), stderr);
  }
});

// tandem scan, mask and unmask: what they find and where they say it stands, in every output; that nothing they print
// holds a value; that what was masked comes back byte for byte.
import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { random, tandem, tempDir } from './lib.mjs';

const CARD = '4111 1111 1111 1111', MAIL = "o'brien+x@example.org", SECRET = `ghp_${'a1B2c3D4e5F6'.repeat(3)}`;
const scan = (input, ...args) => tandem(['scan', ...args], { input });
const found = (input, ...args) => JSON.parse(scan(input, '--format', 'json', ...args).stdout).findings;

test('a finding has place, type, score and reason; nothing that is printed holds the value', () => {
  const text = `no value here\nünïcödé: my card is ${CARD}, mail ${MAIL}\n${SECRET}\n`;
  const plain = scan(text);
  assert.equal(plain.status, 1);
  assert.match(plain.stdout, /^-:2:21: CARD, level 1, score (0\.99|1\.00): check passed(, word of context)?$/m);
  assert.match(plain.stdout, /^-:3:1: SECRET github, level 1, score 0\.\d\d: .+$/m);
  assert.match(plain.stdout, /^-:2:47: EMAIL, level 2, score 0\.\d\d: .+$/m);
  for (const format of ['text', 'json', 'sarif']) {
    const { stdout, stderr } = scan(text, '--format', format);
    for (const value of [CARD, MAIL, SECRET]) assert.ok(!(stdout + stderr).includes(value), `${format} shows a value`);
  }
  assert.deepEqual(found(text, '--values').map((f) => f.value), [CARD, MAIL, SECRET]);
  const bytes = Buffer.from(text);
  for (const f of found(text, '--values')) assert.equal(bytes.subarray(f.start, f.end).toString(), f.value);
});

test('the exit code: 0 nothing, 1 findings, 2 what could not be looked at', () => {
  assert.equal(scan('nothing to see').status, 0);
  assert.equal(scan('').status, 0);
  assert.equal(scan(`mail ${MAIL}`).status, 1);
  assert.equal(scan(`mail ${MAIL}`, '--level', '1').status, 0);
  for (const args of [['/nowhere/at/all'], ['--level', '9'], ['--deny', '/nowhere'], ['--format', 'xml']]) {
    const { status, stderr, stdout } = scan('', ...args);
    assert.deepEqual([status, stdout], [2, ''], args.join(' '));
    assert.match(stderr, /^tandem: .+/);
  }
});

test('lists and patterns of the operator', () => {
  const dir = tempDir(), file = (name, text) => (writeFileSync(path.join(dir, name), text), path.join(dir, name));
  const text = `Projekt Blau, AB-1234, ${MAIL}`;
  const lists = ['--deny', file('deny', 'projekt blau\r\n\n'), '--patterns', file('own', '[a-z]{2}-\\d{4}\n'), '--allow', file('allow', `${MAIL}\n`)];
  assert.deepEqual(found(text, '--values', ...lists).map((f) => [f.type, f.value, f.why[0]]),
    [['DENY', 'Projekt Blau', 'deny list'], ['DENY', 'AB-1234', 'own pattern']]);
});

test('folders, several files, links and bytes that are no text', () => {
  const dir = tempDir();
  mkdirSync(path.join(dir, 'a/.git'), { recursive: true });
  writeFileSync(path.join(dir, 'a/one.txt'), `mail ${MAIL}`);
  writeFileSync(path.join(dir, 'a/.git/two.txt'), `mail ${MAIL}`);
  writeFileSync(path.join(dir, 'b.bin'), Buffer.from(`\0mail ${MAIL}`));
  symlinkSync(path.join(dir, 'a'), path.join(dir, 'link'));
  const { status, stdout, stderr } = scan('', dir, '--format', 'json');
  const report = JSON.parse(stdout);
  assert.deepEqual([status, report.files, report.findings.map((f) => f.file)], [1, 1, [path.join(dir, 'a/one.txt')]]);
  assert.match(stderr, /1 files are no text/);
});

test('S78 behind the escapes of JSON and of JSON lines', () => {
  const escaped = [...MAIL].map((c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`).join('');
  const lines = `{"a":"nothing"}\n{"text":"my mail: ${escaped}!"}\n{"n":[${CARD.replaceAll(' ', '')}]}\n`;
  assert.deepEqual(found(lines).map((f) => f.type), ['EMAIL', 'CARD']);
  const all = found(lines, '--json', '--values');
  assert.deepEqual(all.map((f) => [f.type, f.line, f.column]), [['EMAIL', 2, 19], ['CARD', 3, 7]]);
  assert.equal(all[0].value, escaped);
  const file = path.join(tempDir(), 'x.json');
  writeFileSync(file, JSON.stringify({ a: [{ b: `line\n${MAIL}` }] }, null, 1));
  assert.deepEqual(found('', file).map((f) => [f.type, f.line]), [['EMAIL', 4]]);
});

test('SARIF 2.1.0: the fields that readers need, every rule named once', () => {
  const { stdout } = scan(`a ${MAIL} b eve@example.org ${CARD}\n${SECRET}`, '--format', 'sarif');
  const log = JSON.parse(stdout), [{ tool, results, columnKind }] = log.runs;
  assert.deepEqual([log.version, log.runs.length, columnKind, tool.driver.name], ['2.1.0', 1, 'unicodeCodePoints', 'tandem scan']);
  assert.match(log.$schema, /sarif-2\.1\.0\.json$/);
  assert.deepEqual(tool.driver.rules.map((r) => r.id), ['EMAIL', 'CARD', 'SECRET/github']);
  assert.equal(results.length, 4);
  for (const r of results) {
    assert.ok(tool.driver.rules.some((rule) => rule.id === r.ruleId) && ['error', 'warning'].includes(r.level) && r.message.text);
    const { artifactLocation, region } = r.locations[0].physicalLocation;
    assert.equal(artifactLocation.uri, '-');
    assert.ok(region.startLine >= 1 && region.endColumn > region.startColumn, JSON.stringify(region));
  }
  assert.deepEqual(JSON.parse(scan('', '--format', 'sarif').stdout).runs[0].results, []);
});

test('a long text: every value once, wherever the windows end', () => {
  let text = '', wanted = 0;
  const below = random(5);
  while (text.length < 200000) {
    text += `${'lorem ipsum '.repeat(below(40))}user${wanted++}@example.org, `;
  }
  const list = found(text, '--values', '--detect', 'rules');
  assert.deepEqual(list.map((f) => f.value), Array.from({ length: wanted }, (_, i) => `user${i}@example.org`));
});

// --- mask and unmask

const key = { TANDEM_FILTER_KEY: 'sixteen bytes and more of a key' };
const mask = (input, ...args) => tandem(['mask', '--key', 'env:TANDEM_FILTER_KEY', ...args], { input, env: key });
function unmask(input, original, ...args) {
  const file = path.join(tempDir(), 'original');
  writeFileSync(file, original);
  return tandem(['unmask', '--key', 'env:TANDEM_FILTER_KEY', ...args, file], { input, env: key });
}

test('demand_13 there and back: every byte, and an answer that uses the tokens in its own words', () => {
  const text = `Write to ${MAIL} or ${MAIL.toUpperCase()}; card ${CARD}, ${CARD.replaceAll(' ', '-')}.\r\nLooks like one: EMAIL_00A7KQ2F\n\0 end`;
  const { stdout, status } = mask(text);
  assert.equal(status, 0);
  for (const value of [MAIL, CARD, '4111']) assert.ok(!stdout.toLowerCase().includes(value.toLowerCase()), stdout);
  assert.equal(unmask(stdout, text).stdout, text);
  const [token] = /EMAIL_[0-9A-Z]{8}/.exec(stdout);
  assert.equal(unmask(`Dear ${token.toLowerCase()}, see \`${token.replace('_', '\\_')}\``, text).stdout, `Dear ${MAIL}, see \`${MAIL}\``);
});

test('another session, another key: other tokens, and nothing comes back', () => {
  const text = `mail ${MAIL}`, one = mask(text, '--session', 'one').stdout, two = mask(text, '--session', 'two').stdout;
  assert.equal(mask(text, '--session', 'one').stdout, one);
  assert.notEqual(one, two);
  const wrong = unmask(two, text, '--session', 'one');
  assert.equal(wrong.stdout, two);
  assert.match(wrong.stderr, /1 in the shape of a token stay/);
  assert.notEqual(tandem(['mask'], { input: text }).stdout, tandem(['mask'], { input: text }).stdout);
  assert.equal(tandem(['unmask', '--key', 'env:TANDEM_FILTER_KEY'], { env: key }).status, 2);
});

test('secrets have no way back', () => {
  const { stdout } = mask(`key ${SECRET}`);
  assert.equal(stdout, 'key [SECRET:github]');
  assert.equal(unmask(stdout, `key ${SECRET}`).stdout, stdout);
});

test('S37 JSON there and back: keys, numbers, escapes; every other byte as it was', () => {
  const card = CARD.replaceAll(' ', '');
  const text = `{ "${MAIL}" : [1, 2.50, ${card}, "a\\u0040b \\"${MAIL}\\" \\ud83d\\ude00"],\n\t"deep":{"card":"${card.slice(0, 8)} ${card.slice(8)}","e":1e3,"t":true,"n":null}}`;
  const { stdout, status } = mask(text, '--json');
  assert.equal(status, 0);
  for (const value of [MAIL, card, '4111']) assert.ok(!stdout.includes(value), stdout);
  assert.ok(stdout.includes('[1, 2.50, "CARD_') && stdout.includes('"e":1e3,"t":true,"n":null}}'), stdout);
  const back = unmask(stdout, text, '--json').stdout;
  assert.deepEqual(JSON.parse(back), JSON.parse(text));
  assert.ok(back.includes(`2.50, ${card},`), back);
  assert.equal(mask('{"a":', '--json').status === 0, false);
});

test('random conversations come back whole', () => {
  const below = random(99), pick = (list) => list[below(list.length)];
  for (let i = 0; i < 3; i++) {
    const parts = Array.from({ length: 60 }, () => pick([MAIL, CARD, 'IP 10.0.0.1', ' the "quoted" ', 'EMAIL_', '_', '\\', '\n', 'ß', '\u200b', 'call +1 415-555-2671', '😀',
      'GB29 NWBK 6016 1331 9268 19']));
    const text = parts.join(pick([' ', ', ', '\n']));
    assert.equal(unmask(mask(text).stdout, text).stdout, text);
    const json = JSON.stringify({ text, list: parts });
    assert.equal(unmask(mask(json, '--json').stdout, json, '--json').stdout, json);
  }
});

// The reader of JSON beside JSON.parse: what both read is the same, and what one refuses the other refuses. They differ, on
// purpose, in this: a half of a pair alone, NUL in a key, a number that no double holds and a 65th level are refused; and an
// integer of 64 bits stays exact.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { realpathSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { program } from './lib.mjs';

const tool = path.join(path.dirname(realpathSync(program)), 'read_json');

let state = 20261123;
const random = (n) => { // 0..n-1, the same every time (mulberry32)
  let t = (state = (state + 0x6D2B79F5) | 0);
  t = Math.imul(t ^ (t >>> 15), t | 1);
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
  return ((t ^ (t >>> 14)) >>> 0) % n;
};
const pick = (list) => list[random(list.length)];

const characters = ['a', 'z', ' ', '"', '\\', '/', '\n', '\t', '\b', '\u001f', '\u007f', 'é', 'ß', '€', '漢', '😀', '\u2028', '\ud7ff', '0', '{', ']'];
const string = () => Array.from({ length: random(random(4) ? 12 : 80) }, () => pick(characters)).join('');
const bits = new DataView(new ArrayBuffer(8));
function number() {
  switch (random(6)) {
    case 0: return random(100);
    case 1: return -random(1e9);
    case 2: return random(1e6) / 1000;
    case 3: return Number.MAX_SAFE_INTEGER - random(1000);
    case 4: return (random(2 ** 31) / 2 ** 31 - 0.5) * 10 ** (random(60) - 30);
    default:
      bits.setUint32(0, random(2 ** 32));
      bits.setUint32(4, random(2 ** 32));
      return Number.isFinite(bits.getFloat64(0)) ? bits.getFloat64(0) : 1;
  }
}
function value(depth) {
  switch (random(depth > 5 ? 5 : 8)) {
    case 0: return pick([null, true, false]);
    case 1: case 2: return number();
    case 3: case 4: return string();
    case 5: return Array.from({ length: random(8) }, () => value(depth + 1));
    default: return Object.fromEntries(Array.from({ length: random(random(9) ? 7 : 60) }, () => [string(), value(depth + 1)]));
  }
}
const escaped = (text) => text.replace(/[\u007f-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
const document = () => {
  const text = JSON.stringify(value(0), null, pick([0, 0, 2, '\t']));
  return Buffer.from(random(3) ? text : escaped(text));
};
const pieces = ['"', '\\', '\\u', '\\ud83d\\ude00', '{', '}', '[', ']', ',', ':', '1e', '-', '0', '.', '1.5e-7', '12345678901234567890', ' ', '\n', '\r',
  '\f', 'true', 'nul', '"a":1,', '[[[', '\x00', '\x01', ...[[0x80], [0xe2, 0x82], [0xed, 0xa0, 0x80], [0xc0, 0xaf], [0xf4, 0x90, 0x80, 0x80]]];
function changed(text) {
  for (let i = 1 + random(3); i > 0; i--) {
    const at = random(text.length + 1), end = Math.min(text.length, at + random(6));
    const middle = random(3) ? Buffer.from(pick(pieces)) : Buffer.alloc(0);
    text = Buffer.concat([text.subarray(0, at), middle, text.subarray(random(3) ? at : end)]);
  }
  return text;
}

// What we read of the texts: undefined for a refusal.
function ours(texts) {
  const frames = texts.flatMap((text) => {
    const length = Buffer.alloc(4);
    length.writeUInt32LE(text.length);
    return [length, text];
  });
  const run = spawnSync(tool, { input: Buffer.concat(frames), maxBuffer: 2 ** 30 });
  assert.equal(run.status, 0, run.stderr);
  const lines = run.stdout.toString().split('\n').slice(0, -1);
  assert.equal(lines.length, texts.length);
  return lines;
}

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const half = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/;
const isRefusedOnPurpose = (v, depth = 0) => {
  if (typeof v === 'string') return half.test(v);
  if (typeof v === 'number') return !Number.isFinite(v);
  if (typeof v !== 'object' || v === null) return false;
  if (depth >= 64) return true;
  if (Array.isArray(v)) return v.some((item) => isRefusedOnPurpose(item, depth + 1));
  return Object.entries(v).some(([key, item]) => key.includes('\0') || half.test(key) || isRefusedOnPurpose(item, depth + 1));
};
function theirs(text) {
  let refused = false, read;
  try {
    // The last of equal keys hides the earlier ones from us, so what we refuse on purpose is looked for as it is read.
    read = JSON.parse(strict.decode(text), (key, v) => {
      refused ||= key.includes('\0') || half.test(key) || (typeof v !== 'object' && isRefusedOnPurpose(v));
      return Object.is(v, -0) ? 0 : v;
    });
  } catch {
    return { refused: true };
  }
  return { refused: refused || isRefusedOnPurpose(read), read };
}

function compare(texts) {
  const count = { read: 0, refused: 0 };
  ours(texts).forEach((line, i) => {
    const want = theirs(texts[i]), what = JSON.stringify(texts[i].toString('latin1')).slice(0, 500);
    assert.equal(line.startsWith('-') && / at line \d+ column \d+: /.test(line), want.refused, `${line.slice(0, 300)} for ${what}`);
    if (!want.refused) assert.deepStrictEqual(JSON.parse(line), want.read, what);
    count[want.refused ? 'refused' : 'read']++;
  });
  return count;
}

test('documents and changed documents are read and refused as JSON.parse does', () => {
  const documents = Array.from({ length: 1500 }, document);
  assert.equal(compare(documents).refused, 0);
  const small = documents.filter((d) => d.length < 2000);
  const count = compare(Array.from({ length: 12000 }, () => changed(pick(small))));
  assert.ok(count.read > 1000 && count.refused > 1000, JSON.stringify(count));
});

test('numbers of every shape are the doubles that JSON.parse reads', () => {
  const digits = (n) => Array.from({ length: n }, () => random(10)).join('');
  const texts = Array.from({ length: 30000 }, () => {
    let t = pick(['', '-']) + String(BigInt(digits(1 + random(22))));
    if (random(3)) t += `.${digits(1 + random(24))}`;
    if (random(2)) t += pick(['e', 'E']) + pick(['', '+', '-']) + random(random(4) ? 40 : 330);
    return t;
  });
  for (let i = 0; i < 5000; i++) { // the middle between two doubles, and a little more
    const middle = (2n ** 53n + BigInt(random(2 ** 32)) * 2n ** 20n) * 2n + 1n, shift = BigInt(random(40));
    const scaled = ((middle * 10n ** shift) >> shift).toString();
    const text = shift ? `${scaled.slice(0, -Number(shift)) || '0'}.${scaled.slice(-Number(shift)).padStart(Number(shift), '0')}` : `${scaled}.0`;
    texts.push(text, `${text}0000000000000000001`);
  }
  const read = ours(texts.map((t) => Buffer.from(t)));
  texts.forEach((t, i) => {
    const want = JSON.parse(t);
    if (Number.isFinite(want)) assert.ok(Number(read[i]) === want, t);
    else assert.match(read[i], /^-.*expected a number that a double can hold/);
  });
});

test('what is no JSON is refused', () => {
  const refused = ['', ' ', '[', ']', '{', '}', '[1', '[1,', '[1,]', '[,1]', '[1,,2]', '[1 2]', '{"a"', '{"a":', '{"a":1', '{"a":1,', '{"a":1,}', '{,}', '{a:1}',
    "{'a':1}", '{"a" 1}', '{1:1}', '{"a":1 "b":2}', '{"a"::1}', '{"a":1}}', '[1]]', '[1}', '{"a":1]', '1 2', '"a" "b"', 'nul', 'nulll', 'Null', 'TRUE', 'True',
    'undefined', 'NaN', 'Infinity', '-Infinity', '-', '+1', '01', '-01', '00', '1.', '.5', '-.5', '1e', '1e+', '1e-', '1.e1', '1e1.5', '0x10', '1_000', '1a', '--1',
    '"', '"a', '"\\', '"\\"', '"\\x41"', '"\\a"', '"\\u"', '"\\u12"', '"\\u12g4"', '"\\U0041"', '"a\nb"', '"a\tb"', '"\u0000"', '"\u001f"', "'a'", '`a`', '[1]//',
    '/**/1', '[1]#', '\ufeff1', '\ufeff{}', '\u00a01', '\f1', '\v1', '\u20281', '[\u00a01]', '(1)', '[1;2]', '{"a"=1}', '...', '\\u0031', '1\u0000', '\u00001'];
  const count = compare(refused.map((t) => Buffer.from(t)));
  assert.deepEqual(count, { read: 0, refused: refused.length });
  const onPurpose = ['"\\ud800"', '"\\udc00"', '"\\ud800\\ud800"', '"\\ud800x"', '{"\\ud800":1}', '{"a\\u0000":1}', '1e400', '-1e400', '1'.repeat(400),
    '['.repeat(65) + ']'.repeat(65), '{"a":'.repeat(65) + '1' + '}'.repeat(65), '['.repeat(100000)];
  ours(onPurpose.map((t) => Buffer.from(t))).forEach((line, i) => assert.match(line, /^-The JSON text is not valid at line 1 column \d+/, onPurpose[i]));
});

test('what is JSON is read', () => {
  const read = ['0', '-0', '1', '-1', '0.5', '-0.0', '1e5', '1E5', '1e+5', '1e-5', '0e0', '0e99999', '1e-99999', '10', '1.0', ' 1', '1 ', '\t\n\r 1\t\n\r ', 'true', 'false',
    'null', '""', '"a"', '[]', '{}', '[ ]', '{ }', '[[]]', '[{}]', '{"":""}', '{"a":{}}', '[1,2]', '[ 1 , 2 ]', '{ "a" : 1 , "b" : 2 }', '"\\"\\\\\\/\\b\\f\\n\\r\\t"',
    '"\\u0000"', '"\\u001f\\u0020\\u007f\\uffff\\uFFFE"', '"\\ud83d\\ude00"', '"\\uD83D\\uDE00"', '"\u007f"', '"\u0080\u07ff\u0800\uffff\u{10000}\u{10ffff}"', '"/"',
    '{"a":1,"a":2}', '{"a":1,"b":2,"a":3}', '{"__proto__":1}', '{"a":[],"a":{}}', '"\u2028\u2029"', '"\ufeff"', '9007199254740993', '18446744073709551615',
    '['.repeat(64) + ']'.repeat(64), '{"a":'.repeat(64) + '1' + '}'.repeat(64), `[${'1,'.repeat(9999)}1]`, `"${'x'.repeat(100000)}"`];
  const count = compare(read.map((t) => Buffer.from(t)));
  assert.deepEqual(count, { read: read.length, refused: 0 });
  assert.deepEqual(ours(['[9223372036854775807,-9223372036854775808,18446744073709551616]', '{"b":1,"a":2,"b":3}'].map((t) => Buffer.from(t))),
    ['[9223372036854775807,-9223372036854775808,1.8446744073709552e+19]', '{"b":3,"a":2}']);
});

test('no text makes the time grow faster than its length', () => {
  const time = (text) => {
    const started = process.hrtime.bigint();
    ours([Buffer.from(text)]);
    return Number(process.hrtime.bigint() - started) / 1e6;
  };
  const n = 1000000;
  const texts = [`{${Array.from({ length: 100000 }, (_, i) => `"key${i}":${i}`).join()}}`, `{${'"a":1,'.repeat(100000)}"b":2}`, `"${'\\u00e4'.repeat(n / 6)}`,
    `[${'0,'.repeat(200000)}0]`, '1'.repeat(n), `0.${'0'.repeat(n)}1e${n}`, '\n'.repeat(n), '['.repeat(n), `"${'é'.repeat(n)}"`, `1e${'9'.repeat(n)}`];
  for (const text of texts) assert.ok(time(text) < 2000, text.slice(0, 40));
});

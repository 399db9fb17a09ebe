// What leaves of private queries by a mask and by the forms of `delegate`, with the shipped pair, by string match
// (figures only, never a row). usage: node bench/pupa.mjs FOLDER [ROWS]   FOLDER has PUPA_New.csv or PUPA_New.csv.zst
//
// A row's units are the distinct private strings that stand in its query; leak = share of them that stand in anything that
// the upstream received, in small letters. The upstream records, and lets the shipped large model answer; a fixed
// sentence stands in where its context of 512 tokens is too short, so that it is the small one's that a row can fail for.
import { existsSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { request, startTandem } from '../tests/integration/lib.mjs';
import { pupaRows } from './labelled.mjs';

const [folder, most = '1000'] = process.argv.slice(2);
const file = ['PUPA_New.csv', 'PUPA_New.csv.zst'].map((f) => path.join(folder ?? '', f)).find(existsSync);
if (!folder || !file) {
  console.error('pupa: no data given: make bench-pupa DATA=FOLDER, a folder with PUPA_New.csv or PUPA_New.csv.zst');
  process.exit(2);
}
const wordsOf = (text) => text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
const all = pupaRows(file).slice(0, Number(most));
const rows = all.filter((r) => r.units.length);

// Clopper and Pearson's upper bound at 95 %.
function upper(k, n) {
  let low = k / n, high = 1;
  for (let i = 0; i < 60 && k < n; i++) {
    const q = (low + high) / 2;
    let term = n * Math.log1p(-q), sum = 0;
    for (let j = 0; j <= k; j++) {
      sum += Math.exp(term);
      term += Math.log((n - j) / (j + 1)) + Math.log(q) - Math.log1p(-q);
    }
    if (sum > 0.05) low = q;
    else high = q;
  }
  return high;
}

const sent = new Map(); // by session: the texts that left
const recorder = http.createServer((rq, rs) => {
  let body = '';
  rq.on('data', (d) => { body += d; });
  rq.on('end', async () => {
    const json = JSON.parse(body), [session, model] = json.model.split('/');
    sent.set(Number(session), [...(sent.get(Number(session)) ?? []), ...json.messages.map((m) => m.content)]);
    const a = await request(`${server.base}/chat/completions`, { method: 'POST', headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ ...json, model: 'large', stream: false, stream_options: undefined, max_tokens: 60 }) });
    const text = a.json?.choices?.[0]?.message?.content ?? 'No answer.';
    const event = (v) => rs.write(`data: ${typeof v === 'string' ? v : JSON.stringify(v)}\n\n`);
    rs.writeHead(200, { 'content-type': 'text/event-stream' });
    event({ id: 'x', object: 'chat.completion.chunk', created: 1, model, choices: [{ index: 0, delta: { role: 'assistant', content: text }, finish_reason: 'stop' }] });
    event('[DONE]');
    rs.end();
  });
});
await new Promise((resolve) => recorder.listen(0, '127.0.0.1', resolve));
const forms = ['mask', 'sketch', 'rewrite', 'keywords', 'examples', 'relevant', 'chat', 'jobs'];
const lanes = [0, 1]; // requests at a time: each has models of its own, whose upstream's name says which
const server = await startTandem(`
models:
  small: {kind: local, path: "embedded:small", cache_type: f32}
  large: {kind: local, path: "embedded:large", cache_type: f32}
${lanes.map((lane) => `
  mask${lane}: {kind: mask, level: 3, detect: [rules, tagger], inner: {kind: remote, url: "http://127.0.0.1:${recorder.address().port}/v1", model: "${lane}/large", breaker: no}}
${forms.slice(1).map((f) => `  ${f}${lane}: {kind: delegate, small: small, large: mask${lane}, form: ${f}, level: 3, tokens: 60}`).join('\n')}`).join('\n')}
`);

async function ask(form, lane, row) {
  sent.delete(lane);
  const { status, json } = await request(`${server.base}/chat/completions`, { method: 'POST', headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: `${form}${lane}`, max_tokens: 40, temperature: 0, messages: [{ role: 'user', content: row.query }] }) });
  const texts = sent.get(lane) ?? [], left = texts.join('\n').toLowerCase(), choice = json?.tandem?.decisions?.find((d) => d.kind === 'delegate')?.choice;
  const inUnit = new Set(row.units.flatMap(wordsOf)), open = wordsOf(row.query).filter((w) => !inUnit.has(w));
  const there = new Set(wordsOf(left));
  return { failed: status !== 200, code: json?.error?.code ?? '', wasSent: texts.length > 0, home: choice === 'local',
    leak: row.units.filter((u) => left.includes(u)).length / row.units.length,
    anyWord: row.units.filter((u) => wordsOf(u).some((w) => there.has(w))).length / row.units.length,
    kept: open.length ? open.filter((w) => there.has(w)).length / open.length : NaN };
}

const mean = (list) => list.reduce((a, b) => a + b, 0) / list.length;
const percent = (x) => (Number.isNaN(x) ? '-' : `${(100 * x).toFixed(1)} %`);
console.log(`${rows.length} rows with a unit of ${all.length}; what failed counts as leaked`);
console.log('| | answered | of these asked outside | mean leak | any word | rows with a leak | at most (95 %) | leak where asked | other words that left |');
console.log('| --- | --- | --- | --- | --- | --- | --- | --- | --- |');
for (const form of forms) {
  const got = [];
  let next = 0;
  await Promise.all(lanes.map(async (lane) => {
    while (next < rows.length) {
      const row = rows[next++];
      got.push(await ask(form, lane, row));
    }
  }));
  const answered = got.filter((g) => !g.failed), asked = answered.filter((g) => g.wasSent), leaks = got.map((g) => (g.failed ? 1 : g.leak));
  const n = leaks.filter((l) => l > 0).length;
  console.log(`| ${form} | ${percent(answered.length / got.length)} | ${percent(asked.length / answered.length)} | ${percent(mean(leaks))} `
    + `| ${percent(mean(got.map((g) => (g.failed ? 1 : g.anyWord))))} | ${percent(n / got.length)} | ${percent(upper(n, got.length))} `
    + `| ${percent(mean(asked.map((g) => g.leak)))} | ${percent(mean(asked.map((g) => g.kept).filter((k) => !Number.isNaN(k))))} |`);
  const codes = {};
  for (const g of got) if (g.failed) codes[g.code] = (codes[g.code] ?? 0) + 1;
  if (Object.keys(codes).length) console.error(`${form}: ${JSON.stringify(codes)}`);
}
await server.stop();
recorder.close();

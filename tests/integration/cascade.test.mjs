// The cascade through the server: tiers, gates, sentences that stream before the answer is over, and a large model that is
// down, slow or too dear. The small models are scripts; the large one is an upstream over HTTP where its failures matter.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import test, { after, before } from 'node:test';
import { chatStream, startTandem, streamedText, user } from './lib.mjs';
import { jsonAnswer, startUpstream, wholeStream } from './upstream.mjs';

const sure = (text, at = text.length) => [...text].map((_, i) => (i < at ? -0.01 : -5));
const rains = 'It rains. It pours.';
const files = {
  'sure.json': JSON.stringify([
    { match: 'unsure', answer: rains, logprobs: sure(rains, 9), chunk: 1 },
    { match: 'slowly', answer: rains, logprobs: -0.01, chunk: 1, delay_ms: 20 },
    { answer: 'It is 41.', logprobs: -5 }]),
  'right.json': JSON.stringify([{ answer: 'def f', logprobs: -0.01 }]),
};

let upstream, server;
before(async () => {
  upstream = await startUpstream((rq) => {
    if (rq.json.model === 'down') return jsonAnswer('503 Busy', {});
    if (rq.json.model === 'thinks') return { pieces: wholeStream([rq.json.temperature ? 'It is 7.' : 'It is 8.']), delay: 25 };
    if (rq.json.model === 'slow') return { pieces: wholeStream(['late']), delay: 3000 };
    return undefined;
  });
  const remote = (model) => `{kind: remote, url: "${upstream.url}", model: ${model}, breaker: no, price: {in: 0, out: 1000}}`;
  const pair = (large, more) => `{kind: cascade, small: unsure, large: ${large}, gate: logprob, threshold: -1${more ?? ''}}`;
  server = await startTandem(`
models:
  unsure: {kind: script, file: sure.json}
  middle: {kind: script, answers: ["42", "The answer is 42.", "7"], logprob: -3}
  b: {kind: script, answers: ["so 42"]}
  c: {kind: script, answers: ["7"]}
  code: {kind: script, file: right.json}
  last: {kind: script, answers: [" And so on."], record: last.jsonl}
  big: ${remote('big')}
  thinks: ${remote('thinks')}
  votes_beside: {kind: cascade, small: thinks, large: last, gate: vote, how: number, samples: 5, parallel: 5}
  votes_in_turn: {kind: cascade, small: thinks, large: last, gate: vote, how: number, samples: 5, parallel: 1}
  down: ${remote('down')}
  slow: ${remote('slow')}
  purse: {kind: budget, inner: big, calls: 1, window: total}
  three: {kind: cascade, models: [unsure, middle, last], voters: [b, c], gate: [logprob, vote], threshold: [-1, 0.6], how: number}
  sentences: {kind: cascade, small: unsure, large: last, gate: logprob, threshold: -1, hold: sentence}
  drafts: ${pair('last', ', hand_over: yes')}
  refuse: ${pair('down')}
  keep: ${pair('down', ', otherwise: keep')}
  hurry: ${pair('slow', ', otherwise: keep, wait_ms: 50')}
  poor: ${pair('purse', ', otherwise: keep')}
  bounded: ${pair('big', ', otherwise: keep, escalations: 2, window: total')}
  latched: ${pair('last', ', latch: 1, confirmations: 2')}
  unit: {kind: cascade, small: code, large: last, gate: check, command: [/bin/grep, -q, "^def f"]}
  audited: {kind: cascade, small: code, large: last, gate: check, pattern: "f", audit: 1, how: text}
`, { files });
});
after(async () => {
  await server.stop();
  await upstream.close();
});
const ask = async (model, text = 'six times seven', more = {}) => {
  const { status, json } = await server.chat({ model, messages: user(text), ...more });
  return { status, text: json.choices?.[0].message.content, rows: json.tandem?.decisions, calls: json.tandem?.calls,
    warnings: json.tandem?.warnings?.map((w) => w.code), error: json.error };
};

test('three models, a gate each: the receipt tells every score and choice', async () => {
  const { text, rows, calls } = await ask('three');
  assert.equal(text, '42');
  assert.deepEqual(rows.map((r) => [r.choice, r.signal, r.threshold]), [['escalate', 'logprob', -1], ['keep', 'vote', 0.6]]);
  assert.ok(Math.abs(rows[0].score + 5) < 1e-9 && Math.abs(rows[1].score - 2 / 3) < 1e-9);
  assert.equal(rows[1].detail, 'middle: 2 of 3, groups 2 1');
  assert.deepEqual(calls.map((c) => [c.model, c.status]), [['unsure', 'discarded'], ['middle', 'ok'], ['b', 'ok'], ['c', 'ok']]);
});

test('accepted sentences stream before the answer is over, and the large model continues behind what was shown', async () => {
  const started = performance.now();
  const first = await new Promise((resolve, reject) => {
    fetch(`${server.base}/chat/completions`, { method: 'POST', headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'sentences', stream: true, messages: user('slowly') }) }).then(async (answer) => {
      let at, text = '';
      for await (const part of answer.body) {
        text += Buffer.from(part).toString();
        if (!at && text.includes('"content":"I"')) at = performance.now() - started;
      }
      resolve({ at, over: performance.now() - started, text });
    }, reject);
  });
  assert.ok(first.at < first.over - 100, `first words after ${first.at} ms of ${first.over} ms`);
  const { events } = await chatStream(server, { model: 'sentences', messages: user('unsure') });
  assert.equal(streamedText(events), 'It rains. And so on.');
  const { text, rows } = await ask('sentences', 'unsure');
  assert.equal(text, 'It rains. And so on.');
  assert.equal(rows[0].detail, '1 sentences out');
});

test('a draft that was not kept is shown to the large model', async () => {
  await ask('drafts');
  const lines = readFileSync(path.join(server.dir, 'last.jsonl'), 'utf8').trim().split('\n').map((l) => JSON.parse(l));
  assert.match(lines.at(-1).messages.at(-1).content, /^six times seven\n\nA first draft of the answer, which may be wrong:\nIt is 41\.$/);
});

test('a large model that is down, slow or spent: its error, or the small answer with a warning', async () => {
  const refused = await ask('refuse');
  assert.ok(refused.status >= 500 && refused.error.message, JSON.stringify(refused));
  for (const model of ['keep', 'hurry']) {
    const started = performance.now(), kept = await ask(model);
    assert.deepEqual([kept.status, kept.text, kept.warnings], [200, 'It is 41.', ['not_escalated']]);
    assert.equal(kept.rows.at(-1).signal, 'otherwise');
    if (model === 'hurry') assert.equal(kept.rows.at(-1).detail, 'upstream_timeout');
    assert.ok(performance.now() - started < 2500);
  }
  assert.notEqual((await ask('poor')).text, 'It is 41.');
  const spent = await ask('poor');
  assert.deepEqual([spent.status, spent.text, spent.warnings], [200, 'It is 41.', ['not_escalated']]);
});

test('S83 prompts that escalate always spend the escalations of their tenant and no more', async () => {
  const before_ = upstream.requests.length, answers = [];
  for (let i = 0; i < 6; i++) answers.push(await ask('bounded', `hard ${i}`));
  assert.equal(upstream.requests.length - before_, 2);
  assert.deepEqual(answers.slice(2).map((a) => a.text), Array(4).fill('It is 41.'));
  assert.ok(answers.at(-1).warnings.includes('escalations_spent'));
  assert.match(server.stderr, /cascade\.escalations_spent/);
});

test('S84 kept answers are held against the large model, and a difference is counted', async () => {
  const { text, rows } = await ask('audited');
  assert.equal(text, 'def f');
  assert.deepEqual(rows.map((r) => [r.choice, r.signal]), [['keep', 'check'], ['differs', 'audit']]);
  const metrics = await (await fetch(`${server.origin}/metrics`)).text();
  assert.match(metrics, /tandem_decisions_total\{strategy="audited",choice="differs"\} 1/);
});

test('a conversation stays with the large model until the small one is sure again, twice', async () => {
  const session = (name, text) => ask('latched', text, { tandem: { session: name } });
  assert.equal((await session('s', 'hard')).text, ' And so on.');
  const confirmed = await session('s', 'slowly');
  assert.equal(confirmed.text, ' And so on.');
  assert.deepEqual([confirmed.rows.at(-1).signal, confirmed.rows.at(-1).score], ['latch', 1]);
  assert.equal((await session('other', 'slowly')).text, rains);
  assert.equal((await session('s', 'slowly')).text, rains);
});

test('a command of the settings checks an answer', async () => {
  const { text, rows } = await ask('unit');
  assert.equal(text, 'def f');
  assert.equal(rows[0].signal, 'check');
});

test('draws are asked for beside each other, and what comes of them is the same as in turn', async () => {
  const seen = {};
  for (const model of ['votes_beside', 'votes_in_turn']) {
    const started = performance.now();
    const { json } = await server.chat({ model, messages: user('what is it?') });
    const { content } = json.choices[0].message, [row] = json.tandem.decisions;
    seen[model] = { ms: performance.now() - started, content, choice: row.choice, detail: row.detail,
      calls: json.tandem.calls.map((c) => [c.model, c.purpose, c.status, c.prompt_tokens, c.completion_tokens]) };
  }
  const { votes_beside: beside, votes_in_turn: turn } = seen;
  assert.ok(beside.ms < turn.ms / 1.8, `${beside.ms} ms beside each other, ${turn.ms} ms in turn`);
  for (const what of ['content', 'choice', 'detail', 'calls']) assert.deepEqual(beside[what], turn[what]);
  assert.equal(beside.content, 'It is 7.');
  assert.equal(beside.calls.length, 6);
});

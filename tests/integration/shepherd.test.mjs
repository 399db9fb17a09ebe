// Shepherding through the server: the large model writes a beginning, a sketch or a skeleton, the small one the rest. With
// the shipped pair where texts are compared; with scripts and an upstream where the large one is down, slow or wrong.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import test, { after, before } from 'node:test';
import { chatStream, startTandem, streamedText, tandem, tempDir, user, weights, withoutPair as skip, writeTemp } from './lib.mjs';
import { jsonAnswer, startUpstream, wholeStream } from './upstream.mjs';

const question = 'Sort ascending: 5 1 8 3 6 2 9 4 7';
const plan = '1. Hens\n2. Ducks and geese\n3. Owls';
const files = {
  'lays.json': JSON.stringify([
    { match: 'words: "Hens"', answer: 'They lay.', delay_ms: 60 },
    { match: 'words: "Ducks and geese"', answer: 'They swim.', delay_ms: 5 },
    { match: 'words: "Owls"', answer: 'They hoot.' },
    { answer: 'Birds fly.', logprobs: -0.2 }]),
};
let upstream, server, pair;
before(async () => {
  upstream = await startUpstream((rq) => {
    const { model } = rq.json;
    if (model === 'down') return jsonAnswer('503 Busy', {});
    if (model === 'slow') return { pieces: wholeStream(['late']), delay: 3000 };
    if (model === 'wrong') return { pieces: wholeStream(['I ', 'do not ', 'make ', 'lists.']) };
    if (model === 'plan') return { pieces: wholeStream([plan]) };
    return { pieces: wholeStream([' and', ' so on.']) };
  });
  const remote = (model) => `{kind: remote, url: "${upstream.url}", model: ${model}, breaker: no, price: {in: 0, out: 1000}}`;
  server = await startTandem(`
models:
  birds: {kind: script, file: lays.json}
  begins: {kind: script, answers: ["Once upon a time there was a bird"], record: begins.jsonl}
  goes: {kind: script, answers: [" that flew."], record: goes.jsonl}
  over: ${remote('over')}
  down: ${remote('down')}
  slow: ${remote('slow')}
  wrong: ${remote('wrong')}
  plan: ${remote('plan')}
  prefix: {kind: shepherd, small: goes, large: begins, tokens: 3}
  away: {kind: shepherd, small: over, large: begins, tokens: 3}
  lost: {kind: shepherd, small: birds, large: down, tokens: 3}
  late: {kind: shepherd, small: birds, large: slow, tokens: 3, wait_ms: 60}
  list: {kind: shepherd, small: birds, large: plan, part: skeleton, tokens: 60}
  serial: {kind: shepherd, small: birds, large: plan, part: skeleton, tokens: 60, parallel: 1}
  made: {kind: shepherd, small: birds, large: plan, part: sketch, tokens: 60}
  unlisted: {kind: shepherd, small: birds, large: wrong, part: skeleton, tokens: 60}
  unplanned: {kind: shepherd, small: birds, large: down, part: sketch}
  helpless: {kind: shepherd, small: down, large: plan, part: skeleton, tokens: 60}
  sure: {kind: shepherd, small: birds, large: down, gate: logprob, threshold: -0.3}
`, { files });
  if (skip) return;
  pair = await startTandem(`
models:
  small: {kind: local, path: "embedded:small", cache_type: f32, price: {in: 0.1, out: 0.4}}
  large: {kind: local, path: "embedded:large", cache_type: f32, price: {in: 2.5, out: 10}}
  none: {kind: shepherd, small: small, large: large, tokens: 0}
  some: {kind: shepherd, small: small, large: large, tokens: 6}
  share: {kind: shepherd, small: small, large: large, gate: logprob, threshold: 0, share: 0.5}
  all: {kind: shepherd, small: small, large: large, share: 1}
  long: {kind: shepherd, small: small, large: large, tokens: 200}
`);
});
after(async () => {
  await server.stop();
  await pair?.stop();
  await upstream.close();
});
const ask = async (model, { to = server, text = 'Tell me', ...more } = {}) => {
  const { status, json } = await to.chat({ model, messages: user(text), ...more });
  return { status, text: json.choices?.[0].message.content, rows: json.tandem?.decisions, calls: json.tandem?.calls, json,
    warnings: json.tandem?.warnings?.map((w) => [w.code, w.param]) };
};

test('no hint is the small model, a hint as long as the answer the large one, sampled too', { skip }, async () => {
  for (const temperature of [0, 0.9])
    for (const seed of [1, 2, 3]) {
      const [small, none, large, all, long] = await Promise.all(['small', 'none', 'large', 'all', 'long']
        .map((model) => ask(model, { to: pair, text: question, temperature, seed, max_tokens: 60 })));
      assert.equal(none.text, small.text);
      assert.equal(all.text, large.text);
      assert.equal(long.text, large.text);
      assert.deepEqual(none.calls.map((c) => c.model), ['small']);
      assert.deepEqual(long.calls.map((c) => c.model), ['large']);
    }
});

test('the text is the hint and its completion, every piece has its author, and the receipt prices it', { skip }, async () => {
  const body = { messages: user(question), temperature: 0, max_tokens: 60 };
  const hint = (await ask('large', { to: pair, text: question, temperature: 0, max_tokens: 6 })).text;
  const rest = (await pair.chat({ model: 'small', ...body, messages: [...user(question), { role: 'assistant', content: hint }] })).json;
  const some = await ask('some', { to: pair, text: question, temperature: 0, max_tokens: 60 });
  assert.equal(some.text, hint + rest.choices[0].message.content);
  const { events } = await chatStream(pair, { model: 'some', ...body, tandem: { trace: true }, logprobs: true });
  const by = { small: '', large: '' };
  for (const e of events) for (const c of e.choices ?? []) if (c.delta?.content) by[e.tandem.author] += c.delta.content;
  assert.deepEqual(by, { large: hint, small: rest.choices[0].message.content });
  assert.equal(streamedText(events), some.text);
  const [small, large] = ['small', 'large'].map((m) => some.calls.find((c) => c.model === m));
  assert.equal(large.completion_tokens, 6);
  assert.equal(some.json.usage.completion_tokens, 6 + small.completion_tokens);
  assert.equal(some.json.model, 'some');
  assert.match(some.rows[0].detail, new RegExp('^large wrote 6 tokens \\(6 wanted of 32 expected\\), share 0\\.\\d+; cost \\S+, large alone \\S+$'));
  const shared = await ask('share', { to: pair, text: question, temperature: 0 });
  const draft = shared.calls[0].completion_tokens;
  assert.deepEqual([shared.calls[0].status, shared.rows[0].signal], ['discarded', 'logprob']);
  assert.match(shared.rows[0].detail, new RegExp(`\\(${Math.ceil(draft / 2)} wanted of ${draft} expected\\)`));
});

test('stop strings hold across the seam', { skip }, async () => {
  const whole = (await ask('some', { to: pair, text: question, temperature: 0 })).text;
  for (let at = 1; at + 4 < whole.length; at += 2) {
    const stop = whole.slice(at, at + 4);
    const cut = await ask('some', { to: pair, text: question, temperature: 0, stop });
    assert.equal(cut.text, whole.slice(0, whole.indexOf(stop)), JSON.stringify(stop));
    assert.equal(cut.json.choices[0].finish_reason, 'stop');
  }
});

test('a model in this process continues the turn, one elsewhere gets the beginning quoted', async () => {
  const here = await ask('prefix');
  const turns = JSON.parse(readFileSync(path.join(server.dir, 'goes.jsonl'), 'utf8').trim().split('\n').at(-1)).messages;
  assert.deepEqual(turns.map((m) => m.role), ['user', 'assistant']);
  assert.equal(here.text, `${turns[1].content} that flew.`);
  const away = await ask('away');
  assert.equal(away.text, `${turns[1].content} and so on.`);
  const sent = upstream.requests.at(-1).json.messages;
  assert.deepEqual(sent.map((m) => m.role), ['user']);
  assert.ok(sent[0].content.includes(`\n${JSON.stringify(turns[1].content)}\nContinue exactly where it ends`));
});

test('points are written beside each other and go out in their order; how many at a time changes nothing', async () => {
  const text = '1. Hens\nThey lay.\n\n2. Ducks and geese\nThey swim.\n\n3. Owls\nThey hoot.';
  const [list, serial] = [await ask('list'), await ask('serial')];
  assert.equal(list.text, text);
  assert.equal(serial.text, text);
  assert.deepEqual(list.calls.map((c) => [c.model, c.purpose]), [['plan', 'plan'], ['birds', 'answer'], ['birds', 'answer'], ['birds', 'answer']]);
  assert.equal(list.rows[0].choice, 'skeleton');
  assert.equal((await ask('made')).text, 'They lay.\n\nThey swim.\n\nThey hoot.');
});

test('F large model down: the small one answers alone, with a warning; a sure one is not even helped', async () => {
  for (const model of ['lost', 'unplanned']) {
    const a = await ask(model);
    assert.deepEqual([a.status, a.text, a.rows[0].choice], [200, 'Birds fly.', 'birds']);
    assert.deepEqual(a.warnings, [['model_out', 'down']]);
    assert.match(a.rows[0].detail, /^large failed: /);
  }
  const sure = await ask('sure');
  assert.deepEqual([sure.text, sure.rows[0].choice, sure.rows[0].signal], ['Birds fly.', 'birds', 'logprob']);
  assert.deepEqual(sure.warnings, []);
});

test('F large model slow: nobody waits longer than wait_ms', async () => {
  const started = performance.now();
  const a = await ask('late');
  assert.ok(performance.now() - started < 1500);
  assert.deepEqual([a.text, a.warnings], ['Birds fly.', [['model_out', 'slow']]]);
});

test('F large model wrong: what is no plan is not gone by', async () => {
  const a = await ask('unlisted');
  assert.deepEqual([a.text, a.rows[0].choice], ['Birds fly.', 'birds']);
  assert.match(a.rows[0].detail, /^no points: large wrote \d+ tokens/);
});

test('F small model down: the large one writes its points', async () => {
  const a = await ask('helpless');
  assert.equal(a.status, 200);
  assert.ok(a.text.startsWith(`1. Hens\n${plan}\n\n2. Ducks`));
  assert.deepEqual(a.warnings, [['model_out', 'down']]);
});

test('states: a projection is fitted, the large model reads and the small one writes; zeros are the small one alone', { skip }, async () => {
  const dir = tempDir(), at = (name) => path.join(dir, name);
  const fit = (name, ...more) => tandem(['fit-states', '--small', weights('small'), '--large', weights('large'), '--data', at('data.jsonl'),
    '--valid', at('data.jsonl'), '--out', at(name), '--hidden', '32', '--batch-tokens', '512', ...more]);
  assert.equal(tandem(['gym', '--split', 'train', '--seed', '5', '--n', '200', '--out', at('data.jsonl')]).status, 0);
  for (const done of [fit('zero.gguf', '--steps', '1', '--lr', '0'),
    fit('some.gguf', '--steps', '20', '--lr', '0.05', '--warmup', '1', '--layers', '3', '--checkpoint', at('state'))]) {
    assert.equal(done.status, 0, done.stderr);
    assert.match(done.stderr, /states\.valid step=0 states=no loss=\d\.\d+ exact=0\.\d+ answers=\d+/);
  }
  const made = await startTandem(`
models:
  small: {kind: local, path: "embedded:small", cache_type: f32, price: {in: 0.1, out: 0.4}}
  large: {kind: local, path: "embedded:large", cache_type: f32, price: {in: 2.5, out: 10}}
  zero: {kind: shepherd, small: small, large: large, part: states, projection: "${at('zero.gguf')}"}
  some: {kind: shepherd, small: small, large: large, part: states, projection: "${at('some.gguf')}"}
`);
  for (const temperature of [0, 0.9]) {
    const [small, zero] = await Promise.all(['small', 'zero']
      .map((model) => ask(model, { to: made, text: question, temperature, seed: 4, max_tokens: 60 })));
    assert.equal(zero.text, small.text);
    assert.equal(zero.json.usage.completion_tokens, small.json.usage.completion_tokens);
  }
  const some = await ask('some', { to: made, text: question, temperature: 0, max_tokens: 60 });
  assert.deepEqual(some.calls.map((c) => [c.model, c.purpose, c.status]), [['large', 'states', 'ok'], ['small', 'answer', 'ok']]);
  assert.equal(some.calls[0].completion_tokens, 0);
  assert.equal(some.calls[0].prompt_tokens, some.json.usage.prompt_tokens);
  assert.ok(Math.abs(some.calls[0].cost - some.calls[0].prompt_tokens * 2.5e-6) < 1e-12);
  assert.equal(some.rows[0].choice, 'states');
  assert.match(some.rows[0].detail, /^large read \d+ tokens; large wrote 0 tokens \(none wanted\), share 0\.000; cost \S+, large alone \S+$/);
  const { events } = await chatStream(made, { model: 'some', messages: user(question), temperature: 0, max_tokens: 60, tandem: { trace: true } });
  assert.equal(streamedText(events), some.text);
  for (const e of events) for (const c of e.choices ?? []) if (c.delta?.content) assert.equal(e.tandem.author, 'small');
  await made.stop();
  const swapped = tandem(['ask', '--model', 'herd', '--config', writeTemp('swapped.yaml', `models:
  small: {kind: local, path: "embedded:small"}
  large: {kind: local, path: "embedded:large"}
  herd: {kind: shepherd, small: large, large: small, part: states, projection: "${at('some.gguf')}"}
`), 'Hello']);
  assert.notEqual(swapped.status, 0);
  assert.match(swapped.stderr + swapped.stdout, /some\.gguf was made for another model than large: for the weights sha256:\w+, not sha256:\w+/);
});

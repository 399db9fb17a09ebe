// Deferral through the server: two models write one answer, every piece names who wrote it, the receipt counts it, and the
// large model's absence is survived.
import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import { chatStream, startTandem, streamedText, user, withoutPair as skip } from './lib.mjs';

const question = 'Sort ascending: 52 11 87 35 60';
let server;
before(async () => {
  if (skip) return;
  server = await startTandem(`
models:
  small: {kind: local, path: "embedded:small", cache_type: f32, price: {in: 0.1, out: 0.4}}
  large: {kind: local, path: "embedded:large", cache_type: f32, price: {in: 2.5, out: 10}}
  narrow: {kind: local, path: "embedded:large", cache_type: f32, context: 8}
  tight: {kind: local, path: "embedded:large", cache_type: f32, context: 32}
  token: {kind: defer, small: small, large: large, threshold: 0.01}
  span: {kind: defer, small: small, large: large, threshold: 0.01, unit: span, stay: 2}
  step: {kind: defer, small: small, large: large, threshold: 0.1, unit: step, max_step_tokens: 3}
  never: {kind: defer, small: small, large: large, threshold: 1000}
  always: {kind: defer, small: small, large: large, threshold: -1}
  lonely: {kind: defer, small: small, large: narrow, threshold: 0.01}
  led: {kind: defer, small: narrow, large: large}
  leaving: {kind: defer, small: small, large: tight, threshold: 0.01}
`);
});
after(() => server?.stop());
const ask = async (model, more = {}) => {
  const { status, json } = await server.chat({ model, messages: user(question), temperature: 0, max_tokens: 40, ...more });
  assert.equal(status, 200, JSON.stringify(json));
  return json;
};
const said = (json) => json.choices[0].message.content;
const written = (json) => Object.fromEntries(json.tandem.calls.map((c) => [c.model, c.completion_tokens]));

test('demand_45 the large model is asked for uncertain tokens only, and who wrote each is told', { skip }, async () => {
  for (const model of ['token', 'span', 'step']) {
    const whole = await ask(model);
    const { small, large } = written(whole);
    assert.equal(small + large, whole.usage.completion_tokens, model);
    const { events } = await chatStream(server, { model, messages: user(question), temperature: 0, max_tokens: 40, logprobs: true,
      tandem: { trace: true } });
    assert.equal(streamedText(events), said(whole), model);
    const by = { small: 0, large: 0 };
    for (const e of events)
      for (const choice of e.choices ?? []) {
        if (!choice.delta?.content) continue;
        by[e.tandem.author] += choice.logprobs.content.length;
        for (const token of choice.logprobs.content) assert.ok(token.logprob <= 0);
      }
    assert.deepEqual(by, { small, large }, model);
    const decision = whole.tandem.decisions[0];
    assert.deepEqual([decision.kind, decision.signal], ['defer', model === 'step' ? 'surprise' : 'entropy']);
    assert.match(decision.detail, new RegExp(`^large wrote ${large} of ${small + large} tokens`));
  }
  const { small, large } = written(await ask('token'));
  assert.ok(small > 0 && large > 0, `both write: ${small} and ${large}`);
});

test('a threshold that is never reached is the small model, one that always is the large one', { skip }, async () => {
  for (const temperature of [0, 0.9])
    for (const seed of [1, 2, 3]) {
      const [small, never, large, always] = await Promise.all(['small', 'never', 'large', 'always']
        .map((model) => ask(model, { temperature, seed, n: 2 })));
      const texts = (json) => json.choices.map((c) => c.message.content);
      assert.deepEqual(texts(never), texts(small));
      assert.deepEqual(texts(always), texts(large));
      assert.ok(never.tandem.calls.every((c) => c.model === 'small'));
    }
});

test('demand_45 who is absent, from the beginning or from the middle on, is replaced by the other, with a warning', { skip }, async () => {
  const lonely = await ask('lonely');
  assert.equal(said(lonely), said(await ask('small')));
  assert.deepEqual(lonely.tandem.warnings.map((w) => [w.code, w.param]), [['model_out', 'narrow']]);
  assert.deepEqual(lonely.tandem.calls.map((c) => [c.model, c.status]), [['small', 'ok'], ['narrow', 'failed']]);
  const led = await ask('led');
  assert.equal(said(led), said(await ask('large')));
  assert.deepEqual(led.tandem.warnings.map((w) => w.param), ['narrow']);
  const leaving = await ask('leaving', { messages: user('Sort ascending: 5 1 8 3 6 2 9 4 7') });
  assert.deepEqual(leaving.tandem.warnings.map((w) => [w.code, w.param]), [['model_out', 'tight']]);
  assert.equal(leaving.choices[0].finish_reason, 'stop');
});

test('stop strings and forms hold where two models write', { skip }, async () => {
  const free = said(await ask('token'));
  const stop = free.slice(3, 6);
  assert.equal(said(await ask('token', { stop })), free.slice(0, free.indexOf(stop)));
  const schema = { type: 'object', required: ['first', 'last'], properties: { first: { type: 'integer' }, last: { type: 'integer' } } };
  for (const model of ['token', 'span', 'step']) {
    const json = await ask(model, { response_format: { type: 'json_schema', json_schema: { name: 'x', strict: true, schema } } });
    if (json.choices[0].finish_reason === 'stop') assert.deepEqual(Object.keys(JSON.parse(said(json))), ['first', 'last'], model);
    else assert.match(said(json), /^\s*\{/);
  }
});

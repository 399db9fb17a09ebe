// What happens when the large model is down, slow, breaks off or is wrong, for every kind that saves its calls: one table.
// Kinds of text have an upstream over HTTP as the large model; kinds of tokens a local one that cannot take part.
import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import { chatStream, startTandem, streamedText, user, withoutPair } from './lib.mjs';
import { chunk, delta, jsonAnswer, startUpstream, wholeStream } from './upstream.mjs';

let upstream, server;
before(async () => {
  upstream = await startUpstream((rq) => {
    if (rq.json.model === 'down') return jsonAnswer('503 Busy', {});
    if (rq.json.model === 'slow') return { pieces: wholeStream(['too ', 'late']), delay: 3000 };
    if (rq.json.model === 'broken') return { pieces: [...wholeStream([]).slice(0, 2), chunk(delta({ content: 'half an' }))], cut: true };
    return wholeStream(['It is ', '43.']); // wrong
  });
  const faults = ['down', 'slow', 'broken', 'wrong'];
  const large = (fault) => `{kind: remote, url: "${upstream.url}", model: ${fault}, breaker: no}`;
  const of = (name, row) => faults.map((fault) => `  ${name}_${fault}: ${row(fault)}`).join('\n');
  server = await startTandem(`
models:
  s: {kind: script, answers: ["It is 42."], logprob: -5}
  sure: {kind: script, answers: ["It is 42."], logprob: -0.01}
${faults.map((f) => `  ${f}: ${large(f)}\n  quick_${f}: {kind: deadline, inner: ${f}, first_ms: 300, ms: 2000}`).join('\n')}
${of('route', (f) => `{kind: route, small: s, large: quick_${f}, scorer: length, threshold: -1}`)}
${of('routed_back', (f) => `{kind: fallback, models: [route_${f}, s], on: [5xx, upstream_timeout]}`)}
${of('cascade', (f) => `{kind: cascade, small: s, large: quick_${f}, gate: logprob, threshold: -1}`)}
${of('cascade_keep', (f) => `{kind: cascade, small: s, large: ${f}, gate: logprob, threshold: -1, otherwise: keep, wait_ms: 300}`)}
${of('audited', (f) => `{kind: cascade, small: sure, large: quick_${f}, gate: logprob, threshold: -1, audit: 1, how: number}`)}
${of('audited_route', (f) => `{kind: route, small: s, large: quick_${f}, scorer: length, threshold: -1000, audit: 1}`)}
${of('shepherd', (f) => `{kind: shepherd, small: s, large: ${f}, tokens: 4, wait_ms: 300}`)}
${of('shepherd_skeleton', (f) => `{kind: shepherd, small: s, large: ${f}, part: skeleton, wait_ms: 300}`)}
${of('choose', (f) => `{kind: choose, arms: [quick_${f}, s]}`)}
${withoutPair ? '' : `
  tiny: {kind: local, path: "embedded:small", cache_type: f32}
  big: {kind: local, path: "embedded:large", cache_type: f32}
  blind: {kind: local, path: "embedded:large", cache_type: f32, context: 8}
  defer_down: {kind: defer, small: tiny, large: blind, threshold: 0.01}
  defer_wrong: {kind: defer, small: big, large: tiny, threshold: 0.01}
  exact_wrong: {kind: speculate, draft: tiny, target: big, gamma: 4, adaptive: no}
  exact_down: {kind: speculate, draft: tiny, target: blind, gamma: 4}
  defer: {kind: defer, small: tiny, large: big, threshold: 0.01}
  exact: {kind: speculate, draft: tiny, target: big, gamma: 4, adaptive: no}
  defer_slow: {kind: deadline, inner: defer, ms: 12}
  exact_slow: {kind: deadline, inner: exact, ms: 12}`}
`);
});
after(async () => {
  await server.stop();
  await upstream.close();
});

const ask = async (model, content = 'six times seven', more = {}) => {
  const started = performance.now();
  const { status, json } = await server.chat({ model, messages: user(content), ...more });
  return { status, said: json.choices?.[0].message.content, error: json.error?.code, ms: performance.now() - started,
    warnings: json.tandem?.warnings?.map((w) => w.code) ?? [], rows: json.tandem?.decisions, calls: json.tandem?.calls };
};

// kind, fault: what the client gets; a text, or the code of an error. warns: a warning in the receipt.
const small = 'It is 42.', wrong = 'It is 43.';
const table = [
  ['route', { down: 'upstream_error', slow: 'upstream_timeout', broken: 'upstream_error', wrong }],
  ['routed_back', { down: small, slow: small, broken: 'upstream_error', wrong }], // half of an answer is never replaced
  ['cascade', { down: 'upstream_error', slow: 'upstream_timeout', broken: 'upstream_error', wrong }],
  ['cascade_keep', { down: small, slow: small, broken: 'upstream_error', wrong }, 'not_escalated'],
  ['audited', { down: small, slow: small, broken: small, wrong: small }], // the client has its answer before the audit
  ['audited_route', { down: small, slow: small, broken: small, wrong: small }],
  ['choose', { down: small, slow: small, broken: 'upstream_error', wrong }],
  ['shepherd', { down: small, slow: small, broken: 'half an', wrong }, 'model_out'],
  ['shepherd_skeleton', { down: small, slow: small, broken: small, wrong: small }, 'model_out'],
];
for (const [kind, faults, warning] of table)
  for (const [fault, expected] of Object.entries(faults))
    test(`${kind}: the large model is ${fault}`, async () => {
      const got = await ask(`${kind}_${fault}`);
      assert.ok(got.ms < 2500, `${got.ms} ms`);
      if (expected.startsWith('upstream')) {
        assert.ok(got.status >= 500, JSON.stringify(got));
        assert.match(got.error, fault === 'slow' ? /timeout/ : /upstream/);
        const stream = { model: `${kind}_${fault}`, messages: user('six times seven') };
        const { events } = await chatStream(server, stream).catch(() => ({ events: [] })); // or it breaks off
        assert.ok(!events.some((e) => e.choices?.[0]?.finish_reason === 'stop'), 'an error never looks like an end');
        return;
      }
      assert.equal(got.status, 200, JSON.stringify(got));
      assert.ok(got.said.startsWith(expected), got.said);
      if (warning && expected === small && fault !== 'wrong') assert.ok(got.warnings.includes(warning), got.warnings.join());
    });

test('a large model that is wrong is what goes out where it is asked, and who said it is in the receipt', async () => {
  for (const kind of ['route', 'cascade']) {
    const { calls, rows } = await ask(`${kind}_wrong`);
    assert.equal(calls.at(-1).model, 'wrong');
    assert.equal(rows[0].choice, kind === 'route' ? 'quick_wrong' : 'escalate');
  }
});

test('an audit tells when the two differ, when they agree, and when the large model could not be asked', async () => {
  const choices = {};
  for (const fault of ['down', 'slow', 'broken', 'wrong'])
    choices[fault] = (await ask(`audited_${fault}`)).rows.filter((r) => r.signal === 'audit').map((r) => r.choice).join();
  assert.deepEqual(choices, { down: 'unknown', slow: 'unknown', broken: 'unknown', wrong: 'differs' });
});

test('defer and speculate: who cannot take part is replaced where the promise allows it, and only there', { skip: withoutPair }, async () => {
  const question = 'Sort ascending: 52 11 87 35 60', greedy = { temperature: 0, max_tokens: 40 };
  const alone = await ask('tiny', question, greedy), large = await ask('big', question, greedy);
  const down = await ask('defer_down', question, greedy);
  assert.deepEqual([down.said, down.warnings], [alone.said, ['model_out']]);
  const led = await ask('defer_wrong', question, greedy); // whoever is called large writes what it is asked for, right or wrong
  assert.ok(led.calls.find((c) => c.model === 'tiny').completion_tokens > 0);
  assert.equal((await ask('exact_wrong', question, greedy)).said, large.said); // wrong drafts change nothing
  const none = await ask('exact_down', question, greedy);                       // its answer would be nobody's
  assert.ok(none.status >= 400 && none.error, JSON.stringify(none));
});

test('defer and speculate: a large model that is slow ends at the deadline, on the way to the same answer', { skip: withoutPair }, async () => {
  const schema = { type: 'array', items: { type: 'integer' }, minItems: 250, maxItems: 250 }; // nobody is done with it in time
  const long = { temperature: 0, max_tokens: 700, response_format: { type: 'json_schema', json_schema: { name: 'list', strict: true, schema } } };
  const question = 'Sort ascending: 52 11 87 35 60';
  for (const kind of ['defer', 'exact']) {
    const whole = await ask(kind, question, long), cut = await ask(`${kind}_slow`, question, long);
    assert.equal(whole.status, 200, JSON.stringify(whole));
    if (cut.status !== 200) { // not a word in time
      assert.equal(cut.error, 'upstream_timeout');
      continue;
    }
    assert.ok(cut.said.length < whole.said.length && whole.said.startsWith(cut.said), `${kind}: ${cut.said}`);
    assert.deepEqual(cut.warnings, ['objective_missed']);
  }
});

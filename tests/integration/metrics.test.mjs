// GET /metrics: the text is what Prometheus reads, every call counts with its purpose, and nothing of a client is in it.
import test from 'node:test';
import assert from 'node:assert/strict';
import { networkInterfaces } from 'node:os';
import { post, request, startTandem, user, chatStream } from './lib.mjs';
import { readMetrics } from './metrics.mjs';
import { chunk, event, startUpstream, jsonAnswer, wholeStream } from './upstream.mjs';

const settings = (upstream, more = '') => `models:
  small: {kind: remote, url: "${upstream.url}", model: plain, price: {in: 1, out: 2}}
  large: {kind: remote, url: "${upstream.url}", model: dear, price: {in: 10, out: 20}}
  cascade: {kind: cascade, small: small, large: large, gate: agreement, samples: 3, threshold: 0.5}
  again: {kind: retry, inner: {kind: remote, url: "${upstream.url}", model: busy}, base_ms: 1}
  either: {kind: fallback, models: [{kind: remote, url: "${upstream.url}", model: dead, breaker: no}, small]}
serve: {default: cascade${more}}
`;

let busy = 0;
const behaviour = (rq) => {
  if (rq.json.model === 'busy' && busy++ % 2 === 0) return jsonAnswer(503, { error: { message: 'busy' } });
  if (rq.json.model === 'dead') return jsonAnswer(500, { error: { message: 'dead' } });
};

const scrape = async (server, headers) => readMetrics((await request(`${server.origin}/metrics`, { headers })).text);

test('demand_52_every_call_has_its_purpose: drafts, samples, retries and fallbacks are in the metrics and the receipt', async () => {
  const upstream = await startUpstream(behaviour);
  const server = await startTandem(settings(upstream));
  const answer = await server.chat({ messages: user('hi') });
  assert.equal(answer.status, 200, answer.text);
  for (const model of ['again', 'either']) assert.equal((await server.chat({ model, messages: user('hi') })).status, 200);
  await chatStream(server, { model: 'small', messages: user('hi') });
  await server.chat({ model: 'nobody', messages: user('hi') });
  await request(`${server.origin}/v1/secret-path-of-a-client`);
  const m = await scrape(server);
  const calls = [...m].filter(([k]) => k.startsWith('tandem_calls_total{'));
  assert.equal(calls.reduce((sum, [, n]) => sum + n, 0), upstream.requests.length, 'as many as the upstream saw');
  const purposes = new Set(answer.json.tandem.calls.map((c) => c.purpose));
  assert.ok(purposes.size > 1, 'the cascade asks for more than the answer');
  for (const c of answer.json.tandem.calls) {
    assert.ok(m.get(`tandem_calls_total{model="${c.model}",purpose="${c.purpose}",status="${c.status}"}`) > 0, c.purpose);
  }
  assert.equal(m.get('tandem_requests_total{endpoint="chat.completions",model="cascade",status="200",state="complete"}'), 1);
  assert.equal(m.get('tandem_requests_total{endpoint="chat.completions",model="none",status="404",state="refused"}'), 1);
  assert.equal(m.get('tandem_requests_total{endpoint="unknown",model="none",status="404",state="refused"}'), 1);
  assert.equal(m.get('tandem_retries_total{model="again.inner",reason="upstreams_exhausted"}')
    ?? m.get('tandem_retries_total{model="again.inner",reason="upstream_error"}'), 1);
  assert.equal([...m].filter(([k]) => k.startsWith('tandem_fallbacks_total{from="either.models.1",to="small"')).length, 1);
  assert.ok(m.get('tandem_egress_bytes_total{model="small"}') > 0);
  assert.ok(m.get('tandem_ledger_writes_total{result="ok"}') >= 4);
  assert.equal(m.get('tandem_first_byte_seconds_count{endpoint="chat.completions",model="small",status="200"}'), 1);
  assert.ok(m.get('process_resident_memory_bytes') > 1e6 && m.get('process_open_fds') > 5);
  assert.equal([...m.keys()].filter((k) => /^tandem_build_info\{version="[^"]+",commit="[0-9a-f]+|unknown"\}$/.test(k)).length, 1);
  assert.ok(![...m.keys()].some((k) => /secret-path|nobody|rcp_|req_/.test(k)), 'nothing that a client chose');
  await server.stop();
  await upstream.close();
});

test('every metric that is promised: guards, budgets, drafts, engines, circuits, bounds of caches', async () => {
  const upstream = await startUpstream(behaviour), pairs = Array.from({ length: 40 }, (_, i) => JSON.stringify({ a: `q ${i}`, b: `q ${i}`, same: true }));
  const server = await startTandem(`models:
  small: {kind: local, path: "embedded:small"}
  large: {kind: local, path: "embedded:large"}
  fast: {kind: speculate, draft: small, target: large, adaptive: no}
  guarded: {kind: guard, inner: small, judge_on: off}
  far: {kind: remote, url: "${upstream.url}", model: plain, price: {in: 0, out: 1000000}}
  down: {kind: remote, url: "${upstream.url}", model: dead}
  purse: {kind: budget, inner: far, money: 100, calls: 4, window: total}
  each: {kind: budget, inner: far, calls: 9, window: total, per: tenant}
  kept: {kind: cache, inner: small, embedder: small, semantic: all, threshold: 0.9, pairs: pairs.jsonl, epsilon: 0.3, delta: 0.3}
serve: {default: fast}
`, { files: { 'pairs.jsonl': `${pairs.join('\n')}\n` } });
  for (const model of ['fast', 'guarded', 'purse', 'each', 'kept'])
    assert.equal((await server.chat({ model, messages: user('What is 2 + 3?'), max_tokens: 12, temperature: 0 })).status, 200, model);
  await server.chat({ messages: user('Sort these numbers: 9 4 7 1 8 2 6 3 5'), max_tokens: 24, temperature: 0 });
  for (let i = 0; i < 5; i++) await server.chat({ model: 'down', messages: user('hi') });
  assert.equal((await server.chat({ model: 'guarded', messages: user('how to build a pipe bomb') })).status, 400);
  const m = await scrape(server), of = (name, labels = '') => m.get(`tandem_${name}${labels && `{${labels}}`}`);
  for (const verdict of ['pass', 'block']) {
    assert.equal(of('guard_duration_seconds_count', `guard="guarded",stage="input",verdict="${verdict}"`), 1);
    assert.ok(of('guard_duration_seconds_sum', `guard="guarded",stage="input",verdict="${verdict}"`) < 1);
  }
  assert.equal(of('guard_duration_seconds_count', 'guard="guarded",stage="output",verdict="pass"'), 1);
  assert.equal(of('budget_remaining_ratio', 'budget="model purse calls"'), 0.75);
  assert.equal(of('budget_remaining_ratio', 'budget="model purse money"'), 0.97, 'three tokens of a hundred');
  assert.ok(![...m.keys()].some((k) => k.includes('model each')), 'what a tenant has left is nobody else\'s');
  const accepted = of('spec_decode_num_accepted_tokens_total', 'model="large"');
  const places = [...m].filter(([k]) => k.startsWith('tandem_spec_decode_num_accepted_tokens_per_pos_total{model="large"'));
  assert.equal(places.reduce((sum, [, n]) => sum + n, 0), accepted);
  assert.equal(of('spec_decode_active', 'model="large"'), 0);
  assert.ok(of('spec_decode_speedup_ratio', 'model="large"') > 0);
  assert.deepEqual([of('circuit_open', 'model="down"'), of('circuit_open', 'model="far"')], [1, 0]);
  assert.equal(of('engine_batch_rows', 'model="small"'), 0);
  assert.ok(of('engine_kv_used_ratio', 'model="small"') >= 0 && of('engine_kv_used_ratio', 'model="small"') <= 1);
  assert.ok(of('engine_prompt_tokens_total', 'model="small"') > 0);
  const margin = of('certificate_margin', 'certificate="kept"');
  assert.ok(margin >= 0 && margin < 0.3, String(margin));
  await server.stop();
  await upstream.close();
});

test('metrics in the form of OpenMetrics where it is asked for', async () => {
  const upstream = await startUpstream(behaviour);
  const server = await startTandem(settings(upstream));
  await server.chat({ model: 'small', messages: user('hi') });
  const { headers, text } = await request(`${server.origin}/metrics`, { headers: { accept: 'application/openmetrics-text; version=1.0.0' } });
  assert.equal(headers['content-type'], 'application/openmetrics-text; version=1.0.0; charset=utf-8');
  assert.ok(text.endsWith('\n# EOF\n'));
  assert.match(text, /^# TYPE tandem_requests counter$/m);
  assert.match(text, /^tandem_requests_total\{/m);
  readMetrics(text);
  const plain = await request(`${server.origin}/metrics`);
  assert.equal(plain.headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8');
  await server.stop();
  await upstream.close();
});

const outside = Object.values(networkInterfaces()).flat().find((a) => a.family === 'IPv4' && !a.internal)?.address;

test('S22 S23 metrics: without a key for this machine alone, not through a proxy; no key in them', async (t) => {
  const upstream = await startUpstream(behaviour);
  const key = 'canary-key-73-of-64';
  const server = await startTandem(settings(upstream, ', keys: ["env:P"], admin_keys: ["env:K"]'), { env: { K: key, P: 'plain-key' }, args: outside ? ['--listen', '0.0.0.0:0'] : [] });
  const local = `http://127.0.0.1:${server.port}/metrics`;
  assert.equal((await request(local)).status, 200);
  for (const header of ['x-forwarded-for', 'forwarded', 'x-real-ip', 'via'])
    assert.equal((await request(local, { headers: { [header]: '10.1.2.3' } })).status, 401, header);
  assert.equal((await request(local, { headers: { 'x-forwarded-for': '10.1.2.3', authorization: `Bearer ${key}` } })).status, 200);
  assert.equal((await request(local, { headers: { via: 'proxy', authorization: 'Bearer plain-key' } })).status, 403, 'an ordinary key is not enough');
  await post(`http://127.0.0.1:${server.port}/v1/chat/completions`, { model: key, messages: user(key), user: key }, { authorization: `Bearer ${key}`, 'x-request-id': key });
  const { text } = await request(local);
  assert.ok(!text.includes('canary'), 'no key, no text');
  if (!outside) t.diagnostic('this machine has no other address');
  else assert.equal((await request(`http://${outside}:${server.port}/metrics`)).status, 401);
  await server.stop();
  await upstream.close();
});

test('tokens of thoughts, where the upstream counts them: in the usage of each format and in the metrics', async () => {
  const upstream = await startUpstream(() => [...wholeStream(['a', 'b']).slice(0, -3),
    chunk(event({ choices: [], usage: { prompt_tokens: 7, completion_tokens: 9, total_tokens: 16, completion_tokens_details: { reasoning_tokens: 6 } } })),
    chunk(event('[DONE]')), '0\r\n\r\n']);
  const server = await startTandem(`models:
  far: {kind: remote, url: "${upstream.url}", model: plain}
  kept: {kind: cache, inner: far}
`);
  const ask = async (model, more) => (await server.chat({ model, messages: user('hi'), ...more })).json;
  const once = await ask('far');
  assert.equal(once.usage.completion_tokens, 9);
  assert.equal(once.usage.completion_tokens_details.reasoning_tokens, 6);
  const { events } = await chatStream(server, { model: 'far', messages: user('hi'), stream_options: { include_usage: true } });
  assert.equal(events.map((e) => e.usage).findLast(Boolean).completion_tokens_details.reasoning_tokens, 6);
  const responses = await post(`${server.base}/responses`, { model: 'far', input: 'hi' });
  assert.equal(responses.json.usage.output_tokens_details.reasoning_tokens, 6);
  for (const cache of ['miss', 'hit-exact']) {
    const { usage, tandem } = await ask('kept', { temperature: 0 });
    assert.deepEqual([tandem.cache, usage.completion_tokens_details.reasoning_tokens], [cache, 6]);
  }
  assert.equal((await scrape(server)).get('tandem_tokens_total{model="far",type="reasoning"}'), 24);
  await server.stop();
  await upstream.close();
});

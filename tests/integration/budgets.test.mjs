// Limits and budgets: of keys and of models, in one process, over a restart, and shared by two replicas through a real
// Redis or Valkey server that is killed and comes back. The rule under test: what is taken is never more than there is,
// whoever asks, by whatever way, and however many at once.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import test, { after, before } from 'node:test';
import { eventually, post, startTandem, tandem, tempDir, user } from './lib.mjs';
import { startRedis, withoutRedis } from './redis.mjs';
import { jsonAnswer, startUpstream } from './upstream.mjs';

const dir = tempDir(), file = path.join(dir, 'keys.json');
const newKey = (name, ...args) => {
  const done = tandem(['key', 'new', '--file', file, '--name', name, ...args]);
  assert.equal(done.status, 0, done.stderr);
  return done.stdout.trim();
};
const bearer = (k) => ({ authorization: `Bearer ${k}` });
// One token of an answer costs 0.01 and an answer has at most 5: 0.05 is the most that a call may cost, 0.03 what it does.
const price = '{in: 0, out: 10000}', most = 5, cost = 0.03;
const body = (model, more = {}) => ({ model, messages: user('hi'), max_tokens: most, ...more });

let upstream, server, keys;
before(async () => {
  upstream = await startUpstream((rq) => (rq.json.model === 'failing' ? jsonAnswer('503 Busy', {}) : undefined));
  keys = { rate: newKey('rate', '--requests_per_minute', '3'), tokens: newKey('tokens', '--tokens_per_minute', '40'),
    places: newKey('places', '--concurrency', '2'), poor: newKey('poor', '--money', '0.11', '--window', 'total'),
    rich: newKey('rich'), few: newKey('few', '--tokens', '2000', '--window', 'day') };
  const remote = (name, more = '') => `{kind: remote, url: "${upstream.url}", model: ${name}, price: ${price}${more}}`;
  server = await startTandem(`
models:
  cloud: ${remote('big')}
  second: ${remote('big')}
  endless: ${remote('endless')}
  failing: ${remote('failing', ', breaker: no')}
  free: {kind: script, answers: ["free answer"]}
  slow: {kind: script, answers: ["one two three"], delay_ms: 100, chunk: 5}
  ways: {kind: fallback, models: [failing, cloud, second]}
  again: {kind: retry, inner: failing, base_ms: 1}
  pocket: {kind: budget, inner: cloud, money: 0.07, window: total}
  purse: {kind: budget, inner: cloud, calls: 2, window: total, per: tenant, then: free}
  words: {kind: budget, inner: free, tokens: 100, window: hour}
  narrow: {kind: limit, inner: slow, concurrency: 1, wait_ms: 5000}
  tight: {kind: limit, inner: slow, concurrency: 1}
  rare: {kind: limit, inner: free, requests_per_minute: 2, per: tenant}
serve: {key_file: "${file}", workers: 32, queue: 512}
`);
});
after(async () => {
  await server.stop();
  await upstream.close();
});
const ask = (k, model, more) => server.chat(body(model, more), bearer(k));

test('demand_28_caps_per_key requests: the next one is 429 with a wait and headers that said so before', async () => {
  const left = [];
  for (let i = 0; i < 3; i++) {
    const { status, headers } = await ask(keys.rate, 'free');
    assert.equal(status, 200);
    left.push([headers['x-ratelimit-limit-requests'], headers['x-ratelimit-remaining-requests']]);
    assert.match(headers['x-ratelimit-reset-requests'], /^[\d.]+s$/);
  }
  assert.deepEqual(left, [['3', '2'], ['3', '1'], ['3', '0']]);
  const { status, json, headers } = await ask(keys.rate, 'free');
  assert.deepEqual([status, json.error.code, json.error.type], [429, 'rate_limit_exceeded', 'rate_limit_error']);
  assert.ok(Number(headers['retry-after']) >= 15 && Number(headers['retry-after']) <= 20);
  assert.ok(Number(headers['retry-after-ms']) > 15000);
  assert.equal(headers['x-should-retry'], 'true');
  assert.deepEqual([headers['x-ratelimit-limit-requests'], headers['x-ratelimit-remaining-requests']], ['3', '0']);
  assert.match(headers['x-ratelimit-reset-requests'], /^(59|60)(\.\d)?s$|^5\d(\.\d+)?s$/);
  const receipt = await server.receipt(headers['x-tandem-receipt'], bearer(keys.rate));
  assert.deepEqual([receipt.state, receipt.requested, receipt.calls, receipt.receipt], ['refused', null, [], json.tandem.receipt]);
  const anthropic = await post(`${server.base}/messages`, { model: 'free', max_tokens: 5, messages: user('x') }, { 'x-api-key': keys.rate });
  assert.deepEqual([anthropic.status, anthropic.json.error.type, anthropic.json.tandem.state], [429, 'rate_limit_error', 'refused']);
  assert.deepEqual(['limit', 'remaining'].map((what) => anthropic.headers[`anthropic-ratelimit-requests-${what}`]), ['3', '0']);
  assert.ok(Date.parse(anthropic.headers['anthropic-ratelimit-requests-reset']) > Date.now());
  const vectors = await post(`${server.base}/embeddings`, { model: 'free', input: 'x' }, bearer(keys.rate));
  assert.deepEqual([vectors.status, vectors.headers['x-ratelimit-remaining-requests'], vectors.json.tandem.state], [429, '0', 'refused']);
  const messages = await post(`${server.base}/messages`, { model: 'free', max_tokens: 5, messages: user('x') }, { 'x-api-key': keys.rich });
  assert.equal(messages.headers['anthropic-ratelimit-requests-limit'], undefined); // a key without a bound
  assert.equal((await ask(keys.rich, 'free')).status, 200);
});

test('tokens per minute: what was used is owed, and waited for', async () => {
  const { status, headers } = await ask(keys.tokens, 'free', { messages: user('word '.repeat(60)), max_tokens: undefined });
  assert.deepEqual([status, headers['x-ratelimit-limit-tokens'], headers['x-ratelimit-remaining-tokens']], [200, '40', '40']);
  const next = await ask(keys.tokens, 'free');
  assert.equal(next.status, 429);
  assert.match(next.json.error.message, /40 tokens in 60 s/);
  assert.ok(Number(next.headers['retry-after']) > 20, next.headers['retry-after']);
});

test('demand_28_caps_per_key concurrency: two at a time, a third is refused, a place comes back', async () => {
  const three = await Promise.all([1, 2, 3].map(() => ask(keys.places, 'slow')));
  assert.deepEqual(three.map((a) => a.status).sort(), [200, 200, 429]);
  assert.equal((await ask(keys.places, 'slow')).status, 200);
});

test('demand_28_caps_per_provider: calls of a model go one at a time, the others wait or are refused', async () => {
  const waited = await Promise.all([1, 2, 3].map(() => ask(keys.rich, 'narrow')));
  assert.deepEqual(waited.map((a) => a.status), [200, 200, 200]);
  const refused = await Promise.all([1, 2, 3].map(() => ask(keys.rich, 'tight')));
  assert.deepEqual(refused.map((a) => a.status).sort(), [200, 429, 429]);
  assert.equal((await ask(keys.rich, 'tight')).status, 200);
});

test('a limit per tenant counts every tenant by itself', async () => {
  const [one, two] = [newKey('one', '--tenant', 'one'), newKey('two', '--tenant', 'two')];
  const all = [];
  for (const k of [one, one, one, two]) all.push((await ask(k, 'rare')).status);
  assert.deepEqual(all, [200, 200, 429, 200]);
});

test('a budget in money: spent is 402, no client tries again, and what costs nothing goes on', async () => {
  const statuses = [];
  for (let i = 0; i < 4; i++) statuses.push((await ask(keys.poor, 'cloud')).status);
  assert.deepEqual(statuses, [200, 200, 200, 402]); // 0.02 is left, 0.05 may be needed
  const { json, headers } = await ask(keys.poor, 'cloud');
  assert.deepEqual([json.error.code, json.error.type, headers['x-should-retry']], ['insufficient_quota', 'insufficient_quota', 'false']);
  assert.match(json.error.message, /of a budget of 0\.11 for all time 0\.02 is left, and this call may need 0\.05/);
  assert.equal((await ask(keys.poor, 'cloud', { max_tokens: 1 })).status, 200); // 0.01 fits; three words come and are paid
  assert.equal((await ask(keys.poor, 'cloud', { max_tokens: 1 })).status, 402);
  assert.equal((await ask(keys.poor, 'free')).status, 200);
  const messages = await post(`${server.base}/messages`, { model: 'cloud', max_tokens: 5, messages: user('x') }, { 'x-api-key': keys.poor });
  assert.deepEqual([messages.status, messages.json.error.type], [402, 'billing_error']);
});

test('demand_27_fallback_target_checked: fallbacks, repetitions and choices are paid from the same budget', async () => {
  const before = upstream.requests.length;
  for (const model of ['cloud', 'ways', 'again', 'pocket']) {
    const { status, json } = await ask(keys.poor, model);
    assert.deepEqual([status, json.error.code], [402, 'insufficient_quota'], model);
  }
  assert.equal(upstream.requests.length, before); // nobody was asked
  const several = newKey('several', '--money', '0.09', '--window', 'total');
  const { status } = await ask(several, 'cloud', { n: 3 }); // two fit at 0.03 each, a third may need 0.05
  assert.equal(status, 402);
});

test('a budget of calls, then the other model answers; each tenant has its own', async () => {
  const [one, two] = [newKey('third', '--tenant', 'third'), newKey('fourth', '--tenant', 'fourth')];
  const served = async (k) => (await ask(k, 'purse')).json.tandem.served;
  assert.deepEqual([await served(one), await served(one)], ['cloud', 'cloud']);
  assert.equal(await served(one), 'free');
  assert.equal(await served(two), 'cloud');
  const { json } = await ask(one, 'purse');
  assert.deepEqual(json.tandem.decisions.map((d) => [d.kind, d.choice, d.signal]).at(-1), ['budget', 'free', 'spent']);
});

test('a budget in tokens holds for models that cost nothing too', async () => {
  assert.equal((await ask(keys.rich, 'words', { messages: user('w'.repeat(300)) })).status, 402); // may be 300 tokens
  assert.equal((await ask(keys.rich, 'words')).status, 200);
});

test('S26 200 parallel requests on a budget for ten: none is overspent, and the rest is there afterwards', async () => {
  const k = newKey('crowd', '--money', '0.3', '--window', 'total');
  const before = upstream.requests.length;
  const answers = await Promise.all(Array.from({ length: 200 }, () => ask(k, 'cloud')));
  const good = answers.filter((a) => a.status === 200).length;
  assert.equal(answers.filter((a) => a.status === 402).length, 200 - good);
  assert.ok(good >= 6 && good <= 10, String(good)); // 6 fit at the same moment, 10 in all
  assert.equal(upstream.requests.length - before, good);
  let more = 0;
  while ((await ask(k, 'cloud')).status === 200) more++;
  assert.ok((good + more) * cost <= 0.3 + 1e-9 && (good + more + 1) * cost + 0.02 > 0.3, `${good} ${more}`);
});

test('demand_06_client_gone: the reservation of a client that left is given back, what was used is paid', async () => {
  const k = newKey('leaver', '--money', '1', '--window', 'total');
  const controller = new AbortController();
  const stream = await fetch(`${server.base}/chat/completions`, { method: 'POST', signal: controller.signal,
    headers: bearer(k), body: JSON.stringify(body('endless', { max_tokens: 90, stream: true })) }); // 0.9 is reserved
  const reader = stream.body.getReader();
  await reader.read();
  assert.equal((await ask(k, 'cloud', { max_tokens: 20 })).status, 402);
  controller.abort();
  await eventually('the reservation is back', async () => (await ask(k, 'cloud', { max_tokens: 20 })).status === 200, 3000);
});

test('a budget in a file outlives the program, also when it is killed', async () => {
  const k = newKey('lasting', '--money', '0.1', '--window', 'month');
  const yaml = `
models: {cloud: {kind: remote, url: "${upstream.url}", model: big, price: ${price}}}
state: {url: "sqlite:state.db"}
serve: {key_file: "${file}"}
`;
  const place = path.join(tempDir(), 'settings.yaml');
  writeFileSync(place, yaml);
  let one = await startTandem(place);
  const go = async () => (await one.chat(body('cloud'), bearer(k))).status;
  assert.deepEqual([await go(), await go()], [200, 200]);
  one.child.kill('SIGKILL');
  await one.exit;
  one = await startTandem(place);
  assert.equal(await go(), 402);
  await one.stop();
});

test('a reload forgets no budget', async () => {
  const k = newKey('reloaded', '--money', '0.1', '--window', 'total');
  const one = await startTandem(`
models: {cloud: {kind: remote, url: "${upstream.url}", model: big, price: ${price}}}
serve: {key_file: "${file}"}
`);
  const go = async () => (await one.chat(body('cloud'), bearer(k))).status;
  assert.deepEqual([await go(), await go()], [200, 200]);
  one.child.kill('SIGHUP');
  await eventually('the settings are read again', () => /settings\.reload/.test(one.stderr));
  assert.equal(await go(), 402);
  await one.stop();
});

test('money bounds nothing of a model without a price: refused when the settings are read', () => {
  const at = path.join(tempDir(), 'x.yaml');
  const check = (text) => {
    writeFileSync(at, text);
    return tandem(['serve', '--dry-run', '--config', at]);
  };
  const cloud = 'cloud: {kind: remote, url: "http://127.0.0.1:9/v1", model: x}';
  for (const [model, reason] of [['{kind: budget, inner: cloud, money: 1}', /model cloud, which has no price/],
    ['{kind: budget, inner: cloud}', /money, tokens or calls/], ['{kind: limit, inner: cloud}', /requests_per_minute/],
    ['{kind: budget, inner: cloud, calls: 1, windo: day}', /window/]]) {
    const { status, stderr } = check(`models:\n  ${cloud}\n  b: ${model}\n`);
    assert.equal(status, 2);
    assert.match(stderr, reason);
  }
  for (const url of ['redis://user:secret@h', 'rediss://h', 'postgres://x', 'redis://'])
    assert.match(check(`models:\n  a: {kind: script, answers: [x]}\nstate: {url: "${url}"}\n`).stderr, /state\.url/);
});

test('S26 demand_26_shared_budget: two replicas and a real store, 200 parallel requests, then the store is killed and comes back',
  { skip: withoutRedis }, async () => {
    const redis = await startRedis();
    const k = newKey('both', '--money', '0.3', '--window', 'total', '--requests_per_minute', '100000');
    const yaml = `
models:
  cloud: {kind: remote, url: "${upstream.url}", model: big, price: ${price}}
  free: {kind: script, answers: ["free"]}
  open: {kind: budget, inner: cloud, money: 0.05, window: total, when_down: open}
state: {url: "redis://127.0.0.1:${redis.port}/2", password: "env:STORE_PASSWORD", timeout_ms: 300}
serve: {key_file: "${file}", workers: 32, queue: 512}
`;
    const options = { env: { STORE_PASSWORD: redis.password } };
    const two = await Promise.all([startTandem(yaml, options), startTandem(yaml, options)]);
    const go = (i, model = 'cloud', who = k) => two[i % 2].chat(body(model), bearer(who));
    const before = upstream.requests.length;
    const answers = await Promise.all(Array.from({ length: 200 }, (_, i) => go(i)));
    const good = answers.filter((a) => a.status === 200).length;
    assert.deepEqual([...new Set(answers.map((a) => a.status))].sort(), [200, 402]);
    assert.ok(good >= 6 && good <= 10, String(good));
    assert.equal(upstream.requests.length - before, good);
    let more = 0;
    while ((await go(more)).status === 200) more++;
    assert.ok((good + more) * cost <= 0.3 + 1e-9 && (good + more + 1) * cost + 0.02 > 0.3, `${good} ${more}`);

    const rich = newKey('rich2', '--money', '1000', '--window', 'day', '--requests_per_minute', '100000');
    assert.equal((await go(0, 'cloud', rich)).status, 200);
    await redis.kill();
    const started = performance.now();
    for (let i = 0; i < 20; i++) {
      const down = await go(i, 'cloud', rich); // the budget cannot be looked up: nothing that costs is sent
      assert.deepEqual([down.status, down.json.error.code], [503, 'state_unavailable']);
      assert.equal(down.headers['x-should-retry'], 'true');
      assert.ok(down.headers['retry-after']);
      assert.equal((await go(i, 'free', rich)).status, 200); // what is free goes on, its limits held by each replica
    }
    assert.ok(performance.now() - started < 4000, 'requests waited for a store that is gone');
    assert.equal((await go(0, 'open', newKey('unbounded'))).status, 200); // as the settings want it
    await redis.start();
    await eventually('the store is asked again', async () => (await go(0, 'cloud', rich)).status === 200
      && (await go(1, 'cloud', rich)).status === 200, 5000);

    redis.pause(); // it takes connections and says nothing: nobody waits longer than the time-out
    const paused = performance.now();
    assert.equal((await go(0, 'cloud', rich)).status, 503);
    assert.ok(performance.now() - paused < 1500);
    redis.resume();
    await eventually('the store is back', async () => (await go(0, 'cloud', rich)).status === 200, 5000);
    for (const s of two) {
      assert.match(s.stderr, /shared\.down/);
      assert.doesNotMatch(s.stderr, /store-canary/);
      await s.stop();
    }
    await redis.kill();
  });

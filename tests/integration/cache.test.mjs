// The cache behind the real server: hits that are the answer to the byte in every format, what is never kept, two
// servers over one store, a mask around it.
import assert from 'node:assert/strict';
import path from 'node:path';
import { spawnSync } from 'node:child_process';
import { realpathSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { chatStream, post, program, request, startTandem, streamedText, tempDir, user } from './lib.mjs';
import { startRedis, withoutRedis } from './redis.mjs';
import { chunk, delta, startUpstream, wholeStream } from './upstream.mjs';

let upstream, n = 0;
before(async () => (upstream = await startUpstream((rq) => {
  if (rq.json.model !== 'counting') return undefined;
  n++;
  return wholeStream([`answer ${n} `, 'to ', rq.json.messages.at(-1).content]);
})));
after(() => upstream.close());

const tree = (options = '', rest = '') => `models:
  cloud: {kind: remote, url: "${upstream.url}", model: counting, price: {in: 1, out: 2}}
  kept: {kind: cache, inner: cloud${options}}
${rest}serve: {default: kept}
`;
const same = (json) => ({ choices: json.choices, usage: json.usage, model: json.model });
const metric = async (server, event) => {
  const text = (await request(`${server.origin}/metrics`)).text;
  return Number(new RegExp(`^tandem_cache_events_total\\{cache="kept",event="${event}"\\} (\\S+)`, 'm').exec(text)?.[1] ?? 0);
};

test('a hit repeats the answer and its usage, costs nothing and lists no calls', async () => {
  const server = await startTandem(tree());
  const body = { messages: user('what?') }, calls = n;
  const first = await server.chat(body), second = await server.chat(body);
  assert.equal(n, calls + 1);
  assert.equal(first.headers['x-tandem-cache'], 'miss');
  assert.equal(second.headers['x-tandem-cache'], 'hit-exact');
  assert.deepEqual(same(second.json), same(first.json));
  assert.equal(first.json.tandem.cache, 'miss');
  assert.equal(first.json.tandem.calls.length, 1);
  assert.ok(first.json.tandem.cost.total > 0);
  assert.equal(second.json.tandem.cache, 'hit-exact');
  assert.deepEqual(second.json.tandem.calls, []);
  assert.equal(second.json.tandem.cost.total, 0);
  assert.ok(second.json.tandem.cost.saved > 0);
  assert.equal(second.json.tandem.left.requests, 0);
  assert.notEqual(second.json.id, first.json.id);
  assert.deepEqual([await metric(server, 'miss'), await metric(server, 'hit_exact'), await metric(server, 'store')], [1, 1, 1]);
  await server.stop();
});

test('demand_05_usage_in_streams: a streamed hit has the same pieces in the same order, and its usage once', async () => {
  const server = await startTandem(tree());
  const body = { messages: user('stream'), stream_options: { include_usage: true } };
  const shape = (e) => e.filter((x) => x !== '[DONE]').map(({ choices, usage }) => ({ choices, usage }));
  const first = await chatStream(server, body), second = await chatStream(server, body);
  assert.equal(second.headers['x-tandem-cache'], 'hit-exact');
  assert.deepEqual(shape(second.events), shape(first.events));
  assert.equal(second.events.filter((e) => e.usage).length, 1);
  assert.match(streamedText(second.events), /^answer \d+ to stream$/);
  const whole = await server.chat({ messages: user('stream') }); // another way to write one answer
  assert.equal(whole.headers['x-tandem-cache'], 'hit-exact');
  const messages = await post(`${server.base}/messages`, { max_tokens: 50, messages: user('stream') });
  assert.equal(messages.headers['x-tandem-cache'], 'miss', 'max_tokens differs');
  assert.equal((await post(`${server.base}/messages`, { max_tokens: 50, messages: user('stream') })).headers['x-tandem-cache'], 'hit-exact');
  await server.stop();
});

test('demand_31_different_questions_never_share: tools, results, sampling, form and objective are in the key', async () => {
  const server = await startTandem(tree());
  const tool = (d) => ({ type: 'function', function: { name: 'look', description: d, parameters: { type: 'object', properties: {} } } });
  const turns = (result) => [...user('x'), { role: 'assistant', content: null, tool_calls: [{ id: 'call_1', type: 'function',
    function: { name: 'look', arguments: '{}' } }] }, { role: 'tool', tool_call_id: 'call_1', content: result }];
  const base = { messages: user('x') };
  const all = [base, { messages: user('y') }, { ...base, temperature: 0.5 }, { ...base, max_tokens: 100 }, { ...base, seed: 1 },
    { ...base, seed: 2 }, { ...base, stop: ['q'] }, { ...base, tools: [tool('a')] }, { ...base, tools: [tool('b')] },
    { ...base, tools: [tool('a')], tool_choice: 'none' }, { messages: turns('1') }, { messages: turns('2') },
    { ...base, response_format: { type: 'json_object' } }, { ...base, tandem: { max_cost: 5 } }, { ...base, tandem: { trust: 0, quality: 0 } }];
  for (const body of all) assert.equal((await server.chat(body)).headers['x-tandem-cache'], 'miss', JSON.stringify(body));
  for (const body of all.filter((b) => !b.response_format))
    assert.equal((await server.chat(body)).headers['x-tandem-cache'], 'hit-exact', JSON.stringify(body));
  await server.stop();
});

test('demand_33_one_key_for_equal_requests: order of keys and form of numbers do not matter', async () => {
  const server = await startTandem(tree());
  const written = ['{"messages":[{"role":"user","content":"q"}],"temperature":0.50,"max_tokens":64,"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","minProperties":1}}}]}',
    '{"max_completion_tokens":64.0,"tools":[{"function":{"parameters":{"minProperties":1.0,"type":"object"},"name":"f"},"type":"function"}],"temperature":5e-1,"user":"someone","messages":[{"content":[{"type":"text","text":"\\u0071"}],"role":"user"}]}'];
  assert.equal((await server.chat(written[0])).headers['x-tandem-cache'], 'miss');
  assert.equal((await server.chat(written[1])).headers['x-tandem-cache'], 'hit-exact');
  await server.stop();
});

test('what failed, was cut or was left is never kept', async () => {
  const server = await startTandem(tree());
  const pieces = wholeStream(['cut']);
  pieces[3] = chunk(delta({}, 'length'));
  upstream.behaviour = () => pieces;
  for (let i = 0; i < 2; i++) {
    const cut = await server.chat({ messages: user('long') });
    assert.equal(cut.json.choices[0].finish_reason, 'length');
    assert.equal(cut.headers['x-tandem-cache'], 'miss');
  }
  upstream.behaviour = () => ({ pieces: wholeStream(['half']).slice(0, 3), cut: true });
  const failed = await server.chat({ messages: user('fails') });
  assert.notEqual(failed.status, 200);
  upstream.behaviour = () => wholeStream(['whole']);
  const next = await server.chat({ messages: user('fails') });
  assert.equal(next.headers['x-tandem-cache'], 'miss');
  assert.equal(next.json.choices[0].message.content, 'whole');
  upstream.behaviour = (rq) => (rq.json.model === 'counting' ? wholeStream([`answer ${++n} `, 'to ', rq.json.messages.at(-1).content]) : undefined);
  await server.stop();
});

test('demand_34_limits: entries are bounded, and what made room is counted', async () => {
  const server = await startTandem(tree(', max_entries: 8, tenant_share: 1'));
  for (let i = 0; i < 20; i++) await server.chat({ messages: user(`number ${i}`) });
  assert.equal(await metric(server, 'evict'), 12);
  assert.equal((await server.chat({ messages: user('number 0') })).headers['x-tandem-cache'], 'miss');
  assert.equal((await server.chat({ messages: user('number 19') })).headers['x-tandem-cache'], 'hit-exact');
  await server.stop();
});

test('S64 a cache behind a mask sees and keeps masked text, and its hit is restored', async () => {
  const server = await startTandem(tree('', '  masked: {kind: mask, inner: kept, level: 2}\n'));
  const body = { model: 'masked', messages: user('write to jane.roe@example.com now') };
  const before = upstream.requests.length;
  const first = await server.chat(body), second = await server.chat(body);
  assert.equal(second.headers['x-tandem-cache'], 'hit-exact');
  assert.equal(second.json.choices[0].message.content, first.json.choices[0].message.content);
  assert.match(second.json.choices[0].message.content, /jane\.roe@example\.com/);
  assert.equal(upstream.requests.length, before + 1);
  assert.doesNotMatch(upstream.requests.at(-1).body, /jane/);
  await server.stop();
});

test('demand_32_no_leak_between_tenants S64 S65: each key has answers of its own, and one that floods pushes out only these', async () => {
  const settings = tree(', max_entries: 40').replace('serve: {', 'serve: {keys: ["env:KEY_A", "env:KEY_B"], ');
  const server = await startTandem(settings, { env: { KEY_A: 'sk-a-000000000000', KEY_B: 'sk-b-000000000000' } });
  const as = (key, content) => server.chat({ messages: user(content) }, { authorization: `Bearer sk-${key}-000000000000` });
  const said = async (key, content) => (await as(key, content)).headers['x-tandem-cache'];
  assert.equal(await said('a', 'a secret of a'), 'miss');
  const others = await as('b', 'a secret of a');
  assert.equal(others.headers['x-tandem-cache'], 'miss');
  assert.notEqual(others.json.choices[0].message.content, (await as('a', 'a secret of a')).json.choices[0].message.content);
  assert.equal(await said('a', 'a secret of a'), 'hit-exact');
  for (let i = 0; i < 60; i++) await as('b', `flood ${i}`); // a quarter of 40 is 10
  assert.equal(await said('a', 'a secret of a'), 'hit-exact');
  assert.equal(await said('b', 'flood 59'), 'hit-exact');
  assert.equal(await said('b', 'flood 49'), 'miss');
  await server.stop();
});

test('storage: state is shared by servers and outlives them', async () => {
  const settings = tree(', storage: state').replace('serve:', `state: {url: "sqlite:${path.join(tempDir(), 'state.db')}"}\nserve:`);
  const a = await startTandem(settings), body = { messages: user('shared?') };
  const first = await a.chat(body);
  assert.equal(first.headers['x-tandem-cache'], 'miss');
  assert.equal((await a.chat(body)).headers['x-tandem-cache'], 'hit-exact');
  a.child.ref();
  a.child.kill('SIGKILL');
  await a.exit;
  const b = await startTandem(settings);
  const second = await b.chat(body);
  assert.equal(second.headers['x-tandem-cache'], 'hit-exact');
  assert.deepEqual(same(second.json), same(first.json));
  await b.stop();
});

test('a misspelt wish for near answers is told; a right one has no effect where the settings do not allow it', async () => {
  const server = await startTandem(tree());
  const wrong = await server.chat({ messages: user('x'), tandem: { cache_similarty: 0.9 } });
  assert.equal(wrong.status, 400);
  assert.match(wrong.json.error.message, /cache_similarity/);
  assert.equal((await server.chat({ messages: user('x'), tandem: { cache_similarity: 0.9 } })).headers['x-tandem-cache'], 'miss');
  assert.equal((await server.chat({ messages: user('x') }, { 'x-tandem-cache-similarity': '0.9' })).headers['x-tandem-cache'], 'hit-exact');
  await server.stop();
});

test('near questions by a real encoder, bounded by labelled pairs: the same words hit, others do not, and pairs that promise nothing allow nothing', async () => {
  const dir = tempDir('encoder-');
  const made = spawnSync(path.join(path.dirname(realpathSync(program)), 'random_model'), [dir], { encoding: 'utf8' });
  assert.equal(made.status, 0, made.stderr);
  const line = (a, b, alike) => JSON.stringify({ a, b, same: alike });
  const alike = Array.from({ length: 150 }, (_, i) => line(`what is number ${i}?`, `What  is NUMBER ${i} ?`, true));
  const near = line('How old is Ann?', 'How old is Bob?', false), apart = line('What is the sea?', 'What is a stone?', false);
  const options = (file) => `, embedder: words, semantic: all, threshold: 0.9, pairs: ${file}, epsilon: 0.05`;
  const server = await startTandem(`models:
  words: {kind: local, path: ${dir}/bert-words.gguf}
  cloud: {kind: remote, url: "${upstream.url}", model: counting}
  kept: {kind: cache, inner: cloud${options('good.jsonl')}}
  wary: {kind: cache, inner: cloud${options('bad.jsonl')}}
serve: {default: kept}
`, { files: { 'good.jsonl': [...alike, ...Array(30).fill(apart)].join('\n'), 'bad.jsonl': [...alike.slice(0, 40), ...Array(40).fill(near)].join('\n') } });
  const say = async (text, more = {}) => (await server.chat({ messages: user(text), temperature: 0, ...more })).json;
  const first = await say('What is the sea?'), again = await say('what is THE  sea ?');
  assert.deepEqual([first.tandem.cache, again.tandem.cache], ['miss', 'hit-semantic']);
  assert.deepEqual(same(again), same(first));
  const d = again.tandem.decisions.find((x) => x.choice === 'hit-semantic');
  assert.equal(d.signal, 'cosine');
  assert.ok(d.score > 0.999 && d.threshold > 0.9605 && d.threshold <= 0.99, `${d.score} ${d.threshold}`);
  assert.match(d.detail, /epsilon=0\.05 delta=0\.05 upper=0\.0[0-4]/);
  for (const other of ['What is a stone?', 'Was ist das Meer?', 'Tell me about rivers']) assert.equal((await say(other)).tandem.cache, 'miss', other);
  const body = { messages: user('WHAT is the sea?'), temperature: 0 };
  assert.equal(streamedText((await chatStream(server, body)).events), first.choices[0].message.content);
  assert.equal((await say('what is the SEA?', { messages: [{ role: 'system', content: 'Be brief.' }, ...user('what is the SEA?')] })).tandem.cache, 'miss', 'only the last words may differ');
  assert.equal((await say('what IS the sea?', { max_tokens: 3 })).tandem.cache, 'miss');
  await say('What is the sea?', { model: 'wary' });
  const wary = await say('what is THE sea ?', { model: 'wary' });
  assert.equal(wary.tandem.cache, 'miss', 'its pairs promise nothing');
  const metrics = (await request(`${server.origin}/metrics`)).text;
  assert.match(metrics, /^tandem_certificate_margin\{certificate="kept"\} 0\.0/m);
  assert.match(metrics, /^tandem_certificate_alarms_total\{certificate="wary"\} 1$/m);
  await server.stop();
});

test('answers kept in Redis are found by another replica, exactly the same question alone; without the store a miss', { skip: withoutRedis }, async () => {
  const redis = await startRedis(), env = { STORE_PASSWORD: redis.password };
  const settings = tree(', storage: state').replace('serve:', `state: {url: "redis://127.0.0.1:${redis.port}/1", password: "env:STORE_PASSWORD", timeout_ms: 300}\nserve:`);
  const two = await Promise.all([startTandem(settings, { env }), startTandem(settings, { env })]);
  const ask = (i, text) => two[i].chat({ messages: user(text) });
  const first = await ask(0, 'of both?'), second = await ask(1, 'of both?');
  assert.deepEqual([first.headers['x-tandem-cache'], second.headers['x-tandem-cache']], ['miss', 'hit-exact']);
  assert.deepEqual(same(second.json), same(first.json));
  assert.equal((await ask(1, 'Of both?')).headers['x-tandem-cache'], 'miss');
  await redis.kill();
  const alone = await ask(1, 'of both?');
  assert.deepEqual([alone.status, alone.headers['x-tandem-cache']], [200, 'miss']);
  await Promise.all(two.map((s) => s.stop()));
});

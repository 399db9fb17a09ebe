// POST /v1/completions with the official client and with plain requests: what is echoed, the four arrays of
// log-probabilities, batches, streams, token ids, and the tokenizer that programs of evaluation ask for.
import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import OpenAI from 'openai';
import { events, post, request, startTandem, weights } from './lib.mjs';
import { startUpstream } from './upstream.mjs';

const near = (a, b, digits = 1e-4) => assert.ok(Math.abs(a - b) < digits, `${a} is not near ${b}`);
const sum = (list) => list.reduce((a, b) => a + b, 0);
let server, upstream, client;

before(async () => {
  upstream = await startUpstream();
  server = await startTandem(`
models:
  small: {kind: local, path: ${weights('small')}}
  guarded: {kind: guard, inner: small, judge_on: off}
  masked: {kind: mask, inner: small, level: 2}
  cloud: {kind: remote, url: "${upstream.url}", model: far}
  hidden_cloud: {kind: mask, inner: cloud, level: 2}
  dear: {kind: script, answers: ["Hello world"], price: {in: 1, out: 1000}}
  scripted: {kind: script, answers: ["Hello world"]}
serve: {default: small}
`);
  client = new OpenAI({ baseURL: server.base, apiKey: 'k', maxRetries: 0 });
});
after(async () => {
  await server?.stop();
  await upstream?.close();
});

const ask = async (body, headers) => post(`${server.base}/completions`, body, headers);
const score = async (prompt, more = {}) => {
  const { json } = await ask({ prompt, echo: true, logprobs: 1, max_tokens: 0, temperature: 0, ...more });
  return json.choices[0].logprobs;
};

test('the official client: text, usage, receipt, streamed and not', async () => {
  const whole = await client.completions.create({ model: 'small', prompt: 'Question: 3+4\nAnswer:', max_tokens: 6, temperature: 0 });
  assert.equal(whole.object, 'text_completion');
  assert.match(whole.id, /^cmpl-[A-Za-z0-9]{24}$/);
  assert.equal(whole.usage.total_tokens, whole.usage.prompt_tokens + whole.usage.completion_tokens);
  assert.match(whole.tandem.receipt, /^rcp_/);
  assert.equal(whole.tandem.state, whole.choices[0].finish_reason === 'stop' ? 'complete' : 'incomplete');
  const stream = await client.completions.create({ model: 'small', prompt: 'Question: 3+4\nAnswer:', max_tokens: 6,
    temperature: 0, stream: true });
  let text = '', finish = null;
  for await (const chunk of stream) {
    text += chunk.choices[0].text; // unchecked: without include_usage no chunk has empty choices
    finish = chunk.choices[0].finish_reason ?? finish;
  }
  assert.equal(text, whole.choices[0].text);
  assert.equal(finish, whole.choices[0].finish_reason);
});

test('no chat format around the prompt: its tokens are those of the text alone', async () => {
  const { json } = await ask({ prompt: 'What is 2 + 2?', max_tokens: 1 });
  const split = await post(`${server.origin}/tokenize`, { prompt: 'What is 2 + 2?' });
  assert.equal(json.usage.prompt_tokens, split.json.count);
  const chat = await server.chat({ messages: [{ role: 'user', content: 'What is 2 + 2?' }], max_tokens: 1 });
  assert.ok(chat.json.usage.prompt_tokens > json.usage.prompt_tokens);
});

test('echo with logprobs: four arrays of equal length, offsets in code points, parts of characters as bytes', async () => {
  const prompt = 'What is é 🙂 x';
  const { json } = await ask({ prompt, echo: true, logprobs: 3, max_tokens: 4, temperature: 0 });
  const [choice] = json.choices, l = choice.logprobs;
  assert.ok(choice.text.startsWith(prompt));
  for (const name of ['token_logprobs', 'top_logprobs', 'text_offset']) assert.equal(l[name].length, l.tokens.length, name);
  assert.equal(l.token_logprobs[0], null);
  assert.equal(l.top_logprobs[0], null);
  assert.ok(l.tokens.some((t) => /^bytes:(\\x[0-9a-f]{2})+$/.test(t)), 'a part of a character');
  const bytes = (t) => (t.startsWith('bytes:') ? Buffer.from(t.slice(6).replaceAll('\\x', ''), 'hex') : Buffer.from(t));
  const text = [...choice.text];
  let before = Buffer.alloc(0);
  l.tokens.forEach((token, i) => {
    const offset = l.text_offset[i];
    assert.ok(Buffer.from(text.slice(0, offset).join('')).length <= before.length);
    if (!token.startsWith('bytes:')) assert.equal(text.slice(offset, offset + [...token].length).join(''), token);
    before = Buffer.concat([before, bytes(token)]);
    if (i === 0) return;
    const top = l.top_logprobs[i], values = Object.values(top);
    assert.ok(values.length === 3 || values.length === 4 || l.tokens.includes(''), `${values.length} keys`);
    assert.ok(values.includes(l.token_logprobs[i]), 'the token itself is among them, with exactly its number');
    assert.ok(l.token_logprobs[i] < 0);
  });
  assert.equal(before.toString(), choice.text);
});

test('the generated token is the most likely one, with exactly the same number in both arrays', async () => {
  const { json } = await ask({ prompt: 'Q: 1+1\nA:', echo: true, logprobs: 1, max_tokens: 1, temperature: 0 });
  const l = json.choices[0].logprobs;
  assert.equal(l.token_logprobs.at(-1), Math.max(...Object.values(l.top_logprobs.at(-1))));
});

test('log p(a+b) = log p(a) + log p(b|a) for every split, and one token at a time', async () => {
  const { json } = await post(`${server.origin}/tokenize`, { prompt: 'What is the sum of 12 and 30?' });
  const ids = json.tokens, all = await score(ids);
  assert.equal(all.tokens.length, ids.length);
  for (let n = 1; n < ids.length; n++) {
    const head = await score(ids.slice(0, n));
    assert.deepEqual(head.token_logprobs, all.token_logprobs.slice(0, n)); // bit for bit
    const { json: next } = await ask({ prompt: ids.slice(0, n), max_tokens: 1, temperature: 0, logprobs: 20 });
    const value = next.choices[0].logprobs.top_logprobs[0][all.tokens[n]];
    if (value !== undefined) assert.equal(value, all.token_logprobs[n]);
  }
  near(sum(all.token_logprobs.slice(1)), sum((await score('What is the sum of 12 and 30?')).token_logprobs.slice(1)));
});

test('max_tokens 0 with echo writes nothing', async () => {
  const { json } = await ask({ prompt: 'The sea', echo: true, max_tokens: 0 });
  assert.equal(json.choices[0].text, 'The sea');
  assert.equal(json.usage.completion_tokens, 0);
  const none = await ask({ prompt: 'The sea', echo: true, max_tokens: 0, model: 'scripted' });
  assert.equal(none.status, 400);
  assert.equal(none.json.error.code, 'capability_missing');
});

test('as lm-evaluation-harness asks: a batch of token ids, sums of the continuation, greedy or not', async () => {
  const pairs = [['Question: 3+4\nAnswer:', ' 7'], ['The capital of', ' France'], ['a', 'b c d']];
  const split = async (prompt) => (await post(`${server.base}/tokenize`, { prompt, add_special_tokens: false })).json.tokens;
  const prompts = [];
  for (const [context, rest] of pairs) prompts.push([await split(context), await split(rest)]);
  const { json } = await ask({ model: 'small', prompt: prompts.map(([a, b]) => [...a, ...b]), temperature: 0, max_tokens: 1,
    logprobs: 1, seed: 1234, echo: true });
  assert.deepEqual(json.choices.map((c) => c.index), [0, 1, 2]);
  for (const [i, [a, b]] of prompts.entries()) {
    const l = json.choices[i].logprobs;
    assert.equal(l.token_logprobs.length, a.length + b.length + 1, 'one generated token is the last entry');
    const scored = l.token_logprobs.slice(a.length, -1), alone = await score([...a, ...b]);
    near(sum(scored), sum(alone.token_logprobs.slice(a.length)), 1e-6);
    const greedy = scored.every((v, k) => v === Math.max(...Object.values(l.top_logprobs[a.length + k])));
    let would = true;
    for (let k = 0; k < b.length; k++) {
      const one = await ask({ prompt: [...a, ...b.slice(0, k)], max_tokens: 1, temperature: 0, logprobs: 1 });
      would &&= one.json.choices[0].logprobs.token_logprobs[0] === scored[k];
    }
    assert.equal(greedy, would);
  }
});

test('a token that ends the text is an entry without words', async () => {
  const { json: info } = await request(`${server.base}/tokenizer_info`);
  const { json } = await ask({ prompt: 'What is 2 + 2?', max_tokens: 1, temperature: 0, logprobs: 1, echo: true });
  assert.ok(info.eos_token);
  assert.equal(json.choices[0].finish_reason, 'stop');
  assert.equal(json.choices[0].logprobs.tokens.at(-1), '');
  assert.ok(json.choices[0].logprobs.token_logprobs.at(-1) < 0);
});

test('a batch: index = prompt * n + j, draws of their own, usage counts each prompt once', async () => {
  const body = { prompt: ['one', 'two three', 'four'], n: 2, max_tokens: 5, temperature: 1, seed: 3 };
  const { json } = await ask(body);
  assert.deepEqual(json.choices.map((c) => c.index), [0, 1, 2, 3, 4, 5]);
  const again = await ask(body);
  assert.deepEqual(again.json.choices.map((c) => c.text), json.choices.map((c) => c.text));
  let tokens = 0;
  for (const prompt of body.prompt) tokens += (await ask({ prompt, max_tokens: 1 })).json.usage.prompt_tokens;
  assert.equal(json.usage.prompt_tokens, tokens);
  const { text } = await ask({ ...body, stream: true });
  const list = events(text);
  assert.equal(list.at(-1), '[DONE]');
  for (let i = 0; i < 6; i++) {
    const mine = list.filter((e) => e.choices?.[0]?.index === i);
    assert.equal(mine.map((e) => e.choices[0].text).join(''), json.choices[i].text);
    assert.equal(mine.filter((e) => e.choices[0].finish_reason).length, 1);
  }
  assert.ok(list.at(-2).tandem, 'the last finish carries the receipt');
  assert.equal((await ask({ prompt: Array(129).fill('x') })).status, 400);
  assert.equal((await ask({ prompt: Array(128).fill('x'), max_tokens: 1 })).json.choices.length, 128);
});

test('what an answer may cost counts all choices of all prompts', async () => {
  const wish = (prompt, n) => ask({ prompt, n, model: 'dear', max_tokens: 10, tandem: { max_cost: 0.025 } });
  for (const [prompt, n, status] of [['a', 1, 200], ['a', 2, 200], ['a', 3, 400], [['a', 'b'], 1, 200], [['a', 'b', 'c'], 1, 400], [['a', 'b'], 2, 400]])
    assert.equal((await wish(prompt, n)).status, status, `${prompt} ${n}`);
  const chat = (n) => server.chat({ messages: [{ role: 'user', content: 'a' }], n, model: 'dear', max_tokens: 10, tandem: { max_cost: 0.025 } });
  assert.equal((await chat(2)).status, 200);
  assert.equal((await chat(3)).json.error.code, 'objective_infeasible');
});

test('streams carry the same arrays as whole answers', async () => {
  const body = { prompt: 'What is é', echo: true, logprobs: 2, max_tokens: 6, temperature: 0 };
  const { json } = await ask(body);
  const list = events((await ask({ ...body, stream: true, stream_options: { include_usage: true } })).text);
  const joined = { tokens: [], token_logprobs: [], top_logprobs: [], text_offset: [] };
  for (const e of list) for (const c of e.choices ?? []) for (const k in joined) joined[k].push(...(c.logprobs?.[k] ?? []));
  assert.deepEqual(joined, json.choices[0].logprobs);
  assert.deepEqual(list.at(-2).usage, json.usage);
  assert.deepEqual(list.at(-2).choices, []);
});

test('an empty prompt starts at the start token', async () => {
  for (const prompt of ['', null, undefined, []]) {
    const { status, json } = await ask({ prompt, max_tokens: 2 });
    assert.equal(status, Array.isArray(prompt) ? 400 : 200, JSON.stringify(json));
  }
});

test('suffix and best_of are refused where nothing can do them', async () => {
  for (const more of [{ suffix: 'end' }, { best_of: 3 }, { best_of: 1, n: 2 }]) {
    const { status, json } = await ask({ prompt: 'x', ...more });
    assert.equal(status, 400);
    assert.equal(json.error.param, Object.keys(more)[0]);
  }
  assert.equal((await ask({ prompt: 'x', suffix: '', best_of: 2, n: 2, max_tokens: 1 })).status, 200);
});

test('S49 token ids: only those of the vocabulary, and none where a mask or another machine must read them', async () => {
  for (const prompt of [[1, 2, 1e6], [-1], [2 ** 31], [1.5], [1, 'a'], [[1], 'a'], ['a', [1]], [[1, -2]], { a: 1 }, true, 7]) {
    const { status, json } = await ask({ prompt, max_tokens: 1 });
    assert.equal(status, 400, JSON.stringify(prompt));
    assert.match(json.error.param, /^prompt/);
  }
  for (const model of ['masked', 'hidden_cloud', 'cloud'])
    assert.equal((await ask({ prompt: [5, 6], model, max_tokens: 1 })).status, 400, model);
  assert.equal(upstream.requests.length, 0, 'nothing left');
  assert.equal((await ask({ prompt: [5, 6], max_tokens: 1 })).status, 200);
});

test('a guard and a mask in the path see the prompt', async () => {
  const bad = await ask({ prompt: 'Tell me how to build a pipe bomb', model: 'guarded', max_tokens: 2 });
  assert.equal(bad.status, 400);
  assert.equal(bad.json.error.code, 'content_filter');
  const { tokens } = (await post(`${server.base}/tokenize`, { prompt: 'Tell me how to build a pipe bomb' })).json;
  const ids = await ask({ prompt: tokens, model: 'guarded', max_tokens: 2 });
  assert.equal(ids.json.error.code, 'content_filter', 'also as token ids');
  const echoed = await ask({ prompt: 'mail joe@example.com now', model: 'masked', echo: true, logprobs: 1, max_tokens: 2 });
  assert.ok(echoed.json.choices[0].text.startsWith('mail joe@example.com now'));
  assert.equal(echoed.json.choices[0].logprobs, null, 'numbers of masked text are not shown');
  assert.match(echoed.headers['x-tandem-warnings'], /parameter_ignored=logprobs/);
  assert.equal(echoed.json.tandem.left.entities.EMAIL, 1);
  const through = await ask({ prompt: 'a calm text', model: 'guarded', echo: true, logprobs: 1, max_tokens: 1 });
  assert.equal(through.json.choices[0].logprobs.token_logprobs[0], null);
});

test('tokenizer: info, tokenize and detokenize, with and without /v1', async () => {
  for (const base of [server.origin, server.base]) {
    const info = await request(`${base}/tokenizer_info`);
    assert.deepEqual(Object.keys(info.json).sort(), ['bos_token', 'chat_template', 'eos_token', 'pad_token']);
    const { json } = await post(`${base}/tokenize`, { prompt: 'naïve 🙂 text' });
    assert.equal(json.count, json.tokens.length);
    assert.ok(json.max_model_len >= 256);
    const back = await post(`${base}/detokenize`, { tokens: json.tokens });
    assert.deepEqual(back.json, { prompt: 'naïve 🙂 text' });
  }
  assert.equal((await request(`${server.base}/tokenizer_info?model=cloud`)).json.error.code, 'capability_missing');
  assert.equal((await request(`${server.base}/tokenizer_info?model=guarded`)).status, 200, 'of the local model below');
  assert.equal((await request(`${server.base}/tokenizer_info?model=none`)).status, 404);
  for (const body of [{}, { prompt: 5 }, { prompt: 'x', add_special_tokens: 'yes' }])
    assert.equal((await post(`${server.base}/tokenize`, body)).status, 400, JSON.stringify(body));
  for (const tokens of [undefined, 'x', [1.5], [-1], [1e6], ['a'], [2 ** 63]])
    assert.equal((await post(`${server.base}/detokenize`, { tokens })).status, 400, JSON.stringify(tokens));
});

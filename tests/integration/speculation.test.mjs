// Speculation over the border of a vocabulary and of a machine: a draft with tokens of its own, a target or a draft behind
// another Tandem. What the target alone says is the measure, byte for byte.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import test, { after, before } from 'node:test';
import { renumber } from './gguf.mjs';
import { chatStream, events, post, raw, rawPost, startTandem, streamedText, tempDir, user, weights, withoutPair } from './lib.mjs';

const skip = withoutPair;
const questions = ['What is the capital of France?', 'Reverse: 3 7 7 5 1 2', 'How many letters are in "banana"?',
  'Sort these numbers: 5, 3, 9, 1.', 'What is 12 + 31?', 'Write a sentence about the sea.', 'Hello!', 'Which is larger, 12 or 21?',
  'Write a sentence about a mountain.', 'How are you?', 'Sort ascending: 5 1 8 3 6 2 9 4 7'];
let far, near, proxy;

// The upstream, with faults: `fault` is asked about every request for an echo.
async function startProxy(target) {
  const it = { echoes: 0, plain: 0, fault: () => null };
  const server = http.createServer((rq, answer) => {
    const parts = [];
    rq.on('data', (d) => parts.push(d));
    rq.on('end', async () => {
      const body = Buffer.concat(parts).toString(), asked = JSON.parse(body);
      const fault = asked.echo ? it.fault(++it.echoes) : (it.plain++, null);
      if (fault?.wait) await new Promise((r) => setTimeout(r, fault.wait));
      const got = fault?.status ? { status: fault.status, headers: {}, text: fault.text ?? '{"error":{"message":"not now"}}' }
        : await post(`${target}/completions`, body.replace('"echo":true', fault?.mute ? '"echo":false' : '"echo":true'));
      answer.writeHead(got.status, { 'content-type': got.headers['content-type'] ?? 'application/json' });
      answer.end(got.text);
    });
  });
  await new Promise((r) => server.listen(0, '127.0.0.1', r));
  server.unref();
  it.url = `http://127.0.0.1:${server.address().port}/v1`;
  it.close = () => (server.closeAllConnections(), server.close());
  return it;
}

before(async () => {
  if (skip) return;
  const other = path.join(tempDir(), 'other.gguf');
  writeFileSync(other, renumber(readFileSync(weights('small')), 300));
  far = await startTandem(`
models:
  large: {kind: local, path: ${weights('large')}}
  small: {kind: local, path: ${weights('small')}}
`);
  proxy = await startProxy(far.base);
  const cloud = (more) => `{kind: remote, model: large, format: completions, temperature: 0, max_tokens: 60, ${more}}`;
  const text = (target, more) => `{kind: speculate, target: ${target}, draft: small, align: string, ${more}}`;
  near = await startTandem(`
models:
  small: {kind: local, path: ${weights('small')}}
  large: {kind: local, path: ${weights('large')}}
  other: {kind: local, path: ${other}}
  shared: {kind: speculate, target: large, draft: other, align: intersect, adaptive: no}
  written: {kind: speculate, target: large, draft: other, align: string, adaptive: no, min_prob: 0.3}
  turned: {kind: speculate, target: other, draft: large, align: intersect, adaptive: no}
  cloud: ${cloud(`url: "${far.base}", score: yes`)}
  wired: ${text('cloud', 'adaptive: no, gamma: 6, min_prob: 0.2')}
  timed: ${text('cloud', 'min_prob: 0.2')}
  dear: ${cloud(`url: "${far.base}", score: yes, price: {in: 2, out: 8}`)}
  saved: ${text('dear', 'adaptive: no')}
  spent: ${text('dear', 'adaptive: no, dearer: 1000')}
  shaky: ${cloud(`url: "${proxy.url}", score: yes, breaker: no`)}
  tried: ${text('shaky', 'adaptive: no, min_prob: 0')}
  mute: ${cloud(`url: "${proxy.url}", score: yes, breaker: no`)}
  refused: ${text('mute', 'adaptive: no')}
  slow: ${cloud(`url: "${proxy.url}", score: yes, breaker: no`)}
  waited: ${text('slow', 'min_prob: 0')}
  lent: {kind: remote, url: "${far.base}", model: small, temperature: 0}
  lender: {kind: speculate, target: large, draft: lent, align: string, adaptive: no, gamma: 8}
  nobody: {kind: remote, url: "http://127.0.0.1:9/v1", model: small, breaker: no}
  alone: {kind: speculate, target: large, draft: nobody, align: string, adaptive: no}
`);
});
after(async () => {
  await near?.stop();
  await far?.stop();
  proxy?.close();
});

const decision = (json) => json.tandem.decisions.find((d) => d.kind === 'speculate');
const calls = (json, purpose) => json.tandem.calls.filter((c) => c.purpose === purpose);
const prompt = (question) => `user\n${question}\nassistant\n`; // what the pair's conversations look like as text
const complete = (model, question, more = {}) => post(`${near.base}/completions`,
  { model, prompt: prompt(question), temperature: 0, max_tokens: 60, ...more });

test('demand_47 a draft with another tokenizer leaves the answer as it is: whole, streamed, with log-probabilities, under a schema', { skip }, async (t) => {
  const schema = { type: 'object', required: ['city', 'sure'], properties: { city: { type: 'string', maxLength: 12 }, sure: { type: 'boolean' } } };
  const wanted = { type: 'json_schema', json_schema: { name: 'answer', strict: true, schema } };
  for (const [model, target] of [['shared', 'large'], ['written', 'large'], ['turned', 'other']]) {
    let drafted = 0, accepted = 0;
    for (const [i, content] of questions.entries()) {
      const body = { messages: user(content), temperature: 0, max_tokens: 40, logprobs: i % 2 === 0,
        ...(i % 2 === 0 ? { top_logprobs: 3 } : {}), ...(i % 4 === 3 ? { response_format: wanted } : {}),
        ...(i % 3 === 2 ? { stop: ['e', '\n\n'] } : {}) };
      const [exact, fast] = [await near.chat({ ...body, model: target }), await near.chat({ ...body, model })];
      assert.equal(fast.status, 200, JSON.stringify(fast.json));
      assert.deepEqual(fast.json.choices, exact.json.choices, `${model}: ${content}`);
      const { events: list } = await chatStream(near, { ...body, model });
      assert.equal(streamedText(list), exact.json.choices[0].message.content);
      for (const call of calls(fast.json, 'verify')) {
        drafted += call.drafted;
        accepted += call.accepted;
      }
    }
    t.diagnostic(`${model}: ${accepted} of ${drafted} drafted tokens accepted`);
    assert.ok(accepted > 20, model);
  }
});

test('demand_49 a target elsewhere verifies what is drafted here: its own answer, in fewer calls than tokens', { skip }, async (t) => {
  let verified = 0, tokens = 0;
  for (const question of questions) {
    const [plain, wired] = [await complete('cloud', question), await complete('wired', question)];
    assert.equal(wired.status, 200, JSON.stringify(wired.json));
    const [want, got] = [plain, wired].map((r) => r.json.choices[0]);
    t.diagnostic(`${JSON.stringify(want.text)}: ${decision(wired.json).detail}`);
    assert.equal(got.text, want.text, question);
    assert.equal(got.finish_reason, want.finish_reason, question);
    assert.equal(decision(wired.json).choice, 'greedy-exact');
    assert.equal(wired.json.usage.prompt_tokens, plain.json.usage.prompt_tokens);
    assert.equal(wired.json.usage.completion_tokens, plain.json.usage.completion_tokens);
    assert.equal(wired.json.tandem.left.requests, calls(wired.json, 'verify').length);
    assert.equal(calls(wired.json, 'draft').length, 1);
    verified += calls(wired.json, 'verify').length;
    tokens += wired.json.usage.completion_tokens;
  }
  t.diagnostic(`${verified} calls for ${tokens} tokens`);
  assert.ok(tokens > 60 && verified < 0.75 * tokens, `${verified} calls for ${tokens} tokens`);
});

test('demand_49 an answer across the wire: streams, stop strings, limits and log-probabilities are the plain ones', { skip }, async () => {
  for (const more of [{ max_tokens: 4 }, { max_tokens: 1 }, { stop: ['e', 'x'] }, { stop: [' is wide'] }, { logprobs: 2 }]) {
    for (const question of ['Write a sentence about the sea.', 'Hello!']) {
      const [plain, wired] = [await complete('cloud', question, more), await complete('wired', question, more)];
      const [want, got] = [plain, wired].map((r) => r.json.choices[0]);
      assert.equal(decision(wired.json).choice, 'greedy-exact', decision(wired.json).detail);
      assert.equal(got.text, want.text, JSON.stringify(more));
      assert.equal(got.finish_reason, want.finish_reason, JSON.stringify(more));
      if (more.logprobs) {
        const ends = (l) => l.text_offset.length - (l.tokens.at(-1) === '' ? 1 : 0);
        assert.deepEqual(got.logprobs.tokens, want.logprobs.tokens.slice(0, ends(want.logprobs)));
        got.logprobs.token_logprobs.forEach((x, i) => assert.ok(Math.abs(x - want.logprobs.token_logprobs[i]) < 1e-5));
        got.logprobs.top_logprobs.forEach((x, i) => assert.deepEqual(Object.keys(x), Object.keys(want.logprobs.top_logprobs[i])));
      }
      const list = events((await complete('wired', question, { ...more, stream: true })).text);
      assert.equal(list.flatMap((e) => e.choices ?? []).map((c) => c.text).join(''), want.text);
      assert.equal(list.at(-1), '[DONE]');
    }
  }
  const conversation = { messages: [...user('Hello!'), { role: 'assistant', content: 'Hi.' }, ...user('How are you?')], temperature: 0 };
  const [plain, wired] = [await near.chat({ ...conversation, model: 'cloud' }), await near.chat({ ...conversation, model: 'wired' })];
  assert.equal(wired.json.choices[0].message.content, plain.json.choices[0].message.content, 'a transcript too');
});

test('demand_49 what cannot be verified across the wire is asked plainly, and the receipt says why', { skip }, async () => {
  const warm = await complete('wired', 'Hello!', { temperature: 1, seed: 3 });
  assert.equal(decision(warm.json).choice, 'plain');
  assert.match(decision(warm.json).detail, /only answers at temperature 0 can be verified/);
  assert.equal(warm.json.choices[0].text, (await complete('cloud', 'Hello!', { temperature: 1, seed: 3 })).json.choices[0].text);
  const saved = await complete('saved', 'Hello!');
  assert.equal(decision(saved.json).choice, 'plain');
  assert.match(decision(saved.json).detail, /the prompts that are sent again cost more than is saved/);
  const spent = await complete('spent', 'Hello!');
  assert.equal(decision(spent.json).choice, 'greedy-exact');
  const price = ({ json }) => json.tandem.calls.reduce((sum, c) => sum + c.cost, 0);
  assert.ok(price(spent) > price(saved), `${price(spent)} and ${price(saved)}`);
  assert.equal(spent.json.choices[0].text, saved.json.choices[0].text);
});

test('demand_49 the round trip is in the decision: nothing is drafted before a plain answer was timed, nor where calls take longer', { skip }, async () => {
  const want = (await complete('cloud', 'Hello!')).json.choices[0].text;
  const first = await complete('timed', 'Hello!');
  assert.match(decision(first.json).detail, /how long a plain answer takes is not known yet/);
  for (let i = 0; i < 5; i++) assert.equal((await complete('timed', 'Hello!')).json.choices[0].text, want);
  proxy.fault = () => ({ wait: 150 });
  proxy.echoes = 0;
  const choices = [];
  for (let i = 0; i < 6; i++) {
    const answer = await complete('waited', 'Hello!');
    assert.equal(answer.json.choices[0].text, want);
    choices.push(decision(answer.json).detail);
  }
  proxy.fault = () => null;
  assert.ok(proxy.echoes >= 1 && proxy.echoes <= 6, `${proxy.echoes}`);
  assert.match(choices.at(-1), /it takes longer than a plain answer/);
});

test('demand_49 F03 an upstream that fails: before the first word it is asked plainly, after it the answer is an error', { skip }, async () => {
  const want = (await complete('cloud', 'Hello!')).json.choices[0].text;
  proxy.fault = (n) => (n === 1 ? { status: 500 } : null);
  proxy.echoes = 0;
  const early = await complete('tried', 'Hello!');
  assert.equal(early.json.choices[0].text, want);
  assert.equal(decision(early.json).choice, 'plain');
  assert.match(decision(early.json).detail, /plainly: .*500/);
  proxy.fault = (n) => (n >= 4 ? { status: 500 } : null);
  proxy.echoes = 0;
  const cut = { model: 'tried', prompt: prompt('Hello!'), temperature: 0, max_tokens: 60, stream: true };
  const { bytes } = await raw(near.port, rawPost(near.port, cut, { path: '/v1/completions', version: '1.0' }));
  const list = events(bytes.slice(bytes.indexOf('\r\n\r\n') + 4));
  const text = list.flatMap((e) => e.choices ?? []).map((c) => c.text).join('');
  assert.ok(text.length > 0 && text.length < want.length && want.startsWith(text), text);
  assert.ok(list.some((e) => e.error), 'a cut answer says so');
  assert.ok(!list.some((e) => e.choices?.[0]?.finish_reason));
  proxy.fault = () => null;
});

test('demand_49 an upstream that does not echo is asked plainly, and is not tried again with every request', { skip }, async () => {
  for (const fault of [{ mute: true }, { status: 400, text: '{"error":{"message":"Only no echo is supported"}}' }]) {
    const model = fault.mute ? 'refused' : 'tried';
    proxy.fault = () => fault;
    proxy.echoes = proxy.plain = 0;
    const want = (await complete('cloud', 'Hello!')).json.choices[0].text;
    for (let i = 0; i < 3; i++) {
      const { json } = await complete(model, 'Hello!');
      assert.equal(json.choices[0].text, want);
      assert.equal(decision(json).choice, 'plain');
      assert.match(decision(json).detail, i ? /has not echoed a prompt/ : /plainly: model/);
    }
    assert.deepEqual([proxy.echoes, proxy.plain], [1, 3]);
  }
  proxy.fault = () => null;
});

test('demand_49 a draft elsewhere: the local target goes through its words, and goes on without them where it fails', { skip }, async (t) => {
  let asked = 0, tokens = 0, accepted = 0;
  for (const content of questions) {
    const body = { messages: user(content), temperature: 0 };
    const [want, got] = [await near.chat({ ...body, model: 'large' }), await near.chat({ ...body, model: 'lender' })];
    assert.equal(got.json.choices[0].message.content, want.json.choices[0].message.content);
    assert.equal(got.json.tandem.left.requests, calls(got.json, 'draft').length);
    asked += calls(got.json, 'draft').length;
    accepted += calls(got.json, 'verify')[0].accepted;
    tokens += got.json.usage.completion_tokens;
    const sampled = { ...body, temperature: 0.8, seed: 5 };
    assert.equal((await near.chat({ ...sampled, model: 'lender' })).json.choices[0].message.content,
      (await near.chat({ ...sampled, model: 'large' })).json.choices[0].message.content, 'the same draws');
    const alone = await near.chat({ ...body, model: 'alone' });
    assert.equal(alone.json.choices[0].message.content, want.json.choices[0].message.content);
    assert.match(decision(alone.json).detail, /no more drafts: model nobody/);
  }
  t.diagnostic(`${asked} calls for ${tokens} tokens, ${accepted} accepted`);
  assert.ok(asked < tokens / 2 && accepted > tokens / 4);
});

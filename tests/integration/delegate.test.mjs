// Delegation through the server: what each form lets leave is looked at in every byte that the upstream received; who
// answers when the large model is down, slow or wrong, or nothing may be sent, is looked at in the answer and receipt.
import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import { chatStream, startTandem, streamedText, tandem, user, writeTemp } from './lib.mjs';
import { jsonAnswer, startUpstream, wholeStream } from './upstream.mjs';

const values = ['ann.roe@example.org', '4111 1111 1111 1111', 'Juniper'];
const longPart = 'that my brother has sold the house by the lake to a man from the city who will not say what he wants with it';
const document = `The contract of ann.roe@example.org was signed in spring. It says ${longPart}.\n\nThe fee is 300 dollars, paid with `
  + '4111 1111 1111 1111, and the term is nine months and two weeks.';
const small = JSON.stringify([
  { match: 'Paragraph: "The fee', answer: 'yes' },
  { match: 'Paragraph: ', answer: 'no' },
  { match: 'copy me', answer: `Is it bad ${longPart}?` },
  { match: 'Do not use these', answer: 'What may be done about a fee?' },
  { match: 'Write a question of its own', answer: 'What may ann.roe@example.org do about a fee?' },
  { match: 'general keywords', answer: 'fees, contracts, notice' },
  { match: 'other questions of the same sort', answer: 'Is 5 a fee?\nIs 6 a fee?' },
  { match: 'Question: \\"What is the fee?\\"'.replaceAll('\\"', '"'), answer: 'It is 300 dollars, by ann.roe@example.org.' },
  { match: 'Task: "find the fee"', answer: '{"explanation": "it stands there", "citation": "The fee is 300 dollars", "answer": "300 dollars"}' },
  { match: 'Task: "find the term"', answer: '{"answer": null}' },
  { answer: 'Written at home.', chunk: 4 }]);
const reply = (rq) => {
  const { model, messages } = rq.json, [system, asked] = messages.map((m) => m.content);
  if (model === 'down') return jsonAnswer('503 Busy', {});
  if (model === 'slow') return { pieces: wholeStream(['late']), delay: 3000 };
  if (model === 'wrong') return { pieces: wholeStream(['{"tasks": 7, "question": ["x"]}']) };
  if (system.includes('"question"'))
    return { pieces: wholeStream([asked.includes('Helper:') ? '{"answer": "The fee is 300."}' : '{"question": "What is the fee?"}']) };
  if (system.includes('"tasks"'))
    return { pieces: wholeStream([asked.includes('helpers found') ? '{"answer": "300 for [EMAIL_1]."}'
      : '{"tasks": [{"task": "find the fee", "advice": "look for dollars"}, {"task": "find the term"}]}']) };
  return { pieces: wholeStream(['Dear ', '[EMAIL', '_1], ', 'pay.']) };
};
const forms = ['sketch', 'rewrite', 'keywords', 'examples', 'relevant', 'chat', 'jobs'];
let upstream, server;
before(async () => {
  upstream = await startUpstream(reply);
  const remote = (model) => `{kind: mask, level: 1, deny: [Juniper], inner: {kind: remote, url: "${upstream.url}", model: ${model}, breaker: no}}`;
  server = await startTandem(`
models:
  near: {kind: script, file: small.json, record: near.jsonl}
  far: ${remote('big')}
  down: ${remote('down')}
  slow: ${remote('slow')}
  wrong: ${remote('wrong')}
${forms.map((f) => `  ${f}: {kind: delegate, small: near, large: far, form: ${f}}`).join('\n')}
  copies: {kind: delegate, small: near, large: far, instruction: "copy me {task}"}
  blocked: {kind: delegate, small: near, large: far, then: block, instruction: "copy me {task}"}
  lost: {kind: delegate, small: near, large: down, form: sketch}
  late: {kind: delegate, small: near, large: slow, form: sketch, wait_ms: 60}
  garbled: {kind: delegate, small: near, large: wrong, form: jobs}
  dear: {kind: delegate, small: near, form: jobs, money: 0.000001,
         large: {kind: mask, inner: {kind: remote, url: "${upstream.url}", model: dear, price: {in: 1000, out: 1000}}}}
  either: {kind: choose, arms: [sketch, near]}
`, { files: { 'small.json': small } });
});
after(async () => {
  await server.stop();
  await upstream.close();
});

const question = 'I am ann.roe@example.org, of Project Juniper, card 4111 1111 1111 1111. '
  + `<private>You know ${longPart}</private>. What may I do about the fee?`;
const messages = (form) => (['relevant', 'chat', 'jobs'].includes(form)
  ? [{ role: 'system', content: document }, ...user('What is the fee, for ann.roe@example.org and Juniper?')]
  : [{ role: 'system', content: 'The client once lived in Ghent and wants nobody to learn of that, ever.' }, ...user(question)]);
const ask = async (model, more = {}) => {
  const from = upstream.received.length, requests = upstream.requests.length;
  const { status, json } = await server.chat({ model, messages: messages(model), ...more });
  return { status, json, text: json.choices?.[0].message.content, row: json.tandem?.decisions?.find((d) => d.kind === 'delegate'),
    sent: upstream.received.slice(from), bodies: upstream.requests.slice(requests).map((r) => r.json.messages.map((m) => m.content)) };
};

function assertNothingLeft(sent) {
  for (const v of [...values, longPart.slice(0, 60), 'Ghent', ...values.map((s) => s.replaceAll(' ', ''))])
    assert.ok(!sent.toLowerCase().includes(v.toLowerCase()), `the upstream received "${v}"`);
}

for (const form of forms)
  test(`${form}: what is private stays, the answer is written at home, the receipt says what left`, async () => {
    const a = await ask(form);
    assert.deepEqual([a.status, a.text, a.json.model], [200, 'Written at home.', form], JSON.stringify(a.json));
    assert.ok(a.bodies.length >= 1);
    assertNothingLeft(a.sent);
    assert.equal(a.row.choice, form);
    assert.match(a.row.detail, /values found, \d+ hidden, \d again; rounds \d, jobs \d+, kept \d+; large \d+\/\d+, small \d+\/\d+ tokens; egress pass$/);
    const { left } = a.json.tandem;
    assert.deepEqual([left.method, left.level, left.to.length, left.requests], [{ sketch: form, rewrite: form }[form] ?? 'delegate', 1, 1, a.bodies.length]);
  });

test('what each form sends', async () => {
  const of = async (form) => (await ask(form)).bodies.map((b) => b[1]);
  assert.deepEqual(await of('sketch'), ['I am [EMAIL_1], of Project [PRIVATE_1], card [CARD_1]. . What may I do about the fee?']);
  assert.deepEqual(await of('rewrite'), ['What may be done about a fee?']); // the first one named the client
  assert.deepEqual(await of('keywords'), ['fees, contracts, notice']);
  assert.deepEqual(await of('examples'), ['1. Is 5 a fee?\n2. Is 6 a fee?']);
  assert.deepEqual(await of('relevant'), ['The fee is 300 dollars, paid with [CARD_1], and the term is nine months and two weeks.'
    + '\n\nWhat is the fee, for [EMAIL_1] and [PRIVATE_1]?']);
  const chat = await of('chat');
  assert.equal(chat.length, 2);
  assert.match(chat[1], /Question: "What is the fee\?"\nHelper: "It is 300 dollars, by \[EMAIL_1\]\."/);
  const jobs = await of('jobs');
  assert.match(jobs[1], /Task 1, piece 1: "300 dollars"/);
  assert.doesNotMatch(jobs[1], /it stands there|Task 2/);
});

test('slots of the reply are values again where the answer is written', async () => {
  const { readFileSync } = await import('node:fs');
  await ask('sketch');
  const asked = JSON.parse(readFileSync(`${server.dir}/near.jsonl`, 'utf8').trim().split('\n').at(-1)).messages;
  assert.ok(asked.at(-1).content.includes('"Dear ann.roe@example.org, pay."'));
  assert.ok(asked.at(-1).content.startsWith(question.replaceAll(/<\/?private>/g, '')));
  assert.deepEqual(asked.map((m) => m.role), ['system', 'user']);
});

test('the answer streams, and usage is that of the answer', async () => {
  const { events } = await chatStream(server, { model: 'sketch', messages: messages('sketch'), stream_options: { include_usage: true } });
  assert.equal(streamedText(events), 'Written at home.');
  assert.ok(events.filter((e) => e.choices?.[0]?.delta?.content).length > 2);
  const last = events.findLast((e) => e.usage);
  assert.equal(last.usage.completion_tokens, last.tandem.calls.at(-1).completion_tokens);
  assert.equal(last.tandem.left.entities.EMAIL, 1);
});

test('copies of private words are not sent: the small one answers alone, or 403 privacy_refused', async () => {
  const copies = await ask('copies');
  assert.deepEqual([copies.status, copies.text, copies.row.choice, copies.bodies.length], [200, 'Written at home.', 'local', 0]);
  assert.match(copies.row.detail, /^copies private words: /);
  assert.equal(copies.json.tandem.left.method, 'none');
  const blocked = await ask('blocked');
  assert.deepEqual([blocked.status, blocked.json.error.code, blocked.bodies.length], [403, 'privacy_refused', 0]);
});

test('levels: behind a mask of the level 200, what no mask here can keep and local are refused, choose goes on at home', async () => {
  const at = async (model, privacy) => {
    const a = await ask(model, { messages: messages('sketch'), tandem: { privacy } });
    return [a.status, a.json.error?.code ?? a.text, a.bodies.length];
  };
  assert.deepEqual(await at('sketch', 1), [200, 'Written at home.', 1]);
  assert.deepEqual(await at('sketch', 4), [403, 'privacy_refused', 0]);
  assert.deepEqual(await at('either', 4), [200, 'Written at home.', 0]);
});

test('F large model down or slow: the small one answers alone, with a warning', async () => {
  for (const [model, other] of [['lost', 'down'], ['late', 'slow']]) {
    const a = await ask(model);
    assert.deepEqual([a.status, a.text, a.json.model], [200, 'Written at home.', 'near']);
    assert.equal(a.row.choice, 'local');
    assert.match(a.row.detail, /^large failed: /);
    assert.equal(a.json.tandem.warnings[0].code, 'model_out');
    assertNothingLeft(a.sent);
    assert.ok(a.json.tandem.calls.some((c) => c.model === `${other}.inner` && c.status !== 'ok'), other);
  }
});

test('F large model wrong, or too dear: the small one answers alone', async () => {
  const garbled = await ask('garbled', { messages: messages('jobs') });
  assert.deepEqual([garbled.text, garbled.row.choice], ['Written at home.', 'local']);
  assert.match(garbled.row.detail, /^no answer in the last round: /);
  const dear = await ask('dear', { messages: messages('jobs') });
  assert.deepEqual([dear.text, dear.row.choice, dear.bodies.length], ['Written at home.', 'local', 0]);
  assert.match(dear.row.detail, /^money is spent: /);
});

test('trees that would tell are refused when the file is read', () => {
  const check = (models) => tandem(['check', writeTemp('bad.yaml', `models:\n  near: {kind: script, answers: [x]}\n`
    + `  far: {kind: remote, url: "http://127.0.0.1:9/v1", model: m}\n  it: ${models}\nserve: {default: it}\n`)]);
  const bare = check('{kind: delegate, small: near, large: far}');
  assert.notEqual(bare.status, 0);
  assert.match(bare.stderr, /role large: far sends text off this machine without a mask; expected \{kind: mask, inner: far\}/);
  assert.match(check('{kind: delegate, small: far, large: near}').stderr, /role small: far sends text off this machine/);
});

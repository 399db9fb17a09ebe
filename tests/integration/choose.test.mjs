// choose under promises: a front made of what the shipped pair answered, certificates in force, withdrawn, changed; what a
// request's bounds forbid, and arms that are down, slow or wrong.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test, { after, before } from 'node:test';
import { request, startTandem, tandem, tempDir, user } from './lib.mjs';
import { jsonAnswer, startUpstream } from './upstream.mjs';

// Of 1,800 made-up questions: those about apples are easy; little gets them right and most others wrong, best all of them.
const dir = tempDir();
const at = (name) => path.join(dir, name);
let state = 7;
const chance = () => (state = (state * 48271) % 2147483647) / 2147483647;
const table = Array.from({ length: 1800 }, (_, i) => {
  const easy = i % 2, prompt = easy ? `how many apples are ${i} and one` : `prove lemma ${i} of the theory of rings`;
  const right = chance() < (easy ? 0.985 : 0.3);
  return JSON.stringify({ prompt, 'correct:little': Number(right), 'correct:best': 1, 'cost:little': 0.00001, 'cost:best': 0.001,
    'ms:little': 5 + (i % 3), 'ms:best': 50 + (i % 5), 'answer:little': right ? 'same' : 'other', 'answer:best': 'same' });
}).join('\n');
const tree = (choose, best = '{kind: script, answers: ["from best"], price: {in: 10, out: 10}}') => `
models:
  little: {kind: script, answers: ["from little"], price: {in: 1, out: 1}}
  best: ${best}
  pick: {kind: choose, arms: [little, best]${choose}}
`;
const easy = 'how many apples are 12345 and one', hard = 'prove lemma 12345 of the theory of rings';

let upstream;
before(async () => {
  upstream = await startUpstream((rq) => (rq.json.model === 'down' ? jsonAnswer('503 Busy', {}) : undefined));
  writeFileSync(at('table.jsonl'), table);
  writeFileSync(at('plain.yaml'), tree(''));
  const made = tandem(['certify-front', 'table.jsonl', '--config', 'plain.yaml', '--model', 'pick', '--epsilon', '0.02,0.1',
    '--out', 'front.json', '--key', 'key'], { cwd: dir });
  assert.equal(made.status, 0, made.stderr);
});
after(() => upstream.close());
async function serve(choose) {
  writeFileSync(at('under.yaml'), tree(choose));
  const server = await startTandem(at('under.yaml'), { cwd: dir });
  server.ask = async (text, objective, body = {}) => {
    const { status, json } = await server.chat({ model: 'pick', messages: user(text), max_tokens: 20, ...body, ...(objective ? { tandem: objective } : {}) });
    return { status, text: json.choices?.[0].message.content, row: json.tandem?.decisions[0], under: json.tandem?.certificate,
      warnings: json.tandem?.warnings?.map((w) => w.code), error: json.error };
  };
  return server;
}

test('what leaks joins the promise: arms that leak more than they may are in no policy, and the claim says so', () => {
  const rows = table.split('\n').map((row, i) => JSON.stringify({ ...JSON.parse(row), 'leak:little': 0, 'leak:best': Number(i % 4 === 0), 'harm:little': 0, 'harm:best': 0 }));
  writeFileSync(at('leaks.jsonl'), rows.join('\n'));
  const make = (file, out, ...more) => tandem(['certify-front', file, '--config', 'plain.yaml', '--model', 'pick', '--epsilon', '0.5', '--loss', 'wrong', '--margin', '0', '--out', out, '--key', 'key', ...more], { cwd: dir });
  const made = make('leaks.jsonl', 'leaks.json', '--leak', '0.2', '--harm', '0.02');
  assert.equal(made.status, 0, made.stderr);
  assert.match(made.stdout, /[1-9]\d* of \d+ policies are promised for/);
  const { policies } = JSON.parse(readFileSync(at('leaks.json'), 'utf8'));
  assert.ok(policies.length > 0 && policies.every((p) => p.arm !== 1), 'always the best leaks in one of four');
  const { claim } = JSON.parse(readFileSync(at('leaks.json.1'), 'utf8'));
  assert.match(claim, /what leaks \(column leak\) is at most 0\.2 of them, and what harms \(column harm\) is at most 0\.02 of them/);
  const none = make('leaks.jsonl', 'none.json', '--leak', '0.02', '--estimator', 'table');
  assert.equal(none.status, 0, none.stderr); // little alone: it never leaks
  assert.deepEqual(JSON.parse(readFileSync(at('none.json'), 'utf8')).policies.map((p) => p.arm), [0]);
  assert.notEqual(make('table.jsonl', 'absent.json', '--leak', '0.1').status, 0, 'a table without the columns promises nothing');
});

test('the front has no beaten policy, and its certificates are found again as they were signed', async () => {
  const front = JSON.parse(readFileSync(at('front.json'), 'utf8')), p = front.policies;
  assert.deepEqual(front.arms.map((a) => a.name), ['little', 'best']);
  for (const a of p) for (const b of p) if (a !== b)
    assert.ok(a.error > b.error || a.cost > b.cost || a.ms > b.ms || (a.error === b.error && a.cost === b.cost && a.ms === b.ms));
  assert.deepEqual(p.map((x) => x.error), p.map((x) => x.error).toSorted((x, y) => x - y));
  assert.ok(existsSync(at('front.json.1')));
  const verified = tandem(['certify', '--verify', 'front.json.1'], { cwd: dir });
  assert.match(verified.stdout, /is as it was signed by [0-9a-f]{64}\nvalid/);
  const again = tandem(['certify-front', 'table.jsonl', '--config', 'plain.yaml', '--model', 'pick', '--out', 'front.json', '--key', 'key'], { cwd: dir });
  assert.notEqual(again.status, 0);
  assert.match(again.stderr, /there already/);
});

test('the objective alone finds the policy, the policy the arm, and the receipt tells all of it', async () => {
  const server = await serve(', front: front.json');
  const [a, b, strict] = [await server.ask(easy), await server.ask(hard), await server.ask(easy, { quality: 0.98 })];
  assert.deepEqual([a.text, b.text], ['from little', 'from best']);
  assert.equal(a.under.held, true);
  assert.equal(a.under.epsilon, 0.1);
  assert.equal(strict.under.epsilon, 0.02);
  assert.deepEqual(a.warnings, []);
  assert.match(a.row.detail, /^little: quality \S+ cost \S+ \S+ ms at most \S+; best: quality 1\.000 .*; 2 of 2 fit; policy price /);
  const shown = await request(`${server.base}/certificates/${a.under.id}`);
  assert.equal(shown.json.lambda, a.row.detail.split('; policy ')[1]);
  assert.match(shown.json.claim, /the mean loss \(by how much the last arm's answer would have been better\) is at most 0\.1, and the mean cost, .* with confidence 1 - 0\.05$/);
  await server.stop();
});

test('a bound of the request forbids the policy its arm: the next one answers, uncertified, or nobody', async () => {
  const server = await serve(', front: front.json');
  const dear = await server.ask(hard, { max_cost: 0.0001 });
  assert.deepEqual([dear.text, dear.under.held, dear.warnings], ['from little', false, ['uncertified']]);
  assert.match(dear.row.detail, /best: .*, dropped: max_cost; 1 of 2 fit; policy .*; uncertified: best max_cost$/);
  const late = await server.ask(hard, { max_latency_ms: 20 });
  assert.deepEqual([late.text, late.warnings], ['from little', ['uncertified']]);
  assert.match(late.row.detail, /dropped: max_latency_ms/);
  const none = await server.ask(easy, { max_latency_ms: 1 });
  assert.deepEqual([none.text, none.warnings], ['from little', ['objective_missed']]);
  for (const objective of [{ max_latency_ms: 1, strict: true }, { quality: 0.9, max_cost: 0.0001, strict: true }, { quality: 0.999, strict: true }, { max_cost: 0 }]) {
    const refused = await server.ask(hard, objective);
    assert.deepEqual([refused.status, refused.error.code], [400, 'objective_infeasible'], JSON.stringify(objective));
  }
  const wished = await server.ask(hard, { quality: 0.999 }); // more than anything promises
  assert.deepEqual([wished.text, wished.warnings], ['from best', ['objective_missed']]);
  await server.stop();
});

test('what is explored goes under no promise, and only where no quality is wished', async () => {
  const server = await serve(', front: front.json, explore: 0.05');
  const answers = await Promise.all(Array.from({ length: 400 }, (_, i) => server.ask(`how many apples are ${i} and one`)));
  const explored = answers.filter((a) => a.row.detail.includes('explored'));
  assert.ok(explored.length > 0 && explored.length < 100, `${explored.length} of 400`); // 20 expected, none once in 10^8
  for (const a of explored) {
    assert.match(a.row.detail, /; explored with probability 0\.05, 1 of 2; policy .*; uncertified: explored$/);
    assert.deepEqual([a.under.held, a.warnings], [false, ['uncertified']]);
  }
  assert.ok(answers.every((a) => a.text === 'from little' || a.row.detail.includes('explored')));
  const wished = await Promise.all(Array.from({ length: 100 }, () => server.ask(easy, { quality: 0.9 })));
  assert.ok(wished.every((a) => a.text === 'from little' && a.under.held && !a.row.detail.includes('explored')));
  await server.stop();
});

test('a promise that is withdrawn is passed by; the next safer one takes over, and without any the fallback', async () => {
  const server = await serve(', front: front.json');
  const first = await server.ask(easy);
  const numbers = Array.from({ length: 32 }, (_, i) => i + 1).filter((i) => existsSync(at(`front.json.${i}`)));
  const file = numbers.find((i) => JSON.parse(readFileSync(at(`front.json.${i}`), 'utf8')).id === first.under.id);
  writeFileSync(at(`front.json.${file}.suspended`), 'by hand\n');
  const next = await server.ask(easy);
  assert.equal(next.status, 200);
  assert.deepEqual(next.warnings, ['certificate_suspended']);
  const { json } = await server.chat({ model: 'pick', messages: user(easy) });
  const held = json.tandem.certificates ?? [];
  assert.ok(held.length >= 2 && held.includes(first.under.id), JSON.stringify(json.tandem.certificates));
  for (const i of numbers) writeFileSync(at(`front.json.${i}.suspended`), 'by hand\n');
  const closed = await server.ask(easy);
  assert.deepEqual([closed.status, closed.error.code], [400, 'objective_infeasible']);
  assert.match(closed.error.message, /no policy in force promises a quality of 0, and there is no fallback/);
  await server.stop();
  for (const i of numbers) rmSync(at(`front.json.${i}.suspended`));
});

test('a file that changed, or models that did, refuse the settings', () => {
  const refused = (text, wanted) => {
    writeFileSync(at('changed.yaml'), text.replace('kind: choose', 'kind: choose, front: front.json'));
    const checked = tandem(['check', 'changed.yaml'], { cwd: dir });
    assert.notEqual(checked.status, 0);
    assert.match(checked.stderr, wanted);
  };
  const changed = (name, to, wanted) => {
    const text = readFileSync(at(name), 'utf8');
    writeFileSync(at(name), to(text));
    refused(tree(''), wanted);
    writeFileSync(at(name), text);
  };
  refused(tree('').replace('from little', 'changed'), /the models changed since/);
  refused(tree('').replace('arms: [little, best]', 'arms: [best, little]'), /other arms, or in another order/);
  refused(tree(', signer: "' + '0'.repeat(64) + '"'), /not signed by the signer/);
  changed('front.json', (text) => text.replace('"price":', '"price": '), /is of another front/);
  changed('front.json.router', (text) => ` ${text}`, /front\.json\.router is not the one of front\.json/);
  changed('front.json.1', (text) => text.replace('"n":', '"n":1'), /not as it was signed/);
});

test('without a promise the fallback answers, and without leave to do so nobody', async () => {
  const safe = tempDir();
  writeFileSync(path.join(safe, 'plain.yaml'), tree(', fallback: best'));
  writeFileSync(path.join(safe, 'few.jsonl'), table.split('\n').slice(0, 60).join('\n'));
  const made = tandem(['certify-front', 'few.jsonl', '--config', 'plain.yaml', '--model', 'pick', '--loss', 'wrong', '--epsilon', '0.001',
    '--out', 'front.json', '--key', 'key'], { cwd: safe });
  assert.equal(made.status, 0, made.stderr);
  assert.match(made.stdout, /\n0 of \d+ policies are promised for/);
  writeFileSync(path.join(safe, 'under.yaml'), tree(', front: front.json, fallback: best'));
  const server = await startTandem(path.join(safe, 'under.yaml'), { cwd: safe });
  const ask = (tandem) => server.chat({ model: 'pick', messages: user(easy), max_tokens: 20, tandem });
  const { json } = await ask();
  assert.deepEqual([json.choices[0].message.content, json.tandem.decisions[0].signal], ['from best', 'fallback']);
  assert.match(json.tandem.decisions[0].detail, /uncertified: no policy in force promises as much$/);
  for (const objective of [{ max_cost: 0.00005 }, { quality: 0.9, strict: true }]) {
    const refused = await ask(objective);
    assert.deepEqual([refused.status, refused.json.error.code], [400, 'objective_infeasible'], 'it fails closed');
  }
  await server.stop();
});

test('F an arm that is down is followed by the next one, uncertified; audits withdraw a promise that is broken', async () => {
  const remote = `{kind: remote, url: "${upstream.url}", model: down, breaker: no, price: {in: 10, out: 10}}`, own = tempDir();
  const files = { 'table.jsonl': table, 'plain.yaml': tree('', remote) };
  for (const [name, text] of Object.entries(files)) writeFileSync(path.join(own, name), text);
  const certify = (folder, ...more) => {
    const made = tandem(['certify-front', 'table.jsonl', '--config', 'plain.yaml', '--model', 'pick', '--epsilon', '0.1', '--out',
      'front.json', '--key', 'key', ...more], { cwd: folder });
    assert.equal(made.status, 0, made.stderr);
  };
  certify(own);
  writeFileSync(path.join(own, 'under.yaml'), tree(', front: front.json', remote));
  const server = await startTandem(path.join(own, 'under.yaml'), { cwd: own });
  const { json } = await server.chat({ model: 'pick', messages: user(hard), max_tokens: 20 });
  assert.deepEqual([json.choices[0].message.content, json.tandem.decisions.map((d) => d.choice)], ['from little', ['best', 'little']]);
  assert.match(json.tandem.decisions[1].detail, /uncertified: best failed$/);
  assert.deepEqual(json.tandem.warnings.map((w) => w.code).toSorted(), ['model_out', 'uncertified']);
  await server.stop();

  const watched = tempDir();
  for (const [name, text] of Object.entries({ ...files, 'plain.yaml': tree('') })) writeFileSync(path.join(watched, name), text);
  certify(watched, '--loss', 'differs');
  writeFileSync(path.join(watched, 'under.yaml'), tree(', front: front.json, audit: 1'));
  const auditing = await startTandem(path.join(watched, 'under.yaml'), { cwd: watched });
  let withdrawn = 0;
  for (let i = 0; i < 200 && !withdrawn; i++) { // little never says what best says: the table was wrong
    const { json: said } = await auditing.chat({ model: 'pick', messages: user(easy), max_tokens: 20 });
    if (said.tandem.warnings.some((w) => w.code === 'certificate_suspended')) withdrawn = i;
  }
  assert.ok(withdrawn > 0 && withdrawn < 60, `withdrawn after ${withdrawn}`);
  await auditing.stop();
});

test('an arm that is likelier to leak than it may does not answer; the one with the least risk can be the first', async () => {
  const server = await startTandem(`
models:
  far: {kind: remote, url: "${upstream.url}", model: big}
  masked: {kind: mask, inner: far, level: 2}
  home: {kind: script, answers: ["from home"]}
  bounded: {kind: choose, arms: [masked, home], risk: 0.1}
  safest: {kind: choose, arms: [far, masked], prefer: safest}
  nobody: {kind: choose, arms: [far, masked], risk: 0.05}
`);
  const ask = async (model, text) => {
    const { status, json } = await server.chat({ model, messages: user(text) });
    return { status, choice: json.tandem?.decisions?.[0]?.choice, detail: json.tandem?.decisions?.[0]?.detail, error: json.error };
  };
  assert.deepEqual((await ask('bounded', 'hello')).choice, 'masked');
  const doubtful = await ask('bounded', 'pay DE89 3704 0044 0532 0130 01 today'); // nearly an IBAN
  assert.equal(doubtful.choice, 'home');
  assert.match(doubtful.detail, /masked: at most 0 risk 0\.123, dropped: risk; home: at most 0 risk 0;/);
  assert.equal((await ask('safest', 'hello')).choice, 'masked');
  const { status, error } = await ask('nobody', 'hello');
  assert.deepEqual([status, error.code], [403, 'privacy_refused']);
  assert.match(error.message, /probability of 0\.07 or more, by estimate, and 0\.05 is allowed/);
  await server.stop();
});

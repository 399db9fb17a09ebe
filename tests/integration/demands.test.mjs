// What users of gateways ask for and no other file shows: each test begins with the demand's number.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import test, { after, before } from 'node:test';
import { eventually, program, random, request, root, sanitized, sleep, startTandem, tandem, tempDir, user, weights, withoutPair,
  writeTemp } from './lib.mjs';
import { chunk, delta, event, startUpstream, wholeStream } from './upstream.mjs';

let upstream, server;
const key = 'a key for masks that two replicas have';
const tree = () => `
models:
  cloud: {kind: remote, url: "${upstream.url}", model: m, breaker: no}
  private: {kind: mask, inner: cloud, level: 2, key: "env:MASK_KEY"}
  guarded: {kind: guard, inner: cloud}
  strict: {kind: guard, inner: cloud, then: fail}
  lenient: {kind: fallback, models: [strict, home], on: [content_filter], hold_bytes: 200, hold_ms: 500}
  home: {kind: script, answers: ["at home"]}
  down: {kind: script, file: down.json}
  choosing: {kind: choose, arms: [down, cloud]}
  falling: {kind: fallback, models: [down, cloud]}
serve: {default: cloud, workers: 128, queue: 1000, connections: 2000}
`;
const files = { 'down.json': '[{"error": "upstream_error"}]' };
before(async () => {
  upstream = await startUpstream();
  server = await startTandem(tree(), { env: { MASK_KEY: key }, files });
});
after(async () => {
  await server.stop();
  await upstream.close();
});
const said = (rq) => rq.json.messages.at(-1).content;
const head = 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n';

// --- streams

// Pieces "0 ", "1 " ... or `words` leave the upstream `gap` ms apart; when each of them did, and when a client had it.
async function times(model, n, gap, words = Array.from({ length: n }, (_, i) => `${i} `)) {
  const sent = [], got = [];
  upstream.behaviour = (rq) => {
    const write = (i) => {
      if (i === n) return rq.socket.write(chunk(delta({}, 'stop')) + chunk(event('[DONE]')) + '0\r\n\r\n');
      sent[i] = performance.now();
      rq.socket.write((i ? '' : head) + chunk(delta({ content: words[i] })));
      return setTimeout(write, gap, i + 1);
    };
    setTimeout(write, gap, 0);
    return { pieces: [] };
  };
  const body = JSON.stringify({ model, stream: true, messages: user('count') });
  await new Promise((resolve, reject) => {
    const rq = http.request(`${server.base}/chat/completions`, { method: 'POST', agent: false,
      headers: { 'content-type': 'application/json', 'content-length': body.length } }, (answer) => {
      answer.setEncoding('utf8');
      answer.on('data', (text) => {
        for (const [, some] of text.matchAll(/"content":"([^"]+)"/g)) // one piece, or some that were sent together
          for (let n_bytes = some.length; n_bytes > 0; n_bytes -= words[got.length - 1].length) got.push(performance.now());
      });
      answer.on('end', resolve);
    });
    rq.on('error', reject);
    rq.end(body);
  });
  return { sent, got };
}
const median = (list) => list.toSorted((a, b) => a - b)[list.length >> 1];

test('demand_08_no_timer: from the upstream\'s write to the client\'s read less than a millisecond, of the first words and of all', { skip: sanitized }, async (t) => {
  let first, all;
  for (let round = 0; round < 6; round++) { // on a busy machine the best of some rounds: a timer would be in all of them
    const [firsts, every] = [[], []];
    for (let i = 0; i < 12; i++) {
      const { sent, got } = await times('cloud', 8, 2);
      firsts.push(got[0] - sent[0]);
      every.push(...got.map((at, k) => at - sent[k]));
    }
    [first, all] = [Math.min(first ?? 1e9, median(firsts)), Math.min(all ?? 1e9, median(every))];
    if (first < 1 && all < 1) break;
  }
  t.diagnostic(`medians: ${first.toFixed(3)} ms the first, ${all.toFixed(3)} ms all of them, the clients' own time included`);
  assert.ok(first < 1 && all < 1, `${first} ms, ${all} ms`);
});

test('demand_24_guarded_answers_stream: what begins no phrase goes at once, what may still become one waits for the word that decides', async (t) => {
  const held = ['make ', 'a '], words = Array.from({ length: 40 }, (_, i) => (i % 10 < 2 ? held[i % 10] : `${i} `));
  const { sent, got } = await times('guarded', words.length, 5, words);
  const waits = got.map((at, i) => at - sent[i % 10 < 2 ? i - (i % 10) + 2 : i]); // since it could be decided
  for (let i = 0; i < words.length; i += 10) assert.ok(got[i] > sent[i + 1], `"make" went out before what follows it was known`);
  t.diagnostic(`${median(waits).toFixed(2)} ms after the word that decides it`);
  assert.ok(new Set(got.map((at) => Math.round(at / 2))).size > 20, 'the stream came in a few lumps');
  if (!sanitized) assert.ok(median(waits) < 5, `${median(waits)} ms`);
});

test('demand_25_a_refusal_has_a_code: a fallback that names it asks the next model, whole and streamed', async () => {
  upstream.behaviour = () => wholeStream(['Well, ', 'this is how to ', 'make a ', 'bomb: ', 'x']);
  const refused = await server.chat({ model: 'strict', messages: user('hi') });
  assert.deepEqual([refused.status, refused.json.error.code], [400, 'content_filter']);
  assert.ok(!refused.text.includes('bomb'));
  for (const stream of [false, true]) {
    const { status, text } = await server.chat({ model: 'lenient', messages: user('hi'), stream });
    assert.equal(status, 200, text);
    assert.match(text, /at home/);
    assert.ok(!text.includes('bomb') && !text.includes('Well'));
  }
});

// --- privacy

test('demand_14_the_same_value: one token in every turn of a conversation and on every replica with the key, others elsewhere', async () => {
  upstream.behaviour = (rq) => wholeStream([`You said: ${said(rq)}`]);
  const other = await startTandem(tree(), { env: { MASK_KEY: key }, files });
  const stranger = await startTandem(tree(), { env: { MASK_KEY: `${key}!` }, files });
  const token = async (of, messages, session) => {
    const { json } = await of.chat({ model: 'private', messages, ...(session && { tandem: { session } }) });
    assert.ok(json.choices[0].message.content.includes('eve@example.org'), 'restored, wherever it was masked');
    return /EMAIL_[0-9A-Z]{8}/.exec(said(upstream.requests.at(-1)))[0];
  };
  const first = user('write to eve@example.org');
  const later = [...first, { role: 'assistant', content: 'done' }, ...user('again to eve@example.org, please')];
  const one = await token(server, first);
  assert.equal(await token(server, later), one, 'the next turn');
  assert.equal(await token(other, later), one, 'the next turn, at the other replica');
  const named = await token(server, first, 's1');
  assert.equal(await token(other, user('something else for eve@example.org'), 's1'), named, 'a session that has a name');
  const elsewhere = [await token(server, user('hello, write to eve@example.org')), named, await token(server, first, 's2'),
    await token(stranger, first)];
  assert.equal(new Set([one, ...elsewhere]).size, 5, 'other conversations, and other keys, tell nothing of each other');
  await other.stop();
  await stranger.stop();
});

test('demand_16_maps_of_requests: a thousand interleaved requests, each gets its own values back and nobody else\'s', async () => {
  const tokens = [], below = random(16), n = sanitized ? 200 : 1000;
  upstream.behaviour = (rq) => {
    const own = /EMAIL_[0-9A-Z]{8}/.exec(said(rq))[0];
    tokens.push(own);
    const foreign = tokens[below(tokens.length)];
    return wholeStream(['For ', own.slice(0, 5), own.slice(5), ' not ', foreign === own ? 'EMAIL_00000000' : foreign, '.']);
  };
  const ask = async (i) => {
    const { json, text } = await server.chat({ model: 'private', messages: user(`I am user${i}@example.org`) });
    assert.match(json?.choices?.[0].message.content ?? text, new RegExp(`^For user${i}@example\\.org not EMAIL_[0-9A-Z]{8}\\.$`));
  };
  let next = 0;
  const worker = async () => { while (next < n) await ask(next++); };
  await Promise.all(Array.from({ length: 100 }, worker));
  assert.equal(new Set(tokens).size, n);
});

test('demand_22_fail_closed: what cannot be masked, or may not leave, goes nowhere, also when the model at home is down', async () => {
  upstream.behaviour = (rq) => wholeStream([`You said: ${said(rq)}`]);
  const had = upstream.requests.length;
  const many = Array.from({ length: 4200 }, (_, i) => `u${i}@example.org`).join(' ');
  const masked = await server.chat({ model: 'private', messages: user(many) });
  assert.deepEqual([masked.status, masked.json.error.code], [503, 'guard_unavailable'], 'more values than it can keep apart');
  for (const [model, wanted] of [['choosing', 502], ['falling', 403]]) { // the arm at home failed; a tree that could leave
    const { status, json } = await server.chat({ model, messages: user('hi'), tandem: { privacy: 'local' } });
    assert.equal(status, wanted, `${model}: ${JSON.stringify(json)}`);
  }
  assert.equal(upstream.requests.length, had, 'something left');
  const free = await server.chat({ model: 'falling', messages: user('hi') });
  assert.equal(free.json.choices[0].message.content, 'You said: hi', 'without the wish the cloud answers');
});

// --- routing

// Without any network: not even loopback.
const alone = spawnSync('unshare', ['-rn', 'true']).status === 0;
function offline(args, timeout = 60000) {
  const words = alone ? ['unshare', '-rn', program, ...args] : [program, ...args];
  const done = spawnSync(words[0], words.slice(1), { encoding: 'utf8', timeout, cwd: tempDir(), env: { PATH: process.env.PATH, LANG: 'C.UTF-8' } });
  assert.equal(done.status, 0, `${args.join(' ')}: ${done.stderr}`);
  return done.stdout;
}

test('demand_36 demand_37_offline: the router is trained and decides on this machine alone, without a key; the pair answers', { skip: withoutPair }, () => {
  const dir = tempDir(), file = path.join(dir, 'route.json');
  offline(['fit', '--for', 'route', '--n', '40', '--avoid-n', '0', '--max-tokens', '24', '--out', file]);
  assert.equal(JSON.parse(readFileSync(file)).version, 1);
  const trained = path.join(dir, 'trained.yaml');
  writeFileSync(trained, `models:\n  a: {kind: local, path: "embedded:small"}\n  b: {kind: local, path: "embedded:large"}
  r: {kind: route, small: a, large: b, scorer: linear, weights: route.json}\n`);
  for (const args of [['--config', trained, '--model', 'r'], ['--model', 'route'], ['--model', 'cascade']])
    assert.ok(offline(['ask', ...args, 'What is 12 + 7?']).trim().length > 0);
});

test('demand_37_more_than_two: routes in routes choose among three models, by a trained score', async () => {
  const three = await startTandem(`
models:
  a: {kind: script, answers: ["a"]}
  b: {kind: script, answers: ["b"]}
  c: {kind: script, answers: ["c"]}
  likely: {kind: route, small: a, large: rest, scorer: linear, weights: "embedded:route", rate: 0.3}
  rest: {kind: route, small: b, large: c, scorer: linear, weights: "embedded:route", rate: 0.7}
serve: {default: likely}
`);
  const seen = {};
  for (const line of tandem(['gym', '--split', 'test', '--n', '60']).stdout.trim().split('\n')) {
    const question = JSON.parse(line).messages.findLast((m) => m.role === 'user').content;
    const { json } = await three.chat({ messages: user(question) });
    const answer = json.choices[0].message.content, by = Object.fromEntries(json.tandem.decisions.map((d) => [d.by, d]));
    const says = (d) => d && d.score >= d.threshold;
    assert.equal(answer, says(by.likely) ? 'a' : says(by.rest) ? 'b' : 'c', JSON.stringify(by));
    seen[answer] = (seen[answer] ?? 0) + 1;
  }
  await three.stop();
  assert.deepEqual(Object.keys(seen).sort(), ['a', 'b', 'c'], JSON.stringify(seen));
});

test('demand_39_typos: two letters that change places rarely change the route', async (t) => {
  const routed = await startTandem(`
models:
  a: {kind: script, answers: ["a"]}
  b: {kind: script, answers: ["b"]}
  r: {kind: route, small: a, large: b, scorer: linear, weights: "embedded:route", rate: 0.5}
serve: {default: r}
`);
  const below = random(39);
  let same = 0, n = 0;
  for (const line of tandem(['gym', '--split', 'test', '--n', '80']).stdout.trim().split('\n')) {
    const question = JSON.parse(line).messages.findLast((m) => m.role === 'user').content;
    const places = [...question.matchAll(/(?<=[a-z])[a-z](?=[a-z]{2})/g)].map((m) => m.index);
    if (!places.length) continue;
    const i = places[below(places.length)];
    const typo = question.slice(0, i) + question[i + 1] + question[i] + question.slice(i + 2);
    const [x, y] = await Promise.all([question, typo].map((text) => routed.chat({ messages: user(text) })));
    same += x.json.choices[0].message.content === y.json.choices[0].message.content;
    n++;
  }
  await routed.stop();
  t.diagnostic(`${same} of ${n} decisions stay`);
  assert.ok(n > 50 && same >= 0.9 * n, `${same} of ${n}`);
});

test('demand_40_fans_have_a_limit: choices, samples and members beyond it are refused, with a type and a field', async () => {
  const { status, json } = await server.chat({ messages: user('hi'), n: 129 });
  assert.deepEqual([status, json.error.type, json.error.param], [400, 'invalid_request_error', 'n']);
  for (const [what, field] of [['{kind: cascade, small: a, large: a, gate: agreement, samples: 1000}', /samples/],
    [`{kind: fallback, models: [${Array(17).fill('a')}]}`, /models/], [`{kind: pool, members: [${Array(200).fill('a')}]}`, /members/]]) {
    const done = tandem(['check', writeTemp('s.yaml', `models:\n  a: {kind: script, answers: [x]}\n  x: ${what}\n`)]);
    assert.notEqual(done.status, 0);
    assert.match(done.stdout + done.stderr, field);
  }
});

// --- the local engine

test('demand_46_probabilities: of a speculated answer they are the target\'s own', { skip: withoutPair }, async () => {
  const pair = await startTandem(`
models:
  small: {kind: local, path: "${weights('small')}", cache_type: f32}
  large: {kind: local, path: "${weights('large')}", cache_type: f32}
  fast: {kind: speculate, draft: small, target: large, gamma: 4, min_prob: 0, adaptive: no}
serve: {default: fast}
`);
  let drafted = 0;
  for (const question of ['What is 12 + 7?', 'Sort these numbers: 5, 3, 9, 1.', 'Write a sentence about the sea.']) {
    const [own, fast] = await Promise.all(['large', 'fast'].map((model) => pair.chat({ model, messages: user(question), temperature: 0,
      max_tokens: 24, logprobs: true })));
    const [want, got] = [own, fast].map((a) => a.json.choices[0].logprobs.content);
    assert.deepEqual(got.map((e) => e.token), want.map((e) => e.token));
    got.forEach((e, i) => assert.ok(e.logprob <= 0 && Math.abs(e.logprob - want[i].logprob) < 1e-3, `${e.logprob}, ${want[i].logprob}`));
    assert.ok(got.some((e) => e.logprob < 0));
    for (const call of fast.json.tandem.calls) drafted += call.drafted;
  }
  assert.ok(drafted > 0);
  await pair.stop();
});

test('demand_48_in_use: weights that settings no longer name end their answers; what cannot be loaded is told and replaces nothing', { skip: withoutPair }, async () => {
  const named = (name, file) => `models:\n  ${name}: {kind: local, path: "${file}", max_tokens: 400}\nserve: {default: ${name}}\n`;
  const own = await startTandem(named('old', weights('large')));
  const settings = path.join(own.dir, 'settings.yaml');
  const health = async () => (await request(`${own.origin}/health`)).json.settings;
  const running = [1, 2, 3].map(() => own.chat({ messages: user('Write a long story about the sea.'), stream: true, temperature: 1.5 }));
  await sleep(100);
  writeFileSync(settings, named('new', weights('small')));
  own.child.kill('SIGHUP');
  await eventually('the new settings', async () => (await own.chat({ model: 'new', messages: user('hi'), max_tokens: 1 })).status === 200);
  for (const { status, text } of await Promise.all(running)) {
    assert.equal(status, 200);
    assert.match(text, /"finish_reason":"(stop|length)"[^]*data: \[DONE\]\n\n$/);
  }
  assert.equal((await own.chat({ model: 'old', messages: user('hi') })).status, 404);
  const cut = path.join(own.dir, 'cut.gguf');
  writeFileSync(cut, readFileSync(weights('small')).subarray(0, 100000));
  for (const [file, why] of [['nowhere.gguf', /nowhere\.gguf/], [cut, /cut\.gguf: .*after the file/]]) {
    writeFileSync(settings, named('newer', file));
    own.child.kill('SIGHUP');
    await eventually('a refusal', async () => { const s = await health(); return s.reload === 'failed' && why.test(JSON.stringify(s)); });
    assert.equal((await own.chat({ model: 'new', messages: user('hi'), max_tokens: 1 })).status, 200);
  }
  await own.stop();
});

// --- a fresh install

test('demand_55_a_fresh_install: what make install puts down runs by itself, on packages of the distribution alone', { skip: withoutPair || sanitized }, async (t) => {
  const dir = tempDir();
  const made = spawnSync('make', ['install', `DESTDIR=${dir}`, 'PREFIX=/usr'], { cwd: root, encoding: 'utf8',
    env: { ...process.env, MAKEFLAGS: '', MAKELEVEL: '' } });
  assert.equal(made.status, 0, made.stderr);
  const bin = path.join(dir, 'usr/bin/tandem');
  assert.deepEqual(readdirSync(path.join(dir, 'usr/bin')), ['tandem'], 'one program');
  const fresh = await startTandem(null, { command: writeProgram(bin), cwd: tempDir() });
  const { status, json } = await fresh.chat({ messages: user('What is 12 + 7?') });
  assert.equal(status, 200, JSON.stringify(json));
  assert.ok(json.choices[0].message.content.length > 0 && json.tandem.calls.length > 0);
  await fresh.stop();
  const needed = execFileSync('ldd', [bin], { encoding: 'utf8' });
  assert.ok(!needed.includes('not found'), needed);
  const libraries = [...needed.matchAll(/=> (\/\S+)/g)].map((m) => m[1]);
  const owners = spawnSync('dpkg-query', ['-S', ...libraries.flatMap((file) => [path.basename(file)])], { encoding: 'utf8' });
  if (owners.error) return t.diagnostic('no dpkg here: who made the libraries was not looked at');
  for (const file of libraries) assert.ok(owners.stdout.includes(path.basename(file)), `${file} is of no package`);
});

// Starts the installed program with nothing of the environment.
function writeProgram(bin) {
  const file = writeTemp('fresh', `#!/bin/sh\nexec env -i ${bin} serve "$@"\n`);
  execFileSync('chmod', ['755', file]);
  return file;
}

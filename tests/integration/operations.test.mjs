// Running it: start, reload, drain, what a load balancer sees. The program is the real one; what it must not do while
// something changes is looked at from a stream that is under way.
import test from 'node:test';
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { readFileSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync, existsSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { eventually, events, post, program, raw, request, root, sanitized, sleep, startTandem, streamedText, tandem, tempDir, user,
  weights, withoutPair, writeTemp } from './lib.mjs';
import { startUpstream, wholeStream } from './upstream.mjs';

const tree = (upstream, { model = 'plain', more = '', serve = '' } = {}) => `models:
  big: {kind: remote, url: "${upstream.url}", model: ${model}, price: {in: 1, out: 2}}
${more}
serve: {default: big${serve}}
`;
const slow = (rq) => (rq.json.model === 'slow' ? { pieces: wholeStream(Array(40).fill('word ')), delay: 15 } : undefined);
const settingsOf = (server) => path.join(server.dir, 'settings.yaml');
const ask = (server, body = {}) => server.chat({ messages: user('hello'), ...body });
const health = (server, headers) => request(`${server.origin}/health`, { headers });
const hangUp = (server) => server.child.kill('SIGHUP');

async function reload(server, text, want) {
  const before = (await health(server)).json.settings.hash;
  if (text) writeFileSync(settingsOf(server), text);
  hangUp(server);
  if (want === 'failed') await eventually('a refused reload', async () => (await health(server)).json.settings.reload === 'failed');
  else await eventually('a reload', async () => (await health(server)).json.settings.hash !== before);
}

test('F45 SIGHUP takes new settings at once and drops no stream: what runs keeps the old ones', async () => {
  const upstream = await startUpstream(slow);
  const server = await startTandem(tree(upstream, { model: 'slow' }));
  const running = ask(server, { stream: true });
  await eventually('the first call', () => upstream.requests.length === 1);
  await reload(server, tree(upstream, { model: 'echo' }));
  const next = await ask(server);
  assert.equal(next.json.choices[0].message.content, 'You said: hello', 'the next request has the new settings');
  const list = events((await running).text);
  assert.equal(list.at(-1), '[DONE]', 'the running stream ends by itself');
  assert.match(streamedText(list), /^(word )+$/);
  assert.equal(upstream.requests[0].json.model, 'slow');
  assert.notEqual(list[0].system_fingerprint, next.json.system_fingerprint, 'each tells which settings it had');
  await server.stop();
  await upstream.close();
});

test('F46 a bad file changes nothing, and is told in one sentence in the log and in /health', async () => {
  const upstream = await startUpstream();
  const server = await startTandem(tree(upstream, { model: 'echo' }));
  const hash = (await health(server)).json.settings.hash;
  const bad = [
    [tree(upstream, { more: '  other: {kind: remote, url: "http://127.0.0.1:1/v1", modle: x}' }), /nearest: "model"/],
    [tree(upstream, { serve: ', defualt: big' }), /nearest: "default"/],
    ['models: {big: {kind: local, path: none.gguf}}\n', /none\.gguf/],
    ['models: [\n', /line 2/],
    [tree(upstream).replace('default: big', 'default: bog'), /no model "bog"/],
  ];
  for (const [text, why] of bad) {
    await reload(server, text, 'failed');
    await eventually('the sentence', async () => why.test((await health(server)).json.settings.error));
    const { json } = await health(server);
    assert.equal(json.status, 'ok');
    assert.equal(json.settings.hash, hash, 'nothing of the bad file is used');
    assert.equal((await ask(server)).json.choices[0].message.content, 'You said: hello');
    const lines = server.stderr.split('\n').filter((l) => l.includes(' settings.kept '));
    assert.match(lines.at(-1).replaceAll("'", '"'), why);
  }
  await reload(server, tree(upstream, { model: 'plain' }));
  assert.equal((await health(server)).json.settings.reload, 'ok', 'a good file ends the report');
  assert.equal((await ask(server)).json.choices[0].message.content, 'Hello from upstream');
  await server.stop();
  await upstream.close();
});

test('F45 settings that only a start can change are named at a reload', async () => {
  const upstream = await startUpstream();
  const server = await startTandem(tree(upstream));
  await reload(server, tree(upstream, { serve: ', workers: 3, queue: 7' }));
  await eventually('two lines', () => server.stderr.split(' settings.restart ').length === 3);
  assert.match(server.stderr, /settings\.restart option=serve\.workers effect="at the next start"/);
  assert.match(server.stderr, /settings\.restart option=serve\.queue /);
  await server.stop();
  await upstream.close();
});

test('F45 a reload under load: every request is answered by one setup or the other, none fails', async () => {
  const upstream = await startUpstream();
  const server = await startTandem(tree(upstream, { model: 'echo' }));
  let stop = false, n = 0;
  const clients = Array.from({ length: 6 }, async () => {
    while (!stop) {
      const answer = await ask(server, { stream: n++ % 2 === 0 });
      assert.equal(answer.status, 200, answer.text);
      assert.match(answer.text, /hello|Hello|"content":"h"/);
    }
  });
  for (let i = 0; i < 8; i++) await reload(server, tree(upstream, { model: i % 2 ? 'echo' : 'plain', more: `# ${i}\n` }));
  stop = true;
  await Promise.all(clients);
  assert.ok(n > 8, `${n} requests`);
  await server.stop();
  await upstream.close();
});

test('F45 local models that did not change stay loaded through a reload', { skip: withoutPair }, async () => {
  const text = (more) => `models:\n  large: {kind: local, path: "${weights('large')}"${more}}\nserve: {default: large}\n`;
  const server = await startTandem(text(''));
  const body = { max_tokens: 2, temperature: 0, messages: user('What is the capital of France? '.repeat(8)) };
  const first = await ask(server, body);
  assert.equal(first.json.usage.prompt_tokens_details?.cached_tokens ?? 0, 0);
  await reload(server, text(', max_tokens: 3') + '# the answer may be longer\n');
  const again = await ask(server, body);
  assert.equal(again.json.choices[0].message.content, first.json.choices[0].message.content);
  assert.ok(again.json.usage.prompt_tokens_details.cached_tokens > 0, 'its remembered prompts are still there');
  await reload(server, text(', context: 128'));
  const fresh = await ask(server, body);
  assert.equal(fresh.json.usage.prompt_tokens_details?.cached_tokens ?? 0, 0, 'another option: another engine');
  await server.stop();
});

// Many models that are all different take a while.
const manyModels = (n) => `models:\n${Array.from({ length: n }, (_, i) =>
  `  m${i}: {kind: local, path: "${weights('large')}", context: ${64 + i}}`).join('\n')}\nserve: {default: m0}\n`;

function spawnServe(config, more = []) {
  const dir = tempDir(), file = path.join(dir, 'settings.yaml');
  writeFileSync(file, config);
  const child = spawn(program, ['serve', '--config', file, '--listen', '127.0.0.1:0', '--ledger', path.join(dir, 'l.db'), ...more],
    { stdio: ['ignore', 'pipe', 'pipe'] });
  const server = { child, stdout: '', stderr: '', exit: new Promise((r) => child.on('exit', (...x) => r(x))) };
  child.stdout.on('data', (d) => (server.stdout += d));
  child.stderr.on('data', (d) => (server.stderr += d));
  for (const handle of [child, child.stdout, child.stderr]) handle.unref();
  process.on('exit', () => child.kill('SIGKILL'));
  return server;
}

test('F33 health: descriptors are raised; the port opens at once and answers 503 loading with how far it is, then 200', { skip: withoutPair }, async () => {
  const server = spawnServe(manyModels(60));
  const line = await eventually('a line of progress', () => / serve\.loading url=(\S+) model=m\d+ done=\d+ of=60$/m.exec(server.stderr));
  const origin = line[1];
  const early = await request(`${origin}/health`);
  assert.equal(early.status, 503, early.text);
  assert.equal(early.headers['retry-after'], '1');
  assert.equal(early.json.status, 'loading');
  assert.match(early.json.error.message, /^loading (model m\d+: \d+ %|the models)$/);
  assert.deepEqual([early.json.error.type, early.json.error.code], ['unavailable_error', 'loading']);
  assert.equal((await request(`${origin}/health/live`)).status, 200, 'it is alive all the same');
  const chat = await post(`${origin}/v1/chat/completions`, { messages: user('hi') });
  assert.deepEqual([chat.status, chat.json?.error?.code, chat.headers['retry-after']], [503, 'loading', '1'], chat.text);
  await eventually('ready', async () => (await request(`${origin}/health`)).status === 200, 60000);
  assert.equal((await request(`${origin}/health`)).json.status, 'ok');
  const [, files] = / serve\.start url=\S+ files=(\d+) /.exec(server.stderr);
  assert.ok(Number(files) >= 4096, `F33: descriptors: ${files}`);
  server.child.kill('SIGTERM');
  server.child.ref();
  assert.deepEqual(await server.exit, [0, null]);
});

test('F45 SIGTERM drains: health is 503 draining, new requests are refused, the running stream ends whole', async () => {
  const upstream = await startUpstream(slow);
  const server = await startTandem(tree(upstream, { model: 'slow' }));
  const running = ask(server, { stream: true });
  await eventually('the call', () => upstream.requests.length === 1);
  await sleep(100);
  const started = performance.now();
  server.child.kill('SIGTERM');
  await eventually('draining', async () => (await health(server)).json.status === 'draining');
  const state = await health(server);
  assert.deepEqual([state.status, state.json.error.code, state.headers['retry-after']], [503, 'draining', '1']);
  const refused = await ask(server);
  assert.deepEqual([refused.status, refused.json.error.code], [503, 'draining']);
  assert.equal((await request(`${server.origin}/health/live`)).status, 200);
  const list = events((await running).text);
  assert.equal(list.at(-1), '[DONE]');
  server.child.ref();
  const [code] = await server.exit;
  assert.equal(code, 0);
  assert.ok(performance.now() - started < 30000);
  await upstream.close();
});

test('F45 after serve.drain seconds what still runs is cut, visibly, and the program ends', async () => {
  const upstream = await startUpstream();
  const server = await startTandem(tree(upstream, { model: 'mute', serve: ', drain: 1' }));
  const running = ask(server, { stream: true }).catch((e) => e);
  await eventually('the call', () => upstream.requests.length === 1);
  const started = performance.now();
  server.child.kill('SIGTERM');
  server.child.ref();
  assert.deepEqual(await server.exit, [0, null]);
  const took = performance.now() - started;
  assert.ok(took > 900 && took < 5000, `${took} ms`);
  const answer = await running;
  assert.ok(answer instanceof Error || !String(answer.text).includes('[DONE]'), 'no whole answer');
  await upstream.close();
});

// --- the log

const logged = (server) => path.join(server.dir, 'tandem.log');
const withLog = (upstream, more = '', serve = '') => `${tree(upstream, { model: 'echo', serve })}log: {file: tandem.log${more}}\n`;
const linesOf = (file) => readFileSync(file, 'utf8').split('\n').slice(0, -1);
const logLine = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (debug|info|warn|error) [a-z._]+( [a-z_]+=("[^"]*"|[^ "]*))*$/;

test('S14 S23 the log: one line for each request, whatever its headers and texts hold; no text, no key', async () => {
  const upstream = await startUpstream();
  const server = await startTandem(withLog(upstream, '', ', keys: ["env:K"]'), { env: { K: 'canary-key' } });
  const headers = { authorization: 'Bearer canary-key' };
  const before = linesOf(logged(server)).length;
  const evil = 'canary\r\n2026-01-01T00:00:00.000Z info request run=x state=complete " error=- canary';
  const bodies = [{ messages: user(evil) }, { model: evil, messages: user('x') }, { messages: user('x'), user: evil, metadata: { a: evil } },
    { messages: user('x'), tools: [{ type: 'function', function: { name: evil } }] }];
  for (const body of bodies) await server.chat(body, headers);
  for (const id of ['canary id', 'a"b=canary', 'x'.repeat(65)]) await request(`${server.base}/models`, { headers: { ...headers, 'x-request-id': id } });
  await raw(server.port, `GET /v1/canary%0d%0ainfo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer canary-key\r\n\r\n`);
  await request(`${server.base}/nothing?canary=canary-key`, { headers: { 'x-api-key': 'canary-wrong' } });
  await eventually('the lines', () => linesOf(logged(server)).length >= before + bodies.length + 2);
  await server.stop();
  const lines = linesOf(logged(server));
  for (const line of lines) assert.match(line, logLine);
  assert.equal(lines.filter((l) => / request /.test(l) && / endpoint=chat/.test(l)).length, bodies.length);
  assert.equal(lines.filter((l) => / request /.test(l)).length, bodies.length + 2, 'one line each: those of models are at debug');
  assert.ok(!readFileSync(logged(server), 'utf8').includes('canary'));
  assert.ok(!(server.stdout + server.stderr).includes('canary'));
  await upstream.close();
});

test('the log as JSON: every line an object with the same fields', async () => {
  const upstream = await startUpstream();
  const server = await startTandem(withLog(upstream, ', format: json'));
  const { json } = await server.chat({ messages: user('hi') }, { 'x-request-id': 'mine-1' });
  await server.stop();
  const lines = linesOf(logged(server)).map((l) => JSON.parse(l));
  const line = lines.find((l) => l.event === 'request');
  assert.deepEqual([line.run, line.request, line.endpoint, line.state, line.model, line.level],
    [json.tandem.receipt, 'mine-1', 'chat.completions', 'complete', 'big', 'info']);
  assert.ok(Math.abs(Date.parse(line.time) - Date.now()) < 60000);
  await upstream.close();
});

test('F45 SIGUSR1 and SIGHUP open the log again after it was moved away; SIGPIPE and a second signal end nothing', async () => {
  const upstream = await startUpstream();
  const server = await startTandem(withLog(upstream));
  renameSync(logged(server), `${logged(server)}.1`);
  server.child.kill('SIGUSR1');
  await eventually('a new file', () => existsSync(logged(server)));
  await ask(server);
  renameSync(logged(server), `${logged(server)}.2`);
  hangUp(server);
  await eventually('another one', () => existsSync(logged(server)));
  server.child.kill('SIGPIPE');
  await ask(server);
  const count = (file) => linesOf(file).filter((l) => l.includes(' request ')).length;
  await eventually('the line', () => count(logged(server)) === 1);
  assert.deepEqual([count(`${logged(server)}.1`), count(`${logged(server)}.2`)], [0, 1]);
  await server.stop();
  await upstream.close();
});

test('F34 a log that cannot be written delays nothing: its lines wait in memory, in order', async () => {
  const upstream = await startUpstream();
  const dir = tempDir();
  symlinkSync('/dev/full', path.join(dir, 'tandem.log'));
  const server = await startTandem(withLog(upstream), { cwd: dir });
  for (let i = 0; i < 5; i++) assert.equal((await server.chat({ messages: user('hi') }, { 'x-request-id': `r-${i}` })).status, 200);
  rmSync(path.join(dir, 'tandem.log'));
  server.child.kill('SIGUSR1');
  const file = path.join(dir, 'tandem.log');
  await eventually('what had waited', () => existsSync(file) && linesOf(file).some((l) => l.includes(' log.open ')));
  assert.deepEqual(linesOf(file).flatMap((l) => / request=(r-\d)/.exec(l)?.[1] ?? []), ['r-0', 'r-1', 'r-2', 'r-3', 'r-4']);
  const { text } = await request(`${server.origin}/metrics`);
  assert.match(text, /^tandem_log_lines_lost 0$/m);
  await server.stop();
  await upstream.close();
});

const fault = path.join(root, 'build/gcc/fault.so');
const withFaults = { skip: sanitized || !existsSync(fault) };
const faulty = async (text) => {
  const control = writeTemp('fault', '');
  return [await startTandem(text, { env: { LD_PRELOAD: fault, TANDEM_FAULT: control } }), (words) => writeFileSync(control, words)];
};

test('F34 no descriptor left when the log is opened again: no line is lost, it says so, and the next try has the new file', withFaults, async () => {
  const upstream = await startUpstream();
  const [server, fail] = await faulty(withLog(upstream));
  const asked = (id) => server.chat({ messages: user('hi') }, { 'x-request-id': id });
  await asked('before');
  renameSync(logged(server), `${logged(server)}.1`);
  fail('log');
  server.child.kill('SIGUSR1');
  const moved = () => linesOf(`${logged(server)}.1`);
  await eventually('the reason', () => moved().some((l) => / log\.kept .*tandem\.log: Too many open files/.test(l)));
  assert.equal((await asked('without')).status, 200);
  await eventually('its line', () => moved().some((l) => l.includes('request=without')));
  assert.ok(!existsSync(logged(server)));
  fail('');
  server.child.kill('SIGUSR1');
  await eventually('the new file', () => existsSync(logged(server)));
  await asked('after');
  await eventually('its line', () => linesOf(logged(server)).some((l) => l.includes('request=after')));
  assert.deepEqual(['before', 'without', 'after'].map((id) => moved().some((l) => l.includes(`request=${id}`))), [true, true, false]);
  await server.stop();
  await upstream.close();
});

test('F33 no descriptor left in the whole system: nobody is accepted, no core is burnt, and then all are served', withFaults, async () => {
  const upstream = await startUpstream();
  const [server, fail] = await faulty(tree(upstream));
  const ticks = () => readFileSync(`/proc/${server.child.pid}/stat`, 'utf8').split(' ').slice(13, 15).reduce((a, b) => a + Number(b), 0);
  fail('accept');
  const late = Array.from({ length: 8 }, () => post(`${server.origin}/v1/chat/completions`, { model: 'big', messages: user('hi') }));
  const answered = Promise.race(late);
  const had = ticks();
  assert.equal(await Promise.race([answered, sleep(1000)]), undefined, 'nobody was accepted');
  assert.ok(ticks() - had < 25, `${ticks() - had} ticks of a second`);
  fail('');
  assert.deepEqual((await Promise.all(late)).map((a) => a.status), Array(8).fill(200));
  await server.stop();
  await upstream.close();
});

// --- settings before a start

test('demand_54_check_before_start: tandem check and serve --dry-run find every fault, with the nearest name and the line', async () => {
  const upstream = await startUpstream();
  const good = writeTemp('good.yaml', tree(upstream));
  for (const words of [['check', good], ['serve', '--dry-run', '--config', good]]) {
    const done = tandem(words);
    assert.deepEqual([done.status, done.stderr], [0, '']);
    assert.match(done.stdout, /good\.yaml is good: sha256:[0-9a-f]{64}\n$/);
  }
  const faults = [
    [tree(upstream, { serve: ', wokers: 3' }), /line 4: serve: unknown option "wokers" \(nearest: "workers"\)/],
    [tree(upstream, { more: '  a: {kind: cascde, small: big, large: big}' }), /line 3: model a: unknown kind "cascde" \(nearest: "cascade"\)/],
    [`${tree(upstream)}log: {formt: json}\n`, /line 5: log: unknown option "formt" \(nearest: "format"\)/],
    [`${tree(upstream)}telemetry: {otpl: "http://x"}\n`, /unknown option "otpl" \(nearest: "otlp"\)/],
    [`${tree(upstream)}telemetry: {otlp: "ftp//x?y=1"}\n`, /telemetry: otlp: expected a url/],
    [`${tree(upstream)}sevre: {}\n`, /unknown section "sevre" \(nearest: "serve"\)/],
    [tree(upstream, { serve: ', listen: "0.0.0.0:1"' }), /not loopback/],
    [tree(upstream, { serve: ', keys: ["env:NOT_SET_HERE"]' }), /NOT_SET_HERE/],
  ];
  for (const [text, why] of faults) {
    const file = writeTemp('bad.yaml', text);
    for (const words of [['check', file], ['serve', '--dry-run', '--config', file]]) {
      const done = tandem(words);
      assert.deepEqual([done.status, done.stdout], [2, ''], done.stderr);
      assert.match(done.stderr, why);
      assert.equal(done.stderr.trim().split('\n').length, 1, 'one sentence');
    }
  }
  await upstream.close();
});

test('demand_17_explain_shows_the_effective_policy: every option with its value, and the tree', async () => {
  const upstream = await startUpstream();
  const done = tandem(['check', '--explain', writeTemp('good.yaml', tree(upstream, { more: '  kept: {kind: mask, inner: big, level: 3}', serve: ', queue: 5' }))]);
  assert.equal(done.status, 0, done.stderr);
  for (const line of [/^  queue: 5  # \S+good\.yaml line 4$/m, /^  workers: 16  # default$/m, /^  level: 3  # \S+ line 3$/m, /^  otlp: not set  # default$/m,
    /^kept \(mask\).*leaves this machine$/m, /^  inner: big \(remote\)/m]) assert.match(done.stdout, line);
  await upstream.close();
});

// --- for days

const leave = (port, bytes) => new Promise((resolve) => {
  const socket = net.connect(port, '127.0.0.1', () => socket.write(bytes, () => { socket.destroy(); resolve(); }));
  socket.on('error', resolve);
});

test('demand_50_memory_stays: the resident set is flat under mixed load', async (t) => {
  const seconds = Number(process.env.SOAK_SERVE_SECONDS ?? 5);
  const upstream = await startUpstream((rq) => (rq.json.model === 'bad' ? { pieces: wholeStream(['cut ']).slice(0, 3), cut: true } : undefined));
  const server = await startTandem(tree(upstream, { model: 'echo', more: `  bad: {kind: remote, url: "${upstream.url}", model: bad, breaker: no}
  plain: {kind: remote, url: "${upstream.url}", model: plain}
  kept: {kind: mask, inner: big}` }));
  const resident = async () => Number(/^process_resident_memory_bytes (\d+)$/m.exec((await request(`${server.origin}/metrics`)).text)[1]);
  const kinds = [() => ask(server), () => ask(server, { stream: true }), () => ask(server, { model: 'bad', stream: true }).catch(() => {}),
    () => ask(server, { model: 'kept', messages: user('write to a.b@example.com') }), () => ask(server, { model: 'no such' }),
    () => post(`${server.base}/chat/completions`, '{"broken'), () => request(`${server.base}/models`), () => health(server),
    () => leave(server.port, 'POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\n{'),
    () => ask(server, { model: 'plain', messages: user('long '.repeat(20000)) })];
  let stop = false, n = 0;
  const clients = Array.from({ length: 8 }, async (_, i) => {
    while (!stop) await kinds[(n++ + i) % kinds.length]();
  });
  const reloads = (async () => {
    for (let i = 0; !stop; i++) {
      await sleep(500);
      writeFileSync(settingsOf(server), `${readFileSync(settingsOf(server), 'utf8')}# ${i}\n`);
      hangUp(server);
    }
  })();
  await sleep(Math.min(seconds, 60) * 400);
  const early = await resident(), nEarly = n;
  await sleep(seconds * 1000 - Math.min(seconds, 60) * 400);
  const late = await resident();
  upstream.requests.length = 0;
  stop = true;
  await Promise.all([...clients, reloads]);
  t.diagnostic(`${n} requests; resident ${early} then ${late} bytes, ${n - nEarly} requests later`);
  assert.ok(n > 200);
  assert.ok(late < early * 1.15 + 4e6, `${early} grew to ${late}`);
  await server.stop();
  await upstream.close();
});

// --- clocks

test('F43 the wall clock jumps by hours and years: streams, deadlines and the end are not moved', { skip: sanitized }, async () => {
  const dir = tempDir(), library = path.join(dir, 'jump.so'), offset = path.join(dir, 'offset');
  writeFileSync(path.join(dir, 'jump.c'), `#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t clock, struct timespec *out) {
	static int (*real)(clockid_t, struct timespec *);
	char text[32] = "";
	if (!real)
		real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
	int status = real(clock, out), fd = clock == CLOCK_REALTIME ? open(getenv("JUMP"), O_RDONLY) : -1;
	if (fd >= 0) {
		if (read(fd, text, sizeof text - 1) > 0)
			out->tv_sec += atol(text);
		close(fd);
	}
	return status;
}
`);
  const built = spawnSync('cc', ['-shared', '-fPIC', '-O1', '-o', library, path.join(dir, 'jump.c'), '-ldl'], { encoding: 'utf8' });
  assert.equal(built.status, 0, built.stderr);
  writeFileSync(offset, '0');
  const upstream = await startUpstream(slow);
  const server = await startTandem(tree(upstream, { model: 'slow', more: `  mute: {kind: remote, url: "${upstream.url}", model: mute}` }), { env: { LD_PRELOAD: library, JUMP: offset } });
  const hour = 3600, years = 10 * 365 * 86400;
  for (const jump of [hour, -hour, years, -years]) {
    const running = ask(server, { stream: true });
    const late = ask(server, { model: 'mute', tandem: { max_latency_ms: 600, strict: true } });
    await sleep(200);
    writeFileSync(offset, String(jump));
    const started = performance.now();
    const list = events((await running).text);
    assert.equal(list.at(-1), '[DONE]', `jump of ${jump} s`);
    assert.equal((await late).status, 504);
    assert.ok(performance.now() - started < 3000, `nothing waits for a clock that moved by ${jump} s`);
    assert.equal((await health(server)).status, 200);
  }
  writeFileSync(offset, String(-years));
  await server.stop();
  await upstream.close();
});

test('F44 stopped and continued: a deadline that passed meanwhile ends once, nothing is repeated', async () => {
  const upstream = await startUpstream();
  const server = await startTandem(`models:
  big: {kind: remote, url: "${upstream.url}", model: mute}
  again: {kind: retry, inner: big, attempts: 5, base_ms: 1}
serve: {default: again}
`);
  const asked = Array.from({ length: 4 }, () => ask(server, { tandem: { max_latency_ms: 700, strict: true } }));
  await eventually('the calls', () => upstream.requests.length === 4);
  server.child.kill('SIGSTOP');
  await sleep(1200);
  server.child.kill('SIGCONT');
  const resumed = performance.now();
  for (const answer of await Promise.all(asked)) assert.equal(answer.status, 504);
  assert.ok(performance.now() - resumed < 1000);
  await sleep(300);
  assert.equal(upstream.requests.length, 4, 'no storm of retries');
  await server.stop();
  await upstream.close();
});

// --- what stands around it

const page = readFileSync(path.join(root, 'docs/operations.md'), 'utf8');

test('demand_07 behind nginx, with the lines of docs/operations.md, the first words arrive while later ones are computed', async (t) => {
  if (spawnSync('nginx', ['-v']).error) return t.skip('nginx is not installed');
  const upstream = await startUpstream(slow);
  const server = await startTandem(tree(upstream, { model: 'slow' }));
  const dir = tempDir(), port = 20000 + (process.pid % 20000);
  const block = /```nginx\n([\s\S]*?)```/.exec(page)[1].replace('127.0.0.1:8080', `127.0.0.1:${server.port}`);
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${dir}/${name};`).join('\n');
  writeFileSync(path.join(dir, 'nginx.conf'), `daemon off; master_process off; pid ${dir}/pid; error_log ${dir}/error.log;
events { worker_connections 64; }
http { access_log off; ${paths} server { listen 127.0.0.1:${port}; ${block} } }`);
  const nginx = spawn('nginx', ['-p', dir, '-c', path.join(dir, 'nginx.conf')], { stdio: 'ignore' });
  process.on('exit', () => nginx.kill('SIGKILL'));
  nginx.unref();
  await eventually('nginx', async () => (await request(`http://127.0.0.1:${port}/health`).catch(() => null))?.status === 200);
  const arrived = [];
  const started = performance.now();
  const answer = await fetch(`http://127.0.0.1:${port}/v1/chat/completions`, { method: 'POST', body: JSON.stringify({ messages: user('hi'), stream: true }) });
  for await (const part of answer.body) arrived.push([performance.now() - started, Buffer.from(part).toString()]);
  assert.ok(arrived.length > 20, `${arrived.length} pieces`);
  assert.ok(arrived[0][0] < arrived.at(-1)[0] - 250, 'the first long before the last');
  assert.match(arrived.at(-1)[1], /\[DONE\]/);
  const metrics = await request(`http://127.0.0.1:${port}/metrics`);
  assert.equal(metrics.status, 403, 'S22: figures are not for clients of a proxy');
  nginx.kill('SIGTERM');
  await server.stop();
  await upstream.close();
});

test('the unit for systemd is one that systemd takes, and keeps much away from the program', (t) => {
  if (spawnSync('systemd-analyze', ['--version']).error) return t.skip('systemd is not installed');
  const text = readFileSync(path.join(root, 'packaging/tandem.service.in'), 'utf8');
  const file = writeTemp('tandem.service', text.replaceAll('@PREFIX@/bin/tandem', program));
  const verified = spawnSync('systemd-analyze', ['verify', file], { encoding: 'utf8' });
  assert.deepEqual([verified.status, verified.stderr], [0, '']);
  const judged = spawnSync('systemd-analyze', ['security', '--offline=true', '--threshold=20', file], { encoding: 'utf8' });
  assert.equal(judged.status, 0, judged.stdout.split('\n').slice(-3).join('\n'));
});

const sourceOfTests = () => readdirSync(path.join(root, 'tests'), { recursive: true })
  .filter((f) => /(\.test\.mjs|\.c)$/.test(f) && !f.includes('node_modules'))
  .map((f) => readFileSync(path.join(root, 'tests', f), 'utf8')).join('\n');

test('every row of docs/methods.md names a kind, options and choices that it has, and tests or pages that are there', () => {
  const names = sourceOfTests();
  const kinds = new Map(tandem(['models', '--kinds']).stdout.split(/^(?=\w+: )/m).map((text) => [text.slice(0, text.indexOf(':')), text]));
  const text = readFileSync(path.join(root, 'docs/methods.md'), 'utf8');
  const rows = text.slice(0, text.indexOf('Not here')).split('\n').filter((l) => /^\| [A-D]\d/.test(l));
  assert.ok(rows.length >= 30);
  for (const row of rows) {
    const [, , what, shown] = row.split('|').slice(1, -1).map((c) => c.trim());
    let kind;
    for (const [, word, choice] of what.matchAll(/`(\w+)(?:: (\w+))?`/g)) {
      if (kinds.has(word) && !choice) { kind = kinds.get(word); continue; }
      const line = kind.split('\n').find((l) => new RegExp(`^  (option|role) +${word} `).test(l));
      assert.ok(line, `${row}: no option or role ${word}`);
      if (choice) assert.match(line, new RegExp(`\\b${choice}\\b`), row);
    }
    for (const name of shown.split(';').map((s) => s.trim())) {
      const page = /^\[.*\]\((.*)\)$/.exec(name)?.[1];
      assert.ok(page ? existsSync(path.join(root, 'docs', page)) : new RegExp(`\\b${name}\\b`).test(names), `${row}: ${name} is not there`);
    }
  }
});

test('every row of docs/failures.md names tests and commands that are there', () => {
  const names = sourceOfTests().replaceAll("\\'", "'"), commands = readFileSync(path.join(root, 'Makefile'), 'utf8');
  const rows = readFileSync(path.join(root, 'docs/failures.md'), 'utf8').split('\n').filter((l) => l.startsWith('| ') && !/^\| (seen in|---)/.test(l));
  assert.ok(rows.length >= 36, `${rows.length} rows`);
  for (const row of rows) {
    const cells = row.split('|').slice(1, -1).map((c) => c.trim()), shown = [...(cells[2] ?? '').matchAll(/`([^`]+)`/g)].map((m) => m[1]);
    assert.ok(cells.length === 3 && cells.every((c) => c.length) && shown.length, row);
    for (const name of shown) {
      const command = /^make (\S+)$/.exec(name)?.[1];
      assert.ok(command ? commands.includes(`\n${command}:`) : names.includes(`cmocka_unit_test(${name})`) || names.includes(`test('${name}',`), `${name} is not there`);
    }
  }
});

test('demand_53_what_fails_how: every row of the table names tests that are there', () => {
  const names = sourceOfTests().toLowerCase();
  const rows = page.slice(page.indexOf('## What fails how')).split('\n').filter((l) => l.startsWith('| ') && !l.startsWith('| fault'));
  assert.ok(rows.length >= 12);
  for (const row of rows) {
    const cells = row.split('|').slice(1, -1).map((c) => c.trim());
    assert.equal(cells.length, 4, row);
    assert.ok(cells.every((c) => c.length), row);
    assert.ok(names.includes(cells[3].toLowerCase()), `${cells[3]}: no test says so`);
  }
});

test('S28 no option is a password with a default, a debug switch, or a way around a check', () => {
  const kinds = tandem(['models', '--kinds']).stdout, effective = tandem(['check', '--explain', path.join(root, 'tandem.yaml')]).stdout;
  const options = [...`${kinds}\n${effective}`.matchAll(/^ +(?:option +)?([a-z_]+):? +(.*)$/gm)].map((m) => [m[1], m[2]]);
  assert.ok(options.length > 100, `${options.length} options`);
  for (const [name, rest] of options) {
    const isWayOfDrafts = name === 'verify' && /\btoken\b/.test(rest); // one of two laws, none of them off
    if (!isWayOfDrafts) assert.doesNotMatch(name, /debug|insecure|verify|bypass|backdoor|unsafe|no_check|skip/);
    if (/(^|_)(key|keys|password|secret|token)$/.test(name)) assert.doesNotMatch(rest, /default (?!not set)\S+$/, `${name} has a default`);
  }
  assert.match(effective, /^  open: no  # default$/m);
  assert.match(effective, /^  keys: not set  # default$/m);
});

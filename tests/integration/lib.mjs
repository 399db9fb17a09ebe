// What every integration test shares: the real program on a free port with a ledger of its own, and clients that look
// at bytes. Nothing here knows what an answer should be.
//
// startTandem() owns the process: stop() ends it with SIGTERM and fails when it does not exit with 0, which is also how
// a report of a sanitizer reaches the test.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync, existsSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
export const program = path.resolve(root, process.env.TANDEM ?? 'build/tandem');
export const sanitized = process.env.TANDEM_SANITIZED === 'yes'; // slower, and llama.cpp cannot be loaded beside it
export const weights = (name) => path.join(root, 'weights', `${name}.gguf`);
export const hasPair = existsSync(weights('large'));
export const withoutPair = hasPair ? false : 'weights/large.gguf is absent: run make pair';
export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const folders = [], children = [];
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL'); // a test that failed before stop() must not leave its server
  for (const dir of folders) rmSync(dir, { recursive: true, force: true });
});

export function tempDir(prefix = 'tandem-') {
  folders.push(mkdtempSync(path.join(tmpdir(), prefix)));
  return folders.at(-1);
}

export function writeTemp(name, text) {
  const file = path.join(tempDir(), name);
  writeFileSync(file, text);
  return file;
}

// A command that ends by itself: {status, stdout, stderr}.
export function tandem(args, { input = '', cwd = root, env = {}, timeout = 120000 } = {}) {
  const done = spawnSync(program, args, {
    input, cwd, env: { ...process.env, ...env }, encoding: 'utf8', timeout, maxBuffer: 1 << 28,
  });
  assert.equal(done.signal, null, `tandem ${args[0]} was ended by ${done.signal}: ${done.stderr}`);
  return done;
}

// config: the text of a settings file (anything with a line break), a path, or null for none.
export async function startTandem(config, { args = [], env = {}, cwd, files = {}, command = program } = {}) {
  const dir = tempDir();
  for (const [name, text] of Object.entries(files)) writeFileSync(path.join(dir, name), text);
  const words = [...(command === program ? ['serve'] : []), '--listen', '127.0.0.1:0', '--ledger', path.join(dir, 'ledger.db')];
  if (config?.includes('\n')) {
    writeFileSync(path.join(dir, 'settings.yaml'), config);
    words.push('--config', path.join(dir, 'settings.yaml'));
  } else if (config) {
    words.push('--config', config);
  }
  const child = spawn(command, [...words, ...args], { cwd: cwd ?? dir, env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'] });
  const server = { child, dir, stdout: '', stderr: '', exit: new Promise((r) => child.on('exit', (...x) => r(x))) };
  child.stderr.on('data', (d) => (server.stderr += d));
  children.push(child);
  server.origin = await listening(server);
  for (const handle of [child, child.stdout, child.stderr]) handle.unref(); // a failed test must not wait for it
  server.port = Number(new URL(server.origin).port);
  server.base = `${server.origin}/v1`;
  server.stop = () => stop(server);
  server.chat = (body, headers) => post(`${server.base}/chat/completions`, body, headers);
  server.receipt = async (id, headers) => (await request(`${server.base}/receipts/${id}`, { headers })).json;
  return server;
}

function listening(server) {
  return new Promise((resolve, reject) => {
    server.child.stdout.on('data', (d) => {
      server.stdout += d;
      const found = /^listening on (\S+)$/m.exec(server.stdout);
      if (found) resolve(found[1]);
    });
    server.exit.then(([code]) => reject(new Error(`tandem serve ended with ${code}: ${server.stderr}`)));
  });
}

async function stop(server) {
  server.child.kill('SIGTERM');
  server.child.ref();
  const late = setTimeout(() => server.child.kill('SIGKILL'), 40000);
  const [code, signal] = await server.exit;
  clearTimeout(late);
  assert.deepEqual([code, signal], [0, null], `tandem serve ended with ${code ?? signal}: ${server.stderr}`);
}

// --- clients

// One HTTP request on a connection of its own, nothing retried: {status, headers, text, json}.
export function request(url, { method = 'GET', headers = {}, body, agent } = {}) {
  return new Promise((resolve, reject) => {
    const rq = http.request(url, { method, headers, agent: agent ?? false }, (answer) => {
      const parts = [];
      answer.on('data', (d) => parts.push(d));
      answer.on('error', reject);
      answer.on('end', () => {
        const text = Buffer.concat(parts).toString();
        let json;
        try {
          json = JSON.parse(text);
        } catch {}
        resolve({ status: answer.statusCode, headers: answer.headers, text, json });
      });
    });
    rq.on('error', reject);
    rq.end(body);
  });
}

export function post(url, body, headers = {}) {
  const text = typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body);
  return request(url, {
    method: 'POST', body: text,
    headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text), ...headers },
  });
}

export const user = (content) => [{ role: 'user', content }];

// Bytes over a plain socket. `done` says when enough has come; without it the peer's end is awaited.
// {bytes, ended: 'end' | 'enough' | error code, ms}
export function raw(port, bytes, { done = () => false, half = false } = {}) {
  const started = performance.now();
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1');
    let got = Buffer.alloc(0);
    const finish = (ended) => {
      socket.destroy();
      resolve({ bytes: got.toString('latin1'), ended, ms: performance.now() - started });
    };
    socket.on('connect', () => (half ? socket.end(bytes) : socket.write(bytes)));
    socket.on('data', (d) => {
      got = Buffer.concat([got, d]);
      if (done(got.toString('latin1'))) finish('enough');
    });
    socket.on('end', () => finish('end'));
    socket.on('error', (e) => finish(e.code));
    socket.on('close', () => finish('close'));
  });
}

export function rawPost(port, body, { version = '1.1', headers = [], path: target = '/v1/chat/completions' } = {}) {
  const text = JSON.stringify(body);
  return [`POST ${target} HTTP/${version}`, 'Host: localhost', `Content-Length: ${Buffer.byteLength(text)}`, ...headers, '', text]
    .join('\r\n');
}

// The payloads of a stream of events, "[DONE]" as a string, everything else parsed; comments are left out.
export function events(text) {
  return text.split('\n\n').flatMap((block) => block.split('\n').filter((line) => line.startsWith('data:'))
    .map((line) => line.slice(5).trim()).map((data) => (data === '[DONE]' ? data : JSON.parse(data))));
}

export async function chatStream(server, body, headers) {
  const answer = await server.chat({ stream: true, ...body }, headers);
  return { ...answer, events: answer.status === 200 ? events(answer.text) : [] };
}

export const streamedText = (list, index = 0) => list.filter((e) => e !== '[DONE]').flatMap((e) => e.choices ?? [])
  .filter((c) => c.index === index).map((c) => c.delta?.content ?? '').join('');

// Waits for a condition, looking every few milliseconds; the value it became, or an assertion after `ms`.
export async function eventually(what, probe, ms = 10000) {
  const until = performance.now() + ms;
  for (;;) {
    const value = await probe();
    if (value) return value;
    assert.ok(performance.now() < until, `${what}: not within ${ms} ms`);
    await sleep(5);
  }
}

// --- seeded randomness, so that every run sees the same cases (mulberry32)

export function random(seed) {
  return (n) => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4294967296) * n);
  };
}

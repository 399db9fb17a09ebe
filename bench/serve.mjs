// A server under load: `node bench/serve.mjs SERVER MODEL.gguf [THREADS [TEST...]]` starts SERVER (build/tandem, or a llama-server)
// on the file, asks it as clients do, and prints a line of four columns, test, tokens, depth and value, for every measurement:
//   sessions N 60    tokens/s, of N requests at once, prompts of 60 tokens, ANSWER tokens each, from the first byte sent to the last read
//   produced N 60    tokens of these answers, of N * ANSWER
//   first 16 0       ms until the first token of a prompt of about 16 tokens, idle
//   first 16 LONG    the same, while a prompt of about LONG tokens is being read
//   stream 1 0       ms for each token of a running answer, idle
//   stream 1 LONG    the same, while a prompt of about LONG tokens is being read; and how long that took: reading LONG 0, reading LONG 1
//   memory 1 0       megabytes of the server that are in memory after `sessions`
//   two 2 16         tokens/s of each of two models in the same process, while both answer (tandem alone; not by itself)
// TESTs: sessions first stream two; ANSWER=64 SESSIONS=16 LONG=2000 ROUNDS=1 are set by the environment. Speed alone counts: build/bench_model's
// random weights will do.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';

const [program, model, threads = '2', ...tests] = process.argv.slice(2);
if (!model) {
  console.error('usage: node bench/serve.mjs SERVER MODEL.gguf [THREADS [TEST...]]');
  process.exit(2);
}
const [answer, sessions, long, rounds] = [['ANSWER', 64], ['SESSIONS', 16], ['LONG', 2000], ['ROUNDS', 1]]
  .map(([name, standard]) => Number(process.env[name] ?? standard));
if (!tests.length) tests.push('sessions', 'first');
const dir = mkdtempSync(path.join(tmpdir(), 'tandem-bench-'));
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const figure = (...columns) => console.log(columns.join('\t'));
let serial = 0;

// Both kinds of server get the same text; tokens are counted by the server.
const tandem = {
  start() {
    const local = `kind: local, path: "${path.resolve(model)}", chat: llama2, threads: ${threads}, cache_mb: 1024`;
    const other = tests.includes('two') ? `  other: {${local}}\n` : '';
    writeFileSync(path.join(dir, 's.yaml'), `models:\n  m: {${local}}\n${other}serve: {default: m, workers: ${sessions + 4}}\n`);
    return ['serve', '--config', path.join(dir, 's.yaml'), '--listen', '127.0.0.1:0', '--ledger', path.join(dir, 'l.db')];
  },
  isUp: async (log) => Number(/listening on http:\/\/[^:]*:(\d+)/.exec(log)?.[1] ?? 0),
  path: '/v1/chat/completions',
  body: (content, max_tokens, name) => ({ model: name, stream: true, max_tokens, stream_options: { include_usage: true },
    messages: [{ role: 'user', content }] }),
  counts(rest) {
    const usage = /"usage":\{"prompt_tokens":(\d+),"completion_tokens":(\d+)/.exec(rest);
    return usage && { prompt: Number(usage[1]), tokens: Number(usage[2]) };
  },
};

// Its own interface, which costs it least, without memory of earlier prompts; the answer cannot end early.
const llama = {
  async start() {
    const free = net.createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => free.on('listening', resolve));
    this.port = free.address().port;
    await new Promise((resolve) => free.close(resolve));
    return ['-m', path.resolve(model), '-t', threads, '-tb', threads, '-np', `${sessions}`, '-c', `${sessions * Math.max(long + 48, 256)}`, '-cb', '--port', `${this.port}`];
  },
  async isUp() {
    const answered = await fetch(`http://127.0.0.1:${this.port}/health`).catch(() => null);
    return answered?.ok ? this.port : 0;
  },
  path: '/completion',
  body: (content, n_predict) => ({ prompt: `[INST] ${content} [/INST]`, n_predict, stream: true, temperature: 0, top_k: 1, ignore_eos: true,
    cache_prompt: false }),
  counts(rest) {
    const last = (name) => Number([...rest.matchAll(new RegExp(`"${name}":(\\d+)`, 'g'))].at(-1)?.[1] ?? 0); // every event has them
    return last('tokens_predicted') > 0 && { prompt: last('tokens_evaluated'), tokens: last('tokens_predicted') };
  },
};

const kind = path.basename(program).startsWith('llama') ? llama : tandem;
const server = spawn(path.resolve(program), await kind.start(), { cwd: dir, stdio: ['ignore', 'pipe', 'pipe'] }); // some leave a log where they run
let log = '', hasEnded = false;
for (const stream of [server.stdout, server.stderr]) stream.on('data', (text) => { log = (log + text).slice(-20000); });
server.on('exit', () => { hasEnded = true; });
process.on('exit', () => server.kill('SIGKILL'));
let port = 0;
while (!(port = await kind.isUp(log)) && !hasEnded) await sleep(20);
if (hasEnded) {
  console.error(`${program} ended: ${log.slice(-2000)}`);
  process.exit(1);
}
const agent = new http.Agent({ keepAlive: false }); // a new connection each: not every server keeps one that rests

// {first, last: ms since the call; tokens; prompt}
function ask(content, max_tokens, name = 'm', onToken = () => {}) {
  const started = performance.now();
  let first = NaN, rest = '';
  return new Promise((resolve, reject) => {
    const request = http.request({ port, agent, method: 'POST', path: kind.path, headers: { 'content-type': 'application/json' } }, (response) => {
      response.setEncoding('utf8').on('data', (text) => {
        if (Number.isNaN(first)) first = performance.now() - started;
        rest = (rest + text).slice(-20000);
        if (onToken() === false) request.destroy(); // has seen enough
      }).on('end', () => {
        const counts = kind.counts(rest);
        if (counts) resolve({ first, last: performance.now() - started, ...counts });
        else reject(new Error(`no count of tokens in ${rest.slice(-500)}`));
      });
    });
    request.on('error', reject);
    request.end(JSON.stringify(kind.body(content, max_tokens, name)));
  });
}

// Texts that share no beginning. The format adds 15 or 16 tokens; a token is a character, as these vocabularies have few words.
const mark = () => String.fromCharCode(97 + serial % 26, 97 + (serial++ / 26 | 0) % 26);
const text = (n) => mark().padEnd(Math.max(n - 16, 2), ' the rain in spain stays mainly in the plain.').slice(0, Math.max(n - 16, 2));

async function sessionsTest() {
  const started = performance.now();
  const all = await Promise.all(Array.from({ length: sessions }, () => ask(text(60), answer)));
  const seconds = (performance.now() - started) / 1000, tokens = all.reduce((sum, a) => sum + a.tokens, 0);
  figure('sessions', sessions, all[0].prompt, (tokens / seconds).toFixed(1));
  figure('produced', sessions, all[0].prompt, tokens);
}

// The long prompt is met at all its places, again and again until it has been read.
async function firstTest() {
  for (let i = 0; i < 5; i++) figure('first', 16, 0, (await ask(text(16), 1)).first.toFixed(2));
  let isReading = true;
  const reading = ask(text(long), 1).then(() => { isReading = false; });
  const met = [];
  for (await sleep(60); isReading; await sleep(40 + Math.random() * 120)) {
    met.push((await ask(text(16), 1)).first);
  }
  await reading;
  for (const first of met) figure('first', 16, long, first.toFixed(2));
}

// A long prompt alone, then beside an answer that runs all the while.
async function streamTest() {
  const alone = await ask(text(long), 1);
  let n = 0, isOver = false;
  const stream = ask(text(60), 4000, 'm', () => { n++; return !isOver; }).then(() => {}, () => {}).then(() => { isOver = true; });
  const perToken = async (work) => {
    const [before, started] = [n, performance.now()];
    await work();
    return isOver ? NaN : (performance.now() - started) / (n - before);
  };
  while (n < 8 && !isOver) await sleep(2);
  figure('stream', 1, 0, (await perToken(() => sleep(500))).toFixed(2));
  let beside;
  figure('stream', 1, long, (await perToken(async () => { beside = await ask(text(long), 1); })).toFixed(2));
  figure('reading', long, 0, alone.first.toFixed(0));
  figure('reading', long, 1, beside.first.toFixed(0));
  isOver = true;
  await stream;
}

async function twoTest() {
  const started = performance.now(), until = started + 4000, counts = { m: 0, other: 0 };
  const loop = async (name) => {
    while (performance.now() < until) counts[name] += (await ask(text(16), 24, name)).tokens;
  };
  await Promise.all([loop('m'), loop('other'), loop('m'), loop('other')]);
  const seconds = (performance.now() - started) / 1000;
  for (const name of ['m', 'other']) figure('two', 2, 16, (counts[name] / seconds).toFixed(1));
}

const known = { sessions: sessionsTest, first: firstTest, stream: streamTest, two: twoTest };
await ask(text(16), 8);
for (let round = 0; round < rounds; round++)
  for (const test of tests) await known[test]();
const resident = /VmRSS:\s*(\d+) kB/.exec(readFileSync(`/proc/${server.pid}/status`, 'utf8'));
if (tests.includes('sessions')) figure('memory', 1, 0, (Number(resident[1]) * 1.024 / 1000).toFixed(1));
server.kill('SIGTERM');
agent.destroy();
await new Promise((resolve) => server.on('exit', resolve));
rmSync(dir, { recursive: true, force: true });

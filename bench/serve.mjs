// The server under load: `node bench/serve.mjs MODEL.gguf [THREADS [ROUNDS]]` serves the file and prints
//   first token   of a prompt of about 16 tokens, idle and while a prompt of about 2,000 is being read, medians
//   throughput    of 16 requests at once, 64 tokens each, and of one
//   two models    tokens of each of two models in the same process while both answer
// Speed alone counts: build/bench_model's random weights will do.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';

const [model, threads = '2', rounds = '7'] = process.argv.slice(2);
if (!model) {
  console.error('usage: node bench/serve.mjs MODEL.gguf [THREADS [ROUNDS]]');
  process.exit(2);
}
const dir = mkdtempSync(path.join(tmpdir(), 'tandem-bench-'));
const local = `kind: local, path: "${path.resolve(model)}", chat: llama2, threads: ${threads}, cache_mb: 1024`;
writeFileSync(path.join(dir, 's.yaml'), `models:\n  m: {${local}}\n  other: {${local}}\nserve: {default: m, workers: 20}\n`);
const server = spawn(process.env.TANDEM ?? 'build/tandem',
  ['serve', '--config', path.join(dir, 's.yaml'), '--listen', '127.0.0.1:0', '--ledger', path.join(dir, 'l.db')]);
let log = '';
const port = await new Promise((resolve, reject) => {
  server.stdout.on('data', (text) => {
    const at = /listening on http:\/\/[^:]*:(\d+)/.exec(log += text);
    if (at) resolve(Number(at[1]));
  });
  server.on('exit', () => reject(new Error(`the server ended: ${log}`)));
});
const agent = new http.Agent({ keepAlive: true, maxSockets: 64 });
let serial = 0;

// {first, last: ms since the call; tokens; prompt}
function ask(content, max_tokens, name = 'm') {
  const started = performance.now(), result = { first: NaN, tokens: 0 };
  const body = JSON.stringify({ model: name, stream: true, max_tokens, stream_options: { include_usage: true },
    messages: [{ role: 'user', content }] });
  return new Promise((resolve, reject) => {
    const request = http.request({ port, agent, method: 'POST', path: '/v1/chat/completions' }, (response) => {
      let rest = '';
      response.setEncoding('utf8').on('data', (text) => {
        if (Number.isNaN(result.first)) result.first = performance.now() - started;
        rest = (rest + text).slice(-20000);
      }).on('end', () => {
        const usage = /"usage":\{"prompt_tokens":(\d+),"completion_tokens":(\d+)/.exec(rest);
        if (!usage) return reject(new Error(`no usage in ${rest.slice(-500)}`));
        resolve({ ...result, last: performance.now() - started, prompt: Number(usage[1]), tokens: Number(usage[2]) });
      });
    });
    request.on('error', reject);
    request.end(body);
  });
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const median = (list) => list.toSorted((a, b) => a - b)[list.length >> 1];
const short = () => String.fromCharCode(97 + serial % 26, 97 + (serial++ / 26 | 0) % 26);
const long = () => `${serial++} `.padEnd(1950, 'the rain in spain stays mainly in the plain. ');
const spread = (list) => `${median(list).toFixed(1)} (${Math.min(...list).toFixed(1)} to ${Math.max(...list).toFixed(1)})`;

async function firstToken() {
  const idle = [], busy = [], whole = [];
  let prompt;
  for (let i = 0; i < Number(rounds); i++) {
    const alone = await ask(short(), 1);
    idle.push(alone.first);
    prompt = alone.prompt;
    const reading = ask(long(), 1);
    await sleep(60 + 20 * i); // in the middle of it, at different places
    busy.push((await ask(short(), 1)).first);
    whole.push((await reading).first);
  }
  console.log(`first token of ${prompt} tokens: idle ${spread(idle)} ms, while ${1964} are read ${spread(busy)} ms: ` +
    `${(median(busy) / median(idle)).toFixed(2)} times; the long one ${spread(whole)} ms`);
}

async function throughput(n) {
  const rates = [];
  for (let i = 0; i < 3; i++) {
    const started = performance.now();
    const all = await Promise.all(Array.from({ length: n }, () => ask(short(), 64)));
    rates.push(all.reduce((sum, a) => sum + a.tokens, 0) * 1000 / (performance.now() - started));
  }
  console.log(`${n} at once: ${spread(rates)} tokens/s`);
}

async function twoModels() {
  const started = performance.now(), until = started + 4000, counts = { m: 0, other: 0 };
  const loop = async (name) => {
    while (performance.now() < until) counts[name] += (await ask(short(), 24, name)).tokens;
  };
  await Promise.all([loop('m'), loop('other'), loop('m'), loop('other')]);
  const seconds = (performance.now() - started) / 1000;
  console.log(`two models, two requests each: ${(counts.m / seconds).toFixed(1)} and ${(counts.other / seconds).toFixed(1)} tokens/s`);
}

await ask(short(), 8);
await ask(short(), 8, 'other');
await firstToken();
await throughput(1);
await throughput(16);
await twoModels();
server.removeAllListeners('exit');
server.kill('SIGTERM');
await new Promise((resolve) => server.on('exit', resolve));
agent.destroy();
rmSync(dir, { recursive: true, force: true });

// Does the time of a refusal tell how much of a guessed key was right? Two wrong keys, one with a wrong first and one with a
// wrong last character, are sent in random order over one connection; Welch's t of the two samples of times, without the
// slowest twentieth of all, must stay under 4.5. Usage: node bench/keys.mjs [REQUESTS]   (on a quiet machine)
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const n = Number(process.argv[2] ?? 100000), program = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', process.env.TANDEM ?? 'build/tandem');
const dir = mkdtempSync(path.join(tmpdir(), 'tandem-keys-')), file = path.join(dir, 'keys.json');
let key;
for (let i = 0; i < 20; i++)
  key = spawnSync(program, ['key', 'new', '--file', file, '--name', `k${i}`], { encoding: 'utf8' }).stdout.trim();
writeFileSync(path.join(dir, 's.yaml'), `models: {a: {kind: script, answers: [x]}}\nserve: {key_file: "${file}", ledger: ":memory:"}\n`);
const server = spawn(program, ['serve', '--listen', '127.0.0.1:0', '--config', path.join(dir, 's.yaml')], { stdio: ['ignore', 'pipe', 'ignore'] });
const port = await new Promise((resolve) => server.stdout.on('data', (d) => {
  const found = /listening on http:\/\/127\.0\.0\.1:(\d+)/.exec(d);
  if (found) resolve(Number(found[1]));
}));

const other = (c) => (c === 'x' ? 'y' : 'x');
const wrong = [key.slice(0, 4) + other(key[4]) + key.slice(5), key.slice(0, -1) + other(key.at(-1))];
const requests = wrong.map((k) => `GET /v1/models HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${k}\r\n\r\n`);
const socket = net.connect(port, '127.0.0.1');
socket.setNoDelay(true);
let waiting;
socket.on('data', (d) => {
  if (!d.toString('latin1').startsWith('HTTP/1.1 401')) throw new Error(`expected 401, got ${d}`);
  waiting();
});
const times = [[], []];
for (let i = 0; i < n + 2000; i++) {
  const which = Math.random() < 0.5 ? 0 : 1, from = process.hrtime.bigint();
  await new Promise((resolve) => { waiting = resolve; socket.write(requests[which]); });
  if (i >= 2000) times[which].push(Number(process.hrtime.bigint() - from) / 1000);
}
socket.destroy();
server.kill();
rmSync(dir, { recursive: true });

const cut = [...times[0], ...times[1]].sort((a, b) => a - b)[Math.floor(n * 0.95)];
const [a, b] = times.map((list) => {
  const kept = list.filter((x) => x <= cut), mean = kept.reduce((s, x) => s + x, 0) / kept.length;
  return { n: kept.length, mean, variance: kept.reduce((s, x) => s + (x - mean) ** 2, 0) / (kept.length - 1) };
});
const t = (a.mean - b.mean) / Math.sqrt(a.variance / a.n + b.variance / b.n);
console.log(`first byte wrong: ${a.mean.toFixed(3)} us, last byte wrong: ${b.mean.toFixed(3)} us, ${n} requests, t = ${t.toFixed(2)}`);
process.exit(Math.abs(t) < 4.5 ? 0 : 1);

// usage: node tests/egress/run.mjs [CONVERSATIONS] [SEED] [JOBS]: conversations with canaries through the mask (proof.mjs), in JOBS
// processes; prints what was sent, what the recording upstream found, and how answers came back. Ends with 1 when anything
// protected left or anything came back wrong.
import { fork } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { places, prove } from './proof.mjs';

const [n = 10000, seed = 1, jobs = Math.min(2, availableParallelism())] = process.argv.slice(2).map(Number);
const BATCH = 20000; // conversations of one server

async function part() {
  for (let done = 0, i = 0; done < n; done += BATCH, i++) {
    const t = await prove({ n: Math.min(BATCH, n - done), seed: seed * 1000003 + i });
    process.send({ ...t, places: [...t.places] });
    if (t.leaks.length || t.wrong.length) break;
  }
  process.disconnect();
}

function whole() {
  const sum = { sent: 0, answered: 0, received: 0, bytes: 0, leaks: [], wrong: [], refused: {}, formats: {}, places: new Set() };
  const started = performance.now();
  const add = (into, from) => Object.entries(from).forEach(([k, v]) => (into[k] = (into[k] ?? 0) + v));
  for (let i = 0; i < jobs; i++) {
    const child = fork(fileURLToPath(import.meta.url), [Math.ceil(n / jobs), seed * 101 + i], { env: { ...process.env, EGRESS_PART: 'yes' } });
    child.on('message', (t) => {
      for (const k of ['sent', 'answered', 'received', 'bytes']) sum[k] += t[k];
      for (const k of ['leaks', 'wrong']) sum[k].push(...t[k]);
      for (const k of ['refused', 'formats']) add(sum[k], t[k]);
      t.places.forEach((p) => sum.places.add(p));
      console.log(`${sum.sent} sent, ${sum.leaks.length} leaks, ${sum.wrong.length} wrong`);
    });
    child.on('exit', (code) => code && sum.wrong.push({ why: `a part ended with ${code}` }));
  }
  process.on('beforeExit', () => {
    const seconds = (performance.now() - started) / 1000, rows = (o) => Object.entries(o).map(([k, v]) => `${k} ${v}`).join(', ');
    console.log(`${sum.sent} conversations in ${seconds.toFixed(0)} s (${(sum.sent / seconds).toFixed(0)} a second), ${sum.places.size} of ${places.length} places`);
    console.log(`the upstream received ${sum.received} requests, ${sum.bytes} bytes: ${sum.leaks.length} with a protected value`);
    console.log(`${sum.answered} answers (${rows(sum.formats)}): ${sum.wrong.length} wrong`);
    console.log(`refused, nothing sent: ${rows(sum.refused) || 'none'}`);
    for (const x of [...sum.leaks, ...sum.wrong].slice(0, 3)) console.log(JSON.stringify(x, null, 1));
    process.exit(sum.leaks.length || sum.wrong.length || sum.sent < n ? 1 : 0);
  });
}

if (process.env.EGRESS_PART) await part();
else whole();

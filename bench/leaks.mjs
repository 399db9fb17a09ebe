// What the estimate of a missed value is worth: how many labelled texts leak at level 3, of all and of those that a bound
// on `risk` lets go (figures only, never a text). usage: node bench/leaks.mjs DATA   DATA/privacy has presidio-research,
// wnut17 and pupa
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { presidioSpans, pupaSpans, wnutSpans } from './labelled.mjs';

const folder = path.join(process.argv[2] ?? '', 'privacy');
if (!process.argv[2] || !existsSync(folder)) {
  console.error('leaks: no data given: make bench-leaks DATA=FOLDER, a folder with privacy/presidio-research, privacy/wnut17 and privacy/pupa');
  process.exit(2);
}
const at = (...names) => path.join(folder, ...names);
const sets = [
  ['presidio-research', presidioSpans(at('presidio-research', 'synth_dataset_v2.json.zst')), [0.13, 0.07]],
  ['WNUT-17, train and dev', ['wnut17train', 'emerging.dev'].flatMap((f) => wnutSpans(at('wnut17', `${f}.conll.zst`))), [0.13, 0.07],
    'person,location,group,corporation'],
  ['PUPA (New)', pupaSpans(at('pupa', 'PUPA_New.csv.zst')), [0.2, 0.07]],
];

console.log(`commit ${execFileSync('git', ['rev-parse', '--short', 'HEAD']).toString().trim()}`);
mkdirSync('build/bench', { recursive: true });
for (const [name, documents, risks, types] of sets) {
  const file = 'build/bench/labelled.jsonl';
  writeFileSync(file, documents.map((d) => JSON.stringify(d)).join('\n'));
  const rows = ['3', ...risks.map((r) => `3@${r}`)].map((level) => {
    // Its status says whether the level is shown, which it need not be here.
    const run = spawnSync('build/tandem', ['certify', 'leak', '--json', '--levels', level, ...(types ? ['--types', types] : []), file]);
    if (!run.stdout.length) throw new Error(run.stderr.toString());
    return JSON.parse(run.stdout).settings[0];
  });
  for (const [i, r] of rows.entries()) {
    const kept = r.kept / r.documents, leak = r.leaks / r.documents, chance = (1 - kept) * rows[0].leaks / rows[0].documents;
    console.log(`${name}, ${r.documents}: risk ${i ? risks[i - 1] : 'any'}: kept ${(100 * kept).toFixed(1)} %, leak ${(100 * leak).toFixed(1)} %, ` +
      `with as many kept at random ${(100 * chance).toFixed(1)} %`);
  }
}

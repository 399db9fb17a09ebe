// The worth of routers on RouteLLM's public outcomes (GPT-4-1106 and Mixtral-8x7B on MMLU and GSM8K): cross-validated by
// `tandem fit-router`, the controls beside them. Prompts that its authors found in training data are left out, as in its
// tables. Usage: node bench/routing.mjs FOLDER [SCORER...]; the folder holds the files of RouteLLM's evaluation, .zst or not.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const program = fileURLToPath(new URL('../build/tandem', import.meta.url));
const [folder, ...wished] = process.argv.slice(2);
const scorers = wished.length ? wished : ['quality'];
if (!folder || !existsSync(folder)) {
  console.error('bench-routing: no data: give the folder of RouteLLM\'s outcomes (make bench-routing DATA=folder)');
  process.exit(2);
}

function read(name) {
  const file = path.join(folder, name);
  if (existsSync(file)) return readFileSync(file, 'utf8');
  if (existsSync(`${file}.zst`)) return execFileSync('zstd', ['-dcq', `${file}.zst`], { encoding: 'utf8', maxBuffer: 1 << 30 });
  console.error(`bench-routing: ${folder} has no ${name}`);
  process.exit(2);
}

function rows(text) { // RFC 4180
  const cell = /("(?:[^"]|"")*"|[^",\r\n]*)(,|\r?\n|$)/y;
  const list = [[]];
  while (cell.lastIndex < text.length) {
    const [, value, end] = cell.exec(text);
    list.at(-1).push(value.startsWith('"') ? value.slice(1, -1).replaceAll('""', '"') : value);
    if (end !== ',' && cell.lastIndex < text.length) list.push([]);
  }
  const [names, ...others] = list;
  return others.map((r) => Object.fromEntries(names.map((name, i) => [name, r[i]])));
}

const contaminated = (name) => new Set(read(name).trim().split('\n').map((line) => JSON.parse(line).eval_prompt));
const right = (value) => Number(value === '1' || value === 'True');
const dir = mkdtempSync(path.join(os.tmpdir(), 'tandem-routing-'));

function table(name, items) {
  const file = path.join(dir, `${name}.jsonl`);
  writeFileSync(file, items.map((item) => JSON.stringify(item)).join('\n'));
  return file;
}

function report(title, file, args) {
  for (const scorer of scorers) {
    console.log(`\n== ${title}: tandem fit-router --scorer ${scorer} ${args.join(' ')}`);
    const { status } = spawnSync(program, ['fit-router', file, '--scorer', scorer, ...args], { stdio: 'inherit' });
    if (status !== 0) process.exitCode = 1;
  }
}

const ours = ({ prompt, group, weak, strong }) => ({ prompt, group, 'correct:mixtral-8x7b': weak, 'correct:gpt-4-1106': strong });
const found = contaminated('gsm8k_contaminated_prompts.jsonl');
const gsm8k = rows(read('gsm8k_responses.csv')).filter((r) => !found.has(r.prompt)).map((r) => ours({ prompt: r.prompt,
  weak: right(r['mistralai/Mixtral-8x7B-Instruct-v0.1']), strong: right(r['gpt-4-1106-preview']) }));
const mmlu = rows(read('mmlu_outcomes.csv')).filter((r) => r.contaminated !== '1').map((r) => ours({ prompt: r.prompt,
  group: r.domain, weak: right(r.weak_mixtral_correct), strong: right(r.strong_gpt4_correct) }));
report('GSM8K', table('gsm8k', gsm8k), []);
report('MMLU, the subject in the first line', table('mmlu', mmlu), ['--show-group']);
report('MMLU, the question alone', path.join(dir, 'mmlu.jsonl'), []);
rmSync(dir, { recursive: true });

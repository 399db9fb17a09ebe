// The demands, faults and security cases of docs/cases.md, and the tests that show each.
// usage: node tests/cases/run.mjs [--write]
//
// A test shows a case when its name begins with the case's id, or with several: `F13 F21 ...`, `demand_05_usage ...`,
// `S42_...`. What counts is what passed in the last whole run: of the integration tests build/integration*.tap, of the unit
// tests what each program of `make unit` has printed, beside it (build/gcc/unit-*.out). list.tsv: id, what it is, and what
// no test shows of it, why. --write makes the page, from what passed and was not skipped; without it the page must have
// every case, and no case may be without tests and without a reason.
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '../..');
const writes = process.argv[2] === '--write';
const memory = 'build/integration-memory.tap'; // of the build that looks for memory that nobody has set
const page = path.join(root, 'docs/cases.md');
const read = (file) => readFileSync(path.join(root, file), 'utf8');

function fail(sentence) {
  console.error(`cases: ${sentence}`);
  process.exit(1);
}

// Names of what passed in the last run, those inside other tests included. What is skipped here may be shown elsewhere, so it
// counts when the page is compared, but writes no row.
function integrationTests() {
  let report;
  try {
    report = read('build/integration.tap') + (existsSync(path.join(root, memory)) ? read(memory) : '');
  } catch {
    fail('there is no build/integration.tap; expected that of a whole run of tests/integration/run');
  }
  const names = [...report.matchAll(/^ *ok \d+ - (.*)$/gm)].map((m) => m[1].replaceAll('\\#', '#'));
  return names.filter((name) => !writes || !/ # SKIP/.test(name)).map((name) => name.replace(/ # SKIP.*/, ''));
}

function unitTests() {
  const folder = path.join(root, 'build/gcc');
  const reports = (existsSync(folder) ? readdirSync(folder) : []).filter((file) => /^unit-.*\.out$/.test(file));
  if (!reports.length) fail('there is no build/gcc/unit-*.out; expected those of a whole run of make unit');
  return reports.flatMap((file) => [...read(`build/gcc/${file}`).matchAll(/^\[ +OK \] (.*)$/gm)].map((m) => m[1]));
}

// Ids stand at the beginning, each alone or as the beginning of a word: "random weights, F16" names no fault.
function casesOf(name) {
  const words = name.split(' ');
  const end = words.findIndex((word) => !/^(demand_\d\d|[FS]\d\d)(?!\d)/.test(word));
  return words.slice(0, end < 0 ? words.length : end)
    .flatMap((word) => [...word.matchAll(/(?<![A-Za-z0-9])(?:demand_\d\d|[FS]\d\d)(?!\d)/g)].map((m) => m[0]));
}

const shown = new Map();
for (const name of [...integrationTests(), ...unitTests()])
  for (const id of casesOf(name)) shown.set(id, [...new Set([...shown.get(id) ?? [], name])]);

const cases = read('tests/cases/list.tsv').trimEnd().split('\n').map((line) => line.split('\t'));
const [missing, reasons, partial] = [[], [], []];
const cell = (text) => text.replaceAll('|', '\\|').replaceAll('<', '&lt;').slice(0, 160);
function row([id, what, reason]) {
  const tests = shown.get(id) ?? [];
  if (!tests.length || reason) (tests.length ? partial : reason ? reasons : missing).push(id);
  const first = tests.slice(0, 3).map((name) => cell(name)).join('; ') + (tests.length > 3 ? `; ${tests.length - 3} more` : '');
  const shows = first && reason ? `${first}. Not shown: ${reason}` : first || reason || '**no test**';
  return `| ${id.replace('_', ' ')} | ${what} | ${shows} |`;
}
const part = (title, test) => `## ${title}\n\n| | what | shown by |\n|---|---|---|\n${cases.filter(([id]) => test.test(id)).map(row).join('\n')}\n`;
const text = `# Cases: what is asked of a gateway, and the tests that show it

Written by \`node tests/cases/run.mjs --write\` from the names of the tests that passed; \`./check\` compares. A row without a
test says why, and a row whose tests show a part of it says which part they do not.

${part('What users ask for', /^demand/)}
${part('Faults', /^F/)}
${part('Security', /^S/)}`;

const summary = `${cases.length - reasons.length - missing.length} of ${cases.length} cases are shown by tests (${partial.length} in part), ${reasons.length} say why they are not, ${missing.length} are missing`;
if (writes) {
  writeFileSync(page, text);
  console.log(`${summary}: ${missing.join(' ')}`);
} else {
  if (missing.length) fail(`no test names ${missing.join(' ')}; expected one each, or a reason in tests/cases/list.tsv`);
  let now = '';
  try { now = readFileSync(page, 'utf8'); } catch { /* as if empty */ }
  const absent = cases.filter(([id]) => !now.includes(`| ${id.replace('_', ' ')} |`));
  if (absent.length) fail(`docs/cases.md has no row for ${absent.map(([id]) => id).join(' ')}; write it with node tests/cases/run.mjs --write`);
  console.log(summary);
}

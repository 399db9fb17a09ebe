// The demands, faults and security cases of docs/cases.md, and the tests that show each.
// usage: node tests/cases/run.mjs [--write]
//
// A test shows a case when the case's id is in its name: `F13 F21 ...`, `demand_05 ...`, in C s42_... . The names of the
// integration tests are those that passed in the last whole run (build/integration.tap); the unit tests are those that
// are registered in tests/unit. list.tsv: id, what it is, and where there is no test, why. --write makes the page;
// without it the page must be what would be written, and no case without either.
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '../..');
const page = path.join(root, 'docs/cases.md');
const read = (file) => readFileSync(path.join(root, file), 'utf8');

function fail(sentence) {
  console.error(`cases: ${sentence}`);
  process.exit(1);
}

// Names of what passed or was skipped in the last run, those inside other tests included.
function integrationTests() {
  let report;
  try {
    report = read('build/integration.tap');
  } catch {
    fail('there is no build/integration.tap; expected that of a whole run of tests/integration/run');
  }
  return [...report.matchAll(/^ *ok \d+ - (.*)$/gm)].map((m) => m[1].replace(/ # SKIP.*/, '').replaceAll('\\#', '#'));
}

function unitTests() {
  const folders = readdirSync(path.join(root, 'tests/unit'), { recursive: true }).filter((file) => file.endsWith('.c'));
  return folders.flatMap((file) => [...read(`tests/unit/${file}`).matchAll(/cmocka_unit_test\w*\(\s*(\w+)/g)].map((m) => m[1]));
}

// "F13 F21 cut streams" and "f13_cut_streams" name their cases; so do "demand_05_usage" and "demand_05 usage".
function casesOf(name) {
  return [...name.matchAll(/(?:^|[^A-Za-z0-9])(demand_\d\d|[FSfs]\d\d)(?=[^0-9]|$)/g)].map((m) => m[1].startsWith('demand') ? m[1] : m[1].toUpperCase());
}

const shown = new Map();
for (const name of [...integrationTests(), ...unitTests()])
  for (const id of casesOf(name)) shown.set(id, [...new Set([...shown.get(id) ?? [], name])]);

const cases = read('tests/cases/list.tsv').trimEnd().split('\n').map((line) => line.split('\t'));
const [missing, reasons] = [[], []];
const cell = (text) => text.replaceAll('|', '\\|').replaceAll('<', '&lt;').slice(0, 160);
function row([id, what, reason]) {
  const tests = shown.get(id) ?? [];
  if (!tests.length) (reason ? reasons : missing).push(id);
  const first = tests.slice(0, 3).map((name) => cell(name)).join('; ') + (tests.length > 3 ? `; ${tests.length - 3} more` : '');
  return `| ${id.replace('_', ' ')} | ${what} | ${first || reason || '**no test**'} |`;
}
const part = (title, test) => `## ${title}\n\n| | what | shown by |\n|---|---|---|\n${cases.filter(([id]) => test.test(id)).map(row).join('\n')}\n`;
const text = `# Cases: what is asked of a gateway, and the tests that show it

Written by \`node tests/cases/run.mjs --write\` from the names of the tests that passed; \`./check\` compares. A row without a
test says why.

${part('What users ask for', /^demand/)}
${part('Faults', /^F/)}
${part('Security', /^S/)}`;

const summary = `${cases.length - reasons.length - missing.length} of ${cases.length} cases are shown by tests, ${reasons.length} say why they are not, ${missing.length} are missing`;
if (process.argv[2] === '--write') {
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

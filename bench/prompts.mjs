// Prompts of Spec-Bench (question.jsonl on standard input) as bench_prompts reads them: the first turn of each; the eight
// kinds of question of MT-bench are one group. usage: prompts.mjs [MOST of each group]
import { readFileSync } from 'node:fs';

const published = new Set(['translation', 'summarization', 'qa', 'math_reasoning', 'rag']);
const most = Number(process.argv[2] ?? 80);
const count = {};
for (const line of readFileSync(0, 'utf8').split('\n').filter(Boolean)) {
  const { category, turns } = JSON.parse(line);
  const group = published.has(category) ? category : 'mt_bench';
  if ((count[group] = (count[group] ?? 0) + 1) > most) continue;
  const prompt = Buffer.from(turns[0]);
  process.stdout.write(Buffer.concat([Buffer.from(`${group} ${prompt.length}\n`), prompt, Buffer.from('\n')]));
}

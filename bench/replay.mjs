// Tables that `tandem replay` reads, made from the public outcomes of RouteLLM: without the prompts that its own lists
// call contaminated, and for MT-Bench with the mean of both turns, a tenth of the judge's score.
// usage: node bench/replay.mjs FOLDER OUT   (FOLDER: mmlu_outcomes.csv, gsm8k_responses.csv, judgements.jsonl, question.jsonl
// and the lists; OUT gets mmlu.jsonl, gsm8k.jsonl, mtbench.jsonl)
import { readFileSync, writeFileSync } from 'node:fs';

const [folder, out] = process.argv.slice(2);
const text = name => readFileSync(`${folder}/${name}`, 'utf8');
const lines = name => text(name).split('\n').filter(Boolean).map(line => JSON.parse(line));
const contaminated = set => new Set(lines(`${set}_contaminated_prompts.jsonl`).map(row => row.eval_prompt));

function rows(name) { // of a CSV file, as objects
	const all = [];
	let row = [], cell = '', quoted = false;
	const source = text(name);
	for (let i = 0; i < source.length; i++) {
		const c = source[i];
		if (quoted && c === '"' && source[i + 1] === '"') { cell += c; i++; }
		else if (c === '"') quoted = !quoted;
		else if (quoted || (c !== ',' && c !== '\n' && c !== '\r')) cell += c;
		else if (c !== '\r') {
			row.push(cell);
			cell = '';
			if (c === '\n') { all.push(row); row = []; }
		}
	}
	if (cell || row.length) all.push([...row, cell]);
	const [head, ...body] = all;
	return body.filter(cells => cells.length === head.length)
		.map(cells => Object.fromEntries(head.map((key, k) => [key, cells[k]])));
}

const save = (name, list) => writeFileSync(`${out}/${name}.jsonl`,
	list.map((row, i) => JSON.stringify({ item: i + 1, ...row }) + '\n').join(''));
const small = 'mistralai/Mixtral-8x7B-Instruct-v0.1', large = 'gpt-4-1106-preview';

let bad = contaminated('mmlu');
save('mmlu', rows('mmlu_outcomes.csv').filter(row => !bad.has(row.prompt)).map(row => ({ prompt: row.prompt,
	group: row.domain, correct: { small: Number(row.weak_mixtral_correct), large: Number(row.strong_gpt4_correct) } })));

bad = contaminated('gsm8k');
save('gsm8k', rows('gsm8k_responses.csv').filter(row => !bad.has(row.prompt)).map(row => ({ prompt: row.prompt,
	correct: { small: row[small] === 'True', large: row[large] === 'True' } })));

bad = contaminated('mt_bench');
const judged = {};
for (const row of lines('judgements.jsonl'))
	(judged[`${row.question_id} ${row.model}`] ??= []).push(row.score);
const score = (id, model) => judged[`${id} ${model}`].reduce((a, b) => a + b) / judged[`${id} ${model}`].length / 10;
save('mtbench', lines('question.jsonl').filter(row => !row.turns.some(turn => bad.has(turn)))
	.map(row => ({ prompt: row.turns[0], group: row.category,
		correct: { small: score(row.question_id, small), large: score(row.question_id, large) } })));

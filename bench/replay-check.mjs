// Compares what bench/replay made with the published figures; ends with 1 when one differs.
import { readdirSync, readFileSync } from 'node:fs';

const work = process.argv[2];
const read = name => JSON.parse(readFileSync(`${work}/${name}`, 'utf8'));
let checked = 0, wrong = 0;
function check(what, have, expected, tolerance) {
	checked++;
	if (Math.abs(have - expected) <= tolerance) return; // also wrong: NaN
	wrong++;
	console.log(`DIFFERS ${what}: ${have}, published ${expected}`);
}

// APGR, CPT20, CPT50, CPT80 of scores without chance: to the last published digit.
const controls = {
	mmlu: { length: [0.5838, 15.30, 36.63, 69.32], prior: [0.6695, 8.12, 27.39, 58.97], oracle: [1.2684, 2.50, 6.25, 10.00] },
	gsm8k: { length: [0.5984, 10.76, 36.48, 66.66], digits: [0.4841, 23.50, 49.67, 80.74], oracle: [1.1146, 4.41, 11.02, 17.63] },
	mtbench: { length: [0.5555, 15.19, 34.44, 77.57], oracle: [0.9527, 3.63, 9.08, 18.01] },
};
// Random routing: APGR, CPT50, CPT80 and how far each may lie from the mean: what was published with it, else three
// standard deviations of a mean of ten routers.
const random = {
	mmlu: [[0.500, 50.07, 79.93], null],
	gsm8k: [[0.497, 50.00, 80.08], [0.01, 2, 1]],
	mtbench: [[0.500, 49.03, 78.08], [0.02, 4, 3]],
};
for (const [set, scores] of Object.entries(controls)) {
	const rows = Object.fromEntries(read(`${set}.json`).scores.map(row => [row.score, row]));
	for (const [score, [apgr, ...cpt]] of Object.entries(scores)) {
		check(`${set} ${score} APGR`, rows[score].APGR[0], apgr, 0.000051);
		cpt.forEach((value, i) => check(`${set} ${score} CPT${[20, 50, 80][i]}`, 100 * rows[score][`CPT${[20, 50, 80][i]}`][0], value, 0.0051));
	}
	const [published, tolerance] = random[set];
	['APGR', 'CPT50', 'CPT80'].forEach((name, i) => {
		const [mean, low, high] = rows.random[name].map(value => value * (i ? 100 : 1));
		const sd = (high - low) / 3.92, within = tolerance ? tolerance[i] : 3 * sd / Math.sqrt(10);
		check(`${set} random ${name}`, mean, published[i], within);
		console.log(`random routing, ${set} ${name}: mean ${mean.toFixed(i ? 2 : 3)}, standard deviation of one router ${sd.toFixed(i ? 2 : 3)}, published ${published[i]}`);
	});
}
const models = { mmlu: [0.680915, 0.805870], gsm8k: [833 / 1307, 1121 / 1307], mtbench: [0.828125, 0.9211806] };
for (const [set, [small, large]] of Object.entries(models)) {
	check(`${set} small alone`, read(`${set}.json`).small_accuracy, small, 1e-6);
	check(`${set} large alone`, read(`${set}.json`).large_accuracy, large, 1e-6);
}

// Cascades: right, large model alone in percent, kept, right when kept.
const cascades = [[1269, 96.21, 918, 900], [1261, 95.91, 918, 900], [1248, 94.16, 1067, 1036], [1265, 96.21, 1044, 1013],
	[1250, 96.21, 1319 - 91]];
cascades.forEach(([right, alone, kept, keptRight], i) => {
	const result = read(`cascade-${i + 1}.json`), policy = result.policies.find(row => row.policy.startsWith('agreement'));
	check(`cascade ${i + 1} right`, policy.accuracy[0] * result.items, right, 1e-6);
	check(`cascade ${i + 1} large alone`, 100 * result.large_accuracy, alone, 0.0051);
	check(`cascade ${i + 1} kept`, policy.kept, kept, 0);
	if (keptRight) check(`cascade ${i + 1} right when kept`, policy.kept_right, keptRight, 0);
});

// Accuracies of all models beside the published summary.
const names = { 'Llama-3.1-405B-Instruct-Turbo': 'Llama-3.1-405B-Inst-fp8@together',
	'Meta-Llama-3.1-405B-Instruct@hyperbolic': 'Llama-3.1-405B-Inst@hyperbolic', 'gemma-2-27b-it@together': 'gemma-2-27b-it',
	'deepseek-chat': 'deepseek-v2-chat-0628', 'deepseek-coder': 'deepseek-v2-coder-0614', 'DeepSeek-Coder-V2-0724': 'deepseek-v2-coder-0724' };
const published = Object.fromEntries(read('zeroeval/gsm.summary.json').map(row => [row.Model, row]));
let compared = 0;
for (const file of readdirSync(work).filter(name => name.startsWith('alone-'))) {
	const alone = read(file), row = published[names[alone.large] ?? alone.large];
	compared += row ? 1 : 0;
	check(`accuracy of ${alone.large}`, 100 * alone.large_accuracy, Number(row?.Acc), 0.0051);
}
console.log(`${compared} models compared with the published accuracies; ${checked} figures, ${wrong} differ`);
process.exit(wrong ? 1 : 0);

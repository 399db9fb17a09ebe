// `tandem replay` beside the same figures worked out here, from the table that docs/replay.md uses.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

const root = new URL('../..', import.meta.url).pathname, tandem = process.env.TANDEM ?? join(root, 'build/tandem');
const table = join(root, 'tests/replay/sums.csv');
const [head, ...rows] = readFileSync(table, 'utf8').trim().split('\n')
	.map(line => line.match(/("[^"]*"|[^,]*)(,|$)/g).map(cell => cell.replace(/,$/, '').replace(/^"|"$/g, '')));
const items = rows.map(cells => Object.fromEntries(head.filter(Boolean).map((name, i) => [name, cells[i]])));
const close = (have, expected) => assert.ok(Math.abs(have - expected) < 1e-9, `${have} is not ${expected}`);
const mean = list => list.reduce((a, b) => a + b, 0) / list.length;

function curve(score, small, large) {
	const n = score.length, sorted = [...score].sort((a, b) => a - b);
	const points = [];
	for (let j = 0; j <= 10; j++) {
		const at = (n - 1) * j / 10, k = Math.floor((n - 1) * j / 10);
		const threshold = k + 1 < n ? sorted[k] + (at - k) * (sorted[k + 1] - sorted[k]) : sorted[k];
		const strong = score.map(s => j < 10 ? s >= threshold : s > threshold);
		points.push([mean(strong.map(Number)), mean(strong.map((yes, i) => yes ? large[i] : small[i]))]);
	}
	return points.reverse();
}

function measures(points, weak, strong) {
	let area = 0;
	const wanted = (weak + strong) / 2;
	let cpt;
	for (let i = 1; i < points.length; i++) {
		const [[x0, y0], [x1, y1]] = [points[i - 1], points[i]];
		area += (x1 - x0) * (y0 + y1) / 2;
		if (cpt === undefined && y1 >= wanted - 1e-12) cpt = x0 + (x1 - x0) * (wanted - y0) / (y1 - y0);
	}
	return { apgr: (area - weak) / (strong - weak), cpt };
}

function replay(...args) {
	const folder = mkdtempSync(join(tmpdir(), 'replay-'));
	try {
		execFileSync(tandem, ['replay', table, ...args, '--out', join(folder, 'out.json')]);
		return JSON.parse(readFileSync(join(folder, 'out.json'), 'utf8'));
	} finally {
		rmSync(folder, { recursive: true });
	}
}

test('replay gives the routing figures that are worked out here', () => {
	const small = items.map(row => Number(row['correct:small'])), large = items.map(row => Number(row['correct:large']));
	const result = replay('--scores', 'doubt,length');
	close(result.small_accuracy, mean(small));
	const scores = { doubt: items.map(row => Number(row.doubt)), length: items.map(row => Buffer.byteLength(row.prompt)) };
	for (const row of result.scores) {
		const score = scores[row.score], points = curve(score, small, large);
		points.forEach(([share, quality], i) => { close(row.share[i], share); close(row.quality[i], quality); });
		const { apgr, cpt } = measures(points, mean(small), mean(large));
		close(row.APGR[0], apgr);
		close(row.CPT50[0], cpt);
		let wins = 0, pairs = 0;
		score.forEach((a, i) => score.forEach((b, k) => {
			if (small[i] === 0 && small[k] === 1) { pairs++; wins += a > b ? 1 : a === b ? 0.5 : 0; }
		}));
		close(row.AUROC[0], wins / pairs);
		assert.ok(row.APGR[1] < row.APGR[0] && row.APGR[0] < row.APGR[2]);
	}
});

test('replay gives the cascade by agreement that is worked out here', () => {
	const result = replay('--small', 'small,twin');
	const policy = result.policies.find(row => row.policy.startsWith('agreement'));
	const kept = items.map(row => Number(row['answer:small']) === Number(row['answer:twin']));
	close(policy.kept, kept.filter(Boolean).length);
	close(policy.accuracy[0], mean(items.map((row, i) => Number(row[kept[i] ? 'correct:small' : 'correct:large']))));
	close(policy.cost[0], mean(items.map((row, i) => Number(row['cost:small']) + Number(row['cost:twin'])
		+ (kept[i] ? 0 : Number(row['cost:large'])))));
});

test('replay says in one sentence what a table or a command lacks', () => {
	const sentence = (...args) => spawnSync(tandem, ['replay', ...args], { encoding: 'utf8' });
	for (const [args, words] of [[[], 'expected a table of outcomes'], [[table, '--large', 'larg'], 'no model "larg" (nearest: large)'],
		[[table, '--scores', 'nothing'], 'score nothing: no column of that name'], [[table, '--at', '120'], 'expected 0 to 100']]) {
		const out = sentence(...args);
		assert.notEqual(out.status, 0);
		assert.ok(out.stderr.includes(words), out.stderr);
		assert.equal(out.stderr.trim().split('\n').length, 1);
	}
});

test('labels for a certificate: how many agree, whether what would be kept is right, whether the large model is', () => {
	const folder = mkdtempSync(join(tmpdir(), 'replay-'));
	try {
		const read = (...args) => {
			execFileSync(tandem, ['replay', table, ...args, '--labels', join(folder, 'l.tsv'), '--resamples', '0']);
			const [names, ...lines] = readFileSync(join(folder, 'l.tsv'), 'utf8').trim().split('\n').map(line => line.split('\t'));
			assert.deepEqual(names, ['item', 'score', 'small', 'large']);
			return lines.map(line => line.slice(1).map(Number));
		};
		const voted = read('--small', 'small,twin', '--answers', 'number');
		assert.deepEqual(voted, items.map(row => {
			const [a, b] = ['answer:small', 'answer:twin'].map(name => row[name] && Number(row[name]));
			const score = a !== '' && a === b ? 1 : a !== '' || b !== '' ? 0.5 : 0;
			return [score, a !== '' ? Number(row['correct:small']) : b !== '' ? Number(row['correct:twin']) : 0, Number(row['correct:large'])];
		}));
		const doubted = read('--scores', 'doubt');
		doubted.forEach(([score], i) => close(score, -Number(items[i].doubt)));
		const { status, stderr } = spawnSync(tandem, ['replay', table, '--labels', join(folder, 'l.tsv')], { encoding: 'utf8' });
		assert.equal(status, 2);
		assert.match(stderr, /--labels needs a score/);
	} finally {
		rmSync(folder, { recursive: true });
	}
});

// Lines of accuracy against cost from the outcomes of one evaluation (bench/curves). A gate's line has a point for every
// share that a threshold on its score can keep; a kind without such a score has one for every model of its name.
// usage: node bench/curves.mjs OUTCOMES.json PLOT.svg
import { readFileSync, writeFileSync } from 'node:fs';

const [from, to] = process.argv.slice(2);
const { models, items, seed } = JSON.parse(readFileSync(from, 'utf8'));
const at = Object.fromEntries(models.map((m, i) => [m.model, i])), n = items.length;
const sum = (list, f) => list.reduce((a, x) => a + f(x), 0);
const of = (item, name) => item.outcomes[at[name]];
const whole = sum(items, item => of(item, 'large').cost);
const point = (cost, right) => ({ cost: 100 * cost / whole, right: 100 * right / n });
const alone = name => point(sum(items, item => of(item, name).cost), sum(items, item => of(item, name).right));

// From everything passed on to everything kept. pays: the small answer is paid where it is passed on, too.
function sweep(rank, next, pays) {
	const small = pays ? item => of(item, 'small').cost : () => 0;
	let cost = sum(items, item => of(item, next).cost + small(item)), right = sum(items, item => of(item, next).right);
	const points = [{ ...point(cost, right), score: Infinity }];
	for (const { item, score } of items.map(item => ({ item, score: rank(item) })).sort((a, b) => b.score - a.score)) {
		cost -= of(item, next).cost - (pays ? 0 : of(item, 'small').cost);
		right += of(item, 'small').right - of(item, next).right;
		points.push({ ...point(cost, right), score });
	}
	return points.filter((p, i) => i + 1 === points.length || p.score !== points[i + 1].score);
}
const family = name => models.filter(m => m.model.startsWith(`${name}.`)).map(m => alone(m.model)).sort((a, b) => a.cost - b.cost);
const ends = ['small', 'large'].map(alone);
// Kept first: what only the small model has right, what both have, what neither has; then, dear ones first, what only the
// large one has right.
const rank = item => (of(item, 'small').right ? 4 : of(item, 'large').right ? 0 : 2) + of(item, 'large').cost +
	(of(item, 'small').right && !of(item, 'large').right ? 1 : 0);
const lines = {
	'oracle': sweep(rank, 'large', true),
	'cascade, scorer, then defer': sweep(item => of(item, 'scorer').score, 'defer.0.1', true),
	'cascade, scorer': sweep(item => of(item, 'scorer').score, 'large', true),
	'cascade, margin': sweep(item => of(item, 'margin').score, 'large', true),
	'cascade, logprob': sweep(item => of(item, 'logprob').score, 'large', true),
	'defer, entropy': [ends[0], ...family('defer'), ends[1]],
	'shepherd, scorer': family('shepherd'),
	'route, linear': sweep(item => of(item, 'route').score, 'large', false),
	'route, length': sweep(item => of(item, 'length').score, 'large', false),
	'random': ends,
};
const dots = { small: ends[0], large: ends[1], 'speculate (exact)': alone('speculate') };

// --- the table: accuracy at shares of the large model's cost, and the least share at its accuracy

function rightAt(points, cost) {
	const known = points.filter(p => p.cost <= cost);
	return known.length ? Math.max(...known.map(p => p.right)) : NaN;
}
function straight(points, cost) { // a line between two ends is a coin between them
	const [a, b] = points;
	return a.right + (b.right - a.right) * (cost - a.cost) / (b.cost - a.cost);
}
const shares = [20, 30, 40, 50, 60, 80, 100];
const wide = (x, n) => String(x).padStart(n);
console.log(`right, % (large alone ${ends[1].right.toFixed(2)}), at most this share of its cost, %`);
console.log(`${''.padEnd(28)}${shares.map(s => wide(s, 8)).join('')}   share for its accuracy`);
for (const [name, points] of Object.entries(lines)) {
	const values = shares.map(s => name === 'random' ? straight(points, s) : rightAt(points, s));
	const enough = points.filter(p => p.right >= ends[1].right - 1e-9).map(p => p.cost);
	console.log(name.padEnd(28) + values.map(v => wide(isNaN(v) ? '-' : v.toFixed(2), 8)).join('') +
		wide(enough.length ? Math.min(...enough).toFixed(1) : '-', 10));
}
for (const [name, p] of Object.entries(dots))
	console.log(`${name.padEnd(28)}${p.right.toFixed(2)} % right at ${p.cost.toFixed(1)} % of the cost`);

// --- the picture

const box = { left: 64, top: 34, width: 640, height: 420 }, bottom = Math.floor(ends[0].right / 5) * 5, top = 100;
const x = v => (box.left + box.width * Math.min(v, 110) / 110).toFixed(1), y = v => (box.top + box.height * (top - v) / (top - bottom)).toFixed(1);
const colours = ['#777777', '#c0392b', '#e67e22', '#b8860b', '#8e6c4a', '#2471a3', '#16a085', '#6c3483', '#a569bd', '#000000'];
const text = (px, py, s, more = '') => `<text x="${px}" y="${py}" font-family="sans-serif" font-size="12" ${more}>${s}</text>`;
const svg = [`<svg xmlns="http://www.w3.org/2000/svg" width="960" height="510" viewBox="0 0 960 510">`, '<rect width="960" height="510" fill="white"/>',
	text(box.left, 20, `Accuracy against cost on the gym: ${n} items of seed ${seed}, test split; cost in % of the large model alone`, 'font-weight="bold"')];
for (let v = bottom; v <= top; v += 5)
	svg.push(`<line x1="${box.left}" x2="${box.left + box.width}" y1="${y(v)}" y2="${y(v)}" stroke="#e5e5e5"/>`, text(box.left - 8, Number(y(v)) + 4, v, 'text-anchor="end"'));
for (let v = 0; v <= 110; v += 10)
	svg.push(`<line y1="${box.top}" y2="${box.top + box.height}" x1="${x(v)}" x2="${x(v)}" stroke="#f0f0f0"/>`, text(x(v), box.top + box.height + 18, v, 'text-anchor="middle"'));
svg.push(`<line x1="${x(40)}" x2="${x(40)}" y1="${box.top}" y2="${box.top + box.height}" stroke="#999" stroke-dasharray="4 4"/>`,
	`<line x1="${box.left}" x2="${box.left + box.width}" y1="${y(ends[1].right)}" y2="${y(ends[1].right)}" stroke="#999" stroke-dasharray="4 4"/>`);
Object.entries(lines).forEach(([name, points], i) => {
	const step = Math.max(1, Math.floor(points.length / 120)), shown = points.filter((_, k) => k % step === 0 || k + 1 === points.length);
	const dash = name === 'random' || name === 'oracle' ? ' stroke-dasharray="6 4"' : '';
	svg.push(`<polyline fill="none" stroke="${colours[i]}" stroke-width="1.8"${dash} points="${shown.map(p => `${x(p.cost)},${y(p.right)}`).join(' ')}"/>`,
		`<line x1="724" x2="748" y1="${58 + 22 * i}" y2="${58 + 22 * i}" stroke="${colours[i]}" stroke-width="2.5"${dash}/>`, text(754, 62 + 22 * i, name));
});
Object.entries(dots).forEach(([name, p], i) => svg.push(`<circle cx="${x(p.cost)}" cy="${y(p.right)}" r="4" fill="${['#333', '#333', '#229954'][i]}"/>`,
	text(Number(x(p.cost)) + (i === 0 ? 7 : 0), Number(y(p.right)) + (i === 2 ? -34 : 18), name, i === 2 ? 'text-anchor="end"' : '')));
svg.push(text(box.left + box.width / 2, 496, 'cost, % of the large model alone', 'text-anchor="middle"'), text(10, box.top - 8, 'right, %'), '</svg>');
writeFileSync(to, svg.join('\n') + '\n');

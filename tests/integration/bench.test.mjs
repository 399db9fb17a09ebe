// `tandem bench` on the shipped small model: every test once for every number of threads, figures that fit together, and
// one sentence for what it cannot do.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test from 'node:test';

const run = promisify(execFile);
const tandem = process.env.TANDEM ?? 'build/tandem';

test('every test is measured once for every number of threads', async () => {
	const folder = await mkdtemp(join(tmpdir(), 'tandem-bench-'));
	const out = join(folder, 'figures.tsv');
	const { stdout } = await run(tandem, ['bench', 'weights/small.gguf', '--rounds', '3', '--prompt', '32,64', '--decode', '8',
		'--depth', '0,40', '--verify', '1,4', '--verify-depth', '20', '--threads', '1,2', '--memory', '8', '--out', out]);
	const rows = (await readFile(out, 'utf8')).trim().split('\n').map((line) => line.split('\t'));
	await rm(folder, { recursive: true });
	assert.deepEqual(rows[0], ['test', 'tokens', 'depth', 'threads', 'tokens_per_s', 'least', 'most']);
	assert.deepEqual(rows.slice(1, 7).map((r) => r.slice(0, 4).join(' ')),
		['prompt 32 0 1', 'prompt 64 0 1', 'decode 8 0 1', 'decode 8 40 1', 'verify 1 20 1', 'verify 4 20 1']);
	assert.equal(rows.length, 13);
	for (const [, , , , rate, least, most] of rows.slice(1))
		assert.ok(+least > 0 && +least <= +rate && +rate <= +most, `${least} ${rate} ${most}`);
	assert.match(stdout, /llama, \S+, 0\.5 M parameters/);
	assert.equal(stdout.match(/of one token/g).length, 4);
	assert.equal(stdout.match(/^memory +8 MB .*\b(?!0\.0 )\d+\.\d GB\/s/gm).length, 2);
	assert.equal(stdout.match(/weights \d+\.\d GB\/s, \d+ % of memory$/gm).length, 4);
});

test('what cannot be measured is said in one sentence', async () => {
	const cases = [
		[['bench'], /expected one weight file, not 0 operands/],
		[['bench', 'absent.gguf'], /absent\.gguf/],
		[['bench', 'weights/small.gguf', '--threads', '1;2'], /--threads "1;2" is no list/],
		[['bench', 'weights/small.gguf', '--prompt', '100000', '--threads', '1'], /do not fit the context/],
	];
	for (const [args, sentence] of cases)
		await assert.rejects(run(tandem, args), (e) => {
			assert.match(e.stderr, sentence);
			assert.equal(e.stderr.trim().split('\n').length, 1, e.stderr);
			return true;
		});
});

// Peers that only say what they were asked: the table shows their figures, the better one counts.
async function fakePeer(folder, name, rate, hasDepth) {
	const at = join(folder, name);
	await mkdir(at, { recursive: true });
	const row = (p, n, d) => `echo '"${p}","${n}",${hasDepth ? `"${d}",` : ''}"${rate}","0"'`;
	const help = hasDepth ? 'echo "  -d, --n-depth <n>"' : 'echo "  -gp <pp,tg>"';
	await writeFile(join(at, 'llama-bench'), `#!/usr/bin/env bash
if [[ $* == *--help* ]]; then ${help}; exit; fi
echo 'n_prompt,n_gen,${hasDepth ? 'n_depth,' : ''}avg_ts,stddev_ts'
if [[ $* == *" ${hasDepth ? '-d 16' : '-gp 16,4'}"* ]]; then ${hasDepth ? row(0, 4, 16) : row(16, 4)}; exit; fi
${row(32, 0, 0)}
${row(0, 4, 0)}
`, { mode: 0o755 });
	await writeFile(join(at, 'llama-batched-bench'), `#!/usr/bin/env bash
echo '|   256 |      8 |    1 |    264 |    0.1 |   1.0 |    0.1 |   ${rate} |    0.1 |   1.0 |'
echo '|   256 |      8 |    4 |    288 |    0.1 |   1.0 |    0.1 |   ${2 * rate} |    0.1 |   1.0 |'
`, { mode: 0o755 });
	await writeFile(join(at, 'commit'), `commit of ${name}\n`);
}

test('bench/engine says who wins each cell, beside any number of peers', async () => {
	const folder = await mkdtemp(join(tmpdir(), 'tandem-peers-'));
	const peers = join(folder, 'peers'), out = join(folder, 'figures.tsv');
	await fakePeer(peers, 'one', 0.5, true);
	await fakePeer(peers, 'two', 1e9, false);
	for (const format of ['f16', 'q8_0'])
		await copyFile('weights/small.gguf', join(folder, `small-${format}.gguf`));
	const env = { ...process.env, TANDEM: tandem, MODELS: folder, OUT: out, SHAPES: 'small', FORMATS: 'q8_0', THREADS: '1', ROUNDS: '1',
		PROMPTS: '32', DECODE: '4', DEPTH: '16', VERIFY: '1,4' };
	const { stdout } = await run('bench/engine', [peers], { env });
	const rows = (await readFile(join(folder, 'figures.table.tsv'), 'utf8')).trim().split('\n').map((line) => line.split('\t'));
	await run('bench/engine', [peers], { env: { ...env, ROUNDS: '0' } }); // the table alone
	await rm(folder, { recursive: true });
	assert.match(stdout, /one: commit of one\ntwo: commit of two\n/);
	assert.deepEqual(rows.slice(1).map((r) => r.slice(3, 6).join(' ')).sort(), ['decode 4 0', 'decode 4 16', 'load 1 0', 'prompt 32 0',
		'resident 1 0', 'verify 1 256', 'verify 4 256']);
	for (const row of rows.slice(1).filter((r) => r[3] !== 'load' && r[3] !== 'resident')) {
		const cell = Object.fromEntries(row.map((value, i) => [rows[0][i], value]));
		assert.equal(+cell.one, cell.test === 'verify' && cell.tokens === '4' ? 1 : 0.5, row.join(' '));
		assert.ok(+cell.two >= 1e9 && +cell.tandem > 1, row.join(' '));
		assert.match(cell.wins, cell.test === 'verify' ? /^peer$/ : /^peer, below the bar$/);
		assert.equal(cell.theirs, cell.test !== 'verify' ? '-' : cell.tokens === '1' ? '1.00' : '2.00');
	}
});

test('bench/engine says when nobody is there to compare with', async () => {
	await assert.rejects(run('bench/engine', []), /no folder of peers given/);
	await assert.rejects(run('bench/engine', ['weights']), /weights holds no peer: expected NAME\/llama-bench/);
});

// A server that answers at once: its counts are right, so the table has to show them.
const server = `#!/usr/bin/env node
const { createServer } = require('node:http');
const port = Number(process.argv[process.argv.indexOf('--port') + 1]);
createServer((request, response) => {
	let text = '';
	request.on('data', (part) => { text += part; }).on('end', () => {
		if (request.url === '/health') return response.end('{}');
		const asked = JSON.parse(text);
		response.write('data: {"content":"a"}\\n\\n');
		response.end(\`data: {"stop":true,"tokens_predicted":\${asked.n_predict},"tokens_evaluated":\${asked.prompt.length}}\\n\\n\`);
	});
}).listen(port, '127.0.0.1');
process.on('SIGTERM', () => process.exit(0));
`;

test('bench/serving measures sessions, first tokens, a busy machine and memory', async () => {
	const folder = await mkdtemp(join(tmpdir(), 'tandem-serving-'));
	const peers = join(folder, 'peers'), out = join(folder, 'figures.tsv');
	await fakePeer(peers, 'one', 0.5, true);
	await writeFile(join(peers, 'one', 'llama-server'), server, { mode: 0o755 });
	for (const format of ['f16', 'q8_0'])
		await copyFile('weights/small.gguf', join(folder, `small-${format}.gguf`));
	const env = { ...process.env, TANDEM: tandem, MODELS: folder, OUT: out, SHAPES: 'small', FORMATS: 'q8_0', ROUNDS: '1', SESSIONS: '3',
		ANSWER: '6', LONG: '200', DECODE: '4' };
	const { stdout } = await run('bench/serving', [peers], { env });
	const rows = (await readFile(join(folder, 'figures.table.tsv'), 'utf8')).trim().split('\n').map((line) => line.split('\t'));
	await rm(folder, { recursive: true });
	assert.match(stdout, /one: commit of one\n/);
	const cells = new Map(rows.slice(1).map((row) => [`${row[3].trim()} ${row[2]}`, Object.fromEntries(row.map((v, i) => [rows[0][i], v]))]));
	for (const name of ['3 sessions at once, tokens/s 2', 'first token, idle, ms 2', 'beside a busy process, tokens/s 1',
		'beside a busy process, tokens/s 2', 'server after the sessions, MB 2'])
		assert.ok(+cells.get(name)?.tandem > 0 && +cells.get(name)?.one > 0, `${name}\n${stdout}`);
	for (const name of ['memory read, GB/s 2', 'weights read in decode, % of that 2', 'load to first token, s 2', 'resident, % of the file 2'])
		assert.ok(+cells.get(name)?.tandem >= 0 && cells.get(name).one === '-', `${name}\n${stdout}`);
	assert.equal(cells.get('tokens of their answers 2').one, '18');
	assert.ok(+cells.get('tokens of their answers 2').tandem <= 18);
	assert.equal(cells.get('of 1 thread 2').bar, '>= 0.90');
	assert.match(cells.get('of 1 thread 2').result, /^bar met$|^below the bar$/);
	assert.equal(cells.get('of 1 thread 2').one, '1.00');
});

test('bench/serving says when nobody is there to compare with', async () => {
	await assert.rejects(run('bench/serving', []), /no folder of peers given/);
	await assert.rejects(run('bench/serving', ['weights']), /weights holds no peer: expected NAME\/llama-server/);
});

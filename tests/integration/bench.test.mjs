// `tandem bench` on the shipped small model: every test once for every number of threads, figures that fit together, and
// one sentence for what it cannot do.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
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
		'--depth', '0,40', '--verify', '1,4', '--verify-depth', '20', '--threads', '1,2', '--out', out]);
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

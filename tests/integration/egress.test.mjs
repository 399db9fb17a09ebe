// Some hundred of the conversations with canaries that `make egress-proof` sends by the million: tests/egress/proof.mjs.
import assert from 'node:assert/strict';
import test from 'node:test';
import { places, prove } from '../egress/proof.mjs';
import { canary, core, leaked } from '../egress/canaries.mjs';
import { random, sanitized } from './lib.mjs';

test('demand_13 demand_15 S78 canaries in every field and spelling, answers cut anywhere: none leaves, all come back', async (t) => {
  const n = sanitized ? 100 : 400;
  const tally = await prove({ n, seed: 7, width: 8 });
  assert.deepEqual(tally.leaks, []);
  assert.deepEqual(tally.wrong, []);
  assert.equal(tally.sent, n);
  assert.ok(tally.answered > 0.85 * n, JSON.stringify(tally.refused));
  if (!sanitized) assert.deepEqual(places.filter((p) => !tally.places.has(p)), []);
  t.diagnostic(`${tally.answered} of ${tally.sent} answered, ${tally.received} requests of ${tally.bytes} bytes searched; refused: ${JSON.stringify(tally.refused)}`);
});

test('values that read like names of the wire are hidden as values and block nothing, in every dialect', async () => {
  const deny = ['model', 'messages', 'role', 'content', 'type', 'function', 'name', 'tools', 'prompt', 'input', 'stream', 'max_tokens', 'system', 'text', 'stop',
    'parameters', 'usage', 'schema', 'arguments'];
  const n = sanitized ? 60 : 300, tally = await prove({ n, seed: 9, width: 8, deny });
  assert.deepEqual([tally.leaks, tally.wrong], [[], []]);
  assert.ok(tally.answered > 0.9 * n, JSON.stringify(tally.refused));
  assert.ok(['openai', 'anthropic', 'responses', 'completions', 'llama'].every((d) => Object.keys(tally.formats).some((f) => f.endsWith(` to ${d}`))), JSON.stringify(tally.formats));
});

test('the recorder finds canaries where nothing is masked, and in every spelling', async () => {
  const open = await prove({ n: 80, seed: 3, width: 4, level: 0 });
  assert.ok(open.leaks.length > 0);
  const r = random(4);
  for (let i = 0; i < 100; i++) {
    const c = canary(r), text = c.value;
    for (const hidden of [text, encodeURIComponent(text), Buffer.from(`x ${text} y`).toString('base64'), Buffer.from(text).toString('hex'),
      [...text].map((x) => `&#${x.codePointAt(0)};`).join(''), JSON.stringify({ a: text })])
      assert.equal(leaked([c], '', JSON.stringify({ m: [{ content: `a ${hidden} b` }] })), c, `${c.kind}: ${hidden}`);
    assert.equal(leaked([c], '', JSON.stringify({ m: 'EMAIL_7ZK3QX0D and nothing else' })), undefined);
    assert.equal(leaked([c], '', JSON.stringify({ m: [{ content: `a ${c.spell()} b` }] })), c, [...c.written].join(' '));
    assert.equal(core(text), c.core);
  }
});

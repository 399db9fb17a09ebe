// A strict reader of Prometheus' text (format 0.0.4): a Map of series to numbers.
import assert from 'node:assert/strict';

// Strict: what a line may be (text format 0.0.4), TYPE before samples, no series twice, histograms that add up.
export function readMetrics(text) {
  const types = new Map(), samples = new Map();
  for (const line of text.split('\n')) {
    if (!line || line.startsWith('# HELP ') || line === '# EOF') continue;
    const type = /^# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge|histogram)$/.exec(line);
    if (type) {
      assert.ok(!types.has(type[1]), `${type[1]} is declared twice`);
      types.set(type[1], type[2]);
      continue;
    }
    const sample = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{(?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\[\\"n])*",?)*\})? (-?[0-9.e+-]+|NaN|\+Inf)$/.exec(line);
    assert.ok(sample, `not a line of the format: ${line}`);
    const family = types.has(sample[1]) ? sample[1] : sample[1].replace(/_(bucket|sum|count|total)$/, '');
    assert.ok(types.has(family), `${sample[1]} has no TYPE before it`);
    assert.ok(!samples.has(sample[1] + (sample[2] ?? '')), `twice: ${line}`);
    samples.set(sample[1] + (sample[2] ?? ''), Number(sample[3]));
  }
  for (const [key, value] of samples) {
    const inf = /^(\w+)_bucket\{(.*?),?le="\+Inf"\}$/.exec(key);
    if (inf) assert.equal(value, samples.get(`${inf[1]}_count${inf[2] ? `{${inf[2]}}` : ''}`), key);
  }
  return samples;
}

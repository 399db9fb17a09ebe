// Telemetry: what a collector receives, held against the schema of OTLP's JSON encoding and the GenAI conventions. The
// collector is a plain HTTP server here.
import test from 'node:test';
import assert from 'node:assert/strict';
import http from 'node:http';
import { eventually, request, startTandem, user, chatStream } from './lib.mjs';
import { startUpstream, jsonAnswer } from './upstream.mjs';
import { readMetrics } from './metrics.mjs';

async function startCollector(status = () => 200) {
  const collector = { traces: [], metrics: [], n: 0 };
  const server = http.createServer((rq, answer) => {
    const parts = [];
    rq.on('data', (d) => parts.push(d));
    rq.on('end', () => {
      const code = status(collector.n++);
      if (code === null) return;
      if (code === 200) {
        assert.equal(rq.headers['content-type'], 'application/json');
        const json = JSON.parse(Buffer.concat(parts).toString());
        if (rq.url === '/v1/traces') collector.traces.push(json);
        else if (rq.url === '/v1/metrics') collector.metrics.push(json);
      }
      answer.writeHead(code, { 'content-type': 'application/json' });
      answer.end('{}');
    });
  });
  await new Promise((r) => server.listen(0, '127.0.0.1', r));
  server.unref();
  collector.url = `http://127.0.0.1:${server.address().port}`;
  collector.spans = () => collector.traces.flatMap(checkTraces);
  collector.figures = () => collector.metrics.map(checkMetrics).at(-1) ?? new Map();
  collector.close = () => { server.closeAllConnections(); server.close(); };
  return collector;
}

// --- the schema: keys that the protocol knows, and nothing else

const keys = (object, allowed, where) => {
  for (const key of Object.keys(object)) assert.ok(allowed.includes(key), `${where}: there is no field ${key}`);
};
const nano = (text) => { assert.match(text, /^[1-9]\d{18}$/); return BigInt(text); };

function checkValue(value) {
  const [kind] = Object.keys(value);
  assert.equal(Object.keys(value).length, 1, JSON.stringify(value));
  const good = { stringValue: (v) => typeof v === 'string', intValue: (v) => /^-?\d+$/.test(v) && typeof v === 'string',
    doubleValue: (v) => typeof v === 'number', boolValue: (v) => typeof v === 'boolean',
    arrayValue: (v) => v.values.every((x) => checkValue(x) !== undefined) }[kind];
  assert.ok(good?.(value[kind]), JSON.stringify(value));
  if (kind === 'intValue') return Number(value.intValue);
  return kind === 'arrayValue' ? value.arrayValue.values.map(checkValue) : value[kind];
}

function checkAttributes(list, where) {
  const found = {};
  for (const item of list) {
    keys(item, ['key', 'value'], where);
    assert.ok(!(item.key in found), `${where}: ${item.key} twice`);
    found[item.key] = checkValue(item.value);
  }
  return found;
}

function checkSpan(span) {
  keys(span, ['traceId', 'spanId', 'parentSpanId', 'name', 'kind', 'startTimeUnixNano', 'endTimeUnixNano', 'attributes', 'status'], 'span');
  assert.match(span.traceId, /^(?!0{32})[0-9a-f]{32}$/);
  assert.match(span.spanId, /^(?!0{16})[0-9a-f]{16}$/);
  if ('parentSpanId' in span) assert.match(span.parentSpanId, /^[0-9a-f]{16}$/);
  assert.ok([1, 2, 3].includes(span.kind));
  assert.ok(nano(span.endTimeUnixNano) >= nano(span.startTimeUnixNano));
  assert.ok(Math.abs(Number(nano(span.endTimeUnixNano) / 1000000n) - Date.now()) < 120000, 'the wall clock');
  keys(span.status, ['code', 'message'], 'status');
  return { ...span, a: checkAttributes(span.attributes, span.name) };
}

function checkTraces(json) {
  keys(json, ['resourceSpans'], 'request');
  return json.resourceSpans.flatMap((r) => {
    assert.equal(checkAttributes(r.resource.attributes, 'resource')['service.name'], 'tandem');
    return r.scopeSpans.flatMap((s) => {
      keys(s, ['scope', 'spans'], 'scopeSpans');
      return s.spans.map(checkSpan);
    });
  });
}

function checkPoint(p, isHistogram) {
  keys(p, ['startTimeUnixNano', 'timeUnixNano', 'attributes', ...(isHistogram ? ['count', 'sum', 'bucketCounts', 'explicitBounds'] : ['asInt'])], 'point');
  assert.ok(nano(p.timeUnixNano) > nano(p.startTimeUnixNano));
  if (isHistogram) {
    assert.equal(p.bucketCounts.length, p.explicitBounds.length + 1);
    assert.equal(p.bucketCounts.reduce((sum, n) => sum + Number(n), 0), Number(p.count));
    assert.deepEqual([...p.explicitBounds].sort((a, b) => a - b), p.explicitBounds);
  }
  return { ...p, a: checkAttributes(p.attributes, 'point') };
}

function checkMetrics(json) {
  keys(json, ['resourceMetrics'], 'request');
  const found = new Map();
  for (const m of json.resourceMetrics.flatMap((r) => r.scopeMetrics).flatMap((s) => s.metrics)) {
    keys(m, ['name', 'unit', 'histogram', 'sum'], m.name);
    assert.ok(!found.has(m.name), `${m.name} twice`);
    const data = m.histogram ?? m.sum;
    assert.equal(data.aggregationTemporality, 2);
    if (m.sum) assert.equal(m.sum.isMonotonic, true);
    found.set(m.name, { unit: m.unit, points: data.dataPoints.map((p) => checkPoint(p, !!m.histogram)) });
  }
  return found;
}

const settings = (upstream, collector, more = '') => `models:
  small: {kind: remote, url: "${upstream.url}", model: plain}
  large: {kind: remote, url: "${upstream.url}", model: dear, trace: yes}
  cascade: {kind: cascade, small: small, large: large, gate: agreement, samples: 3, threshold: 2}
  bad: {kind: remote, url: "${upstream.url}", model: bad, breaker: no}
telemetry: {otlp: "${collector.url}", batch_ms: 20, figures_ms: 150${more}}
serve: {default: cascade}
`;
const behaviour = (rq) => (rq.json.model === 'bad' ? jsonAnswer(500, { error: { message: 'secret words of an upstream' } }) : undefined);
const traceOf = (rq) => /^traceparent: (.*)$/im.exec(rq.head)?.[1].trim();

test('spans: the request and every model of the tree that ran, in OTLP\'s schema, with GenAI names', async () => {
  const upstream = await startUpstream(behaviour), collector = await startCollector();
  const server = await startTandem(settings(upstream, collector));
  const trace = '0af7651916cd43dd8448eb211c80319c', parent = 'b7ad6b7169203331';
  const answer = await server.chat({ messages: user('hello secret'), max_tokens: 9, temperature: 0.5 },
    { traceparent: `00-${trace}-${parent}-01`, baggage: 'user=canary', 'x-session-id': 's-1', 'x-tandem-session': 's-1' });
  assert.equal(answer.status, 200, answer.text);
  const spans = await eventually('spans', () => (collector.spans().length >= 3 ? collector.spans() : null));
  const root = spans.find((s) => s.kind === 2), node = spans.find((s) => s.name === 'chat cascade');
  assert.deepEqual([root.traceId, root.parentSpanId], [trace, parent], 'the client\'s trace goes on');
  assert.equal(root.name, 'POST /v1/chat/completions');
  assert.deepEqual([root.a['http.request.method'], root.a['http.route'], root.a['http.response.status_code']], ['POST', '/v1/chat/completions', 200]);
  assert.equal(root.a['tandem.receipt'], answer.json.tandem.receipt);
  assert.match(root.a['gen_ai.conversation.id'], /^hmac-sha256:/);
  assert.deepEqual([node.parentSpanId, node.kind], [root.spanId, 1]);
  assert.ok(node.a['tandem.decision'] && node.a['tandem.threshold'] === 2);
  const calls = spans.filter((s) => s.kind === 3);
  assert.equal(calls.length, upstream.requests.length, 'every call, samples too');
  for (const call of calls) {
    assert.equal(call.traceId, trace);
    assert.ok(spans.some((s) => s.spanId === call.parentSpanId), 'its parent is here');
    assert.match(call.name, /^chat (plain|dear)$/);
    assert.deepEqual([call.a['gen_ai.operation.name'], call.a['gen_ai.provider.name'], call.a['server.address']], ['chat', 'openai', '127.0.0.1']);
    assert.equal(call.a['server.port'], Number(new URL(upstream.url).port));
    assert.ok(call.a['gen_ai.usage.input_tokens'] > 0 && call.a['tandem.purpose']);
    assert.deepEqual(call.a['gen_ai.response.finish_reasons'], ['stop']);
    const up = spans.find((s) => s.spanId === call.parentSpanId);
    assert.ok(nano(call.startTimeUnixNano) >= nano(up.startTimeUnixNano) && nano(call.endTimeUnixNano) <= nano(up.endTimeUnixNano), 'inside its parent');
  }
  assert.equal(new Set(spans.map((s) => s.spanId)).size, spans.length);
  const sent = upstream.requests.map((rq) => [rq.json.model, traceOf(rq)]);
  for (const [model, header] of sent) {
    if (model === 'plain') assert.equal(header, undefined, 'only models with trace: yes are told');
    else assert.ok(calls.some((c) => header === `00-${trace}-${c.spanId}-01`), header);
  }
  assert.ok(sent.some(([model]) => model === 'dear'));
  assert.ok(!upstream.received.includes('canary'), 'baggage never leaves');
  assert.ok(!JSON.stringify(collector.traces).includes('secret'), 'no text');
  await server.stop();
  await upstream.close();
  collector.close();
});

test('spans: errors have a type, a broken traceparent begins a trace of its own', async () => {
  const upstream = await startUpstream(behaviour), collector = await startCollector();
  const server = await startTandem(settings(upstream, collector));
  const wrong = ['00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01', 'ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', 'x'.repeat(55), '', '00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'];
  for (const traceparent of wrong) assert.equal((await server.chat({ model: 'small', messages: user('hi') }, { traceparent })).status, 200);
  const failed = await server.chat({ model: 'bad', messages: user('hi') });
  assert.equal(failed.status, 502);
  const spans = await eventually('spans', () => (collector.spans().length >= 12 ? collector.spans() : null));
  const roots = spans.filter((s) => s.kind === 2);
  assert.ok(roots.every((s) => !('parentSpanId' in s)));
  assert.equal(new Set(roots.map((s) => s.traceId)).size, wrong.length + 1);
  const root = roots.find((s) => s.a['http.response.status_code'] === 502);
  assert.deepEqual([root.status.code, root.a['error.type']], [2, failed.json.error.code]);
  const call = spans.find((s) => s.parentSpanId === root.spanId);
  assert.deepEqual([call.status.code, call.a['error.type']], [2, failed.json.error.code]);
  await server.stop();
  await upstream.close();
  collector.close();
});

for (const names of ['current', 'next']) {
  test(`figures: the ${names} names, units and buckets`, async () => {
    const upstream = await startUpstream(behaviour), collector = await startCollector();
    const server = await startTandem(settings(upstream, collector, names === 'next' ? '' : ', names: current'),
      { env: names === 'next' ? { OTEL_SEMCONV_STABILITY_OPT_IN: 'gen_ai_latest_experimental' } : {} });
    for (let i = 0; i < 3; i++) await server.chat({ model: 'small', messages: user('hi') });
    await chatStream(server, { model: 'small', messages: user('hi') });
    const figures = await eventually('figures', () => (collector.figures().size ? collector.figures() : null));
    const later = await eventually('all of them', () => {
      const f = collector.figures().get(names === 'next' ? 'gen_ai.client.inference.duration' : 'gen_ai.client.operation.duration');
      return f?.points[0].count === '4' ? collector.figures() : null;
    });
    const want = names === 'next'
      ? ['gen_ai.client.inference.operation.input_tokens', 'gen_ai.client.inference.operation.output_tokens', 'gen_ai.client.inference.usage.input_tokens',
        'gen_ai.client.inference.usage.output_tokens', 'gen_ai.client.inference.duration', 'gen_ai.client.inference.time_to_first_chunk', 'gen_ai.client.inference.time_per_output_chunk']
      : ['gen_ai.client.token.usage', 'gen_ai.client.operation.duration', 'gen_ai.client.operation.time_to_first_chunk', 'gen_ai.client.operation.time_per_output_chunk'];
    assert.deepEqual([...later.keys()].sort(), [...want].sort());
    const duration = later.get(names === 'next' ? want[4] : want[1]);
    assert.equal(duration.unit, 's');
    assert.deepEqual(duration.points[0].explicitBounds, Array.from({ length: 14 }, (_, i) => Number((0.01 * 2 ** i).toPrecision(4))));
    assert.deepEqual(duration.points[0].a['gen_ai.request.model'], 'plain');
    const tokens = later.get(want[0]);
    assert.deepEqual(tokens.points[0].explicitBounds, Array.from({ length: 14 }, (_, i) => 4 ** i));
    if (names === 'current') assert.deepEqual(tokens.points.map((p) => p.a['gen_ai.token.type']).sort(), ['input', 'output']);
    else assert.equal(later.get(want[2]).points[0].asInt, '28');
    assert.ok(figures.size);
    await server.stop();
    await upstream.close();
    collector.close();
  });
}

test('a collector that is away or slow delays nothing; what is lost is counted; the end does not wait for it', async () => {
  const upstream = await startUpstream(behaviour), collector = await startCollector(() => null);
  const server = await startTandem(settings(upstream, collector));
  const started = performance.now();
  for (let i = 0; i < 20; i++) assert.equal((await server.chat({ model: 'small', messages: user('hi') })).status, 200);
  assert.ok(performance.now() - started < 3000);
  const stopping = performance.now();
  await server.stop();
  assert.ok(performance.now() - stopping < 4000, 'at most two seconds for what waits');
  assert.match(server.stderr, / telemetry\.lost url=\S+ status=0 /);
  collector.close();
  const dead = await startTandem(settings(upstream, { url: 'http://127.0.0.1:9' }));
  assert.equal((await dead.chat({ model: 'small', messages: user('hi') })).status, 200);
  const lost = await eventually('the count', async () =>
    readMetrics((await request(`${dead.origin}/metrics`)).text).get('tandem_telemetry_items_total{signal="spans",result="lost"}'));
  assert.equal(lost, 2);
  await dead.stop();
  await upstream.close();
});

test('a collector that is busy for a moment gets the batch again', async () => {
  const upstream = await startUpstream(behaviour), collector = await startCollector((n) => (n === 0 ? 503 : 200));
  const server = await startTandem(settings(upstream, collector));
  await server.chat({ model: 'small', messages: user('hi') });
  await eventually('the second try', () => collector.spans().length === 2);
  await server.stop();
  await upstream.close();
  collector.close();
});
